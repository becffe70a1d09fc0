//! A transport that answers as a test says, and everything else a client needs.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use copy_manager::{
    http::transport::{Transport, TransportError},
    icav2::{Settings, client::Client},
    ports::{
        Result as PortResult,
        chance::Dice,
        clock::Clock,
        tokens::{Bearer, TokenSource},
    },
};
use http::{Request, Response};
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::time::{Instant, sleep};

/// What a transport answers.
pub(crate) type Answer = Result<Response<Bytes>, TransportError>;

type Answerer = dyn Fn(&Request<Bytes>, usize) -> Answer + Send + Sync;

/// Answers each request, given how many came before, and remembers all of them.
pub(crate) struct Script {
    answer: Box<Answerer>,
    seen: Mutex<Vec<Request<Bytes>>>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    /// A script.
    pub(crate) fn new(
        answer: impl Fn(&Request<Bytes>, usize) -> Answer + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { answer: Box::new(answer), seen: Mutex::default() })
    }

    /// Always the same JSON.
    pub(crate) fn always(status: u16, body: impl fmt::Display) -> Arc<Self> {
        let body = body.to_string();
        Self::new(move |_, _| answer(status, &body))
    }

    /// How many requests came.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The only request that came.
    pub(crate) fn only(&self) -> Request<Bytes> {
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.first().cloned().unwrap()
    }

    /// Method, path and query of all requests, without the base.
    pub(crate) fn lines(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|request| format!("{} {}", request.method(), target(request))).collect()
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request<Bytes>) -> Answer {
        let before = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        sleep(Duration::from_millis(1)).await;
        (self.answer)(&request, before)
    }
}

/// Path and query after the base.
pub(crate) fn target(request: &Request<Bytes>) -> String {
    request.uri().to_string().strip_prefix("https://ica.test/rest").unwrap().to_owned()
}

/// A header's text.
pub(crate) fn header(request: &Request<Bytes>, name: &str) -> Option<String> {
    request.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

/// An answer with a body.
pub(crate) fn answer(status: u16, body: &str) -> Answer {
    Ok(Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).unwrap())
}

/// No answer.
pub(crate) fn lost(never_sent: bool) -> Answer {
    Err(TransportError { message: "the line went dead".into(), never_sent, source: None })
}

/// A wall clock that follows tokio's.
#[derive(Debug)]
pub(crate) struct TestClock(pub(crate) Instant);

/// When every test begins.
pub(crate) const BEGIN: i64 = 1_700_000_000;

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(BEGIN).unwrap() + self.0.elapsed()
    }
}

/// A source that makes another token each time.
#[derive(Debug)]
pub(crate) struct Tokens {
    made: AtomicUsize,
    life: Duration,
    begun: Instant,
    /// Whether tokens say when they begin.
    dated: bool,
}

impl Tokens {
    /// Tokens good for `life`.
    pub(crate) fn new(life: Duration, dated: bool) -> Arc<Self> {
        Arc::new(Self { made: AtomicUsize::new(0), life, begun: Instant::now(), dated })
    }

    /// Tokens that last.
    pub(crate) fn lasting() -> Arc<Self> {
        Self::new(Duration::from_hours(24), false)
    }

    /// How many were made.
    pub(crate) fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl TokenSource for Tokens {
    async fn fetch(&self) -> PortResult<Bearer> {
        sleep(Duration::from_millis(5)).await;
        let n = self.made.fetch_add(1, Ordering::SeqCst);
        let now = Timestamp::from_second(BEGIN).unwrap() + self.begun.elapsed();
        let ends = now + self.life;
        let begins = if self.dated { format!(r#","nbf":{}"#, now.as_second()) } else { String::new() };
        let claims = format!(r#"{{"n":{n},"exp":{}{begins}}}"#, ends.as_second());
        let secret = SecretString::from(format!("eyJh.{}.n{n}", URL_SAFE_NO_PAD.encode(claims)));
        Ok(Bearer { secret, expires: Some(ends) })
    }
}

/// Which of the tokens a request carries.
pub(crate) fn token_of(request: &Request<Bytes>) -> String {
    header(request, "authorization").unwrap().rsplit('.').next().unwrap().to_owned()
}

/// A client of that transport.
pub(crate) fn client(script: &Arc<Script>) -> Client {
    client_with(script, Tokens::lasting(), 1000)
}

/// A client of that transport, with those tokens and that pace.
pub(crate) fn client_with(script: &Arc<Script>, tokens: Arc<dyn TokenSource>, rate: u32) -> Client {
    let settings = Settings {
        base_url: "https://ica.test/rest".into(),
        requests_per_second: NonZeroU32::new(rate).unwrap(),
        timeout: Duration::from_secs(30),
    };
    let clock = Arc::new(TestClock(Instant::now()));
    Client::new(script.clone(), tokens, clock, Arc::new(Dice::from_seed(1)), settings)
}

/// A `ProjectData`, with more fields than we read.
pub(crate) fn entry(id: &str, path: &str, size: Option<u64>) -> serde_json::Value {
    let kind = if path.ends_with('/') { "FOLDER" } else { "FILE" };
    serde_json::json!({
        "projectId": "11111111-2222-4333-8444-555555555555",
        "data": {
            "id": id,
            "urn": null,
            "details": {
                "timeCreated": "2025-07-11T03:12:04Z",
                "timeModified": "2025-07-11T03:12:04Z",
                "tenantId": "a",
                "owningProjectId": "99999999-2222-4333-8444-555555555555",
                "name": path.trim_end_matches('/').rsplit('/').next(),
                "path": path,
                "fileSizeInBytes": size,
                "status": "AVAILABLE",
                "tags": {},
                "dataType": kind,
                "objectETag": null,
                "somethingNew": {"x": [1, 2]},
            },
        },
    })
}

/// A page of entries.
pub(crate) fn page(items: &[serde_json::Value], next: Option<&str>) -> String {
    serde_json::json!({"items": items, "nextPageToken": next, "remainingRecords": 3}).to_string()
}
