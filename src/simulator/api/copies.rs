//! Copy batches and jobs.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Asked, data_id};
use crate::simulator::{
    Simulator,
    copies::{self, Batch, Item, OnExist},
    jobs::Job,
    others::OtherJob,
    paging::{Paging, sort_keys},
    problem::Problem,
    seen::Seen,
    state::State,
    tree::{NodeKey, ProjectKey},
    wire,
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    items: Vec<CreateItem>,
    destination_folder_id: Option<String>,
    copy_user_tags: bool,
    copy_technical_tags: bool,
    copy_instrument_info: bool,
    action_on_exist: OnExist,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateItem {
    data_id: String,
}

pub(super) fn create(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let wanted: Create = asked.read()?;
    simulator.with(|state| {
        let project = asked.project(state)?;
        let folder = destination(state, project, wanted.destination_folder_id.as_deref())?;
        if wanted.items.is_empty() {
            return Err(Problem::invalid("Invalid body: items must not be empty").with("field", "items"));
        }
        for item in &wanted.items {
            let id = data_id("dataId", &item.data_id)?;
            let found = state.tree.by_id(id).filter(|_| state.sees_data(asked.caller, id));
            let (_, node) = found.ok_or_else(|| Problem::not_found("dataId", id))?;
            if node.project == project && !state.faults.same_project_copies {
                return Err(Problem::parameter("dataId", id, "data cannot be copied within a project"));
            }
        }
        let number = state.submit(copies::Asked {
            project,
            folder,
            folder_id: wanted.destination_folder_id,
            user_tags: wanted.copy_user_tags,
            technical_tags: wanted.copy_technical_tags,
            instrument_info: wanted.copy_instrument_info,
            on_exist: wanted.action_on_exist,
            data: wanted.items.into_iter().map(|item| item.data_id).collect(),
        });
        let batch = state.copies.all().get(number).ok_or_else(Problem::no_route)?;
        Ok(Answer::created(&wire::batch(&state.tree, batch, &state.faults.told_job_status)))
    })
}

/// The folder of a project that a batch writes to: its top where none is named.
pub(super) fn destination(state: &State, project: ProjectKey, id: Option<&str>) -> Result<NodeKey, Problem> {
    let Some(id) = id else { return Ok(state.tree.root(project)) };
    let found = state.tree.by_id(data_id("destinationFolderId", id)?);
    let found = found.filter(|(_, node)| node.project == project && node.is_folder());
    found.map(|(key, _)| key).ok_or_else(|| Problem::not_found("destinationFolderId", id))
}

fn batch<'a>(state: &'a State, asked: &Asked) -> Result<&'a Batch, Problem> {
    let project = asked.project(state)?;
    let id = asked.uuid("batchId")?;
    let found = state.copies.batch(id).filter(|batch| batch.asked.project == project);
    found.ok_or_else(|| Problem::not_found("batchId", id))
}

pub(super) fn get(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    simulator.with(|state| {
        let batch = batch(state, asked)?;
        Ok(Answer::ok(&wire::batch(&state.tree, batch, &state.faults.told_job_status)))
    })
}

type Shown = (Item, Option<Seen>);

fn shown(state: &State, item: &Item) -> Shown {
    let created = item.created.and_then(|key| state.tree.node(key));
    (item.clone(), created.map(|node| Seen::new(&state.tree, node)))
}

fn write((item, created): &Shown) -> Value {
    wire::item(item, created.as_ref())
}

async fn hash(simulator: &Simulator, items: &[Shown]) {
    let created: Vec<Seen> = items.iter().filter_map(|(_, created)| created.clone()).collect();
    simulator.hash(&created).await;
}

pub(super) async fn items(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let paging = Paging::parse(&asked.query)?;
    let statuses: Vec<&str> = asked.query.all("status").collect();
    let page = simulator.with(|state| {
        let all = batch(state, asked)?.items.iter();
        let wanted = |item: &&Item| {
            let status = serde_json::to_value(item.status).unwrap_or_default();
            statuses.is_empty() || status.as_str().is_some_and(|status| statuses.contains(&status))
        };
        Ok::<_, Problem>(paging.of(all.filter(wanted).map(|item| shown(state, item)).collect()))
    })?;
    hash(simulator, &page.items).await;
    Ok(Answer::ok(&page.json(write)))
}

pub(super) async fn item(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let item = simulator.with(|state| {
        let id = asked.uuid("itemId")?;
        let item = batch(state, asked)?.items.iter().find(|item| item.id == id);
        item.map(|item| shown(state, item)).ok_or_else(|| Problem::not_found("itemId", id))
    })?;
    hash(simulator, std::slice::from_ref(&item)).await;
    Ok(Answer::ok(&write(&item)))
}

/// A job of the list: of a batch, or of something else.
enum Listed<'a> {
    Batch(&'a Job),
    Other(&'a OtherJob),
}

impl Listed<'_> {
    fn time(&self, key: &str) -> Option<Timestamp> {
        match (self, key) {
            (Self::Batch(job), "timeStarted") => job.started,
            (Self::Batch(job), "timeFinished") => job.finished,
            (Self::Batch(job), _) => Some(job.created),
            (Self::Other(job), "timeFinished") => job.finished(),
            (Self::Other(job), _) => Some(job.created),
        }
    }

    fn json(&self, state: &State) -> Value {
        match self {
            Self::Batch(job) => wire::job(&state.tree, job, &state.faults.told_job_status),
            Self::Other(job) => job.json(),
        }
    }

    /// What is told as its status.
    fn status<'a>(&'a self, state: &'a State) -> &'a str {
        match self {
            Self::Batch(job) => {
                let status = job.status.as_str();
                state.faults.told_job_status.get(status).map_or(status, String::as_str)
            }
            Self::Other(job) => &job.status,
        }
    }
}

pub(super) fn jobs(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let paging = Paging::parse(&asked.query)?;
    let keys = sort_keys(&asked.query, &["timeCreated", "timeStarted", "timeFinished"])?;
    let statuses: Vec<&str> = asked.query.all("status").collect();
    simulator.with(|state| {
        let batches = state.jobs().filter(|job| state.sees(asked.caller, job.project));
        let mut found: Vec<Listed<'_>> = batches
            .map(Listed::Batch)
            .chain(state.strangers.jobs.iter().map(Listed::Other))
            .filter(|job| statuses.is_empty() || statuses.contains(&job.status(state)))
            .collect();
        for (key, descending) in keys.iter().rev() {
            // Of those made at the same time, too, the newest comes first where that is asked for.
            if *descending {
                found.reverse();
                found.sort_by_key(|job| std::cmp::Reverse(job.time(key)));
            } else {
                found.sort_by_key(|job| job.time(key));
            }
        }
        Ok(Answer::ok(&paging.of(found).json(|job| job.json(state))))
    })
}

pub(super) fn job(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    simulator.with(|state| {
        let id = asked.uuid("jobId")?;
        if let Some(other) = state.strangers.jobs.iter().find(|job| job.id == id) {
            return Ok(Answer::ok(&other.json()));
        }
        let found = state.job(id).filter(|job| state.sees(asked.caller, job.project));
        let job = found.ok_or_else(|| Problem::not_found("jobId", id))?;
        Ok(Answer::ok(&wire::job(&state.tree, job, &state.faults.told_job_status)))
    })
}
