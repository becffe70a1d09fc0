//! Files handed over to be streamed, and their results: the channel between the holder of a folder and its
//! streams.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{
    snapshot::Snapshot,
    task::{Streamed, Task},
};

/// The queue of one holder. Its length is bounded by the uploads that a folder remembers.
#[derive(Debug, Default)]
pub(super) struct StreamQueue {
    inner: Mutex<Inner>,
    /// For the streams: there are more files, or no more will come.
    changed: Notify,
    /// For files that wait for a place among the streams: some are not wanted any more.
    fewer: Notify,
    /// For the holder: nothing is under way any more.
    over: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Vec<Task>,
    /// How many files are neither streamed nor left.
    open: usize,
    done: Vec<Streamed>,
    left: Vec<String>,
    /// Requests, each with its files that are still to be streamed.
    wanted: Vec<(String, HashSet<String>)>,
    closed: bool,
}

/// The files that are under way no more.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Streamed, well or badly.
    pub done: Vec<Streamed>,
    /// Never begun.
    pub left: Vec<String>,
}

impl StreamQueue {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over files that the waiters of the snapshot want.
    pub(super) fn hand_over(&self, snapshot: &Snapshot, tasks: Vec<Task>) {
        if tasks.is_empty() {
            return;
        }
        let names: HashSet<&str> = tasks.iter().map(|task| task.source.wanted.name.as_str()).collect();
        let mut inner = self.inner();
        for (waiter, resolved, _) in &snapshot.waiters {
            let files = resolved.files.iter().map(|source| source.wanted.name.as_str());
            let its: HashSet<String> = files.filter(|name| names.contains(name)).map(str::to_owned).collect();
            if !its.is_empty() {
                inner.wanted.push((waiter.request.to_string(), its));
            }
        }
        inner.open += tasks.len();
        inner.waiting.extend(tasks);
        drop(inner);
        self.changed.notify_one();
    }

    /// The files that are to begin next.
    pub(super) fn next(&self, most: usize) -> Vec<Task> {
        let mut inner = self.inner();
        let most = inner.waiting.len().min(most);
        inner.waiting.drain(..most).collect()
    }

    /// These have not begun.
    pub(super) fn put_back(&self, tasks: Vec<Task>) {
        let mut inner = self.inner();
        inner.waiting.extend(tasks);
        inner.leave_unwanted();
        drop(inner);
        self.tell_if_over();
    }

    /// None that waits will begin.
    pub(super) fn leave_all(&self) {
        self.inner().leave(|_| true);
        self.tell_if_over();
    }

    /// One has been streamed, well or badly.
    pub(super) fn ended(&self, streamed: Streamed) {
        let mut inner = self.inner();
        for (_, names) in &mut inner.wanted {
            names.remove(&streamed.name);
        }
        inner.open -= 1;
        inner.done.push(streamed);
        drop(inner);
        self.tell_if_over();
    }

    /// Leaves out files that have not begun and that no waiter waits for any more.
    pub(super) fn keep_for(&self, waits: impl Fn(&str) -> bool) {
        let mut inner = self.inner();
        let before = inner.wanted.len();
        inner.wanted.retain(|(request, _)| waits(request));
        if inner.wanted.len() == before {
            return;
        }
        inner.leave_unwanted();
        drop(inner);
        self.fewer.notify_waiters();
        self.tell_if_over();
    }

    /// Whether a waiter has all of its files while other waiters have not; true once for each.
    pub(super) fn somebody_is_done(&self) -> bool {
        let mut inner = self.inner();
        let before = inner.wanted.len();
        inner.wanted.retain(|(_, names)| !names.is_empty());
        inner.wanted.len() < before && !inner.wanted.is_empty()
    }

    /// The files that have ended since the last time.
    pub(super) fn take(&self) -> Taken {
        let mut inner = self.inner();
        Taken { done: std::mem::take(&mut inner.done), left: std::mem::take(&mut inner.left) }
    }

    /// Whether nothing is under way and nothing was left unnoticed.
    pub(super) fn is_empty(&self) -> bool {
        let inner = self.inner();
        inner.open == 0 && inner.done.is_empty() && inner.left.is_empty()
    }

    /// Whether nothing is under way.
    pub(super) fn is_over(&self) -> bool {
        self.inner().open == 0
    }

    /// Until nothing is under way.
    pub(super) async fn until_over(&self) {
        while !self.is_over() {
            self.over.notified().await;
        }
    }

    /// Until more files have come, or no more will.
    pub(super) async fn until_changed(&self) {
        self.changed.notified().await;
    }

    /// Until some files are not wanted any more.
    pub(super) async fn until_fewer(&self) {
        self.fewer.notified().await;
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.inner().closed = true;
        self.changed.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.inner().closed
    }

    fn tell_if_over(&self) {
        if self.is_over() {
            self.over.notify_one();
        }
    }
}

impl Inner {
    fn leave(&mut self, is_left: impl Fn(&Task) -> bool) {
        let (left, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(is_left);
        self.waiting = waiting;
        let left: Vec<Task> = left;
        self.open -= left.len();
        self.left.extend(left.into_iter().map(|task| task.source.wanted.name));
    }

    fn leave_unwanted(&mut self) {
        let wanted = std::mem::take(&mut self.wanted);
        self.leave(|task| !wanted.iter().any(|(_, names)| names.contains(&task.source.wanted.name)));
        self.wanted = wanted;
    }
}
