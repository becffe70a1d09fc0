//! Data on stdout, talk on stderr. A reader that has gone away is not an error.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write as _, stderr, stdout},
};

use anyhow::Context as _;
use serde_json::Value;

/// Prints a line of data.
pub(super) fn data(line: impl Display) -> anyhow::Result<()> {
    match writeln!(stdout().lock(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

/// Prints a line for a person.
pub(super) fn talk(line: impl Display) {
    // When stderr cannot be written to, there is no place to say so.
    let _unheard: io::Result<()> = writeln!(stderr().lock(), "{line}");
}

/// A JSON value as indented lines that a person can read: no braces, no quotes, text broken where it
/// has lines.
pub(super) fn readable(value: &Value) -> String {
    lines(value).join("\n")
}

fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            fields.iter().flat_map(|(name, value)| entry(format!("{name}:"), value)).collect()
        }
        Value::Array(items) => items.iter().flat_map(|item| entry("-".to_owned(), item)).collect(),
        Value::String(text) => text.lines().map(str::to_owned).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
    }
}

/// A head with its value: beside it where that is one line of text, else indented below.
fn entry(head: String, value: &Value) -> Vec<String> {
    let inner = lines(value);
    match inner.as_slice() {
        [only] if !value.is_object() && !value.is_array() => vec![format!("{head} {only}")],
        _ => std::iter::once(head).chain(inner.iter().map(|line| format!("  {line}"))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_can_read_it() {
        let cause = json!({
            "files": [{ "what": "/a/b.bam", "why": "job failed" }, { "what": "/a/c.bam" }],
            "message": "2 files did not arrive",
            "total": 2,
        });
        assert_eq!(
            readable(&cause),
            "files:\n  -\n    what: /a/b.bam\n    why: job failed\n  -\n    what: /a/c.bam\n\
             message: 2 files did not arrive\ntotal: 2"
        );
    }
}
