//! Runs of workflows: by their own ids, or the newest ones of libraries.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{ask::Ask, client::Client, wire::Run};
use crate::{
    domain::share::filters::canonical,
    ports::{Class, Error, Result, inventory::RowQuery},
};

/// Questions at a time.
pub(super) const WIDTH: usize = 8;

const RUN: &str = "GET workflow /workflowrun";
/// The end of a run whose files are worth having.
const SUCCEEDED: &str = "SUCCEEDED";
/// Unknown runs that are named.
const MOST_NAMED: usize = 20;

/// The runs of some portal runs, with their libraries.
///
/// # Errors
///
/// `Invalid`, naming those that are not known.
pub(super) async fn named(client: &Client, ids: &[String]) -> Result<Vec<Run>> {
    let found: Vec<_> = ids.iter().map(|id| named_run(client, id)).collect();
    let found: Vec<Option<Run>> = stream::iter(found).buffered(WIDTH).try_collect().await?;
    let unknown: Vec<&str> =
        ids.iter().zip(&found).filter(|(_, run)| run.is_none()).map(|(id, _)| id.as_str()).collect();
    if !unknown.is_empty() {
        let shown: Vec<_> = unknown.iter().take(MOST_NAMED).copied().collect();
        let why = format!("{} portal runs are not known to OrcaBus: {}", unknown.len(), shown.join(", "));
        return Err(Error::new(Class::Invalid, RUN, why));
    }
    with_libraries(client, found.into_iter().flatten()).await
}

async fn named_run(client: &Client, id: &str) -> Result<Option<Run>> {
    // Services take `*` and `?` for any text.
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Ok(None);
    }
    let ask = Ask::list("workflow", RUN, &["workflowrun"]).with("portalRunId", id);
    let runs: Vec<Run> = client.all(ask).await?;
    Ok(runs.into_iter().find(|run| run.portal_run_id == id))
}

/// Of each library the newest run of each workflow that is asked for and has succeeded, with the libraries of the run;
/// each run once.
pub(super) async fn newest(client: &Client, libraries: &[String], query: &RowQuery) -> Result<Vec<Run>> {
    let runs: Vec<_> = libraries.iter().map(|library| newest_of(client, library, query)).collect();
    let runs: Vec<Vec<Run>> = stream::iter(runs).buffered(WIDTH).try_collect().await?;
    let mut seen = BTreeSet::new();
    let runs = runs.into_iter().flatten().filter(|run| seen.insert(run.portal_run_id.clone()));
    with_libraries(client, runs).await
}

async fn newest_of(client: &Client, library: &str, query: &RowQuery) -> Result<Vec<Run>> {
    let ask = Ask::list("workflow", RUN, &["workflowrun"]).with("libraries__libraryId", library);
    let mut newest: BTreeMap<String, Run> = BTreeMap::new();
    for run in client.all::<Run>(ask).await? {
        let workflow = canonical(&run.workflow.name);
        let is_asked_for = query.workflows.as_ref().is_none_or(|names| names.contains(&workflow));
        let has_succeeded = run.current_state.as_ref().is_some_and(|state| state.status == SUCCEEDED);
        if !is_asked_for || !has_succeeded || query.excluded_runs.contains(&run.portal_run_id) {
            continue;
        }
        // Ids of runs begin with their dates.
        match newest.get(&workflow) {
            Some(there) if there.portal_run_id >= run.portal_run_id => {}
            _ => drop(newest.insert(workflow, run)),
        }
    }
    Ok(newest.into_values().collect())
}

/// Lists of runs do not name their libraries; a run that is asked for alone does.
async fn with_libraries(client: &Client, runs: impl Iterator<Item = Run>) -> Result<Vec<Run>> {
    let whole: Vec<_> = runs.map(|run| whole(client, run.orcabus_id)).collect();
    stream::iter(whole).buffered(WIDTH).try_collect().await
}

async fn whole(client: &Client, id: String) -> Result<Run> {
    client.one(&Ask::one("workflow", "GET workflow /workflowrun/{id}", &["workflowrun", &id])).await
}
