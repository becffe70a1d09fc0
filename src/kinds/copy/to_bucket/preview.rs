//! The acts of a copy that leaves ICAv2, told without doing them. Nothing is written: the destination is only
//! looked at.

use super::{
    CancellationCheck, NotBegun, PlanResult, culprit,
    target::Target,
    walk::{TargetPath, Walk},
};
use crate::{
    domain::{
        copy_out::Origin,
        file::status_words,
        outcome::{ErrorName, Failure},
        preview::{Conflict, Preview, PreviewFile},
        request::{CopyRequest, OnConflict},
        route::Route,
    },
    engine::{
        concurrent::join_unordered,
        lease::{Leased, RoundError},
        liveness::RootRef,
    },
    kinds::{copy::Copy, folders::preview::Draft, sources::external},
    planes::{
        folder::{PreviewEntry, clash_words},
        objects::conflict::{Likeness, likeness},
    },
    ports::{
        self, Class, Error,
        objects::{Access, ObjectLocation},
    },
};

/// Objects looked at at a time.
const WIDTH: usize = 32;

const UNSEEN: &str = "this service may not look whether something is there";

impl Copy {
    /// The acts of a request that leaves ICAv2, with at most so many bytes of files; `None` where it goes to
    /// a project. A request that would be refused is the inner error.
    pub(crate) async fn dry_outward(
        &self,
        source: &str,
        request: &CopyRequest,
        most_bytes: usize,
    ) -> ports::Result<Option<Result<Preview, Failure>>> {
        match self.preview_outward(source, request, most_bytes, None).await {
            Ok(preview) => Ok(preview.map(Ok)),
            Err(NotBegun::Refused(failure) | NotBegun::NotYet(failure)) => Ok(Some(Err(failure))),
            Err(NotBegun::At(_)) => Ok(None),
            Err(NotBegun::RoundError(RoundError::Port(error))) => Err(error),
            Err(NotBegun::RoundError(RoundError::Lost | RoundError::Stopping)) => {
                Err(Error::new(Class::Transient, "plan", "the process is stopping"))
            }
        }
    }

    /// The same for a request that is held, if it is.
    pub(super) async fn preview_outward(
        &self,
        source: &str,
        request: &CopyRequest,
        most_bytes: usize,
        held: Option<&Leased>,
    ) -> Result<Option<Preview>, NotBegun> {
        let Some(mut walk) = self.walk(source, request).await? else { return Ok(None) };
        self.look_at_bucket(walk.target()).await?;
        let on_conflict = request.on_conflict.unwrap_or(self.core.settings.copy.on_conflict);
        let mut watch = CancellationCheck::new();
        let mut draft = Draft::new(most_bytes, self.core.settings.jobs.max_items_per_job);
        while let Some(landings) = walk.next().await? {
            let mut files = self.looked_at(&walk, &landings, on_conflict).await?;
            files.sort_by(|(a, _), (b, _)| a.destination.cmp(&b.destination));
            let (_, streamed) = draft.tell(files);
            // Each file is asked for by itself.
            draft.calls(streamed);
            let Some(held) = held else { continue };
            self.core.record_progress(&[RootRef::of(&held.item)]);
            if let Some(failure) = watch.stopped(&self.core, held).await? {
                return Err(failure.into());
            }
        }
        draft.calls(walk.calls);
        walk.check_ready()?;
        walk.finish()?;
        Ok(Some(draft.finish()))
    }

    /// Whether there is a bucket at all, as far as it may be looked at. That nothing may be written there
    /// only shows when it is tried.
    async fn look_at_bucket(&self, target: &Target) -> PlanResult<()> {
        let (bucket, prefix) = (target.bucket.as_str(), target.prefix.as_str());
        match self.core.ports.objects.list(bucket, prefix, None, &Access::Own).await {
            Err(error) if error.class == Class::NotFound => {
                let message = "the destination bucket does not exist";
                Err(culprit(ErrorName::InvalidRequest, message, &target.uri, &error.to_string()).into())
            }
            Err(error) if error.is_passing() => Err(error.into()),
            Err(error) if error.class == Class::Invalid => Err(external::refused(bucket, &target.uri, error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn looked_at(
        &self,
        walk: &Walk<'_>,
        landings: &[TargetPath],
        on_conflict: OnConflict,
    ) -> PlanResult<Vec<(PreviewFile, PreviewEntry)>> {
        let looks = landings.iter().map(|landing| self.look_outward(walk.target(), landing, on_conflict));
        let files: ports::Result<Vec<_>> = join_unordered(WIDTH, looks).await.into_iter().collect();
        Ok(files?)
    }

    async fn look_outward(
        &self,
        target: &Target,
        landing: &TargetPath,
        on_conflict: OnConflict,
    ) -> ports::Result<(PreviewFile, PreviewEntry)> {
        let to = ObjectLocation::new(target.bucket.as_str(), landing.item.to.as_str());
        let (route, how) = match &landing.item.from {
            Origin::Data { .. } => (Route::Stream, "is read from ICAv2 and written to the bucket"),
            Origin::Object { .. } => (Route::S3Copy, "is copied inside S3"),
        };
        let mut file = PreviewFile {
            source: landing.item.from.to_string(),
            destination: to.to_string(),
            route: Some(route),
            reason: how.to_owned(),
            size: landing.info.size,
            conflict: None,
            there: None,
        };
        if let Some(status) = landing.unready {
            file.route = None;
            status_words(status).clone_into(&mut file.reason);
            return Ok((file, PreviewEntry::Unready));
        }
        let there = match self.core.ports.objects.look(&to, &Access::Own).await {
            Ok(Some(there)) => there,
            Ok(None) => return Ok((file, PreviewEntry::Brought)),
            Err(error) if error.class == Class::Forbidden => {
                file.reason = format!("{how}; {UNSEEN}");
                return Ok((file, PreviewEntry::Brought));
            }
            Err(error) => return Err(error),
        };
        let clash = match likeness(&landing.info, &there) {
            Likeness::Equal => return Ok(is_there(file, "is there already")),
            Likeness::Alike if on_conflict != OnConflict::Overwrite => {
                return Ok(is_there(file, "is there already, as far as its size tells"));
            }
            Likeness::Alike => "an object of the same size is there".to_owned(),
            Likeness::Other(clash) => clash_words(clash),
        };
        file.conflict = Some(Conflict { there: clash, then: on_conflict });
        let reason = match on_conflict {
            OnConflict::Overwrite => {
                file.reason = format!("{how}; what stands there is replaced");
                return Ok((file, PreviewEntry::Brought));
            }
            OnConflict::Skip => "what stands there stays",
            OnConflict::Fail => "cannot be brought",
        };
        (file.route, file.reason) = (None, reason.to_owned());
        Ok((file, PreviewEntry::Kept))
    }
}

fn is_there(file: PreviewFile, reason: &str) -> (PreviewFile, PreviewEntry) {
    (PreviewFile { route: None, reason: reason.to_owned(), ..file }, PreviewEntry::Skipped)
}
