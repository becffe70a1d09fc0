//! A push into a project: the manifest that says the same, each folder of the package a destination.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Failed, Push};
use crate::{
    domain::{
        batch::BatchRequest,
        ids::RequestId,
        outcome::{ErrorName, Outcome},
        request::FolderRequest,
        share::{destination::Destination, files::PackagedFile, request::PushOrder},
    },
    engine::{
        concurrent::join_unordered,
        kind::PlanError,
        lease::{Leased, RoundResult},
    },
    kinds::{
        folders::FolderKind,
        frozen::Wrong,
        sources::{manifest, planner::Planner},
    },
    ports::{
        self,
        objects::{Access, ObjectLocation},
    },
};

/// Objects looked at at a time.
const WIDTH: usize = 32;

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
        let (mut lines, mut wrong) = (Vec::new(), Wrong::default());
        for n in 0..packaged.chunks() {
            let files = packaged.files(n).await?;
            self.refuse_changed(&files, &mut wrong).await?;
            for file in files {
                let (parent, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
                if file.uri.rsplit('/').next() != Some(name) {
                    let why = format!("would be {name}: in a project files keep their names");
                    wrong.note(file.uri.clone(), why);
                }
                let slash = if parent.is_empty() { "" } else { "/" };
                let to = format!("{folder}{parent}{slash}");
                lines.push((file.uri, vec![to]));
            }
        }
        wrong.refuse(ErrorName::CopyError, "files of the package cannot be pushed into a project")?;
        let all = BatchRequest { on_conflict: order.on_conflict, ..BatchRequest::of_manifest(lines) };
        let most = self.core.settings.jobs.max_items_per_job;
        manifest::plan(Planner::new(&self.core), source, &all, most).await
    }

    async fn outcome(
        &self,
        held: &mut Leased,
        _most_in_piece: usize,
        _children: &[(RequestId, FolderRequest)],
        _outcomes: &[Outcome],
        mut merged: Outcome,
    ) -> RoundResult<Outcome> {
        self.answer(held, &mut merged).await?;
        Ok(merged)
    }
}

impl Push {
    /// Notes the files that are not what was packaged any more. A job takes what it finds, so they are looked at
    /// before there is one.
    async fn refuse_changed(&self, files: &[PackagedFile], wrong: &mut Wrong) -> ports::Result<()> {
        let objects = &self.core.ports.objects;
        let looks = files.iter().enumerate().map(|(n, file)| async move {
            let place = file.uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
            let Some((bucket, key)) = place else { return Ok((n, None)) };
            match objects.look(&ObjectLocation::new(bucket, key), &Access::Own).await {
                Err(error) if !error.is_passing() => Ok((n, None)),
                looked => looked.map(|found| (n, found)),
            }
        });
        let found: ports::Result<BTreeMap<_, _>> = join_unordered(WIDTH, looks).await.into_iter().collect();
        for (file, found) in files.iter().zip(found?.into_values()) {
            let etag = found.as_ref().and_then(|found| Some(found.etag.as_ref()?.to_string()));
            if found.is_none() {
                wrong.note(file.uri.clone(), "does not exist or is not accessible".to_owned());
            } else if etag != file.etag {
                wrong.note(file.uri.clone(), "has changed since it was packaged".to_owned());
            }
        }
        Ok(())
    }
}
