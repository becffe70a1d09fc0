//! `plan`: what a copy would do, file by file, with nothing changed.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{
    Global,
    copy::{self, CopyArgs},
    exit::{IN_THE_WAY, REFUSED, WRONG_USAGE},
    output,
};
use crate::{
    app::{self, PlanOptions},
    domain::{
        outcome::{ErrorName, Failure},
        preview::{Preview, PreviewFile},
    },
    events::{COPY_REQUEST, outgoing::preview},
};

#[derive(Debug, Args)]
#[command(
    override_usage = "copy-manager plan [OPTIONS] <SRC>... <DEST>",
    after_help = "Exit codes: 0 it would succeed, as far as can be seen; 1 no plan could be made; 2 wrong usage; \
                  3 the request would be refused; 4 something stands where a file has to be, or a file cannot be \
                  read yet; 5 a service could not be reached, try again; 78 the configuration cannot be used."
)]
pub(super) struct Plan {
    #[command(flatten)]
    copy: CopyArgs,
    /// The source of the event that would ask for it
    #[arg(long, value_name = "NAME", default_value = "copy-manager.cli")]
    source: String,
}

impl Plan {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Some(payload) = self.copy.payload(true, false) else { return Ok(misused()) };
        let read = copy::read(COPY_REQUEST, &json!({ "payload": payload }));
        let request = read.and_then(|read| read.request.into_copy().ok_or_else(|| "not a copy".to_owned()));
        let request = match request {
            Ok(request) => request,
            Err(reason) => return refused(&Failure::new(ErrorName::InvalidRequest, reason), global.json),
        };
        let options = PlanOptions { config: global.config.clone(), event_source: self.source, request };
        match app::plan(options).await? {
            Ok(plan) => tell(&plan, global.json),
            Err(failure) => refused(&failure, global.json),
        }
    }
}

/// Says what is missing, where only some of what is given could tell that it is.
pub(super) fn misused() -> ExitCode {
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
    Ok(ExitCode::from(IN_THE_WAY))
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
            there: None,
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
