//! The simulated Data Access Platform: logins, jobs, objects, limits, and everything that can be made to go wrong.

use std::{io::Read as _, sync::Arc, time::Duration};

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use copy_manager::simulator::{
    dap::{Controls, DapSettings, DapSimulator, chance, demo, world::DapWorld},
    in_process::call,
};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

const TABLES: &str = "/dap/query/canvas/table";
const DATA: &str = "/dap/query/canvas/table/courses/data";

struct Lab {
    simulator: Arc<DapSimulator>,
    token: String,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// None where the connection was closed before its end.
    body: Option<Bytes>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(self.body.as_ref().unwrap()).unwrap()
    }

    fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["error"]["type"].as_str().unwrap().to_owned())
    }
}

async fn lab(wishes: Value) -> Lab {
    let settings = DapSettings::default();
    let world = demo::world(settings.epoch);
    let simulator = DapSimulator::new(settings, world).unwrap();
    let mut lab = Lab { simulator, token: String::new() };
    lab.login().await;
    lab.control(wishes);
    lab
}

impl Lab {
    fn control(&self, wishes: Value) {
        self.simulator.control(wishes).unwrap();
    }

    fn rule(&self, rule: Value) {
        self.control(Value::from_iter([("rules", Value::from(vec![rule]))]));
    }

    async fn raw(&self, request: Request<Body>) -> http::Response<Body> {
        call(self.simulator.router(), request).await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.raw(request).await.into_parts();
        let body = body.collect().await.ok().map(http_body_util::Collected::to_bytes);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn login(&mut self) {
        let Controls { client_id, client_secret, .. } = Controls::default();
        let answer = self.send(asking(&client_id, &client_secret)).await;
        answer.json()["access_token"].as_str().unwrap().clone_into(&mut self.token);
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Request<Body> {
        let request = Request::builder().method(method).uri(path);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        request.header("authorization", format!("Bearer {}", self.token)).body(Body::from(body)).unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path, &Value::Null)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("POST", path, &body)).await
    }

    async fn snapshot(&self) -> Answer {
        self.post(DATA, json!({"format": "tsv", "mode": "condensed"})).await
    }

    /// The address of the first object of a job, without its host.
    async fn url(&self, job: &Value) -> String {
        let object = &job["objects"][0];
        let urls = self.post("/dap/object/url", json!([object])).await.json();
        let url = urls["urls"][object["id"].as_str().unwrap()]["url"].as_str().unwrap();
        url.strip_prefix(&DapSettings::default().public_url).unwrap().to_owned()
    }

    async fn fetch(&self, url: &str) -> Answer {
        self.send(Request::get(url).body(Body::empty()).unwrap()).await
    }

    async fn object(&self) -> Answer {
        let url = self.url(&self.snapshot().await.json()).await;
        self.fetch(&url).await
    }
}

fn asking(id: &str, secret: &str) -> Request<Body> {
    Request::post("/ids/auth/login")
        .header("authorization", format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("grant_type=client_credentials"))
        .unwrap()
}

fn unpacked(bytes: &[u8]) -> std::io::Result<String> {
    let mut text = String::new();
    MultiGzDecoder::new(bytes).read_to_string(&mut text)?;
    Ok(text)
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_with_its_time_and_a_wrong_secret_gets_none() {
    let mut lab = lab(json!({"token_seconds": 600})).await;
    let wrong = lab.send(asking("us-east-1#simulator", "guess")).await;
    assert_eq!(wrong.error(), (401, "AuthenticationError".to_owned()));
    lab.login().await;
    sleep(Duration::from_secs(599)).await;
    assert_eq!(lab.get(TABLES).await.status, 200);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(lab.get(TABLES).await.error(), (401, "AuthenticationError".to_owned()));
    lab.login().await;
    assert_eq!(lab.get(TABLES).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_job_waits_runs_ends_and_is_forgotten() {
    let lab = lab(json!({"job_seconds": 20, "job_lifetime": 100})).await;
    let job = lab.snapshot().await.json();
    let path = format!("/dap/job/{}", job["id"].as_str().unwrap());
    let mut seen = vec![job["status"].clone()];
    for seconds in [9, 2, 11] {
        sleep(Duration::from_secs(seconds)).await;
        seen.push(lab.get(&path).await.json()["status"].clone());
    }
    assert_eq!(seen, ["waiting", "waiting", "running", "complete"]);
    let complete = lab.get(&path).await.json();
    let url = lab.url(&complete).await;
    assert_eq!(complete["expires_at"], "2026-01-01T00:02:00Z");
    assert_eq!(lab.snapshot().await.json()["id"], job["id"], "equal queries share a job");
    assert_eq!(lab.fetch(&url).await.status, 200);
    sleep(Duration::from_secs(99)).await;
    assert_eq!(lab.get(&path).await.error(), (404, "NotFoundError".to_owned()));
    assert_eq!(lab.fetch(&url).await.status, 403);
    assert_ne!(lab.snapshot().await.json()["id"], job["id"]);
}

#[tokio::test(start_paused = true)]
async fn the_url_of_an_object_ends_with_its_time_and_is_good_for_that_object_only() {
    let lab = lab(json!({})).await;
    let url = lab.url(&lab.snapshot().await.json()).await;
    let text = unpacked(&lab.fetch(&url).await.body.unwrap()).unwrap();
    assert!(text.starts_with("meta.ts\tkey.id\tvalue.name\t"), "{text}");
    assert_eq!(lab.get(&url).await.status, 400, "with a bearer");
    let (path, query) = url.split_once('?').unwrap();
    assert_eq!(lab.fetch(&format!("{path}?{}", query.replace("Expires=1", "Expires=2"))).await.status, 403);
    sleep(Duration::from_secs(901)).await;
    assert_eq!(lab.fetch(&url).await.status, 403);
}

#[tokio::test(start_paused = true)]
async fn the_published_limits_hold_and_say_when_there_is_a_place() {
    let lab = lab(json!({"limits": "published"})).await;
    for _ in 0..5 {
        assert_eq!(lab.snapshot().await.status, 200);
        sleep(Duration::from_secs(2)).await;
    }
    let refused = lab.snapshot().await;
    assert_eq!(refused.error(), (429, "TooManyRequests".to_owned()));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!(lab.get("/dap/query/canvas/table/courses/schema").await.status, 200, "another endpoint");
    sleep(Duration::from_secs(wait)).await;
    assert_eq!(lab.snapshot().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn increments_from_before_what_is_kept_are_refused() {
    let lab = lab(json!({"oldest": "2025-12-31T20:00:00Z"})).await;
    let since = |since: &str| json!({"format": "tsv", "mode": "condensed", "since": since});
    let refused = lab.post(DATA, since("2025-12-31T15:00:00Z")).await;
    assert_eq!(refused.error(), (400, "SnapshotRequiredError".to_owned()));
    assert_eq!(refused.json()["error"]["since"], "2025-12-31T20:00:00Z");
    lab.control(json!({"oldest_error": "OutOfRangeError"}));
    assert_eq!(lab.post(DATA, since("2025-12-31T15:00:00Z")).await.error().1, "OutOfRangeError");
    assert_eq!(lab.post(DATA, since("2025-12-31T20:00:00Z")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_or_not_understood_is_named() {
    let lab = lab(json!({})).await;
    let unknown = lab.get("/dap/query/canvas/table/nope/schema").await;
    assert_eq!(unknown.error(), (404, "NotFoundError".to_owned()));
    assert_eq!(unknown.json()["error"]["kind"], "table");
    assert_eq!(lab.get("/dap/query/nope/table").await.json()["error"]["kind"], "namespace");
    assert_eq!(lab.get("/dap/job/nope").await.json()["error"]["kind"], "job");
    for body in [json!({"format": "parquet"}), json!({"format": "tsv", "since": "soon"}), json!([1])] {
        assert_eq!(lab.post(DATA, body.clone()).await.error(), (400, "ValidationError".to_owned()), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_answers_in_its_own_words_so_many_times() {
    let lab = lab(json!({})).await;
    let error = json!({"type": "AccountUnderMaintenance", "message": "later"});
    lab.rule(json!({"match": "POST *", "times": 2, "status": 403, "error": error, "headers": {"Retry-After": "7"}}));
    for _ in 0..2 {
        let answer = lab.snapshot().await;
        assert_eq!(answer.error(), (403, "AccountUnderMaintenance".to_owned()));
        assert_eq!(answer.headers["retry-after"], "7");
    }
    assert_eq!(lab.snapshot().await.status, 200);
    lab.rule(json!({"match": "GET */table", "status": 502, "text": "<html>", "delay": 3}));
    let before = Instant::now();
    let answer = lab.get(TABLES).await;
    assert_eq!((answer.status.as_u16(), answer.body.unwrap()), (502, Bytes::from_static(b"<html>")));
    assert_eq!(before.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_connection_closes_before_or_after_the_effect() {
    let lab = lab(json!({"limits": {"create_job": 1}})).await;
    lab.rule(json!({"match": "*", "close": true}));
    assert_eq!(lab.snapshot().await.body, None);
    lab.rule(json!({"match": "*", "lost": true}));
    assert_eq!(lab.snapshot().await.body, None);
    assert_eq!(lab.snapshot().await.status, 429, "the lost call had its effect, and no other");
    let told: Vec<_> = lab.simulator.log(false).iter().map(|call| call.status).collect();
    assert_eq!(told, [Some(200), Some(0), Some(0), Some(429)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_never_come() {
    let lab = lab(json!({})).await;
    lab.rule(json!({"match": "*", "hang": true}));
    assert!(timeout(Duration::from_mins(30), lab.get(TABLES)).await.is_err());
    assert_eq!(lab.get(TABLES).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn tokens_can_be_taken_back_in_between() {
    let mut lab = lab(json!({})).await;
    lab.rule(json!({"match": "POST *", "revoke": true}));
    assert_eq!(lab.snapshot().await.error(), (401, "AuthenticationError".to_owned()));
    assert_eq!(lab.snapshot().await.status, 401, "until the next login");
    lab.login().await;
    assert_eq!(lab.snapshot().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn jobs_fail_at_once_or_later_with_or_without_a_reason() {
    let lab = lab(json!({"job_seconds": 10})).await;
    lab.rule(json!({"match": "POST */data", "fail_job": ""}));
    let job = lab.snapshot().await.json();
    assert_eq!((&job["status"], &job["error"]["type"]), (&json!("failed"), &json!("ProcessingError")));
    assert_eq!(job["error"]["message"], "");
    assert_eq!(lab.snapshot().await.json()["id"], job["id"], "the next to ask gets the same");
    lab.control(json!({"keep_failed": false}));
    let job = lab.snapshot().await.json();
    assert_eq!(job["status"], "waiting");
    lab.rule(json!({"match": "GET /dap/job/*", "after": 1, "fail_job": "why"}));
    let path = format!("/dap/job/{}", job["id"].as_str().unwrap());
    assert_eq!(lab.get(&path).await.json()["status"], "waiting");
    assert_eq!(lab.get(&path).await.json()["error"]["message"], "why");
}

#[tokio::test(start_paused = true)]
async fn jobs_are_gone() {
    let lab = lab(json!({})).await;
    let job = lab.snapshot().await.json();
    let url = lab.url(&job).await;
    lab.rule(json!({"match": "GET /dap/job/*", "lose_job": true}));
    let path = format!("/dap/job/{}", job["id"].as_str().unwrap());
    assert_eq!(lab.get(&path).await.error(), (404, "NotFoundError".to_owned()));
    assert_eq!(lab.fetch(&url).await.status, 403);
    let object = json!([job["objects"][0]]);
    assert_eq!(lab.post("/dap/object/url", object).await.error(), (404, "NotFoundError".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn objects_are_cut_with_a_right_or_a_wrong_length() {
    let lab = lab(json!({})).await;
    let whole = lab.object().await.body.unwrap();
    lab.rule(json!({"match": "GET /objects/*", "cut": 50}));
    let cut = lab.object().await;
    assert_eq!(
        (cut.headers["content-length"].to_str().unwrap(), cut.body.as_ref().unwrap().len()),
        ("50", 50)
    );
    assert!(unpacked(&cut.body.unwrap()).is_err());
    lab.rule(json!({"match": "GET /objects/*", "short": 50}));
    let short = lab.object().await;
    assert_eq!(short.headers["content-length"].to_str().unwrap(), whole.len().to_string());
    assert_eq!(short.body.unwrap(), whole.slice(..50));
}

#[tokio::test(start_paused = true)]
async fn a_checksum_is_wrong_where_all_bytes_are_there() {
    let lab = lab(json!({})).await;
    let whole = lab.object().await.body.unwrap();
    lab.rule(json!({"match": "GET /objects/*", "wrong_crc": true}));
    let wrong = lab.object().await.body.unwrap();
    assert_eq!(wrong.len(), whole.len());
    assert_eq!(wrong.slice(..wrong.len() - 8), whole.slice(..whole.len() - 8));
    assert!(unpacked(&wrong).is_err());
}

#[tokio::test(start_paused = true)]
async fn objects_come_slowly_or_stop_on_their_way() {
    let lab = lab(json!({})).await;
    let whole = lab.object().await.body.unwrap();
    lab.rule(json!({"match": "GET /objects/*", "bytes_per_second": 100}));
    let before = Instant::now();
    assert_eq!(lab.object().await.body.unwrap(), whole);
    assert_eq!(before.elapsed().as_millis(), 100 * (whole.len() as u128).div_ceil(10));
    lab.rule(json!({"match": "GET /objects/*", "stall": 50}));
    let url = lab.url(&lab.snapshot().await.json()).await;
    let stalled = lab.raw(Request::get(url).body(Body::empty()).unwrap()).await;
    let mut body = stalled.into_body().into_data_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), whole.slice(..50));
    assert!(timeout(Duration::from_hours(9), body.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn files_may_have_several_members() {
    let lab = lab(json!({})).await;
    let whole = lab.object().await.body.unwrap();
    lab.control(json!({"gzip_members": 3, "deduplicate": false}));
    let three = lab.object().await.body.unwrap();
    assert_ne!(three, whole);
    assert_eq!(unpacked(&three).unwrap(), unpacked(&whole).unwrap());
}

#[tokio::test(start_paused = true)]
async fn commits_happen_when_they_are_told_to_or_when_their_time_comes() {
    let lab = lab(json!({"commit": {"canvas.courses": 2}})).await;
    let schema = lab.get("/dap/query/canvas/table/courses/schema").await.json();
    assert_eq!(schema["version"], 2);
    assert_eq!(schema["schema"]["properties"]["value"]["properties"]["name"]["maxLength"], 500);
    assert_eq!(lab.get("/dap/query/canvas/table/users/schema").await.json()["version"], 1);
    let plan = chance::Plan::default();
    let simulator = DapSimulator::new(DapSettings::default(), chance::world(1, &plan)).unwrap();
    simulator.control(json!({"commit": "clock"})).unwrap();
    let versions = || simulator.truth("canvas", "t0").unwrap().rows.len();
    let mut seen = vec![versions()];
    for _ in 0..plan.commits {
        sleep(Duration::from_hours(4)).await;
        seen.push(versions());
    }
    seen.dedup();
    assert!(seen.len() > 1, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_answers_and_reset_begins_anew() {
    let (one, other) = (lab(json!({})).await, lab(json!({})).await);
    let first = one.snapshot().await.json();
    assert_eq!(first, other.snapshot().await.json());
    one.control(json!({"reset": true, "job_seconds": 5}));
    assert_eq!(one.get(TABLES).await.status, 401, "tokens are forgotten");
    assert_eq!(one.simulator.log(true).len(), 1);
    assert!(one.simulator.log(false).is_empty());
}

#[tokio::test(start_paused = true)]
async fn controls_and_log_are_served_too() {
    let lab = lab(json!({})).await;
    let changed = lab.post("/_control", json!({"job_seconds": 5})).await.json();
    assert_eq!((&changed["job_seconds"], &changed["deduplicate"]), (&json!(5.0), &json!(true)));
    let wrong = lab.post("/_control", json!({"job_secs": 5})).await;
    assert_eq!(wrong.json()["error"]["message"], "unknown settings: ['job_secs']");
    lab.get(TABLES).await;
    let log = lab.get("/_log?clear").await.json();
    let calls: Vec<_> = log.as_array().unwrap().iter().map(|call| call["endpoint"].clone()).collect();
    assert_eq!(calls, ["login", "list_tables"]);
    assert_eq!(
        (&log[0]["body"], &log[1]["status"], &log[1]["path"]),
        (&json!(""), &json!(200), &json!(TABLES))
    );
    assert_eq!(lab.get("/_log").await.json(), json!([]));
}

#[test]
fn the_school_is_whole() {
    let world = demo::world(DapSettings::default().epoch);
    let again = DapWorld::parse(&serde_json::to_string(&world).unwrap()).unwrap();
    assert_eq!(world, again);
    let simulator = DapSimulator::new(DapSettings::default(), world).unwrap();
    let size = |table: &str| simulator.truth("canvas", table).unwrap().rows.len();
    assert_eq!(["users", "courses", "enrollments", "submissions"].map(size), [250, 24, 504, 600]);
    let ids = |table: &str| -> Vec<Value> {
        let rows = simulator.truth("canvas", table).unwrap().rows;
        rows.iter().map(|(key, _)| key["id"].clone()).collect()
    };
    let (users, courses) = (ids("users"), ids("courses"));
    for (_, row) in simulator.truth("canvas", "enrollments").unwrap().rows {
        assert!(users.contains(&row["user_id"]) && courses.contains(&row["course_id"]), "{row:?}");
    }
    simulator.control(json!({"commit": 2})).unwrap();
    assert_eq!(["users", "courses", "enrollments", "submissions"].map(size), [246, 23, 500, 630]);
}
