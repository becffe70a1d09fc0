//! Runs records, a bounded number at a time, each at most once at a time on this instance.
//!
//! The inbox is a shortcut, not a promise: a key that finds it full is found again by the timers.
//! Roots wait behind children and folders, so that what has begun is finished first.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt as _;
use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
};
use tokio_util::time::DelayQueue;

use super::{Engine, records};
use crate::{ports::store::Key, signals};

/// Who waits where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Children and folders: work that has begun.
    Begun,
    /// Roots.
    Root,
}

/// A wish that a record be run.
#[derive(Debug)]
pub(crate) enum Post {
    /// Now.
    Now(Key, Lane),
    /// After a while.
    Later(Key, Lane, Duration),
}

/// Where wishes go.
#[derive(Debug, Clone)]
pub(crate) struct Inbox(mpsc::Sender<Post>);

impl Inbox {
    pub(crate) fn new(sender: mpsc::Sender<Post>) -> Self {
        Self(sender)
    }

    /// Asks for a run; false when the inbox is full.
    pub(crate) fn offer(&self, key: Key, lane: Lane) -> bool {
        self.0.try_send(Post::Now(key, lane)).is_ok()
    }

    /// Asks for a run after a while.
    pub(crate) fn later(&self, key: Key, lane: Lane, wait: Duration) {
        // A full inbox costs a few seconds: the record is due, and the timers will find it.
        drop(self.0.try_send(Post::Later(key, lane, wait)));
    }
}

/// The lane of a record, by what it is.
pub(crate) fn lane(key: &Key) -> Lane {
    if key.id_type == records::REQUEST && !key.id.starts_with("child.") { Lane::Root } else { Lane::Begun }
}

/// Keys that wait for a free place, each once.
#[derive(Debug, Default)]
struct Waiting {
    begun: VecDeque<Key>,
    roots: VecDeque<Key>,
    known: HashSet<Key>,
}

impl Waiting {
    fn push(&mut self, key: Key, lane: Lane) {
        if self.known.insert(key.clone()) {
            match lane {
                Lane::Begun => self.begun.push_back(key),
                Lane::Root => self.roots.push_back(key),
            }
        }
    }

    fn pop(&mut self) -> Option<Key> {
        let key = self.begun.pop_front().or_else(|| self.roots.pop_front())?;
        self.known.remove(&key);
        Some(key)
    }
}

impl Engine {
    /// Runs records until stopped and everything under way has come to an end.
    pub async fn dispatch(self: Arc<Self>) {
        let mut posts = self.posts.lock().await;
        let mut runs = JoinSet::new();
        let mut running: HashMap<Id, Key> = HashMap::new();
        let mut busy: HashSet<Key> = HashSet::new();
        let mut again: HashSet<Key> = HashSet::new();
        let mut waiting = Waiting::default();
        let mut later = DelayQueue::new();
        loop {
            let stopping = self.stop.is_cancelled();
            while !stopping && runs.len() < self.settings.service.max_active {
                let Some(key) = waiting.pop() else { break };
                if busy.contains(&key) {
                    again.insert(key);
                    continue;
                }
                busy.insert(key.clone());
                let run = Arc::clone(&self).run(key.clone());
                running.insert(runs.spawn(run).id(), key);
                if !waiting.known.is_empty() {
                    self.evidence.run_began(records::millis(self.ports.clock.now()));
                }
            }
            signals::engine::active(runs.len(), waiting.known.len());
            if stopping && runs.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                Some(ended) = runs.join_next_with_id(), if !runs.is_empty() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(error) => {
                            let id = error.id();
                            signals::engine::run_broke(running.get(&id), &error);
                            id
                        }
                    };
                    if let Some(key) = running.remove(&id) {
                        busy.remove(&key);
                        if again.remove(&key) {
                            let lane = lane(&key);
                            waiting.push(key, lane);
                        }
                    }
                }
                () = self.stop.cancelled(), if !stopping => {}
                Some(expired) = later.next(), if !stopping && !later.is_empty() => {
                    let (key, lane) = expired.into_inner();
                    waiting.push(key, lane);
                }
                Some(post) = posts.recv(), if !stopping && waiting.known.len() < super::INBOX => match post {
                    Post::Now(key, lane) => waiting.push(key, lane),
                    Post::Later(key, lane, wait) if later.len() < super::INBOX => {
                        later.insert((key, lane), wait);
                    }
                    Post::Later(..) => {}
                },
            }
        }
    }
}
