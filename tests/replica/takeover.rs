//! The built program beside Instructure's own client: a replica that one has begun is continued by the other, and the
//! end is the same. The newest client (2.3.1) is in `.venv-dap`, that which Harvard's application pins (1.0.0) in
//! `.venv-dap1`.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use copy_manager::{
    ports::clock::{Clock as _, SystemClock},
    simulator::{
        dap::{DapSettings, DapSimulator, demo},
        serve_dap,
    },
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{postgres::Database, world::on_each};

const TABLES: [&str; 3] = ["users", "courses", "enrollments"];

/// A simulated platform that is served until it is dropped.
struct Platform {
    simulator: Arc<DapSimulator>,
    url: String,
    _serving: JoinSet<()>,
}

impl Platform {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // The client waits for half a minute where a job is about to expire by its own clock.
        let settings = DapSettings {
            epoch: SystemClock::new().now(),
            public_url: url.clone(),
            ..DapSettings::default()
        };
        let simulator =
            DapSimulator::new(settings, demo::world("2026-01-01T00:00:00Z".parse().unwrap())).unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(serve_dap(listener, simulator.clone(), CancellationToken::new()));
        Self { simulator, url, _serving: serving }
    }

    fn is_at(&self, commit: u32) {
        self.simulator.control(json!({ "commit": commit })).unwrap();
    }
}

/// A Python with a client of that version; `None`, said loudly, where it is not installed.
fn client(folder: &str) -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("bin/python");
    if python.exists() {
        return Some(python);
    }
    assert!(std::env::var_os("COPY_MANAGER_TEST_ALL").is_none(), "{folder} is missing: make install");
    eprintln!("\n!!! SKIPPED: there is no {folder} (make install) !!!\n");
    None
}

async fn done(mut command: Command, platform: &Platform, database: &str) -> String {
    command.env("DAP_API_URL", &platform.url);
    command.env("DAP_CLIENT_ID", "us-east-1#simulator").env("DAP_CLIENT_SECRET", "simulator-secret");
    command.env("DAP_CONNECTION_STRING", database).env("DAP_TRACKING", "off");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}

/// Lets the client do that to all tables.
async fn theirs(python: &Path, what: &str, platform: &Platform, database: &Database) {
    // It wants a password in the address.
    let url = database.url.replace("postgres@", "postgres:none@");
    for table in TABLES {
        let mut command = Command::new(python);
        command.args(["-m", "dap", "--loglevel", "error", what, "--namespace", "canvas", "--table", table]);
        done(command, platform, &url).await;
    }
}

/// Lets us.
async fn ours(platform: &Platform, database: &Database) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_copy-manager"));
    command.args(["canvas", "sync", "--once", "--table", &TABLES.join(",")]);
    let told: Value = serde_json::from_str(&done(command, platform, &database.url).await).unwrap();
    assert_eq!(told["num_failed"], 0, "{told}");
}

/// All that a replica holds: columns, comments, defaults, enumerations, rows, rows of the meta table.
async fn held(database: &Database) -> Vec<String> {
    let columns = "SELECT c.relname, obj_description(c.oid), a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
        pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum) \
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
        WHERE c.relnamespace = 'canvas'::regnamespace AND c.relkind = 'r' ORDER BY c.relname, a.attnum";
    let keys = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint \
        WHERE connamespace = 'canvas'::regnamespace AND contype = 'p' ORDER BY 1";
    let labels = "SELECT t.typname, e.enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid \
        ORDER BY t.typname, e.enumsortorder";
    let meta = "SELECT source_table, timestamp, schema_version, schema_description::jsonb \
        FROM instructure_dap.table_sync ORDER BY 1";
    let mut held = Vec::new();
    for query in [columns, keys, labels, meta] {
        held.extend(database.rows(query).await);
    }
    for table in TABLES {
        held.extend(database.rows(&format!("SELECT t FROM canvas.{table} t ORDER BY 1")).await);
    }
    held
}

/// Its `dropdb` leaves enumerations, which its next `initdb` fails at.
async fn clean(database: &Database) {
    for schema in ["canvas", "instructure_dap", "copy_manager"] {
        database.client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await.unwrap();
    }
}

async fn either_continues_what_the_other_has_begun(python: PathBuf) {
    on_each(|database| {
        let python = python.clone();
        async move {
            let platform = Platform::new().await;
            for we_begin in [false, true] {
                for commit in 0..3 {
                    platform.is_at(commit);
                    match (we_begin == (commit % 2 == 0), commit) {
                        (true, _) => ours(&platform, &database).await,
                        (false, 0) => theirs(&python, "initdb", &platform, &database).await,
                        (false, _) => theirs(&python, "syncdb", &platform, &database).await,
                    }
                }
                let mixed = held(&database).await;
                clean(&database).await;
                for (commit, what) in [(0, "initdb"), (1, "syncdb"), (2, "syncdb")] {
                    platform.is_at(commit);
                    theirs(&python, what, &platform, &database).await;
                }
                assert_eq!(mixed, held(&database).await, "we begin: {we_begin}");
                clean(&database).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_newest_client_and_we_continue_what_the_other_has_begun() {
    if let Some(python) = client(".venv-dap") {
        either_continues_what_the_other_has_begun(python).await;
    }
}

#[tokio::test]
async fn client_1_0_0_and_we_continue_what_the_other_has_begun() {
    if let Some(python) = client(".venv-dap1") {
        either_continues_what_the_other_has_begun(python).await;
    }
}
