//! A push into a project: the manifest that says the same, each folder of the package a destination.

use async_trait::async_trait;

use super::{Failed, Push};
use crate::{
    domain::{
        batch::BatchRequest,
        ids::RequestId,
        request::FolderRequest,
        share::{destination::Destination, request::PushOrder},
    },
    engine::kind::PlanError,
    kinds::{
        folders::FolderKind,
        sources::{manifest, planner::Planner},
    },
};

#[async_trait]
impl FolderKind for Push {
    type Request = PushOrder;

    fn is_dry_run(_: &PushOrder) -> bool {
        false
    }

    fn wants_receipt(_: &PushOrder) -> bool {
        false
    }

    async fn children(
        &self,
        _id: &RequestId,
        source: &str,
        order: &PushOrder,
    ) -> Result<Vec<FolderRequest>, PlanError> {
        let Destination::Project(folder) = self.destination(order)? else { return Ok(Vec::new()) };
        let packaged = self.packaged(order).await.map_err(|failed| match failed {
            Failed::Failure(failure) => PlanError::Failed(failure),
            Failed::Port(error) => PlanError::from(error),
        })?;
        let mut lines = Vec::new();
        for n in 0..packaged.chunks() {
            lines.extend(packaged.files(n).await?.into_iter().map(|file| {
                let parent = file.path.rsplit_once('/').map_or("", |(parent, _)| parent);
                let slash = if parent.is_empty() { "" } else { "/" };
                (file.uri, vec![format!("{folder}{parent}{slash}")])
            }));
        }
        let all = BatchRequest { on_conflict: order.on_conflict, ..BatchRequest::of_manifest(lines) };
        let most = self.core.settings.jobs.max_items_per_job;
        manifest::plan(Planner::new(&self.core), source, &all, most).await
    }
}
