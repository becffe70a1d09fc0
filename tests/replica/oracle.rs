//! The simulated Data Access Platform held to an independent one: the same tables, the same requests, the same
//! answers and files.
//!
//! The other one lies in `$DAP_ORACLE` (default: `../shared/dap-oracle`), and needs a Python that has `aiohttp`:
//! `$DAP_ORACLE_PYTHON`, else that of its own `venv`, else `python3`. Where they are not, the tests say so, and pass.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "test helpers")]

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use copy_manager::simulator::{
    dap::{Controls, DapSettings, DapSimulator, world::DapWorld},
    serve_dap,
};
use flate2::read::MultiGzDecoder;
use pretty_assertions::assert_eq;
use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/replica/oracle_world.py");
const DATASETS: [&str; 3] = ["kitchen.py", "every_type.py", "shapes.py"];
const CLIENT: (&str, &str) = ("us-east-1#oracle", "oracle-secret");

/// Where the oracle lies, and the Python that runs it; `None`, said loudly, where one is missing.
fn oracle() -> Option<(PathBuf, PathBuf)> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/dap-oracle"));
    let folder = std::env::var_os("DAP_ORACLE").map_or_else(beside, PathBuf::from);
    let own = folder.join("venv/bin/python");
    let given = std::env::var_os("DAP_ORACLE_PYTHON").map(PathBuf::from);
    let has = |python: &PathBuf| {
        let tried = Command::new(python).args(["-c", "import aiohttp"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let python = given.into_iter().chain([own, PathBuf::from("python3")]).find(has);
    if !folder.join("dap_oracle.py").exists() {
        eprintln!("\n!!! SKIPPED: there is no oracle in {} (see DAP_ORACLE) !!!\n", folder.display());
        return None;
    }
    if python.is_none() {
        eprintln!("\n!!! SKIPPED: no Python has aiohttp for the oracle (see DAP_ORACLE_PYTHON) !!!\n");
    }
    Some((folder, python?))
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// One of the two.
struct Side {
    base: String,
    http: reqwest::Client,
    token: String,
}

/// What was answered.
#[derive(Debug, Clone)]
struct Answer {
    /// None: the connection was closed.
    status: Option<u16>,
    retry_after: Option<String>,
    kind: Option<String>,
    length: Option<u64>,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Side {
    async fn call(&self, method: Method, path: &str, body: Option<&Value>, bearer: bool) -> Answer {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request = self.http.request(method, url);
        if bearer {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let nothing =
            Answer { status: None, retry_after: None, kind: None, length: None, body: Bytes::new() };
        let Ok(answer) = request.send().await else { return nothing };
        let header = |name| Some(answer.headers().get(name)?.to_str().unwrap().to_owned());
        let kind = header("content-type").map(|kind| kind.split(';').next().unwrap().to_owned());
        Answer {
            status: Some(answer.status().as_u16()),
            retry_after: header("retry-after"),
            kind,
            length: answer.content_length(),
            body: answer.bytes().await.unwrap_or_default(),
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body), true).await
    }

    async fn login(&mut self) -> Value {
        let request =
            self.http.post(format!("{}/ids/auth/login", self.base)).basic_auth(CLIENT.0, Some(CLIENT.1));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body("grant_type=client_credentials").send().await.unwrap();
        let mut answer: Value = answer.json().await.unwrap();
        answer["access_token"].take().as_str().unwrap().clone_into(&mut self.token);
        answer
    }

    /// The URLs of the objects of a job.
    async fn urls(&self, job: &Value) -> Vec<String> {
        let Some(objects) = job["objects"].as_array().filter(|objects| !objects.is_empty()) else {
            return Vec::new();
        };
        let urls = self.post("/dap/object/url", &json!(objects)).await.json();
        let url =
            |object: &Value| urls["urls"][object["id"].as_str().unwrap()]["url"].as_str().unwrap().to_owned();
        objects.iter().map(url).collect()
    }

    /// What is in the files of a job.
    async fn files(&self, job: &Value) -> Vec<String> {
        let mut files = Vec::new();
        for url in self.urls(job).await {
            let packed = self.call(Method::GET, &url, None, false).await.body;
            let mut bytes = Vec::new();
            MultiGzDecoder::new(packed.as_ref()).read_to_end(&mut bytes).unwrap();
            files.push(bytes.escape_ascii().to_string());
        }
        files
    }
}

/// The oracle, ours, and what keeps them running.
struct Both {
    oracle: Side,
    ours: Side,
    uuid: Regex,
    _process: Running,
    _served: JoinSet<()>,
}

impl Both {
    async fn start() -> Option<Self> {
        let (folder, python) = oracle()?;
        let (process, oracle) = start_oracle(&folder, &python);
        let made = Command::new(&python).arg(SCRIPT).arg(&folder).args(DATASETS).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let world = DapWorld::parse(&String::from_utf8(made.stdout).unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = format!("http://{}", listener.local_addr().unwrap());
        let (client_id, client_secret) = (CLIENT.0.to_owned(), CLIENT.1.to_owned());
        let controls = Controls { client_id, client_secret, ..Controls::default() };
        let settings = DapSettings { public_url: ours.clone(), controls, ..DapSettings::default() };
        let simulator = DapSimulator::new(settings, world).unwrap();
        let mut served = JoinSet::new();
        served.spawn(serve_dap(listener, simulator, CancellationToken::new()));
        let side = |base| Side { base, http: reqwest::Client::new(), token: String::new() };
        let uuid = Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap();
        let mut both =
            Self { oracle: side(oracle), ours: side(ours), uuid, _process: process, _served: served };
        both.login().await;
        Some(both)
    }

    async fn login(&mut self) {
        assert_eq!(self.ours.login().await, self.oracle.login().await);
    }

    async fn control(&self, wishes: Value) {
        for side in [&self.oracle, &self.ours] {
            assert_eq!(side.post("/_control", &wishes).await.status, Some(200), "{wishes}");
        }
    }

    async fn rule(&self, rule: Value) {
        self.control(Value::from_iter([("rules", Value::from(vec![rule]))])).await;
    }

    /// What can be compared of an answer: ids by their first place, no times of this hour.
    fn shown(&self, answer: &Answer) -> (Option<u16>, Option<String>, Option<String>, String) {
        let text = match serde_json::from_slice::<Value>(&answer.body) {
            Ok(mut json) => {
                if let Some(expires) = json.get_mut("expires_at") {
                    *expires = Value::Null;
                }
                json.to_string()
            }
            Err(_) => String::from_utf8_lossy(&answer.body).into_owned(),
        };
        let mut ids = HashMap::new();
        let text = self.uuid.replace_all(&text, |found: &regex::Captures<'_>| {
            let next = ids.len();
            format!("ID{}", ids.entry(found[0].to_owned()).or_insert(next))
        });
        (answer.status, answer.retry_after.clone(), answer.kind.clone(), text.into_owned())
    }

    /// Asks both the same, and holds one answer to the other. Both come back, the oracle's first.
    async fn same(&self, method: Method, path: &str, body: Option<&Value>) -> [Answer; 2] {
        self.same_by([path, path], &method, body, true).await
    }

    async fn same_by(
        &self,
        paths: [&str; 2],
        method: &Method,
        body: Option<&Value>,
        bearer: bool,
    ) -> [Answer; 2] {
        let oracle = self.oracle.call(method.clone(), paths[0], body, bearer).await;
        let ours = self.ours.call(method.clone(), paths[1], body, bearer).await;
        let what = format!("{method} {} {body:?}", paths[1]);
        assert_eq!(self.shown(&ours), self.shown(&oracle), "{what}");
        [oracle, ours]
    }

    async fn get(&self, path: &str) -> [Answer; 2] {
        self.same(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> [Answer; 2] {
        self.same(Method::POST, path, Some(body)).await
    }
}

fn start_oracle(folder: &Path, python: &Path) -> (Running, String) {
    let datasets = DATASETS.map(|name| folder.join("datasets").join(name));
    let mut command = Command::new(python);
    command.arg(folder.join("dap_oracle.py")).arg("--data").args(datasets).stdout(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    (child, said["url"].as_str().unwrap().to_owned())
}

/// A table's part of a path.
fn base(namespace: &str, table: &str) -> String {
    format!("/dap/query/{namespace}/table/{}", table.replace(' ', "%20"))
}

#[tokio::test]
async fn every_schema_job_and_file_is_as_the_oracle_gives_it() {
    let Some(both) = Both::start().await else { return };
    let [listed, _] = both.get("/dap/query/canvas/table").await;
    let tables = listed.json()["tables"].as_array().unwrap().clone();
    let mut tables: Vec<_> = tables.iter().map(|table| ("canvas", table.as_str().unwrap())).collect();
    tables.push(("canvas_logs", "web_logs"));
    let queries = [
        json!({"mode": "condensed"}),
        json!({"mode": "condensed", "since": "2024-03-05T00:00:00Z"}),
        json!({"mode": "condensed", "since": "2024-03-05T00:00:00Z", "until": "2024-03-06T00:00:00Z"}),
        json!({"mode": "condensed", "since": "2024-03-06T00:00:00Z", "until": "2024-03-08T00:00:00.25Z"}),
        json!({"mode": "expanded"}),
        json!({"since": "2024-03-07T12:30:00.5Z"}),
    ];
    let (mut asked, mut files) = (0, 0);
    for commit in [0, 1, 4, 9] {
        both.control(json!({"commit": commit})).await;
        for (namespace, table) in &tables {
            let base = base(namespace, table);
            both.get(&format!("{base}/schema")).await;
            for format in ["tsv", "csv", "jsonl"] {
                if (*table, format) == ("not_utf8", "jsonl") {
                    // The oracle cannot write these bytes as JSON.
                    continue;
                }
                for query in &queries {
                    let mut query = query.clone();
                    query["format"] = json!(format);
                    let [oracle, ours] = both.post(&format!("{base}/data"), &query).await;
                    let written = both.oracle.files(&oracle.json()).await;
                    assert_eq!(both.ours.files(&ours.json()).await, written, "{table} {commit} {query}");
                    asked += 1;
                    files += written.len();
                }
            }
        }
    }
    assert!(asked > 1000 && files > 1000, "{asked} queries, {files} files");
}

#[tokio::test]
async fn refusals_and_faults_are_those_of_the_oracle() {
    let Some(mut both) = Both::start().await else { return };
    let list = "/dap/query/canvas/table";
    let data = "/dap/query/canvas/table/kitchen/data";
    let tsv = json!({"format": "tsv", "mode": "condensed"});
    both.control(json!({"commit": 1})).await;
    for path in
        ["/dap/query/nope/table", "/dap/query/canvas/table/nope/schema", "/dap/job/nope", "/dap/nope", data]
    {
        both.get(path).await;
    }
    both.same_by([list, list], &Method::GET, None, false).await;
    both.post(data, &json!({"format": "parquet"})).await;
    both.post(data, &json!({})).await;
    both.post("/dap/object/url", &json!([{"id": "a/b"}])).await;
    both.post("/dap/object/url", &json!([])).await;

    for error in ["SnapshotRequiredError", "OutOfRangeError"] {
        both.control(json!({"oldest": "2024-03-06T00:00:00Z", "oldest_error": error})).await;
        for since in ["2024-03-05T23:59:59Z", "2024-03-06T00:00:00Z"] {
            both.post(data, &json!({"format": "tsv", "mode": "condensed", "since": since})).await;
        }
    }
    both.control(json!({"oldest": null, "job_seconds": 1.5, "job_lifetime": 2})).await;
    let [oracle, ours] = both.post(data, &json!({"format": "csv"})).await;
    let path = |answer: &Answer| format!("/dap/job/{}", answer.json()["id"].as_str().unwrap());
    let (oracle, ours) = (path(&oracle), path(&ours));
    for pause in [300, 800, 900, 2000] {
        sleep(Duration::from_millis(pause)).await;
        both.same_by([&oracle, &ours], &Method::GET, None, true).await;
    }
    both.control(json!({"job_seconds": 0, "job_lifetime": 86400, "url_seconds": 1})).await;
    let [oracle, ours] = both.post(data, &tsv).await;
    let (oracle, ours) = (both.oracle.urls(&oracle.json()).await, both.ours.urls(&ours.json()).await);
    let urls = [oracle[0].as_str(), ours[0].as_str()];
    both.same_by(urls, &Method::GET, None, true).await;
    both.rule(json!({"match": "GET /objects/*", "cut": 20})).await;
    for (side, url) in [(&both.oracle, urls[0]), (&both.ours, urls[1])] {
        let cut = side.call(Method::GET, url, None, false).await;
        assert_eq!((cut.length, cut.body.len()), (Some(20), 20));
    }
    sleep(Duration::from_millis(1100)).await;
    both.same_by(urls, &Method::GET, None, false).await;

    both.rule(json!({"match": format!("GET {list}"), "times": 2, "after": 1, "status": 429,
        "headers": {"Retry-After": "1"}, "text": "slow"}))
        .await;
    for _ in 0..4 {
        both.get(list).await;
    }
    both.rule(json!({"match": "POST *", "status": 403, "error": {"type": "AccountUnderMaintenance", "message": "later"}}))
        .await;
    for _ in 0..2 {
        both.post(data, &tsv).await;
    }
    both.rule(json!({"match": "GET *", "close": true})).await;
    let [_, ours] = both.get(list).await;
    // A connection that is closed is tried again by the client where it was used before, and answers then.
    assert!(ours.status.is_none_or(|status| status == 200));
    both.rule(json!({"match": "POST */Mixed Case/data", "fail_job": ""})).await;
    for _ in 0..2 {
        both.post("/dap/query/canvas/table/Mixed%20Case/data", &tsv).await;
    }
    both.control(json!({"limits": "published", "minute_seconds": 30})).await;
    for _ in 0..7 {
        both.post(data, &tsv).await;
    }
    both.control(json!({"limits": null, "token_seconds": 1})).await;
    both.login().await;
    sleep(Duration::from_millis(1200)).await;
    both.get(list).await;
    let wrong = json!({"b": 1, "a": 2});
    both.post("/_control", &wrong).await;
}
