//! What the streams of a round and the rounds that go on beside them tell each other.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::{look::Picture, state::FolderState};

/// Shared between the streams of a round and whoever minds the folder meanwhile.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// No more files are to be begun.
    pub enough: CancellationToken,
    /// All streams have ended.
    pub over: CancellationToken,
    /// Waiters, each with its files that are still to be streamed.
    left: Mutex<Vec<(String, HashSet<String>)>>,
}

impl Watch {
    /// Watches files that are wanted by those for whom the picture was taken.
    pub(super) fn over(picture: &Picture, names: &[String]) -> Self {
        let names: HashSet<&str> = names.iter().map(String::as_str).collect();
        let left = picture.waiters.iter().map(|(waiter, resolved, _)| {
            let files = resolved.files.iter().map(|source| &source.wanted.name);
            let its = files.filter(|name| names.contains(name.as_str())).cloned().collect();
            (waiter.request.to_string(), its)
        });
        Self { left: Mutex::new(left.collect()), ..Self::default() }
    }

    /// One of them has been streamed, well or badly.
    pub(super) fn streamed(&self, name: &str) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, names) in left.iter_mut() {
            names.remove(name);
        }
    }

    /// Whether somebody has all of its files while others have not; true once for each.
    pub(super) fn somebody_is_done(&self) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let before = left.len();
        left.retain(|(_, names)| !names.is_empty());
        left.len() < before && !left.is_empty()
    }

    /// Ends what nobody waits for any more.
    pub(super) fn end_for_nobody(&self, picture: &Picture, state: &FolderState) {
        let waits = |request: &str| state.seen.contains_key(request);
        if !picture.waiters.iter().any(|(waiter, ..)| waits(waiter.request.as_str())) {
            self.enough.cancel();
        }
    }
}
