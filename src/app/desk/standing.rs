//! Where packages and pushes stand, and how that is shown.

use super::Desk;
use crate::{
    domain::{
        ids::RequestId,
        share::{
            ids::{self, Shared},
            settings::ShareSettings,
        },
    },
    engine::view::RequestView,
    events::share::shown::{FilesShown, JobStatus, PackageShown, Progress, PushShown, ReceiptShown},
    kinds::cards::{Card, Ended},
    ports,
    share::Refusal,
};

/// Where something stands.
pub(super) struct Standing {
    pub(super) status: JobStatus,
    pub(super) end: Option<Ended>,
    progress: Option<Progress>,
}

impl Standing {
    /// Of something that was asked for just now.
    pub(super) const fn fresh() -> Self {
        Self { status: JobStatus::Pending, end: None, progress: None }
    }

    /// Of something that was asked for again just now.
    pub(super) const fn again() -> Self {
        Self { status: JobStatus::Running, end: None, progress: None }
    }
}

impl Desk {
    /// The card of that id.
    pub(super) async fn card(&self, id: &RequestId) -> Result<Card, Refusal> {
        let unknown = || Refusal::NotFound(format!("{id} is not known"));
        self.cards.of(id).await?.ok_or_else(unknown)
    }

    /// The package that another one is to be made since, where it has its files.
    pub(super) async fn since(&self, text: &str) -> Result<RequestId, Refusal> {
        let id = Shared::Package.read(text);
        let id = id.ok_or_else(|| Refusal::Bad(format!("{text} is not the id of a package")))?;
        let card = self.card(&id).await?;
        if self.standing(&id, &card).await?.status != JobStatus::Succeeded {
            return Err(Refusal::Conflict(format!("{id} has not succeeded")));
        }
        let lost = || Refusal::Conflict(format!("the files of {id} are not kept any more"));
        self.packages.report(&id).await?.ok_or_else(lost)?;
        Ok(id)
    }

    /// Where it stands; how it ended is written down once that is seen.
    pub(super) async fn standing(&self, id: &RequestId, card: &Card) -> ports::Result<Standing> {
        let attempt = card.newest();
        if let Some(end) = card.ended() {
            return Ok(Standing { status: end.status(), end: Some(end.clone()), progress: None });
        }
        let Some(view) = self.engine.view(ids::attempt(id, attempt).as_str()).await? else {
            // Its root is gone before its end was seen.
            let end = Ended::lost(self.clock.now());
            return Ok(Standing { status: end.status(), end: Some(end), progress: None });
        };
        let progress = self.progress(&view);
        match &view.outcome {
            None if view.begun || attempt > 1 => {
                Ok(Standing { status: JobStatus::Running, end: None, progress })
            }
            None => Ok(Standing { status: JobStatus::Pending, end: None, progress: None }),
            Some(outcome) => {
                let end = Ended::of(outcome, attempt);
                // A hint, which the next who looks writes down if this one cannot.
                drop(self.cards.end(id, card, &end).await);
                Ok(Standing { status: end.status(), end: Some(end), progress })
            }
        }
    }

    fn progress(&self, view: &RequestView) -> Option<Progress> {
        let counters = &view.counters;
        let until = view.outcome.as_ref().map_or_else(|| self.clock.now(), |outcome| outcome.finished_at);
        let seconds = u64::try_from(until.duration_since(view.started_at).as_secs()).unwrap_or(0).max(1);
        let done = counters.copied + counters.skipped;
        let left = counters.files.saturating_sub(done + counters.failed);
        (counters.files > 0).then(|| Progress {
            files_done: done,
            bytes_done: counters.bytes,
            bytes_per_second: counters.bytes / seconds,
            // By files: how many bytes are left is not counted.
            seconds_left: (done > 0).then(|| left.saturating_mul(seconds) / done),
        })
    }

    pub(super) fn shown(&self, id: &RequestId, card: &Card, standing: &Standing) -> PackageShown {
        let expires_at = self.settings.expires_at(card.asked_at);
        let succeeded = standing.status == JobStatus::Succeeded;
        let end = standing.end.as_ref();
        PackageShown {
            id: id.to_string(),
            package_name: card.name.clone(),
            steps_execution_arn: ShareSettings::link(self.public_url.as_str(), id),
            status: standing.status,
            request_time: card.asked_at,
            completion_time: end.filter(|_| succeeded).map(|end| end.at),
            has_expired: self.clock.now() >= expires_at,
            expires_at,
            error_message: end.and_then(|end| end.error.clone()),
            requested_by: card.who.clone(),
            files: end.filter(|_| succeeded).map(|end| FilesShown {
                total: end.files,
                bytes: end.bytes,
                archived: end.archived,
            }),
            labels: card.labels.clone(),
        }
    }

    pub(super) fn push_shown(&self, id: &RequestId, card: &Card, standing: Standing) -> PushShown {
        let Standing { status, end, progress } = standing;
        PushShown {
            id: id.to_string(),
            step_functions_execution_arn: ShareSettings::link(self.public_url.as_str(), id),
            status,
            start_time: card.asked_at,
            package_id: card.package_id.clone(),
            share_destination: card.destination.clone(),
            log_uri: end.as_ref().and_then(|end| end.log_uri.clone()),
            end_time: end.as_ref().map(|end| end.at),
            error_messages: end.as_ref().and_then(|end| end.error.clone()),
            package_name: card.name.clone(),
            requested_by: card.who.clone(),
            progress,
            receipt: end.as_ref().and_then(|end| end.receipt.clone()).map(ReceiptShown::from),
            delivered: end.as_ref().map(|end| end.delivered.clone()).unwrap_or_default(),
            ingest_ids: end.as_ref().and_then(|end| end.ingest_ids.clone()),
            dry_run: card.dry_run,
            preview: end.and_then(|end| end.preview).filter(|_| card.dry_run),
        }
    }
}
