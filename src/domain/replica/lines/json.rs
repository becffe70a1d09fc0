//! JSON as jsonb takes it: checked without recursion, and mended where jsonb is narrower than JSON.

use std::borrow::Cow;

/// How deep containers may lie in one another; PostgreSQL's own bound is the depth of its stack, some
/// thousands.
const DEEPEST: usize = 1000;

/// Why a text cannot be jsonb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is no JSON.
    Syntax,
    /// Its containers lie too deep in one another.
    Deep,
    /// It has a number that does not pass.
    Number,
}

/// Why a value cannot be stored; goes on after the name of its column.
pub(super) type Reason = Cow<'static, str>;

impl From<Flaw> for Reason {
    fn from(flaw: Flaw) -> Self {
        Self::Borrowed(match flaw {
            Flaw::Syntax => "is no JSON",
            Flaw::Deep => "is nested too deep",
            Flaw::Number => "has a number that is out of range",
        })
    }
}

type Result<T, E = Flaw> = std::result::Result<T, E>;

/// A place in a text that jsonb refuses: `\u0000`, or half of a surrogate pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where its backslash is. It is six bytes long.
    at: usize,
    /// Whether it is a half of a pair.
    pub(super) half: bool,
}

/// A value of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element<'t> {
    /// `null`.
    Null,
    /// What stands between the quotes of a text.
    Text(&'t [u8]),
    /// A number, `true`, `false`, a list or an object, as it is written.
    Other(&'t [u8]),
}

/// A text that is read.
struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    faults: Vec<Fault>,
    /// Called with each number.
    numbers: fn(&[u8]) -> bool,
}

impl<'t> Scan<'t> {
    fn of(text: &'t [u8], numbers: fn(&[u8]) -> bool) -> Self {
        Self { text, at: 0, faults: Vec::new(), numbers }
    }

    fn peek(&mut self) -> Option<u8> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Result<()> {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        if found { Ok(()) } else { Err(Flaw::Syntax) }
    }

    fn takes(&mut self, wanted: u8) -> bool {
        self.take(wanted).is_ok()
    }

    fn between(&self, from: usize, to: usize) -> &'t [u8] {
        self.text.get(from..to).unwrap_or_default()
    }

    /// Four digits at a place.
    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 4)?;
        digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
    }

    /// A text with its quotes; gives what is between them.
    fn string(&mut self) -> Result<&'t [u8]> {
        self.take(b'"')?;
        let from = self.at;
        loop {
            match *self.text.get(self.at).ok_or(Flaw::Syntax)? {
                b'"' => break,
                ..0x20 => return Err(Flaw::Syntax),
                b'\\' => self.escape()?,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Ok(self.between(from, self.at - 1))
    }

    fn escape(&mut self) -> Result<()> {
        let at = self.at;
        match self.text.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = self.unit(at + 2).ok_or(Flaw::Syntax)?;
                self.at += 6;
                let follows = is_high(unit) && self.text.get(self.at..self.at + 2) == Some(b"\\u");
                if follows && self.unit(self.at + 2).is_some_and(is_low) {
                    self.at += 6;
                    return Ok(());
                }
                if unit == 0 || is_high(unit) || is_low(unit) {
                    self.faults.push(Fault { at, half: unit != 0 });
                }
            }
            _ => return Err(Flaw::Syntax),
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<()> {
        let from = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at > from { Ok(()) } else { Err(Flaw::Syntax) }
    }

    fn number(&mut self) -> Result<()> {
        let from = self.at;
        self.at += usize::from(self.text.get(self.at) == Some(&b'-'));
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        if (self.numbers)(self.between(from, self.at)) { Ok(()) } else { Err(Flaw::Number) }
    }

    /// What is neither a text nor a container.
    fn plain(&mut self) -> Result<()> {
        for word in [&b"true"[..], b"false", b"null"] {
            if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
                self.at += word.len();
                return Ok(());
            }
        }
        self.number()
    }

    /// A whole value; gives it as it is written.
    fn value(&mut self) -> Result<&'t [u8]> {
        // Whether each container around is an object.
        let mut around: Vec<bool> = Vec::new();
        self.peek();
        let from = self.at;
        loop {
            match self.peek().ok_or(Flaw::Syntax)? {
                open @ (b'{' | b'[') => {
                    self.at += 1;
                    let object = open == b'{';
                    if !self.takes(if object { b'}' } else { b']' }) {
                        if around.len() == DEEPEST {
                            return Err(Flaw::Deep);
                        }
                        around.push(object);
                        if object {
                            self.name()?;
                        }
                        continue;
                    }
                }
                b'"' => drop(self.string()?),
                _ => self.plain()?,
            }
            loop {
                let Some(&object) = around.last() else { return Ok(self.between(from, self.at)) };
                if self.takes(b',') {
                    if object {
                        self.name()?;
                    }
                    break;
                }
                self.take(if object { b'}' } else { b']' })?;
                around.pop();
            }
        }
    }

    fn name(&mut self) -> Result<()> {
        self.peek();
        self.string()?;
        self.take(b':')
    }

    fn end(&mut self) -> Result<()> {
        if self.peek().is_none() { Ok(()) } else { Err(Flaw::Syntax) }
    }
}

const fn is_high(unit: u32) -> bool {
    matches!(unit, 0xD800..=0xDBFF)
}

const fn is_low(unit: u32) -> bool {
    matches!(unit, 0xDC00..=0xDFFF)
}

/// Whether a text is JSON whose numbers pass; gives what jsonb would refuse in it although it is.
pub(super) fn check(text: &[u8], numbers: fn(&[u8]) -> bool) -> Result<Vec<Fault>> {
    let mut scan = Scan::of(text, numbers);
    scan.value()?;
    scan.end()?;
    Ok(scan.faults)
}

/// The text without its faults: NUL is taken out, half of a pair becomes U+FFFD.
pub(super) fn without(text: &[u8], faults: &[Fault]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    for fault in faults {
        out.extend_from_slice(text.get(from..fault.at).unwrap_or_default());
        if fault.half {
            out.extend_from_slice(b"\\ufffd");
        }
        from = fault.at + 6;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    out
}

/// The elements of a list, one after the other.
pub(super) fn list<E: From<Flaw>>(
    text: &[u8],
    mut each: impl FnMut(Element<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut scan = Scan::of(text, |_| true);
    scan.take(b'[')?;
    if !scan.takes(b']') {
        loop {
            each(match scan.peek() {
                Some(b'"') => Element::Text(scan.string()?),
                _ => match scan.value()? {
                    b"null" => Element::Null,
                    other => Element::Other(other),
                },
            })?;
            if !scan.takes(b',') {
                break;
            }
        }
        scan.take(b']')?;
    }
    Ok(scan.end()?)
}

/// The bytes that a text of JSON stands for, added to `out`; what stands between its quotes is known to be
/// right. Gives how many NULs were taken out, and how many halves of pairs were replaced.
pub(super) fn decode(inside: &[u8], out: &mut Vec<u8>) -> (u64, u64) {
    let (mut nuls, mut halves) = (0, 0);
    let scan = Scan::of(inside, |_| true);
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', inside.get(at..).unwrap_or_default()) {
        out.extend_from_slice(scan.between(at, at + found));
        at += found + 2;
        match inside.get(at - 1) {
            Some(b'b') => out.push(8),
            Some(b'f') => out.push(12),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'u') => {
                let unit = scan.unit(at).unwrap_or_default();
                at += 4;
                let follows = is_high(unit) && scan.between(at, at + 2) == b"\\u";
                let low = if follows { scan.unit(at + 2).filter(|low| is_low(*low)) } else { None };
                let code = low.map_or(unit, |low| {
                    at += 6;
                    0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
                });
                nuls += u64::from(code == 0);
                halves += u64::from(char::from_u32(code).is_none());
                if code != 0 {
                    let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            Some(other) => out.push(*other),
            None => {}
        }
    }
    out.extend_from_slice(inside.get(at..).unwrap_or_default());
    (nuls, halves)
}

/// Writes a text as JSON.
pub(super) fn text(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0 => {}
            1..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&hex_digits(byte));
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    out
}

fn hex_digits(byte: u8) -> [u8; 2] {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_jsonb_refuses_is_mended() {
        let said = br#"{"a\u0000":"\ud83d\ude00 \ud83d x \udc00","b":[1,-0.5e+3,true,null,{}]}"#;
        let faults = check(said, |_| true).unwrap();
        let mended = without(said, &faults);
        assert_eq!(mended, br#"{"a":"\ud83d\ude00 \ufffd x \ufffd","b":[1,-0.5e+3,true,null,{}]}"#);
        assert_eq!(check(&mended, |_| true), Ok(Vec::new()));
    }

    #[test]
    fn deep_nesting_is_no_crash() {
        let deep = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert_eq!(check(&deep(1000), |_| true), Ok(Vec::new()));
        assert_eq!(check(&deep(1_000_000), |_| true), Err(Flaw::Deep));
    }

    proptest! {
        #[test]
        fn it_is_json_where_another_reader_says_so(
            text in r#"([\[\]{}:, "]|"[a-z\\u0/]{0,3}"|\\|-|[0-9]{1,2}|\.|[eE]|true|null|nul){0,12}"#
        ) {
            // The other one refuses halves of surrogate pairs, which are mended here.
            let other = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(check(text.as_bytes(), |_| true).is_ok(), other, "{}", text);
        }

        #[test]
        fn texts_are_what_another_reader_reads(text: String) {
            let written = serde_json::to_string(&text).unwrap();
            let mut out = Vec::new();
            let inside = &written.as_bytes()[1..written.len() - 1];
            let (nuls, halves) = decode(inside, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), text.replace('\0', ""));
            prop_assert_eq!((nuls, halves), (text.matches('\0').count() as u64, 0));
            let ours = super::text(text.as_bytes());
            prop_assert_eq!(serde_json::from_slice::<String>(&ours).unwrap(), text.replace('\0', ""));
        }
    }
}
