//! Instances over one table in memory, on a paused clock. The table fails as often as it is told to.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value as Json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Chores, ChoresKind, ChoresPlane, World};
use crate::{
    domain::{file::ETag, ids::RequestId, token::TaskToken},
    embedded::{database::Database, objects::NoObjects, secrets::NoSecrets, store::SqliteStore},
    engine::{Engine, Order, Registry, core::Core, settings::Settings},
    icav2::{self, auth::StaticToken, client::Client},
    ports::{
        Class, Error, Ports, Result,
        bus::{Event, EventBus},
        callbacks::{Delivery, TaskCallbacks},
        chance::{Chance as _, Dice},
        clock::Clock,
        queue::{Depth, Message, Queue},
        store::{Due, Item, Key, Recent, SHARDS, Store, Transacted, Write, Written},
        transfers::{PartsUpload, Sent, Stream, Transfers},
    },
    simulator::{self, Simulator, in_process::InProcess},
};

/// What a success says, or the name of the error.
pub(super) type Answer = std::result::Result<Json, String>;

#[derive(Debug)]
struct Virtual {
    epoch: Timestamp,
    start: Instant,
}

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        self.epoch + self.start.elapsed()
    }
}

/// A table of which one call in so many fails, before or after it had its effect.
#[derive(Debug)]
pub(super) struct Shaky {
    table: SqliteStore,
    dice: Dice,
    /// In a million calls.
    pub odds: AtomicU64,
    pub calls: AtomicU64,
    /// What somebody else writes just before that record settles, once.
    pub at_the_end: Mutex<Option<(Key, Write)>>,
}

impl Shaky {
    /// `Err` where the call fails before it has its effect; whether its answer is to be lost.
    async fn pass(&self) -> Result<bool> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(self.dice.number() % 20)).await;
        let fails = self.dice.number() % 1_000_000 < self.odds.load(Ordering::Relaxed);
        if !fails {
            return Ok(false);
        }
        if self.dice.unit() < 0.5 {
            return Err(Error::new(Class::Transient, "table", "is away"));
        }
        Ok(true)
    }

    fn answer<T>(given: T, is_lost: bool) -> Result<T> {
        if is_lost {
            return Err(Error::new(Class::Transient, "table", "answer lost").ambiguous());
        }
        Ok(given)
    }
}

#[async_trait]
impl Store for Shaky {
    async fn get(&self, key: &Key) -> Result<Option<Item>> {
        let lost = self.pass().await?;
        Self::answer(self.table.get(key).await?, lost)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>> {
        let lost = self.pass().await?;
        Self::answer(self.table.get_many(keys).await?, lost)
    }

    async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>> {
        let lost = self.pass().await?;
        Self::answer(self.table.query(id, prefix).await?, lost)
    }

    async fn write(&self, write: Write) -> Result<Written> {
        let lost = self.pass().await?;
        let settles = format!("{:?}", write.action).contains("SETTLED");
        let meant = |(key, _): &mut (Key, Write)| settles && *key == write.key;
        let other = self.at_the_end.lock().unwrap().take_if(meant);
        if let Some((_, other)) = other {
            self.table.write(other).await?;
        }
        Self::answer(self.table.write(write).await?, lost)
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted> {
        let lost = self.pass().await?;
        Self::answer(self.table.transact(writes).await?, lost)
    }

    async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>> {
        let lost = self.pass().await?;
        Self::answer(self.table.due(shard, until, limit).await?, lost)
    }

    async fn due_after(&self, shard: u8, after: i64, limit: usize) -> Result<Vec<Due>> {
        self.table.due_after(shard, after, limit).await
    }

    async fn recent(&self, day: i64, before: i64, limit: usize) -> Result<Vec<Recent>> {
        self.table.recent(day, before, limit).await
    }
}

/// What callers were told, and when they were beaten.
#[derive(Debug)]
pub(super) struct Callers {
    start: Instant,
    pub beats: Mutex<Vec<(Duration, String)>>,
    pub answers: Mutex<Vec<(Duration, String, Answer)>>,
}

impl Callers {
    fn hear(&self, token: &TaskToken, answer: Answer) -> Delivery {
        let mut answers = self.answers.lock().unwrap();
        if answers.iter().any(|(_, known, _)| known == token.expose()) {
            return Delivery::Gone;
        }
        answers.push((self.start.elapsed(), token.expose().to_owned(), answer));
        Delivery::Delivered
    }
}

#[async_trait]
impl TaskCallbacks for Callers {
    async fn heartbeat(&self, token: &TaskToken) -> Result<Delivery> {
        self.beats.lock().unwrap().push((self.start.elapsed(), token.expose().to_owned()));
        Ok(Delivery::Delivered)
    }

    async fn succeed(&self, token: &TaskToken, output: &str) -> Result<Delivery> {
        Ok(self.hear(token, Ok(serde_json::from_str(output).unwrap())))
    }

    async fn fail(&self, token: &TaskToken, error: &str, _cause: &str) -> Result<Delivery> {
        Ok(self.hear(token, Err(error.to_owned())))
    }
}

/// Nothing comes, nothing is streamed; events are not counted.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Queue for Nothing {
    async fn receive(&self) -> Result<Vec<Message>> {
        std::future::pending().await
    }

    async fn delete(&self, _: &[String]) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn release(&self, _: &[String]) -> Result<()> {
        Ok(())
    }

    async fn depth(&self) -> Result<Depth> {
        Ok(Depth::default())
    }

    fn max_receives(&self) -> Option<u32> {
        None
    }
}

#[async_trait]
impl EventBus for Nothing {
    async fn publish(&self, _: &[Event]) -> Result<Vec<(usize, Error)>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Transfers for Nothing {
    async fn stream(&self, _: Stream, _: &CancellationToken) -> Result<Sent> {
        Err(Error::new(Class::Invalid, "stream", "there is nothing"))
    }

    async fn upload_parts(&self, _: PartsUpload, _: &CancellationToken) -> Result<ETag> {
        Err(Error::new(Class::Invalid, "upload parts", "there is nothing"))
    }
}

/// An instance; it ends when it is dropped, as a process does that is killed.
#[derive(Debug)]
pub(super) struct Instance {
    pub engine: Arc<Engine>,
    pub platform: Arc<Client>,
    pub core: Arc<Core>,
    _tasks: JoinSet<()>,
}

/// All that instances share.
#[derive(Debug)]
pub(super) struct Fleet {
    pub table: Arc<Shaky>,
    pub callers: Arc<Callers>,
    pub world: Arc<World>,
    pub settings: Settings,
    clock: Arc<Virtual>,
    simulator: Arc<Simulator>,
    seed: AtomicU64,
}

impl Fleet {
    pub(super) fn new(seed: u64) -> Self {
        let platform = simulator::Settings::default();
        let clock = Arc::new(Virtual { epoch: platform.epoch, start: Instant::now() });
        let table = SqliteStore::new(Database::in_memory().unwrap(), clock.clone());
        let world = serde_json::from_value(serde_json::json!({"projects": []})).unwrap();
        let mut settings = Settings::for_tests();
        settings.service.lease = Duration::from_secs(20);
        settings.service.retry_base = Duration::from_secs(1);
        settings.service.retry_cap = Duration::from_secs(20);
        Self {
            table: Arc::new(Shaky {
                table,
                dice: Dice::from_seed(seed),
                odds: AtomicU64::default(),
                calls: AtomicU64::default(),
                at_the_end: Mutex::default(),
            }),
            callers: Arc::new(Callers {
                start: Instant::now(),
                beats: Mutex::default(),
                answers: Mutex::default(),
            }),
            world: Arc::default(),
            settings,
            clock,
            simulator: Simulator::new(platform, world).unwrap(),
            seed: AtomicU64::new(seed.wrapping_mul(1000)),
        }
    }

    /// Starts an instance whose only kind of work are chores.
    pub(super) fn instance(&self) -> Instance {
        let dice = Arc::new(Dice::from_seed(self.seed.fetch_add(1, Ordering::Relaxed)));
        let platform = Arc::new(Client::new(
            Arc::new(InProcess::new(&self.simulator)),
            Arc::new(StaticToken::new("none").unwrap()),
            self.clock.clone(),
            dice.clone(),
            icav2::Settings::default(),
        ));
        let ports = Ports {
            store: self.table.clone(),
            requests: Arc::new(Nothing),
            job_events: None,
            bus: Arc::new(Nothing),
            callbacks: self.callers.clone(),
            platform: platform.clone(),
            objects: Arc::new(NoObjects),
            secrets: Arc::new(NoSecrets),
            transfers: Arc::new(Nothing),
            reports: None,
            sharing: None,
            clock: self.clock.clone(),
            chance: dice,
        };
        let off = CancellationToken::new();
        let (core, incoming) = Core::new(ports, self.settings.clone(), CancellationToken::new(), off.clone());
        let registry = Registry::default()
            .with_plane(Arc::new(ChoresPlane { core: core.clone(), world: self.world.clone() }))
            .with_kind(Arc::new(ChoresKind { core: core.clone() }));
        let engine = Engine::new(core.clone(), incoming, registry);
        let mut tasks = JoinSet::new();
        tasks.spawn(engine.clone().dispatch());
        tasks.spawn(engine.clone().timers());
        tasks.spawn(engine.clone().progress(off.clone()));
        tasks.spawn(engine.clone().heartbeats(off));
        Instance { engine, platform, core, _tasks: tasks }
    }

    /// The order for some chores; its name is its token.
    pub(super) fn order(name: &str, chores: &Chores) -> Order {
        Order {
            kind: "chores",
            id: RequestId::new(format!("order.{name}")),
            destination: "home".to_owned(),
            payload: serde_json::to_value(chores).unwrap(),
            source: "test".to_owned(),
            token: Some(TaskToken::new(name)),
            also: Vec::new(),
        }
    }

    /// Waits for the answer of a token; when it came, since the start.
    pub(super) async fn answer(&self, token: &str, within: Duration) -> (Duration, Answer) {
        let until = Instant::now() + within;
        loop {
            let answers = self.callers.answers.lock().unwrap().clone();
            if let Some((at, _, answer)) = answers.into_iter().find(|(_, known, _)| known == token) {
                return (at, answer);
            }
            assert!(Instant::now() < until, "`{token}` was not answered");
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Records that are due, or were put and have not settled.
    pub(super) async fn open(&self) -> usize {
        let mut open = 0;
        for shard in 0..2 * SHARDS {
            open += self.table.table.due(shard, i64::MAX, 10_000).await.unwrap().len();
        }
        open
    }

    /// Milliseconds since 1970.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// How many chores were done.
    pub(super) fn all_done(&self) -> u32 {
        self.world.done.lock().unwrap().values().sum()
    }

    /// How often each chore of an order was done.
    pub(super) fn done(&self, order: &Order) -> Vec<u32> {
        let done = self.world.done.lock().unwrap();
        done.iter().filter(|((root, _), _)| *root == order.id.as_str()).map(|(_, times)| *times).collect()
    }
}
