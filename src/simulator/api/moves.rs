//! Move batches.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Asked, copies::destination, data_id};
use crate::simulator::{
    Simulator,
    moves::{MoveBatch, MoveItem, MoveStatus},
    paging::Paging,
    problem::Problem,
    seen::Seen,
    state::State,
    wire,
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    items: Vec<CreateItem>,
    destination_folder_id: Option<String>,
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
            // What is only linked cannot be moved, so it must be seen where it belongs.
            let found = state.tree.by_id(id).filter(|(_, node)| state.sees(asked.caller, node.project));
            found.ok_or_else(|| Problem::not_found("dataId", id))?;
        }
        let data = wanted.items.into_iter().map(|item| item.data_id).collect();
        let batch = state.submit_move(project, folder, wanted.destination_folder_id, data);
        Ok(Answer::created(&write_batch(state, &batch)))
    })
}

fn write_batch(state: &State, batch: &MoveBatch) -> Value {
    let job = wire::job(&state.tree, &batch.job, &state.faults.told_job_status);
    let mut json = json!({"id": batch.id, "job": job});
    if let Some(folder) = &batch.folder_id {
        wire::put(&mut json, "destinationFolderId", folder.clone());
    }
    json
}

fn batch<'a>(state: &'a State, asked: &Asked) -> Result<&'a MoveBatch, Problem> {
    let project = asked.project(state)?;
    let id = asked.uuid("batchId")?;
    let found = state.moves.iter().find(|batch| batch.id == id && batch.project == project);
    found.ok_or_else(|| Problem::not_found("batchId", id))
}

pub(super) fn get(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    simulator.with(|state| Ok(Answer::ok(&write_batch(state, batch(state, asked)?))))
}

type Shown = (MoveItem, Option<Seen>);

fn shown(state: &State, item: &MoveItem) -> Shown {
    let moved = item.moved.and_then(|key| state.tree.node(key));
    (item.clone(), moved.map(|node| Seen::new(&state.tree, node)))
}

fn write((item, moved): &Shown) -> Value {
    let mut json = json!({
        "id": item.id,
        "request": {"dataId": item.data},
        "processing": {"status": item.status, "additionalStatusInformation": item.reason},
    });
    if let Some(moved) = moved {
        wire::put(&mut json, "createdProjectData", json!(moved.project_data()));
    }
    json
}

async fn hash(simulator: &Simulator, items: &[Shown]) {
    let moved: Vec<Seen> = items.iter().filter_map(|(_, moved)| moved.clone()).collect();
    simulator.hash(&moved).await;
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    status: Option<Vec<Option<MoveStatus>>>,
}

/// `POST …/items:search`.
pub(super) async fn items(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let paging = Paging::parse(&asked.query)?;
    let wanted: Search = if asked.body.is_empty() { Search::default() } else { asked.read()? };
    let statuses: Vec<MoveStatus> = wanted.status.into_iter().flatten().flatten().collect();
    let page = simulator.with(|state| {
        let all = batch(state, asked)?.items.iter();
        let wanted = all.filter(|item| statuses.is_empty() || statuses.contains(&item.status));
        Ok::<_, Problem>(paging.of(wanted.map(|item| shown(state, item)).collect()))
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
