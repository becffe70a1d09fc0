//! The `copy` kind: named files and folders into one folder of a project, or to a place in a bucket.

mod plan;
pub(crate) mod to_bucket;

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    folders::{Elsewhere, FolderKind, Folders},
    slices::Slices,
    sources::planner::Planner,
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::Failure,
        preview::Preview,
        request::{CopyRequest, FolderRequest},
    },
    engine::{
        core::Core,
        kind::{Kind, PlanError},
        lease::{Leased, RoundResult},
        records::RootState,
        round::AfterRound,
        tree::Tree,
    },
    planes::objects::ObjectsPlane,
    ports::{self, blame::final_failure},
};

/// Copies of files and folders.
#[derive(Debug)]
pub struct Copy {
    core: Arc<Core>,
    folders: Arc<Folders>,
    objects: Arc<ObjectsPlane>,
}

impl Copy {
    pub(crate) fn new(core: Arc<Core>, folders: Arc<Folders>, objects: Arc<ObjectsPlane>) -> Self {
        Self { core, folders, objects }
    }

    /// What a request would do, with at most so many bytes of files. A request that would be refused
    /// is the inner error.
    pub async fn dry_run(
        &self,
        event_source: &str,
        request: &CopyRequest,
        most_bytes: usize,
    ) -> ports::Result<Result<Preview, Failure>> {
        if let Some(preview) = self.dry_outward(event_source, request, most_bytes).await? {
            return Ok(preview);
        }
        let children = match self.children(&RequestId::new("dry-run"), event_source, request).await {
            Ok(children) => children,
            Err(PlanError::Failed(failure) | PlanError::NotYet(failure)) => return Ok(Err(failure)),
            Err(PlanError::Port(error)) => return Err(error),
        };
        match self.folders.preview(&children, most_bytes).await {
            Ok(preview) => Ok(Ok(preview)),
            Err(error) if error.is_passing() => Err(error),
            Err(error) => Ok(Err(final_failure(&error))),
        }
    }
}

#[async_trait]
impl Kind for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    async fn plan(&self, held: &mut Leased) -> RoundResult<Option<AfterRound>> {
        self.folders.plan(self, held).await
    }

    fn tree<'a>(&'a self, state: &RootState) -> RoundResult<Box<dyn Tree + 'a>> {
        Ok(match Slices::of(&self.core, self, state)? {
            Some(slices) => Box::new(slices),
            None => Box::new(self.folders.tree(self, state)),
        })
    }
}

#[async_trait]
impl FolderKind for Copy {
    type Request = CopyRequest;

    fn is_dry_run(request: &CopyRequest) -> bool {
        request.dry_run
    }

    fn wants_receipt(request: &CopyRequest) -> bool {
        request.receipt
    }

    async fn elsewhere(
        &self,
        held: &mut Leased,
        source: &str,
        request: &CopyRequest,
    ) -> RoundResult<Elsewhere> {
        self.plan_outward(held, source, request).await
    }

    async fn children(
        &self,
        id: &RequestId,
        source: &str,
        request: &CopyRequest,
    ) -> Result<Vec<FolderRequest>, PlanError> {
        plan::plan(Planner::new(&self.core), id, source, request).await
    }
}
