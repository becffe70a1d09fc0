//! A replica of Canvas Data 2, beside Instructure's own client and beside bare SQL, in turns.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use bytes::Bytes;
use copy_manager::simulator::dap::{DapSettings, DapSimulator, world::DapWorld};
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{
    bulk::{self, Bulk},
    figures::{Book, Row, middle, scale, scaled},
    postgres::{Database, Server, servers},
    s3_tools::run,
    support::{BINARY, now, processor},
};

pub(crate) const NAME: &str = "replica";

const RUNS: usize = 5;
const THEIRS: &str = "dap 2.3.1";
/// Of a hundred tables without changes, so many are asked for by their client: each costs it a process.
const ASKED: usize = 20;
const MANY: usize = 100;

/// What one run of a program has cost: seconds, processor seconds, MiB at most.
#[derive(Debug, Clone, Copy)]
struct Cost {
    seconds: f64,
    processor: f64,
    memory: f64,
}

/// Everything that is measured, once a run.
#[derive(Debug, Default)]
struct Runs {
    ours: Vec<[Cost; 2]>,
    theirs: Vec<[Cost; 2]>,
    bare: Vec<[f64; 2]>,
    ours_of_many: Vec<f64>,
    theirs_of_many: Vec<f64>,
}

pub(crate) fn measure(book: &mut Book) {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-dap/bin/python");
    let (Some(server), true) = (servers().first(), python.exists()) else {
        return book
            .note("a replica", "PostgreSQL or Instructure's client is not here: `make install` brings both");
    };
    let rows = scaled(1_000_000, 10_000);
    let runtime = Runtime::new().unwrap();
    let bulk = Arc::new(Bulk::of(rows));
    let big = runtime.block_on(listen(|url| bulk::router(bulk.clone(), url)));
    let many = runtime.block_on(listen(quiet));
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench { runtime: &runtime, server, python: &python, errors: folder.path().join("errors") };
    let idle = bench.ours(&big, "postgresql://postgres@127.0.0.1:9/none", &["list"]).memory;
    let mut runs = Runs::default();
    for _ in 0..if scale() < 1.0 { 2 } else { RUNS } {
        let [ours, theirs, bare] = [(); 3].map(|()| bench.database());
        let init = bench.ours(&big, &ours.url, &["init", "--table", "big", "--once"]);
        let theirs_init = bench.theirs(&big, &theirs.url, "initdb", "big");
        let bare_init = bench.bare(&bare, BARE_INIT, bulk.lines());
        let sync = bench.ours(&big, &ours.url, &["sync", "--table", "big", "--once"]);
        let theirs_sync = bench.theirs(&big, &theirs.url, "syncdb", "big");
        let bare_sync = bench.bare(&bare, BARE_SYNC, bulk.changes());
        bench.same(&[&ours, &theirs, &bare]);
        runs.ours.push([init, sync]);
        runs.theirs.push([theirs_init, theirs_sync]);
        runs.bare.push([bare_init, bare_sync]);
        bench.without_changes(&many, &mut runs);
    }
    tell(book, &runs, rows, idle);
}

fn tell(book: &mut Book, runs: &Runs, rows: usize, idle: f64) {
    let column = |of: &dyn Fn(usize) -> f64| (0..runs.ours.len()).map(of).collect::<Vec<_>>();
    let names = [format!("init of {rows} rows"), format!("sync of {} changes", rows / 5)];
    for (n, (name, [of_theirs, of_bare])) in names.iter().zip([[0.125, 1.8], [1.0 / 6.0, 1.5]]).enumerate() {
        let seconds = column(&|run| runs.ours[run][n].seconds);
        let theirs = column(&|run| runs.theirs[run][n].seconds);
        let bare = column(&|run| runs.bare[run][n]);
        let (their_middle, bare_middle) = (middle(&theirs), middle(&bare));
        book.row(
            Row::median(name.clone(), "s", &seconds)
                .bound(bare_middle)
                .peer(THEIRS, Some(their_middle))
                .note("bound: bare SQL"),
        );
        let over =
            |other: &[f64]| -> Vec<f64> { seconds.iter().zip(other).map(|(one, two)| one / two).collect() };
        book.row(Row::median(format!("{name}, of {THEIRS}"), "×", &over(&theirs)).at_most(of_theirs));
        book.row(Row::median(format!("{name}, of bare SQL"), "×", &over(&bare)).at_most(of_bare));
    }
    let share = |run: usize| runs.ours[run][0].processor / runs.theirs[run][0].processor;
    book.row(
        Row::median(format!("processor time for {}, of {THEIRS}", names[0]), "×", &column(&share))
            .at_most(0.05),
    );
    let over_idle = |run: usize| runs.ours[run].iter().map(|cost| cost.memory - idle).fold(0.0, f64::max);
    book.row(
        Row::median("memory over idle, both", "MiB", &column(&over_idle))
            .at_most(96.0)
            .note(format!("idle: {idle:.1} MiB, of a command that lists the tables")),
    );
    #[expect(clippy::cast_precision_loss, reason = "a hundred tables")]
    let theirs: Vec<f64> =
        runs.theirs_of_many.iter().map(|seconds| seconds * MANY as f64 / ASKED as f64).collect();
    let ratios: Vec<f64> = runs.ours_of_many.iter().zip(&theirs).map(|(one, two)| one / two).collect();
    book.row(
        Row::median(format!("{MANY} tables without changes"), "s", &runs.ours_of_many)
            .peer(THEIRS, Some(middle(&theirs)))
            .note(format!("{THEIRS}: {ASKED} processes, times {}", MANY / ASKED)),
    );
    book.row(Row::median(format!("{MANY} tables without changes, of {THEIRS}"), "×", &ratios).at_most(0.05));
}

struct Bench<'a> {
    runtime: &'a Runtime,
    server: &'a Server,
    python: &'a Path,
    errors: PathBuf,
}

impl Bench<'_> {
    fn database(&self) -> Database {
        self.runtime.block_on(self.server.database())
    }

    /// Our command, in a process of its own.
    fn ours(&self, source: &str, database: &str, arguments: &[&str]) -> Cost {
        let mut command = Command::new(BINARY);
        command.arg("canvas").args(arguments);
        command.env("COPY_MANAGER__CANVAS__LIMITS", "create_job=0,get_job=0,list=0,schema=0,object_url=0");
        self.cost(around(&mut command, source, database))
    }

    /// Their command.
    fn theirs(&self, source: &str, database: &str, what: &str, table: &str) -> Cost {
        let mut command = Command::new(self.python);
        command.args(["-m", "dap", "--loglevel", "error", what, "--namespace", "canvas", "--table", table]);
        command.env("DAP_TRACKING", "off");
        // It wants a password.
        self.cost(around(&mut command, source, &database.replace("postgres@", "postgres:none@")))
    }

    fn cost(&self, command: &mut Command) -> Cost {
        let before = processor("self", true);
        let (seconds, memory) = run(command, &self.errors);
        Cost { seconds, processor: processor("self", true) - before, memory }
    }

    /// The same by SQL alone: what is to be done before the lines come, and after.
    fn bare(&self, database: &Database, [before, copy, after]: [&str; 3], lines: Vec<Bytes>) -> f64 {
        self.runtime.block_on(async {
            let run = async |text: &str| {
                let text = text.replace("{columns}", &bulk::columns()).replace("{names}", &bulk::names());
                let text = text.replace("{sets}", &bulk::sets());
                database.client.batch_execute(&text).await.unwrap();
            };
            let began = now();
            run(before).await;
            let sink = database.client.copy_in::<_, Bytes>(copy).await.unwrap();
            let mut sink = std::pin::pin!(sink);
            for chunk in lines {
                sink.send(chunk).await.unwrap();
            }
            sink.finish().await.unwrap();
            run(after).await;
            began.elapsed().as_secs_f64()
        })
    }

    /// Whoever is faster must have done the same.
    fn same(&self, all: &[&Database]) {
        let counts = all.iter().map(|database| {
            let asked = "SELECT count(*), sum(hashtext(id::text || user_id || workflow_state || coalesce(grade, '')))::int8 FROM canvas.big";
            let row = self.runtime.block_on(database.client.query_one(asked, &[])).unwrap();
            (row.get::<_, i64>(0), row.get::<_, Option<i64>>(1))
        });
        let counts: Vec<_> = counts.collect();
        assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    }

    /// All of many tables are loaded first, then asked for again.
    fn without_changes(&self, source: &str, runs: &mut Runs) {
        let [ours, theirs] = [(); 2].map(|()| self.database());
        let sync = ["sync", "--table", "all", "--once"];
        self.ours(source, &ours.url, &sync);
        runs.ours_of_many.push(self.ours(source, &ours.url, &sync).seconds);
        let each = |what| (0..ASKED).map(|n| self.theirs(source, &theirs.url, what, &table(n)).seconds).sum();
        let _init: f64 = each("initdb");
        runs.theirs_of_many.push(each("syncdb"));
    }
}

const BARE_INIT: [&str; 3] = [
    "CREATE SCHEMA canvas; CREATE TYPE canvas.state AS ENUM ('unsubmitted', 'submitted', 'graded', 'pending_review'); \
     BEGIN; CREATE TABLE canvas.big ({columns});",
    "COPY canvas.big FROM STDIN",
    "ALTER TABLE canvas.big ADD PRIMARY KEY (id); COMMIT; ANALYZE canvas.big;",
];
const BARE_SYNC: [&str; 3] = [
    "BEGIN; CREATE TEMP TABLE news (action text, {columns});",
    "COPY news FROM STDIN",
    "DELETE FROM canvas.big AS b USING news AS n WHERE n.action = 'D' AND b.id = n.id; \
     INSERT INTO canvas.big SELECT id, {names} FROM news WHERE action = 'U' ON CONFLICT (id) DO UPDATE SET {sets}; COMMIT;",
];

fn around<'a>(command: &'a mut Command, source: &str, database: &str) -> &'a mut Command {
    command
        .env_remove("AWS_CA_BUNDLE")
        .env("DAP_API_URL", source)
        .env("DAP_CLIENT_ID", "us-east-1#simulator")
        .env("DAP_CLIENT_SECRET", "simulator-secret")
        .env("DAP_CONNECTION_STRING", database)
}

fn table(n: usize) -> String {
    format!("t{n:02}")
}

/// A platform of many small tables.
fn quiet(url: &str) -> axum::Router {
    let of = |n: usize| {
        let row = |id: u64| json!({ "key": { "id": id }, "value": { "name": format!("row {id}") } });
        json!({
            "namespace": "canvas", "name": table(n), "key": { "id": { "type": "integer", "format": "int64" } },
            "schemas": [{ "version": 1, "value": { "name": { "type": "string" } } }],
            "commits": [{ "at": "2026-01-01T00:00:00Z", "version": 1, "changes": [row(1), row(2)] }],
        })
    };
    let tables: Vec<Value> = (0..MANY).map(of).collect();
    let world: DapWorld = serde_json::from_value(json!({ "tables": tables })).unwrap();
    // Their client waits for half a minute where a job is about to expire by its own clock.
    let epoch = jiff::Timestamp::now();
    let settings = DapSettings { epoch, public_url: url.to_owned(), ..DapSettings::default() };
    DapSimulator::new(settings, world).unwrap().router()
}

/// Serves what is made for an address.
async fn listen(make: impl FnOnce(&str) -> axum::Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = make(&url);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}
