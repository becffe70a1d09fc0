//! A stand-in for Instructure's Data Access Platform: strict, in memory, on tokio's clock, and the same for the same
//! seed.
//!
//! [`DapSimulator::router`] serves its Query API, the objects of jobs, and the controls: `POST /_control` changes
//! [`Controls`] (`{"reset": true}` goes back to the start), `GET /_log` lists the calls (`?clear` empties it).
//! In process, [`super::in_process::call`] calls that router without a socket.
//!
//! Tables are histories of commits, told by a [`DapWorld`]: one from a file, [`demo::world`], or one made by
//! chance, [`chance::world`].
//!
//! What it does not do: the format `parquet`, ranges of objects, and files larger than memory.

mod api;
pub mod chance;
mod controls;
pub mod demo;
mod files;
mod gate;
mod history;
mod lines;
mod log;
mod refusal;
mod rules;
mod state;
pub mod world;

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    routing::{get, post},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::Instant;

pub use self::{
    controls::{Clock, Commits, Controls, DapSettings},
    log::LoggedCall,
    rules::Rule,
};
use self::{
    refusal::Refusal,
    state::State,
    world::{DapWorld, DapWorldError, Fields, WorldTable},
};

/// The simulated platform.
#[derive(Debug)]
pub struct DapSimulator {
    settings: DapSettings,
    world: DapWorld,
    started: Instant,
    /// Never held across an await.
    state: Mutex<State>,
}

/// What cannot be set.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoControl(String);

/// A table as it truly is.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// The version of its schema.
    pub version: i64,
    /// Its schema, as the API tells it.
    pub schema: Value,
    /// Keys and values of its rows, those that were put last at the end. Values may have what the schema has not.
    pub rows: Vec<(Fields, Fields)>,
}

impl DapSimulator {
    /// The platform at the start of that world.
    pub fn new(settings: DapSettings, world: DapWorld) -> Result<Arc<Self>, DapWorldError> {
        world.check()?;
        let state = Mutex::new(State::new(settings.seed, &settings.controls));
        Ok(Arc::new(Self { settings, world, started: Instant::now(), state }))
    }

    /// Everything over HTTP.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/_control", post(gate::control))
            .route("/_log", get(gate::log))
            .fallback(gate::gate)
            .with_state(Arc::clone(self))
    }

    /// Changes [`Controls`], as `/_control` does; all of them come back.
    pub fn control(&self, wishes: Value) -> Result<Controls, NoControl> {
        let Value::Object(wishes) = wishes else { return Err(NoControl("no JSON object".to_owned())) };
        self.change(wishes).map_err(|refusal| NoControl(refusal.message))
    }

    fn change(&self, mut wishes: Fields) -> Result<Controls, Refusal> {
        let back = wishes.remove("reset").is_some_and(|wish| wish == true);
        self.with(|state| {
            if back {
                *state = State::new(self.settings.seed, &self.settings.controls);
            }
            state.controls = state.controls.changed(wishes)?;
            Ok(state.controls.clone())
        })
    }

    /// The calls so far; perhaps they are forgotten.
    pub fn log(&self, clear: bool) -> Vec<LoggedCall> {
        self.with(|state| {
            let calls = state.log.all();
            if clear {
                state.log.clear();
            }
            calls
        })
    }

    /// A table as it truly is now.
    pub fn truth(&self, namespace: &str, table: &str) -> Option<Truth> {
        let known = |known: &&WorldTable| known.namespace == namespace && known.name == table;
        let table = self.world.tables.iter().find(known)?;
        let commit = self.commit_of(table);
        let version = table.version(commit);
        let rows = table.snapshot(commit);
        let rows = rows.iter().filter_map(|row| Some((row.key.clone(), row.value?.clone())));
        let rows: Vec<_> = if table.twice { rows.step_by(2).collect() } else { rows.collect() };
        Some(Truth { version, schema: table.json_schema(version), rows })
    }

    /// The time there.
    pub fn now(&self) -> Timestamp {
        let gone = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::MAX);
        self.settings.epoch.checked_add(gone).unwrap_or(Timestamp::MAX)
    }

    /// The number of the last commit that has happened to a table.
    fn commit_of(&self, table: &WorldTable) -> usize {
        let now = self.now();
        self.with(|state| match &state.controls.commit {
            Commits::All(number) => *number,
            Commits::ByTable(numbers) => {
                numbers.get(&format!("{}.{}", table.namespace, table.name)).copied().unwrap_or_default()
            }
            Commits::Clock(_) => table.commit_at(now),
        })
    }

    fn public_url(&self) -> &str {
        self.settings.public_url.trim_end_matches('/')
    }

    /// Looks at the present, or changes it.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
