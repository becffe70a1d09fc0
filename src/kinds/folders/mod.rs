//! The life of roots whose children are folders of projects: planned whole, put a step at a time, watched
//! by what their folders have seen, and ended by one outcome out of the children's.

mod late;
mod patience;
mod plan;
pub(crate) mod preview;
pub(crate) mod staging;
mod stall;
mod stop;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::{
    domain::{ids::RequestId, outcome::Outcome, request::FolderRequest},
    engine::{
        core::Core,
        kind::{Advance, Refused},
        lease::{Held, Step},
        records::{Phase, RootState},
        round::Next,
    },
    planes::folder::FolderPlane,
};

/// What a kind decides whose children are folders.
#[async_trait]
pub(crate) trait FolderKind: Send + Sync {
    /// What a caller asks for, as stored.
    type Request: DeserializeOwned + Send + Sync;

    /// Whether it only asks what would be done.
    fn is_dry_run(request: &Self::Request) -> bool;

    /// Plans what needs other children than folders.
    async fn elsewhere(&self, _held: &mut Held, _source: &str, _request: &Self::Request) -> Step<Elsewhere> {
        Ok(Elsewhere::No)
    }

    /// What children it needs. `source` is who asked.
    ///
    /// # Errors
    ///
    /// [`Refused::Failed`] ends the request, the others have it tried again for a while.
    async fn children(
        &self,
        id: &RequestId,
        source: &str,
        request: &Self::Request,
    ) -> Result<Vec<FolderRequest>, Refused>;

    /// What is told of the children beyond what all such roots tell (`merged`).
    async fn outcome(
        &self,
        _held: &mut Held,
        _state: &RootState,
        _children: &[(RequestId, FolderRequest)],
        _outcomes: &[Outcome],
        merged: Outcome,
    ) -> Step<Outcome> {
        Ok(merged)
    }
}

/// What was made of a request that needs no folders.
#[derive(Debug)]
pub(crate) enum Elsewhere {
    /// Nothing: its children are folders.
    No,
    /// It is planned, or has ended.
    Done,
    /// It waits for its sources.
    Waits(Next),
}

/// The machine for such roots.
#[derive(Debug)]
pub(crate) struct Folders {
    pub(super) core: Arc<Core>,
    pub(super) folder: Arc<FolderPlane>,
    /// One permit per request being planned.
    plans: Semaphore,
}

impl Folders {
    /// A machine over this plane.
    #[must_use]
    pub(crate) fn new(core: Arc<Core>, folder: Arc<FolderPlane>) -> Self {
        Self { core, folder, plans: Semaphore::new(plan::AT_ONCE) }
    }

    /// Takes a root on.
    pub(crate) async fn advance<K: FolderKind>(&self, kind: &K, held: &mut Held) -> Step<Advance> {
        match Phase::of(&held.item) {
            Some(Phase::Planned) => self.spread(held).await.map(|()| Advance::On),
            Some(Phase::Running) => self.watch(kind, held).await,
            _ => Ok(self.plan(kind, held).await?.map_or(Advance::On, Advance::Wait)),
        }
    }
}
