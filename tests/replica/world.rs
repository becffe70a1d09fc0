//! What the tests are made of: a table, its lines, a replica.

use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use copy_manager::{
    domain::replica::{
        meta::MetaRow,
        names::TableName,
        shape::{Column, Kind, Part as Side, Scalar, Shape},
    },
    ports::{
        self,
        replica::{Beside, Findings, Loader, Part, Parts, Rejected, Replica as _},
    },
    postgres::{Postgres, Settings},
};
use futures_util::stream;
use serde_json::json;

use crate::postgres::{Database, servers};

/// Runs a test on each server that is here.
pub(crate) async fn on_each<F: Future<Output = ()>>(test: impl Fn(Database) -> F) {
    for server in servers() {
        test(server.database().await).await;
    }
}

pub(crate) fn table() -> TableName {
    TableName::new("canvas", "courses")
}

pub(crate) fn column(name: &str, side: Side, kind: Kind, required: bool) -> Column {
    Column { name: name.to_owned(), part: side, kind, required, default: None, comment: None }
}

pub(crate) fn value(name: &str, scalar: Scalar) -> Column {
    column(name, Side::Value, Kind::One(scalar), false)
}

pub(crate) fn key(name: &str, scalar: Scalar) -> Column {
    column(name, Side::Key, Kind::One(scalar), true)
}

/// `id`, `name` that must be there, `score`.
pub(crate) fn shape() -> Shape {
    let name = Column { required: true, ..value("name", Scalar::Text) };
    Shape { columns: vec![key("id", Scalar::Bigint), name, value("score", Scalar::Integer)], comment: None }
}

pub(crate) fn meta(time: &str) -> MetaRow {
    MetaRow { timestamp: time.parse().unwrap(), schema_version: 1, schema: json!({"type": "object"}) }
}

/// Settings that wait for nobody for long.
pub(crate) fn settings(url: &str) -> Settings {
    let mut settings = Settings::new(url.into());
    settings.lock_timeout = std::time::Duration::from_millis(300);
    settings.lock_pause = std::time::Duration::from_millis(50);
    settings.lock_attempts = 2;
    settings
}

pub(crate) fn replica(database: &Database) -> Postgres {
    Postgres::new(settings(&database.url)).unwrap()
}

/// The loader of a table; waits while one that was dropped gives its lock back.
pub(crate) async fn open(replica: &Postgres, table: &TableName) -> Box<dyn Loader> {
    for _ in 0..100 {
        if let Some(loader) = replica.open(table).await.unwrap() {
            return loader;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the loader was never given back");
}

/// A part of those lines, in chunks that end anywhere.
pub(crate) fn part(number: usize, columns: &[&str], lines: &str) -> Part {
    part_with(number, columns, lines, Findings::default())
}

pub(crate) fn part_with(number: usize, columns: &[&str], lines: &str, mut findings: Findings) -> Part {
    findings.lines = u64::try_from(lines.lines().count()).unwrap();
    findings.bytes = u64::try_from(lines.len()).unwrap();
    let chunks: Vec<_> = lines.as_bytes().chunks(7).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    Part {
        number,
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        lines: Box::pin(stream::iter(chunks)),
        findings: Arc::new(Mutex::new(findings)),
    }
}

pub(crate) fn rejected(key: &str, line: &str) -> Rejected {
    Rejected { key: key.to_owned(), line: line.to_owned(), reason: "out of range".to_owned() }
}

/// What was found out about lines of which these are put aside.
pub(crate) fn findings(ids: &[u64]) -> Findings {
    let rejected = ids.iter().map(|id| rejected(&format!("{{\"id\":{id}}}"), "a\0b")).collect();
    let mended = vec![("name".to_owned(), "a NUL was taken out".to_owned(), 3)];
    Findings { rejected, mended, ..Findings::default() }
}

/// A snapshot of a job that is staged with these parts.
pub(crate) fn beside(job: &str, parts: &[usize]) -> Beside {
    Beside { job: job.to_owned(), parts: parts.to_vec(), brought_to: None }
}

/// Parts, one after the other.
pub(crate) struct Given(pub(crate) Vec<Part>);

#[async_trait]
impl Parts for Given {
    async fn next(&mut self) -> ports::error::Result<Option<Part>> {
        Ok((!self.0.is_empty()).then(|| self.0.remove(0)))
    }
}

/// Changes of the courses, in one part.
pub(crate) fn changes(lines: &str) -> Given {
    Given(vec![part(0, &["id", "name", "score"], lines)])
}

pub(crate) const FIRST: &str = "2024-03-05T00:00:00Z";
pub(crate) const SECOND: &str = "2024-03-06T00:00:00Z";
pub(crate) const THIRD: &str = "2024-03-07T00:00:00.123456Z";

/// Loads a snapshot of those lines, whole.
pub(crate) async fn init(
    loader: &mut dyn Loader,
    job: &str,
    lines: &str,
) -> copy_manager::domain::replica::counts::Counts {
    loader.look().await.unwrap();
    loader.stage(job, &shape()).await.unwrap();
    let mut counts = loader.load(job, &shape(), part(0, &["id", "name", "score"], lines)).await.unwrap();
    counts += loader.finish(job, &shape(), &meta(FIRST)).await.unwrap();
    counts
}

impl Database {
    /// The rows of a query, each as one text.
    pub(crate) async fn rows(&self, query: &str) -> Vec<String> {
        let query = format!("SELECT q::text FROM ({query}) q");
        self.client.query(&query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn courses(&self) -> Vec<String> {
        self.rows("SELECT id, name, score FROM canvas.courses ORDER BY id").await
    }

    pub(crate) async fn run(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }
}
