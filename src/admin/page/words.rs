//! How the page shows a request.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::admin::words::{done, number, text};

/// What may stand in a path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// The address of a request's page.
pub(super) fn link(id: &str) -> String {
    format!("/requests/{}", utf8_percent_encode(id, PLAIN))
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
