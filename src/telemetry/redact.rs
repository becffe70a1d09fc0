//! The net under the types: masks what looks like a secret in a finished line.
//!
//! Masked: JSON Web Tokens, the parts of presigned URLs that grant access, our own links, and task tokens. It errs on
//! the side of masking; it does not try to find secrets it was not told about.

use std::{
    borrow::Cow,
    cmp::Reverse,
    io::{self, Write},
};

use tracing_subscriber::fmt::MakeWriter;

const MASK: &str = "[redacted]";

/// Query parameters that together let the reader of a presigned URL use it.
const GRANTS: [&str; 3] = ["x-amz-signature", "x-amz-credential", "x-amz-security-token"];

/// How the caller's token is called in JSON and in Rust.
const TASK_TOKEN: [&str; 2] = ["tasktoken", "task_token"];

/// Letters and digits of the id and of the secret of a link (`app::desk`).
const LINK_ID: usize = 42;
const LINK_SECRET: usize = 64;

/// The line with its secrets masked.
#[must_use]
pub fn redact(line: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = next_secret(rest) {
        out.push_str(before);
        out.push_str(MASK);
        rest = after;
    }
    if out.is_empty() {
        return Cow::Borrowed(line);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// What stands before and after the first secret of the text.
fn next_secret(text: &str) -> Option<(&str, &str)> {
    // ASCII lower case keeps every byte where it was.
    let lower = text.to_ascii_lowercase();
    let tokens = text.match_indices("eyJ").filter_map(|(at, _)| Some((at, jwt(text.get(at..)?)?)));
    let grants =
        find(text, &lower, &GRANTS, |value| value.strip_prefix(['=', ':']).or_else(|| percent(value)));
    let task_tokens = find(text, &lower, &TASK_TOKEN, assigned);
    let (start, length) = tokens
        .take(1)
        .chain(link(text))
        .chain(grants)
        .chain(task_tokens)
        .min_by_key(|(start, length)| (*start, Reverse(*length)))?;
    Some((text.get(..start)?, text.get(start + length..)?))
}

/// First place where one of the names is followed by a value, as (start, length) of the value.
fn find(
    text: &str,
    lower: &str,
    names: &[&str],
    value_after: impl Fn(&str) -> Option<&str>,
) -> Option<(usize, usize)> {
    let places = names.iter().flat_map(|name| lower.match_indices(name).map(|(at, name)| at + name.len()));
    places
        .filter_map(|end| {
            let value = value_after(text.get(end..)?)?;
            let length = value.find(|c: char| !is_value(c)).unwrap_or(value.len());
            (length > 0).then(|| (text.len() - value.len(), length))
        })
        .min_by_key(|(start, length)| (*start, Reverse(*length)))
}

fn percent(text: &str) -> Option<&str> {
    text.strip_prefix("%3D").or_else(|| text.strip_prefix("%3d"))
}

/// The value after `": "`, `=`, `\":\"` and the like, whatever colours stand between.
fn assigned(text: &str) -> Option<&str> {
    let mut rest = text;
    let mut seen = false;
    loop {
        if let Some(after) = rest.strip_prefix("\u{1b}[") {
            rest = after.split_once('m')?.1;
        } else if let Some(after) = rest.strip_prefix([':', '=']) {
            (rest, seen) = (after, true);
        } else if let Some(after) = rest.strip_prefix(['"', '\'', '\\', ' ']) {
            rest = after;
        } else {
            return seen.then_some(rest);
        }
    }
}

/// The characters of base64, base64url and percent-encoding.
fn is_value(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/=_-.~%".contains(c)
}

/// First place of a link of our own, as (start, length): an id, a dot, and a secret of 64 hex digits.
fn link(text: &str) -> Option<(usize, usize)> {
    let is_id = |byte: u8| byte.is_ascii_alphanumeric();
    text.match_indices('.').find_map(|(dot, _)| {
        let secret = text.get(dot + 1..)?.bytes().take_while(u8::is_ascii_hexdigit).count();
        let id = text.get(..dot)?.bytes().rev().take_while(|byte| is_id(*byte)).take(LINK_ID).count();
        (secret >= LINK_SECRET && id == LINK_ID).then_some((dot - id, id + 1 + secret))
    })
}

/// The length of the JSON Web Token that the text starts with: three parts, two dots.
fn jwt(text: &str) -> Option<usize> {
    let token = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).next()?;
    let mut parts = token.split('.');
    let whole = parts.by_ref().take(3).filter(|part| !part.is_empty()).count() == 3;
    whole.then_some(token.len())
}

/// Makes writers that mask. Expects each line in one write, which is how `tracing` writes.
#[derive(Debug)]
pub struct Redacting<M>(pub M);

/// A writer that masks.
#[derive(Debug)]
pub struct RedactingWriter<W>(W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Redacting<M> {
    type Writer = RedactingWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        RedactingWriter(self.0.make_writer())
    }
}

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(redact(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOlsiaWNhIl19.c2ln_bmF0-dXJl";

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        for (line, masked) in [
            (format!("Bearer {JWT}, retrying"), "Bearer [redacted], retrying".to_owned()),
            (format!("\"{JWT}\" and {JWT}"), "\"[redacted]\" and [redacted]".to_owned()),
            (
                "GET https://b/k?X-Amz-Credential=AKIA%2F20260101&X-Amz-Date=1&X-Amz-Signature=0af3 failed"
                    .into(),
                "GET https://b/k?X-Amz-Credential=[redacted]&X-Amz-Date=1&X-Amz-Signature=[redacted] failed"
                    .into(),
            ),
            ("x-amz-security-token%3DIQoJb3Jp".into(), "x-amz-security-token%3D[redacted]".into()),
            (
                format!(
                    "GET /d/01KB000000000000000000000091a2b3c4d5e6f708.{}/17 HTTP/1.1",
                    "0af3".repeat(16)
                ),
                "GET /d/[redacted]/17 HTTP/1.1".into(),
            ),
            (
                format!("\"01KB000000000000000000000091a2b3c4d5e6f708.{}\"", "0af3".repeat(16)),
                "\"[redacted]\"".into(),
            ),
            (r#"{"taskToken":"AQCE+/==","x":1}"#.into(), r#"{"taskToken":"[redacted]","x":1}"#.into()),
            (
                r#"{"body":"{\"taskToken\": \"AQCE\"}"}"#.into(),
                r#"{"body":"{\"taskToken\": \"[redacted]\"}"}"#.into(),
            ),
            ("task_token=AQCE next".into(), "task_token=[redacted] next".into()),
            (
                "\u{1b}[3mtaskToken\u{1b}[0m\u{1b}[2m=\u{1b}[0mAQCE".into(),
                "\u{1b}[3mtaskToken\u{1b}[0m\u{1b}[2m=\u{1b}[0m[redacted]".into(),
            ),
        ] {
            assert_eq!(redact(&line), masked);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for line in [
            "",
            "a file 0af3.9b",
            "/d/01KB000000000000000000000091a2b3c4d5e6f708 was ended",
            "copied 3 files",
            "eyJ",
            "eyJa.b",
            "TaskToken(…)",
            "X-Amz-Date=20260101",
            "a taskToken came",
        ] {
            assert!(matches!(redact(line), Cow::Borrowed(_)), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(before in ".*", after in ".*") {
            let line = format!("{before} taskToken={JWT} {after}");
            prop_assert!(!redact(&line).contains(JWT));
        }
    }
}
