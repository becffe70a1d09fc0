//! Runs over the tables of a replica: what they are made of, how an instance sees it, and what must be true of it.
//! Drawn apart from the rest of a plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use copy_manager::{
    config::DEFAULT,
    dap::{
        self, Dap, Ways,
        places::{InStore, Rates},
        settings::Limits,
    },
    domain::replica::{
        changes::Changes, counts::Counts, meta::MetaRow, names::TableName, settings::CanvasSettings,
        shape::Shape,
    },
    planes::table::Replicated,
    ports::{
        Error, Ports, Result,
        messages::{Messages, Target},
        replica::{self, Differences, Evolved, Loader, Look, Part, Parts, Replica, Standing},
        source::{ByteStream, Format, Job, Query, SchemaVersion, Source},
    },
    simulator::{
        dap::{DapSettings, DapSimulator, world::DapWorld},
        in_process::InProcess,
    },
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    board::Board,
    errands::Way,
    fate::{Gate, Service},
    history::AGE,
    ports::{EFFECT, Gated, READ},
    replica::{Memory, Rows},
    secrets,
    world::{Ask, Blow, Dice, Request},
};

const NAMESPACE: &str = "canvas";
/// The account may make so many jobs in a minute of ours; the platform's is as much shorter as clocks may differ.
const JOBS: &str = "create_job=6";
const PLATFORM_MINUTE: f64 = 54.0;
/// What a run is asked for with that is to load all tables anew.
const INIT: &str = r#""mode":"init""#;
/// The last run is asked for so long after the faults.
const AFTER_THE_CALM: Duration = Duration::from_secs(20);

/// A row that came, or with `None` went.
type Change = (u64, Option<String>);

/// What happened to a table at a time after the start.
#[derive(Debug, Clone)]
struct Commit {
    at: Duration,
    version: i64,
    changes: Vec<Change>,
}

/// The tables of a platform: their histories.
#[derive(Debug, Clone)]
pub(crate) struct School {
    tables: BTreeMap<String, Vec<Commit>>,
    controls: Value,
}

impl School {
    /// One, in some histories. All that happens to its tables has happened before the calm.
    pub(crate) fn draw(dice: &mut Dice, calm_at: Duration) -> Option<Self> {
        if !dice.chance(0.2) {
            return None;
        }
        let tables = (0..=dice.index(3)).map(|n| (format!("t{n}"), commits(dice, calm_at))).collect();
        let mut controls = json!({
            "commit": "clock", "job_seconds": dice.pick(&[0, 0, 3, 40]), "job_lifetime": dice.pick(&[100, 86_400]),
            "token_seconds": dice.pick(&[70, 3600]), "url_seconds": dice.pick(&[5, 900]), "deduplicate": dice.chance(0.5), "outdated": dice.chance(0.5),
        });
        if dice.chance(0.5) {
            controls["limits"] = json!({ "create_job": 6 });
            controls["minute_seconds"] = PLATFORM_MINUTE.into();
        }
        Some(Self { tables, controls })
    }

    /// Runs over them, each with when it is asked for, its token and its request; the last one when all is calm.
    pub(crate) fn runs(dice: &mut Dice, calm_at: Duration, known: usize) -> Vec<(Request, Ask)> {
        let mut times: Vec<_> = (0..=dice.index(3)).map(|_| dice.seconds(0, calm_at.as_secs())).collect();
        times.push(calm_at + AFTER_THE_CALM);
        let run = |(n, at): (usize, Duration)| {
            let token = format!("token-run-{n}");
            let mut payload = json!({});
            if dice.chance(0.2) {
                payload["mode"] = "init".into();
            }
            let detail = json!({ "payload": payload, "taskToken": token });
            let request = Request::plain(Vec::new(), Way::Run(at));
            let body =
                json!({ "detail-type": request.way.event(), "source": "lab", "id": token, "detail": detail });
            (request, Ask { at, token, request: known + n, body: body.to_string(), leaves_at: None })
        };
        times.into_iter().enumerate().map(run).collect()
    }

    /// What goes wrong between the fleet and them for a while.
    pub(crate) fn blows(dice: &mut Dice, calm_at: Duration) -> Vec<(Duration, Blow)> {
        let many = dice.below(3);
        let blow = |_| {
            let service = dice.pick(&[Service::Source, Service::Database]);
            (dice.seconds(0, calm_at.as_secs()), Blow::Outage(service, dice.seconds(5, 120)))
        };
        (0..many).map(blow).collect()
    }

    /// The platform with them, and an empty replica.
    pub(crate) fn open(&self, epoch: Timestamp) -> Kept {
        let start = after(epoch, AGE);
        let tables: Vec<Value> =
            self.tables.iter().map(|(name, commits)| told(name, commits, start)).collect();
        let world: DapWorld = serde_json::from_value(json!({ "tables": tables })).unwrap();
        let settings = DapSettings { epoch: start, ..DapSettings::default() };
        let platform = DapSimulator::new(settings, world).unwrap();
        platform.control(self.controls.clone()).unwrap();
        Kept { school: self.clone(), start, platform, memory: Memory::default(), last: Mutex::default() }
    }

    fn is_limited(&self) -> bool {
        self.controls["limits"].is_object()
    }
}

fn after(time: Timestamp, long: Duration) -> Timestamp {
    time.checked_add(SignedDuration::try_from(long).unwrap()).unwrap()
}

fn commits(dice: &mut Dice, calm_at: Duration) -> Vec<Commit> {
    let rows = dice.below(9);
    let first = (1..=rows).map(|id| (id, Some(format!("row {id}")))).collect();
    let mut all = vec![Commit { at: Duration::ZERO, version: 1, changes: first }];
    let mut times: Vec<_> = (0..dice.below(6)).map(|_| dice.seconds(1, calm_at.as_secs())).collect();
    times.sort();
    let grows_at = dice.chance(0.3).then(|| dice.index(times.len().max(1)));
    let mut version = 1;
    for (n, at) in times.into_iter().enumerate() {
        if grows_at == Some(n) {
            version = 2;
        }
        let changes = (0..=dice.below(3))
            .map(|m| {
                let text = format!("changed {n} {m}");
                (1 + dice.below(12), dice.chance(0.7).then_some(text))
            })
            .collect::<BTreeMap<_, _>>();
        all.push(Commit { at, version, changes: changes.into_iter().collect() });
    }
    all
}

/// A table as the platform has it. The second version of its schema has a column more.
fn told(name: &str, commits: &[Commit], start: Timestamp) -> Value {
    let change = |version: i64, (id, text): &Change| {
        let mut value = json!({ "name": text, "size": id * 2 });
        if version == 2 {
            value["extra"] = "more".into();
        }
        json!({ "key": { "id": id }, "value": if text.is_some() { value } else { Value::Null } })
    };
    let history: Vec<Value> = commits
        .iter()
        .map(|commit| {
            let changes: Vec<Value> = commit.changes.iter().map(|one| change(commit.version, one)).collect();
            json!({ "at": time_of(commit, start).to_string(), "version": commit.version, "changes": changes })
        })
        .collect();
    let mut value = json!({
        "name": { "type": "string" }, "size": { "type": "integer", "format": "int32" },
    });
    let first = value.clone();
    value["extra"] = json!({ "type": "string" });
    json!({
        "namespace": NAMESPACE, "name": name, "rowsPerPart": 3,
        "key": { "id": { "type": "integer", "format": "int64" } },
        "schemas": [{ "version": 1, "value": first }, { "version": 2, "value": value }],
        "commits": history,
    })
}

/// What was there before the history began is older than any time that is asked for.
fn time_of(commit: &Commit, start: Timestamp) -> Timestamp {
    if commit.at.is_zero() {
        start.checked_sub(SignedDuration::from_hours(24)).unwrap()
    } else {
        after(start, commit.at)
    }
}

/// A replica, and what it is of.
#[derive(Debug)]
pub(crate) struct Kept {
    school: School,
    start: Timestamp,
    platform: Arc<DapSimulator>,
    memory: Memory,
    /// The time of each table at the last look.
    last: Mutex<BTreeMap<String, Timestamp>>,
}

/// Nobody is told.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Messages for Nobody {
    async fn send(&self, _: &Target, _: &str, message: &str) -> Result<()> {
        secrets::told(message);
        Ok(())
    }
}

impl Kept {
    /// The replica as an instance has it.
    pub(crate) fn seen_by(&self, gate: &Arc<Gate>, ports: &Ports) -> Replicated {
        let mut settings = settings();
        if self.school.is_limited() {
            settings.limits = vec![JOBS.to_owned()];
        }
        let limits =
            if self.school.is_limited() { Limits::read(&settings.limits).unwrap() } else { Limits::NONE };
        let of = dap::Settings {
            base_url: "http://127.0.0.1:1235".to_owned(),
            client_id: "us-east-1#simulator".to_owned(),
            client_secret: SecretString::from("simulator-secret"),
            url_hosts: Vec::new(),
            limits,
            minute: settings.minute,
            ..dap::Settings::default()
        };
        let transport = Arc::new(InProcess::to(self.platform.router()));
        let ways = Ways { calls: transport.clone(), files: transport };
        let (clock, chance) = (ports.clock.clone(), ports.chance.clone());
        let rates = Rates { limits, minute: settings.minute };
        let places = InStore::new(ports.store.clone(), clock.clone(), chance.clone(), &of.client_id, rates);
        let source = Dap::new(ways, Arc::new(places), clock, chance, &of).unwrap();
        Replicated {
            settings: Arc::new(settings),
            source: Gated::new(gate, source),
            replica: Gated::new(gate, self.memory.clone()),
            messages: Arc::new(Nobody),
        }
    }

    /// The rows of a table at a time.
    fn rows_at(&self, table: &str, time: Timestamp) -> Rows {
        let mut rows = Rows::new();
        let happened = |commit: &&Commit| time_of(commit, self.start) <= time;
        for commit in self.school.tables[table].iter().filter(happened) {
            for (id, text) in &commit.changes {
                let key = vec![id.to_string()];
                let Some(text) = text else {
                    rows.remove(&key);
                    continue;
                };
                let mut row = BTreeMap::from([
                    ("id".to_owned(), id.to_string()),
                    ("name".to_owned(), text.clone()),
                    ("size".to_owned(), (id * 2).to_string()),
                ]);
                if commit.version == 2 {
                    row.insert("extra".to_owned(), "more".to_owned());
                }
                rows.insert(key, row);
            }
        }
        rows
    }
}

fn settings() -> CanvasSettings {
    let default: toml::Table = DEFAULT.parse().unwrap();
    let mut canvas = default["canvas"].clone();
    canvas.as_table_mut().unwrap().retain(|_, value| value.as_str() != Some(""));
    let mut settings: CanvasSettings = canvas.try_into().unwrap();
    settings.notify = vec!["https://example.org/told".to_owned()];
    settings
}

#[async_trait]
impl Source for Gated<Dap> {
    async fn tables(&self, namespace: &str) -> Result<Vec<String>> {
        let call = self.inner.tables(namespace);
        self.gate.pass(Service::Source, "tables", READ, || namespace.to_owned(), call).await
    }

    async fn schema(&self, table: &TableName) -> Result<SchemaVersion> {
        let call = self.inner.schema(table);
        self.gate.pass(Service::Source, "schema", READ, || table.to_string(), call).await
    }

    async fn ask(&self, table: &TableName, query: &Query, format: Format) -> Result<Job> {
        let detail = || format!("{table} {query:?}");
        let call = self.inner.ask(table, query, format);
        self.gate.pass(Service::Source, "ask for data", EFFECT, detail, call).await
    }

    async fn job(&self, id: &str) -> Result<Job> {
        self.gate.pass(Service::Source, "dap job", READ, || id.to_owned(), self.inner.job(id)).await
    }

    async fn read(&self, object: &str) -> Result<ByteStream> {
        self.gate
            .pass(Service::Source, "read file", READ, || object.to_owned(), self.inner.read(object))
            .await
    }

    async fn packed(&self, object: &str) -> Result<ByteStream> {
        self.gate
            .pass(Service::Source, "read file", READ, || object.to_owned(), self.inner.packed(object))
            .await
    }
}

impl Gated<Memory> {
    async fn pass<T>(
        gate: &Gate,
        op: &'static str,
        table: &str,
        call: impl Future<Output = replica::Result<T>>,
    ) -> replica::Result<T> {
        let call = async { Ok::<_, Error>(call.await) };
        gate.pass(Service::Database, op, EFFECT, || table.to_owned(), call).await?
    }
}

#[async_trait]
impl Replica for Gated<Memory> {
    async fn open(&self, table: &TableName) -> replica::Result<Option<Box<dyn Loader>>> {
        let opened = Self::pass(&self.gate, "open table", &table.table, self.inner.open(table)).await?;
        let (gate, name) = (self.gate.clone(), table.table.clone());
        Ok(opened.map(|inner| Box::new(GatedLoader { gate, name, inner }) as Box<dyn Loader>))
    }

    async fn standing(&self, namespace: &str) -> replica::Result<Vec<Standing>> {
        Self::pass(&self.gate, "standing", namespace, self.inner.standing(namespace)).await
    }
}

struct GatedLoader {
    gate: Arc<Gate>,
    name: String,
    inner: Box<dyn Loader>,
}

macro_rules! through {
    ($self:ident, $op:literal, $call:expr) => {
        Gated::<Memory>::pass(&$self.gate, $op, &$self.name, $call).await
    };
}

#[async_trait]
impl Loader for GatedLoader {
    async fn look(&mut self) -> replica::Result<Look> {
        through!(self, "look at table", self.inner.look())
    }

    fn treat(&mut self, mark: Option<String>) {
        self.inner.treat(mark);
    }

    async fn stage(&mut self, job: &str, shape: &Shape) -> replica::Result<Vec<usize>> {
        through!(self, "stage table", self.inner.stage(job, shape))
    }

    async fn is_staged(&mut self, job: &str, shape: &Shape) -> replica::Result<bool> {
        through!(self, "look at staged", self.inner.is_staged(job, shape))
    }

    async fn load(&mut self, job: &str, shape: &Shape, part: Part) -> replica::Result<Counts> {
        through!(self, "load part", self.inner.load(job, shape, part))
    }

    async fn finish(&mut self, job: &str, shape: &Shape, meta: &MetaRow) -> replica::Result<Counts> {
        through!(self, "finish table", self.inner.finish(job, shape, meta))
    }

    async fn advance(
        &mut self,
        job: &str,
        shape: &Shape,
        parts: &mut dyn Parts,
        to: Timestamp,
    ) -> replica::Result<Counts> {
        through!(self, "advance snapshot", self.inner.advance(job, shape, parts, to))
    }

    async fn apply(
        &mut self,
        job: &str,
        shape: &Shape,
        parts: &mut dyn Parts,
        meta: &MetaRow,
    ) -> replica::Result<Counts> {
        through!(self, "apply changes", self.inner.apply(job, shape, parts, meta))
    }

    async fn evolve(&mut self, changes: &Changes, reason: &str) -> replica::Result<Evolved> {
        through!(self, "evolve table", self.inner.evolve(changes, reason))
    }

    async fn plan(&mut self, changes: &Changes) -> replica::Result<Evolved> {
        through!(self, "plan table", self.inner.plan(changes))
    }

    async fn drop_table(&mut self) -> replica::Result<()> {
        through!(self, "drop table", self.inner.drop_table())
    }

    async fn compare(
        &mut self,
        job: &str,
        shape: &Shape,
        since: &mut dyn Parts,
    ) -> replica::Result<Differences> {
        through!(self, "compare table", self.inner.compare(job, shape, since))
    }

    async fn unstage(&mut self) -> replica::Result<()> {
        through!(self, "unstage table", self.inner.unstage())
    }
}

impl Board {
    /// Tables that readers would see otherwise than they were at the time that the replica tells, or older than before.
    pub(crate) fn odd_tables(&self) -> Vec<String> {
        let Some(kept) = &self.kept else { return Vec::new() };
        let mut odd = Vec::new();
        for name in kept.school.tables.keys() {
            let Some(table) = kept.memory.table(&TableName::new(NAMESPACE, name.as_str())) else { continue };
            let Some(meta) = &table.meta else { continue };
            let before = kept.last.lock().unwrap().insert(name.clone(), meta.timestamp);
            if before.is_some_and(|before| before > meta.timestamp) {
                odd.push(format!("{name} went back to {}", meta.timestamp));
            }
            let (is, should) = (table.values(), kept.rows_at(name, meta.timestamp));
            if is != should {
                odd.push(format!("{name} of {} is {is:?}, and was {should:?}", meta.timestamp));
            }
        }
        odd
    }

    /// A run that succeeded has brought every table up to date.
    pub(crate) fn judge_run(&self, token: &str, output: &Value) {
        let Some(kept) = &self.kept else { return };
        // Those that are furthest behind are told first.
        let complete: BTreeSet<&str> =
            output["complete"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        if !kept.school.tables.keys().eq(complete) || output["num_failed"] != 0 {
            self.broke(format!("`{token}` succeeded with {output}"));
        }
    }

    /// In the end every table is there as it is at its source, no part of a job was loaded twice, and the platform
    /// had to refuse nothing for its limits.
    pub(crate) fn judge_replica(&self) {
        let Some(kept) = &self.kept else { return };
        for name in kept.school.tables.keys() {
            let table = kept.memory.table(&TableName::new(NAMESPACE, name.as_str()));
            if table.is_none_or(|table| table.meta.is_none()) {
                self.broke(format!("{name} was not loaded"));
            }
        }
        // Who asks for all of it gets all of it, also where the platform answers with the same job.
        // A snapshot that became the table, and the answer of that was lost, may have to be loaded once more.
        let asked_anew = self.plan.asks.iter().filter(|ask| ask.body.contains(INIT)).count();
        let most = kept.memory.most_loads();
        if most as usize > 1 + 2 * asked_anew {
            self.broke(format!("a part was loaded {most} times"));
        }
        let refused = kept.platform.log(false).iter().filter(|call| call.status == Some(429)).count();
        // Who is set back by minutes counts them twice.
        if refused > 0 && !self.plan.trials.sets_back() {
            self.broke(format!("the platform refused {refused} calls as too many"));
        }
    }
}
