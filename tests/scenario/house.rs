//! The whole house in one process, on a paused clock and without sockets: the real engine over the
//! embedded store and queue, the real ICAv2 client over the simulator's router.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::body::Body as AxumBody;
use copy_manager::{
    domain::{
        file::ETag,
        policy::Rules,
        request::OnConflict,
        route::{Folders, SinglePart},
        token::TaskToken,
    },
    embedded::{
        bus::LocalBus,
        database::Database,
        outcomes::Outcomes,
        queue::{Options, SqliteQueue},
        store::SqliteStore,
    },
    engine::{
        Engine,
        settings::{CopySettings, HeartbeatSettings, JobSettings, OnCallerGone, ServiceSettings, Settings},
    },
    icav2::{self, auth::StaticToken, client::Client},
    ports::{
        Class, Error, Ports, Result,
        bus::{Bus, Event, EventBus},
        callbacks::{Delivery, TaskCallbacks},
        chance::Dice,
        clock::Clock,
        objects::{
            Access, ByteStream, ObjectBody, ObjectCopy, ObjectInfo, ObjectLocation, ObjectStore, PartTag,
            PartUploads, Precondition, UploadId,
        },
        store::{Key, Page, Store as _},
        transfers::PresignedUrl,
    },
    simulator::{self, Entry, Simulator, faults::FaultChanges, in_process, world::WorldFile},
    transfer::{
        self,
        stream::Streams,
        wire::{Body, Wire},
    },
};
use futures_util::StreamExt as _;
use http::StatusCode;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// Wall time that goes with tokio's clock.
#[derive(Debug)]
struct VirtualClock {
    epoch: Timestamp,
    start: Instant,
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.epoch + self.start.elapsed()
    }
}

/// What was said to a task token, and when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    Beat,
    Success(Value),
    Failure(String, Value),
}

/// Step Functions, as far as tokens go: the first answer counts.
#[derive(Debug)]
pub(crate) struct Callers {
    start: Instant,
    said: Mutex<Vec<(Duration, String, Said)>>,
    gone: Mutex<Vec<String>>,
}

impl Callers {
    fn hear(&self, token: &TaskToken, said: Said) -> Delivery {
        let token = token.expose().to_owned();
        let mut heard = self.said.lock().unwrap();
        let answered = heard.iter().any(|(_, known, said)| *known == token && *said != Said::Beat);
        if answered || self.gone.lock().unwrap().contains(&token) {
            return Delivery::Gone;
        }
        heard.push((self.start.elapsed(), token, said));
        Delivery::Delivered
    }

    /// The caller of that token does not wait any more.
    pub(crate) fn leave(&self, token: &str) {
        self.gone.lock().unwrap().push(token.to_owned());
    }

    pub(crate) fn beats(&self, token: &str) -> Vec<Duration> {
        let said = self.said.lock().unwrap();
        said.iter()
            .filter(|(_, known, said)| known == token && *said == Said::Beat)
            .map(|(at, ..)| *at)
            .collect()
    }

    pub(crate) fn answer(&self, token: &str) -> Option<(Duration, Said)> {
        let said = self.said.lock().unwrap();
        let mut answers = said.iter().filter(|(_, known, said)| known == token && *said != Said::Beat);
        answers.next().map(|(at, _, said)| (*at, said.clone()))
    }
}

#[async_trait]
impl TaskCallbacks for Callers {
    async fn heartbeat(&self, token: &TaskToken) -> Result<Delivery> {
        Ok(self.hear(token, Said::Beat))
    }

    async fn succeed(&self, token: &TaskToken, output: &str) -> Result<Delivery> {
        Ok(self.hear(token, Said::Success(serde_json::from_str(output).unwrap())))
    }

    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<Delivery> {
        Ok(self.hear(token, Said::Failure(error.to_owned(), serde_json::from_str(cause).unwrap())))
    }
}

/// The buses: child events go to the queue (unless lost), the rest is kept to be looked at.
#[derive(Debug)]
pub(crate) struct Buses {
    local: LocalBus,
    pub(crate) told: Mutex<Vec<Value>>,
    pub(crate) lose_children: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl EventBus for Buses {
    async fn publish(&self, events: &[Event]) -> Result<Vec<(usize, Error)>> {
        for event in events {
            match event.bus {
                Bus::External => self.told.lock().unwrap().push(serde_json::from_str(&event.detail).unwrap()),
                Bus::Internal if self.lose_children.load(std::sync::atomic::Ordering::Relaxed) => {}
                Bus::Internal => drop(self.local.publish(std::slice::from_ref(event)).await?),
            }
        }
        Ok(Vec::new())
    }
}

/// Presigned URLs that lead into the simulator's router.
#[derive(Debug)]
struct RouterWire(Arc<Simulator>);

impl RouterWire {
    async fn open(&self, request: http::request::Builder, good: StatusCode) -> Result<(Option<u64>, Body)> {
        let request = request.body(AxumBody::empty()).unwrap();
        let response = in_process::call(self.0.router(), request).await;
        if response.status() != good {
            return Err(Error::new(Class::Transient, "GET", response.status().to_string()));
        }
        let length =
            response.headers().get("content-length").and_then(|text| text.to_str().ok()?.parse().ok());
        let body = response.into_body().into_data_stream().map(|chunk| chunk.map_err(std::io::Error::other));
        Ok((length, body.boxed()))
    }
}

#[async_trait]
impl Wire for RouterWire {
    async fn get(&self, url: &PresignedUrl) -> Result<(Option<u64>, Body)> {
        self.open(http::Request::get(url.expose_secret()), StatusCode::OK).await
    }

    async fn get_range(&self, url: &PresignedUrl, range: Range<u64>) -> Result<(Option<u64>, Body)> {
        let range = format!("bytes={}-{}", range.start, range.end - 1);
        let request = http::Request::get(url.expose_secret()).header("range", range);
        self.open(request, StatusCode::PARTIAL_CONTENT).await
    }

    async fn put(&self, url: &PresignedUrl, length: u64, body: Body) -> Result<()> {
        let request = http::Request::put(url.expose_secret())
            .header("content-length", length)
            .body(AxumBody::from_stream(body))
            .unwrap();
        let response = in_process::call(self.0.router(), request).await;
        if response.status().is_success() {
            return Ok(());
        }
        Err(Error::new(Class::Transient, "PUT", response.status().to_string()))
    }
}

/// No S3: whoever asks is refused.
#[derive(Debug)]
struct NoObjects;

fn no_objects<T>() -> Result<T> {
    Err(Error::new(Class::Forbidden, "S3", "there is none in this scenario"))
}

#[async_trait]
impl PartUploads for NoObjects {
    async fn begin(&self, _: &ObjectLocation, _: &Access) -> Result<UploadId> {
        no_objects()
    }

    async fn put_part(
        &self,
        _: &ObjectLocation,
        _: &UploadId,
        _: u32,
        _: u64,
        _: ByteStream,
        _: &Access,
    ) -> Result<PartTag> {
        no_objects()
    }

    async fn complete(
        &self,
        _: &ObjectLocation,
        _: &UploadId,
        _: &[PartTag],
        _: &Precondition,
        _: &Access,
    ) -> Result<ETag> {
        no_objects()
    }

    async fn abort(&self, _: &ObjectLocation, _: &UploadId, _: &Access) -> Result<()> {
        no_objects()
    }

    async fn unfinished(&self, _: &ObjectLocation, _: &Access) -> Result<Vec<UploadId>> {
        no_objects()
    }
}

#[async_trait]
impl ObjectStore for NoObjects {
    async fn head(&self, _: &ObjectLocation, _: &Access) -> Result<Option<ObjectInfo>> {
        no_objects()
    }

    async fn list(&self, _: &str, _: &str, _: Option<&str>, _: &Access) -> Result<Page<ObjectInfo>> {
        no_objects()
    }

    async fn get(
        &self,
        _: &ObjectLocation,
        _: Option<Range<u64>>,
        _: Option<&ETag>,
        _: &Access,
    ) -> Result<ObjectBody> {
        no_objects()
    }

    async fn copy(&self, _: &ObjectCopy, _: &Access) -> Result<ETag> {
        no_objects()
    }

    async fn delete(&self, _: &ObjectLocation, _: &Access) -> Result<()> {
        no_objects()
    }
}

/// The settings of an installation, with a seeded jitter.
pub(crate) fn settings() -> Settings {
    Settings {
        copy: CopySettings {
            single_part: SinglePart::Stream,
            folders: Folders::PerFolder,
            on_conflict: OnConflict::Fail,
            max_depth: 64,
            max_files: 1_000_000,
            concurrent_streams: 16,
            empty_folders: true,
        },
        jobs: JobSettings {
            max_running_jobs: 20,
            express_slots: 2,
            max_items_per_job: 1000,
            batch_window: Duration::from_secs(2),
            max_attempts: 5,
            poll_interval: Duration::from_mins(1),
            settle: Duration::from_mins(2),
            submit_settle: Duration::from_mins(1),
            retry_base: Duration::from_secs(5),
            retry_cap: Duration::from_mins(5),
        },
        policy: Rules::default(),
        heartbeat: HeartbeatSettings {
            enabled: true,
            promise: Duration::from_mins(5),
            interval: String::new(),
            publish: true,
            calls_per_second: 100,
            stalled_after: Duration::from_mins(30),
            outage_after: Duration::from_hours(6),
            on_caller_gone: OnCallerGone::Finish,
        },
        service: ServiceSettings {
            max_active: 256,
            tick: Duration::from_secs(5),
            lease: Duration::from_secs(45),
            drain_timeout: Duration::from_secs(100),
            keep: Duration::from_hours(720),
        },
    }
}

/// One instance; it ends when it is dropped, as a process does that is killed.
pub(crate) struct Instance {
    stop: CancellationToken,
    off: CancellationToken,
    tasks: JoinSet<()>,
}

impl Instance {
    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        sleep(Duration::from_secs(90)).await;
        self.off.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

pub(crate) struct House {
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) callers: Arc<Callers>,
    pub(crate) buses: Arc<Buses>,
    pub(crate) queue: Arc<SqliteQueue>,
    pub(crate) settings: Settings,
    database: Database,
    clock: Arc<VirtualClock>,
    seed: std::sync::atomic::AtomicU64,
    _time: JoinSet<()>,
}

/// The destination project of every scenario.
pub(crate) const TO: &str = "archive";

impl House {
    /// A house beside a simulated platform whose project `lab` holds these files (path, size,
    /// parts) and folders; the project `archive` holds `there`.
    pub(crate) async fn new(
        files: &[(&str, u64, u32)],
        folders: &[&str],
        there: &[(&str, u64, u32)],
        change: impl FnOnce(&mut simulator::Settings),
    ) -> Self {
        // `RUST_LOG=copy_manager=info` shows what the instances say.
        let logs =
            tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env());
        drop(logs.with_test_writer().try_init());
        let list = |files: &[(&str, u64, u32)]| -> Vec<Value> {
            files
                .iter()
                .map(|(path, size, parts)| json!({"path": path, "size": size, "parts": parts}))
                .collect()
        };
        let world: WorldFile = serde_json::from_value(json!({"projects": [
            {"id": "11111111-1111-4111-8111-111111111111", "name": "lab", "byob": {"bucket": "lab-data", "prefix": "top/"},
             "folders": folders, "files": list(files)},
            {"id": "22222222-2222-4222-8222-222222222222", "name": TO, "byob": {"bucket": "archive-data", "prefix": ""},
             "folders": ["/in/"], "files": list(there)},
        ]}))
        .unwrap();
        let mut platform = simulator::Settings::default();
        change(&mut platform);
        let clock = Arc::new(VirtualClock { epoch: platform.epoch, start: Instant::now() });
        let simulator = Simulator::new(platform, world).unwrap();
        let mut time = JoinSet::new();
        time.spawn(simulator.clone().run(CancellationToken::new()));
        let database = Database::in_memory().unwrap();
        let options = Options { max_receives: Some(3), ..Options::default() };
        let dice = Arc::new(Dice::from_seed(7));
        let queue = SqliteQueue::open(database.clone(), "requests", options, dice.clone()).await.unwrap();
        let queue = Arc::new(queue);
        let local = LocalBus::new(queue.clone(), Outcomes::to_log(), clock.clone(), dice);
        let callers = Callers { start: Instant::now(), said: Mutex::default(), gone: Mutex::default() };
        Self {
            simulator,
            callers: Arc::new(callers),
            buses: Arc::new(Buses { local, told: Mutex::default(), lose_children: false.into() }),
            queue,
            settings: settings(),
            database,
            clock,
            seed: 100.into(),
            _time: time,
        }
    }

    /// Starts an instance.
    pub(crate) fn instance(&self) -> Instance {
        let seed = self.seed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dice = Arc::new(Dice::from_seed(seed));
        let platform = Client::new(
            Arc::new(in_process::InProcess::new(&self.simulator)),
            Arc::new(StaticToken::new("token").unwrap()),
            self.clock.clone(),
            dice.clone(),
            icav2::Settings::default(),
        );
        let ports = Ports {
            store: Arc::new(SqliteStore::new(self.database.clone(), self.clock.clone())),
            requests: self.queue.clone(),
            job_events: None,
            bus: self.buses.clone(),
            callbacks: self.callers.clone(),
            platform: Arc::new(platform),
            objects: Arc::new(NoObjects),
            transfers: Arc::new(Streams::new(
                Arc::new(RouterWire(self.simulator.clone())),
                transfer::stream::Settings::default(),
            )),
            clock: self.clock.clone(),
            chance: dice,
        };
        let (stop, cut, off) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let engine = Engine::new(ports, self.settings.clone(), stop.clone(), cut);
        let mut tasks = JoinSet::new();
        tasks.spawn(engine.clone().dispatch());
        tasks.spawn(engine.clone().intake());
        tasks.spawn(engine.timers(off.clone()));
        Instance { stop, off, tasks }
    }

    /// Puts a copy request on the queue.
    pub(crate) async fn ask(&self, sources: &[&str], destination: &str, token: &str) {
        self.ask_as(sources, destination, token, None).await;
    }

    pub(crate) async fn ask_as(&self, sources: &[&str], destination: &str, token: &str, id: Option<&str>) {
        self.ask_with(sources, destination, token, id, json!({})).await;
    }

    /// Puts a copy request on the queue whose payload holds more fields.
    pub(crate) async fn ask_with(
        &self,
        sources: &[&str],
        destination: &str,
        token: &str,
        id: Option<&str>,
        more: Value,
    ) {
        let sources: Vec<_> = sources.iter().map(|path| format!("icav2://lab{path}")).collect();
        let mut body = json!({
            "payload": {"sourceUriList": sources, "destinationUri": format!("icav2://{TO}{destination}")},
            "taskToken": token,
        });
        if let Some(id) = id {
            body["requestId"] = id.into();
        }
        for (name, value) in more.as_object().unwrap() {
            body["payload"][name] = value.clone();
        }
        self.queue.push(body.to_string()).await.unwrap();
    }

    pub(crate) fn faults(&self, changes: Value) {
        self.simulator.set_faults(serde_json::from_value::<FaultChanges>(changes).unwrap());
    }

    /// Waits, in virtual time, until the token is answered.
    pub(crate) async fn answer(&self, token: &str, within: Duration) -> (Duration, Said) {
        let deadline = Instant::now() + within;
        loop {
            if let Some(answer) = self.callers.answer(token) {
                return answer;
            }
            assert!(Instant::now() < deadline, "`{token}` was not answered within {within:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The output of a request that must succeed.
    pub(crate) async fn success(&self, token: &str, within: Duration) -> Value {
        match self.answer(token, within).await.1 {
            Said::Success(output) => output,
            other => panic!("{other:?}"),
        }
    }

    /// The error and cause of a request that must fail.
    pub(crate) async fn failure(&self, token: &str, within: Duration) -> (String, Value) {
        match self.answer(token, within).await.1 {
            Said::Failure(error, cause) => (error, cause),
            other => panic!("{other:?}"),
        }
    }

    /// What is below a folder of a project: path inside it, status and MD5.
    pub(crate) async fn tree(&self, project: &str, folder: &str) -> Vec<(String, String, Option<String>)> {
        let entries: Vec<Entry> = self.simulator.tree(project, folder).await.unwrap();
        let relative = |entry: Entry| {
            let inside = entry.path.strip_prefix(folder).unwrap().to_owned();
            (inside, format!("{:?}", entry.status), entry.md5)
        };
        entries.into_iter().map(relative).collect()
    }

    /// Places among the running jobs of the destination project that are taken.
    pub(crate) async fn slots(&self) -> usize {
        let store = SqliteStore::new(self.database.clone(), self.clock.clone());
        let key = Key::new("slots.22222222-2222-4222-8222-222222222222", "SLOTS");
        store.get(&key).await.unwrap().map_or(0, |item| item.members("running").len())
    }

    /// API calls made so far, all or of one endpoint.
    pub(crate) fn calls(&self, name: Option<&str>) -> u64 {
        let stats = self.simulator.stats();
        name.map_or(stats.total, |name| stats.calls.get(name).copied().unwrap_or(0))
    }
}

/// Why an error text would be useful in a test that fails.
pub(crate) fn text(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}
