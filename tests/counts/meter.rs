//! What AWS would put on a bill, counted where an instance meets its ports: units of DynamoDB, requests to SQS, events,
//! calls to S3, bytes of the log.
//!
//! Units are counted as DynamoDB's documentation says: a write is as large as the larger of the item before and after, in
//! kilobytes begun, and twice that in a transaction, also where its condition does not hold; an index takes a unit for each
//! entry that is made or removed. Only what happens between the ports is seen: not what the SDK tries again by itself.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use copy_manager::{
    domain::token::TaskToken,
    ports::{
        Error, Ports, Result,
        bus::{Event, EventBus},
        callbacks::{Delivery, TaskCallbacks},
        queue::{Depth, Message, Queue},
        store::{
            Action, CREATED_AT, Change, Condition, DAY, DUE_AT, DUE_SHARD, Due, Item, Key, Recent, Store,
            Transacted, Value, Write, Written, item_bytes,
        },
    },
};
use tracing_subscriber::fmt::MakeWriter;

use crate::house::House;

pub(crate) const WRITES: &str = "write units";
pub(crate) const READS: &str = "read units";
pub(crate) const INDEX: &str = "write units of indexes, among them";
pub(crate) const WALK: &str = "read units of looking for what is due";
pub(crate) const KEPT: &str = "bytes that stay in the table";
pub(crate) const QUEUE: &str = "requests to queues";
pub(crate) const POLLS: &str = "receives that bring nothing";
pub(crate) const EVENTS: &str = "events";
pub(crate) const BEATS: &str = "heartbeats";
pub(crate) const LOGGED: &str = "bytes of the log";
pub(crate) const S3_WRITES: &str = "S3 calls that write or list";
pub(crate) const S3_READS: &str = "S3 calls that read";

/// A unit of writing and of reading in DynamoDB.
const WRITE_UNIT: usize = 1024;
const READ_UNIT: usize = 4096;
/// What SQS and EventBridge take for one.
const PIECE: usize = 64 * 1024;
/// What CloudWatch adds to each line.
const LINE: usize = 26;
/// What an entry of an index takes, at most.
const ENTRY: usize = 200;

/// What was used.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<BTreeMap<&'static str, f64>>);

impl Meter {
    fn add(&self, what: &'static str, count: f64) {
        *self.0.lock().unwrap().entry(what).or_default() += count;
    }

    /// Begins anew.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// What was used, for each of `of`; calls of S3 are those that the platform has seen in these buckets.
    pub(crate) fn figures(&self, house: &House, buckets: &[&str], of: usize) -> BTreeMap<String, f64> {
        let stats = house.simulator.stats();
        let seen = buckets.iter().filter_map(|bucket| stats.buckets.get(*bucket));
        for (operation, count) in seen.flat_map(|bucket| &bucket.calls) {
            if let Some(class) = class(operation) {
                self.add(class, float(usize::try_from(*count).unwrap()));
            }
        }
        let all = self.0.lock().unwrap();
        all.iter().map(|(what, count)| ((*what).to_owned(), count / float(of))).collect()
    }

    fn wrote(&self, before: Option<&Item>, after: Option<&Item>, times: f64) {
        let (was, is) = (before.map_or(0, item_bytes), after.map_or(0, item_bytes));
        let index = entries(before, after);
        self.add(WRITES, times * units(was.max(is), WRITE_UNIT) + index);
        self.add(INDEX, index);
        self.add(KEPT, float(is) - float(was));
    }

    /// Puts this between an instance and its ports.
    pub(crate) fn between(self: &Arc<Self>, ports: Ports) -> Ports {
        let meter = || self.clone();
        let queue = |queue: Arc<dyn Queue>| Arc::new(Metered(queue, meter())) as Arc<dyn Queue>;
        Ports {
            store: Arc::new(Metered(ports.store, meter())),
            requests: queue(ports.requests),
            job_events: ports.job_events.map(queue),
            bus: Arc::new(Metered(ports.bus, meter())),
            callbacks: Arc::new(Metered(ports.callbacks, meter())),
            ..ports
        }
    }
}

/// Which price a call of S3 has; none where it is free.
fn class(operation: &str) -> Option<&'static str> {
    match operation {
        "PutObject"
        | "CopyObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload"
        | "ListObjectsV2"
        | "ListObjects"
        | "ListMultipartUploads"
        | "ListParts"
        | "RestoreObject" => Some(S3_WRITES),
        "DeleteObject" | "DeleteObjects" | "AbortMultipartUpload" => None,
        _ => Some(S3_READS),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of millions")]
fn float(count: usize) -> f64 {
    count as f64
}

/// Units begun; whatever is asked takes one.
fn units(bytes: usize, unit: usize) -> f64 {
    float(bytes.div_ceil(unit).max(1))
}

/// Writes to both indexes.
fn entries(before: Option<&Item>, after: Option<&Item>) -> f64 {
    let of = |item: Option<&Item>, names: [&str; 2]| {
        let item = item?;
        Some((item.number(names[0])?, item.number(names[1])?))
    };
    let writes =
        [[DUE_SHARD, DUE_AT], [DAY, CREATED_AT]].map(|names| match (of(before, names), of(after, names)) {
            (was, is) if was == is => 0,
            (Some(_), Some(_)) => 2,
            _ => 1,
        });
    float(writes.iter().sum())
}

/// A port, and who counts.
#[derive(Debug)]
pub(crate) struct Metered<T: ?Sized>(pub(crate) Arc<T>, pub(crate) Arc<Meter>);

#[async_trait]
impl Store for Metered<dyn Store> {
    async fn get(&self, key: &Key) -> Result<Option<Item>> {
        let item = self.0.get(key).await?;
        self.1.add(READS, units(item.as_ref().map_or(0, item_bytes), READ_UNIT));
        Ok(item)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>> {
        let items = self.0.get_many(keys).await?;
        let found: f64 = items.iter().map(|item| units(item_bytes(item), READ_UNIT)).sum();
        self.1.add(READS, found + float(keys.len() - items.len()));
        Ok(items)
    }

    async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>> {
        let items = self.0.query(id, prefix).await?;
        self.1.add(READS, units(items.iter().map(item_bytes).sum(), READ_UNIT));
        Ok(items)
    }

    async fn write(&self, write: Write) -> Result<Written> {
        if matches!(write.action, Action::Check) {
            self.get(&write.key).await?;
            return self.0.write(write).await;
        }
        let before = self.0.get(&write.key).await?;
        let written = self.0.write(write).await?;
        match &written {
            Written::Done(after) => self.1.wrote(before.as_ref(), after.as_ref(), 1.0),
            Written::Refused(_) => self.1.wrote(before.as_ref(), before.as_ref(), 1.0),
        }
        Ok(written)
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted> {
        let keys: Vec<_> = writes.iter().map(|write| write.key.clone()).collect();
        let mut before = Vec::new();
        for key in &keys {
            before.push(self.0.get(key).await?);
        }
        let done = self.0.transact(writes).await;
        for (key, before) in keys.iter().zip(before) {
            let after = self.0.get(key).await?;
            self.1.wrote(before.as_ref(), after.as_ref(), 2.0);
        }
        done
    }

    async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>> {
        let due = self.0.due(shard, until, limit).await?;
        self.1.add(WALK, units(due.len() * ENTRY, READ_UNIT) / 2.0);
        Ok(due)
    }

    async fn due_after(&self, shard: u8, after: i64, limit: usize) -> Result<Vec<Due>> {
        let due = self.0.due_after(shard, after, limit).await?;
        self.1.add(WALK, units(due.len() * ENTRY, READ_UNIT) / 2.0);
        Ok(due)
    }

    async fn recent(&self, day: i64, before: i64, limit: usize) -> Result<Vec<Recent>> {
        let recent = self.0.recent(day, before, limit).await?;
        self.1.add(READS, units(recent.len() * ENTRY, READ_UNIT) / 2.0);
        Ok(recent)
    }
}

#[async_trait]
impl Queue for Metered<dyn Queue> {
    /// A message costs when it is sent, too, which its queue pays for.
    async fn receive(&self) -> Result<Vec<Message>> {
        let messages = self.0.receive().await?;
        if messages.is_empty() {
            self.1.add(POLLS, 1.0);
            return Ok(messages);
        }
        let sent: f64 = messages
            .iter()
            .filter(|message| message.receives == 1)
            .map(|message| units(message.body.len(), PIECE))
            .sum();
        let received = units(messages.iter().map(|message| message.body.len()).sum(), PIECE);
        self.1.add(QUEUE, sent + received);
        Ok(messages)
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<String>> {
        self.1.add(QUEUE, units(receipts.len(), 10));
        self.0.delete(receipts).await
    }

    async fn release(&self, receipts: &[String]) -> Result<()> {
        self.1.add(QUEUE, units(receipts.len(), 10));
        self.0.release(receipts).await
    }

    async fn depth(&self) -> Result<Depth> {
        self.0.depth().await
    }

    fn max_receives(&self) -> Option<u32> {
        self.0.max_receives()
    }
}

#[async_trait]
impl EventBus for Metered<dyn EventBus> {
    async fn publish(&self, events: &[Event]) -> Result<Vec<(usize, Error)>> {
        self.1.add(EVENTS, events.iter().map(|event| units(event.detail.len(), PIECE)).sum());
        self.0.publish(events).await
    }
}

#[async_trait]
impl TaskCallbacks for Metered<dyn TaskCallbacks> {
    async fn heartbeat(&self, token: &TaskToken) -> Result<Delivery> {
        self.1.add(BEATS, 1.0);
        self.0.heartbeat(token).await
    }

    async fn succeed(&self, token: &TaskToken, output: &str) -> Result<Delivery> {
        self.0.succeed(token, output).await
    }

    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<Delivery> {
        self.0.fail(token, error, cause).await
    }
}

/// The log, whose lines are as those of a daemon.
#[derive(Debug, Clone)]
pub(crate) struct Logged(Arc<Meter>);

impl io::Write for Logged {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(LOGGED, float(line.len() + LINE));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logged {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Has what is logged counted until it is dropped; settings are as delivered.
pub(crate) fn logs(meter: &Arc<Meter>) -> tracing::subscriber::DefaultGuard {
    let lines = tracing_subscriber::fmt()
        .with_env_filter("warn,copy_manager=info")
        .with_writer(Logged(meter.clone()));
    tracing::subscriber::set_default(lines.json().flatten_event(true).with_span_list(false).finish())
}

#[tokio::test]
async fn units_are_those_of_a_bill() {
    let house = House::new(&[], &[], &[], |_| {}).await;
    let meter = Arc::new(Meter::default());
    let store = Metered(Arc::new(house.store()) as Arc<dyn Store>, meter.clone());
    let used = |what: &str| meter.figures(&house, &[], 1).get(what).copied().unwrap_or(0.0);
    let key = || Key::new("a", "B");
    let set = |name: &str, value: Value| Change::Set(name.to_owned(), value);
    let timed = |at: i64| vec![set(DUE_SHARD, Value::Number(1)), set(DUE_AT, Value::Number(at))];
    for (write, units, of_indexes, why) in [
        (Write::update(key(), vec![set("text", "x".into())]), 1.0, 0.0, "a small item"),
        (Write::update(key(), timed(1)), 2.0, 1.0, "an entry of the index is made"),
        (Write::update(key(), vec![set("text", "y".into())]), 1.0, 0.0, "no entry moves"),
        (Write::update(key(), timed(2)), 3.0, 2.0, "an entry moves"),
        (Write::update(key(), vec![set("text", "y".repeat(1024).into())]), 2.0, 0.0, "more than a kilobyte"),
        (Write::update(key(), vec![set("text", "x".into())]), 2.0, 0.0, "the larger of before and after"),
        (Write::update(key(), timed(3)).when(Condition::Absent), 1.0, 0.0, "a refused write costs, too"),
        (Write::delete(key()), 2.0, 1.0, "an entry is removed"),
    ] {
        meter.clear();
        store.write(write).await.unwrap();
        assert_eq!((used(WRITES), used(INDEX)), (units, of_indexes), "{why}");
    }
    meter.clear();
    let both =
        vec![Write::update(key(), timed(1)), Write::update(Key::new("a", "C"), vec![set("n", "1".into())])];
    store.transact(both).await.unwrap();
    assert_eq!((used(WRITES), used(INDEX)), (5.0, 1.0), "twice for each item, and once for the index");
    meter.clear();
    store.get(&Key::new("a", "none")).await.unwrap();
    store.get_many(&[key(), Key::new("a", "none")]).await.unwrap();
    store.query("a", "").await.unwrap();
    store.due(1, 9, 10).await.unwrap();
    assert_eq!(
        (used(READS), used(WALK)),
        (4.0, 0.5),
        "one a question and item; half a unit where an index answers"
    );
}
