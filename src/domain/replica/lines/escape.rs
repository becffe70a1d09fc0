//! The escapes of COPY's text format, as the source writes them.

use memchr::memchr_iter;

/// What stands for NULL.
pub(super) const NULL: &[u8] = b"\\N";

/// Whether the byte after these is taken literally: an odd number of backslashes stands before it.
pub(super) fn escapes_next(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The next byte of that value that is not escaped, from a place on.
pub(super) fn find_bare(wanted: u8, text: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let bare = |at: &usize| text.get(..*at).is_none_or(|before| !escapes_next(before));
    memchr_iter(wanted, rest).map(|at| from + at).find(bare)
}

/// Where the fields of a line end. A tab after a lone backslash is part of its field, as it is for COPY.
pub(super) fn split(line: &[u8], ends: &mut Vec<usize>) {
    ends.clear();
    for tab in memchr_iter(b'\t', line) {
        let before = line.get(..tab).unwrap_or_default();
        if before.last() != Some(&b'\\') || !escapes_next(before) {
            ends.push(tab);
        }
    }
    ends.push(line.len());
}

/// The field of that number, as it stands in its line.
pub(super) fn field<'l>(line: &'l [u8], ends: &[usize], number: usize) -> &'l [u8] {
    fields(line, ends, number, number)
}

/// Fields one after the other, with the tabs between them.
pub(super) fn fields<'l>(line: &'l [u8], ends: &[usize], first: usize, last: usize) -> &'l [u8] {
    let start = first.checked_sub(1).map_or(0, |before| ends.get(before).map_or(line.len(), |end| end + 1));
    let end = ends.get(last).copied().unwrap_or(line.len());
    line.get(start..end).unwrap_or_default()
}

/// The bytes that a field stands for, added to `out`.
///
/// Those of the source are `\b \f \n \r \t \v \\`, and `\0` for NUL, whatever digit follows (its own client
/// reads it so; COPY would read an octal number). Others are read as COPY reads them.
pub(super) fn unescape(field: &[u8], out: &mut Vec<u8>) {
    let mut rest = field;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        // A backslash at the end stands for nothing.
        let Some((&letter, after)) = rest.split_first() else { return };
        rest = after;
        out.push(match letter {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'0' => 0,
            b'1'..=b'7' => number(letter - b'0', 3, 8, &mut rest),
            b'x' if rest.first().is_some_and(u8::is_ascii_hexdigit) => number(0, 3, 16, &mut rest),
            other => other,
        });
    }
    out.extend_from_slice(rest);
}

/// A byte by its number: at most so many digits less one follow.
fn number(first: u8, digits: usize, base: u32, rest: &mut &[u8]) -> u8 {
    let mut value = u32::from(first);
    for _ in 1..digits {
        let Some((&letter, after)) = rest.split_first() else { break };
        let Some(digit) = char::from(letter).to_digit(base) else { break };
        value = value * base + digit;
        *rest = after;
    }
    value.to_le_bytes()[0]
}

/// How a byte is written in a field, if not as itself.
const fn escaped(byte: u8) -> Option<u8> {
    Some(match byte {
        8 => b'b',
        12 => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        11 => b'v',
        b'\\' => b'\\',
        _ => return None,
    })
}

/// Writes bytes as a field.
pub(super) fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for (at, &byte) in text.iter().enumerate() {
        if let Some(letter) = escaped(byte) {
            out.extend_from_slice(text.get(from..at).unwrap_or_default());
            out.extend_from_slice(&[b'\\', letter]);
            from = at + 1;
        }
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
}

/// Writes a text as an element of an array.
pub(super) fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unescaped(field: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        unescape(field, &mut out);
        out
    }

    #[test]
    fn escapes_stand_for_what_the_source_means_by_them() {
        assert_eq!(unescaped(br"\b\f\n\r\t\v\\ \q \. \\."), b"\x08\x0c\n\r\t\x0b\\ q . \\.");
        assert_eq!(unescaped(br"nul\012"), b"nul\x0012", "the source has no octal numbers");
        assert_eq!(unescaped(br"\101\x41\x4g\x\1"), b"AA\x04gx\x01");
        assert_eq!(unescaped(br"end\"), b"end");
    }

    #[test]
    fn a_tab_after_a_lone_backslash_does_not_end_a_field() {
        let mut ends = Vec::new();
        let line = b"a\\\tb\tc\\\\\td";
        split(line, &mut ends);
        let all: Vec<&[u8]> = (0..ends.len()).map(|number| field(line, &ends, number)).collect();
        assert_eq!(all, [&b"a\\\tb"[..], b"c\\\\", b"d"]);
        assert_eq!(fields(line, &ends, 1, 2), b"c\\\\\td");
        assert_eq!(unescaped(all[0]), b"a\tb");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text: Vec<u8>) {
            let mut field = Vec::new();
            escape(&text, &mut field);
            prop_assert_eq!(find_bare(b'\t', &field, 0), None);
            prop_assert_eq!(find_bare(b'\n', &field, 0), None);
            prop_assert_eq!(unescaped(&field), text);
        }
    }
}
