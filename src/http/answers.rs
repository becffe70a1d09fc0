//! What answers of all services have in common.

use std::time::Duration;

use http::{HeaderMap, header::RETRY_AFTER};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use secrecy::{ExposeSecret as _, SecretString};

/// How much of a text of another service is shown, in characters.
const EXCERPT: usize = 200;

/// `Retry-After`, in seconds or as a date.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::parse(text).ok()?.timestamp();
    let wait = date.duration_since(now).max(SignedDuration::ZERO);
    Duration::try_from(wait).ok()
}

/// A text of another service as it may stand in a message: on one line, not endless, without what we
/// authenticated with, without JWTs and without the queries of URLs, which may sign them.
#[must_use]
pub fn shown(text: &str, secret: &SecretString) -> String {
    let text = match secret.expose_secret() {
        "" => text.to_owned(),
        secret => text.replace(secret, "…"),
    };
    let words = text.split_whitespace().map(|word| {
        let end = |mark| word.find(mark).unwrap_or(word.len());
        let query = if word.contains("://") { end("?") } else { word.len() };
        let kept = word.get(..query.min(end("eyJ"))).unwrap_or_default();
        if kept.len() < word.len() { format!("{kept}…") } else { kept.to_owned() }
    });
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
