//! A simulator and a daemon beside it, and requests made of them.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Desk, Process, calls, free_address, now, post, serve, simulate};

/// What a caller of the bench is called.
const CALLER: &str = "bench";
/// Entries of one call of `PutEvents`.
const ENTRIES: usize = 10;
const JOBS: &str = "POST /api/projects/{projectId}/dataCopyBatch";

/// How job events get to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Events {
    /// Not at all: jobs are only polled.
    None,
    /// From the simulator straight to the daemon.
    Straight,
    /// Past the bench, which notes when each has come.
    Noted,
}

/// Both processes, and where the bench is told.
pub(crate) struct Stage {
    pub(crate) simulator: Process,
    pub(crate) controls: String,
    pub(crate) s3: String,
    pub(crate) daemon: Process,
    pub(crate) address: String,
    pub(crate) desk: Desk,
    pub(crate) folder: TempDir,
}

impl Stage {
    /// Both, with options of the simulator and settings of the daemon.
    pub(crate) fn set(world: &Value, options: &[&str], settings: &[(&str, &str)], events: Events) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("world.json");
        fs::write(&file, world.to_string()).unwrap();
        let address = free_address();
        let desk = Desk::open(&address);
        let to = match events {
            Events::None => None,
            Events::Straight => Some(format!("http://{address}/v1/events")),
            Events::Noted => Some(desk.url("events")),
        };
        let mut options = options.to_vec();
        if let Some(to) = &to {
            options.extend(["--events-http", to]);
        }
        let (simulator, controls, s3) = simulate(&file, &options);
        let outcomes = desk.url("outcomes");
        let mut more = vec![
            ("COPY_MANAGER__ADMIN__LISTEN", &*address),
            ("COPY_MANAGER__EMBEDDED__OUTCOME_URL", &*outcomes),
        ];
        more.extend(settings);
        let (daemon, ready) = serve(&folder.path().join("bench.sqlite"), &controls, &s3, &more);
        assert_eq!(ready, address);
        Self { simulator, controls, s3, daemon, address, desk, folder }
    }

    /// Makes requests, each with a task token.
    pub(crate) fn ask(&self, requests: &[Request]) {
        for lot in requests.chunks(ENTRIES) {
            let entries: Vec<_> = lot.iter().map(Request::entry).collect();
            let answer = post(&self.address, "/v1/events", &json!({ "Entries": entries }));
            assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
        }
    }

    /// All API calls so far; those of S3 are not among them.
    pub(crate) fn api_calls(&self) -> u64 {
        calls(&self.controls)
            .iter()
            .filter(|(name, _)| !name.starts_with("S3 "))
            .map(|(_, count)| count)
            .sum()
    }

    /// Copy jobs made so far.
    pub(crate) fn jobs(&self) -> u64 {
        calls(&self.controls).get(JOBS).copied().unwrap_or(0)
    }

    /// Has one request made, and waits for its answer.
    pub(crate) fn copy(&self, request: Request, patience: Duration) -> Copied {
        let (calls, jobs, began) = (self.api_calls(), self.jobs(), now());
        self.ask(&[request]);
        let answer = self.desk.answer(began + patience);
        let took = answer.as_ref().map_or(now() - began, |answer| answer.at - began);
        let how = match answer {
            Some(answer) if answer.body["status"] == "SUCCEEDED" => None,
            Some(answer) => Some(format!("{} {}", answer.body["status"], answer.body["error"])),
            None => Some(format!("no answer within {} s", patience.as_secs())),
        };
        Copied {
            seconds: took.as_secs_f64(),
            calls: self.api_calls() - calls,
            jobs: self.jobs() - jobs,
            went_wrong: how,
        }
    }
}

/// A copy that somebody waits for.
pub(crate) struct Request {
    pub(crate) token: String,
    pub(crate) sources: Vec<String>,
    pub(crate) destination: String,
}

impl Request {
    fn entry(&self) -> Value {
        let payload = json!({"sourceUriList": self.sources, "destinationUri": self.destination});
        json!({
            "Source": CALLER,
            "DetailType": "ICAv2DataCopySync",
            "Detail": {"taskToken": self.token, "payload": payload},
        })
    }

    /// Of everything in `/run/`.
    pub(crate) fn of_the_run() -> Self {
        Self {
            token: "bench".into(),
            sources: vec!["icav2://lab/run/".into()],
            destination: "icav2://archive/in/".into(),
        }
    }
}

/// What a request took.
#[derive(Debug, Clone)]
pub(crate) struct Copied {
    pub(crate) seconds: f64,
    pub(crate) calls: u64,
    pub(crate) jobs: u64,
    /// None where it succeeded.
    pub(crate) went_wrong: Option<String>,
}

/// What went wrong in some of the runs, for a note.
pub(crate) fn complaints(runs: &[Copied]) -> String {
    let wrong: Vec<_> = runs.iter().filter_map(|run| run.went_wrong.clone()).collect();
    match wrong.first() {
        None => String::new(),
        Some(first) => format!("**{} of {} did not succeed: {first}**", wrong.len(), runs.len()),
    }
}

/// Does all of it, a few at a time: what mostly waits does not disturb its neighbours much.
pub(crate) fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    at_once: usize,
    act: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let worker = || {
            let mut mine = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { return mine };
                mine.push((index, act(item)));
            }
        };
        let workers: Vec<_> = (0..at_once.min(items.len())).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Looks again and again until it holds; `false` when it never did.
pub(crate) fn wait_until(patience: Duration, every: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until: Instant = now() + patience;
    while now() < until {
        if holds() {
            return true;
        }
        thread::sleep(every);
    }
    false
}
