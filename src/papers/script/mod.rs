//! The hand-out of a package: a bash script with which a receiver downloads it.
//!
//! The script is `download.sh`, with the package written into its first lines, and after it a line for each file. It
//! is made as it goes: the caller takes what is there, so that a package of any size needs little memory.
//!
//! Paths and links are hostile: they are words in single quotes, which bash does not look into, and no line of the
//! script evaluates them. What cannot be said so, or would leave the receiver's folder, is refused here already, and
//! by the script once more.

mod quote;

use std::{
    collections::HashSet,
    fmt::{self, Write as _},
    hash::{DefaultHasher, Hash, Hasher},
};

use jiff::Timestamp;

use self::quote::push_quoted;
use crate::domain::share::places;

/// The script but for its package.
const BODY: &str = include_str!("download.sh");

/// What the script says of its package.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The name of the package.
    pub name: &'a str,
    /// Its id.
    pub id: &'a str,
    /// When the links end.
    pub expires: Timestamp,
    /// How many files will be taken.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// One file of the script.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Its place below the receiver's folder.
    pub path: &'a str,
    /// Its bytes.
    pub size: u64,
    /// Where it is read: `https://…`.
    pub url: &'a str,
    /// Its MD5, in hex.
    pub md5: Option<&'a str>,
    /// Its SHA-256, in hex.
    pub sha256: Option<&'a str>,
}

/// Why a script cannot be made. It never holds a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The path is empty, absolute, has an empty name, `.` or `..`, a line break or NUL.
    Path(String),
    /// The link of this path is no `http://` or `https://`, or has control characters.
    Url(String),
    /// The size of this path is more than the script can count (2^63 - 1).
    Size(String),
    /// The sum of this path is not hex of its length.
    Sum(String),
    /// Others were taken than the head has said.
    Totals {
        /// Files that were taken.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{path:?} cannot be the path of a file in a script"),
            Self::Url(path) => write!(f, "the link of {path:?} cannot be in a script"),
            Self::Size(path) => write!(f, "the size of {path:?} is too large for a script"),
            Self::Sum(path) => write!(f, "a sum of {path:?} is not hex"),
            Self::Totals { files, bytes } => {
                write!(f, "the script holds {files} files of {bytes} bytes, not what its head says")
            }
        }
    }
}

impl std::error::Error for Refused {}

/// A script that is being made.
pub struct Script {
    out: String,
    expected: (u64, u64),
    files: u64,
    bytes: u64,
    /// Hashes of the paths in small letters: where the receiver's file system takes `A` for `a`, the script has to
    /// know that two files would be one. Sixteen bytes a file.
    folded: HashSet<u64>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text holds links.
        f.debug_struct("Script")
            .field("files", &self.files)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Script {
    /// Begins a script.
    #[must_use]
    pub fn new(head: &Head<'_>) -> Self {
        let mut out = String::with_capacity(BODY.len() + 4096);
        for line in BODY.split_inclusive('\n') {
            // Each setting is a line of its own with a value that stands for none.
            match line.trim_end() {
                "package_name=''" => setting(&mut out, "package_name", &one_line(head.name)),
                "package_id=''" => setting(&mut out, "package_id", &one_line(head.id)),
                "package_files=0" => number(&mut out, "package_files", head.files),
                "package_bytes=0" => number(&mut out, "package_bytes", head.bytes),
                "links_expire=''" => setting(&mut out, "links_expire", &until(head.expires)),
                "links_expire_at=0" => {
                    let seconds = u64::try_from(head.expires.as_second()).unwrap_or(0);
                    number(&mut out, "links_expire_at", seconds);
                }
                "part_tag='part'" => setting(&mut out, "part_tag", &tag(head.id)),
                _ => out.push_str(line),
            }
        }
        Self { out, expected: (head.files, head.bytes), files: 0, bytes: 0, folded: HashSet::new() }
    }

    /// Adds a file. What is refused leaves no trace.
    pub fn take(&mut self, row: &Row<'_>) -> Result<(), Refused> {
        let Row { path, size, url, md5, sha256 } = *row;
        if places::check(path).is_err() {
            return Err(Refused::Path(path.to_owned()));
        }
        if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains(char::is_control) {
            return Err(Refused::Url(path.to_owned()));
        }
        if i64::try_from(size).is_err() || i64::try_from(self.bytes.saturating_add(size)).is_err() {
            return Err(Refused::Size(path.to_owned()));
        }
        let (Some(md5), Some(sha256)) = (hex(md5, 32), hex(sha256, 64)) else {
            return Err(Refused::Sum(path.to_owned()));
        };
        // Who checks the script with ShellCheck is told that these words are meant as they are.
        if path.contains(['$', '`', '\\', '~']) || url.contains(['$', '`', '\\']) {
            self.out.push_str("# shellcheck disable=SC2016,SC1003,SC2088,SC2289\n");
        }
        self.out.push_str("f ");
        push_number(&mut self.out, size);
        for word in [path, url, &md5, &sha256] {
            self.out.push(' ');
            push_quoted(&mut self.out, word);
        }
        if !self.folded.insert(fold(path)) {
            self.out.push_str(" folded");
        }
        self.out.push('\n');
        self.files += 1;
        self.bytes += size;
        Ok(())
    }

    /// How many bytes wait to be drained.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.out.len()
    }

    /// What is there of the text, which goes on with the next drain.
    #[must_use]
    pub fn drain(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// The rest of the text. A script whose files are not those of its head would refuse to run.
    pub fn finish(mut self) -> Result<String, Refused> {
        if self.expected != (self.files, self.bytes) {
            return Err(Refused::Totals { files: self.files, bytes: self.bytes });
        }
        self.out.push_str("finish\n");
        Ok(self.out)
    }
}

/// A file's name while it is on its way: `{path}.{tag}.part`. That of the package, so that neither another package
/// nor a file of this one is taken for the beginning of it.
fn tag(id: &str) -> String {
    let letters: Vec<char> = id.chars().filter(char::is_ascii_alphanumeric).collect();
    let tag: String = letters.iter().skip(letters.len().saturating_sub(8)).collect();
    if tag.is_empty() { "part".to_owned() } else { tag }
}

/// A sum in small letters, empty if there is none; nothing if it is no sum.
fn hex(sum: Option<&str>, length: usize) -> Option<String> {
    match sum {
        None => Some(String::new()),
        Some(sum) if sum.len() == length && sum.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Some(sum.to_ascii_lowercase())
        }
        Some(_) => None,
    }
}

fn fold(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for letter in path.chars().flat_map(char::to_lowercase) {
        letter.hash(&mut hasher);
    }
    hasher.finish()
}

fn until(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn setting(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push('=');
    push_quoted(out, value);
    out.push('\n');
}

fn number(out: &mut String, name: &str, value: u64) {
    out.push_str(name);
    out.push('=');
    push_number(out, value);
    out.push('\n');
}

fn push_number(out: &mut String, value: u64) {
    // Writing to a text cannot fail.
    let _never = write!(out, "{value}");
}

#[cfg(test)]
mod tests;
