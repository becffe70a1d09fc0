//! The built program against an independent platform: each table is, after each commit, what Instructure's client 2.3.1
//! has made of it.
//!
//! The platform lies in `$DAP_ORACLE` (default: `../shared/dap-oracle`) with what was made of its tables. Where it is
//! not, the test says so, and passes.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{postgres::Database, world::on_each};

const DATASETS: [&str; 3] = ["kitchen.py", "every_type.py", "shapes.py"];
/// Namespace, table, and the commits after which it is looked at.
const PLAYS: [(&str, &str, &[u32]); 6] = [
    ("canvas", "kitchen", &[0, 1, 2, 3, 4, 5, 6]),
    // Commits may be skipped.
    ("canvas", "kitchen", &[0, 6]),
    ("canvas", "nothing", &[0]),
    ("canvas", "types", &[0]),
    ("canvas", "texts", &[0]),
    ("canvas_logs", "web_logs", &[0, 1]),
];
/// Tables that the client fails at, and what a row of each is here.
const SHAPES: [(&str, &str, &str); 12] = [
    ("open_object", "data", "{\"any\": [\"thing\", 1, null]}"),
    ("object_list", "items", "[{\"n\": 1}, {\"n\": 2}]"),
    ("variants", "one", "5"),
    ("moments", "at", "{\"2024-03-05 01:02:03\"}"),
    ("coded", "data", "AAEC"),
    ("enum_default", "state", "b"),
    ("very_long", "text", "short"),
    ("far_dates", "at", "2024-01-01 00:00:00.123456"),
    ("nul_text", "text", "nulinside"),
    ("nul_json", "data", "{\"a\": \"nulinside\"}"),
    ("not_utf8", "text", "cut \u{fffd}( off"),
    ("Mixed Case", "Select", "x"),
];

/// A process that ends with the test.
struct Oracle {
    child: Child,
    url: String,
    folder: PathBuf,
    python: PathBuf,
    http: reqwest::Client,
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Oracle {
    fn start() -> Option<Self> {
        let home = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let folder =
            std::env::var_os("DAP_ORACLE").map_or_else(|| home.join("../shared/dap-oracle"), PathBuf::from);
        let python = home.join(".venv-dap/bin/python");
        if !folder.join("expected").exists() || !python.exists() {
            eprintln!("\n!!! SKIPPED: there is no oracle in {}, or no .venv-dap !!!\n", folder.display());
            return None;
        }
        let datasets = DATASETS.map(|name| folder.join("datasets").join(name));
        let mut child = Command::new(&python)
            .arg(folder.join("dap_oracle.py"))
            .args(["--port", "0", "--data"])
            .args(datasets)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        let url = told["url"].as_str().unwrap().to_owned();
        Some(Self { child, url, folder, python, http: reqwest::Client::new() })
    }

    async fn is_at(&self, commit: u32) {
        let wish = self.http.post(format!("{}/_control", self.url)).json(&json!({ "commit": commit }));
        wish.send().await.unwrap().error_for_status().unwrap();
    }

    /// Brings a table up to date by the built program; what that was told to have come to.
    async fn sync(&self, database: &Database, namespace: &str, table: &str) -> Value {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_copy-manager"))
            .args(["canvas", "sync", "--once", "--namespace", namespace, "--table", table])
            .env("DAP_API_URL", &self.url)
            .env("DAP_CLIENT_ID", "us-east-1#oracle")
            .env("DAP_CLIENT_SECRET", "oracle-secret")
            .env("DAP_CONNECTION_STRING", &database.url)
            .env("COPY_MANAGER__CANVAS__NAMESPACES", "canvas,canvas_logs")
            // The platform here takes as many questions as one likes.
            .env("COPY_MANAGER__CANVAS__LIMITS", "create_job=0")
            .output()
            .await
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{table}: {out}\n{err}");
        serde_json::from_str(&out).unwrap()
    }

    /// What differs from that description.
    async fn differs(&self, database: &Database, namespace: &str, expected: &str) -> String {
        let output = tokio::process::Command::new(&self.python)
            .arg(self.folder.join("describe.py"))
            .arg(&database.url)
            .args(["--namespace", namespace, "--against"])
            .arg(self.folder.join("expected").join(expected))
            .output()
            .await
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }
}

async fn clean(database: &Database) {
    for schema in ["canvas", "canvas_logs", "instructure_dap", "copy_manager"] {
        database.client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await.unwrap();
    }
}

#[tokio::test]
async fn tables_are_after_each_commit_what_the_official_client_makes_of_them() {
    let Some(oracle) = Oracle::start() else { return };
    on_each(|database| {
        let oracle = &oracle;
        async move {
            for (namespace, table, commits) in PLAYS {
                clean(&database).await;
                for commit in commits {
                    oracle.is_at(*commit).await;
                    oracle.sync(&database, namespace, table).await;
                    let said = oracle.differs(&database, namespace, &format!("{table}-{commit}.json")).await;
                    assert_eq!(said.trim(), "equal", "{table} after commit {commit}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_official_client_fails_at_is_replicated_in_one_run() {
    let Some(oracle) = Oracle::start() else { return };
    on_each(|database| {
        let oracle = &oracle;
        async move {
            oracle.is_at(0).await;
            let names = SHAPES.map(|(name, ..)| name).join(",");
            let others = "lost_value,narrowed,null_demanded";
            let told = oracle.sync(&database, "canvas", &format!("{names},{others}")).await;
            assert_eq!((&told["num_failed"], &told["num_complete"]), (&json!(0), &json!(15)), "{told}");
            for (table, column, expected) in SHAPES {
                let query = format!("SELECT \"{column}\"::text FROM canvas.\"{table}\" WHERE id = 1");
                let row: String = database.client.query_one(&query, &[]).await.unwrap().get(0);
                assert_eq!(row, expected, "{table}.{column}");
            }
            oracle.is_at(1).await;
            let told = oracle.sync(&database, "canvas", others).await;
            let notes: Vec<_> = told["tables"]
                .as_array()
                .unwrap()
                .iter()
                .map(|table| table["notes"][0].to_string())
                .collect();
            for says in ["keeps", "stays character varying(20)", "has nulls: it stays nullable"] {
                assert!(notes.iter().any(|note| note.contains(says)), "{says}: {notes:?}");
            }
            for (table, rows) in [("lost_value", 3_i64), ("narrowed", 3), ("null_demanded", 3)] {
                let query = format!("SELECT count(*) FROM canvas.{table}");
                assert_eq!(database.client.query_one(&query, &[]).await.unwrap().get::<_, i64>(0), rows);
            }
        }
    })
    .await;
}
