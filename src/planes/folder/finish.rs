//! The outcome that a waiter is told once nothing that it wants is open any more.

use std::{collections::HashSet, time::Duration};

use super::{
    FolderPlane,
    child::tally_of,
    snapshot::{Snapshot, TreeStatus},
    state::{Before, FolderState, MOST_REMEMBERED},
    trees::is_news,
    waiter::{Progress, Waiter},
    wanted::{Resolved, Source},
};
use crate::{
    domain::{
        diff::{Clash, Verdict},
        file::FileInfo,
        ids::FolderId,
        outcome::{Counted, Counters, Culprit, ErrorName, Failure, Outcome},
        route::Route,
    },
    engine::{
        dispatch::Priority,
        lease::{Leased, RoundResult},
        liveness::RootRef,
        records,
        tree::ChildEnd,
    },
    ports::store::{Key, Write, Written},
    signals,
};

/// How one wanted file stands, for good or not yet.
enum FileResult {
    Done,
    /// Another file is there and stays, as the request wants it.
    Left,
    Open,
    Failed(ErrorName, String),
}

/// Which failure names a set of files when there are several: those come first that the caller can act on.
const PRECEDENCE: [ErrorName; 6] = [
    ErrorName::InvalidRequest,
    ErrorName::SourceNotFound,
    ErrorName::SourceNotReady,
    ErrorName::DestinationConflict,
    ErrorName::TransferFailed,
    ErrorName::CopyJobFailed,
];

impl FolderPlane {
    /// Gives every waiter that has nothing open its outcome. Returns how many still wait.
    pub(super) async fn finish(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        snapshot: &Snapshot,
    ) -> RoundResult<usize> {
        let mut open = 0;
        let mut progress = Vec::new();
        let unverified = state.unverified();
        let mut given_up = false;
        let patience = self.core.settings.jobs.max_attempts;
        let brought = if state.charged >= patience { state.brought() } else { HashSet::new() };
        let brought: HashSet<String> = brought.into_iter().map(str::to_owned).collect();
        let mut ended = Vec::new();
        for (waiter, resolved, verdicts) in &snapshot.waiters {
            let stands: Vec<_> = resolved
                .files
                .iter()
                .zip(verdicts)
                .map(|(source, verdict)| {
                    let name = &source.wanted.name;
                    let brought = brought.contains(name);
                    self.stand(state, snapshot, name, brought, snapshot.route(source), *verdict)
                })
                .collect();
            let is_over = |tree| matches!(snapshot.standing(waiter, tree), Some(TreeStatus::Ended { .. }));
            if stands.iter().any(|stand| matches!(stand, FileResult::Open))
                || !resolved.trees.iter().all(is_over)
            {
                open += 1;
                if !waiter.spec.staging {
                    let before = state.seen.get(waiter.request.as_str()).copied().unwrap_or_default();
                    let so_far = self.outcome(waiter, resolved, &stands, before).counters;
                    let files = resolved.files.iter().zip(&stands);
                    let said = |(source, stand): &(&Source, &FileResult)| {
                        matches!(stand, FileResult::Open) && unverified.contains(source.wanted.name.as_str())
                    };
                    let unverified = files.filter(said).count() as u64;
                    progress.push(Progress::new(waiter, Counted { counters: so_far, unverified }));
                }
                given_up |= stands
                    .iter()
                    .any(|stand| matches!(stand, FileResult::Failed(ErrorName::CopyJobFailed, _)));
            } else {
                ended.push((waiter, resolved, verdicts, stands));
            }
        }
        drop(unverified);
        if !ended.is_empty() {
            let files = ended.iter().flat_map(|(_, resolved, ..)| &resolved.files);
            let trees =
                ended.iter().flat_map(|(_, resolved, ..)| resolved.trees.iter().map(|tree| &tree.item));
            let wanted = files.chain(trees).map(|source| source.wanted.name.as_str()).collect();
            self.hear_of_ends(state, &wanted).await;
        }
        let carried = if ended.is_empty() { Vec::new() } else { state.carried() };
        let mut outcomes = Vec::new();
        for (waiter, resolved, verdicts, stands) in ended {
            let before = state.seen.get(waiter.request.as_str()).copied().unwrap_or_default();
            let before = before.and(older_by_size(waiter, resolved, verdicts, snapshot));
            let mut outcome = self.outcome(waiter, resolved, &stands, before);
            for tree in &resolved.trees {
                if let Some(TreeStatus::Ended { counters, unfinished }) = snapshot.standing(waiter, tree) {
                    outcome.counters = outcome.counters.plus(counters);
                    outcome.unfinished = outcome.unfinished.and(unfinished);
                }
            }
            outcome.jobs = state.jobs_of(waiter, resolved, &carried);
            outcome.counted = waiter.counted;
            outcomes.push((waiter, outcome));
        }
        drop(carried);
        self.tell_waiters(held, state, outcomes).await?;
        state.progress = progress;
        self.tell_progress(held, state, false).await?;
        if !given_up && state.charged >= patience {
            state.charged = 0;
        }
        Ok(open)
    }

    fn stand(
        &self,
        state: &FolderState,
        snapshot: &Snapshot,
        name: &str,
        brought: bool,
        route: Route,
        verdict: Verdict,
    ) -> FileResult {
        let most = self.core.settings.jobs.max_attempts;
        match verdict {
            Verdict::Done { .. } => FileResult::Done,
            Verdict::Clash(clash) => FileResult::Failed(ErrorName::DestinationConflict, clash_words(clash)),
            Verdict::Skipped => FileResult::Left,
            Verdict::Wait | Verdict::Missing | Verdict::Overwrite | Verdict::Condemn | Verdict::Replace => {
                match route {
                    Route::Stream | Route::S3Copy => match state.uploads.get(name) {
                        Some(upload) if upload.attempts >= most => {
                            FileResult::Failed(ErrorName::TransferFailed, upload.reason.clone())
                        }
                        None if state.exhausted(most) >= MOST_REMEMBERED => {
                            let why =
                                format!("not tried: {MOST_REMEMBERED} files of this folder have failed");
                            FileResult::Failed(ErrorName::TransferFailed, why)
                        }
                        _ => FileResult::Open,
                    },
                    Route::Job if state.charged >= most && !brought => {
                        let reason = snapshot.reasons.get(name).cloned();
                        let reason = reason.unwrap_or_else(|| match state.trouble.as_str() {
                            "" => format!("did not arrive in {most} rounds of copy jobs"),
                            trouble => trouble.to_owned(),
                        });
                        FileResult::Failed(ErrorName::CopyJobFailed, reason)
                    }
                    Route::Job => FileResult::Open,
                }
            }
        }
    }

    fn outcome(
        &self,
        waiter: &Waiter,
        resolved: &Resolved,
        stands: &[FileResult],
        before: Before,
    ) -> Outcome {
        let mut counters =
            Counters { files: (resolved.files.len() + resolved.unready.len()) as u64, ..Counters::default() };
        let mut culprits = Vec::new();
        for (source, stand) in resolved.files.iter().zip(stands) {
            match stand {
                FileResult::Done => {
                    counters.copied += 1;
                    counters.renamed += u64::from(source.renamed);
                    counters.bytes += source.wanted.size;
                }
                FileResult::Failed(error, why) => {
                    let what = waiter.spec.path.file(&source.wanted.name).to_string();
                    culprits.push((*error, Culprit { what, why: why.clone() }));
                }
                FileResult::Left => counters.skipped_conflict += 1,
                FileResult::Open => {}
            }
        }
        culprits.extend(resolved.unready.iter().cloned());
        // Files that were there at first may have gone, or have been replaced by other files, since.
        counters.skipped = before.skipped.min(counters.copied);
        counters.skipped_by_size = before.by_size.min(counters.skipped);
        counters.copied -= counters.skipped;
        counters.renamed = counters.renamed.saturating_sub(before.renamed);
        counters.bytes = counters.bytes.saturating_sub(before.bytes);
        counters.failed = culprits.len() as u64;
        let name = PRECEDENCE.into_iter().find(|name| culprits.iter().any(|(error, _)| error == name));
        let failure = name.map(|name| {
            let message = format!(
                "{} of {} files did not arrive in {}",
                counters.failed, counters.files, waiter.spec.path
            );
            Failure::new(name, message).naming(culprits.into_iter().map(|(_, culprit)| culprit))
        });
        Outcome {
            failure,
            counters,
            jobs: Vec::new(),
            preview: None,
            seen: resolved.seen,
            ..Outcome::between(waiter.since, self.core.ports.clock.now())
        }
    }

    /// Settles the children of waiters. Where an instance has one of them in hand, each is told by itself.
    pub(super) async fn tell_together(
        &self,
        held: &Leased,
        outcomes: &[(&Waiter, Outcome)],
    ) -> RoundResult<()> {
        held.lease.check()?;
        let folder = FolderId::new(held.lease.key.id.as_str());
        let ends = outcomes.iter().map(|(waiter, outcome)| ChildEnd {
            child: &waiter.request,
            root: RootRef { root: waiter.root.clone(), since: records::millis(waiter.since) },
            outcome,
            tally: tally_of(&waiter.spec, outcome),
            also: Write::delete(Waiter::key(&folder, &waiter.request)),
        });
        if self.core.settle_for(held, ends.collect()).await? {
            for (waiter, outcome) in outcomes {
                self.sources.forget(&waiter.request);
                signals::engine::waiter_told(&held.lease.key.id, waiter.request.as_str(), outcome);
            }
            return Ok(());
        }
        for (waiter, outcome) in outcomes {
            self.tell_waiter(held, waiter, outcome).await?;
        }
        Ok(())
    }

    /// Stores a child's outcome and wakes the child, which takes it from there.
    async fn tell_waiter(&self, held: &Leased, waiter: &Waiter, outcome: &Outcome) -> RoundResult<()> {
        held.lease.check()?;
        self.core.store_outcome(held, &waiter.request, outcome).await?;
        let child = records::request_key(&waiter.request);
        let folder = FolderId::new(held.lease.key.id.as_str());
        // The child is woken before its waiter is deleted: a holder that dies in between leaves a waiter that
        // is told again, not a child that is never woken.
        let woken =
            self.core.ports.store.write(records::wake(child.clone(), self.core.ports.clock.now())).await?;
        if matches!(woken, Written::Refused(_)) {
            // The child has settled without us, its root being stopped: nothing else would clear this outcome
            // away.
            let keep = records::retire(self.core.ports.clock.now(), self.core.settings.service.keep);
            let outcome = Key::new(waiter.request.as_str(), records::OUTCOME);
            self.core.ports.store.write(Write::update(outcome, keep)).await?;
        }
        self.core.ports.store.write(Write::delete(Waiter::key(&folder, &waiter.request))).await?;
        self.sources.forget(&waiter.request);
        signals::engine::waiter_told(&held.lease.key.id, waiter.request.as_str(), outcome);
        if matches!(woken, Written::Done(_)) {
            self.core.inbox.offer(child, Priority::Begun);
        }
        Ok(())
    }

    /// The outcome of a waiter for which nothing was done.
    pub(super) fn failed(&self, waiter: &Waiter, state: &FolderState, failure: Failure) -> Outcome {
        Outcome {
            failure: Some(failure),
            counters: Counters::default(),
            counted: waiter.counted,
            jobs: state.past_jobs_of(waiter).collect(),
            preview: None,
            ..Outcome::between(waiter.since, self.core.ports.clock.now())
        }
    }
}

/// By how much a file is older than the request at least to have been there before: ICAv2 tells whole seconds,
/// and its clock is not ours.
const OLDER: Duration = Duration::from_secs(5);

/// The files that nothing but their size speaks for, and that are older than the request: they were there,
/// whether the first listing showed them or not.
fn older_by_size(
    waiter: &Waiter,
    resolved: &Resolved,
    verdicts: &[Verdict],
    snapshot: &Snapshot,
) -> Vec<(u64, bool)> {
    let is_older = |there: &FileInfo| there.created + OLDER < waiter.since && !is_news(waiter, there);
    let older = |name| snapshot.listing.get(name).is_some_and(is_older);
    let files = resolved.files.iter().zip(verdicts).filter(|(source, verdict)| {
        matches!(verdict, Verdict::Done { by_size: true }) && older(&source.wanted.name)
    });
    files.map(|(source, _)| (source.wanted.size, source.renamed)).collect()
}

pub(crate) fn clash_words(clash: Clash) -> String {
    match clash {
        Clash::Size { there } => format!("another file of {there} bytes is there"),
        Clash::Content => "a file of equal size and other content (MD5) is there".to_owned(),
        Clash::Folder => "a folder of that name is there".to_owned(),
        Clash::Archived => "an archived file of that name is there".to_owned(),
        Clash::Uploading => {
            "another writer may be uploading it: a PARTIAL file that is not ours is there, and is left alone"
                .to_owned()
        }
        Clash::Unknown => "something of a status or a type that is not known here is there".to_owned(),
    }
}
