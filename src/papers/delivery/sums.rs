//! Lists of sums as `md5sum -c` and `sha256sum -c` read them.

/// A text that is an MD5 in hex.
#[must_use]
pub fn md5(text: Option<&str>) -> Option<&str> {
    text.filter(|text| is_hex(text, 32))
}

/// A text that is a SHA-256 in hex.
#[must_use]
pub fn sha256(text: Option<&str>) -> Option<&str> {
    text.filter(|text| is_hex(text, 64))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Adds the line of a file. A name with a backslash or a line break is escaped, and the line then begins with a
/// backslash, as GNU does it; so is a carriage return, which a reader could take for a part of the line's end.
pub fn push_line(out: &mut String, sum: &str, path: &str) {
    let escaped = path.contains(['\\', '\n', '\r']);
    if escaped {
        out.push('\\');
    }
    out.push_str(&sum.to_ascii_lowercase());
    out.push_str("  ");
    if escaped {
        for letter in path.chars() {
            match letter {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                other => out.push(other),
            }
        }
    } else {
        out.push_str(path);
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str) -> String {
        let mut out = String::new();
        push_line(&mut out, "D41D8CD98F00B204E9800998ECF8427E", path);
        out
    }

    #[test]
    fn plain_names_stand_as_they_are() {
        assert_eq!(line("a/b c*.txt"), "d41d8cd98f00b204e9800998ecf8427e  a/b c*.txt\n");
        assert_eq!(line("*x"), "d41d8cd98f00b204e9800998ecf8427e  *x\n");
    }

    #[test]
    fn backslashes_and_line_breaks_are_escaped() {
        assert_eq!(line("a\\b"), "\\d41d8cd98f00b204e9800998ecf8427e  a\\\\b\n");
        assert_eq!(line("a\nb\r"), "\\d41d8cd98f00b204e9800998ecf8427e  a\\nb\\r\n");
    }
}
