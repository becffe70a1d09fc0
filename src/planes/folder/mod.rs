//! The folder reconciler: moves data into one destination folder, for every request that waits for
//! it.
//!
//! A round compares the files that the waiters want with one listing of the folder and with those in flight,
//! brings the missing ones, and says when to look again. Only the holder, the instance that has the folder's
//! lease, acts there. Between rounds the record keeps only facts that cannot be seen: submissions, jobs,
//! upload nonces, condemned files ([`state`]).

mod act;
mod adopt;
mod batches;
mod bring;
mod carried;
mod child;
mod claims;
mod condemn;
mod contents;
mod crowd;
mod decide;
mod finish;
mod hold;
mod job_events;
mod job_status_cache;
mod job_watch;
mod jobs;
mod listing;
mod look;
mod made;
mod names;
mod own;
mod pieces;
mod place;
mod preview;
mod progress;
pub(crate) mod reserved;
mod room;
mod rounds;
#[cfg(test)]
mod samples;
mod signs;
mod slot_request;
mod slots;
mod snapshot;
mod sources;
mod state;
mod stream_queue;
mod streams;
mod submitted;
mod task;
mod trees;
pub(crate) mod waiter;
mod wanted;

pub(crate) use finish::clash_words;
pub(crate) use preview::{FolderPreview, PreviewEntry};

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use self::{
    adopt::JobFolders, claims::Slots, contents::Contents, job_status_cache::JobStatusCache,
    job_watch::JobWatch, made::MadeByJobs, sources::Sources, waiter::Waiter,
};
use crate::{
    domain::{
        ids::JobId,
        outcome::{ErrorName, Failure},
    },
    engine::{
        core::Core,
        kind::Plane,
        lease::{Leased, RoundError, RoundResult},
        records::{self, attr, millis, set},
        round::AfterRound,
    },
    ports::{
        Error,
        blame::final_failure,
        store::{Change, Item, Key, Value},
    },
};
use snapshot::Snapshot;
use state::FolderState;
use wanted::Resolved;

/// The longest wait between two looks for something that is on its way.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// The longest wait of a folder that has anything to wait for.
const LONGEST: Duration = Duration::from_mins(10);

/// Brings files into folders of projects.
#[derive(Debug)]
pub struct FolderPlane {
    core: Arc<Core>,
    /// Permits for files of large folders that are held in memory.
    files: Semaphore,
    sources: Sources,
    contents: Contents,
    job_status_cache: JobStatusCache,
    job_watch: JobWatch,
    slots: Slots,
    job_folders: JobFolders,
    made: MadeByJobs,
}

impl FolderPlane {
    /// The plane of one instance.
    #[must_use]
    pub fn new(core: Arc<Core>) -> Arc<Self> {
        Arc::new(Self {
            files: Semaphore::new(core.settings.service.max_files.min(Semaphore::MAX_PERMITS)),
            core,
            sources: Sources::default(),
            contents: Contents::default(),
            job_status_cache: JobStatusCache::default(),
            job_watch: JobWatch::default(),
            slots: Slots::default(),
            job_folders: JobFolders::default(),
            made: MadeByJobs::default(),
        })
    }
}

#[async_trait]
impl Plane for FolderPlane {
    fn name(&self) -> &'static str {
        "folder"
    }

    fn record_type(&self) -> Option<&'static str> {
        Some(waiter::FOLDER)
    }

    fn shared_record(&self, child: &Item) -> Option<Key> {
        child::folder_of(child).map(|folder| waiter::folder_key(&folder))
    }

    fn note_of(&self, name: &str) -> Option<Key> {
        Some(waiter::job_key(&JobId::new(name)))
    }

    /// So many that no call waits for its turn for much longer than `service.max_call_wait`. One that has
    /// just begun counts as a call that is to come.
    fn room(&self, begun: usize) -> usize {
        let load = self.core.ports.platform.load();
        let most = load.per_second * self.core.settings.service.max_call_wait.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "what is too large for the type is as good as the largest"
        )]
        let most = (most.ceil() as usize).max(1);
        most.saturating_sub(load.waiting.max(begun))
    }

    async fn reconcile(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        if held.lease.key.id_type == waiter::FOLDER {
            self.folder_round(held).await
        } else {
            self.child_round(held).await
        }
    }

    async fn give_up(&self, held: &mut Leased, why: Failure) -> RoundResult<AfterRound> {
        if held.lease.key.id_type == waiter::FOLDER {
            return self.give_up_folder(held).await;
        }
        let outcome = self.core.failed_outcome(&held.item, why);
        self.settle_child(held, &outcome).await
    }
}

impl FolderPlane {
    /// One round of a folder record.
    pub(crate) async fn folder_round(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        let mut state: FolderState = records::document(&held.item, attr::STATE)?;
        let result = self.hold(held, &mut state).await;
        match result {
            Err(RoundError::Port(error)) if !error.is_passing() => {
                // It would be the same every time: the waiters are told.
                let failure = final_failure(&error);
                self.fail_waiters(held, &mut state, &failure).await?;
                self.rest(held, &state)
            }
            // The findings of the round must not be lost with the error.
            Err(RoundError::Port(error)) => {
                let mut changes = vec![document(&state)?];
                changes.extend(looked(&state));
                if state.looked.is_none() {
                    self.core.note_outage(&state.root_refs, &error);
                    self.core.note_platform_outage(&error);
                }
                self.core.save(held, changes).await?;
                Err(RoundError::Port(error))
            }
            other => other,
        }
    }

    /// The record as it stays until something happens.
    fn rest(&self, held: &Leased, state: &FolderState) -> RoundResult<AfterRound> {
        held.lease.check()?;
        let mut changes = vec![document(state)?];
        changes.extend(looked(state));
        if state.is_idle() {
            return Ok(AfterRound::Settled { changes });
        }
        let now = millis(self.core.ports.clock.now());
        if self.core.stop.is_cancelled() {
            // Another instance goes on at once.
            return Ok(AfterRound::Due { changes, due_at: now });
        }
        let due_at = state.due_at().clamp(now + 1, records::after(self.core.ports.clock.now(), LONGEST));
        Ok(AfterRound::Due { changes, due_at })
    }

    /// The snapshot with the routes as the state has them now.
    fn rerouted(&self, state: &mut FolderState, mut snapshot: Snapshot) -> Snapshot {
        if snapshot.streamed != state.streamed {
            snapshot.streamed = state.streamed.clone();
            self.judge(state, &mut snapshot);
        }
        snapshot
    }

    /// The waiters with what they want. A waiter whose sources cannot be read for good is told so, and does
    /// not hold up the others.
    async fn resolvable(
        &self,
        held: &Leased,
        state: &mut FolderState,
        waiters: Vec<Waiter>,
    ) -> RoundResult<Vec<(Waiter, Arc<Resolved>)>> {
        let mut resolved = Vec::with_capacity(waiters.len());
        let mut failed = Vec::new();
        for waiter in waiters {
            match self.resolve(&waiter).await {
                Ok(files) => resolved.push((waiter, files)),
                Err(error) if error.is_passing() => return Err(error.into()),
                Err(error) => {
                    let outcome = self.failed(&waiter, state, final_failure(&error));
                    failed.push((waiter, outcome));
                }
            }
        }
        let failed = failed.iter().map(|(waiter, outcome)| (waiter, outcome.clone())).collect();
        self.tell_waiters(held, state, failed).await?;
        Ok(resolved)
    }

    /// A folder whose every run ends its instance: its waiters are failed without its being run.
    pub(crate) async fn give_up_folder(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        let mut state: FolderState = records::document(&held.item, attr::STATE)?;
        let failure = Failure::new(ErrorName::Internal, "the folder broke every process that worked on it");
        self.fail_waiters(held, &mut state, &failure).await?;
        self.rest(held, &state)
    }
}

/// The changes that tell of a look and of the reason for which it has found everything to wait.
fn looked(state: &FolderState) -> Vec<Change> {
    state.looked.as_ref().map_or_else(Vec::new, |(at, waits_for)| {
        vec![set(attr::LOOKED_AT, *at), set(attr::WAITS_FOR, waits_for.as_str())]
    })
}

/// The change that stores the state.
fn document(state: &FolderState) -> Result<Change, Error> {
    Ok(set(attr::STATE, Value::Text(records::text(state)?)))
}
