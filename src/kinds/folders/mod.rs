//! The life of roots whose children are folders of projects: planned whole, put a step at a time, watched by
//! the looks of their folders, and ended by one outcome out of the children's.

mod end;
mod late;
mod patience;
mod plan;
pub(crate) mod preview;
pub(crate) mod receipt;
pub(crate) mod staging;
mod tree;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;

use crate::{
    domain::{ids::RequestId, outcome::Outcome, request::FolderRequest},
    engine::{
        core::Core,
        kind::PlanError,
        lease::{Leased, RoundResult},
        round::AfterRound,
    },
    planes::folder::FolderPlane,
};

/// The decisions of a kind whose children are folders.
#[async_trait]
pub(crate) trait FolderKind: fmt::Debug + Send + Sync {
    /// The request of a caller, as stored.
    type Request: DeserializeOwned + Send + Sync;

    /// Whether it only asks what would be done.
    fn is_dry_run(request: &Self::Request) -> bool;

    /// Whether a receipt is to be kept.
    fn wants_receipt(request: &Self::Request) -> bool;

    /// Plans requests that need other children than folders.
    async fn elsewhere(
        &self,
        _held: &mut Leased,
        _source: &str,
        _request: &Self::Request,
    ) -> RoundResult<Elsewhere> {
        Ok(Elsewhere::No)
    }

    /// The children that it needs. `source` is the event source that asked.
    ///
    /// # Errors
    ///
    /// [`PlanError::Failed`] ends the request, the other errors have it tried again for a while.
    async fn children(
        &self,
        id: &RequestId,
        source: &str,
        request: &Self::Request,
    ) -> Result<Vec<FolderRequest>, PlanError>;

    /// Adds to the outcome of a dry run what else is told of it.
    async fn complete_dry_run(&self, _held: &Leased, _outcome: &mut Outcome) -> RoundResult<()> {
        Ok(())
    }

    /// The outcome of a root: `merged`, which is that of every such root, and all that this kind adds to it.
    /// At most so many sources were in a piece of a manifest when it was planned.
    async fn outcome(
        &self,
        _held: &mut Leased,
        _most_in_piece: usize,
        _children: &[(RequestId, FolderRequest)],
        _outcomes: &[Outcome],
        merged: Outcome,
    ) -> RoundResult<Outcome> {
        Ok(merged)
    }
}

/// The result for a request that may need no folders.
#[derive(Debug)]
pub(crate) enum Elsewhere {
    /// Nothing: its children are folders.
    No,
    /// It is planned, or has ended.
    Done,
    /// It waits for its sources.
    Waits(AfterRound),
}

/// The state that such a root keeps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Own {
    /// When the plan was begun, milliseconds since 1970: no folder that came later is in it.
    planned_at: i64,
    /// Sources in a piece of a manifest.
    most_in_piece: usize,
    /// Whether its sources have been listed once more.
    listed_again: bool,
    /// Whether a receipt is to be kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    receipt: bool,
}

/// The tools with which such roots are planned and ended.
#[derive(Debug)]
pub(crate) struct Folders {
    pub(super) core: Arc<Core>,
    pub(super) folder: Arc<FolderPlane>,
    /// One permit per request being planned.
    plans: Semaphore,
}

impl Folders {
    /// Over this plane.
    #[must_use]
    pub(crate) fn new(core: Arc<Core>, folder: Arc<FolderPlane>) -> Self {
        Self { core, folder, plans: Semaphore::new(plan::AT_ONCE) }
    }
}
