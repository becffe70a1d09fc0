//! What is told of the work on a record is noted for its journal as well.
//!
//! The work on a record runs in a [`scope`]; whoever tells something there need not know of it. The holder of
//! the record takes the notes with it when it next writes the record.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::domain::journal::{Entry, Journal};

tokio::task_local! {
    static NOTES: Arc<Notes>;
}

/// The notes that are not in the record yet.
pub struct Notes {
    now: Box<dyn Fn() -> i64 + Send + Sync>,
    pending: Mutex<Vec<Entry>>,
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").field("pending", &self.pending).finish_non_exhaustive()
    }
}

/// Notes that may pile up between two writes.
const MOST_PENDING: usize = 2 * crate::domain::journal::MOST;

impl Notes {
    /// None yet; `now` tells the time, in milliseconds since 1970.
    pub fn new(now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { now: Box::new(now), pending: Mutex::default() }
    }

    /// Notes something.
    pub fn add(&self, code: &str, note: &str) {
        let entry = Entry::new((self.now)(), code, note);
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.len() >= MOST_PENDING {
            pending.remove(0);
        }
        pending.push(entry);
    }

    /// The journal with them, and how many of them it holds; `None` where there is none.
    #[must_use]
    pub fn appended_to(&self, stored: Option<&str>) -> Option<(String, usize)> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.is_empty() {
            return None;
        }
        let mut journal = Journal::read(stored);
        pending.iter().cloned().for_each(|entry| journal.add(entry));
        Some((journal.to_text(), pending.len()))
    }

    /// The first ones are in the record now.
    pub fn stored(&self, count: usize) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.min(pending.len());
        pending.drain(..count);
    }
}

/// Runs the work on a record, whose notes are these.
pub async fn scope<F: Future>(notes: Arc<Notes>, work: F) -> F::Output {
    NOTES.scope(notes, work).await
}

/// Notes something for the record that is worked on, if there is one.
pub(super) fn note(code: &str, words: impl FnOnce() -> String) {
    // Outside of the work on a record, nothing is noted.
    NOTES.try_with(|notes| notes.add(code, &words())).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_noted_where_there_is_a_record_and_stays_until_it_is_stored() {
        note("job.ended", || panic!("there is no record"));
        let notes = Arc::new(Notes::new(|| 7));
        scope(Arc::clone(&notes), async { note("job.ended", || "j1".to_owned()) }).await;
        let with = Some((r#"[[7,"job.ended","j1"]]"#.to_owned(), 1));
        assert_eq!(notes.appended_to(None), with);
        assert_eq!(notes.appended_to(None), with, "the write may have failed");
        notes.stored(1);
        assert_eq!(notes.appended_to(with.as_ref().map(|(text, _)| text.as_str())), None);
    }
}
