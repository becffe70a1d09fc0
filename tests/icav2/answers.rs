//! What becomes of answers that are no good, and of answers that do not come.

use std::time::Duration;

use copy_manager::{
    domain::{
        file::DataStatus,
        ids::{DataId, JobId, ProjectId},
        job::JobStatus,
        location::DataPath,
    },
    ports::{
        Class, Error,
        platform::{DataPlatform as _, Destination, Folder},
    },
};
use futures_util::future::join_all;
use http::Response;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::script::{Answer, Script, Tokens, answer, client, client_with, lost};

fn job() -> JobId {
    JobId::new("j")
}

async fn submit(script: &std::sync::Arc<Script>) -> Error {
    let files = [DataId::new("fil.1")];
    client(script)
        .submit(&ProjectId::new("p"), &Destination::Folder(DataId::new("fol.1")), &files)
        .await
        .unwrap_err()
}

fn slow_down(seconds: &str) -> Answer {
    let response = Response::builder().status(429).header("retry-after", seconds);
    Ok(response.body(bytes::Bytes::from_static(br#"{"title":"ICA_API_429","detail":"Too many"}"#)).unwrap())
}

const JOB: &str = r#"{"id":"j","status":"RUNNING","subjectId":"b","timeCreated":"2025-07-11T03:12:04Z"}"#;

#[tokio::test(start_paused = true)]
async fn reads_are_tried_again_and_submissions_are_not() {
    let script = Script::new(|_, n| if n < 2 { answer(502, "<html>") } else { answer(200, JOB) });
    assert_eq!(client(&script).job(&job()).await.unwrap().id, job());
    assert_eq!(script.count(), 3);

    let script = Script::always(502, "<html>bad gateway</html>");
    let error = submit(&script).await;
    assert_eq!((script.count(), error.class, error.may_have_happened), (1, Class::Transient, true));
    assert!(error.message.contains("<html>bad gateway</html>"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn keyed_creations_are_tried_again() {
    let script = Script::new(|_, n| match n {
        0 => lost(false),
        _ => answer(201, &crate::script::entry("fol.1", "/a/", None).to_string()),
    });
    let path = DataPath::parse("/a/").unwrap();
    client(&script).create_folder(&ProjectId::new("p"), &path, "k").await.unwrap();
    assert_eq!(script.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_submission_without_a_clear_answer_may_have_happened() {
    for (script, class, in_doubt) in [
        (Script::new(|_, _| lost(false)), Class::Transient, true),
        (Script::new(|_, _| lost(true)), Class::Transient, false),
        (Script::always(200, "not json"), Class::Transient, true),
        (Script::always(503, "{}"), Class::Throttled, true),
        (Script::always(429, "{}"), Class::Throttled, false),
        (Script::always(400, "{}"), Class::Invalid, false),
    ] {
        let error = submit(&script).await;
        assert_eq!((error.class, error.may_have_happened, script.count()), (class, in_doubt, 1), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends() {
    #[derive(Debug)]
    struct Hangs;
    #[async_trait::async_trait]
    impl copy_manager::http::transport::Transport for Hangs {
        async fn send(&self, _: http::Request<bytes::Bytes>) -> Answer {
            std::future::pending().await
        }
    }
    let clock = std::sync::Arc::new(crate::script::TestClock(Instant::now()));
    let chance = std::sync::Arc::new(copy_manager::ports::chance::Dice::from_seed(1));
    let client = copy_manager::icav2::client::Client::new(
        std::sync::Arc::new(Hangs),
        Tokens::lasting(),
        clock,
        chance,
        copy_manager::icav2::Settings::default(),
    );
    let started = Instant::now();
    let error = client.job(&job()).await.unwrap_err();
    assert_eq!((error.class, started.elapsed().as_secs()), (Class::Transient, 30));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_understood_says_where() {
    let script = Script::always(200, JOB.replace("\"RUNNING\"", "7"));
    let error = client(&script).job(&job()).await.unwrap_err();
    assert_eq!((error.class, error.may_have_happened), (Class::Invalid, false));
    assert!(error.message.contains("status: "), "{error}");

    let mut nameless = crate::script::entry("fil.7", "/a", None);
    nameless["data"]["details"]["path"] = Value::Null;
    let script = Script::always(200, nameless);
    let error = client(&script).get(&ProjectId::new("p"), &DataId::new("fil.7")).await.unwrap_err();
    assert!(error.message.ends_with("fil.7: has no path"), "{error}");
}

/// One that is left out would be a file that is not copied, and nobody would know.
#[tokio::test(start_paused = true)]
async fn an_odd_entry_of_a_folder_hides_no_other_and_is_shown() {
    let with = |id: &str, path: &str, change: fn(&mut Value)| {
        let mut entry = crate::script::entry(id, path, Some(1));
        change(&mut entry["data"]["details"]);
        entry
    };
    let items = json!([
        with("fil.1", "/d/a", |_| ()),
        with("fil.2", "/d/b", |details| details["status"] = "TRANSFERRING".into()),
        with("fil.3", "/d/c", |details| details["dataType"] = "OBJECT".into()),
        with("fil.4", "/d/d", |details| details["path"] = Value::Null),
        with("fil.5", "/d/e", |details| details["fileSizeInBytes"] = (-1).into()),
        with("fil.6", "/d/Icon\r", |_| ()),
        {"data": {"id": "fil.7"}},
        7,
    ]);
    let script = Script::always(200, json!({"items": items}));
    let folder = Folder::Path(DataPath::parse("/d/").unwrap());
    let page = client(&script).children(&ProjectId::new("p"), &folder, None).await.unwrap();
    let shown: Vec<_> = page.items.iter().map(|data| (data.name(), data.status)).collect();
    let (known, unknown) = (DataStatus::Available, DataStatus::Unknown);
    assert_eq!(
        shown,
        [
            ("a", known),
            ("b", unknown),
            ("c", unknown),
            ("d", unknown),
            ("e", unknown),
            ("Icon\r", known),
            ("fil.7", unknown),
            ("without id", unknown),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn jobs_that_nobody_understands_hide_no_others() {
    let job = |id: &str, status: Value, ended: Value| json!({"id": id, "status": status, "subjectId": "b", "timeCreated": "2025-07-11T03:12:04Z", "timeFinished": ended});
    let items = json!([
        job("1", "QUEUED".into(), Value::Null),
        {"id": "2"},
        job("3", 7.into(), Value::Null),
        job("4", "BROKEN".into(), "2025-07-11T04:12:04Z".into()),
        job("5", "RUNNING".into(), Value::Null),
    ]);
    let script = Script::always(200, json!({"items": items, "totalItemCount": 5}));
    let page = client(&script).running_jobs(None).await.unwrap();
    let told: Vec<_> = page.items.iter().map(|job| (job.id.as_str(), job.status)).collect();
    let statuses = [("1", JobStatus::Unknown), ("4", JobStatus::Failed), ("5", JobStatus::Running)];
    assert_eq!((told, page.next), (statuses.to_vec(), None));
    let line = &script.lines()[0];
    assert!(line.contains("status=INITIALIZED&status=WAITING_FOR_RESOURCES&status=RUNNING&"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_kept_to() {
    let script = Script::new(|_, n| if n == 0 { slow_down("4") } else { answer(200, JOB) });
    let started = Instant::now();
    client(&script).job(&job()).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 4);

    let script = Script::new(|_, _| slow_down("120"));
    let started = Instant::now();
    let error = client(&script).job(&job()).await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::Throttled, Some("ICA_API_429")));
    assert_eq!((error.retry_after, error.status), (Some(Duration::from_mins(2)), Some(429)));
    assert_eq!((script.count(), started.elapsed().as_secs()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn one_caller_who_is_throttled_slows_all() {
    let script = Script::new(|_, n| if n == 0 { slow_down("9") } else { answer(200, JOB) });
    let client = client_with(&script, Tokens::lasting(), 10);
    let started = Instant::now();
    submit_with(&client).await.unwrap_err();
    client.job(&job()).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 9);
    let started = Instant::now();
    for _ in 0..5 {
        client.job(&job()).await.unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(700), "{:?}", started.elapsed());
}

async fn submit_with(client: &copy_manager::icav2::client::Client) -> Result<(), Error> {
    client.submit(&ProjectId::new("p"), &Destination::Folder(DataId::new("fol.1")), &[]).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn calls_are_paced() {
    let script = Script::always(200, JOB);
    let client = client_with(&script, Tokens::lasting(), 2);
    let started = Instant::now();
    let id = job();
    join_all((0..121).map(|_| client.job(&id))).await;
    assert_eq!(started.elapsed().as_secs(), 60);
    assert_eq!(script.count(), 121);
}

#[tokio::test(start_paused = true)]
async fn errors_show_no_secrets() {
    let echo = |status: u16| {
        Script::new(move |request, _| {
            let token = request.headers().get("authorization").unwrap().to_str().unwrap();
            let token = token.trim_start_matches("Bearer ");
            let detail = format!("{token} may not PUT https://bucket/key?X-Amz-Signature=abcdef");
            answer(status, &serde_json::json!({"title": token, "detail": detail}).to_string())
        })
    };
    for status in [400, 401, 403, 404, 409, 429, 500, 503] {
        let error = submit(&echo(status)).await;
        let shown = format!("{error} {error:?}");
        for secret in ["eyJ", "Bearer", "X-Amz", "abcdef", ".n0", ".n1"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
    let url = r#"{"items":"https://bucket/key?X-Amz-Signature=abcdef"}"#;
    let script = Script::always(200, url);
    let error =
        client(&script).download_urls(&ProjectId::new("p"), &[DataId::new("fil.1")]).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("Amz"), "{error:?}");
}
