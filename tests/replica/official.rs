//! The official client itself, on a table that it must not go on with.
//!
//! It is in `.venv-dap` (2.3.1) and `.venv-dap1` (1.0.0), else in the Pythons that `$DAP_CLIENTS` lists with colons between
//! them. The platform that it asks is `$DAP_ORACLE` (default: `../shared/dap-oracle`), run by the same Python. Where either
//! is missing, the test says so, and passes.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use copy_manager::domain::replica::{names::TableName, schema};
use pretty_assertions::assert_eq;
use serde_json::Value;

use crate::{
    postgres::Database,
    world::{on_each, open, replica},
};

/// A running oracle.
struct Oracle {
    child: Child,
    url: String,
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Oracle {
    fn start(folder: &Path, python: &Path) -> Self {
        let mut child = Command::new(python)
            .arg(folder.join("dap_oracle.py"))
            .arg("--data")
            .arg(folder.join("datasets/kitchen.py"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        Self { child, url: said.get("url").unwrap().as_str().unwrap().to_owned() }
    }

    async fn commit(&self, commit: u64) {
        let wish = serde_json::json!({ "commit": commit });
        let url = format!("{}/_control", self.url);
        reqwest::Client::new().post(url).json(&wish).send().await.unwrap().error_for_status().unwrap();
    }

    /// Has a program download all of the table into a folder.
    fn download(&self, program: &mut Command, format: &str, folder: &Path) {
        let to = folder.to_str().unwrap();
        let done = program
            .args(["snapshot", "--namespace", "canvas", "--table", "kitchen"])
            .args(["--format", format, "--output-directory", to])
            .env_remove("AWS_CA_BUNDLE")
            .env("DAP_API_URL", &self.url)
            .env("DAP_CLIENT_ID", "us-east-1#oracle")
            .env("DAP_CLIENT_SECRET", "oracle-secret")
            .env("DAP_TRACKING", "off")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(done.status.success(), "{program:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Runs the client on the table.
    fn dap(&self, python: &Path, database: &Database, command: &str) -> Output {
        Command::new(python)
            .args([
                "-m",
                "dap",
                "--loglevel",
                "error",
                command,
                "--namespace",
                "canvas",
                "--table",
                "kitchen",
            ])
            .env("DAP_API_URL", &self.url)
            .env("DAP_CLIENT_ID", "us-east-1#oracle")
            .env("DAP_CLIENT_SECRET", "oracle-secret")
            // It wants a password.
            .env("DAP_CONNECTION_STRING", database.url.replace("postgres@", "postgres:none@"))
            .env("DAP_TRACKING", "off")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

/// The folder of the oracle, where it is here.
fn oracle() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/dap-oracle"));
    let folder = std::env::var_os("DAP_ORACLE").map_or_else(beside, PathBuf::from);
    if folder.join("dap_oracle.py").exists() {
        return Some(folder);
    }
    eprintln!("\n!!! SKIPPED: there is no oracle in {} (see DAP_ORACLE) !!!\n", folder.display());
    None
}

fn clients() -> Vec<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = [".venv-dap", ".venv-dap1"].map(|folder| home.join(folder).join("bin/python"));
    let named = std::env::var_os("DAP_CLIENTS");
    let all = named.map_or_else(|| own.to_vec(), |named| std::env::split_paths(&named).collect());
    let (there, missing): (Vec<_>, Vec<_>) = all.into_iter().partition(|python| python.exists());
    if !missing.is_empty() {
        assert!(std::env::var_os("COPY_MANAGER_TEST_ALL").is_none(), "{missing:?} are missing: make install");
        eprintln!("\n!!! SKIPPED: there are no {missing:?} (make install, or DAP_CLIENTS) !!!\n");
    }
    there
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_does_not_go_on_with_a_treated_table() {
    let Some(folder) = oracle() else { return };
    for python in clients() {
        let (folder, python) = (folder.clone(), python.clone());
        on_each(|database| {
            let oracle = Oracle::start(&folder, &python);
            let python = python.clone();
            async move {
                let begun = oracle.dap(&python, &database, "initdb");
                assert!(begun.status.success(), "{}", String::from_utf8_lossy(&begun.stdout));
                // The same rows, loaded by us with a column hashed and one left out.
                let table = TableName::new("canvas", "kitchen");
                let replica = replica(&database);
                let mut loader = open(&replica, &table).await;
                let meta = loader.look().await.unwrap().meta.unwrap();
                let shape = schema::shape(&table, &meta.schema).unwrap();
                loader.treat(Some("s=hash".to_owned()));
                loader.stage("job", &shape).await.unwrap();
                database
                    .run("INSERT INTO copy_manager.\"canvas.kitchen\" SELECT * FROM canvas.kitchen")
                    .await;
                loader.finish("job", &shape, &meta).await.unwrap();
                drop(loader);
                let rows = "SELECT id, i64, f64, s FROM canvas.kitchen ORDER BY id";
                let state = "SELECT timestamp, schema_version FROM instructure_dap.table_sync";
                let before = (database.rows(rows).await, database.rows(state).await);
                for commit in [1, 2] {
                    oracle.commit(commit).await;
                    let refused = oracle.dap(&python, &database, "syncdb");
                    let said =
                        String::from_utf8_lossy(&[refused.stdout, refused.stderr].concat()).into_owned();
                    assert!(!refused.status.success(), "{said}");
                    assert!(said.contains("canvas.kitchen is loaded by copy-manager alone"), "{said}");
                    assert_eq!((database.rows(rows).await, database.rows(state).await), before, "{said}");
                }
                // It is loaded anew where somebody drops it first.
                assert!(oracle.dap(&python, &database, "dropdb").status.success());
                assert!(oracle.dap(&python, &database, "initdb").status.success());
            }
        })
        .await;
    }
}

/// The files below a folder, by their paths in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

#[test]
fn downloads_are_those_of_the_official_client() {
    let Some(oracle_folder) = oracle() else { return };
    for python in clients().iter().filter(|python| python.to_string_lossy().contains(".venv-dap/")) {
        for format in ["tsv", "csv", "jsonl"] {
            let oracle = Oracle::start(&oracle_folder, python);
            let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let mut client = Command::new(python);
            oracle.download(client.args(["-m", "dap", "--loglevel", "error"]), format, theirs.path());
            let mut program = Command::new(env!("CARGO_BIN_EXE_copy-manager"));
            oracle.download(program.arg("canvas"), format, ours.path());
            let (theirs, ours) = (files(theirs.path()), files(ours.path()));
            assert!(!theirs.is_empty());
            assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{format}");
            assert!(ours == theirs, "{format}: the files have the same names, and other bytes");
        }
    }
}
