//! Whether the rounds of a folder are good for anything.
//!
//! A round brings something, learns something, or waits for something that has a name. Many in a row
//! that do none of it make calls for nothing, and may go on for ever: that is a defect of ours, which
//! operators see in the log and tests in the record.

use super::{look::Picture, state::FolderState};
use crate::{domain::ids::digest, signals};

/// Rounds in a row after which it is told.
pub(crate) const MOST_IN_VAIN: u32 = 10;

/// Who comes again sooner, in milliseconds, does not wait.
const WAIT: i64 = 1000;

impl FolderState {
    /// Takes note of what a look shows; what is other than the last time is news.
    pub(super) fn show(&mut self, picture: &Picture) {
        let mut shown = String::new();
        for (name, (_, verdict)) in picture.files() {
            shown += &format!("{name} {verdict:?} {:?}\n", picture.listing.get(name).map(|there| there.size));
        }
        for job in &self.jobs {
            shown += &format!("{} {:?} {:?}\n", job.job, job.status, job.ended_at);
        }
        let intents = self.intents.iter().map(|intent| intent.client.as_str());
        let tries: u32 = self.uploads.values().map(|upload| upload.attempts).sum();
        let condemned = self.condemned.values().filter(|condemned| condemned.deleted).count();
        shown.extend(intents);
        shown += &format!("{tries} {} {condemned} {} {:?}", self.charged, self.condemned.len(), self.trees);
        let shown: String = digest(&[&shown]).chars().take(16).collect();
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
