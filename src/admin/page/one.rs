//! The page of one request, and the one that asks back.

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use super::{
    views::layout,
    words::{bytes, capital, link, name, progress, verb},
};
use crate::admin::words::{ago, moment, number, text, why};

/// Entries of the journal that are shown, the last ones.
const LAST: usize = 200;

/// One request, as it is explained.
pub(super) fn request(explained: &Value, now: Timestamp) -> Markup {
    let request = explained.get("request").unwrap_or(&Value::Null);
    let id = text(request, "requestId");
    let status = text(request, "status");
    let sources = request.get("sourceUris").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let total = number(request, "/sourcesTotal");
    let more = total.saturating_sub(sources.len() as u64);
    let cause = request.get("cause");
    let content = html! {
        h2 { (name(request)) " " span class=(status) { (status.to_lowercase()) } }
        nav.actions aria-label="Actions" {
            @if status == "FAILED" { (verb(request, "retry")) }
            @if status == "RUNNING" || status == "RECEIVED" { (verb(request, "wake")) (verb(request, "cancel")) }
        }
        dl {
            dt { "Id" } dd { (id) }
            dt { "Kind" } dd { (text(request, "kind")) }
            dt { "For" } dd { (text(request, "source")) " " (text(request, "caller")) }
            dt { "What" } dd {
                ul { @for source in sources { li { (source.as_str().unwrap_or_default()) } }
                    @if more > 0 { li { "and " (more) " more" } } }
            }
            dt { "To" } dd { (text(request, "destinationUri")) }
            dt { "Progress" } dd { (progress(request)) ", " (bytes(number(request, "/counters/bytes"))) " copied" }
            dt { "Parts" } dd { (number(request, "/children/settled")) " of " (number(request, "/children/total")) " folders or batches are done" }
            dt { "Asked" } dd { (text(request, "startedAt")) " (" (ago(moment(request, "startedAt"), now)) " ago)" }
            dt { "Last progress" } dd { (text(request, "lastProgressAt")) " (" (ago(moment(request, "lastProgressAt"), now)) " ago)" }
            @if !why(request).is_empty() { dt { "Why" } dd.warn { (why(request)) } }
            @if !text(request, "nextTryAt").is_empty() { dt { "Next try" } dd { (text(request, "nextTryAt")) } }
            @if let Some(cause) = cause {
                dt { "Message" } dd { (text(cause, "message")) }
                dt { "What to do" } dd { (text(cause, "action")) }
            }
        }
        @if let Some(files) = cause.and_then(|cause| cause.get("files")).and_then(Value::as_array) {
            @if !files.is_empty() {
                h2 { "Files that did not make it" }
                div.scroll { table {
                    caption { "The first " (files.len()) " of " (cause.map_or(0, |cause| number(cause, "/filesTotal"))) }
                    thead { tr { th scope="col" { "File" } th scope="col" { "Why" } } }
                    tbody { @for file in files { tr { td { (text(file, "what")) } td { (text(file, "why")) } } } }
                } }
            }
        }
        (said("Why", list(explained, "/why")))
        (said("What is next", list(explained, "/next")))
        (folders(explained))
        (journal(explained))
        h2 { "From a terminal" }
        pre tabindex="0" { "copy-manager explain " (id) " --all\ncopy-manager status " (id) " --json" }
        h2 { "As the daemon tells it" }
        pre tabindex="0" { (serde_json::to_string_pretty(request).unwrap_or_default()) }
    };
    layout(id, &content)
}

fn list<'a>(explained: &'a Value, path: &str) -> &'a [Value] {
    explained.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn said(title: &str, lines: &[Value]) -> Markup {
    html! {
        @if !lines.is_empty() {
            h2 { (title) }
            ul { @for line in lines { li { (line.as_str().unwrap_or_default()) } } }
        }
    }
}

/// The folders that need attention, and how many there are of each kind.
fn folders(explained: &Value) -> Markup {
    let counts = explained.pointer("/folders/byStatus").and_then(Value::as_object);
    let counts =
        counts.into_iter().flatten().map(|(status, count)| format!("{count} {}", status.to_lowercase()));
    let counts: Vec<_> = counts.collect();
    let first = list(explained, "/folders/first");
    html! {
        @if !first.is_empty() {
            h2 { "Parts" }
            div.scroll { table {
                caption { (counts.join(", ")) "; the first that have not succeeded" }
                thead { tr {
                    th scope="col" { "Folder" } th scope="col" { "Status" } th scope="col" { "Why" } th scope="col" { "Next try" }
                } }
                tbody { @for folder in first { tr {
                    td { (text(folder, "destinationUri")) }
                    td class=(text(folder, "status")) { (text(folder, "status").to_lowercase()) }
                    td { (text(folder, "error")) " " (text(folder, "why")) }
                    td { (text(folder, "nextTryAt")) }
                } } }
            } }
        }
    }
}

/// What has happened, the last things.
fn journal(explained: &Value) -> Markup {
    let entries = list(explained, "/journal");
    let shown = entries.get(entries.len().saturating_sub(LAST)..).unwrap_or_default();
    html! {
        @if !shown.is_empty() {
            h2 { "Journal" }
            div.scroll tabindex="0" role="region" aria-label="Journal" { table {
                caption { "The last " (shown.len()) " of " (entries.len()) " entries that are kept, oldest first" }
                thead { tr {
                    th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Particulars" } th scope="col" { "Folder" }
                } }
                tbody { @for entry in shown { tr {
                    td { (text(entry, "at")) }
                    td { (text(entry, "code")) }
                    td { (text(entry, "note"))
                        @if number(entry, "/times") > 1 { " (×" (number(entry, "/times")) ")" } }
                    td { (text(entry, "destinationUri")) }
                } } }
            } }
        }
    }
}

/// Asks whether that is meant.
pub(super) fn ask_back(request: &Value, verb: &str) -> Markup {
    let says = match verb {
        "cancel" => {
            "It ends as Cancelled, and its caller is told so. What has arrived stays; jobs under way end by themselves."
        }
        "retry" => {
            "The same is asked for again, under another id. What has arrived is not copied twice; no task is told."
        }
        _ => "It, and all its folders, are looked at now. Nothing else changes.",
    };
    let id = text(request, "requestId");
    let content = html! {
        h2 { (capital(verb)) " " (name(request)) "?" }
        p { (text(request, "destinationUri")) ": " (progress(request)) }
        p { (says) }
        form method="post" action=(format!("{}/{verb}", link(id))) {
            @if verb == "cancel" { label { "Why, for its caller" input type="text" name="reason" maxlength="500"; } }
            button type="submit" { (capital(verb)) }
            a href=(link(id)) { "No, back" }
        }
    };
    layout(&capital(verb), &content)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_have_named_is_no_markup() {
        let evil = json!({
            "requestId": "a/<b>", "name": "<script>alert(1)</script>", "status": "RUNNING", "kind": "copy",
            "destinationUri": "icav2://p/\"><img src=x>/", "caller": "arn:aws:x:<i>", "trouble": "<u>",
            "sourceUris": ["icav2://q/<s>"], "sourcesTotal": 2,
        });
        let evil = json!({
            "request": evil, "why": ["<em>"], "next": ["<em>"],
            "folders": { "byStatus": { "FAILED": 1 }, "first": [{ "status": "FAILED", "why": "<em>", "destinationUri": "<em>" }] },
            "journal": [{ "at": "2026-11-30T12:00:00Z", "code": "job.ended", "note": "<em>", "destinationUri": "<em>" }],
        });
        let shown = request(&evil, Timestamp::UNIX_EPOCH).0;
        for markup in ["<script>alert", "<img", "<i>", "<u>", "<s>", "<b>", "<em>"] {
            assert!(!shown.contains(markup), "{markup}");
        }
        assert!(shown.contains("/requests/a%2F%3Cb%3E/cancel"), "{shown}");
    }
}
