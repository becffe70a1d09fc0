//! The receipt of a request whose children are folders: what is there is looked at once more, as a dry run of the
//! same request would.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::Folders;
use crate::{
    domain::{
        ids::RequestId,
        outcome::Outcome,
        receipt::{Fate, Line, LineJob, Receipt},
        request::FolderRequest,
        route::Route,
    },
    engine::{
        lease::{Leased, RoundError, RoundResult, SKEW, id_of},
        liveness::RootRef,
        receipt::ReceiptDraft,
        records::{attr, started_at},
    },
    planes::folder::PreviewEntry,
    ports::reports::Reports,
    signals,
};

/// Rounds that may fail in a row before a request ends without its receipt: some minutes.
const TRIES: i64 = 8;
/// Jobs that a line names.
const MOST_JOBS: usize = 10;

type Child = (RequestId, FolderRequest);

/// Takes the files of a request, each as it stands at its end.
#[async_trait]
pub(crate) trait TakesLines: Send {
    /// Takes one.
    async fn take(&mut self, line: Line) -> RoundResult<()>;
}

#[async_trait]
impl TakesLines for ReceiptDraft {
    async fn take(&mut self, line: Line) -> RoundResult<()> {
        Ok(self.add(&line).await?)
    }
}

impl Folders {
    /// Writes the receipt of a root of which all of `plan` has been done, and whose children have ended so. One that
    /// cannot be written keeps its caller waiting for some minutes at most: the copy is told all the same.
    pub(super) async fn receipt(
        &self,
        held: &mut Leased,
        plan: &[Child],
        ended: &[Child],
        outcomes: &[Outcome],
    ) -> RoundResult<Option<Receipt>> {
        let Some(reports) = &self.core.ports.reports else { return Ok(None) };
        let lines = async |draft: &mut ReceiptDraft| self.add_lines(held, draft, plan, ended, outcomes).await;
        write(reports.as_ref(), held, lines).await
    }

    /// Looks at all that was planned once more, folder by folder, and tells of each file how it stands.
    pub(crate) async fn add_lines(
        &self,
        held: &Leased,
        draft: &mut dyn TakesLines,
        plan: &[Child],
        ended: &[Child],
        outcomes: &[Outcome],
    ) -> RoundResult<()> {
        // The platform tells whole seconds, by a clock of its own.
        let skew = SignedDuration::try_from(SKEW).unwrap_or_default();
        let began = started_at(&held.item).checked_sub(skew).unwrap_or(Timestamp::MIN);
        let all_arrived = outcomes.iter().all(|outcome| outcome.failure.is_none());
        let mut jobs: HashMap<(&str, &str), Vec<LineJob>> = HashMap::new();
        for ((_, spec), outcome) in ended.iter().zip(outcomes) {
            let of_folder = jobs.entry((spec.project.as_str(), spec.path.as_str())).or_default();
            let known = outcome.jobs.iter().take(MOST_JOBS.saturating_sub(of_folder.len()));
            of_folder.extend(known.map(|job| LineJob {
                job_id: job.job_id.clone(),
                attempt: job.attempt,
                status: job.status.clone(),
            }));
        }
        // What goes with its whole folder is told level by level, which children that were not needed say too.
        let told = plan.iter().map(|(_, spec)| spec).filter(|spec| !spec.staging && !spec.sends_trees());
        let mut told: Vec<_> = told.collect();
        told.sort_by(|one, other| (&one.project, &one.path).cmp(&(&other.project, &other.path)));
        let party = [RootRef::of(&held.item)];
        for specs in told.chunk_by(|one, other| (&one.project, &one.path) == (&other.project, &other.path)) {
            held.lease.check()?;
            if self.core.stop.is_cancelled() {
                return Err(RoundError::Stopping);
            }
            self.core.record_progress(&party);
            let of_folder =
                specs.first().and_then(|spec| jobs.get(&(spec.project.as_str(), spec.path.as_str())));
            let mut known = HashSet::new();
            for (file, entry) in self.folder.preview_folder(specs).await?.files {
                // A folder that was gone through again is planned twice.
                let is_new = known.insert((file.source.clone(), file.destination.clone()));
                // What came after all had arrived was not asked for.
                let is_later = all_arrived && entry == PreviewEntry::Brought;
                if !is_new || is_later {
                    continue;
                }
                let there = file.there.as_ref();
                let came = there.is_some_and(|there| there.made_at >= began);
                let result = match entry {
                    PreviewEntry::Skipped if came => Fate::Copied,
                    PreviewEntry::Skipped => Fate::Skipped,
                    PreviewEntry::Kept => Fate::Kept,
                    PreviewEntry::Brought | PreviewEntry::InFlight | PreviewEntry::Unready => Fate::Failed,
                };
                let arrived = entry == PreviewEntry::Skipped;
                let route = there.map(|there| there.route).filter(|_| result == Fate::Copied);
                let by_job = route == Some(Route::Job);
                let line = Line {
                    etag: there.filter(|_| arrived).and_then(|there| there.etag.clone()),
                    compared: there.map(|there| if there.by_size { "size" } else { "tag" }.to_owned()),
                    made_at: there.filter(|_| arrived).map(|there| there.made_at.to_string()),
                    route: route.map(|route| route.as_str().to_owned()),
                    jobs: of_folder.filter(|_| by_job).cloned().unwrap_or_default(),
                    why: (!arrived).then_some(file.reason),
                    took_ms: None,
                    source: file.source,
                    destination: file.destination,
                    size: Some(file.size),
                    result,
                };
                draft.take(line).await?;
            }
        }
        Ok(())
    }
}

/// Writes the receipt of a root, with what `lines` adds to it.
pub(crate) async fn write(
    reports: &dyn Reports,
    held: &Leased,
    lines: impl AsyncFnOnce(&mut ReceiptDraft) -> RoundResult<()>,
) -> RoundResult<Option<Receipt>> {
    let mut draft = match ReceiptDraft::begin(reports, &id_of(held)).await {
        Ok(draft) => draft,
        Err(error) => return without(held, error.into()),
    };
    // A holder that has lost the record must not write over what the next one has told of.
    let finished = match lines(&mut draft).await.and_then(|()| held.lease.check()) {
        Ok(()) => draft.finish().await.map_err(RoundError::Port),
        Err(error) => {
            draft.abandon().await;
            Err(error)
        }
    };
    finished.map(Some).or_else(|error| without(held, error))
}

/// An error on the way to a receipt: it is tried again some times, and then the request ends without.
fn without(held: &Leased, error: RoundError) -> RoundResult<Option<Receipt>> {
    let failures = held.item.number(attr::FAILURES).unwrap_or(0);
    match error {
        RoundError::Port(error) if !error.is_passing() || failures >= TRIES => {
            signals::batch::receipt_failed(held.lease.key.id.as_str(), &error);
            Ok(None)
        }
        error => Err(error),
    }
}
