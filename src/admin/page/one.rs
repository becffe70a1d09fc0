//! The page of one request, and the one that asks back.

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use super::{
    views::layout,
    words::{bytes, capital, files, link, name, progress, verb},
};
use crate::{
    admin::words::{ago, moment, number, text, why},
    engine::children::MOST_EXPLAINED,
};

/// Entries of the journal that are shown, the last ones.
const LAST: usize = 200;

/// The bar of phases, in its own units. What is there at all can be seen, and parts do not touch.
const WIDTH: u64 = 1000;
const HEIGHT: u64 = 16;
const NARROWEST: u64 = 6;
const GAP: u64 = 2;

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
            dt { "Progress" } dd { (phases(explained)) (files(request)) " files, " (bytes(number(request, "/counters/bytes"))) " copied" }
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

/// How many files have come how far, with the class and the words for it.
fn counted(request: &Value) -> [(&'static str, &'static str, u64); 5] {
    let of = |name: &str| number(request, &format!("/counters/{name}"));
    let (copied, failed, arrived) = (of("copied"), of("failed"), number(request, "/unverified"));
    let skipped = of("skipped") + of("skippedConflict");
    let rest = of("files").saturating_sub(copied + failed + arrived + skipped);
    let left = if is_open(request) { "not there yet" } else { "not brought" };
    [
        ("copied", "copied and verified", copied),
        ("arrived", "arrived, to be verified", arrived),
        ("skipped", "skipped", skipped),
        ("failed", "failed", failed),
        ("rest", left, rest),
    ]
}

fn is_open(request: &Value) -> bool {
    matches!(text(request, "status"), "RECEIVED" | "RUNNING")
}

/// Whether files may come that are not known yet: none is, or parts are not planned, or have not begun.
fn is_listing(explained: &Value, request: &Value) -> bool {
    let begun = ["RUNNING", "SUCCEEDED", "FAILED"];
    let begun =
        begun.map(|status| number(explained, &format!("/folders/byStatus/{status}"))).iter().sum::<u64>();
    let planned = number(request, "/children/total").min(MOST_EXPLAINED as u64);
    is_open(request) && (number(request, "/counters/files") == 0 || planned == 0 || begun < planned)
}

/// The files of a request by how far they have come, as a bar and in words.
fn phases(explained: &Value) -> Markup {
    let request = explained.get("request").unwrap_or(&Value::Null);
    let parts: Vec<_> = counted(request).into_iter().filter(|(.., count)| *count > 0).collect();
    let total = parts.iter().map(|(.., count)| count).sum::<u64>().max(1);
    let said: Vec<_> = parts.iter().map(|(_, what, count)| format!("{count} {what}")).collect();
    // What is narrow takes its room from the others.
    let room = WIDTH.saturating_sub((NARROWEST + GAP) * parts.len() as u64);
    let mut x = 0;
    let drawn: Vec<_> = parts
        .iter()
        .map(|(class, _, count)| {
            let width = NARROWEST + room * count / total;
            let at = x;
            x += width + GAP;
            (class, at, width)
        })
        .collect();
    html! {
        @if !parts.is_empty() {
            svg.phases role="img" aria-label=(format!("Files: {}", said.join(", "))) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" {
                @for (class, x, width) in drawn { rect class=(class) x=(x) y="1" width=(width) height=(HEIGHT - 2) {} }
            }
            ul.legend { @for (class, what, count) in parts { li {
                svg.swatch aria-hidden="true" viewBox="0 0 12 12" { rect class=(class) x="1" y="1" width="10" height="10" {} }
                (count) " " (what)
            } } }
        }
        @if is_listing(explained, request) { p.quiet { "Still listing: there may be more files than are known." } }
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

    fn explained(status: &str, counters: &Value, unverified: u64, parts: u64, by_status: &Value) -> Value {
        json!({
            "request": { "requestId": "r", "status": status, "counters": counters, "unverified": unverified,
                "children": { "total": parts, "settled": 0 } },
            "folders": { "byStatus": by_status, "first": [] },
        })
    }

    #[test]
    fn a_bar_shows_how_far_the_files_have_come() {
        let counters = json!({ "files": 1000, "copied": 400, "skipped": 90, "skippedConflict": 10, "failed": 1, "bytes": 7 });
        let running = explained("RUNNING", &counters, 99, 3, &json!({ "RUNNING": 2, "RECEIVED": 1 }));
        let drawn = phases(&running).0;
        let said = "Files: 400 copied and verified, 99 arrived, to be verified, 100 skipped, 1 failed, 400 not there yet";
        assert!(drawn.contains(&format!(r#"role="img" aria-label="{said}""#)), "{drawn}");
        assert!(!drawn.contains("style="), "inline styles are not allowed");
        for (class, x, width) in [
            ("copied", 0, 390),
            ("arrived", 392, 101),
            ("skipped", 495, 102),
            ("failed", 599, 6),
            ("rest", 607, 390),
        ] {
            let rect = format!(r#"<rect class="{class}" x="{x}" y="1" width="{width}" height="14">"#);
            assert!(drawn.contains(&rect), "{rect}: {drawn}");
        }
        assert!(drawn.contains("1 failed</li>") && drawn.contains("Still listing"), "{drawn}");
        assert!(request(&running, Timestamp::UNIX_EPOCH).0.contains("501 of 1000 files, 7 B copied"));
    }

    #[test]
    fn what_is_known_to_be_all_is_no_longer_being_listed() {
        let some = json!({ "files": 5, "copied": 3 });
        for (status, parts, by_status, is_listing) in [
            ("RECEIVED", 0, json!({}), true),
            ("RUNNING", 0, json!({}), true),
            ("RUNNING", 2, json!({ "RUNNING": 1 }), true),
            ("RUNNING", 2, json!({ "RUNNING": 1, "SUCCEEDED": 1 }), false),
            ("RUNNING", 9000, json!({ "RUNNING": MOST_EXPLAINED }), false),
            ("FAILED", 2, json!({ "RECEIVED": 1, "FAILED": 1 }), false),
        ] {
            let drawn = phases(&explained(status, &some, 0, parts, &by_status)).0;
            assert_eq!(drawn.contains("Still listing"), is_listing, "{status} {parts} {by_status}");
            let left = if status == "FAILED" { "2 not brought" } else { "2 not there yet" };
            assert!(drawn.contains(left), "{drawn}");
        }
        let nothing = |status: &str| phases(&explained(status, &json!({}), 0, 1, &json!({ "RUNNING": 1 }))).0;
        assert_eq!(nothing("SUCCEEDED"), "");
        assert!(nothing("RUNNING").starts_with(r#"<p class="quiet">Still listing"#));
    }

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
