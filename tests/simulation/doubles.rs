//! What stands around the fleet: the table, the queues, the callers, the clocks, the wires.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use copy_manager::{
    ports::{
        Result,
        clock::{Clock, Steady},
        queue::{Depth, Message, Queue},
        store::{
            CREATED_AT, DAY, DUE_AT, DUE_SHARD, Due, Item, Key, Recent, Store, Transacted, Write, Written,
            apply,
        },
    },
    simulator::events::{EventSink, SinkError},
};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::fate::Fate;

/// An instance's clock: tokio's, a little fast or slow, on a machine that may be set back.
#[derive(Debug)]
pub(crate) struct SkewedClock {
    epoch: Timestamp,
    start: Instant,
    skew_ms: i64,
    /// When the machine is set back, and by how many milliseconds.
    back: Vec<(Instant, i64)>,
    steady: Steady,
}

impl SkewedClock {
    pub(crate) fn new(epoch: Timestamp, start: Instant, skew_ms: i64, back: Vec<(Instant, i64)>) -> Self {
        Self { epoch, start, skew_ms, back, steady: Steady::default() }
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let now = Instant::now();
        let back: i64 = self.back.iter().filter(|(at, _)| *at <= now).map(|(_, by_ms)| by_ms).sum();
        let machine = self.epoch + self.start.elapsed() + SignedDuration::from_millis(self.skew_ms - back);
        self.steady.now(machine)
    }
}

#[derive(Debug, Default)]
struct Table {
    items: BTreeMap<Key, Item>,
    due: BTreeSet<(i64, i64, Key)>,
    phases: BTreeSet<Change>,
}

/// Of a root or a child: the phase that it was in, and the next one. None: it was not there.
pub(crate) type Change = (&'static str, Option<String>, String);

/// Every way from one phase to the next, of roots and of children. A history in which another one is gone
/// breaks a rule, and the histories of the tests together go all of them.
pub(crate) const PHASES: [(&str, Option<&str>, &str); 13] = [
    ("root", None, "RECEIVED"),
    // Nothing is to be done, or cannot be.
    ("root", None, "SETTLED"),
    ("root", Some("RECEIVED"), "FINISHING"),
    ("root", Some("RECEIVED"), "PLANNED"),
    // Stopped.
    ("root", Some("PLANNED"), "FINISHING"),
    ("root", Some("PLANNED"), "RUNNING"),
    // The next step.
    ("root", Some("RUNNING"), "PLANNED"),
    ("root", Some("RUNNING"), "FINISHING"),
    ("root", Some("FINISHING"), "SETTLED"),
    ("child", None, "RECEIVED"),
    ("child", Some("RECEIVED"), "RUNNING"),
    // Stopped before it began, or a slice, which does not tell that it runs.
    ("child", Some("RECEIVED"), "SETTLED"),
    ("child", Some("RUNNING"), "SETTLED"),
];

/// What a write has made of the phase of a request of ours.
fn change(before: Option<&Item>, after: &Item) -> Option<Change> {
    if after.key.id_type != "REQUEST" || after.key.id.starts_with("future.") {
        return None;
    }
    let was = before.and_then(|item| item.text("phase"));
    let is = after.text("phase").filter(|is| Some(*is) != was)?;
    let whose = if after.key.id.starts_with("child.") { "child" } else { "root" };
    Some((whose, was.map(str::to_owned), is.to_owned()))
}

impl Table {
    fn write(&mut self, write: &Write) -> Result<Written> {
        let before = self.items.get(&write.key);
        let written = apply(before, write)?;
        if let Written::Done(after) = &written {
            let entry = |item: &Item| Some((item.number(DUE_SHARD)?, item.number(DUE_AT)?, item.key.clone()));
            let gone = matches!(write.action, copy_manager::ports::store::Action::Delete);
            if matches!(write.action, copy_manager::ports::store::Action::Check) {
                return Ok(written);
            }
            if let Some(old) = before.and_then(entry) {
                self.due.remove(&old);
            }
            match after {
                Some(item) => {
                    self.phases.extend(change(before, item));
                    self.due.extend(entry(item));
                    self.items.insert(write.key.clone(), item.clone());
                }
                None if gone => drop(self.items.remove(&write.key)),
                None => {}
            }
        }
        Ok(written)
    }
}

/// The one table, in memory, by the store's own rules.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore(Mutex<Table>);

impl MemoryStore {
    pub(crate) fn peek(&self, key: &Key) -> Option<Item> {
        self.0.lock().unwrap().items.get(key).cloned()
    }

    /// The changes of phases that were seen.
    pub(crate) fn phases(&self) -> BTreeSet<Change> {
        self.0.lock().unwrap().phases.clone()
    }

    pub(crate) fn all(&self) -> Vec<Item> {
        self.0.lock().unwrap().items.values().cloned().collect()
    }

    /// Looks at every item without copying them.
    pub(crate) fn each(&self, mut look: impl FnMut(&Item)) {
        self.0.lock().unwrap().items.values().for_each(&mut look);
    }

    pub(crate) fn force(&self, item: Item) {
        drop(self.0.lock().unwrap().write(&Write::put_new(item)));
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>> {
        Ok(self.peek(key))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>> {
        let table = self.0.lock().unwrap();
        Ok(keys.iter().filter_map(|key| table.items.get(key).cloned()).collect())
    }

    async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>> {
        let table = self.0.lock().unwrap();
        let from = Key::new(id, prefix);
        let items = table.items.range(from..);
        let items = items.take_while(|(key, _)| key.id == id && key.id_type.starts_with(prefix));
        Ok(items.map(|(_, item)| item.clone()).collect())
    }

    async fn write(&self, write: Write) -> Result<Written> {
        self.0.lock().unwrap().write(&write)
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted> {
        let mut table = self.0.lock().unwrap();
        let mut refused = Vec::new();
        for (n, write) in writes.iter().enumerate() {
            if let Written::Refused(_) = apply(table.items.get(&write.key), write)? {
                refused.push(n);
            }
        }
        if !refused.is_empty() {
            return Ok(Transacted::Refused(refused));
        }
        for write in &writes {
            table.write(write)?;
        }
        Ok(Transacted::Done)
    }

    async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>> {
        let table = self.0.lock().unwrap();
        let shard = i64::from(shard);
        let from = (shard, i64::MIN, Key::new("", ""));
        let entries = table.due.range(from..).take_while(|(s, at, _)| *s == shard && *at <= until);
        Ok(entries.take(limit).map(|(_, due_at, key)| Due { key: key.clone(), due_at: *due_at }).collect())
    }

    async fn due_after(&self, shard: u8, after: i64, limit: usize) -> Result<Vec<Due>> {
        let table = self.0.lock().unwrap();
        let shard = i64::from(shard);
        let until = (shard + 1, i64::MIN, Key::new("", ""));
        let entries = table.due.range(..until).rev().take_while(|(s, at, _)| *s == shard && *at > after);
        Ok(entries.take(limit).map(|(_, due_at, key)| Due { key: key.clone(), due_at: *due_at }).collect())
    }

    async fn recent(&self, day: i64, before: i64, limit: usize) -> Result<Vec<Recent>> {
        let table = self.0.lock().unwrap();
        let of_day = table.items.values().filter(|item| item.number(DAY) == Some(day));
        let mut recent: Vec<_> = of_day
            .filter_map(|item| Some(Recent { key: item.key.clone(), created_at: item.number(CREATED_AT)? }))
            .filter(|recent| recent.created_at < before)
            .collect();
        recent.sort_by_key(|recent| std::cmp::Reverse(recent.created_at));
        let last = recent.get(limit.saturating_sub(1)).map_or(i64::MIN, |last| last.created_at);
        recent.retain(|recent| recent.created_at >= last);
        Ok(recent)
    }
}

#[derive(Debug)]
struct Waiting {
    id: String,
    body: String,
    visible_at: Instant,
    receives: u32,
}

/// A queue as SQS is one: at least once, in no order, perhaps late.
#[derive(Debug)]
pub(crate) struct MemoryQueue {
    fate: Arc<Fate>,
    name: &'static str,
    messages: Mutex<(u64, Vec<Waiting>)>,
    news: Notify,
    visibility: Duration,
    max_receives: Option<u32>,
    pub(crate) dead: Mutex<Vec<String>>,
}

impl MemoryQueue {
    pub(crate) fn new(
        fate: Arc<Fate>,
        name: &'static str,
        visibility: Duration,
        max_receives: Option<u32>,
    ) -> Arc<Self> {
        Arc::new(Self {
            fate,
            name,
            messages: Mutex::default(),
            news: Notify::new(),
            visibility,
            max_receives,
            dead: Mutex::default(),
        })
    }

    pub(crate) fn push(&self, body: String) {
        let late = self.fate.delays_message().unwrap_or_default();
        {
            let mut messages = self.messages.lock().unwrap();
            messages.0 += 1;
            let id = format!("{}-{}", self.name, messages.0);
            self.fate.note(9, "push", &format!("{id} {body}"));
            messages.1.push(Waiting { id, body, visible_at: Instant::now() + late, receives: 0 });
        }
        self.news.notify_one();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.lock().unwrap().1.is_empty()
    }

    fn take(&self) -> (Vec<Message>, Option<Instant>) {
        let now = Instant::now();
        let mut messages = self.messages.lock().unwrap();
        if let Some(most) = self.max_receives {
            let is_dead = |message: &Waiting| message.visible_at <= now && message.receives >= most;
            let dead: Vec<_> = messages.1.iter().filter(|m| is_dead(m)).map(|m| m.body.clone()).collect();
            self.dead.lock().unwrap().extend(dead);
            messages.1.retain(|message| !is_dead(message));
        }
        let mut taken = Vec::new();
        let mut order: Vec<usize> = (0..messages.1.len()).collect();
        for n in (1..order.len()).rev() {
            order.swap(n, usize::try_from(self.fate.below(n as u64 + 1)).unwrap());
        }
        for n in order {
            let message = &mut messages.1[n];
            if message.visible_at > now || taken.len() == 10 {
                continue;
            }
            message.receives += 1;
            // Shown to somebody else too.
            let hidden = if self.fate.duplicates() { Duration::from_millis(1) } else { self.visibility };
            message.visible_at = now + hidden;
            taken.push(Message {
                id: message.id.clone(),
                receipt: format!("{}/{}", message.id, message.receives),
                body: message.body.clone(),
                receives: message.receives,
            });
        }
        (taken, messages.1.iter().map(|message| message.visible_at).min())
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn receive(&self) -> Result<Vec<Message>> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let (taken, next) = self.take();
            if !taken.is_empty() || Instant::now() >= end {
                return Ok(taken);
            }
            let until = next.map_or(end, |next| next.min(end));
            let until = until.max(Instant::now() + Duration::from_millis(1));
            drop(timeout(until - Instant::now(), self.news.notified()).await);
        }
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<String>> {
        let mut messages = self.messages.lock().unwrap();
        let mut failed = Vec::new();
        for receipt in receipts {
            if self.fate.loses() {
                failed.push(receipt.clone());
                continue;
            }
            let id = receipt.split('/').next().unwrap();
            messages.1.retain(|message| message.id != id);
        }
        Ok(failed)
    }

    async fn release(&self, receipts: &[String]) -> Result<()> {
        let mut messages = self.messages.lock().unwrap();
        for receipt in receipts {
            let id = receipt.split('/').next().unwrap();
            for message in messages.1.iter_mut().filter(|message| message.id == id) {
                message.visible_at = Instant::now();
            }
        }
        drop(messages);
        self.news.notify_one();
        Ok(())
    }

    async fn depth(&self) -> Result<Depth> {
        let (now, messages) = (Instant::now(), self.messages.lock().unwrap());
        let waiting = messages.1.iter().filter(|message| message.visible_at <= now).count() as u64;
        let dead_letters = Some(self.dead.lock().unwrap().len() as u64);
        Ok(Depth { waiting, in_flight: messages.1.len() as u64 - waiting, dead_letters })
    }

    fn max_receives(&self) -> Option<u32> {
        self.max_receives
    }
}

/// Puts the platform's job events on a queue, some never, some twice.
#[derive(Debug)]
pub(crate) struct JobEvents {
    pub(crate) fate: Arc<Fate>,
    pub(crate) queue: Arc<MemoryQueue>,
}

#[async_trait]
impl EventSink for JobEvents {
    async fn send(&self, envelope: serde_json::Value) -> Result<(), SinkError> {
        if self.fate.loses() {
            return Ok(());
        }
        if self.fate.duplicates() {
            self.queue.push(envelope.to_string());
        }
        self.queue.push(envelope.to_string());
        Ok(())
    }
}
