//! Packages and pushes that are looked at until they have ended.

use std::{process::ExitCode, time::Duration};

use indicatif::HumanBytes;
use serde_json::Value;
use tokio::{
    signal::ctrl_c,
    time::{Instant, sleep},
};

use super::api::Api;
use crate::{
    admin::words::{number, text},
    cli::{exit::Ended, output},
    events::share::shown::JobStatus,
};

/// How long the service may be away before waiting is given up.
const GIVE_UP: Duration = Duration::from_mins(1);
/// Between two looks, at first and at last.
const LOOKS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Awaited<'a> {
    /// Where it is shown.
    pub(super) path: &'a [&'a str],
    /// The command that shows it.
    pub(super) look: &'a str,
    /// What is told of one that has failed, before the word for where more is told.
    pub(super) failed: &'static str,
    /// The same for one that was ended.
    pub(super) aborted: &'static str,
    /// The field with that word.
    pub(super) told_at: &'static str,
}

impl Awaited<'_> {
    /// Waits for the end. `Ok`: it succeeded. `Err`: the line that says why not, for stdout.
    pub(super) async fn end(self, api: &Api) -> anyhow::Result<Result<(), String>> {
        let shown = tokio::select! {
            shown = look(api, self.path) => shown?,
            Ok(()) = ctrl_c() => return Err(Ended::Interrupted { look: self.look.to_owned() }.into()),
        };
        let what = match text(&shown, "status") {
            "SUCCEEDED" => return Ok(Ok(())),
            "ABORTED" => self.aborted,
            _ => self.failed,
        };
        let why = ["errorMessage", "errorMessages"].into_iter().map(|name| text(&shown, name));
        why.filter(|why| !why.is_empty()).for_each(output::talk);
        let told_at = text(&shown, self.told_at);
        Ok(Err(format!("{what}, see sfn logs '{told_at}' for more information")))
    }
}

/// The exit code of what has ended so, once it is told.
pub(super) const fn code(ended: &Result<(), String>) -> ExitCode {
    if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Looks until it has ended, and tells on stderr what changes meanwhile.
async fn look(api: &Api, path: &[&str]) -> anyhow::Result<Value> {
    let (mut pause, longest) = LOOKS;
    let mut last_seen = Instant::now();
    let mut told = String::new();
    loop {
        match api.get(path).await {
            Ok(shown) => {
                last_seen = Instant::now();
                let progress = progress(&shown);
                if progress != told {
                    output::talk(&progress);
                    told = progress;
                }
                if JobStatus::read(text(&shown, "status")).is_some_and(JobStatus::has_ended) {
                    return Ok(shown);
                }
            }
            Err(error) if is_passing(&error) && last_seen.elapsed() < GIVE_UP => {}
            Err(error) => return Err(error),
        }
        sleep(pause).await;
        pause = longest.min(pause.saturating_mul(3) / 2);
    }
}

fn is_passing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Ended>(), Some(Ended::Unreachable(_)))
}

/// How far it is, in a line.
fn progress(shown: &Value) -> String {
    let mut parts = Vec::new();
    let size = |path: &str| HumanBytes(number(shown, path));
    if shown.get("progress").is_some() {
        parts.push(format!("{} files", number(shown, "/progress/filesDone")));
        parts.push(size("/progress/bytesDone").to_string());
        parts.push(format!("{}/s", size("/progress/bytesPerSecond")));
        if let Some(left) = shown.pointer("/progress/secondsLeft").and_then(Value::as_u64) {
            parts.push(format!("{left} s left"));
        }
    } else if shown.get("files").is_some() {
        parts.push(format!("{} files", number(shown, "/files/total")));
        parts.push(size("/files/bytes").to_string());
    }
    let status = text(shown, "status");
    if parts.is_empty() { status.to_owned() } else { format!("{status}: {}", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_is_a_line() {
        let push = json!({ "status": "RUNNING", "progress":
            { "filesDone": 3, "bytesDone": 2048, "bytesPerSecond": 1024, "secondsLeft": 7 } });
        assert_eq!(progress(&push), "RUNNING: 3 files, 2.00 KiB, 1.00 KiB/s, 7 s left");
        let package = json!({ "status": "RUNNING", "files": { "total": 9, "bytes": 2048, "archived": 0 } });
        assert_eq!(progress(&package), "RUNNING: 9 files, 2.00 KiB");
        assert_eq!(progress(&json!({ "status": "PENDING" })), "PENDING");
    }
}
