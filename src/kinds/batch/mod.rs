//! The `batch` kind: a manifest, which says where each source goes.

mod plan;
mod report;

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    folders::{FolderKind, Folders},
    sources::planner::Planner,
};
use crate::{
    domain::{batch::BatchRequest, ids::RequestId, outcome::Outcome, request::FolderRequest},
    engine::{
        core::Core,
        kind::{Advance, Kind, Refused},
        lease::{Held, Step},
        records::RootState,
        round::Next,
    },
};

/// Manifests.
#[derive(Debug)]
pub struct Batch {
    core: Arc<Core>,
    folders: Arc<Folders>,
}

impl Batch {
    pub(crate) fn new(core: Arc<Core>, folders: Arc<Folders>) -> Self {
        Self { core, folders }
    }
}

#[async_trait]
impl Kind for Batch {
    fn name(&self) -> &'static str {
        "batch"
    }

    async fn advance(&self, held: &mut Held) -> Step<Advance> {
        self.folders.advance(self, held).await
    }

    async fn await_children(&self, held: &Held, state: &mut RootState) -> Step<Option<Next>> {
        self.folders.wait_for_children(held, state).await
    }

    async fn clear_up(&self, held: &Held, state: &RootState, outcome: &Outcome) -> Step<()> {
        self.folders.clear_up(held, state, outcome).await
    }
}

#[async_trait]
impl FolderKind for Batch {
    type Request = BatchRequest;

    fn is_dry_run(request: &BatchRequest) -> bool {
        request.dry_run
    }

    async fn children(
        &self,
        _id: &RequestId,
        source: &str,
        request: &BatchRequest,
    ) -> Result<Vec<FolderRequest>, Refused> {
        let most = self.core.settings.jobs.max_items_per_job;
        plan::plan(Planner::new(&self.core), source, request, most).await
    }

    async fn outcome(
        &self,
        held: &mut Held,
        state: &RootState,
        children: &[(RequestId, FolderRequest)],
        outcomes: &[Outcome],
        merged: Outcome,
    ) -> Step<Outcome> {
        let children = children.iter().map(|(_, spec)| spec).zip(outcomes);
        self.outcome_of_batch(held, state.most_in_piece, children, merged).await
    }
}
