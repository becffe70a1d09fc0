//! A request that is looked at until it ends, and how that is told.

use std::{
    io::{IsTerminal as _, stderr},
    process::ExitCode,
    time::Duration,
};

use anyhow::bail;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{client::Server, exit, output};
use crate::admin::words::{done, number, text};

/// How long a request may be unknown, or the daemon away, before waiting is given up.
const GIVE_UP: Duration = Duration::from_mins(1);
/// Between two looks, at first and at last.
const LOOKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(5));
/// The end is seen late by at most this part of how long it took to come.
const LATE: u32 = 20;

/// Looks until the request has ended. A daemon that restarts meanwhile is waited for.
pub(super) async fn wait(server: &Server, id: &str) -> anyhow::Result<Value> {
    wait_for(server, id, |_| true).await
}

/// The same, for a request that was sent just now with that event. Until it is stored, its name may lead to one that
/// was refused before.
pub(super) async fn wait_for_event(server: &Server, id: &str, event: &str) -> anyhow::Result<Value> {
    wait_for(server, id, |request| {
        let names = [text(request, "requestId"), text(request, "eventId")];
        names.iter().any(|name| *name == id || *name == event) || names == ["", ""]
    })
    .await
}

async fn wait_for(server: &Server, id: &str, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let (shortest, longest) = LOOKS;
    let begun = Instant::now();
    let mut last_seen = begun;
    let mut told = String::new();
    let bar = stderr().is_terminal().then(bar);
    loop {
        match server.request(id).await {
            Ok(Some(request)) => {
                last_seen = Instant::now();
                let has_ended = matches!(text(&request, "status"), "SUCCEEDED" | "FAILED");
                if has_ended && !is_it(&request) && begun.elapsed() < GIVE_UP {
                    sleep(shortest).await;
                    continue;
                }
                if has_ended {
                    if let Some(bar) = &bar {
                        bar.finish_and_clear();
                    }
                    return Ok(request);
                }
                let progress = progress(&request);
                if let Some(bar) = &bar {
                    show(bar, &request);
                } else if progress != told {
                    output::talk(&progress);
                    told = progress;
                }
            }
            Ok(None) | Err(_) if last_seen.elapsed() < GIVE_UP => {}
            Ok(None) => bail!("{} does not know request `{id}`", server.who()),
            Err(error) => return Err(error.context(format!("lost sight of request `{id}`"))),
        }
        sleep((begun.elapsed() / LATE).clamp(shortest, longest)).await;
    }
}

/// A bar on a terminal: files, bytes, rate and the time that is left.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} files  {per_sec}  {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn show(bar: &ProgressBar, request: &Value) {
    bar.set_length(number(request, "/counters/files"));
    bar.set_position(done(request) + number(request, "/unverified"));
    let kept =
        ["trouble", "waitingFor"].into_iter().map(|name| text(request, name)).find(|why| !why.is_empty());
    let bytes = HumanBytes(number(request, "/counters/bytes"));
    bar.set_message(kept.map_or_else(|| bytes.to_string(), |why| format!("{bytes}, waits: {why}")));
}

fn progress(request: &Value) -> String {
    format!("{}: {} files", text(request, "status"), files(request))
}

/// How many files are done, of those that are known, and how many more have arrived.
pub(super) fn files(request: &Value) -> String {
    let done = done(request);
    let files = number(request, "/counters/files");
    match number(request, "/unverified") {
        0 => format!("{done} of {files}"),
        arrived => format!("{done} (+{arrived} to be checked) of {files}"),
    }
}

/// Says how it ended; the data is what the caller's task would have got.
pub(super) fn report(request: &Value, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        output::data(request)?;
    }
    if text(request, "status") == "SUCCEEDED" {
        if !json {
            output::data(output::readable(request.get("output").unwrap_or(request)))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let error = text(request, "error");
    output::talk(format_args!("failed: {error}"));
    output::talk(output::readable(&cause(request)));
    Ok(ExitCode::from(exit::of_failure(error)))
}

/// The cause, taken apart when it is JSON in a text, as `SendTaskFailure` has it.
pub(super) fn cause(request: &Value) -> Value {
    let cause = request.get("cause").cloned().unwrap_or_default();
    match &cause {
        Value::String(text) => serde_json::from_str(text).unwrap_or(cause),
        _ => cause,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cause_is_taken_apart() {
        assert_eq!(cause(&json!({ "cause": "{\"files\":[]}" })), json!({ "files": [] }));
        assert_eq!(cause(&json!({ "cause": "plain" })), json!("plain"));
        assert_eq!(cause(&json!({ "cause": { "x": 1 } })), json!({ "x": 1 }));
    }

    #[test]
    fn progress_counts_what_is_done() {
        let request = json!({ "status": "RUNNING", "counters": { "files": 9, "copied": 3, "skipped": 2 } });
        assert_eq!(progress(&request), "RUNNING: 5 of 9 files");
    }
}
