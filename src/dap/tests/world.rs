//! A service in memory that notes what it is asked, and whatever is to go wrong.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{Request, Response};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    dap::{
        Dap, Settings, Ways,
        places::{Here, Places, Rates},
    },
    http::transport::{Body, Transport, TransportError},
    ports::{Result, chance::Dice, clock::Clock, source::ByteStream},
};

pub(super) const SECRET: &str = "hunter2-secret";
pub(super) const SIGNATURE: &str = "f00ba4-signature";

/// How long an answer takes.
const LATENCY: Duration = Duration::from_millis(20);

/// Wall time that goes with tokio's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Virtual(pub(super) Instant);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        "2026-11-30T10:00:07Z".parse::<Timestamp>().unwrap() + self.0.elapsed()
    }
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    Status(u16, Vec<(&'static str, String)>, String),
    Close,
    Hang,
    /// Only so many bytes come, with the true length announced.
    Short(usize),
    /// So many bytes come, then none.
    Stall(usize),
    /// Another body, with its length.
    Instead(Vec<u8>),
}

/// An error as the service words it.
pub(super) fn refused(status: u16, name: &str) -> Fault {
    let error = json!({ "error": { "type": name, "uuid": "5eed", "message": "so it is", "more": [1] } });
    Fault::Status(status, Vec::new(), error.to_string())
}

/// A call as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) at: Duration,
    /// `GET /path`.
    pub(super) line: String,
    pub(super) url: String,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The service.
#[derive(Debug)]
pub(super) struct Service {
    start: Instant,
    faults: Mutex<VecDeque<(String, usize, Fault)>>,
    seen: Mutex<Vec<Seen>>,
    /// What is answered, by line.
    pub(super) answers: Mutex<BTreeMap<String, String>>,
    /// Files, packed.
    pub(super) files: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(super) token_seconds: Mutex<i64>,
    /// Tokens of logins before that one are refused.
    good_from: Mutex<usize>,
    /// Where files are.
    pub(super) bucket: Mutex<String>,
}

pub(super) fn service() -> Arc<Service> {
    let answers = [
        ("GET /dap/query/canvas/table", json!({ "tables": ["courses", "users"], "next": null })),
        ("GET /dap/job/j", json!({ "id": "j", "status": "running" })),
    ];
    Arc::new(Service {
        start: Instant::now(),
        faults: Mutex::default(),
        seen: Mutex::default(),
        answers: Mutex::new(
            answers.into_iter().map(|(line, json)| (line.to_owned(), json.to_string())).collect(),
        ),
        files: Mutex::default(),
        token_seconds: Mutex::new(3600),
        good_from: Mutex::default(),
        bucket: Mutex::new("https://bucket.s3.amazonaws.com".to_owned()),
    })
}

impl Service {
    pub(super) fn clock(&self) -> Arc<Virtual> {
        Arc::new(Virtual(self.start))
    }

    /// That goes wrong with the next calls whose line begins so.
    pub(super) fn fault(&self, line: &str, times: usize, fault: Fault) {
        self.faults.lock().unwrap().push_back((line.to_owned(), times, fault));
    }

    pub(super) fn answer(&self, line: &str, answer: &Value) {
        self.answers.lock().unwrap().insert(line.to_owned(), answer.to_string());
    }

    /// A file of that text, in a member of gzip for each piece.
    pub(super) fn file(&self, name: &str, pieces: &[&[u8]]) {
        self.files
            .lock()
            .unwrap()
            .insert(name.to_owned(), pieces.iter().flat_map(|piece| gzip(piece)).collect());
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many calls began so.
    pub(super) fn count(&self, line: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| seen.line.starts_with(line)).count()
    }

    /// Refuses all tokens that were given so far.
    pub(super) fn revoke(&self) {
        *self.good_from.lock().unwrap() = self.count("POST /ids") + 1;
    }

    fn is_revoked(&self, headers: &http::HeaderMap) -> bool {
        let bearer =
            headers.get("authorization").and_then(|value| value.to_str().unwrap().strip_prefix("Bearer "));
        let claims = bearer.and_then(crate::domain::jwt::claims);
        claims.is_some_and(|claims| claims["n"].as_u64() < Some(*self.good_from.lock().unwrap() as u64))
    }

    fn next_fault(&self, line: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let (_, times, fault) =
            faults.iter_mut().find(|(begins, times, _)| *times > 0 && line.starts_with(begins.as_str()))?;
        *times -= 1;
        Some(fault.clone())
    }

    fn token(&self) -> String {
        let end = (Virtual(self.start).now().as_second()) + *self.token_seconds.lock().unwrap();
        let claims =
            BASE64_URL_SAFE_NO_PAD.encode(json!({ "exp": end, "n": self.count("POST /ids") }).to_string());
        format!("eyJhbGciOiJIUzI1NiJ9.{claims}.c2ln")
    }

    fn text(&self, line: &str, body: &str) -> Option<String> {
        if line.ends_with("/ids/auth/login") {
            let seconds = *self.token_seconds.lock().unwrap();
            return Some(
                json!({ "access_token": self.token(), "expires_in": seconds, "token_type": "Bearer" })
                    .to_string(),
            );
        }
        if line == "POST /dap/object/url" {
            let asked: Value = serde_json::from_str(body).unwrap();
            let name = asked[0]["id"].as_str().unwrap();
            let (bucket, n) = (self.bucket.lock().unwrap().clone(), self.count(line));
            let url = format!("{bucket}/{name}?X-Amz-Signature={SIGNATURE}{n}");
            return Some(json!({ "urls": { name: { "url": url } } }).to_string());
        }
        self.answers.lock().unwrap().get(line).cloned()
    }
}

fn closed() -> TransportError {
    TransportError { message: "the connection broke".to_owned(), never_sent: false, source: None }
}

#[async_trait]
impl Transport for Service {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let (parts, body) = self.open(request).await?.into_parts();
        let body: Vec<Bytes> = body.try_collect().await?;
        Ok(Response::from_parts(parts, body.concat().into()))
    }

    async fn open(&self, request: Request<Bytes>) -> Result<Response<Body>, TransportError> {
        let line = format!("{} {}", request.method(), request.uri().path());
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        let (url, headers) = (request.uri().to_string(), request.headers().clone());
        let seen = Seen { at: self.start.elapsed(), line: line.clone(), url, headers, body: body.clone() };
        self.seen.lock().unwrap().push(seen);
        sleep(LATENCY).await;
        let name = request.uri().path().trim_start_matches('/');
        let file = self.files.lock().unwrap().get(name).cloned();
        let whole = file.or_else(|| self.text(&line, &body).map(String::into_bytes));
        let fault = self.next_fault(&line);
        let fault = if self.is_revoked(request.headers()) {
            Some(refused(401, "AuthenticationError"))
        } else {
            fault
        };
        let (status, length, sent, hangs) = match (fault, whole) {
            (Some(Fault::Close), _) => return Err(closed()),
            (Some(Fault::Hang), _) => std::future::pending().await,
            (Some(Fault::Status(status, headers, body)), _) => {
                let mut answer = Response::builder().status(status);
                for (name, value) in headers {
                    answer = answer.header(name, value);
                }
                let body = stream::iter([Ok(Bytes::from(body))]).boxed();
                return Ok(answer.body(body).unwrap());
            }
            (Some(Fault::Instead(body)), _) => (200, body.len(), body, false),
            (Some(Fault::Short(bytes)), Some(whole)) => (200, whole.len(), whole[..bytes].to_vec(), false),
            (Some(Fault::Stall(bytes)), Some(whole)) => (200, whole.len(), whole[..bytes].to_vec(), true),
            (_, Some(whole)) => (200, whole.len(), whole, false),
            (_, None) => (404, 0, Vec::new(), false),
        };
        let chunks: Vec<_> = sent.chunks(1000).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let body = stream::iter(chunks);
        let body = if hangs { body.chain(stream::pending()).boxed() } else { body.boxed() };
        Ok(Response::builder().status(status).header("content-length", length).body(body).unwrap())
    }
}

pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

pub(super) fn settings() -> Settings {
    Settings {
        base_url: "https://gateway.example".to_owned(),
        client_id: "us-east-1#us".to_owned(),
        client_secret: SecretString::from(SECRET),
        ..Settings::default()
    }
}

/// A client of it with those settings, alone with its places.
pub(super) fn client_of(service: &Arc<Service>, settings: &Settings) -> Dap {
    try_client(service, settings).unwrap()
}

pub(super) fn try_client(service: &Arc<Service>, settings: &Settings) -> Result<Dap> {
    let rates = Rates { limits: settings.limits, minute: settings.minute };
    client_with(service, settings, Arc::new(Here::new(service.clock(), rates)))
}

pub(super) fn client_with(
    service: &Arc<Service>,
    settings: &Settings,
    places: Arc<dyn Places>,
) -> Result<Dap> {
    let ways = Ways { calls: Arc::clone(service) as _, files: Arc::clone(service) as _ };
    Dap::new(ways, places, service.clock(), Arc::new(Dice::from_seed(7)), settings)
}

/// A client without limits.
pub(super) fn client(service: &Arc<Service>) -> Dap {
    client_of(service, &Settings { limits: crate::dap::settings::Limits::NONE, ..settings() })
}

pub(super) async fn all(body: ByteStream) -> Result<Vec<u8>> {
    Ok(body.try_collect::<Vec<_>>().await?.concat())
}
