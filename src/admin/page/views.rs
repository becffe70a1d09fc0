//! What the page shows, as markup.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use super::{
    chart::last_hour,
    words::{bytes, caller, files, name, progress, verb},
};
use crate::admin::{
    Ready,
    words::{ago, moment, number, text, why},
};

/// Without progress for that long, a request needs attention.
const STILL: SignedDuration = SignedDuration::from_mins(10);

/// What the first page shows.
pub(super) struct Home<'a> {
    pub(super) ready: &'a Ready,
    /// The service at a glance.
    pub(super) facts: &'a [String],
    pub(super) now: Timestamp,
    pub(super) open: Vec<Value>,
    /// What has failed within a day.
    pub(super) failed: Vec<Value>,
    /// What has succeeded, the newest.
    pub(super) succeeded: Vec<Value>,
    pub(super) all: Vec<Value>,
    pub(super) next: Option<&'a str>,
    /// Whether older ones may be open that are not among these.
    pub(super) more_open: bool,
    pub(super) status: &'a str,
    pub(super) text: &'a str,
}

pub(super) fn layout(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Copy Manager" }
                link rel="stylesheet" href="/style.css";
                script src="/refresh.js" defer {}
            }
            body {
                header {
                    h1 { a href="/" { "Copy Manager" } }
                    span.quiet { "version " (env!("CARGO_PKG_VERSION")) }
                }
                main { (content) }
                footer {
                    a href="/readyz" { "readiness" }
                    a href="/metrics" { "metrics" }
                    a href="/docs" { "HTTP interface" }
                    a href="/errors" { "errors" }
                }
            }
        }
    }
}

/// A page that only says something.
pub(super) fn message(title: &str, said: &str) -> Markup {
    layout(title, &html! { h2 { (title) } p { (said) } p { a href="/" { "back to all requests" } } })
}

/// The page that asks for the token.
pub(super) fn login(was_wrong: bool) -> Markup {
    let form = html! {
        h2 { "Token" }
        @if was_wrong { p.bad role="alert" { "That is not the token that is set (admin.token)." } }
        form method="post" action="/login" {
            label { "admin.token" input type="password" name="token" autocomplete="current-password" required; }
            button type="submit" { "Go on" }
        }
    };
    layout("Token", &form)
}

/// The first page.
pub(super) fn home(shown: Home<'_>) -> Markup {
    let Home { ready, facts, now, mut open, failed, succeeded, all, next, more_open, status, text: words } =
        shown;
    let ended: Vec<&Value> = failed.iter().chain(&succeeded).collect();
    open.sort_by_key(|request| moment(request, "lastProgressAt"));
    let is_still = |request: &&Value| {
        let still = moment(request, "lastProgressAt").is_some_and(|at| now.duration_since(at) >= STILL);
        still || ["trouble", "waitingFor"].iter().any(|name| !text(request, name).is_empty())
    };
    let still: Vec<&Value> = open.iter().filter(is_still).collect();
    let mut groups: BTreeMap<(&str, &str), Vec<&Value>> = BTreeMap::new();
    for request in &failed {
        groups.entry((text(request, "error"), project(request))).or_default().push(request);
    }
    let content = html! {
        section aria-label="Service" {
            @if ready.ready {
                p { span.good { "ready" } " · everything that is needed can be reached · " (open.len()) " open, " (failed.len())
                    " failed within a day" }
            } @else {
                p.bad role="alert" { "not ready" }
                ul { @for lacking in &ready.not_ready { li { (lacking.what) ": " (lacking.why) } } }
            }
        }
        @if !facts.is_empty() { p.quiet { (facts.join(" · ")) } }
        @if !still.is_empty() || !groups.is_empty() {
            section {
                h2 { "Needs attention" }
                @if !still.is_empty() { (waiting(&still, now)) }
                @if !groups.is_empty() { (failures(&groups, now)) }
            }
        }
        section {
            h2 { "Running" }
            @if open.is_empty() { p.quiet { "Nothing is running." } } @else { (running(&open, now)) }
            @if more_open { p.quiet { "Only the newest were looked at: older ones may be running that are not shown." } }
        }
        (last_hour(&ended, now))
        section {
            h2 { "All requests" }
            form method="get" action="/" {
                label { "Status"
                    select name="status" {
                        @for option in ["", "RECEIVED", "RUNNING", "SUCCEEDED", "FAILED"] {
                            option value=(option) selected[option == status] {
                                @if option.is_empty() { "any" } @else { (option.to_lowercase()) }
                            }
                        }
                    }
                }
                label { "Id, name, caller, source or destination holds" input type="search" name="text" value=(words); }
                button type="submit" { "Show" }
            }
            (list(&all, now))
            @if let Some(next) = next {
                form method="get" action="/" {
                    input type="hidden" name="status" value=(status);
                    input type="hidden" name="text" value=(words);
                    input type="hidden" name="cursor" value=(next);
                    button type="submit" { "Older" }
                }
            }
        }
    };
    layout("Requests", &content)
}

/// The project, or bucket, that a request goes to.
fn project(request: &Value) -> &str {
    let destination = text(request, "destinationUri");
    let rest = destination.split_once("://").map_or(destination, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

fn waiting(still: &[&Value], now: Timestamp) -> Markup {
    html! {
        div.scroll { table {
            caption { "Requests that do not move, or wait for something" }
            thead { tr { th scope="col" { "Request" } th scope="col" { "Destination" } th scope="col" { "Last progress" }
                th scope="col" { "Why" } th scope="col" { "Next try" } th scope="col" { "Do" } } }
            tbody { @for request in still { tr {
                td { (name(request)) }
                td { (text(request, "destinationUri")) }
                td.number { (ago(moment(request, "lastProgressAt"), now)) " ago" }
                td { (why(request)) }
                td.number { (text(request, "nextTryAt")) }
                td { (verb(request, "wake")) " " (verb(request, "cancel")) }
            } } }
        } }
    }
}

fn failures(groups: &BTreeMap<(&str, &str), Vec<&Value>>, now: Timestamp) -> Markup {
    html! {
        div.scroll { table {
            caption { "Failed within the last 24 hours, by error and by where they go" }
            thead { tr { th scope="col" { "Error" } th scope="col" { "Goes to" } th scope="col" { "Requests" }
                th scope="col" { "The newest" } th scope="col" { "Do" } } }
            tbody { @for ((error, project), requests) in groups { tr {
                td { span.bad { (error) } }
                td { (project) }
                td.number { (requests.len()) }
                td { @if let Some(newest) = requests.first() {
                    (name(newest)) " " span.quiet { (ago(moment(newest, "startedAt"), now)) " ago: " }
                    (newest.pointer("/cause/message").and_then(Value::as_str).unwrap_or_default())
                } }
                td { @if let Some(newest) = requests.first() { (verb(newest, "retry")) } }
            } } }
        } }
    }
}

fn running(open: &[Value], now: Timestamp) -> Markup {
    html! {
        div.scroll { table {
            caption { "Longest without progress first" }
            thead { tr { th scope="col" { "Request" } th scope="col" { "Progress" } th scope="col" { "Bytes" }
                th scope="col" { "Destination" } th scope="col" { "For" } th scope="col" { "Since" }
                th scope="col" { "Last progress" } } }
            tbody { @for request in open { tr {
                td { (name(request)) }
                td { (progress(request)) }
                td.number { (bytes(number(request, "/counters/bytes"))) }
                td { (text(request, "destinationUri")) }
                td { (caller(request)) }
                td.number { (ago(moment(request, "startedAt"), now)) }
                td.number { (ago(moment(request, "lastProgressAt"), now)) " ago" }
            } } }
        } }
    }
}

fn list(all: &[Value], now: Timestamp) -> Markup {
    html! {
        div.scroll { table {
            caption { "Newest first" }
            thead { tr { th scope="col" { "Request" } th scope="col" { "Kind" } th scope="col" { "Status" }
                th scope="col" { "Files" } th scope="col" { "Bytes" } th scope="col" { "Destination" }
                th scope="col" { "For" } th scope="col" { "Asked" } th scope="col" { "Why" } } }
            tbody {
                @if all.is_empty() { tr { td colspan="9" { "No request fits." } } }
                @for request in all { tr {
                    td { (name(request)) }
                    td { (text(request, "kind")) }
                    td { span class=(text(request, "status")) { (text(request, "status").to_lowercase()) } }
                    td.number { (files(request)) }
                    td.number { (bytes(number(request, "/counters/bytes"))) }
                    td { (text(request, "destinationUri")) }
                    td { (caller(request)) }
                    td.number { (ago(moment(request, "startedAt"), now)) " ago" }
                    td { (why(request)) }
                } }
            }
        } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_needs_attention_is_grouped() {
        let failed = |n: u64, error: &str, to: &str| {
            json!({ "requestId": format!("r{n}"), "status": "FAILED", "error": error, "destinationUri": to,
                "cause": { "message": format!("message {n}") } })
        };
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let open = vec![
            json!({ "requestId": "moves", "lastProgressAt": "2026-11-30T11:59:50Z" }),
            json!({ "requestId": "stands", "lastProgressAt": "2026-11-30T11:00:00Z" }),
        ];
        let shown = Home {
            ready: &Ready { ready: true, not_ready: Vec::new() },
            facts: &[
                "2 instances alive".into(),
                "requests queue: 3 waiting, 1 in flight, 1 dead letter".into(),
            ],
            now,
            open,
            failed: vec![
                failed(1, "CopyJobFailed", "icav2://cohort-a/x/"),
                failed(2, "CopyJobFailed", "icav2://cohort-a/y/"),
                failed(3, "SourceNotFound", "s3://bucket/y/"),
            ],
            succeeded: Vec::new(),
            all: Vec::new(),
            next: Some("17"),
            more_open: false,
            status: "FAILED",
            text: "",
        };
        let page = home(shown).0;
        assert!(page.contains("2 instances alive · requests queue: 3 waiting, 1 in flight, 1 dead letter"));
        assert_eq!(page.matches("message 1").count(), 1, "the newest of a group stands for it");
        assert!(!page.contains("message 2") && page.contains("message 3"));
        let (attention, rest) = page.split_once("<h2>Running").unwrap();
        assert!(attention.contains("stands") && !attention.contains("moves"));
        assert!(rest.find("stands").unwrap() < rest.find("moves").unwrap());
        assert!(page.contains(r#"value="17""#) && page.contains(r#"<option value="FAILED" selected>"#));
    }
}
