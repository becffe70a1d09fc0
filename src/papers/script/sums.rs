//! Lists of sums as `md5sum -c` and `sha256sum -c` read them.

use std::fmt;

/// A kind of sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `md5sum`.
    Md5,
    /// `sha256sum`.
    Sha256,
}

impl Kind {
    /// The name of the program that checks it.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Md5 => "md5sum",
            Self::Sha256 => "sha256sum",
        }
    }

    /// How the list of a package is called: `md5sum.{name}.txt`.
    #[must_use]
    pub fn file_name(self, package: &str) -> String {
        format!("{}.{package}.txt", self.program())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
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

    #[test]
    fn lists_are_named_after_their_package() {
        assert_eq!(Kind::Md5.file_name("my-package"), "md5sum.my-package.txt");
        assert_eq!(Kind::Sha256.file_name("p"), "sha256sum.p.txt");
    }
}
