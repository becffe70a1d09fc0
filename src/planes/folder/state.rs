//! The state that a folder keeps between rounds: all that no listing shows. One JSON document in the `FOLDER`
//! item, written only by the holder of its lease.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::{
    names::Names,
    slot_request::SlotRequest,
    submitted::{Intent, Left, Past, RunningJob, Spent},
    waiter::{Progress, Waiter},
};
use crate::{
    domain::{file::ETag, ids::DataId},
    engine::liveness::RootRef,
};

/// Uploads and condemned files that are remembered at a time. Together with the jobs they must fit
/// one item (400 KB in DynamoDB); what does not fit waits for its turn.
pub(super) const MOST_REMEMBERED: usize = 500;

/// How large the document may become, in bytes; what does not fit waits for its turn.
const MOST_BYTES: usize = 330_000;

/// The bytes that one upload or condemned file takes of it, at most.
pub(super) const ENTRY_BYTES: usize = 1_000;

/// How many ended jobs are kept for the outcomes of waiters.
const HISTORY: usize = 100;

/// Files of a job that failed, which are now submitted apart from all others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct BisectGroup {
    pub names: Names,
    /// Failed in the present cut.
    pub failed: bool,
    /// Other files of the same set have arrived: the one that keeps failing is in here.
    pub isolated: bool,
    /// How often it has failed as a single, isolated file.
    pub alone: u32,
    /// How often these files have failed together before any cut.
    #[serde(skip_serializing_if = "is_zero")]
    pub fails: u32,
}

/// A file that is streamed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Upload {
    /// Part of the idempotency key: the same until a file was made with it and its upload has failed.
    pub nonce: String,
    /// The file that a create call of ours has made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<DataId>,
    /// A file under this name that such a call did not return: it is not ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<DataId>,
    /// Failed tries.
    pub attempts: u32,
    /// Tries in a row that failed through no fault of the file.
    #[serde(skip_serializing_if = "is_zero")]
    pub troubles: u32,
    /// The tag that the destination gave to the file that was put there, and the MD5 of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<ETag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// When its bytes were taken, while it is not visible yet.
    pub put_at: Option<i64>,
    /// Not before.
    pub retry_at: i64,
    /// Why the last try failed.
    pub reason: String,
    /// Whether this instance is at it.
    #[serde(skip)]
    pub live: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// A PARTIAL file that is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Condemned {
    pub name: String,
    /// The epoch of the lease under which it was condemned: only its author goes on.
    pub epoch: i64,
    pub at: i64,
    /// Whether the delete was answered.
    pub deleted: bool,
}

/// The findings of a waiter when it came: files that need no work, and so are not ours to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Before {
    pub skipped: u64,
    pub by_size: u64,
    pub bytes: u64,
    #[serde(default)]
    pub renamed: u64,
}

impl Before {
    /// With the files that were equal by their size as well, each with its size and whether it is renamed, and
    /// that the first listing did not show. Which of them it showed is not known: the last ones are taken.
    pub(super) fn and(mut self, by_size: Vec<(u64, bool)>) -> Self {
        let shown = usize::try_from(self.by_size).unwrap_or(usize::MAX);
        for (size, renamed) in by_size.into_iter().skip(shown) {
            self.skipped += 1;
            self.by_size += 1;
            self.bytes += size;
            self.renamed += u64::from(renamed);
        }
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FolderState {
    /// The destination folder, once it is known; none where it is the root of a project, which has no id.
    pub folder: Option<DataId>,
    /// Part of the idempotency key with which it is made: the same until that was answered.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub folder_nonce: String,
    pub intents: Vec<Intent>,
    pub jobs: Vec<RunningJob>,
    pub history: Vec<Past>,
    pub uploads: BTreeMap<String, Upload>,
    /// The files that forgotten uploads may have left, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left: BTreeMap<String, Left>,
    /// Jobs that have ended without all of their files, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spent: Vec<Spent>,
    pub condemned: BTreeMap<String, Condemned>,
    /// The waiters that are served, by request, with what each found. It is stored with each of them; older
    /// versions stored it here.
    #[serde(skip_serializing)]
    pub seen: BTreeMap<String, Before>,
    /// Those of them with which it is stored.
    #[serde(skip)]
    pub marked: BTreeSet<String>,
    /// The roots of waiters whose turn to be served has not come.
    #[serde(skip)]
    pub crowd: Vec<RootRef>,
    /// Rounds of jobs in a row that brought nothing.
    pub charged: u32,
    /// No submission before.
    pub not_before: i64,
    /// No look before, unless there is news.
    pub look_at: i64,
    /// When a job was last seen to have ended badly: files that it did bring may still be told as PARTIAL.
    pub failed_at: i64,
    /// When the folder was listed last, and how many calls that took.
    pub looked_at: i64,
    pub pages: i64,
    /// Looks in a row that found nothing to do but wait.
    pub waits: u32,
    /// Times in a row that the project had no free slot.
    pub refusals: u32,
    /// The slot that the next job waits for, or has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wish: Option<SlotRequest>,
    /// Slots that were given up while another instance may have been on the way to them, with when
    /// they are given back for good.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub late: BTreeMap<String, i64>,
    /// The sets of files that are submitted piece by piece.
    pub pieces: Vec<BisectGroup>,
    /// Whether a piece of the present cut has arrived.
    pub piece_arrived: bool,
    /// Multi-part files that no job would bring and that are streamed instead.
    pub streamed: BTreeSet<String>,
    /// Source folders by name, with how many jobs have not brought all of them.
    pub trees: BTreeMap<String, u32>,
    /// Why jobs could not be submitted, the last time that happened.
    pub trouble: String,
    /// The acts of the last round need a look at once.
    #[serde(skip)]
    pub look_again: bool,
    /// How many wait that are not served yet.
    #[serde(skip_serializing_if = "is_none")]
    pub unserved: usize,
    /// `wakes` as of the last round.
    pub last_wakes: Option<i64>,
    /// The roots for which this round works.
    #[serde(skip)]
    pub root_refs: Vec<RootRef>,
    /// Whether this round has brought or learnt anything.
    #[serde(skip)]
    pub moved: bool,
    /// What the last look showed.
    pub shown: String,
    /// Rounds in a row that have neither brought nor learnt anything, nor waited for something named.
    pub in_vain: u32,
    /// How far the waiters are that go on, as the last look showed, and when their roots were last told.
    #[serde(skip)]
    pub progress: Vec<Progress>,
    #[serde(skip)]
    pub counted_at: i64,
    /// When this round has looked, and what the files then waited for.
    #[serde(skip)]
    pub looked: Option<(i64, String)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_none(count: &usize) -> bool {
    *count == 0
}

impl FolderState {
    /// Whether nothing of ours is under way here.
    pub(super) fn is_idle(&self) -> bool {
        let under_way = self.running().next().is_some() || !self.intents.is_empty() || !self.late.is_empty();
        !under_way && !self.is_streaming() && self.seen.is_empty() && self.crowd.is_empty()
    }

    /// Drops the entries of waiters that are gone.
    pub(super) fn forget_all_but(&mut self, waiters: &[Waiter], now: i64) {
        let here: BTreeSet<_> = waiters.iter().map(|waiter| waiter.request.as_str()).collect();
        self.seen.retain(|id, _| here.contains(id.as_str()));
        if waiters.is_empty() {
            self.jobs.retain(|job| job.ended_at.is_none());
            if self.is_idle() {
                self.drop_uploads(now, |_, _| false);
                let Self { failed_at, last_wakes, .. } = *self;
                let (left, spent) = (std::mem::take(&mut self.left), std::mem::take(&mut self.spent));
                *self = Self { left, spent, failed_at, last_wakes, ..Self::default() };
            }
        }
    }

    pub(super) fn has_not_seen(&self, waiters: &[Waiter]) -> bool {
        waiters.iter().any(|waiter| !self.seen.contains_key(waiter.request.as_str()))
    }

    /// When the next round is needed, if no news comes before.
    pub(super) fn due_at(&self) -> i64 {
        let polls = self.running().map(|job| job.next_poll);
        let waited_for = !self.seen.is_empty() || !self.crowd.is_empty();
        let looks = waited_for.then_some(self.look_at);
        let intents = self.intents.iter().map(|intent| intent.look_at);
        let wish = self.wish.iter().map(|wish| wish.try_at);
        let late = self.late.values().copied();
        polls.chain(looks).chain(intents).chain(wish).chain(late).min().unwrap_or(i64::MAX)
    }

    /// Submissions whose job may still be on its way.
    pub(super) fn open_intents(&self) -> impl Iterator<Item = &Intent> {
        self.intents.iter().filter(|intent| !intent.ghost)
    }

    /// How many more bytes the document may have.
    pub(super) fn room(&self) -> usize {
        // A state that is no JSON cannot happen here; no room is the safe answer.
        MOST_BYTES.saturating_sub(serde_json::to_string(self).map_or(MOST_BYTES, |text| text.len()))
    }

    /// Whether there is a slot for the next job.
    pub(super) fn has_slot(&self) -> bool {
        self.wish.as_ref().is_some_and(|wish| wish.taken.is_some())
    }

    /// Jobs that have not ended.
    pub(super) fn running(&self) -> impl Iterator<Item = &RunningJob> {
        self.jobs.iter().filter(|job| job.ended_at.is_none())
    }

    /// The names that something of ours brings, as far as `now` and `settle` (milliseconds) tell.
    pub(super) fn in_flight(&self, now: i64, settle: i64) -> HashSet<&str> {
        let coming = |job: &&RunningJob| job.ended_at.is_none_or(|at| now < at + settle);
        let jobs = self.jobs.iter().filter(coming).flat_map(RunningJob::brings);
        let intents = self.open_intents().flat_map(|intent| &intent.names);
        let put = |upload: &Upload| upload.live || upload.put_at.is_some_and(|at| now < at + settle);
        let uploads = self.uploads.iter().filter(|(_, upload)| put(upload)).map(|(name, _)| name);
        jobs.chain(intents).chain(uploads).map(String::as_str).collect()
    }

    /// Notes whether a file is being streamed.
    pub(super) fn set_live(&mut self, name: &str, live: bool) {
        if let Some(upload) = self.uploads.get_mut(name) {
            upload.live = live;
        }
    }

    /// Whether anything is being streamed.
    pub(super) fn is_streaming(&self) -> bool {
        self.uploads.values().any(|upload| upload.live)
    }

    /// Files whose every try has failed.
    pub(super) fn exhausted(&self, attempts: u32) -> usize {
        self.uploads.values().filter(|upload| upload.attempts >= attempts).count()
    }

    /// The names that a job or a submission of ours may still bring.
    pub(super) fn brought(&self) -> HashSet<&str> {
        let jobs = self.jobs.iter().flat_map(RunningJob::brings);
        jobs.chain(self.open_intents().flat_map(|intent| &intent.names)).map(String::as_str).collect()
    }

    /// The names of jobs and submissions that have not ended.
    pub(super) fn under_way(&self) -> HashSet<&str> {
        let intents = self.open_intents().flat_map(|intent| &intent.names);
        self.running().flat_map(|job| &job.names).chain(intents).map(String::as_str).collect()
    }

    /// Whether a job or a submission of that lane is open that had room for more files.
    pub(super) fn has_unfilled_job(&self, express: bool) -> bool {
        self.running().any(|job| !job.full && !job.piece && job.express == express)
            || self.open_intents().any(|intent| !intent.full && !intent.piece && intent.express == express)
    }

    pub(super) fn remember(&mut self, past: Past) {
        self.history.push(past);
        if self.history.len() > HISTORY {
            self.history.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stored::{are_kept, documents};

    #[test]
    fn reads_what_earlier_versions_wrote() {
        let mut documents = documents("FOLDER", "state");
        for text in &mut documents {
            // What waiters have found is written beside each of them by now, and read where it was before.
            let mut document: serde_json::Value = serde_json::from_str(text).unwrap();
            let seen = document.as_object_mut().unwrap().remove("seen").unwrap();
            let state: FolderState = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_value(&state.seen).unwrap(), seen);
            *text = document.to_string();
        }
        assert!(are_kept::<FolderState>(&documents) >= 10);
    }
}
