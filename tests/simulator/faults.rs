//! What can be made to go wrong, and the counters.

use std::time::Duration;

use axum::body::Body;
use copy_manager::simulator::{Settings, in_process};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{ARCHIVE, LAB, Lab, read, request};

async fn control(lab: &Lab, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_string())).unwrap();
    let response = in_process::call(lab.simulator.router(), request).await;
    let status = response.status();
    (status, serde_json::from_slice(&read(response).await).unwrap_or_default())
}

async fn faults(lab: &Lab, body: Value) {
    assert_eq!(control(lab, Method::POST, "/sim/faults", body).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn calls_over_the_limit_are_refused() {
    let lab = Lab::new(Settings { rate_limit: Some(3), ..Settings::default() });
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(lab.get("/api/regions").await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(lab.get("/api/regions").await.headers["retry-after"], "1");
    sleep(Duration::from_millis(334)).await;
    assert_eq!(lab.get("/api/regions").await.status, StatusCode::OK);
    faults(&lab, json!({"rateLimit": null})).await;
    assert_eq!(lab.get("/api/regions").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn answers_can_be_scripted() {
    let lab = Lab::new(Settings::default());
    let call = "POST /api/projects/{projectId}/dataCopyBatch";
    faults(
        &lab,
        json!({"responses": [
            {"call": call, "times": 1, "status": 503},
            {"call": call, "times": 1, "status": 502, "after": true},
            {"call": "GET /api/regions", "times": 1, "status": "close"},
            {"call": "PUT /sim/bytes/{token}", "times": 1, "status": 500},
        ]}),
    )
    .await;
    assert_eq!(lab.copy(&["/run/a.fastq.gz"], "/in/", "SKIP").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(lab.get("/api/jobs").await.body["items"], json!([]), "it had no effect");
    let lost = lab.copy(&["/run/a.fastq.gz"], "/in/", "SKIP").await;
    assert_eq!((lost.status, lost.body["status"].as_u64()), (StatusCode::BAD_GATEWAY, Some(502)));
    assert_eq!(lab.get("/api/jobs").await.body["items"].as_array().unwrap().len(), 1, "it had its effect");
    let closed = lab.send(request(Method::GET, "/api/regions", None)).await.unwrap_err();
    assert!(!closed.never_sent);
    assert_eq!(lab.get("/api/regions").await.status, StatusCode::OK);
    let create = format!("/api/projects/{ARCHIVE}/data:createFileWithUploadUrl");
    let url = lab.post(&create, json!({"name": "x"})).await.body["uploadUrl"].clone();
    let put = || lab.bytes(Method::PUT, &url, Some(b"x".to_vec()));
    assert_eq!((put().await.status().as_u16(), put().await.status().as_u16()), (500, 200));
}

#[tokio::test(start_paused = true)]
async fn poisoned_files_fail_their_whole_job() {
    let lab = Lab::new(Settings::default());
    faults(&lab, json!({"poisonPaths": ["/run/a.fastq.gz"]})).await;
    let poisoned = lab.copy(&["/run/a.fastq.gz", "/run/b.fastq.gz"], "/in/", "RENAME").await.body;
    let clean = lab.copy(&["/run/b.fastq.gz"], "/in/", "RENAME").await.body;
    sleep(Duration::from_secs(2)).await;
    assert_eq!((lab.job(&poisoned).await.as_str(), lab.job(&clean).await.as_str()), ("FAILED", "SUCCEEDED"));
}

#[tokio::test(start_paused = true)]
async fn events_can_get_lost_and_projects_be_refused() {
    let mut lab = Lab::new(Settings::default());
    faults(&lab, json!({"dropEvents": true, "sameProjectCopies": false})).await;
    let batch = lab.copy(&["/run/a.fastq.gz"], "/in/", "SKIP").await.body;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(lab.job(&batch).await, "SUCCEEDED");
    assert!(lab.events.try_recv().is_err());
    let file = lab.id(LAB, "/run/a.fastq.gz").await;
    let body = json!({"items": [{"dataId": file}], "copyUserTags": true, "copyTechnicalTags": true,
        "copyInstrumentInfo": true, "actionOnExist": "SKIP"});
    let refused = lab.post(&format!("/api/projects/{LAB}/dataCopyBatch"), body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn counters_and_reset() {
    let lab = Lab::new(Settings::default());
    lab.copy(&["/run/a.fastq.gz"], "/in/", "SKIP").await;
    lab.get("/api/nowhere").await;
    faults(&lab, json!({"jobFailureRate": 1.0})).await;
    let (_, stats) = control(&lab, Method::GET, "/sim/stats", Value::Null).await;
    assert_eq!(
        stats,
        json!({"total": 4, "bytes_in": 0, "bytes_out": 0, "buckets": {}, "calls": {
            "GET /api/projects/{projectId}/data": 2,
            "POST /api/projects/{projectId}/dataCopyBatch": 1,
            "GET /api/nowhere": 1,
        }})
    );
    let (_, tree) = control(&lab, Method::GET, "/sim/tree?project=lab&path=/run/deep/", Value::Null).await;
    assert_eq!(
        tree[0],
        json!({"path": "/run/deep/er/", "type": "FOLDER", "size": null, "status": "AVAILABLE", "md5": null, "etag": null})
    );
    assert_eq!(tree[1]["size"], 5000);
    assert_eq!(tree[1]["md5"].as_str().unwrap().len(), 32);
    assert_eq!(
        control(&lab, Method::GET, "/sim/tree?project=nobody", Value::Null).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        control(&lab, Method::POST, "/sim/faults", json!({"speed": 1})).await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(control(&lab, Method::POST, "/sim/reset", Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(lab.simulator.stats().total, 0);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(
        lab.tree(ARCHIVE, "/").await,
        [("/in/".to_owned(), "AVAILABLE".to_owned())],
        "the job is gone"
    );
    let batch = lab.copy(&["/run/a.fastq.gz"], "/in/", "SKIP").await.body;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(lab.job(&batch).await, "SUCCEEDED");
}
