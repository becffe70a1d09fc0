//! Whether the rounds of a folder are good for anything.
//!
//! A round brings something, learns something, or waits for something that has a name. Many in a row
//! that do none of it make calls for nothing, and may go on for ever: that is a defect of ours, which
//! operators see in the log and tests in the record.

use super::{snapshot::Snapshot, state::FolderState};
use crate::{domain::ids::digest, signals};

/// Rounds in a row after which it is told.
pub(crate) const MOST_IN_VAIN: u32 = 10;

/// A round that comes again sooner, in milliseconds, does not wait.
const WAIT: i64 = 1000;

impl FolderState {
    /// Takes note of the snapshot of a look; a difference from the last one is news.
    pub(super) fn show(&mut self, snapshot: &Snapshot) {
        let size = |name: &str| snapshot.listing.get(name).map(|there| there.size);
        let files = snapshot.files();
        let mut shown: Vec<_> =
            files.map(|(name, (_, verdict))| format!("{name} {verdict:?} {:?}", size(name))).collect();
        let jobs = self.jobs.iter();
        shown.extend(jobs.map(|job| format!("{} {:?} {:?}", job.job, job.status, job.ended_at)));
        shown.extend(self.intents.iter().map(|intent| intent.client.clone()));
        let tries: u32 = self.uploads.values().map(|upload| upload.attempts).sum();
        let condemned = self.condemned.values().filter(|condemned| condemned.deleted).count();
        let numbers = (tries, self.charged, condemned, self.condemned.len());
        shown.push(format!("{numbers:?} {:?}", self.trees));
        let mut shown = digest(&shown.iter().map(String::as_str).collect::<Vec<_>>());
        shown.truncate(16);
        self.moved |= shown != self.shown;
        self.shown = shown;
    }

    /// Counts a round, which comes again after `wait` milliseconds, for that reason.
    pub(super) fn count_round(&mut self, folder: &str, wait: i64, waits_for: &str) {
        let waits = wait >= WAIT && !waits_for.is_empty();
        if self.moved || waits {
            self.in_vain = 0;
            return;
        }
        self.in_vain += 1;
        if self.in_vain.is_multiple_of(MOST_IN_VAIN) {
            signals::engine::rounds_in_vain(folder, self.in_vain, waits_for);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_in_vain_that_bring_learn_and_wait_for_nothing() {
        let mut state = FolderState::default();
        let mut count = |moved: bool, wait: i64, waits_for: &str| {
            state.moved = moved;
            state.count_round("folder", wait, waits_for);
            state.in_vain
        };
        assert_eq!(count(false, 0, "a: waits to be streamed"), 1, "who comes again at once does not wait");
        assert_eq!(count(false, 5000, ""), 2, "who waits for nothing waits in vain");
        assert_eq!(count(false, 5000, "a: is on its way"), 0);
        assert_eq!(count(false, 0, ""), 1);
        assert_eq!(count(true, 0, ""), 0);
    }
}
