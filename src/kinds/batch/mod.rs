//! The `batch` kind: a manifest, which says where each source goes.

mod report;

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    folders::{FolderKind, Folders},
    sources::{manifest, planner::Planner},
};
use crate::{
    domain::{batch::BatchRequest, ids::RequestId, outcome::Outcome, request::FolderRequest},
    engine::{
        core::Core,
        kind::{Kind, PlanError},
        lease::{Leased, RoundResult},
        records::RootState,
        round::AfterRound,
        tree::Tree,
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

    async fn plan(&self, held: &mut Leased) -> RoundResult<Option<AfterRound>> {
        self.folders.plan(self, held).await
    }

    fn tree<'a>(&'a self, state: &RootState) -> RoundResult<Box<dyn Tree + 'a>> {
        Ok(Box::new(self.folders.tree(self, state)))
    }
}

#[async_trait]
impl FolderKind for Batch {
    type Request = BatchRequest;

    fn is_dry_run(request: &BatchRequest) -> bool {
        request.dry_run
    }

    fn wants_receipt(request: &BatchRequest) -> bool {
        request.receipt
    }

    async fn children(
        &self,
        _id: &RequestId,
        source: &str,
        request: &BatchRequest,
    ) -> Result<Vec<FolderRequest>, PlanError> {
        let most = self.core.settings.jobs.max_items_per_job;
        manifest::plan(Planner::new(&self.core), Some(source), request, most).await
    }

    async fn outcome(
        &self,
        held: &mut Leased,
        most_in_piece: usize,
        children: &[(RequestId, FolderRequest)],
        outcomes: &[Outcome],
        merged: Outcome,
    ) -> RoundResult<Outcome> {
        let children = children.iter().map(|(_, spec)| spec).zip(outcomes);
        self.outcome_of_batch(held, most_in_piece, children, merged).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stored::{are_kept, documents};

    #[test]
    fn reads_what_earlier_versions_wrote() {
        let specs = documents("PAYLOAD", "spec");
        let specs: Vec<_> = specs.into_iter().filter(|text| text.contains("\"destinations\"")).collect();
        assert!(are_kept::<BatchRequest>(&specs) >= 2);
    }
}
