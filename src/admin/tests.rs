//! The routes, called in process.

use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use super::*;
use crate::ports::{Class, Error};

mod recorder;
use recorder::Recorder;

struct Server {
    backend: Arc<Recorder>,
    router: Router,
}

impl Server {
    fn new() -> Self {
        let backend = Arc::new(Recorder::default());
        let guard = Guard::new("127.0.0.1".parse().unwrap(), &[]);
        let metrics = Arc::new(|| "up 1\n".to_owned());
        let admin = Admin { backend: Arc::clone(&backend) as _, metrics, guard };
        Self { backend, router: router(admin) }
    }

    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> (u16, String) {
        let headers = [("host", "localhost:8080"), ("content-type", "application/json")];
        self.call_with(method, path, &headers, body).await
    }

    async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> (u16, String) {
        let mut request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn put(&self, body: &Value) -> (u16, Value) {
        let (status, body) = self.call("POST", "/v1/events", body.to_string()).await;
        (status, serde_json::from_str(&body).unwrap())
    }
}

#[tokio::test]
async fn health_and_metrics_answer() {
    let server = Server::new();
    assert_eq!(server.call("GET", "/livez", "").await, (200, "alive\n".into()));
    assert_eq!(server.call("GET", "/readyz", "").await, (200, r#"{"ready":true,"notReady":[]}"#.into()));
    assert_eq!(server.call("GET", "/metrics", "").await, (200, "up 1\n".into()));
    server.backend.accept("s", "t", json!({})).await.unwrap();
    let (status, said) = server.call("GET", "/readyz", "").await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &said["notReady"][0]["what"]), (503, &json!("icav2")), "{said}");
}

#[tokio::test]
async fn requests_are_listed() {
    let server = Server::new();
    let (status, said) = server.call("GET", "/v1/requests?status=RUNNING&limit=7&cursor=9", "").await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, said), (200, json!({ "requests": [], "next": "9", "limit": 7 })));
    for wrong in ["limit=many", "colour=red", "status=odd"] {
        let (status, said) = server.call("GET", &format!("/v1/requests?{wrong}"), "").await;
        assert_eq!(status, 400, "{said}");
    }
}

#[tokio::test]
async fn the_folders_and_the_journal_of_a_request_are_shown() {
    let server = Server::new();
    let get = async |path: &str| {
        let (status, said) = server.call("GET", path, "").await;
        (status, serde_json::from_str::<Value>(&said).unwrap())
    };
    let part = get("/v1/requests/known/folders?from=1&limit=2").await;
    assert_eq!(part, (200, json!({ "folders": [2, 3], "total": 9 })));
    assert_eq!(get("/v1/requests/known/folders?from=9").await.1["folders"], json!([]));
    assert_eq!(get("/v1/requests/known/folders?limit=0").await.0, 400);
    assert_eq!(get("/v1/requests/known/journal").await, (200, json!({ "journal": [], "isCut": false })));
    assert_eq!(get("/v1/requests/known/explain").await.1["request"], json!({ "requestId": "known" }));
    for what in ["folders", "journal", "explain"] {
        assert_eq!(get(&format!("/v1/requests/nobody/{what}")).await.0, 404, "{what}");
    }
}

#[tokio::test]
async fn the_level_of_the_log_is_asked_for() {
    let server = Server::new();
    let put = async |body: Value| server.call("PUT", "/v1/log-level", body.to_string()).await;
    let (status, said) = put(json!({ "level": "debug", "seconds": 600 })).await;
    assert_eq!((status, said.as_str()), (200, r#"{"level":"debug","until":"debug for 600"}"#));
    assert_eq!(put(json!({ "level": "loud", "seconds": 1 })).await.0, 400);
    assert_eq!(put(json!({ "level": "debug" })).await.0, 400);
}

#[tokio::test]
async fn requests_are_told_what_to_do() {
    let server = Server::new();
    let told = async |path: &str, body: &str| {
        let (status, said) = server.call("POST", &format!("/v1/requests/{path}"), body.to_owned()).await;
        (status, serde_json::from_str::<Value>(&said).unwrap())
    };
    let action = async |path: &str, body: &str| told(path, body).await.1["action"].clone();
    assert_eq!(action("r1:cancel", "").await, r#"Cancel { reason: "by an operator" }"#);
    assert_eq!(action("r1:cancel", r#"{"reason":"late"}"#).await, r#"Cancel { reason: "late" }"#);
    assert_eq!(action("r1:retry", "").await, "Retry");
    let (status, said) = told("arn:aws:states:x:run:wake?source=s", "").await;
    assert_eq!(
        (status, said),
        (202, json!({ "id": "arn:aws:states:x:run", "source": "s", "action": "Wake" }))
    );
    for (path, body, status) in [
        ("gone:wake", "", 404),
        ("ended:cancel", "", 409),
        ("r1:delete", "", 404),
        ("r1", "", 404),
        ("r1:cancel", "late", 400),
        ("r1:cancel", r#"{"why":"late"}"#, 400),
    ] {
        assert_eq!(told(path, body).await.0, status, "{path} {body}");
    }
}

#[tokio::test]
async fn without_its_token_only_health_and_metrics_answer() {
    let server = Server::new();
    let guard = Guard::new("127.0.0.1".parse().unwrap(), &[]).with_token(Some("s3cret".into()));
    let admin = Admin { backend: server.backend.clone(), metrics: Arc::new(|| "up 1\n".to_owned()), guard };
    let server = Server { backend: server.backend, router: router(admin) };
    let host = ("host", "localhost");
    for (path, shown, status) in [
        ("/livez", None, 200),
        ("/metrics", None, 200),
        ("/v1/requests", None, 401),
        ("/v1/requests", Some("Bearer wrong"), 401),
        ("/v1/requests", Some("Bearer s3cret"), 200),
    ] {
        let shown = shown.map(|shown| ("authorization", shown));
        let headers: Vec<_> = [Some(host), shown].into_iter().flatten().collect();
        assert_eq!(server.call_with("GET", path, &headers, "").await.0, status, "{path} {shown:?}");
    }
    // SNS cannot show one, and signs instead.
    let signed = [host, ("x-amz-sns-message-type", "Notification")];
    assert_eq!(server.call_with("POST", "/v1/events", &signed, "signed").await.0, 200);
    assert_eq!(server.call_with("POST", "/v1/events", &signed, "not").await.0, 403);
}

#[tokio::test]
async fn the_page_shows_requests_and_asks_back() {
    let server = Server::new();
    let (status, page) = server.call("GET", "/", "").await;
    assert_eq!(status, 200);
    for part in ["Running", "All requests", "ready", "2 instances alive", "/style.css"] {
        assert!(page.contains(part), "{part}");
    }
    let (status, page) = server.call("GET", "/requests/known", "").await;
    assert!(status == 200 && page.contains("known"), "{page}");
    let (status, page) = server.call("GET", "/requests/known/cancel", "").await;
    assert!(status == 200 && page.contains(r#"method="post" action="/requests/known/cancel""#), "{page}");
    assert_eq!(server.call("GET", "/requests/gone", "").await.0, 404);
    assert_eq!(server.call("GET", "/requests/known/delete", "").await.0, 400);
    for file in ["/style.css", "/refresh.js"] {
        assert_eq!(server.call("GET", file, "").await.0, 200);
    }
    let form = ("content-type", "application/x-www-form-urlencoded");
    let post = async |host: &str, origin: &str, path: &str| {
        let headers = [("host", host), form, ("origin", origin)];
        server.call_with("POST", path, &headers, "reason=late").await.0
    };
    let (own, evil) = ("http://127.0.0.1:8080", "http://evil.example");
    assert_eq!(post("127.0.0.1:8080", own, "/requests/known/cancel").await, 303);
    assert_eq!(post("127.0.0.1:8080", own, "/requests/ended/cancel").await, 409);
    // Another site's page, and one whose name leads here.
    assert_eq!(post("127.0.0.1:8080", evil, "/requests/known/cancel").await, 403);
    assert_eq!(post("evil.example", evil, "/requests/known/cancel").await, 403);
    assert_eq!(post("127.0.0.1:8080", "null", "/requests/known/cancel").await, 403);
}

#[tokio::test]
async fn a_browser_shows_the_token_once() {
    let server = Server::new();
    let guard = Guard::new("127.0.0.1".parse().unwrap(), &[]).with_token(Some("s3cret".into()));
    let admin = Admin { backend: server.backend.clone(), metrics: Arc::new(String::new), guard };
    let server = Server { backend: server.backend, router: router(admin) };
    let (host, html) = (("host", "localhost"), ("accept", "text/html"));
    let (status, page) = server.call_with("GET", "/", &[host, html], "").await;
    assert!(status == 401 && page.contains("/login"), "{page}");
    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(server.call_with("POST", "/login", &[host, form], "token=wrong").await.0, 401);
    let login = Request::post("/login").header("host", "localhost").header("content-type", form.1);
    let answer =
        server.router.clone().oneshot(login.body(Body::from("token=s3cret")).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 303);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("s3cret"));
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(server.call_with("GET", "/", &[host, html, ("cookie", cookie)], "").await.0, 200);
    assert_eq!(server.call_with("GET", "/", &[host, html, ("cookie", "copy-manager=x")], "").await.0, 401);
}

#[tokio::test]
async fn web_pages_are_not_let_in_and_cannot_ask_either() {
    let server = Server::new();
    let event = json!({ "Entries": [{ "Source": "s", "DetailType": "t", "Detail": {} }] }).to_string();
    let (host, json) = (("host", "127.0.0.1:8080"), ("content-type", "application/json"));
    for (headers, status) in [
        (vec![host, json], 200),
        (vec![host, ("content-type", "application/x-amz-json-1.1")], 200),
        (vec![host, ("content-type", "Application/JSON; charset=utf-8")], 200),
        (vec![host, ("content-type", "text/plain")], 415),
        (vec![host, ("content-type", "application/x-www-form-urlencoded")], 415),
        (vec![host], 415),
        (vec![host, json, ("origin", "https://evil.example")], 403),
        (vec![host, json, ("sec-fetch-site", "cross-site")], 403),
        (vec![("host", "rebind.evil.example"), json], 403),
        (vec![json], 403),
    ] {
        let answer = server.call_with("POST", "/v1/events", &headers, event.clone()).await;
        assert_eq!(answer.0, status, "{headers:?}: {}", answer.1);
    }
    assert_eq!(server.backend.taken.lock().unwrap().len(), 3);
    // Not even what would be let in afterwards is announced to a page that asks first.
    let preflight = [host, ("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    assert_eq!(server.call_with("OPTIONS", "/v1/events", &preflight, "").await.0, 403);
    for path in ["/metrics", "/v1/requests/known", "/readyz", "/v1/nothing"] {
        let rebound = server.call_with("GET", path, &[("host", "rebind.evil.example")], "").await;
        assert_eq!(rebound.0, 403, "{path}");
    }
    assert_eq!(server.call_with("GET", "/livez", &[("host", "probe")], "").await.0, 200);
}

#[tokio::test]
async fn events_of_icav2_come_as_they_are_or_through_a_topic() {
    let server = Server::new();
    let envelope = json!({ "eventCode": "ICA_JOB_001", "payload": { "id": "j-1", "status": "SUCCEEDED" } });
    let other = json!({ "eventCode": "ICA_EXEC_028", "payload": { "id": "x" } });
    for (body, said) in [
        (envelope.clone(), json!({ "jobs": 1, "others": 0 })),
        (other.clone(), json!({ "jobs": 0, "others": 1 })),
        (json!([{ "input": envelope }, other]), json!({ "jobs": 1, "others": 1 })),
    ] {
        assert_eq!(server.put(&body).await, (200, said), "{body}");
    }
    let from_sns =
        [("host", "localhost"), ("content-type", "text/plain"), ("x-amz-sns-message-type", "Notification")];
    assert_eq!(server.call_with("POST", "/v1/events", &from_sns, "signed").await.0, 200);
    assert_eq!(server.call_with("POST", "/v1/events", &from_sns, "forged").await.0, 403);
}

#[tokio::test]
async fn events_are_taken_with_detail_as_object_or_text() {
    let server = Server::new();
    let answer = server
        .put(&json!({ "Entries": [
            { "Source": "lab", "DetailType": "ICAv2DataCopySync", "Detail": { "payload": 1 } },
            { "Source": "lab", "DetailType": "ICAv2DataCopySync", "Detail": "{\"payload\": 2}",
              "EventBusName": "OrcaBusMain", "Time": 1_700_000_000 },
        ] }))
        .await;
    let entries = json!([{ "EventId": "event-1" }, { "EventId": "event-2" }]);
    assert_eq!(answer, (200, json!({ "FailedEntryCount": 0, "Entries": entries })));
    let details: Vec<_> = server.backend.taken.lock().unwrap().iter().map(|(_, _, d)| d.clone()).collect();
    assert_eq!(details, [json!({ "payload": 1 }), json!({ "payload": 2 })]);
}

#[tokio::test]
async fn each_entry_is_refused_by_itself() {
    let server = Server::new();
    let entry = |detail_type: &str, detail: Value| json!({ "Source": "lab", "DetailType": detail_type, "Detail": detail });
    let (status, answer) = server
        .put(&json!({ "Entries": [
            entry("T", json!({})),
            entry("", json!({})),
            { "DetailType": "T", "Detail": {} },
            { "Source": "lab", "DetailType": "T" },
            entry("T", json!("no json")),
            entry("T", json!("[1]")),
            entry("T", json!([1])),
            entry("Bad", json!({})),
            entry("Busy", json!({})),
        ] }))
        .await;
    assert_eq!(answer["Entries"][7]["RequestId"], "kept", "{answer}");
    let codes: Vec<_> =
        answer["Entries"].as_array().unwrap().iter().map(|entry| entry["ErrorCode"].as_str()).collect();
    let (argument, malformed) = (Some("InvalidArgument"), Some("MalformedDetail"));
    assert_eq!((status, &answer["FailedEntryCount"]), (200, &json!(8)));
    assert_eq!(
        codes,
        [
            None,
            argument,
            argument,
            malformed,
            malformed,
            malformed,
            malformed,
            argument,
            Some("InternalFailure")
        ]
    );
}

#[tokio::test]
async fn a_call_that_is_not_put_events_is_refused_whole() {
    let server = Server::new();
    let eleven = vec![json!({ "Source": "s", "DetailType": "t", "Detail": {} }); 11];
    for (body, reason) in [
        (json!({ "Entries": eleven }), "Entries: 1 to 10 are taken at a time, not 11"),
        (json!({ "Entries": [] }), "not 0"),
        (json!({}), "missing field `Entries`"),
        (json!({ "Entries": [{ "Source": 1 }] }), "Entries[0].Source: invalid type"),
    ] {
        let (status, answer) = server.put(&body).await;
        assert_eq!((status, &answer["__type"]), (400, &json!("ValidationException")));
        assert!(answer["message"].as_str().unwrap().contains(reason), "{answer}");
    }
    assert_eq!(server.call("POST", "/v1/events", vec![b' '; MAX_BODY_BYTES + 1]).await.0, 413);
}

#[tokio::test]
async fn requests_are_shown_or_said_to_be_unknown() {
    let server = Server::new();
    assert_eq!(server.call("GET", "/v1/requests/known", "").await.0, 200);
    assert_eq!(server.call("GET", "/v1/requests/tuesday", "").await.0, 404);
    let (_, named) = server.call("GET", "/v1/requests/tuesday?source=my.lab", "").await;
    assert_eq!(named, r#"{"source":"my.lab"}"#);
    let (status, body) = server.call("GET", "/v1/requests/none", "").await;
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &problem["status"]), (404, &json!(404)));
    assert_eq!(problem["detail"], "there is no request `none`");
    assert_eq!(server.call("GET", "/v1/requests/outage", "").await.0, 503);
    assert_eq!(server.call("GET", "/v1/nothing", "").await.0, 404);
    assert_eq!(server.call("GET", "/v1/events", "").await.0, 405);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let server = Server::new();
    let start = tokio::time::Instant::now();
    assert_eq!(server.call("GET", "/v1/requests/slow", "").await.0, 503);
    assert_eq!(start.elapsed(), ANSWER_WITHIN);
}
