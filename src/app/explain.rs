//! What has become of a request, why, and what is next: for someone who wants to mend it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::shown;
use crate::{
    admin::shapes::{self, Explanation, FolderSummary},
    domain::{ids::RequestId, outcome::ErrorName},
    engine::{
        Engine,
        children::{ChildStatus, Children, History},
        list::Wanted,
        view::RequestView,
    },
    ports::Result,
};

/// Children that are shown one by one: the first that need attention.
const MOST_CHILDREN: usize = 20;
/// How far back other requests are looked at, and how many.
const LATELY: Duration = Duration::from_hours(1);
const MOST_OTHERS: usize = 200;

/// Explains a request, by anything that it is called; `None` where there is none.
pub(super) async fn explain(engine: &Engine, id: &str, source: Option<&str>) -> Result<Option<Explanation>> {
    let Some(view) = engine.view_of(id, source).await? else { return Ok(None) };
    let id = RequestId::new(view.id.as_str());
    let (children, history) = engine.children_and_history(&id).await?.unwrap_or_default();
    let others = Others::of(engine, &view).await?;
    let mut why = reasons(&view, &children);
    let (waiting, rate) = engine.platform_load();
    if view.outcome.is_none() && waiting > 0 {
        why.push(format!("{waiting} calls to ICAv2 wait for their turn on this instance, which makes {rate:.1} a second now"));
    }
    why.extend(jobs(&history));
    if !why.is_empty() {
        why.extend(others.map(|others| others.to_text(&view)));
    }
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for child in &children.children {
        *counts.entry(child.status.as_str()).or_default() += 1;
    }
    let needs_attention = children.children.iter().filter(|child| child.status != ChildStatus::Succeeded);
    let first: Vec<_> = needs_attention.take(MOST_CHILDREN).map(shown::child).collect();
    let shapes::Journal { journal, is_cut } = shown::journal(&history);
    Ok(Some(Explanation {
        request: shown::request(&view),
        next: next(&view, &children),
        why,
        folders: FolderSummary { total: children.total, by_status: json!(counts), first },
        journal,
        is_cut,
    }))
}

/// Why it has not succeeded, as far as the request and its children say.
fn reasons(view: &RequestView, children: &Children) -> Vec<String> {
    if let Some(outcome) = &view.outcome {
        let failure = outcome.failure.iter();
        return failure.map(|failure| format!("{}: {}", failure.error, failure.message)).collect();
    }
    let own = view.trouble.iter().chain(&view.waiting_for).cloned();
    let mut of_children: BTreeMap<&str, u64> = BTreeMap::new();
    for why in children.children.iter().filter_map(|child| child.why.as_deref()) {
        *of_children.entry(why).or_default() += 1;
    }
    let counted = of_children.into_iter().take(MOST_CHILDREN);
    own.chain(counted.map(|(why, count)| format!("{count} of {}: {why}", children.total))).collect()
}

/// How its copy jobs have fared, where some have not succeeded.
fn jobs(history: &History) -> Option<String> {
    let ended: Vec<_> = history.entries.iter().filter(|told| told.entry.code == "job.ended").collect();
    let failed = ended.iter().filter(|told| !told.entry.note.contains(" SUCCEEDED ")).count();
    let kept = if history.is_cut { " that are still known" } else { "" };
    (failed > 0).then(|| format!("{failed} of {} copy jobs{kept} did not succeed", ended.len()))
}

/// Other requests to the same project or bucket, lately.
struct Others {
    total: usize,
    failed: usize,
    more: bool,
}

impl Others {
    async fn of(engine: &Engine, view: &RequestView) -> Result<Option<Self>> {
        let since = engine.now().checked_sub(LATELY).ok();
        if view.destination.is_empty() {
            return Ok(None);
        }
        let text = Some(place(&view.destination));
        let wanted = Wanted { text, since, limit: MOST_OTHERS, ..Wanted::default() };
        let listed = engine.list(&wanted).await?;
        let others: Vec<_> = listed.requests.iter().filter(|other| other.id != view.id).collect();
        let failed = others.iter().filter(|other| has_failed(other)).count();
        Ok((!others.is_empty()).then_some(Self { total: others.len(), failed, more: listed.next.is_some() }))
    }

    fn to_text(&self, view: &RequestView) -> String {
        let Self { total, failed, more } = self;
        let place = place(&view.destination);
        let of = if *more { format!("the last {total}") } else { total.to_string() };
        match failed {
            0 => format!("only this one: none of {of} other requests to {place} has failed in the last hour"),
            failed => format!(
                "not only this one: {failed} of {of} other requests to {place} failed in the last hour"
            ),
        }
    }
}

/// Whether a request has failed, and was not ended by somebody.
fn has_failed(request: &RequestView) -> bool {
    let failure = request.outcome.as_ref().and_then(|outcome| outcome.failure.as_ref());
    failure.is_some_and(|failure| failure.error != ErrorName::Cancelled)
}

/// The project, or bucket, of a place.
fn place(uri: &str) -> String {
    uri.split_inclusive('/').take(3).collect()
}

/// What happens next, or what to do.
fn next(view: &RequestView, children: &Children) -> Vec<String> {
    let id = &view.id;
    if let Some(outcome) = &view.outcome {
        return match &outcome.failure {
            None => vec!["nothing: it is done".to_owned()],
            Some(failure) => {
                // What was never taken cannot be made again.
                let was_taken = view.sources.total > 0;
                let retry = was_taken.then(|| format!("copy-manager retry {id}"));
                let said = ["nothing is planned".to_owned(), failure.error.advice().to_owned()];
                said.into_iter().chain(retry).collect()
            }
        };
    }
    let soonest = children.children.iter().filter_map(|child| child.next_at).chain(view.next_at).min();
    let at = soonest.map(|at| format!("it is looked at again at {at}; at once with"));
    let at = at.unwrap_or_else(|| "it is looked at at once with".to_owned());
    let (settled, total) = (view.children.1, view.children.0);
    let mut next =
        vec![format!("{settled} of {total} parts are done"), format!("{at} copy-manager wake {id}")];
    if !view.begun {
        next.insert(0, "its plan is not made yet".to_owned());
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_project_or_a_bucket() {
        assert_eq!(place("icav2://cohort-b/fl/many/"), "icav2://cohort-b/");
        assert_eq!(place("s3://bucket/key"), "s3://bucket/");
        assert_eq!(place("icav2://cohort-b"), "icav2://cohort-b");
    }
}
