//! Asking daemons, and hearing what their callers are told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};

use super::Row;
use crate::{
    binary::Process,
    lab::{Platform, quick},
    within,
};

/// Events that one call takes.
const AT_ONCE: usize = 10;

/// Every answer to a task token, as callers get it.
#[derive(Debug)]
pub(super) struct Answers {
    url: String,
    told: Told,
    _server: JoinSet<()>,
}

type Told = Arc<Mutex<Vec<Value>>>;

async fn hear(State(told): State<Told>, Json(answer): Json<Value>) {
    told.lock().unwrap().push(answer);
}

impl Answers {
    pub(super) async fn listen() -> Self {
        let told = Told::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new().route("/", post(hear)).with_state(Arc::clone(&told));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, told, _server: server }
    }

    fn of(&self, token: &str) -> Vec<Value> {
        let told = self.told.lock().unwrap();
        told.iter().filter(|answer| answer["taskToken"] == token).cloned().collect()
    }

    /// What each row was answered, once all have been.
    pub(super) async fn of_all(
        &self,
        rows: &[&Row],
        suffix: &str,
        patience: Duration,
    ) -> BTreeMap<&'static str, Vec<Value>> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let answered: BTreeMap<_, _> =
                rows.iter().map(|row| (row.key, self.of(&format!("{}{suffix}", row.key)))).collect();
            let waiting: Vec<_> =
                answered.iter().filter(|(_, told)| told.is_empty()).map(|(key, _)| key).collect();
            if waiting.is_empty() {
                return answered;
            }
            assert!(tokio::time::Instant::now() < deadline, "not answered in {patience:?}: {waiting:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A daemon.
#[derive(Debug)]
pub(super) struct Desk {
    process: Process,
    url: String,
}

impl Desk {
    pub(super) fn open(
        directory: &TempDir,
        platform: &Platform,
        answers: &Answers,
        name: &str,
        token: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut environment = quick(settings);
        let database = format!("{name}.sqlite");
        let more = [
            ("COPY_MANAGER__EMBEDDED__DATABASE", database.as_str()),
            ("COPY_MANAGER__EMBEDDED__OUTCOME_URL", &answers.url),
            ("COPY_MANAGER__ICAV2__S3_ENDPOINT_URL", &platform.s3_url()),
            ("ICAV2_BASE_URL", &platform.url()),
            ("ICAV2_ACCESS_TOKEN", token),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "ap-southeast-2"),
        ];
        environment.extend(more.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let process = Process::spawn(name, directory.path(), &["serve"], &environment);
        Self { process, url: String::new() }
    }

    pub(super) async fn ready(&mut self) {
        self.url = format!("http://{}/v1/events", self.process.ready().await);
    }

    /// Asks for all of that at once; the task tokens are the rows' keys.
    pub(super) async fn ask(&self, rows: &[Row], suffix: &str) {
        let entry = |row: &Row| {
            let mut detail = row.detail.clone();
            detail["taskToken"] = json!(format!("{}{suffix}", row.key));
            json!({ "Source": row.source, "DetailType": row.detail_type, "Detail": detail })
        };
        let entries: Vec<_> = rows.iter().map(entry).collect();
        for entries in entries.chunks(AT_ONCE) {
            within(Duration::from_secs(5), "the events are taken", async || {
                let call = reqwest::Client::new().post(&self.url).json(&json!({ "Entries": entries }));
                let answer: Value = call.send().await.unwrap().json().await.unwrap();
                // What is refused at once is answered to its token all the same.
                let entries = answer["Entries"].as_array().unwrap();
                entries.iter().all(|entry| entry["ErrorCode"] != "InternalFailure").then_some(())
            })
            .await;
        }
    }
}
