//! `plan`: what a copy would do, file by file, with nothing changed.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Global, output};
use crate::{
    app::{self, PlanOptions},
    domain::{
        outcome::{ErrorName, Failure},
        preview::{Preview, PreviewFile},
        request::{CopyRequest, OnConflict},
    },
    events::{
        intake::{Incoming, Refusal, read_request},
        outgoing::preview,
    },
};

/// As clap has it.
const WRONG_USAGE: u8 = 2;
/// The request would be refused before anything is copied.
const REFUSED: u8 = 3;
/// The request would fail for some of its files.
const FAILING: u8 = 4;

#[derive(Debug, Args)]
#[command(
    override_usage = "copy-manager plan [OPTIONS] <SRC>... <DEST>",
    after_help = "Exit codes: 0 it would succeed, as far as can be seen; 1 no plan could be made; 2 wrong usage; \
                  3 the request would be refused; 4 something stands where a file has to be, or a file cannot be \
                  read yet; 78 the configuration cannot be used."
)]
pub(super) struct Plan {
    /// What to copy, and last the folder it goes to: `icav2://PROJECT/PATH` or `s3://BUCKET/KEY`, folders end with /
    #[arg(value_names = ["SRC", "DEST"], num_args = 1.., required = true)]
    uris: Vec<String>,
    /// Something to copy from a bucket that belongs to no project
    #[arg(long, value_name = "URI")]
    external: Vec<String>,
    /// What is done where another file stands; without it, what the settings say
    #[arg(long, value_name = "WAY")]
    on_conflict: Option<Way>,
    /// The source of the event that would ask for it
    #[arg(long, value_name = "NAME", default_value = "copy-manager.cli")]
    source: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Way {
    Fail,
    Overwrite,
    Skip,
}

impl Plan {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Some((destination, sources)) = self.uris.split_last() else { return Ok(misused()) };
        if sources.is_empty() && self.external.is_empty() {
            return Ok(misused());
        }
        let request = match self.request(sources, destination) {
            Ok(request) => request,
            Err(reason) => return refused(&Failure::new(ErrorName::InvalidRequest, reason), global.json),
        };
        let options = PlanOptions { config: global.config.clone(), event_source: self.source, request };
        match app::plan(options).await? {
            Ok(plan) => tell(&plan, global.json),
            Err(failure) => refused(&failure, global.json),
        }
    }

    /// The request, read as one that comes over the bus, or why it would not be taken.
    fn request(&self, sources: &[String], destination: &str) -> Result<CopyRequest, String> {
        let mut payload = json!({
            "sourceUriList": sources,
            "externalSourceUriList": self.external,
            "destinationUri": destination,
            "dryRun": true,
        });
        if let (Some(way), Some(fields)) = (self.on_conflict, payload.as_object_mut()) {
            let way = match way {
                Way::Fail => OnConflict::Fail,
                Way::Overwrite => OnConflict::Overwrite,
                Way::Skip => OnConflict::Skip,
            };
            fields.insert("onConflict".to_owned(), way.as_str().into());
        }
        match read_request(&json!({ "payload": payload }).to_string()) {
            Ok(Incoming::Request(submission)) => {
                submission.request.into_copy().ok_or_else(|| "not a copy".to_owned())
            }
            Ok(Incoming::Child(_)) => Err("not a copy".to_owned()),
            Err(Refusal::Malformed { reason, .. }) => Err(reason),
            Err(error @ Refusal::UnknownKind { .. }) => Err(error.to_string()),
        }
    }
}

/// Says what is missing, where only some of what is given could tell that it is.
fn misused() -> ExitCode {
    output::talk("error: name a source and, last, the destination");
    ExitCode::from(WRONG_USAGE)
}

fn tell(plan: &Preview, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        output::data(preview(plan, usize::MAX))?;
    } else {
        output::data(table(plan))?;
    }
    if plan.totals.would_succeed() {
        return Ok(ExitCode::SUCCESS);
    }
    let totals = &plan.totals;
    output::talk(format_args!(
        "the request would fail: something stands in the way of {} files, {} cannot be read yet",
        totals.failing, totals.unready
    ));
    Ok(ExitCode::from(FAILING))
}

fn refused(failure: &Failure, json: bool) -> anyhow::Result<ExitCode> {
    let culprits: Vec<Value> =
        failure.culprits.iter().map(|culprit| json!({ "what": culprit.what, "why": culprit.why })).collect();
    if json {
        let refusal = json!({
            "wouldSucceed": false,
            "error": failure.error.as_str(),
            "message": failure.message,
            "files": culprits,
        });
        output::data(refusal)?;
    }
    output::talk(format_args!("the request would be refused: {}: {}", failure.error, failure.message));
    for culprit in &failure.culprits {
        output::talk(format_args!("  {}: {}", culprit.what, culprit.why));
    }
    Ok(ExitCode::from(REFUSED))
}

/// The files in columns, and the totals below.
fn table(plan: &Preview) -> String {
    let mut rows = vec![["ROUTE", "SIZE", "SOURCE", "DESTINATION", "WHY"].map(str::to_owned)];
    rows.extend(plan.files.iter().map(row));
    let mut widths = [0; 4];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let [route, size, source, destination] = widths;
    let mut lines: Vec<String> = rows
        .iter()
        .map(|[a, b, c, d, e]| format!("{a:route$}  {b:>size$}  {c:source$}  {d:destination$}  {e}"))
        .collect();
    lines.push(String::new());
    lines.extend(totals(plan));
    lines.join("\n")
}

fn row(file: &PreviewFile) -> [String; 5] {
    let route = file.route.map_or("-", |route| route.as_str());
    let why = match &file.conflict {
        Some(conflict) => format!("{}; {} ({})", file.reason, conflict.there, conflict.then.as_str()),
        None => file.reason.clone(),
    };
    let (source, destination) = (shown(&file.source), shown(&file.destination));
    [route.to_owned(), file.size.to_string(), source.to_owned(), destination.to_owned(), why]
}

/// The path without its project, whose id tells a person nothing; what is elsewhere as it is.
fn shown(uri: &str) -> &str {
    let inside = uri.strip_prefix("icav2://").and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
    inside.unwrap_or(uri)
}

fn totals(plan: &Preview) -> Vec<String> {
    let totals = &plan.totals;
    let mut lines = vec![
        format!("{} files, {} bytes to bring", totals.files, totals.bytes),
        format!(
            "{} skipped, {} in flight, {} conflicts ({} failing), {} not ready",
            totals.skipped, totals.in_flight, totals.conflicts, totals.failing, totals.unready
        ),
        format!(
            "{} jobs, {} new folders, about {} API calls",
            totals.jobs, totals.new_folders, totals.api_calls
        ),
    ];
    let routes: Vec<_> = totals.by_route.iter().map(|(route, files)| format!("{files} by {route}")).collect();
    if !routes.is_empty() {
        lines.push(routes.join(", "));
    }
    let left_out = totals.files.saturating_sub(plan.files.len() as u64);
    if left_out > 0 {
        lines.push(format!("{left_out} files are not shown"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::route::Route;

    #[test]
    fn a_table_has_columns_and_totals() {
        let file = |destination: &str, route, size| PreviewFile {
            source: "icav2://1111/s".into(),
            destination: destination.into(),
            route,
            reason: "r".into(),
            size,
            conflict: None,
        };
        let mut plan = Preview {
            files: vec![file("long", Some(Route::Job), 12_345), file("x", None, 1)],
            ..Preview::default()
        };
        plan.totals.files = 3;
        plan.totals.by_route.insert("job".to_owned(), 1);
        let expected = "\
ROUTE   SIZE  SOURCE  DESTINATION  WHY
job    12345  /s      long         r
-          1  /s      x            r

3 files, 0 bytes to bring
0 skipped, 0 in flight, 0 conflicts (0 failing), 0 not ready
0 jobs, 0 new folders, about 0 API calls
1 by job
1 files are not shown";
        assert_eq!(table(&plan), expected);
    }
}
