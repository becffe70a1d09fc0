//! What is logged, at the finest level and while everything fails: never a task token, a bearer token,
//! a presigned URL or the credentials of a bucket. The lines are looked at as they are written, before the
//! net of the telemetry: the types must hold by themselves.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use copy_manager::telemetry::redact::redact;
use serde_json::{Value, json};
use tokio::time::sleep;
use tracing_subscriber::fmt::MakeWriter;

use crate::house::{BEARER, House, TO};

/// The beginning of every task token here.
const TOKEN: &str = "AQCEAAAAKgAAAAMAAAAA-5ecret";
const FILES: [(&str, u64, u32); 4] =
    [("/run/a.bam", 100, 2), ("/run/b.bam", 200, 2), ("/run/c.txt", 300, 1), ("/run/sub/d.bam", 400, 2)];
const GET: &str = "GET /sim/bytes/{token}";
const PUT: &str = "PUT /sim/bytes/{token}";

/// Everything that was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Takes down what this thread says, as JSON, from the finest level of ours on.
fn listen() -> (Lines, tracing::subscriber::DefaultGuard) {
    let lines = Lines::default();
    let filter = tracing_subscriber::EnvFilter::new("info,copy_manager=trace");
    let subscriber =
        tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(lines.clone()).finish();
    (lines, tracing::subscriber::set_default(subscriber))
}

/// Nothing secret is in the text, nor anything that the net would have to catch.
fn is_clean(text: &str, what: &str) {
    for secret in [TOKEN, BEARER, "/sim/bytes/", "X-Amz-Signature", "X-Amz-Security-Token", "Bearer "] {
        if let Some((before, after)) = text.split_once(secret) {
            let line = before.rsplit('\n').next().unwrap_or_default();
            let rest = after.split('\n').next().unwrap_or_default();
            panic!("{what}: `{secret}` is in the log: {line}{secret}{rest}");
        }
    }
    for line in text.lines() {
        assert_eq!(redact(line), line, "{what}: the net had to catch something");
    }
}

fn always(call: &str, status: &Value) -> Value {
    json!({"responses": [{"call": call, "times": 10_000, "status": status, "after": false}]})
}

/// What is unreadable for ever is never given up: the request goes on when it can be read again.
fn for_a_while(call: &str, status: u16) -> Value {
    json!({"responses": [{"call": call, "times": 30, "status": status, "after": false}]})
}

/// Runs one copy under a fault until it is answered.
async fn copy_under(what: &str, faults: Value, expected: &str) {
    let (lines, _guard) = listen();
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    house.faults(faults);
    let _instance = house.instance();
    let token = format!("{TOKEN}-{what}");
    house.ask(&["/run/"], "/in/", &token).await;
    house.answer(&token, Duration::from_hours(24)).await;
    let said = lines.text();
    assert!(said.contains(expected), "{what}: nothing was logged of `{expected}`\n{said}");
    is_clean(&said, what);
}

#[tokio::test(start_paused = true)]
async fn failing_calls_tell_no_secret() {
    let batch = "POST /api/projects/{projectId}/dataCopyBatch";
    let look = "GET /api/projects/{projectId}/data";
    for (what, faults, expected) in [
        ("upload-500", always(PUT, &json!(500)), "PUT: 500"),
        ("upload-403", always(PUT, &json!(403)), "403"),
        ("upload-cut", always(PUT, &json!("close")), "stream failed"),
        ("download-403", always(GET, &json!(403)), "403"),
        ("download-404", always(GET, &json!(404)), "404"),
        ("download-cut", always(GET, &json!("close")), "stream failed"),
        ("submit-400", always(batch, &json!(400)), "dataCopyBatch"),
        ("look-401", for_a_while(look, 401), "401"),
        ("look-403", for_a_while(look, 403), "403"),
        ("look-500", for_a_while(look, 500), "500"),
    ] {
        copy_under(what, faults, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn failing_jobs_and_a_failing_table_tell_no_secret() {
    let (lines, _guard) = listen();
    let house = House::new(&FILES, &[], &[], |platform| platform.job_failure_rate = 1.0).await;
    let _instance = house.instance();
    let tokens = ["jobs", "again", "table"].map(|name| format!("{TOKEN}-{name}"));
    house.ask_as(&["/run/"], "/in/", &tokens[0], Some("mine")).await;
    sleep(Duration::from_secs(1)).await;
    // Another payload under the same id, and a store that breaks off.
    house.ask_as(&["/run/a.bam"], "/in/", &tokens[1], Some("mine")).await;
    house.answer(&tokens[1], Duration::from_mins(5)).await;
    house.breaks_in.store(0, Ordering::Relaxed);
    house.ask(&["/run/sub/"], "/in/", &tokens[2]).await;
    for token in &tokens {
        house.answer(token, Duration::from_hours(3)).await;
    }
    let said = lines.text();
    assert!(said.contains("broke off") && said.contains("CopyJobFailed"), "{said}");
    is_clean(&said, "jobs and table");
}

#[tokio::test(start_paused = true)]
async fn messages_that_cannot_be_taken_tell_no_secret() {
    let (lines, _guard) = listen();
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    let _instance = house.instance();
    let token = |name: &str| format!("{TOKEN}-{name}");
    let good = json!({"sourceUriList": ["icav2://lab/run/"], "destinationUri": format!("icav2://{TO}/in/")});
    let mut inside = good.clone();
    inside["taskToken"] = token("inside").into();
    let deep = format!(r#"{{"taskToken":"{}","a":{}}}"#, token("deep"), "[".repeat(300) + &"]".repeat(300));
    for body in [
        json!({"payload": 7, "taskToken": token("type")}).to_string(),
        json!({"payload": inside}).to_string(),
        json!({"payload": inside, "taskToken": token("twice")}).to_string(),
        json!({"payload": good, "taskToken": token("x").repeat(200)}).to_string(),
        json!({"payload": good, "taskToken": [token("list")]}).to_string(),
        json!({"payloadB64Gz": token("packed"), "taskToken": token("packed")}).to_string(),
        json!({"payloadS3Uri": "s3://requests/nothing.json", "taskToken": token("gone")}).to_string(),
        json!({"payloadS3Uri": "s3://nowhere/nothing.json", "taskToken": token("nowhere")}).to_string(),
        json!({"payload": good, "taskToken": token("cut")}).to_string().replace('}', ""),
        json!({"detail-type": "New", "source": "lab", "detail": {"taskToken": token("new")}}).to_string(),
        deep,
    ] {
        house.queue.push(body).await.unwrap();
    }
    for name in ["type", "inside", "packed", "gone", "nowhere", "deep"] {
        let (error, _) = house.failure(&token(name), Duration::from_mins(30)).await;
        assert_eq!(error, "InvalidRequest", "{name}");
    }
    house.answer(&token("twice"), Duration::from_mins(30)).await;
    sleep(Duration::from_mins(30)).await;
    let said = lines.text();
    assert!(said.matches("message malformed").count() >= 8 && said.contains("kind unknown"), "{said}");
    is_clean(&said, "messages");
}

#[tokio::test(start_paused = true)]
async fn foreign_data_and_absent_callers_tell_no_secret() {
    let (lines, _guard) = listen();
    let house = House::new(&FILES, &[], &[("/in/b.bam", 7, 2)], |_| {}).await;
    let _instance = house.instance();
    let token = |name: &str| format!("{TOKEN}-{name}");
    let ask = |name: &str, sources: Value, more: Value| {
        let mut payload = json!({"sourceUriList": sources, "destinationUri": format!("icav2://{TO}/in/")});
        for (name, value) in more.as_object().unwrap() {
            payload[name] = value.clone();
        }
        json!({"payload": payload, "taskToken": token(name)}).to_string()
    };
    for body in [
        ask("external", json!([]), json!({"externalSourceUriList": ["s3://outside-data/ref/"]})),
        ask("missing", json!(["icav2://lab/nothing/"]), json!({})),
        ask("no-bucket", json!(["s3://nowhere/x"]), json!({})),
        ask("conflict", json!(["icav2://lab/run/b.bam"]), json!({})),
        // Through staging, with credentials of the bucket.
        ask(
            "rename",
            json!(["icav2://lab/run/a.bam"]),
            json!({"renamingMapList": [
            {"sourceUri": "icav2://lab/run/a.bam", "outputFileName": "z.bam"}]}),
        ),
    ] {
        house.queue.push(body).await.unwrap();
    }
    for name in ["external", "missing", "no-bucket", "conflict", "rename"] {
        house.answer(&token(name), Duration::from_hours(6)).await;
    }
    house.callers.leave(&token("left"));
    house.ask(&["/run/"], "/in/left/", &token("left")).await;
    sleep(Duration::from_mins(30)).await;
    let said = lines.text();
    assert!(said.contains("SourceNotFound") && said.contains("DestinationConflict"), "{said}");
    is_clean(&said, "foreign data");
}
