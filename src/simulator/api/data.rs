//! Listing, looking, updating and deleting.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Asked, data_id};
use crate::simulator::{
    Simulator,
    notes::{Notes, Tags},
    paging::Paging,
    problem::Problem,
    seen::Seen,
    select::Selection,
    state::State,
    wire::REGION_ID,
};

pub(super) async fn list(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let paging = Paging::parse(&asked.query)?;
    let page = simulator.with(|state| {
        let project = asked.project(state)?;
        let selection =
            Selection::parse(&asked.query, &state.tree, project, None, state.faults.unseen(state.now()))?;
        Ok::<_, Problem>(selection.page(&state.tree, &paging))
    })?;
    simulator.hash(&page.items).await;
    Ok(Answer::ok(&page.json(Seen::project_data)))
}

/// Version 4 comes in pages, version 3 whole.
pub(super) async fn children(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    if asked.v4 {
        let paging = Paging::parse(&asked.query)?;
        let page = simulator
            .with(|state| Ok::<_, Problem>(children_of(state, asked)?.page(&state.tree, &paging)))?;
        simulator.hash(&page.items).await;
        return Ok(Answer::ok(&page.json(Seen::project_data)));
    }
    let all = simulator.with(|state| Ok::<_, Problem>(children_of(state, asked)?.all(&state.tree)))?;
    simulator.hash(&all).await;
    Ok(Answer::ok(&json!({"items": all.iter().map(Seen::data).collect::<Vec<_>>()})))
}

fn children_of<'a>(state: &State, asked: &'a Asked) -> Result<Selection<'a>, Problem> {
    let (project, folder) = (asked.project(state)?, asked.data(state)?);
    if state.tree.node(folder).is_none_or(|node| !node.is_folder()) {
        return Err(Problem::parameter("dataId", asked.parameter("dataId"), "is not a folder"));
    }
    Selection::parse(&asked.query, &state.tree, project, Some(folder), state.faults.unseen(state.now()))
}

pub(super) async fn get(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let seen = simulator.with(|state| {
        let node = state.tree.node(asked.data(state)?).ok_or_else(Problem::no_route)?;
        Ok::<_, Problem>(Seen::new(&state.tree, node))
    })?;
    simulator.hash(std::slice::from_ref(&seen)).await;
    Ok(Answer { etag: seen.header(), ..Answer::ok(&seen.project_data()) })
}

/// `GET /api/data/{dataUrn}`. A path behind the id is not looked at.
pub(super) async fn by_urn(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let urn = asked.parameter("dataUrn");
    let parts = urn.strip_prefix("urn:ilmn:ica:region:").and_then(|rest| rest.split_once(":data:"));
    let (region, rest) = parts.ok_or_else(|| Problem::parameter("dataUrn", urn, "is not the URN of data"))?;
    let id = data_id("dataUrn", rest.split_once('#').map_or(rest, |(id, _)| id))?;
    let seen = simulator.with(|state| {
        let found = state.tree.by_id(id).filter(|_| region == REGION_ID && state.sees_data(asked.caller, id));
        let (_, node) = found.ok_or_else(|| Problem::not_found("dataUrn", urn))?;
        Ok::<_, Problem>(Seen::new(&state.tree, node))
    })?;
    simulator.hash(std::slice::from_ref(&seen)).await;
    Ok(Answer { etag: seen.header(), ..Answer::ok(&seen.data()) })
}

/// `ProjectData` as far as it is read: what else there is cannot be updated, and is not looked at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    data: UpdateData,
    project_id: String,
}

#[derive(Debug, Deserialize)]
struct UpdateData {
    id: String,
    details: Option<UpdateDetails>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateDetails {
    name: String,
    path: Option<String>,
    tags: Tags,
    will_be_archived_at: Option<Timestamp>,
    will_be_deleted_at: Option<Timestamp>,
    format: Option<Value>,
}

/// `PUT …/data/{dataId}`: with `If-Match`, only if nothing has changed since.
pub(super) async fn update(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let wanted: Update = asked.read()?;
    let seen = simulator.with(|state| change(state, asked, wanted))?;
    simulator.hash(std::slice::from_ref(&seen)).await;
    Ok(Answer { etag: seen.header(), ..Answer::ok(&seen.project_data()) })
}

fn change(state: &mut State, asked: &Asked, wanted: Update) -> Result<Seen, Problem> {
    let key = asked.data(state)?;
    let node = state.tree.node(key).ok_or_else(Problem::no_route)?;
    if node.is_linked() {
        return Err(Problem::parameter("dataId", &node.id, "it is linked, and is updated where it belongs"));
    }
    let present = Seen::new(&state.tree, node);
    if let Some(given) = asked.if_match.as_deref()
        && present.header().is_none_or(|etag| etag != given)
    {
        return Err(Problem::conflict("The data has changed since").with("If-Match", given));
    }
    let fixed = |name, given: &str, is: &str| {
        let same = given == is;
        if same { Ok(()) } else { Err(Problem::parameter(name, given, "cannot be updated")) }
    };
    fixed("projectId", &wanted.project_id, asked.parameter("projectId"))?;
    fixed("data.id", &wanted.data.id, &node.id)?;
    let Some(details) = wanted.data.details else { return Ok(present) };
    fixed("data.details.name", &details.name, &node.name)?;
    fixed("data.details.path", details.path.as_deref().unwrap_or(&node.path), &node.path)?;
    if details.format.is_some() {
        return Err(Problem::invalid("The simulator knows no formats").with("field", "data.details.format"));
    }
    let planned = details.will_be_archived_at.is_some() || details.will_be_deleted_at.is_some();
    if node.is_folder() && planned {
        return Err(Problem::invalid("Of folders only the tags can be updated").with("field", "data.details"));
    }
    let now = state.now();
    let node = state.tree.node_mut(key).ok_or_else(Problem::no_route)?;
    node.modified = now;
    node.notes = Some(Arc::new(Notes {
        tags: details.tags,
        will_be_archived_at: details.will_be_archived_at,
        will_be_deleted_at: details.will_be_deleted_at,
    }));
    let node = state.tree.node(key).ok_or_else(Problem::no_route)?;
    Ok(Seen::new(&state.tree, node))
}

pub(super) fn delete(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    simulator.with(|state| {
        let key = asked.data(state)?;
        if let Some(node) = state.tree.node(key).filter(|node| node.is_linked()) {
            return Err(Problem::parameter(
                "dataId",
                &node.id,
                "it is linked, and is deleted where it belongs",
            ));
        }
        state.delete(key);
        Ok(Answer::nothing())
    })
}
