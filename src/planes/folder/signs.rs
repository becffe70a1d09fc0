//! The knowledge of a folder about the roots that it works for: that they move, that they are to end, and
//! what they wait for.

use super::{FolderPlane, claims::View, snapshot::Snapshot, state::FolderState, task::Task, waiter};
use crate::{
    domain::{
        diff::Verdict,
        file::DataStatus,
        ids::{ProjectId, RequestId},
        route::Route,
    },
    engine::{
        lease::{Leased, RoundResult},
        records::{attr, millis},
    },
    ports::Result,
};

/// A folder that is woken looks again when its last look is older than that, in milliseconds.
const LOOK_AGAIN: i64 = 5 * 60 * 1000;

/// The most characters of the reason for which a folder waits.
const LONGEST_REASON: usize = 300;

impl FolderPlane {
    /// Whether there was no look for so long that a request that wakes the folder is owed one.
    pub(super) fn has_not_looked_lately(&self, held: &Leased) -> bool {
        let looked_at = held.item.number(attr::LOOKED_AT).unwrap_or(0);
        millis(self.core.ports.clock.now()) >= looked_at.saturating_add(LOOK_AGAIN)
    }

    /// The waiters whose roots are not to end.
    pub(super) async fn not_stopped(&self, waiters: Vec<waiter::Waiter>) -> Result<Vec<waiter::Waiter>> {
        let stopped = self.core.stopped(waiters.iter().map(|waiter| &waiter.root)).await?;
        Ok(waiters.into_iter().filter(|waiter| !stopped.contains(&waiter.root)).collect())
    }

    /// Whether a root is to end for which this snapshot was taken.
    pub(super) async fn any_stopped(&self, snapshot: &Snapshot) -> RoundResult<bool> {
        let roots: Vec<&RequestId> = snapshot.waiters.iter().map(|(waiter, ..)| &waiter.root).collect();
        Ok(!self.core.stopped(roots).await?.is_empty())
    }

    /// Takes note of the jobs that hold the places of a project.
    pub(super) fn queue_seen(&self, project: &ProjectId, view: &View) {
        let members = view.running.union(&view.express).cloned().collect();
        self.core.liveness.queue_seen(project, &members, millis(self.core.ports.clock.now()));
    }

    /// The project had no free place. That other jobs hold them than before is a sign that the queue moves.
    pub(super) fn stood_in_line(&self, state: &FolderState, project: &ProjectId) {
        self.core.liveness.record_progress(&state.root_refs, self.core.liveness.queue_moved(project));
    }

    /// A file found no free stream. That other files were given some is a sign that the queue moves.
    pub(super) fn waited_for_a_stream(&self, task: Option<&Task>) {
        if let Some(task) = task {
            self.core.liveness.record_progress(&task.to.root_refs, self.core.liveness.streams_moved());
        }
    }

    /// A file was given a stream.
    pub(super) fn stream_began(&self) {
        self.core.liveness.stream_began(millis(self.core.ports.clock.now()));
    }
}

/// The reason for which the files of a folder wait, in one sentence.
pub(super) fn waits_for(state: &FolderState, snapshot: &Snapshot) -> String {
    let mut first = None;
    let mut open = 0_usize;
    let brought = state.brought();
    for (name, (source, verdict)) in snapshot.files() {
        let there = snapshot.listing.get(name).map(|data| data.status);
        let why = match verdict {
            Verdict::Done { .. } | Verdict::Skipped | Verdict::Clash(_) => continue,
            Verdict::Wait if there == Some(DataStatus::Deleting) => "is being deleted at the destination",
            Verdict::Wait if snapshot.is_strangers(name) && !brought.contains(name) => {
                "a PARTIAL file that is not ours is at the destination: another writer may be uploading it"
            }
            Verdict::Wait if there == Some(DataStatus::Partial) => "is PARTIAL at the destination",
            Verdict::Wait if there == Some(DataStatus::Unknown) => {
                "has a status or a type at the destination that is not known here"
            }
            Verdict::Wait => "is on its way",
            Verdict::Condemn => "waits for another file to be deleted",
            Verdict::Replace => {
                "waits for another file to be deleted, which is not done while others' copy jobs run there"
            }
            Verdict::Missing | Verdict::Overwrite if snapshot.route(source) == Route::Stream => state
                .uploads
                .get(name)
                .map_or("waits to be streamed", |upload| match upload.reason.as_str() {
                    "" => "waits to be streamed",
                    reason => reason,
                }),
            Verdict::Missing | Verdict::Overwrite if state.refusals > 0 => {
                "waits for a free place among the copy jobs of the project (icav2.max_running_jobs)"
            }
            Verdict::Missing | Verdict::Overwrite if !state.trouble.is_empty() => state.trouble.as_str(),
            Verdict::Missing | Verdict::Overwrite => "waits for a copy job",
        };
        open += 1;
        first.get_or_insert_with(|| format!("{name}: {why}"));
    }
    for (name, _) in snapshot.trees().into_iter().filter(|(_, (_, standing))| !standing.is_complete()) {
        open += 1;
        first.get_or_insert_with(|| format!("{name}: is on its way"));
    }
    let text: String = first.unwrap_or_default().chars().take(LONGEST_REASON).collect();
    if open > 1 { format!("{text} (and {} more files)", open - 1) } else { text }
}
