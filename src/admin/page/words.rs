//! The words for what the page shows of a request.

use jiff::Timestamp;
use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// What may stand in a path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// The address of a request's page.
pub(super) fn link(id: &str) -> String {
    format!("/requests/{}", utf8_percent_encode(id, PLAIN))
}

pub(super) fn text<'a>(request: &'a Value, name: &str) -> &'a str {
    request.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn number(request: &Value, path: &str) -> u64 {
    request.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

pub(super) fn moment(request: &Value, name: &str) -> Option<Timestamp> {
    text(request, name).parse().ok()
}

/// How long ago, in words that fit a column.
pub(super) fn ago(at: Option<Timestamp>, now: Timestamp) -> String {
    let Some(at) = at else { return "?".to_owned() };
    let seconds = now.duration_since(at).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} days"),
    }
}

pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut shown = count;
    while shown >= 10_240 && unit + 1 < UNITS.len() {
        shown /= 1024;
        unit += 1;
    }
    format!("{shown} {}", UNITS.get(unit).copied().unwrap_or_default())
}

pub(super) fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(super) fn name(request: &Value) -> Markup {
    let id = text(request, "requestId");
    let shown = Some(text(request, "name")).filter(|name| !name.is_empty()).unwrap_or(id);
    html! { a href=(link(id)) id=(format!("to-{id}")) { (shown) } }
}

pub(super) fn verb(request: &Value, verb: &str) -> Markup {
    html! { a href=(format!("{}/{verb}", link(text(request, "requestId")))) { (capital(verb)) } }
}

pub(super) fn caller(request: &Value) -> &str {
    let caller = text(request, "caller");
    // Of an execution's ARN its name tells people most.
    let name = caller.rsplit(':').next().filter(|_| caller.starts_with("arn:")).unwrap_or(caller);
    if name.is_empty() { text(request, "source") } else { name }
}

pub(super) fn why(request: &Value) -> &str {
    let reasons = ["error", "trouble", "waitingFor"].into_iter().map(|name| text(request, name));
    reasons.into_iter().find(|reason| !reason.is_empty()).unwrap_or_default()
}

pub(super) fn done(request: &Value) -> u64 {
    ["copied", "skipped", "skippedConflict", "failed"]
        .iter()
        .map(|name| number(request, &format!("/counters/{name}")))
        .sum()
}

pub(super) fn files(request: &Value) -> String {
    format!("{} of {}", done(request), number(request, "/counters/files"))
}

pub(super) fn progress(request: &Value) -> Markup {
    let (done, total) = (done(request), number(request, "/counters/files"));
    let unverified = number(request, "/unverified");
    let said = match unverified {
        0 => format!("{done} of {total} files"),
        arrived => format!("{done} of {total} files, {arrived} more to be checked"),
    };
    html! {
        @if total > 0 { progress value=(done) max=(total) aria-label=(said) {} " " }
        (said)
    }
}
