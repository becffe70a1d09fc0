//! Projects, and what else there is besides data.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::{Answer, Asked};
use crate::simulator::{
    Simulator, accounts,
    paging::{Paging, sort_keys},
    problem::Problem,
    state::State,
    tree::{Home, Project},
    wire,
};

const TOKEN_SECONDS: i64 = 24 * 3600;

/// A JWT whose signature neither the simulator nor its client checks.
pub(super) fn create_token(simulator: &Simulator, asked: &Asked) -> Answer {
    let (now, id) = simulator.with(|state| (state.now().as_second(), state.uuid()));
    let encode = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let head = encode(json!({"alg": "none", "typ": "JWT"}));
    let mut claims = json!({
        "aud": ["ica"], "iss": "simulator", "sub": wire::USER_ID, "jti": id,
        "iat": now, "nbf": now, "exp": now + TOKEN_SECONDS,
    });
    if let Some(account) = asked.caller {
        wire::put(&mut claims, accounts::CLAIM, account);
    }
    let claims = encode(claims);
    Answer::ok(&json!({"token": format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode("unsigned"))}))
}

/// The projects that the caller sees.
fn visible<'a>(state: &'a State, asked: &Asked) -> impl Iterator<Item = &'a Project> {
    let caller = asked.caller;
    let all = state.tree.projects.iter().enumerate();
    all.filter(move |(key, _)| state.sees(caller, *key)).map(|(_, project)| project)
}

pub(super) fn list(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let paging = Paging::parse(&asked.query)?;
    let keys = sort_keys(&asked.query, &["name", "shortDescription", "information"])?;
    let searched = asked.query.one("search").unwrap_or_default().to_lowercase();
    let mut found: Vec<Project> = simulator.with(|state| visible(state, asked).cloned().collect());
    found.retain(|project| project.name.to_lowercase().contains(&searched));
    if let Some((_, descending)) = keys.iter().find(|(key, _)| *key == "name") {
        found.sort_by(|a, b| if *descending { b.name.cmp(&a.name) } else { a.name.cmp(&b.name) });
    }
    Ok(Answer::ok(&paging.of(found).json(wire::project)))
}

pub(super) fn get(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    simulator.with(|state| {
        let project = state.tree.project(asked.project(state)?).ok_or_else(Problem::no_route)?;
        let tag = crate::domain::ids::digest(&[&project.id, &project.name]);
        let etag = http::HeaderValue::from_str(&format!("\"{tag}\"")).ok();
        Ok(Answer { etag, ..Answer::ok(&wire::project(project)) })
    })
}

pub(super) fn self_managed_storage(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    simulator.with(|state| {
        let project = state.tree.project(asked.project(state)?).filter(|project| project.byob.is_some());
        let none = || Problem::not_found("projectId", asked.parameter("projectId"));
        let project = project.ok_or_else(none)?;
        let Home { bucket, prefix } = &project.home;
        Ok(Answer::ok(&json!({
            "storageConfigurationSubFolder": format!("s3://{bucket}/{prefix}"),
            "storageConfiguration": wire::storage_configuration(project),
        })))
    })
}

pub(super) fn storage_configurations(simulator: &Simulator, asked: &Asked) -> Answer {
    let all: BTreeMap<(String, String), _> = simulator.with(|state| {
        let own = visible(state, asked).filter(|project| project.byob.is_some());
        own.map(|project| (wire::configured(project), wire::storage_configuration_with_details(project)))
            .collect()
    });
    Answer::ok(&json!({"items": all.into_values().collect::<Vec<_>>()}))
}

pub(super) fn system_info() -> Answer {
    Answer::ok(&json!({"name": "Copy Manager's simulator", "version": env!("CARGO_PKG_VERSION")}))
}

pub(super) fn regions() -> Answer {
    Answer::ok(&json!({"items": [wire::region()]}))
}
