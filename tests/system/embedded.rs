//! A daemon without any AWS: events over HTTP, and what a copy costs.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    binary::Process,
    lab::{Platform, credentials, payload, quick},
    watch::assert_shape,
    within,
    worlds::{assert_same, regular, world},
};

const PATIENCE: Duration = Duration::from_mins(1);

/// Calls that a thousand files in one folder may take.
const AFFORDABLE: u64 = 140;

/// A daemon with its database, and the platform it knows.
pub(crate) struct Bench {
    daemon: Process,
    pub(crate) url: String,
    platform: Platform,
    environment: Vec<(String, String)>,
    directory: TempDir,
}

impl Bench {
    pub(crate) async fn start(world: &Value, options: &[&str], settings: Vec<(String, String)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let platform = Platform::start(&directory, world, options, &[]).await;
        let mut environment = settings;
        environment.extend(credentials(&platform));
        let mut daemon = Process::spawn("serve", directory.path(), &["serve"], &environment);
        let url = format!("http://{}", daemon.ready().await);
        Self { daemon, url, platform, environment, directory }
    }

    /// Kills the daemon and starts it again at the same address.
    async fn restart(&mut self) {
        self.daemon.kill();
        let listen = self.url.strip_prefix("http://").unwrap().to_owned();
        self.environment.push(("COPY_MANAGER__ADMIN__LISTEN".to_owned(), listen));
        self.daemon = Process::spawn("again", self.directory.path(), &["serve"], &self.environment);
        self.daemon.ready().await;
    }

    pub(crate) async fn put(&self, entries: Value) -> Value {
        let call = reqwest::Client::new().post(format!("{}/v1/events", self.url));
        call.json(&json!({ "Entries": entries })).send().await.unwrap().json().await.unwrap()
    }

    async fn request(&self, id: &str) -> Option<Value> {
        let answer = reqwest::get(format!("{}/v1/requests/{id}", self.url)).await.unwrap();
        if answer.status() == 404 {
            return None;
        }
        Some(answer.json().await.unwrap())
    }

    /// The request, once it has ended.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        within(PATIENCE, "the end of the request", async || {
            let request = self.request(id).await?;
            ["SUCCEEDED", "FAILED"].contains(&request["status"].as_str().unwrap()).then_some(request)
        })
        .await
    }

    /// `copy-manager submit copy … --wait --json`.
    fn submit(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_copy-manager"));
        command.args(["submit", "copy", "--wait", "--json", "--server", &self.url]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

pub(crate) fn entry(detail: &Value) -> Value {
    json!({ "Source": "lab.test", "DetailType": "ICAv2DataCopySync", "Detail": detail })
}

#[tokio::test]
async fn a_thousand_files_cost_few_calls() {
    let file = |n: u64| {
        let (name, parts) = if n.is_multiple_of(10) { ("sums.txt", 1) } else { ("reads.fastq.gz", 2) };
        (format!("/run/{n:04}.{name}"), 1_000 + n, parts)
    };
    let files: Vec<_> = (0..1_000).map(file).collect();
    // Everything as delivered but the pace, which changes how long it takes and not what it costs.
    let settings = [("ADMIN__LISTEN", "127.0.0.1:0"), ("ICAV2__REQUESTS_PER_SECOND", "500")];
    let settings = settings.map(|(key, value)| (format!("COPY_MANAGER__{key}"), value.to_owned())).to_vec();
    let mut world = world(&[], &files);
    // What was written just now would be looked at again.
    world["projects"][0]["age"] = json!("1h");
    let bench = Bench::start(&world, &[], settings).await;
    let copy = json!({ "payload": payload(&["icav2://lab/run/"], "icav2://archive/in/") });
    let answer = bench.put(json!([entry(&copy)])).await;
    let ended = bench.ended(answer["Entries"][0]["EventId"].as_str().unwrap()).await;
    assert_eq!((&ended["status"], &ended["counters"]["copied"]), (&json!("SUCCEEDED"), &json!(1_000)));
    let stats = bench.platform.stats().await;
    eprintln!("1,000 files: {stats:#}");
    assert!(stats["total"].as_u64().unwrap() <= AFFORDABLE, "{stats:#}");
    assert_same(&bench.platform, "/run/", "/in/run/").await;
}

#[tokio::test]
async fn events_over_http_are_answered_as_put_events_does() {
    let bench = Bench::start(&regular(2, 2), &["--job-duration", "500ms"], quick(&[])).await;
    let request = json!({
        "requestId": "tuesday",
        "payload": payload(&["icav2://lab/run/"], "icav2://archive/in/"),
    });
    let wrong = json!({ "Source": "lab.test", "DetailType": "ICAv2DataCopySync", "Detail": "no json" });
    let answer = bench.put(json!([entry(&request), wrong, entry(&json!(request.to_string()))])).await;
    assert_eq!(answer["FailedEntryCount"], 1);
    let entries = answer["Entries"].as_array().unwrap();
    assert!(entries[0]["EventId"].is_string() && entries[2]["EventId"].is_string(), "{answer}");
    assert_eq!(entries[1]["ErrorCode"], "MalformedDetail");

    // The same name with the same content: one request, for the event and for the shell.
    let arguments =
        ["--source", "lab.test", "--request-id", "tuesday", "icav2://lab/run/", "icav2://archive/in/"];
    let submitted = bench.submit(&arguments).output().await.unwrap();
    assert!(submitted.status.success(), "{submitted:?}");
    let request: Value = serde_json::from_slice(&submitted.stdout).unwrap();
    assert_eq!((&request["status"], &request["counters"]["copied"]), (&json!("SUCCEEDED"), &json!(6)));
    assert_shape("outcome", &request["output"]);
    let counted = ["request received", "request repeated", "request concluded"]
        .map(|line| bench.daemon.said(line).len());
    assert_eq!(counted, [1, 2, 1]);

    let refused = bench.submit(&["icav2://lab/nothing/", "icav2://archive/in/"]).output().await.unwrap();
    let request: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!((refused.status.code(), &request["error"]), (Some(3), &json!("SourceNotFound")));
    assert_shape("outcome", &request["cause"]);
}

#[tokio::test]
async fn a_killed_daemon_goes_on_from_its_file() {
    let world = regular(3, 4);
    let mut bench = Bench::start(&world, &["--job-duration", "3s"], quick(&[])).await;
    let waiting = bench.submit(&["icav2://lab/run/", "icav2://archive/in/"]).spawn().unwrap();
    bench.daemon.says("copy job submitted").await;
    bench.restart().await;
    let submitted = tokio::time::timeout(PATIENCE, waiting.wait_with_output()).await.unwrap().unwrap();
    assert!(submitted.status.success(), "{submitted:?}");
    assert_same(&bench.platform, "/run/", "/in/run/").await;
}

impl Bench {
    /// Runs a command with the daemon's settings; its exit code, and the JSON lines that it prints.
    async fn run(&self, arguments: &[&str], changed: &[(&str, &str)]) -> (i32, Vec<Value>) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_copy-manager"));
        let environment = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        command.args(["--json"]).args(arguments).env_clear().envs(environment).envs(changed.iter().copied());
        let done = command.current_dir(self.directory.path()).kill_on_drop(true).output().await.unwrap();
        let lines = String::from_utf8(done.stdout).unwrap();
        let told = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (done.status.code().unwrap(), told)
    }
}

#[tokio::test]
async fn a_receipt_is_kept_and_can_be_checked() {
    let settings = quick(&[("REPORT__FOLDER", "receipts")]);
    let bench = Bench::start(&regular(2, 2), &["--job-duration", "500ms"], settings).await;
    let done =
        bench.submit(&["--receipt", "icav2://lab/run/", "icav2://archive/in/"]).output().await.unwrap();
    let request: Value = serde_json::from_slice(&done.stdout).unwrap();
    let receipt = &request["output"]["receipt"];
    let (uri, sum) = (receipt["uri"].as_str().unwrap(), receipt["sha256"].as_str().unwrap());
    let (code, told) = bench.run(&["verify", uri, "--sha256", sum], &[]).await;
    assert_eq!((code, &told[0]["whole"], &told[0]["differing"]), (0, &receipt["files"], &json!(0)));
    // As if a byte had gone since, and a file.
    let place = bench.directory.path().join(uri);
    let text = std::fs::read_to_string(&place).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines[0]["size"] = json!(lines[0]["size"].as_u64().unwrap() + 1);
    lines[1]["destination"] = json!(format!("{}.gone", lines[1]["destination"].as_str().unwrap()));
    let changed: Vec<_> = lines.iter().map(Value::to_string).collect();
    std::fs::write(&place, changed.join("\n")).unwrap();
    assert_ne!(bench.run(&["verify", uri, "--sha256", sum], &[]).await.0, 0, "it is not the same receipt");
    let (code, told) = bench.run(&["verify", uri], &[]).await;
    assert_eq!((code, &told[0]["differing"]), (1, &json!(2)), "{told:?}");
}

#[tokio::test]
async fn a_doctor_says_what_is_wrong_and_what_to_do() {
    let bench = Bench::start(&regular(1, 1), &[], quick(&[])).await;
    let finding = |told: &[Value], what: &str| {
        told.iter()
            .find(|finding| finding["what"] == what)
            .unwrap_or_else(|| panic!("{what}: {told:?}"))
            .clone()
    };
    let (code, told) = bench.run(&["doctor", "--project", "archive", "--project", "nowhere"], &[]).await;
    assert_eq!(code, 1);
    for good in ["settings", "icav2", "icav2 token", "project archive", "database"] {
        assert_eq!(finding(&told, good)["health"], "ok", "{told:?}");
    }
    let bad = finding(&told, "project nowhere");
    assert!(
        bad["health"] == "bad" && bad["remedy"].as_str().unwrap().contains("add the token's user"),
        "{bad}"
    );
    let (code, told) = bench.run(&["doctor"], &[("ICAV2_BASE_URL", "http://127.0.0.1:9/ica/rest")]).await;
    let away = finding(&told, "icav2");
    assert!(code == 1 && away["remedy"].as_str().unwrap().contains("ICAV2_BASE_URL"), "{away}");
    // Job events of a project come to a queue, once.
    let queue = "https://sqs.ap-southeast-2.amazonaws.com/1/events";
    let subscribe = ["subscribe", "archive", "--queue", queue];
    let (code, first) = bench.run(&subscribe, &[]).await;
    assert_eq!((code, &first[0]["subscriptionWasThere"]), (0, &json!(false)));
    let (_, second) = bench.run(&subscribe, &[]).await;
    assert_eq!(second[0]["subscriptionId"], first[0]["subscriptionId"]);
    assert_eq!(
        (&second[0]["channelWasThere"], &second[0]["subscriptionWasThere"]),
        (&json!(true), &json!(true))
    );
}

#[tokio::test]
async fn a_daemon_writes_more_lines_for_a_while() {
    let bench = Bench::start(&regular(1, 1), &[], quick(&[])).await;
    let (code, told) = bench.run(&["log-level", "debug", "--for", "5m", "--server", &bench.url], &[]).await;
    assert_eq!((code, &told[0]["level"]), (0, &json!("debug")));
    bench.daemon.says("log level changed").await;
    let request = json!({ "payload": payload(&["icav2://lab/run/"], "icav2://archive/in/") });
    let answer = bench.put(json!([entry(&request)])).await;
    bench.ended(answer["Entries"][0]["EventId"].as_str().unwrap()).await;
    assert!(bench.daemon.said("icav2 call done").iter().any(|line| line["level"] == "DEBUG"));
    let (code, _) = bench.run(&["log-level", "loud", "--server", &bench.url], &[]).await;
    assert_eq!(code, 3, "there is no such level");
}
