//! Runs records, a bounded number at a time, each at most once at a time on this instance.
//!
//! The inbox is a shortcut, not a promise: a key that finds it full is found again by the timers.
//! Roots go after children and folders, so that work that has begun is finished first; but not for ever,
//! because a root may have been stopped, or its children may have settled.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt as _;
use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
    time::{Instant, sleep},
};
use tokio_util::time::{DelayQueue, delay_queue};

use super::{Engine, records};
use crate::{ports::store::Key, signals};

/// How often it is looked whether planes have room for more of their records.
const LOOK_AT_CALLS: Duration = Duration::from_millis(100);

/// How many records that are not roots go before a root that waits.
const BEFORE_A_ROOT: u32 = 15;

/// For how long a record that has begun may not have made its first call.
const BEGUN: Duration = Duration::from_secs(1);

/// The queue in which a record waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Children and folders: work that has begun.
    Begun,
    /// Roots.
    Root,
}

/// A wish that a record be run.
#[derive(Debug)]
pub(crate) enum InboxMessage {
    /// Now.
    Now(Key, Priority),
    /// After a while.
    Later(Key, Priority, Duration),
}

/// Where wishes go.
#[derive(Debug, Clone)]
pub(crate) struct Inbox(mpsc::Sender<InboxMessage>);

impl Inbox {
    pub(crate) fn new(sender: mpsc::Sender<InboxMessage>) -> Self {
        Self(sender)
    }

    /// Asks for a run; false when the inbox is full.
    pub(crate) fn offer(&self, key: Key, lane: Priority) -> bool {
        self.0.try_send(InboxMessage::Now(key, lane)).is_ok()
    }

    /// Asks for a run after a while.
    pub(crate) fn later(&self, key: Key, lane: Priority, wait: Duration) {
        // A full inbox costs a few seconds: the record is due, and the timers will find it.
        drop(self.0.try_send(InboxMessage::Later(key, lane, wait)));
    }
}

/// Whether a record is one that a plane owns.
fn is_owned(key: &Key) -> bool {
    key.id_type != records::REQUEST
}

/// The lane of a record, by its type.
pub(crate) fn lane(key: &Key) -> Priority {
    if key.id_type == records::SCHEDULE || (key.id_type == records::REQUEST && !key.id.starts_with("child."))
    {
        Priority::Root
    } else {
        Priority::Begun
    }
}

/// Keys that wait for a free place, each once.
#[derive(Debug, Default)]
struct Waiting {
    /// Records that have begun and ask nothing of ICAv2, or not much.
    begun: VecDeque<Key>,
    /// Records that planes own: each stands for several children.
    owned: VecDeque<Key>,
    roots: VecDeque<Key>,
    known: HashSet<Key>,
    /// Whether one of these went last.
    owned_went: bool,
    /// How many went since a root did.
    since_a_root: u32,
}

impl Waiting {
    fn push(&mut self, key: Key, lane: Priority) {
        if self.known.insert(key.clone()) {
            match lane {
                Priority::Begun if is_owned(&key) => self.owned.push_back(key),
                Priority::Begun => self.begun.push_back(key),
                Priority::Root => self.roots.push_back(key),
            }
        }
    }

    /// The next one: records that planes own and other records that have begun, by turns, then roots. The
    /// former only where their plane has room.
    fn pop(&mut self, room: bool) -> Option<Key> {
        let begun = if self.since_a_root < BEFORE_A_ROOT { self.pop_begun(room) } else { None };
        self.since_a_root = if begun.is_some() { self.since_a_root + 1 } else { 0 };
        let key = begun.or_else(|| self.roots.pop_front()).or_else(|| self.pop_begun(room))?;
        self.known.remove(&key);
        Some(key)
    }

    fn pop_begun(&mut self, room: bool) -> Option<Key> {
        let mut owned = None;
        if room && (!self.owned_went || self.begun.is_empty()) {
            owned = self.owned.pop_front();
        }
        self.owned_went = owned.is_some();
        owned.or_else(|| self.begun.pop_front()).or_else(|| self.owned.pop_front_if(|_| room))
    }
}

/// Runs that are to come, one for each record: the earliest that was asked for.
#[derive(Debug, Default)]
struct Later {
    queue: DelayQueue<(Arc<Key>, Priority)>,
    keys: HashMap<Arc<Key>, delay_queue::Key>,
}

impl Later {
    fn push(&mut self, key: Key, lane: Priority, wait: Duration) {
        let at = Instant::now() + wait;
        match self.keys.get(&key) {
            Some(known) if self.queue.deadline(known) <= at => {}
            Some(known) => self.queue.reset_at(known, at),
            None if self.keys.len() < super::INBOX => {
                let key = Arc::new(key);
                let handle = self.queue.insert_at((Arc::clone(&key), lane), at);
                self.keys.insert(key, handle);
            }
            // The record is due, and the timers will find it.
            None => {}
        }
    }

    async fn next(&mut self) -> Option<(Key, Priority)> {
        let (key, lane) = self.queue.next().await?.into_inner();
        self.keys.remove(&key);
        Some((Arc::unwrap_or_clone(key), lane))
    }
}

/// The runs that are under way.
#[derive(Debug)]
struct Running {
    key: Key,
    since: Instant,
}

impl Engine {
    /// Runs records until stopped and everything under way has come to an end.
    pub async fn dispatch(self: Arc<Self>) {
        let mut posts = self.posts.lock().await;
        let mut runs = JoinSet::new();
        let mut running: HashMap<Id, Running> = HashMap::new();
        let mut busy: HashSet<Key> = HashSet::new();
        let mut again: HashSet<Key> = HashSet::new();
        let mut waiting = Waiting::default();
        let mut later = Later::default();
        loop {
            let stopping = self.core.stop.is_cancelled();
            let mut room = self.room(&running);
            while !stopping && runs.len() < self.core.settings.service.max_active {
                let Some(key) = waiting.pop(room > 0) else { break };
                if busy.contains(&key) {
                    again.insert(key);
                    continue;
                }
                busy.insert(key.clone());
                if is_owned(&key) {
                    room = room.saturating_sub(1);
                }
                let run = Arc::clone(&self).run(key.clone());
                running.insert(runs.spawn(run).id(), Running { key, since: Instant::now() });
                if !waiting.known.is_empty() {
                    self.core.liveness.run_began(records::millis(self.core.ports.clock.now()));
                }
            }
            let streams = self.core.settings.copy.concurrent_streams;
            let streams = streams.saturating_sub(self.core.streams.available_permits());
            signals::engine::active(runs.len(), waiting.known.len(), streams);
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
                            signals::engine::run_broke(running.get(&id).map(|run| &run.key), &error);
                            id
                        }
                    };
                    if let Some(Running { key, .. }) = running.remove(&id) {
                        busy.remove(&key);
                        if again.remove(&key) {
                            let lane = lane(&key);
                            waiting.push(key, lane);
                        }
                    }
                }
                () = self.core.stop.cancelled(), if !stopping => {}
                Some((key, lane)) = later.next(), if !stopping && !later.keys.is_empty() => {
                    waiting.push(key, lane);
                }
                Some(post) = posts.recv(), if !stopping && waiting.known.len() < super::INBOX => match post {
                    InboxMessage::Now(key, lane) => waiting.push(key, lane),
                    InboxMessage::Later(key, lane, wait) => later.push(key, lane, wait),
                },
                () = sleep(LOOK_AT_CALLS), if !stopping && room == 0 && !waiting.owned.is_empty() => {}
            }
        }
    }

    /// How many records that planes own may begin now.
    fn room(&self, running: &HashMap<Id, Running>) -> usize {
        let begun = running.values().filter(|run| is_owned(&run.key) && run.since.elapsed() < BEGUN);
        self.registry.room(begun.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, id_type: &str) -> Key {
        Key::new(id, id_type)
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_is_run_once_at_the_earliest_time_that_was_asked_for() {
        let mut later = Later::default();
        let began = Instant::now();
        // As a folder does that is woken again and again.
        for seconds in [60, 600, 30, 45].into_iter().cycle().take(3 * super::super::INBOX) {
            later.push(key("a", "FOLDER"), Priority::Begun, Duration::from_secs(seconds));
        }
        later.push(key("b", "FOLDER"), Priority::Begun, Duration::from_secs(50));
        let mut ran = Vec::new();
        while !later.keys.is_empty() {
            ran.push((later.next().await.unwrap().0.id, began.elapsed().as_secs()));
        }
        assert_eq!(ran, [("a".to_owned(), 30), ("b".to_owned(), 50)]);
        assert!(later.queue.is_empty());
    }

    #[test]
    fn folders_wait_for_room_and_hold_nobody_else_up() {
        let mut waiting = Waiting::default();
        for n in 0..3 {
            waiting.push(key(&format!("f{n}"), "FOLDER"), Priority::Begun);
            waiting.push(key(&format!("c{n}"), "REQUEST"), Priority::Begun);
            waiting.push(key(&format!("r{n}"), "REQUEST"), Priority::Root);
            waiting.push(key(&format!("r{n}"), "REQUEST"), Priority::Root);
        }
        let order: Vec<_> = [true, true, false, false, false, false, true, true, true, true]
            .map(|room| waiting.pop(room).map_or_else(String::new, |key| key.id))
            .into();
        assert_eq!(order, ["f0", "c0", "c1", "c2", "r0", "r1", "f1", "f2", "r2", ""]);
        assert!(waiting.known.is_empty());
    }

    /// Found by seed 1391: a root that was stopped was not run for five minutes, and its children neither.
    #[test]
    fn a_root_has_its_turn_although_others_always_wait() {
        let mut waiting = Waiting::default();
        waiting.push(key("root", "REQUEST"), Priority::Root);
        let mut before = 0;
        loop {
            waiting.push(key(&format!("f{before}"), "FOLDER"), Priority::Begun);
            waiting.push(key(&format!("c{before}"), "REQUEST"), Priority::Begun);
            if waiting.pop(true).is_some_and(|key| key.id == "root") {
                break;
            }
            before += 1;
            assert!(before < 100, "it starves");
        }
        assert_eq!(before, BEFORE_A_ROOT);
    }
}
