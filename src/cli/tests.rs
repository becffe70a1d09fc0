//! Commands against a daemon's interface, over a socket.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use clap::Parser as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::admin::{self, Accepted, Action, Admin, ApiError, Backend, ListQuery, Ready, guard::Guard};
use crate::domain::ids::RequestId;

/// Knows a request named `stuck`, which never ends, and `good` and `bad` after two looks.
#[derive(Debug, Default)]
struct Daemon {
    looks: AtomicUsize,
}

#[async_trait]
impl Backend for Daemon {
    async fn accept(&self, _: &str, detail_type: &str, detail: Value) -> Result<Accepted, ApiError> {
        let has = |field| detail.pointer(field).is_some();
        let known = match detail_type {
            "ICAv2DataCopySync" => has("/payload/destinationUri"),
            "ICAv2CopyBatchSync" => has("/payload/manifest"),
            _ => false,
        };
        if !known {
            return Err(ApiError::invalid("not a copy"));
        }
        if detail.pointer("/payload/dryRun").is_some() {
            return Err(ApiError::Unavailable("the queue is full".into()));
        }
        Ok(Accepted { event_id: "good".to_owned(), request_id: None })
    }

    async fn job_events(&self, _: &str) -> Result<(usize, u32), ApiError> {
        Ok((0, 0))
    }

    async fn notice(&self, _: &str) -> Result<(), ApiError> {
        Ok(())
    }

    async fn request(&self, id: &str, _: Option<&str>) -> crate::ports::Result<Option<Value>> {
        let counters = json!({ "files": 2, "copied": 1 });
        Ok(match (self.looks.fetch_add(1, Ordering::Relaxed), id) {
            (0, _) => None,
            (1, _) => Some(json!({ "requestId": id, "status": "RUNNING", "counters": counters })),
            _ if id == RequestId::of_caller("copy-manager.cli", "stuck").as_str() => {
                Some(json!({ "requestId": id, "status": "RUNNING", "counters": counters }))
            }
            (_, "good") => Some(json!({ "requestId": id, "status": "SUCCEEDED", "output": { "files": 2 } })),
            _ => {
                Some(json!({ "status": "FAILED", "error": "CopyJobFailed", "cause": "{\"files\":[\"/a\"]}" }))
            }
        })
    }

    async fn folders(&self, _: &str, _: Option<&str>) -> Result<Option<Value>, ApiError> {
        Ok(None)
    }

    async fn journal(&self, _: &str, _: Option<&str>) -> Result<Option<Value>, ApiError> {
        Ok(None)
    }

    async fn explain(&self, _: &str, _: Option<&str>) -> Result<Option<Value>, ApiError> {
        Ok(None)
    }

    async fn requests(&self, query: &ListQuery) -> Result<Value, ApiError> {
        // Three pages of one each.
        let page: usize = query.cursor.as_deref().map_or(0, |cursor| cursor.parse().unwrap());
        let requests = match query.status.as_deref() {
            Some("received") => Vec::new(),
            _ => vec![json!({ "requestId": format!("r{page}"), "status": "RUNNING" })],
        };
        let next = (page < 2).then(|| (page + 1).to_string());
        Ok(json!({ "requests": requests, "next": next }))
    }

    async fn act(&self, id: &str, _: Option<&str>, action: Action) -> Result<Value, ApiError> {
        match (id, action) {
            ("gone", _) => Err(ApiError::Unknown(id.to_owned())),
            ("ended", _) => Err(ApiError::Conflict("it has ended".to_owned())),
            ("arn:aws:states:x:run", Action::Cancel { reason }) => Ok(json!({ "requestId": reason })),
            (_, Action::Retry) => Ok(json!({ "requestId": "good", "retryOf": id })),
            (_, Action::Wake | Action::Cancel { .. }) => Ok(json!({ "requestId": id })),
        }
    }

    async fn facts(&self) -> Vec<String> {
        Vec::new()
    }

    async fn log_level(&self, _: &str, _: std::time::Duration) -> Result<String, ApiError> {
        Ok("2026-11-30T12:00:00Z".to_owned())
    }

    fn now(&self) -> jiff::Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }

    fn ready(&self) -> Ready {
        Ready { ready: true, not_ready: Vec::new() }
    }
}

/// Runs a command line against the daemon, whose address it gets as its last argument.
async fn run(line: &str) -> ExitCode {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = format!("copy-manager {line} --server http://{}", listener.local_addr().unwrap());
    let guard = Guard::new("127.0.0.1".parse().unwrap(), &[]);
    let admin = Admin { backend: Arc::new(Daemon::default()), metrics: Arc::new(String::new), guard };
    let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
    tokio::select! {
        code = Box::pin(cli.run()) => code,
        served = admin::serve(listener, admin, 64, CancellationToken::new()) => panic!("{served:?}"),
    }
}

#[tokio::test]
async fn a_copy_is_submitted_and_waited_for() {
    let copy = "submit copy icav2://p/a icav2://q/b/";
    assert_eq!(run(copy).await, ExitCode::SUCCESS);
    assert_eq!(run(&format!("{copy} --wait")).await, ExitCode::SUCCESS);
    assert_eq!(run(&format!("--json {copy} --wait --request-id bad")).await, ExitCode::FAILURE);
    assert_eq!(run("submit copy icav2://p/a icav2://q/no-folder").await, ExitCode::from(3));
    assert_eq!(run("submit copy icav2://p//a icav2://q/b/ --wait").await, ExitCode::from(3));
    assert_eq!(run("submit copy icav2://q/b/").await, ExitCode::from(2));
    // What may be tried again.
    assert_eq!(run(&format!("{copy} --dry-run --wait")).await, ExitCode::from(5));
    let nobody = "copy-manager submit copy icav2://p/a icav2://q/b/ --server http://127.0.0.1:1";
    let nobody = Cli::try_parse_from(nobody.split_whitespace()).unwrap();
    assert_eq!(nobody.run().await, ExitCode::from(5));
}

#[tokio::test]
async fn requests_are_listed_and_told_what_to_do() {
    for (line, code) in [
        ("list --status running --limit 2", 0),
        ("--json list", 0),
        ("status", 0),
        ("status good --watch", 0),
        ("status nobody-knows-it-at-first", 3),
        ("cancel arn:aws:states:x:run --reason late", 0),
        ("cancel gone", 3),
        ("cancel ended", 3),
        ("retry any --wait", 0),
        ("retry any", 0),
        ("wake one", 0),
        ("wake --all", 0),
    ] {
        assert_eq!(run(line).await, ExitCode::from(code), "{line}");
    }
    for line in ["wake", "wake one --all", "cancel", "status --watch"] {
        let line = format!("copy-manager {line}");
        assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
    }
    let completions = Cli::try_parse_from(["copy-manager", "completions", "bash"]).unwrap();
    assert_eq!(completions.run().await, ExitCode::SUCCESS);
}

#[tokio::test]
async fn it_is_waited_for_no_longer_than_asked() {
    let copy = "submit copy icav2://p/a icav2://q/b/ --wait --timeout 300ms";
    assert_eq!(run(copy).await, ExitCode::SUCCESS);
    assert_eq!(run(&format!("{copy} --request-id stuck")).await, ExitCode::from(124));
    let line = "copy-manager submit copy icav2://p/a icav2://q/b/ --timeout 1s";
    assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "without --wait it has no meaning");
}

#[tokio::test]
async fn a_manifest_is_submitted_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifest.json");
    std::fs::write(&path, r#"{"icav2://p/a": ["icav2://q/b/"]}"#).unwrap();
    let submit = format!("submit batch {}", path.display());
    assert_eq!(run(&submit).await, ExitCode::SUCCESS);
    assert_eq!(run(&format!("{submit} --wait")).await, ExitCode::SUCCESS);
    assert_eq!(run(&format!("{submit} --wait --request-id bad")).await, ExitCode::FAILURE);
    assert_eq!(run("submit batch /no/such/manifest.json").await, ExitCode::FAILURE);
}

#[tokio::test]
async fn health_is_an_exit_code() {
    assert_eq!(run("healthcheck").await, ExitCode::SUCCESS);
    assert_eq!(run("healthcheck --live").await, ExitCode::SUCCESS);
    let nobody = Cli::try_parse_from(["copy-manager", "healthcheck", "--server", "http://127.0.0.1:1"]);
    assert_eq!(nobody.unwrap().run().await, ExitCode::FAILURE);
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[cfg(feature = "simulator")]
#[test]
fn the_simulator_takes_the_flags_of_its_contract() {
    let flags = "copy-manager simulate --listen 127.0.0.1:0 --world w.json --seed 7 \
        --job-failure-rate 0.2 --job-duration 2s --latency 20ms --s3-copy-rate 85000000/s --rate-limit 50/s \
        --events-queue-url http://127.0.0.1:4566/000000000000/ica-events --events-http http://127.0.0.1:1/e";
    Cli::try_parse_from(flags.split_whitespace()).unwrap();
    #[cfg(feature = "canvas")]
    {
        let school = format!("{flags} --dap-listen 127.0.0.1:0 --dap-world s.json");
        Cli::try_parse_from(school.split_whitespace()).unwrap();
        let nowhere = format!("{flags} --dap-world s.json");
        assert!(Cli::try_parse_from(nowhere.split_whitespace()).is_err());
    }
    for wrong in [
        "--job-failure-rate 1.5",
        "--job-duration 2",
        "--rate-limit 50",
        "--rate-limit 0/s",
        "--s3-copy-rate 0/s",
        "--s3-copy-rate 85MB/s",
    ] {
        let line = format!("copy-manager simulate {wrong}");
        let error = Cli::try_parse_from(line.split_whitespace()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{wrong}");
    }
}
