//! `explain`: what has become of a request, why, and what is next.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::{
    Global,
    client::ServerArgs,
    exit::Ended,
    output,
    requests::{ID, headed},
};
use crate::admin::words::text;

/// Entries of the journal that are shown, of the beginning and of the end.
const FIRST: usize = 8;
const LAST: usize = 24;

#[derive(Debug, Args)]
#[command(after_help = ID)]
pub(super) struct Explain {
    /// Which request
    id: String,
    /// Show the whole journal
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Explain {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let explained = self.server.connect().await?.explain(&self.id).await?;
        let explained =
            explained.ok_or_else(|| Ended::Refused(format!("there is no request `{}`", self.id)))?;
        if global.json {
            output::data(explained)?;
        } else {
            output::data(told(&explained, self.all).join("\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list<'a>(explained: &'a Value, path: &str) -> &'a [Value] {
    explained.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The explanation, a line each.
fn told(explained: &Value, all: bool) -> Vec<String> {
    let request = explained.get("request").unwrap_or(&Value::Null);
    let mut lines = headed(request);
    lines.extend(labelled("why", list(explained, "/why")));
    lines.extend(labelled("next", list(explained, "/next")));
    let folders = list(explained, "/folders/first");
    let journal = list(explained, "/journal");
    let places = folders
        .iter()
        .chain(journal)
        .map(|said| text(said, "destinationUri"))
        .filter(|place| !place.is_empty());
    let root = common(places);
    lines.push(String::new());
    if !root.is_empty() {
        lines.push(format!("folders are below {root}"));
    }
    lines.extend(folders.iter().map(|folder| {
        let why = [text(folder, "error"), text(folder, "why")].into_iter().filter(|text| !text.is_empty());
        let why: Vec<_> = why.collect();
        let place = within(text(folder, "destinationUri"), root);
        format!("{:9}  {place}  {}", text(folder, "status"), why.join(": ")).trim_end().to_owned()
    }));
    if !folders.is_empty() {
        lines.push(String::new());
    }
    if explained.get("isCut").and_then(Value::as_bool).unwrap_or_default() {
        lines.push("(older entries, or those of further folders, are not kept here)".to_owned());
    }
    let left_out = if all { 0 } else { journal.len().saturating_sub(FIRST + LAST) };
    for (number, entry) in journal.iter().enumerate() {
        if left_out > 0 && number == FIRST {
            lines.push(format!("  … {left_out} more (--all)"));
        }
        if left_out == 0 || number < FIRST || number >= FIRST + left_out {
            lines.push(line(entry, root));
        }
    }
    lines
}

/// Lines of which the first is labelled.
fn labelled<'a>(label: &'a str, lines: &'a [Value]) -> impl Iterator<Item = String> + 'a {
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    let lines = lines.iter().filter_map(Value::as_str);
    labels.zip(lines).map(|(label, line)| format!("{label:5}  {line}"))
}

/// One entry of a journal.
fn line(entry: &Value, root: &str) -> String {
    let at = text(entry, "at");
    let time = at.split_once('T').map_or(at, |(_, time)| time.split(['.', 'Z']).next().unwrap_or(time));
    let place = within(text(entry, "destinationUri"), root);
    let times =
        entry.get("times").and_then(Value::as_u64).map(|times| format!(" (×{times})")).unwrap_or_default();
    format!("{time}  {place:12}  {}  {}{times}", text(entry, "code"), text(entry, "note"))
        .trim_end()
        .to_owned()
}

/// The folder that all places are in.
fn common<'a>(mut places: impl Iterator<Item = &'a str>) -> &'a str {
    let Some(first) = places.next() else { return "" };
    let shared = places.fold(first, |shared, place| {
        let same = shared.bytes().zip(place.bytes()).take_while(|(one, other)| one == other);
        let end = same.enumerate().filter(|(_, (byte, _))| *byte == b'/').last().map_or(0, |(at, _)| at + 1);
        shared.get(..end).unwrap_or_default()
    });
    // A scheme alone is no folder.
    if shared.matches('/').count() > 2 { shared } else { "" }
}

/// A place, as seen from the folder that all are in.
fn within<'a>(place: &'a str, root: &str) -> &'a str {
    match place.strip_prefix(root) {
        Some("") if !place.is_empty() => "./",
        Some(rest) => rest,
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn explained(entries: usize) -> Value {
        let entry = json!({
            "at": "2026-11-30T02:22:15.300Z", "code": "job.ended", "note": "j1 FAILED with 2 files", "times": 2,
            "destinationUri": "icav2://cohort-b/fl/many/a/",
        });
        json!({
            "request": {
                "requestId": "request.1", "kind": "copy", "status": "RUNNING", "source": "my.service",
                "sourceUris": ["icav2://p/a/"], "sourcesTotal": 1, "destinationUri": "icav2://cohort-b/fl/",
            },
            "why": ["2 of 3 copy jobs did not succeed", "only this one"], "next": ["copy-manager wake request.1"],
            "folders": { "first": [
                { "status": "FAILED", "error": "CopyJobFailed", "why": "it failed", "destinationUri": "icav2://cohort-b/fl/" },
            ] },
            "journal": vec![entry; entries],
        })
    }

    #[test]
    fn what_why_and_next_come_before_what_has_happened() {
        let lines = told(&explained(1), false);
        assert_eq!(lines[0], "request.1  copy  RUNNING");
        let place = |start: &str| lines.iter().position(|line| line.starts_with(start)).expect(start);
        assert_eq!(lines[place("why  ") + 1], "       only this one");
        assert_eq!(lines[place("next")], "next   copy-manager wake request.1");
        assert!(lines.contains(&"folders are below icav2://cohort-b/fl/".to_owned()), "{lines:?}");
        assert_eq!(lines[place("FAILED")], "FAILED     ./  CopyJobFailed: it failed");
        assert_eq!(lines[place("02:22")], "02:22:15  many/a/       job.ended  j1 FAILED with 2 files (×2)");
    }

    #[test]
    fn places_are_seen_from_the_folder_that_all_are_in() {
        assert_eq!(common(["icav2://p/a/b/", "icav2://p/a/bc/"].into_iter()), "icav2://p/a/");
        assert_eq!(common(["icav2://p/ä/", "icav2://p/á/"].into_iter()), "icav2://p/");
        assert_eq!(common(["icav2://p/a/", "s3://p/a/"].into_iter()), "");
        assert_eq!(common(["icav2://p/a/", "icav2://q/a/"].into_iter()), "");
        assert_eq!((within("icav2://p/a/", "icav2://p/a/"), within("", "icav2://p/a/")), ("./", ""));
    }

    #[test]
    fn the_middle_of_a_long_journal_is_left_out_unless_all_is_wanted() {
        let count =
            |all: bool| told(&explained(100), all).iter().filter(|line| line.contains("job.ended")).count();
        assert_eq!((count(false), count(true)), (FIRST + LAST, 100));
        assert!(told(&explained(100), false).contains(&"  … 68 more (--all)".to_owned()));
    }
}
