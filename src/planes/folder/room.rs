//! How much the folders under way may hold in memory together.
//!
//! A file takes some 700 bytes while its folder is being worked on. Small folders are bounded by their
//! number (`service.max_active`); large ones take room for more files from one store (`service.max_files`),
//! and wait where there is none left.

use std::sync::Arc;

use tokio::{
    sync::SemaphorePermit,
    time::{Instant, sleep, sleep_until},
};

use super::{FolderPlane, state::FolderState, waiter::Waiter, wanted::Resolved};
use crate::engine::records::{as_millis, millis};

/// A folder of no more files has room.
const SMALL: usize = 1000;

/// The files that a page of a listing holds.
const PAGE: usize = 1000;

/// How often a folder that waits looks whether other folders move.
const MOVED_EVERY: std::time::Duration = std::time::Duration::from_mins(1);

/// How often a folder that waits looks after its jobs.
const LOOK_AFTER_JOBS: std::time::Duration = std::time::Duration::from_mins(1);

/// The reason for which a folder waits for room.
pub(super) const WAITS_FOR: &str =
    "waits until other large folders need less memory on this instance (service.max_files)";

/// Room for the files of a folder.
pub(super) type Room<'a> = Option<SemaphorePermit<'a>>;

impl FolderPlane {
    /// Room for the files that are wanted and those that the folder held when it was listed last. `None`:
    /// there is none, and jobs of the folder are to be asked for.
    pub(super) async fn room_for(
        &self,
        state: &FolderState,
        waiters: &[(Waiter, Arc<Resolved>)],
    ) -> Option<Room<'_>> {
        let wanted: usize = waiters.iter().map(|(_, resolved)| resolved.len()).sum();
        let listed = usize::try_from(state.pages).unwrap_or(0).saturating_mul(PAGE);
        let beyond = wanted.max(listed).saturating_sub(SMALL).min(self.core.settings.service.max_files);
        let beyond = u32::try_from(beyond).unwrap_or(u32::MAX);
        if beyond == 0 {
            return Some(None);
        }
        let now = millis(self.core.ports.clock.now());
        // One of its jobs may end meanwhile, and has a slot to give back.
        let poll = state.running().map(|job| job.next_poll.saturating_sub(now)).min();
        let poll = poll.map(|wait| wait.min(as_millis(LOOK_AFTER_JOBS)));
        let until = poll
            .map(|wait| Instant::now() + std::time::Duration::from_millis(u64::try_from(wait).unwrap_or(0)));
        let room = self.files.acquire_many(beyond);
        tokio::pin!(room);
        loop {
            tokio::select! {
                biased;
                room = &mut room => return room.ok().map(Some),
                () = self.core.stop.cancelled() => return None,
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return None,
                // The folder that holds the room streams for long.
                () = sleep(MOVED_EVERY) => self.core.liveness.record_progress(&state.root_refs, self.core.liveness.streams_moved()),
            }
        }
    }
}
