//! The routes, against a backend that remembers nothing.

mod bounds;

use std::sync::Mutex;

use axum::{body::Body, http::Request};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

use super::*;
use crate::domain::share::{
    claims::ClaimScopes,
    settings::{Auth, ShareSettings},
    tokens::TokenEntry,
};

#[derive(Debug, Default)]
pub(super) struct Desk(Mutex<Vec<String>>);

impl Desk {
    fn refuse<T>(&self, said: String) -> Result<T, Refusal> {
        self.0.lock().unwrap().push(said);
        Err(Refusal::NotFound("nothing is here".to_owned()))
    }
}

#[async_trait]
impl Backend for Desk {
    async fn make(&self, who: &str, name: String, _: PackageRequest) -> Result<PackageShown, Refusal> {
        self.refuse(format!("{who} makes {name}"))
    }

    async fn package(&self, id: &RequestId) -> Result<PackageShown, Refusal> {
        self.refuse(format!("shows {id}"))
    }

    async fn packages(&self, _: &Wanted) -> Result<(usize, Vec<PackageShown>), Refusal> {
        Ok((0, Vec::new()))
    }

    async fn files(&self, id: &RequestId, _: usize, _: usize) -> Result<(usize, Vec<PackagedFile>), Refusal> {
        self.refuse(format!("files of {id}"))
    }

    async fn abort_package(&self, id: &RequestId) -> Result<PackageShown, Refusal> {
        self.refuse(format!("aborts {id}"))
    }

    async fn delete_package(&self, id: &RequestId) -> Result<PackageShown, Refusal> {
        self.refuse(format!("deletes {id}"))
    }

    async fn push(&self, who: &str, id: &RequestId, asked: PushAsked) -> Result<PushShown, Refusal> {
        self.refuse(format!("{who} pushes {id} to {}", asked.destination))
    }

    async fn pushed(&self, id: &RequestId) -> Result<PushShown, Refusal> {
        self.refuse(format!("shows {id}"))
    }

    async fn pushes(&self, _: &Wanted) -> Result<(usize, Vec<PushShown>), Refusal> {
        Ok((0, Vec::new()))
    }

    async fn abort_push(&self, id: &RequestId) -> Result<PushShown, Refusal> {
        self.refuse(format!("aborts {id}"))
    }

    async fn run(&self, _who: &str, run: String, job: Option<String>) -> Result<String, Refusal> {
        self.refuse(format!("runs {run} {job:?}"))
    }

    async fn hear(&self, sent: &Sent<'_>) -> Result<(), Refusal> {
        self.refuse(format!("hears {} {}", sent.timestamp, sent.signature))
    }

    async fn approve(&self, _who: &str, id: &RequestId) -> Result<PackageShown, Refusal> {
        self.refuse(format!("approves {id}"))
    }

    async fn retry_push(&self, id: &RequestId) -> Result<PushShown, Refusal> {
        self.refuse(format!("retries {id}"))
    }

    async fn receipt(&self, id: &RequestId) -> Result<String, Refusal> {
        Ok(format!("https://x/{id}.receipt"))
    }

    async fn report(&self, _: &str, id: &RequestId) -> Result<String, Refusal> {
        Ok(format!("https://x/{id}?a=b&c=d"))
    }

    async fn hand_out(&self, who: &str, id: &RequestId) -> Result<String, Refusal> {
        self.refuse(format!("hands out {id} to {who}"))
    }

    async fn make_link(&self, who: &str, id: &RequestId, asked: LinkAsked) -> Result<LinkMade, Refusal> {
        let shown = link("one", &asked.label, false);
        self.0.lock().unwrap().push(format!("{who} makes a link of {id} for {}", asked.label));
        Ok(LinkMade { shown, url: "https://x/d/one.two".into(), script: "https://x/d/one.two/x.sh".into() })
    }

    async fn links(&self, _: &RequestId) -> Result<Vec<LinkShown>, Refusal> {
        Ok(vec![link("one", "Ann", false), link("two", "Bob", true), link("three", "Cyn", false)])
    }

    async fn end_link(&self, id: &RequestId, id_of_link: &str) -> Result<LinkShown, Refusal> {
        self.0.lock().unwrap().push(format!("ends {id_of_link} of {id}"));
        Ok(link(id_of_link, "Ann", true))
    }

    async fn follow(&self, link: &str, name: Option<&str>, from: u64) -> Result<Led, Refusal> {
        let bytes = axum::body::Bytes::from("<p>");
        let opened = Opened {
            size: Some(3),
            kind: "text/html; charset=utf-8",
            bytes: Box::pin(futures_util::stream::once(async { Ok(bytes) })),
        };
        match (link, name) {
            ("good", Some("7")) => Ok(Led::There(Presigned {
                url: format!("https://s3.example.org/key?from={from}"),
                until: Timestamp::UNIX_EPOCH,
            })),
            ("good", _) => Ok(Led::Here(opened)),
            _ => Err(Refusal::NotFound("no".to_owned())),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn link(id: &str, label: &str, has_ended: bool) -> LinkShown {
    let at = Timestamp::UNIX_EPOCH;
    LinkShown {
        id: id.into(),
        label: label.into(),
        created_by: "bob".into(),
        created_at: at,
        until: at,
        has_ended,
        revoked_at: None,
        files: 1,
        bytes: 2,
        last_asked_at: None,
        paper: None,
    }
}

pub(super) fn share(backend: &Arc<Desk>) -> Router {
    share_with(backend, &ShareSettings::default())
}

fn share_with(backend: &Arc<Desk>, settings: &ShareSettings) -> Router {
    router(Share { rates: Arc::new(Rates::new(settings)), ..shared(backend) })
}

fn shared(backend: &Arc<Desk>) -> Share {
    let sum = |token: &str| hex::encode(Sha256::digest(token.as_bytes()));
    let entry = |text: String| TokenEntry::read(&text).unwrap();
    let entries = [entry(format!("ann:read:{}", sum("one"))), entry(format!("bob:admin:{}", sum("two")))];
    Share {
        backend: backend.clone(),
        callers: Callers::Tokens(entries.into()),
        rates: Arc::new(Rates::new(&ShareSettings::default())),
        public_url: "https://share.example.org".parse().unwrap(),
        any_workflow: false,
        largest_body: 1000,
    }
}

pub(super) async fn call(
    router: &Router,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> (u16, String) {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn only_those_with_a_token_are_let_in_and_only_for_what_it_is_for() {
    let desk = Arc::new(Desk::default());
    let router = share(&desk);
    let welcome = r#"{"message":"Welcome to the data sharing api!!"}"#;
    assert_eq!(call(&router, "GET", "/", "", "").await, (200, welcome.to_owned()));
    assert_eq!(call(&router, "GET", "/api/v1/package", "", "").await.0, 401);
    assert_eq!(call(&router, "GET", "/api/v1/package", "three", "").await.0, 401);
    assert_eq!(call(&router, "GET", "/api/v1/package/", "one", "").await.0, 200);
    let asked = r#"{"packageName":"ab","packageRequest":{"libraryIdList":["L1"],"dataTypeList":["fastq"]}}"#;
    let (status, why) = call(&router, "POST", "/api/v1/package", "one", asked).await;
    assert_eq!((status, why.as_str()), (403, r#"{"detail":"the token of ann has no scope `package`"}"#));
    assert_eq!(call(&router, "POST", "/api/v1/package", "two", asked).await.0, 404);
    assert_eq!(*desk.0.lock().unwrap(), ["bob makes ab"]);
}

#[tokio::test]
async fn ids_are_read_before_anything_is_looked_for() {
    let desk = Arc::new(Desk::default());
    let router = share(&desk);
    let ulid = "01KB0000000000000000000000";
    for (method, path, status) in [
        ("GET", "/api/v1/package/nothing".to_owned(), 400),
        ("GET", format!("/api/v1/package/psh.{ulid}"), 400),
        ("GET", format!("/api/v1/package/{ulid}"), 404),
        ("GET", format!("/api/v1/push/{ulid}/"), 404),
        ("PATCH", format!("/api/v1/package/pkg.{ulid}:abort"), 404),
        ("PATCH", format!("/api/v1/package/pkg.{ulid}"), 405),
        ("PATCH", format!("/api/v1/push/{ulid}:abort"), 404),
        ("GET", format!("/api/v1/package/{ulid}:nothing"), 404),
        ("DELETE", format!("/api/v1/package/{ulid}"), 404),
        ("PATCH", format!("/api/v1/push/{ulid}"), 405),
    ] {
        assert_eq!(call(&router, method, &path, "two", "").await.0, status, "{method} {path}");
    }
    let said = [
        format!("shows pkg.{ulid}"),
        format!("shows psh.{ulid}"),
        format!("aborts pkg.{ulid}"),
        format!("aborts psh.{ulid}"),
        format!("deletes pkg.{ulid}"),
    ];
    assert_eq!(*desk.0.lock().unwrap(), said);
}

#[tokio::test]
async fn a_link_needs_no_token_and_gives_nothing_away() {
    let router = share(&Arc::new(Desk::default()));
    let request = Request::get("/d/good/report.html").body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert!(header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(
        (header("content-type").as_str(), header("content-length").as_str()),
        ("text/html; charset=utf-8", "3")
    );
    assert_eq!(call(&router, "GET", "/d/other/report.html", "", "").await.0, 404);
    let more = |id: &str| format!("/v1/requests/{id}");
    assert_eq!(call(&router, "GET", &more("psh.01KB0000000000000000000000"), "", "").await.0, 307);
    assert_eq!(call(&router, "GET", &more("psh.../../x"), "", "").await.0, 404);
    let ulid = "01KB0000000000000000000000";
    let (status, url) =
        call(&router, "GET", &format!("/api/v1/package/{ulid}:getSummaryReport"), "one", "").await;
    assert_eq!((status, url), (200, format!("\"https://x/pkg.{ulid}?a=b&c=d\"")), "a plain JSON text");
    assert_eq!(call(&router, "GET", &format!("/api/v1/package/{ulid}:presign"), "one", "").await.0, 403);
}

#[tokio::test]
async fn bodies_that_say_nothing_are_refused() {
    let router = share(&Arc::new(Desk::default()));
    for (body, status) in [("", 422), ("{", 422), ("[]", 422), (r#"{"packageName":"ab"}"#, 422)] {
        let (is, answer) = call(&router, "POST", "/api/v1/package", "two", body).await;
        assert_eq!(is, status, "{body}: {answer}");
        assert!(answer.starts_with(r#"{"detail":[{"type":"#), "{answer}");
    }
    assert_eq!(call(&router, "POST", "/api/v1/package", "two", &"x".repeat(1001)).await.0, 413);
}

#[tokio::test]
async fn links_are_made_listed_and_ended_by_those_who_may() {
    let desk = Arc::new(Desk::default());
    let router = share(&desk);
    let at = "/api/v1/package/01KB0000000000000000000000/links";
    let asked = r#"{"label":"Ann's lab"}"#;
    assert_eq!(call(&router, "POST", at, "one", asked).await.0, 403, "who may look may not share");
    assert_eq!(call(&router, "POST", at, "two", "{}").await.0, 422);
    let (status, made) = call(&router, "POST", at, "two", asked).await;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    assert_eq!(
        (status, &made["label"], &made["script"]),
        (200, &json!("Ann's lab"), &json!("https://x/d/one.two/x.sh"))
    );
    let (status, listed) = call(&router, "GET", &format!("{at}/?rowsPerPage=2"), "one", "").await;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((status, &listed["pagination"]["count"]), (200, &json!(3)));
    assert_eq!(listed["results"].as_array().unwrap().len(), 2);
    assert_eq!(listed["results"][0]["createdAt"], "1970-01-01T00:00:00.000000Z");
    assert!(!listed.to_string().contains("https://x/d/"), "no secret is shown again");
    assert_eq!(call(&router, "DELETE", at, "one", "").await.0, 403);
    assert_eq!(call(&router, "DELETE", at, "two", "").await.0, 200);
    assert_eq!(call(&router, "DELETE", &format!("{at}/four"), "two", "").await.0, 200);
    let package = "pkg.01KB0000000000000000000000";
    let said = [
        format!("bob makes a link of {package} for Ann's lab"),
        format!("ends one of {package}"),
        format!("ends three of {package}"),
        format!("ends four of {package}"),
    ];
    assert_eq!(*desk.0.lock().unwrap(), said);
}

#[tokio::test]
async fn a_link_to_a_file_leads_on_and_nobody_keeps_where_to() {
    let router = share(&Arc::new(Desk::default()));
    let request = Request::get("/d/good/7").header("range", "bytes=40-").body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("location"), "https://s3.example.org/key?from=40");
    assert_eq!(
        (header("cache-control").as_str(), header("referrer-policy").as_str()),
        ("private, no-store", "no-referrer")
    );
    assert_eq!(call(&router, "GET", "/d/good", "", "").await.0, 200);
    assert_eq!(call(&router, "GET", "/d/other/7", "", "").await.0, 404);
}

/// A call from an address, perhaps by way of others.
async fn from(router: &Router, path: &str, token: &str, peer: &str, via: &str) -> (u16, Option<String>) {
    let mut request = Request::get(path).header("authorization", format!("Bearer {token}"));
    if !via.is_empty() {
        request = request.header("x-forwarded-for", via);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(server::Peer(peer.parse().unwrap()));
    let answer = router.clone().oneshot(request).await.unwrap();
    let wait = answer.headers().get("retry-after").map(|wait| wait.to_str().unwrap().to_owned());
    (answer.status().as_u16(), wait)
}

#[tokio::test(start_paused = true)]
async fn an_address_that_calls_too_often_has_to_wait_and_no_other() {
    let settings = ShareSettings { door_rate: 2, failed_token_rate: 2, ..ShareSettings::default() };
    let router = share_with(&Arc::new(Desk::default()), &settings);
    let door = async |peer: &str, via: &str| from(&router, "/d/good/7", "", peer, via).await;
    for expected in [302, 302, 429] {
        assert_eq!(door("192.0.2.1", "").await.0, expected);
    }
    assert_eq!(door("192.0.2.1", "").await, (429, Some("30".into())));
    assert_eq!(door("192.0.2.1", "198.51.100.7").await.0, 429, "what it says of others counts for nothing");
    assert_eq!(door("192.0.2.2", "").await.0, 302);
    tokio::time::sleep(std::time::Duration::from_secs(31)).await;
    assert_eq!(door("192.0.2.1", "").await.0, 302);
    assert_eq!(door("192.0.2.1", "").await.0, 429);

    let api = async |token: &str, peer: &str| from(&router, "/api/v1/package", token, peer, "").await.0;
    for expected in [200, 200, 200] {
        assert_eq!(api("one", "192.0.2.1").await, expected, "who has a token is not counted");
    }
    for expected in [401, 401, 429] {
        assert_eq!(api("three", "192.0.2.1").await, expected);
    }
    assert_eq!(api("one", "192.0.2.1").await, 429, "or it would tell which guess was right");
    assert_eq!(api("one", "192.0.2.2").await, 200);
}

#[tokio::test]
async fn a_gateway_is_believed_in_what_its_tokens_say() {
    let desk = Arc::new(Desk::default());
    let entry = |text: &str| ClaimScopes::read(text).unwrap();
    let scopes = [entry("groups curators read+package"), entry("groups all read")];
    let settings = ShareSettings { auth: Auth::Gateway, door_rate: 1, ..ShareSettings::default() };
    let router = router(Share {
        callers: Callers::Gateway(scopes.into()),
        rates: Arc::new(Rates::new(&settings)),
        ..shared(&desk)
    });
    let token = |claims: serde_json::Value| {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims.to_string());
        format!("e30.{encoded}.c2ln")
    };
    let asked = r#"{"packageName":"ab","packageRequest":{"libraryIdList":["L1"],"dataTypeList":["fastq"]}}"#;
    let curator = token(json!({ "sub": "cyn", "groups": ["curators"] }));
    assert_eq!(call(&router, "POST", "/api/v1/package", &curator, asked).await.0, 404);
    assert_eq!(*desk.0.lock().unwrap(), ["cyn makes ab"]);
    let reader = token(json!({ "sub": "dan", "groups": ["all"] }));
    assert_eq!(call(&router, "GET", "/api/v1/package", &reader, "").await.0, 200);
    let (status, why) = call(&router, "POST", "/api/v1/package", &reader, asked).await;
    assert_eq!((status, why.as_str()), (403, r#"{"detail":"the token of dan has no scope `package`"}"#));
    let other = token(json!({ "sub": "eve", "groups": ["others"] }));
    assert_eq!(call(&router, "GET", "/api/v1/package", &other, "").await.0, 403);
    for none in ["", "three", "a.b.c", &token(json!({ "groups": ["curators"] }))] {
        assert_eq!(call(&router, "GET", "/api/v1/package", none, "").await.0, 401, "{none}");
    }
    // It says for whom it calls; what those say before it counts for nothing.
    for (via, expected) in
        [("192.0.2.9, 198.51.100.7", 302), ("192.0.2.8, 198.51.100.7", 429), ("198.51.100.8", 302)]
    {
        assert_eq!(from(&router, "/d/good/7", "", "10.0.0.1", via).await.0, expected, "{via}");
    }
}
