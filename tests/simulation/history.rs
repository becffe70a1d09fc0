//! One history: a fleet in a world, faults for a while, then calm, in which all must come to an end.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    num::NonZeroU32,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use axum::Router;
use copy_manager::{
    app::kinds,
    aws::{clients::configured, objects::S3Objects},
    domain::{
        ids::{DataId, ProjectId},
        location::DataPath,
    },
    engine::Engine,
    icav2::{self, auth::StaticToken, client::Client},
    ports::{
        Ports,
        chance::Dice,
        clock::Clock,
        objects::{Access, ObjectLocation, ObjectStore, WriteOptions},
        platform::{DataPlatform as _, Destination},
        store::{DUE_AT, DUE_SHARD, Item, Key},
        transfers::Transfers,
    },
    simulator::{Simulator, faults::FaultChanges, in_process::InProcess, others::Others},
    transfer::{self, stream::Streams},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    board::Board,
    doubles::{Change, JobEvents, MemoryQueue, MemoryStore, PHASES, SkewedClock},
    errands::{LISTS, SHELF},
    fate::{Fate, Fault, Gate, News, Scripted, Service},
    ports::{Buses, Gated, Watched, Watching},
    secrets::{self, Heard},
    shares,
    versions::{Course, Version},
    wire::RouterWire,
    world::{Also, Ask, Blow, LAB_ID, Plan, TO, TO_ID},
};

/// Between two looks of the watcher.
const STEP: Duration = Duration::from_secs(5);
/// Looks of the watcher from one visit of somebody who is handed packages to the next.
const VISITS: u64 = 6;
/// In which everything must come to an end once it is calm.
const PATIENCE: Duration = Duration::from_hours(4);
/// How old the world is when the history begins.
pub(crate) const AGE: Duration = Duration::from_mins(10);
/// A fresh instance takes as long to look around.
const WARM: Duration = Duration::from_secs(30);

/// What a history was like.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub broken: Vec<String>,
    pub lines: Vec<String>,
    pub digest: u64,
    pub took: Duration,
    pub calls: u64,
    pub phases: BTreeSet<Change>,
    pub heard: Heard,
    /// How often an instance was refused a record of a newer version.
    pub left: usize,
    /// Of two versions: callers that were answered while the older one was alone, and that waited at the end of that.
    pub ended_back: usize,
    pub waited: usize,
}

thread_local! {
    /// Panics on this thread.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes panics by thread: those of a run are caught by the engine, and must not be.
pub(crate) fn note_panics() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with(|panics| panics.borrow_mut().push(info.to_string()));
            before(info);
        }));
    });
}

/// Lives through the history of a seed. In some, somebody cancels a request when one has just been planned,
/// which hardly happens by chance.
pub(crate) fn live(seed: u64, verbose: bool) -> Told {
    let planned = Scripted { op: "write", about: "\"PLANNED\"", fault: Fault::Cancel };
    let scripts = if seed % 16 == 5 { vec![planned] } else { Vec::new() };
    lived(Plan::of(seed), seed, scripts, verbose).0
}

/// The same as it was before there were other kinds of work than those.
pub(crate) fn live_as_once(seed: u64, also: Also) -> Told {
    let planned = Scripted { op: "write", about: "\"PLANNED\"", fault: Fault::Cancel };
    let scripts = if seed % 16 == 5 { vec![planned] } else { Vec::new() };
    lived(Plan::drawn(seed, true, also), seed, scripts, false).0
}

/// Lives through the history of a plan in which certain calls fail, as they must.
pub(crate) fn live_by(plan: Plan, seed: u64, scripts: Vec<Scripted>, verbose: bool) -> Told {
    let (mut told, is_played) = lived(plan, seed, scripts, verbose);
    if !is_played {
        told.broken.push("a scripted fault has not happened".to_owned());
    }
    told
}

/// Lives through the history of a fleet of two versions.
pub(crate) fn live_of_versions(plan: Plan, seed: u64) -> Told {
    lived(plan, seed, Vec::new(), true).0
}

/// What was told, and whether every scripted fault has happened.
fn lived(plan: Plan, seed: u64, scripts: Vec<Scripted>, verbose: bool) -> (Told, bool) {
    note_panics();
    let _listening = secrets::listen();
    let asks = plan.asks.clone();
    // The pauses of the AWS SDK before it tries again are of the seed too.
    fastrand::seed(seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (mut told, is_played) = runtime.block_on(async {
        let history = History::new(plan, seed, verbose).await;
        history.fate.script(scripts);
        let fate = history.fate.clone();
        (history.run().await, fate.is_played())
    });
    drop(runtime);
    let (broken, heard) = secrets::judge(&asks);
    told.broken.extend(broken);
    told.heard = heard;
    (told, is_played)
}

struct Instance {
    engine: Arc<Engine>,
    version: Version,
    /// The API of sharing, where there is any.
    api: Option<Router>,
    gate: Arc<Gate>,
    stop: CancellationToken,
    off: CancellationToken,
    tasks: JoinSet<()>,
    since: Instant,
    /// When a stopping instance is ended.
    ends_at: Option<Instant>,
}

struct History {
    fate: Arc<Fate>,
    board: Arc<Board>,
    simulator: Arc<Simulator>,
    observer: Arc<Client>,
    s3: Option<SdkConfig>,
    requests: Arc<MemoryQueue>,
    job_events: Option<Arc<MemoryQueue>>,
    rng: StdRng,
    born: Instant,
    start: Instant,
    slots: Vec<Option<Instance>>,
    /// When an empty place is filled again.
    starts_at: Vec<Instant>,
    news: (UnboundedSender<News>, UnboundedReceiver<News>),
    names: u64,
    looks: u64,
    /// Callers that waited before the older version was alone, and after that.
    waiting: [Option<usize>; 2],
    _time: JoinSet<()>,
}

impl History {
    async fn new(plan: Plan, seed: u64, verbose: bool) -> Self {
        let simulator = Simulator::new(plan.platform.clone(), plan.world.clone()).unwrap();
        let mut time = JoinSet::new();
        time.spawn(simulator.clone().run(CancellationToken::new()));
        let fate = Fate::new(seed, plan.odds.clone(), plan.crashes, verbose);
        // The world is older than the requests by more than clocks differ.
        let born = Instant::now();
        sleep(AGE).await;
        let start = Instant::now();
        let clock = Arc::new(SkewedClock::new(plan.platform.epoch, born, 0, Vec::new()));
        let observer = Arc::new(client(&simulator, clock, Dice::from_seed(seed), 100));
        let requests = MemoryQueue::new(fate.clone(), "request", plan.visibility, plan.max_receives);
        let job_events =
            plan.job_events.then(|| MemoryQueue::new(fate.clone(), "job", Duration::from_secs(30), Some(10)));
        if let Some(queue) = &job_events {
            simulator.set_events(Arc::new(JobEvents { fate: fate.clone(), queue: queue.clone() }));
        }
        let s3 = if plan.needs_s3 {
            let config = configured(aws_config::defaults(BehaviorVersion::latest()))
                .region("ap-southeast-2")
                .credentials_provider(Credentials::new("OWN", secrets::KEY, None, None, "test"))
                .http_client(simulator.s3_service());
            Some(config.load().await)
        } else {
            None
        };
        let store = Arc::new(MemoryStore::default());
        let instances = plan.instances;
        let own = s3.as_ref().map(own_s3);
        let board = Board::new(fate.clone(), store, simulator.clone(), observer.clone(), own, plan);
        Self {
            fate,
            board,
            simulator,
            observer,
            s3,
            requests,
            job_events,
            rng: StdRng::seed_from_u64(seed ^ 0xf1ee7),
            born,
            start,
            slots: (0..instances).map(|_| None).collect(),
            starts_at: vec![start; instances],
            news: unbounded_channel(),
            names: seed << 16,
            looks: 0,
            waiting: [None, None],
            _time: time,
        }
    }

    async fn run(mut self) -> Told {
        self.prepare().await;
        let plan_calm = self.board.plan.calm_at;
        let mut asks: Vec<Ask> = self.board.plan.asks.clone();
        asks.sort_by_key(|ask| (ask.at, ask.token.clone()));
        let mut leaves: Vec<_> =
            asks.iter().filter_map(|ask| Some((ask.leaves_at?, ask.token.clone()))).collect();
        leaves.sort();
        let mut blows = self.board.plan.blows.clone();
        blows.reverse();
        asks.reverse();
        leaves.reverse();
        let mut watched_at = self.start;
        loop {
            let now = self.start.elapsed();
            while let Some(ask) = asks.pop_if(|ask| ask.at <= now) {
                self.requests.push(ask.body);
            }
            while let Some((_, token)) = leaves.pop_if(|(at, _)| *at <= now) {
                self.fate.note(9, "leaves", &token);
                self.board.leave(&token);
            }
            while let Some((_, blow)) = blows.pop_if(|(at, _)| *at <= now) {
                self.strike(blow).await;
            }
            if now >= plan_calm && !self.fate.is_calm() {
                self.fate.note(9, "calm", "");
                self.fate.calm_down();
                self.calm_platform();
            }
            self.change_versions(now);
            self.fill_places();
            if Instant::now() >= watched_at + STEP {
                self.watch(watched_at.elapsed());
                watched_at = Instant::now();
                if self.fate.is_calm() && asks.is_empty() && self.is_over() {
                    break;
                }
                if now > plan_calm + PATIENCE {
                    break;
                }
                if !self.board.broken.lock().unwrap().is_empty() {
                    break;
                }
            }
            let next = [asks.last().map(|ask| ask.at), leaves.last().map(|l| l.0), blows.last().map(|b| b.0)];
            let next = next.into_iter().flatten().map(|at| self.start + at).min();
            let next = next.unwrap_or(watched_at + STEP).min(watched_at + STEP);
            tokio::select! {
                biased;
                Some(news) = self.news.1.recv() => match news {
                    News::Crashed(who) => self.bury(who),
                    News::Cancel => self.cancel(),
                },
                () = sleep_until(next) => {}
            }
        }
        self.judge().await
    }

    /// What strangers have left at the destination before, and what another version has in the table.
    async fn prepare(&self) {
        let project = ProjectId::new(TO_ID);
        for (n, (folder, name)) in self.board.plan.partials.iter().enumerate() {
            let path = DataPath::parse(folder).unwrap();
            let id = match self.observer.find(&project, &path).await.unwrap() {
                Some(data) => data.id,
                None => self.observer.create_folder(&project, &path, &format!("f{n}")).await.unwrap().id,
            };
            self.observer
                .create_file(&project, &Destination::Folder(id.clone()), name, &format!("p{n}"))
                .await
                .unwrap();
        }
        let soon = self.board.plan.platform.epoch.as_millisecond();
        for (name, schema, kind) in self.foreigners() {
            let item = Item::new(Key::new(format!("future.{name}"), "REQUEST"))
                .with("schema", schema)
                .with("kind", kind)
                .with("phase", "WARPING")
                .with("x_future", "kept")
                .with(DUE_SHARD, 3)
                .with(DUE_AT, soon);
            self.board.store.force(item);
        }
        for list in self.board.lists() {
            let at = ObjectLocation::new(LISTS, &list.key);
            let (text, options) = (list.text().into(), WriteOptions::default());
            let s3 = self.board.s3.as_ref().unwrap();
            s3.put(&at, text, None, &options, &Access::Own).await.unwrap();
        }
        if self.board.shares().next().is_some() {
            let objects = self.simulator.objects(SHELF, "").await;
            for (key, text) in shares::tables(objects.into_iter().map(|object| object.key)) {
                let (at, options) = (ObjectLocation::new(LISTS, key), WriteOptions::default());
                let s3 = self.board.s3.as_ref().unwrap();
                s3.put(&at, text.into(), None, &options, &Access::Own).await.unwrap();
            }
        }
        self.board.remember().await;
        let plan = &self.board.plan;
        let mut changes = json!({
            "responses": plan.scripts, "poisonPaths": plan.poison, "s3": plan.s3_rules, "restoreDelay": "5m",
        });
        changes.as_object_mut().unwrap().extend(plan.trials.faults.clone());
        self.simulator.set_faults(serde_json::from_value::<FaultChanges>(changes).unwrap());
    }

    /// Records of another version of the daemon, in some histories.
    fn foreigners(&self) -> Vec<(&'static str, i64, &'static str)> {
        let two = vec![("newer", 2, "copy"), ("unknown", 1, "teleport")];
        if self.board.plan.two_versions { two } else { Vec::new() }
    }

    fn calm_platform(&self) {
        let calm = json!({
            "jobFailureRate": 0.0, "rateLimit": null, "responses": [], "poisonPaths": [], "s3": [],
            "listLag": {}, "told": {}, "toldJobStatus": {},
        });
        self.simulator.set_faults(serde_json::from_value::<FaultChanges>(calm).unwrap());
    }

    /// Ends the instances whose version is over, and notes who waits where one follows the other.
    fn change_versions(&mut self, now: Duration) {
        let versions = self.board.plan.versions;
        let is_calm = self.fate.is_calm();
        for n in 0..self.slots.len() {
            let is_over = |instance: &Instance| versions.is_over(n, instance.version, now, is_calm);
            if self.slots[n].as_ref().is_some_and(is_over) {
                let instance = self.slots[n].take().unwrap();
                instance.gate.silence();
                self.fate.note(n, "CHANGED", "");
                self.starts_at[n] = Instant::now();
            }
        }
        if let Course::BackAndForth(back, forth) = versions.course {
            for (waiting, at) in self.waiting.iter_mut().zip([back, forth]) {
                if now >= at && waiting.is_none() {
                    *waiting = Some(self.board.unanswered().len());
                }
            }
        }
    }

    fn fill_places(&mut self) {
        for n in 0..self.slots.len() {
            let ended = self.slots[n]
                .as_ref()
                .is_some_and(|instance| instance.ends_at.is_some_and(|at| Instant::now() >= at));
            if ended {
                let instance = self.slots[n].take().unwrap();
                instance.gate.silence();
                self.fate.note(n, "ENDED", "");
            }
            let due = Instant::now() >= self.starts_at[n] || self.fate.is_calm();
            if self.slots[n].is_none() && due {
                let instance = self.instance(n);
                self.slots[n] = Some(instance);
            }
        }
    }

    /// A fresh process in that place.
    fn instance(&mut self, n: usize) -> Instance {
        self.names += 1;
        self.fate.note(n, "START", "");
        let plan = &self.board.plan;
        let gate = Gate::new(n, self.fate.clone(), self.news.0.clone());
        let skew_ms = i64::try_from(self.rng.next_u64() % 4001).unwrap() - 2000;
        let back = plan.trials.is_set_back(n);
        // A machine that is to be set back is ahead until then.
        let skew_ms = if back.is_empty() { skew_ms } else { 2000 - skew_ms.abs() / 20 };
        let back = back.into_iter().map(|back| (self.start + back.at, back.by_ms)).collect();
        let clock = Arc::new(SkewedClock::new(plan.platform.epoch, self.born, skew_ms, back));
        let objects: Arc<dyn ObjectStore> = match &self.s3 {
            Some(config) => Gated::new(&gate, Arc::new(own_s3(config)) as _),
            None => Arc::new(S3Objects::new(Some("http://s3.unused".to_owned()))),
        };
        let shared = objects.clone();
        let streams = Streams::new(
            Arc::new(RouterWire(self.simulator.clone(), Duration::ZERO)),
            transfer::stream::Settings::default(),
        )
        .with_objects(objects.clone());
        let me = Arc::new(OnceLock::new());
        let platform = Watched {
            platform: client(
                &self.simulator,
                clock.clone(),
                Dice::from_seed(self.names ^ 0xa9),
                plan.trials.pace,
            ),
            board: self.board.clone(),
            instance: me.clone(),
        };
        let table =
            Gated::new(&gate, Watching { store: self.board.store.clone(), board: self.board.clone() });
        // Drawn from nothing else, so that the histories of one version are what they were.
        let drawn = self.names ^ (self.names >> 16);
        let version = plan.versions.at(n, self.start.elapsed(), self.fate.is_calm(), drawn);
        let ports = Ports {
            store: version.table(table, &self.board),
            requests: Gated::new(&gate, self.requests.clone()),
            job_events: self.job_events.clone().map(|queue| Gated::new(&gate, queue) as _),
            bus: Gated::new(&gate, Buses { board: self.board.clone(), queue: self.requests.clone() }),
            callbacks: Gated::new(&gate, self.board.clone()),
            platform: Gated::new(&gate, platform),
            objects,
            secrets: Arc::new(copy_manager::embedded::secrets::NoSecrets),
            transfers: Gated::new(&gate, Arc::new(streams) as Arc<dyn Transfers>),
            reports: None,
            sharing: self.s3.is_some().then(|| shares::sharing(shared)),
            clock,
            chance: Arc::new(Dice::from_seed(self.names)),
        };
        let (stop, cut, off) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let has_packages = self.board.shares().next().is_some();
        let known = ports.clone();
        let kept = self.board.kept.as_ref();
        let replicated = kept.map(|kept| kept.seen_by(&gate, &ports)).into_iter().collect();
        let work =
            kinds::work(ports, plan.settings.clone(), shares::settings(), replicated, stop.clone(), cut);
        let api = if has_packages { secrets::api(&work, &known) } else { None };
        let engine = work.engine;
        me.set(engine.instance().to_string()).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(engine.clone().dispatch());
        tasks.spawn(engine.clone().intake());
        tasks.spawn(work.folders.follow_jobs());
        tasks.spawn(engine.clone().timers());
        tasks.spawn(engine.clone().heartbeats(off.clone()));
        tasks.spawn(engine.clone().progress(off.clone()));
        Instance { engine, version, api, gate, stop, off, tasks, since: Instant::now(), ends_at: None }
    }

    /// The tasks of a killed instance go away with it; after a while there is another in its place.
    fn bury(&mut self, n: usize) {
        if let Some(instance) = self.slots[n].take() {
            instance.gate.silence();
        }
        let wait = match self.rng.next_u64() % 3 {
            0 => 0,
            1 => self.rng.next_u64() % 5_000,
            _ => self.rng.next_u64() % 200_000,
        };
        self.starts_at[n] = Instant::now() + Duration::from_millis(wait);
    }

    async fn strike(&mut self, blow: Blow) {
        match blow {
            Blow::Kill(n) => {
                if let Some(instance) = &self.slots[n] {
                    instance.gate.kill();
                }
            }
            Blow::Stop(n) => {
                if let Some(instance) = &mut self.slots[n] {
                    self.fate.note(n, "STOP", "");
                    instance.stop.cancel();
                    instance.ends_at.get_or_insert(Instant::now() + Duration::from_secs(100));
                }
            }
            Blow::Pause(n, long) => {
                if let Some(instance) = &self.slots[n] {
                    instance.gate.stand_still(long);
                }
            }
            Blow::Cancel => self.cancel(),
            Blow::Outage(service, long) => self.fate.outage(service, long),
            Blow::Stranger(files, folder) => self.stranger(&files, &folder).await,
            Blow::Others(others) => {
                self.fate.note(9, "others", &others.to_string());
                // What is there already is left alone.
                let Others { uploads, copies, jobs } = serde_json::from_value(others).unwrap();
                for upload in uploads {
                    drop(self.simulator.others(&Others { uploads: vec![upload], ..Others::default() }));
                }
                drop(self.simulator.others(&Others { copies, jobs, ..Others::default() }));
            }
        }
    }

    /// Cancels one of the requests that are there, at one of the instances.
    fn cancel(&mut self) {
        let mut roots = Vec::new();
        self.board.store.each(|item| {
            let is_root = item.key.id_type == "REQUEST" && item.text("root") == Some(&item.key.id);
            if is_root && item.text("phase") != Some("SETTLED") {
                roots.push(item.key.id.clone());
            }
        });
        let Some(instance) = self.slots.iter_mut().flatten().next() else { return };
        let draw = usize::try_from(self.rng.next_u64() % 16).unwrap();
        let Some(root) = roots.get(draw % roots.len().max(1)).cloned() else { return };
        self.fate.note(9, "CANCEL", &root);
        self.board.is_cancelled(&root);
        let engine = instance.engine.clone();
        // A call that fails may be made again by whoever made it; here nobody does.
        instance.tasks.spawn(async move { drop(engine.cancel(&root, "the simulation").await) });
    }

    /// Somebody else copies files to where our requests copy.
    async fn stranger(&self, files: &[String], folder: &str) {
        let (lab, to) = (ProjectId::new(LAB_ID), ProjectId::new(TO_ID));
        let folder = self.observer.find(&to, &DataPath::parse(folder).unwrap()).await;
        let mut ids: Vec<DataId> = Vec::new();
        for file in files {
            if let Ok(Some(data)) = self.observer.find(&lab, &DataPath::parse(file).unwrap()).await {
                ids.push(data.id);
            }
        }
        if let (Ok(Some(folder)), false) = (folder, ids.is_empty()) {
            self.fate.note(9, "stranger", &format!("{files:?} to {}", folder.path));
            drop(self.observer.submit(&to, &Destination::Folder(folder.id), &ids).await);
        }
    }

    fn watch(&mut self, since: Duration) {
        let versions = self.board.plan.versions;
        let fit = |instance: &Instance| {
            versions.reads_all(instance.version)
                && instance.ends_at.is_none()
                && instance.since.elapsed() > WARM
                && !instance.gate.is_still()
        };
        let out = [Service::Store, Service::Callbacks].into_iter().any(|service| self.fate.is_out(service));
        if !out && self.slots.iter().flatten().any(fit) {
            self.board.worked(since);
        }
        for instance in self.slots.iter_mut().flatten() {
            while let Some(ended) = instance.tasks.try_join_next() {
                if let Err(error) = ended {
                    self.board.broke(format!("a loop of the engine broke: {error}"));
                }
            }
        }
        self.looks += 1;
        if self.looks.is_multiple_of(VISITS) {
            for instance in self.slots.iter_mut().flatten().filter(|instance| instance.ends_at.is_none()) {
                if let Some(api) = instance.api.clone() {
                    instance.tasks.spawn(secrets::visit(api));
                }
            }
        }
        PANICS.with(|panics| {
            for panic in panics.borrow_mut().drain(..) {
                self.board.broke(panic);
            }
        });
        self.board.step();
    }

    fn is_over(&self) -> bool {
        self.requests.is_empty()
            && self.simulator.jobs().running == 0
            && self.board.unanswered().is_empty()
            && self.board.left_over().is_empty()
    }

    async fn judge(self) -> Told {
        let board = &self.board;
        let dead = self.requests.dead.lock().unwrap().clone();
        if board.broken.lock().unwrap().is_empty() {
            for token in board.unanswered() {
                // A message that nobody could take lies in the dead letters, where people see it.
                if !dead.iter().any(|body| body.contains(&format!("\"{token}\""))) {
                    board.broke(format!("`{token}` was never answered"));
                }
            }
            for left in board.left_over() {
                board.broke(left);
            }
            // What was deleted last is still to go.
            sleep(Duration::from_secs(25)).await;
            board.judge_world().await;
            board.judge_replica();
            for (name, ..) in self.foreigners() {
                let item = board.store.peek(&Key::new(format!("future.{name}"), "REQUEST"));
                let kept = item.is_some_and(|item| {
                    item.text("x_future") == Some("kept")
                        && item.text("phase") == Some("WARPING")
                        && item.number(DUE_AT).is_some()
                });
                if !kept {
                    board.broke(format!("the record of another version, {name}, was not left alone"));
                }
            }
        }
        let phases = board.store.phases();
        for change @ (whose, was, is) in &phases {
            if !PHASES.contains(&(*whose, was.as_deref(), is.as_str())) {
                board.broke(format!("no request goes this way: {change:?}"));
            }
        }
        let mut digest = DefaultHasher::new();
        self.fate.digest().hash(&mut digest);
        for item in board.store.all() {
            format!("{item:?}").hash(&mut digest);
        }
        format!("{:?}", board.tree(TO).await).hash(&mut digest);
        for instance in self.slots.iter().flatten() {
            instance.gate.silence();
            instance.off.cancel();
        }
        let broken = board.broken.lock().unwrap().clone();
        Told {
            broken,
            lines: self.fate.lines(),
            digest: digest.finish(),
            took: self.start.elapsed(),
            calls: self.fate.tally().calls,
            phases,
            heard: Heard::default(),
            left: board.left.load(Ordering::Relaxed),
            ended_back: self.waiting[0].unwrap_or(0).saturating_sub(self.waiting[1].unwrap_or(0)),
            waited: self.waiting[1].unwrap_or(0),
        }
    }
}

/// S3 with our own rights.
fn own_s3(config: &SdkConfig) -> S3Objects {
    S3Objects::from_config(config, Some("http://s3.simulated".to_owned()))
}

fn client(simulator: &Arc<Simulator>, clock: Arc<dyn Clock>, dice: Dice, pace: u32) -> Client {
    let settings =
        icav2::Settings { requests_per_second: NonZeroU32::new(pace).unwrap(), ..icav2::Settings::default() };
    let token = StaticToken::new(secrets::BEARER).unwrap();
    Client::new(Arc::new(InProcess::new(simulator)), Arc::new(token), clock, Arc::new(dice), settings)
}
