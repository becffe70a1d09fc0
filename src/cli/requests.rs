//! `list`, `status`, `cancel`, `retry` and `wake`: requests of a running daemon.

use std::process::ExitCode;

use clap::Args;
use comfy_table::{Table, TableStyle};
use indicatif::HumanBytes;
use serde_json::{Value, json};
use tokio::signal::ctrl_c;

use super::{
    Global,
    client::{Listing, Server, ServerArgs},
    exit::{self, Ended},
    output, watch,
};
use crate::{
    admin::words::{ago, moment, number, text, why},
    app,
};

/// Requests that one call of the daemon brings, at most.
const PAGE: usize = 500;

/// What an id may be, for `--help`.
pub(super) const ID: &str = "A request is named by its id, by the name that its caller gave it, by the id of the event that brought it, \
    by one of its jobs, by what its caller calls itself, such as the ARN of an execution, or by where it copies from or to: \
    then the newest of its requests is meant.";

#[derive(Debug, Args)]
#[command(after_help = exit::CODES)]
pub(super) struct List {
    #[command(flatten)]
    server: ServerArgs,
    /// How they stand: received, running, succeeded or failed
    #[arg(long)]
    status: Option<String>,
    /// The name of their kind
    #[arg(long)]
    kind: Option<String>,
    /// The source of the event that asked
    #[arg(long)]
    source: Option<String>,
    /// A part of their id, name, caller, destination or sources
    #[arg(long)]
    text: Option<String>,
    /// Made then or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, Args)]
#[command(after_help = ID)]
pub(super) struct Status {
    /// Which request; without one, those that have not ended
    id: Option<String>,
    /// Look until it ends, and say how
    #[arg(long, requires = "id")]
    watch: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
#[command(after_help = ID)]
pub(super) struct Cancel {
    /// Which request
    id: String,
    /// Why; its caller is told
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
#[command(after_help = ID)]
pub(super) struct Retry {
    /// Which request
    id: String,
    /// Wait for the new one, and say how it ended
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
#[command(after_help = ID)]
pub(super) struct Wake {
    /// Which request
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<String>,
    /// All that are received or running
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl List {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self { server, status, kind, source, text, since, limit } = self;
        let wanted = Listing { status, kind, source, text, since };
        let requests = all(&server.connect().await?, &wanted, limit).await?;
        show(&requests, global)
    }
}

impl Status {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let server = self.server.connect().await?;
        let Some(id) = self.id else { return show(&unended(&server).await?, global) };
        if self.watch {
            return watch_to_end(&server, &id, global).await;
        }
        let request = known(&server, &id).await?;
        output::data(if global.json { request.to_string() } else { described(&request).join("\n") })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Cancel {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let said = self.reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
        let done = self.server.connect().await?.act(&self.id, "cancel", &said).await?;
        tell(&done, "ends within seconds; what has arrived stays", global)
    }
}

impl Retry {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let server = self.server.connect().await?;
        let done = server.act(&self.id, "retry", &json!({})).await?;
        if self.wait {
            output::talk(format_args!("waiting for request {}", text(&done, "requestId")));
            return watch_to_end(&server, text(&done, "requestId"), global).await;
        }
        tell(&done, "is under way; what has arrived is not copied again", global)
    }
}

impl Wake {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let server = self.server.connect().await?;
        let ids = match self.id {
            Some(id) => vec![id],
            None => {
                unended(&server).await?.iter().map(|request| text(request, "requestId").to_owned()).collect()
            }
        };
        for id in &ids {
            let done = server.act(id, "wake", &json!({})).await;
            // Of all, some may just have ended.
            if !self.all || !matches!(&done, Err(error) if is_refused(error)) {
                tell(&done?, "is looked at now", global)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn is_refused(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Ended>(), Some(Ended::Refused(_)))
}

async fn watch_to_end(server: &Server, id: &str, global: &Global) -> anyhow::Result<ExitCode> {
    let ended = tokio::select! {
        ended = watch::wait(server, id) => ended?,
        Ok(()) = ctrl_c() => return Err(Ended::Interrupted { look: server.look(id) }.into()),
    };
    watch::report(&ended, global.json)
}

async fn known(server: &Server, id: &str) -> anyhow::Result<Value> {
    let found = server.request(id).await?;
    found.ok_or_else(|| Ended::Refused(format!("there is no request `{id}`")).into())
}

/// Requests that have not ended, newest first.
async fn unended(server: &Server) -> anyhow::Result<Vec<Value>> {
    let of = |status: &str| Listing { status: Some(status.to_owned()), ..Listing::default() };
    let mut requests = all(server, &of("received"), usize::MAX).await?;
    requests.extend(all(server, &of("running"), usize::MAX).await?);
    requests.sort_by(|one, other| text(other, "startedAt").cmp(text(one, "startedAt")));
    Ok(requests)
}

/// So many requests, page by page.
async fn all(server: &Server, wanted: &Listing, limit: usize) -> anyhow::Result<Vec<Value>> {
    let (mut requests, mut cursor) = (Vec::new(), None);
    while requests.len() < limit {
        let page = server.list(wanted, PAGE.min(limit - requests.len()), cursor.as_deref()).await?;
        requests.extend(page.requests);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    requests.truncate(limit);
    Ok(requests)
}

/// Tells what an action has come to.
fn tell(done: &Value, what: &str, global: &Global) -> anyhow::Result<ExitCode> {
    output::data(if global.json { done.to_string() } else { format!("{} {what}", text(done, "requestId")) })?;
    Ok(ExitCode::SUCCESS)
}

/// Shows requests: a line of JSON each, or a table.
fn show(requests: &[Value], global: &Global) -> anyhow::Result<ExitCode> {
    if global.json {
        requests.iter().try_for_each(output::data)?;
        return Ok(ExitCode::SUCCESS);
    }
    if requests.is_empty() {
        output::talk("no requests");
        return Ok(ExitCode::SUCCESS);
    }
    let now = app::now();
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_header(["REQUEST", "NAME", "KIND", "STATUS", "AGE", "FILES", "BYTES", "DESTINATION", "WHY"]);
    for request in requests {
        table.add_row([
            text(request, "requestId").to_owned(),
            text(request, "name").to_owned(),
            text(request, "kind").to_owned(),
            text(request, "status").to_owned(),
            ago(moment(request, "startedAt"), now),
            watch::files(request),
            HumanBytes(number(request, "/counters/bytes")).to_string(),
            text(request, "destinationUri").to_owned(),
            why(request).to_owned(),
        ]);
    }
    output::data(table.trim_fmt())?;
    Ok(ExitCode::SUCCESS)
}

/// What a request is, and for whom.
pub(super) fn headed(request: &Value) -> Vec<String> {
    let said = |name: &str| Some(text(request, name)).filter(|text| !text.is_empty());
    let name = said("name").map(|name| format!("  \"{name}\"")).unwrap_or_default();
    let (id, kind, status) = (text(request, "requestId"), text(request, "kind"), text(request, "status"));
    let mut lines = vec![format!("{id}{name}  {kind}  {status}")];
    let caller = said("caller").map(|caller| format!(" · {caller}")).unwrap_or_default();
    lines.push(format!("for    {}{caller}", text(request, "source")));
    let sources = request.get("sourceUris").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let total = number(request, "/sourcesTotal");
    let first = sources.first().and_then(Value::as_str).unwrap_or("?");
    let more = if total > 1 { format!(" and {} more", total - 1) } else { String::new() };
    lines.push(format!("what   {first}{more} → {}", text(request, "destinationUri")));
    lines.push(progress(request));
    lines
}

/// How far it is.
fn progress(request: &Value) -> String {
    let bytes = HumanBytes(number(request, "/counters/bytes"));
    let (settled, total) = (number(request, "/children/settled"), number(request, "/children/total"));
    format!("done   {} files, {bytes}; {settled} of {total} parts", watch::files(request))
}

/// A request in a few lines: what, for whom, why, what next.
fn described(request: &Value) -> Vec<String> {
    let now = app::now();
    let said = |name: &str| Some(text(request, name)).filter(|text| !text.is_empty());
    let id = text(request, "requestId");
    let mut lines = headed(request);
    if let Some(error) = said("error") {
        lines.push(format!("why    {error}"));
        let cause = watch::cause(request);
        lines.extend(output::readable(&cause).lines().map(|line| format!("       {line}")));
        let was_taken = number(request, "/sourcesTotal") > 0;
        lines.push(if was_taken {
            format!("next   copy-manager retry {id}")
        } else {
            "next   send it again, corrected".to_owned()
        });
    } else if let Some(trouble) = said("trouble").or(said("waitingFor")) {
        lines.push(format!("why    {trouble}"));
        let next = said("nextTryAt").map(|at| format!("tried again at {at}, or now: ")).unwrap_or_default();
        lines.push(format!("next   {next}copy-manager wake {id}"));
    }
    let since = |name: &str| ago(moment(request, name), now);
    lines.push(format!("since  {} (last progress {} ago)", since("startedAt"), since("lastProgressAt")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_in_a_few_lines() {
        let request = json!({
            "requestId": "request.1", "name": "run-7", "kind": "copy", "status": "RUNNING", "source": "my.service",
            "caller": "arn:x", "sourceUris": ["icav2://p/a/"], "sourcesTotal": 3, "destinationUri": "icav2://q/b/",
            "counters": { "files": 9, "copied": 3, "skipped": 1, "bytes": 2048 },
            "children": { "settled": 2, "total": 7 },
            "trouble": "401 Unauthorized", "nextTryAt": "2026-11-30T12:00:00Z",
        });
        let lines = described(&request);
        assert_eq!(lines[0], "request.1  \"run-7\"  copy  RUNNING");
        assert_eq!(lines[1], "for    my.service · arn:x");
        assert_eq!(lines[2], "what   icav2://p/a/ and 2 more → icav2://q/b/");
        assert_eq!(lines[3], "done   4 of 9 files, 2.00 KiB; 2 of 7 parts");
        assert_eq!(lines[4], "why    401 Unauthorized");
        assert_eq!(
            lines[5],
            "next   tried again at 2026-11-30T12:00:00Z, or now: copy-manager wake request.1"
        );
    }
}
