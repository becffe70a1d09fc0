//! How texts and numbers are written down, so that they can do no harm.

use std::borrow::Cow;

/// Bytes, as people read them: `1.5 GiB`.
#[must_use]
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In tenths, rounded, so that 1023.96 KiB is 1.0 MiB and not 1024.0 KiB.
    let mut scale = 1024_u128;
    let mut unit = 0;
    let tenths = |scale: u128| (u128::from(bytes) * 10 + scale / 2) / scale;
    while tenths(scale) >= 10_240 && unit + 1 < UNITS.len() {
        scale *= 1024;
        unit += 1;
    }
    let tenths = tenths(scale);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(unit).copied().unwrap_or_default())
}

/// A number with a thin gap between thousands: `200 000`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `2 files`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// What cannot be seen, or turns what follows around: control characters, marks of direction, breaks of lines and
/// spaces without width.
const fn is_unseen(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text as it is shown: what cannot be seen is named, `⟨202E⟩`. Of its own it is not safe in HTML.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut seen = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unseen(c) {
            let name = format!("⟨{:04X}⟩", u32::from(c));
            seen.push_str(&name);
        } else {
            seen.push(c);
        }
    }
    Cow::Owned(seen)
}

/// Appends a JSON string that may stand within a `<script>`: no `<`, and nothing that cannot be seen, in escapes of
/// one unit each, as all of these are.
pub(super) fn push_json(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c == '<' || is_unseen(c) => {
                let escape = format!("\\u{:04x}", u32::from(c));
                out.push_str(&escape);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends a JSON array of strings.
pub(super) fn push_json_list<T: AsRef<str>>(out: &mut String, texts: impl IntoIterator<Item = T>) {
    out.push('[');
    for (at, text) in texts.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_json(out, text.as_ref());
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_and_never_reach_the_next_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_524, "1023.9 KiB"),
            (1_048_575, "1.0 MiB"),
            (1_610_612_736, "1.5 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
        assert_eq!((grouped(999), grouped(1_234_567)), ("999".into(), "1\u{202f}234\u{202f}567".into()));
    }

    #[test]
    fn what_cannot_be_seen_is_named() {
        assert_eq!(shown("plain/Größe 日本"), "plain/Größe 日本");
        assert!(matches!(shown("plain"), Cow::Borrowed(_)));
        assert_eq!(shown("a\u{202e}gpj.exe\n\0"), "a⟨202E⟩gpj.exe⟨000A⟩⟨0000⟩");
    }

    #[test]
    fn json_cannot_end_its_script_and_reads_back() {
        let hostile = "</script><!--\u{2028}\u{2029}\"\\\u{1}\u{7f}\t𝄞é";
        let mut out = String::new();
        push_json(&mut out, hostile);
        assert!(!out.contains('<') && !out.contains('\u{2028}') && !out.contains('\u{2029}'), "{out}");
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), hostile);
        let mut list = String::new();
        push_json_list(&mut list, ["a", "b<"]);
        assert_eq!(list, r#"["a","b\u003c"]"#);
    }
}
