//! The whole house in one process, on a paused clock and without sockets: the real engine over the
//! embedded store and queue, the real ICAv2 client over the simulator's router.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize},
    },
    time::Duration,
};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use copy_manager::{
    app::kinds::{self, Work},
    aws::{clients::configured, objects::S3Objects},
    domain::share::settings::ShareSettings,
    embedded::{
        bus::LocalBus,
        database::Database,
        outcomes::Outcomes,
        queue::{Options, SqliteQueue},
        secrets::NoSecrets,
        store::SqliteStore,
    },
    engine::{Engine, schema::Guarded, settings::Settings},
    icav2::{self, auth::StaticToken, client::Client},
    planes::table::Replicated,
    ports::{
        Ports, Sharing,
        chance::Dice,
        queue::Queue,
        reports::Reports,
        secrets::Secrets,
        store::{Change, Key, Store as _, Write},
    },
    simulator::{self, Simulator, faults::FaultChanges, in_process, world::WorldFile},
    transfer::{self, reports::InBucket, stream::Streams},
};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    doubles::{Buses, Callers, Far, JobNews, Metered, VirtualClock},
    fragile::{Calls, Fragile, Late},
    wire::RouterWire,
};

/// One instance; it ends when it is dropped, as a process does that is killed.
pub(crate) struct Instance {
    pub(crate) engine: Arc<Engine>,
    pub(crate) work: Work,
    pub(crate) ports: Ports,
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
    /// Where receipts and long outputs go; nowhere at first.
    pub(crate) reports: Option<Arc<dyn Reports>>,
    pub(crate) sharing: Option<Sharing>,
    pub(crate) share: ShareSettings,
    /// Replicas that are kept; none at first.
    pub(crate) replicated: Vec<Replicated>,
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) callers: Arc<Callers>,
    /// S3 of the platform: the projects' buckets, and one of no project.
    pub(crate) objects: Arc<S3Objects>,
    pub(crate) buses: Arc<Buses>,
    pub(crate) queue: Arc<SqliteQueue>,
    /// Where ICAv2's job events go, if anywhere.
    job_events: Option<Arc<SqliteQueue>>,
    pub(crate) settings: Settings,
    /// How long a queue takes to hand over what is on it.
    pub(crate) receive_takes: Duration,
    /// How long each piece of a streamed file takes.
    pub(crate) chunk_takes: Duration,
    /// After how many writes to the table one breaks off; below 0 none does.
    pub(crate) breaks_in: Arc<AtomicI64>,
    /// Whether that write happens all the same.
    pub(crate) breaks_after: Arc<AtomicBool>,
    /// Whether no call to the table is answered.
    pub(crate) away: Arc<AtomicBool>,
    /// Bytes of the longest answer of the table to one question of an instance.
    pub(crate) longest_answer: Arc<AtomicUsize>,
    /// Bytes of the largest record that an instance has written.
    pub(crate) largest_record: Arc<AtomicUsize>,
    /// How many times more a root that is woken is not.
    pub(crate) unwoken: Arc<AtomicUsize>,
    /// The calls of instances to the table.
    pub(crate) table_calls: Calls,
    /// The keys of all records that instances have written.
    pub(crate) written: Arc<Mutex<BTreeSet<Key>>>,
    /// The next write to the table that arrives late.
    pub(crate) late: Arc<Mutex<Option<Late>>>,
    /// Whether calls of the platform are swallowed.
    pub(crate) hole: Arc<AtomicBool>,
    pub(crate) icav2: icav2::Settings,
    /// When the platform answered, and how.
    pub(crate) answers: Arc<Mutex<Vec<(Instant, StatusCode)>>>,
    /// What requests may name.
    pub(crate) secrets: Arc<dyn Secrets>,
    pub(crate) database: Database,
    pub(crate) s3: SdkConfig,
    pub(crate) clock: Arc<VirtualClock>,
    /// Puts something between instances and their ports, if a test wants that.
    pub(crate) between: Arc<dyn Fn(Ports) -> Ports + Send + Sync>,
    seed: std::sync::atomic::AtomicU64,
    _time: JoinSet<()>,
}

/// The bearer token of every instance: one that is easily found where it must not be.
pub(crate) const BEARER: &str = "bearer-5ecret";

/// The destination project of every scenario.
pub(crate) const TO: &str = "archive";

/// What the bucket `outside-data`, which is no project's, holds (key, size, parts).
pub(crate) const OUTSIDE: [(&str, u64, u32); 6] = [
    ("ref/genome.fa", 30 << 20, 2),
    ("ref/genome.fa.fai", 70, 1),
    ("ref/sub/a b+c.txt", 10, 1),
    ("ref/none.txt", 0, 1),
    ("ref/empty/", 0, 1),
    ("reference", 5, 1),
];

impl House {
    /// A house beside a simulated platform whose project `lab` holds these files (path, size,
    /// parts) and folders; the project `archive` holds `there`.
    pub(crate) async fn new(
        files: &[(&str, u64, u32)],
        folders: &[&str],
        there: &[(&str, u64, u32)],
        change: impl FnOnce(&mut simulator::Settings),
    ) -> Self {
        Self::beside(files, folders, there, json!([]), change).await
    }

    /// The same beside more buckets of no project.
    pub(crate) async fn beside(
        files: &[(&str, u64, u32)],
        folders: &[&str],
        there: &[(&str, u64, u32)],
        more: Value,
        change: impl FnOnce(&mut simulator::Settings),
    ) -> Self {
        Self::of(Self::world(files, folders, there, &more), change).await
    }

    /// The world of [`House::beside`], to be changed before a house is made of it. What is in it was made
    /// an hour ago.
    pub(crate) fn world(
        files: &[(&str, u64, u32)],
        folders: &[&str],
        there: &[(&str, u64, u32)],
        more: &Value,
    ) -> Value {
        let list = |files: &[(&str, u64, u32)]| -> Vec<Value> {
            files
                .iter()
                .map(|(path, size, parts)| json!({"path": path, "size": size, "parts": parts}))
                .collect()
        };
        let mut buckets = vec![
            json!({"name": "requests"}),
            json!({"name": "outside-data", "objects": OUTSIDE.map(
                |(key, size, parts)| json!({"key": key, "size": size, "parts": parts})
            )}),
        ];
        buckets.extend(more.as_array().unwrap().iter().cloned());
        json!({"projects": [
            {"id": "11111111-1111-4111-8111-111111111111", "name": "lab", "byob": {"bucket": "lab-data", "prefix": "top/"},
             "age": "1h", "folders": folders, "files": list(files)},
            {"id": "22222222-2222-4222-8222-222222222222", "name": TO, "byob": {"bucket": "archive-data", "prefix": ""},
             "folders": ["/in/"], "files": list(there)},
        ], "buckets": buckets})
    }

    /// A house beside the platform of that world.
    pub(crate) async fn of(world: Value, change: impl FnOnce(&mut simulator::Settings)) -> Self {
        // `RUST_LOG=copy_manager=info` shows what the instances say.
        let logs =
            tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env());
        drop(logs.with_test_writer().try_init());
        let world: WorldFile = serde_json::from_value(world).unwrap();
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
        let callers = Callers {
            start: Instant::now(),
            said: Mutex::default(),
            gone: Mutex::default(),
            refused: Mutex::default(),
            silent: AtomicBool::default(),
            slow: Mutex::default(),
        };
        let s3 = configured(aws_config::defaults(BehaviorVersion::latest()))
            .region("ap-southeast-2")
            .credentials_provider(Credentials::new("OWN", "own", None, None, "test"))
            .http_client(simulator.s3_service());
        let s3 = s3.load().await;
        let objects = S3Objects::from_config(&s3, Some("http://s3.simulated".to_owned()));
        Self {
            s3,
            breaks_in: Arc::new(AtomicI64::new(-1)),
            breaks_after: Arc::default(),
            away: Arc::default(),
            longest_answer: Arc::default(),
            largest_record: Arc::default(),
            unwoken: Arc::default(),
            late: Arc::default(),
            table_calls: Calls::default(),
            written: Arc::default(),
            hole: Arc::default(),
            simulator,
            callers: Arc::new(callers),
            objects: Arc::new(objects),
            buses: Arc::new(Buses {
                local,
                told: Mutex::default(),
                lose_children: false.into(),
                lost: AtomicUsize::new(0),
                refuse: false.into(),
            }),
            queue,
            job_events: None,
            settings: Settings::for_tests(),
            receive_takes: Duration::ZERO,
            chunk_takes: Duration::ZERO,
            icav2: icav2::Settings::default(),
            answers: Arc::default(),
            secrets: Arc::new(NoSecrets),
            reports: None,
            sharing: None,
            share: ShareSettings::default(),
            replicated: Vec::new(),
            database,
            clock,
            between: Arc::new(|ports| ports),
            seed: 100.into(),
            _time: time,
        }
    }

    /// Changes how S3 is used.
    /// Our own credentials are those of a session that ends then.
    pub(crate) fn own_credentials_until(&mut self, ends: std::time::SystemTime) {
        let own = Credentials::new("OWN", "own", None, Some(ends), "test");
        let provider = aws_credential_types::provider::SharedCredentialsProvider::new(own);
        self.s3 = self.s3.clone().into_builder().credentials_provider(provider).build();
        self.objects = Arc::new(S3Objects::from_config(&self.s3, Some("http://s3.simulated".to_owned())));
    }

    pub(crate) fn set_s3(&mut self, settings: &copy_manager::aws::objects::Settings) {
        let objects = S3Objects::from_config(&self.s3, Some("http://s3.simulated".to_owned()));
        self.objects = Arc::new(objects.with(settings));
    }

    /// Has reports go to a bucket.
    pub(crate) fn report_to(&mut self, uri: &str) {
        let reports = InBucket::below(self.objects.clone(), uri).unwrap();
        self.reports = Some(Arc::new(reports));
    }

    /// ICAv2, as an instance sees it.
    pub(crate) fn platform(&self, dice: Arc<Dice>) -> Client {
        Client::new(
            Arc::new(Metered {
                inner: in_process::InProcess::new(&self.simulator),
                answers: self.answers.clone(),
                hole: self.hole.clone(),
            }),
            Arc::new(StaticToken::new(BEARER).unwrap()),
            self.clock.clone(),
            dice,
            self.icav2.clone(),
        )
    }

    /// Starts an instance.
    pub(crate) fn instance(&self) -> Instance {
        let seed = self.seed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dice = Arc::new(Dice::from_seed(seed));
        let platform = self.platform(dice.clone());
        let table = Fragile {
            store: Arc::new(self.store()),
            breaks_in: self.breaks_in.clone(),
            breaks_after: self.breaks_after.clone(),
            away: self.away.clone(),
            longest_answer: self.longest_answer.clone(),
            largest_record: self.largest_record.clone(),
            unwoken: self.unwoken.clone(),
            late: self.late.clone(),
            calls: self.table_calls.clone(),
            written: self.written.clone(),
        };
        let ports = Ports {
            store: Arc::new(Guarded::new(Arc::new(table))),
            requests: Arc::new(Far { queue: self.queue.clone(), takes: self.receive_takes }),
            job_events: self.job_events.clone().map(|queue| queue as Arc<dyn Queue>),
            bus: self.buses.clone(),
            callbacks: self.callers.clone(),
            platform: Arc::new(platform),
            objects: self.objects.clone(),
            secrets: self.secrets.clone(),
            transfers: Arc::new(
                Streams::new(
                    Arc::new(RouterWire(self.simulator.clone(), self.chunk_takes)),
                    transfer::stream::Settings::default(),
                )
                .with_objects(self.objects.clone()),
            ),
            reports: self.reports.clone(),
            sharing: self.sharing.clone(),
            clock: self.clock.clone(),
            chance: dice,
        };
        let ports = (self.between)(ports);
        let (stop, cut, off) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let (settings, share) = (self.settings.clone(), self.share.clone());
        let work = kinds::work(ports.clone(), settings, share, self.replicated.clone(), stop.clone(), cut);
        let engine = work.engine.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(engine.clone().dispatch());
        tasks.spawn(engine.clone().intake());
        tasks.spawn(work.folders.clone().follow_jobs());
        tasks.spawn(engine.clone().timers());
        tasks.spawn(engine.clone().heartbeats(off.clone()));
        tasks.spawn(engine.clone().progress(off.clone()));
        Instance { engine, work, ports, stop, off, tasks }
    }

    /// Has instances that are started from now on hear of jobs.
    pub(crate) async fn hear_of_jobs(&mut self) {
        let dice = Arc::new(Dice::from_seed(8));
        let queue = SqliteQueue::open(self.database.clone(), "jobs", Options::default(), dice).await.unwrap();
        let queue = Arc::new(queue);
        self.simulator.set_events(Arc::new(JobNews(queue.clone())));
        self.job_events = Some(queue);
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

    /// Writes an object with our own rights.
    pub(crate) async fn put_object(&self, bucket: &str, key: &str, content: Vec<u8>) {
        let put = self.s3_client().put_object().bucket(bucket).key(key);
        put.body(content.into()).send().await.unwrap();
    }

    /// The simulated S3, for others.
    pub(crate) fn s3_client(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.s3);
        let config = config.endpoint_url("http://s3.simulated").force_path_style(true).build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// Waits for the first job, which fails as all do until then, and has no other one fail.
    pub(crate) async fn lets_one_job_fail(&self) {
        while self.calls(Some("POST /api/projects/{projectId}/dataCopyBatch")) == 0 {
            sleep(Duration::from_millis(100)).await;
        }
        self.faults(json!({"jobFailureRate": 0.0}));
    }

    pub(crate) fn faults(&self, changes: Value) {
        self.simulator.set_faults(serde_json::from_value::<FaultChanges>(changes).unwrap());
    }

    /// Notes that somebody waits for a place.
    pub(crate) async fn say_waiting(&self, entries: &[String]) {
        let store = SqliteStore::new(self.database.clone(), self.clock.clone());
        for entry in entries {
            let key = Key::new("slots.22222222-2222-4222-8222-222222222222", "SLOTS");
            let wait = Change::Include("waiting".into(), entry.clone());
            store.write(Write::update(key, vec![wait])).await.unwrap();
        }
    }
}

/// Why an error text would be useful in a test that fails.
pub(crate) fn text(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}
