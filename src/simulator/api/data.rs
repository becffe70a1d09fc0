//! Listing, looking and deleting.

use serde_json::json;

use super::{Answer, Asked};
use crate::simulator::{
    Simulator, paging::Paging, problem::Problem, seen::Seen, select::Selection, state::State,
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
