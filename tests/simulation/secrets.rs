//! What nobody may read: task tokens, bearer tokens, addresses that are signed, and links. Whatever is said in a history
//! is taken down as it is said, log lines at the finest level, before the net of the telemetry; at its end none of it
//! may hold any of these.

use std::{cell::RefCell, collections::BTreeSet, io, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
};
use copy_manager::{
    app::{Desk, kinds::Work},
    domain::share::{
        settings::{Presign, ShareSettings},
        tokens::TokenEntry,
    },
    ports::Ports,
    share::{Callers, Rates, Share, router},
    telemetry::redact::redact,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    errands::Way,
    history::live,
    shares,
    world::{Ask, Plan},
};

/// The token of the platform, and the secret key of S3.
pub(crate) const BEARER: &str = "bearer-5ecret";
pub(crate) const KEY: &str = "key-5ecret";
/// The token of whoever asks for packages.
const SHARE: &str = "share-5ecret";
/// One that nobody knows.
const WRONG: &str = "wrong-5ecret";
/// What stands in addresses that are signed.
const SIGNED: [&str; 3] = ["/sim/bytes/", "X-Amz-Signature", "X-Amz-Security-Token"];
/// Links of a package that are made at most.
const LINKS: usize = 4;

/// What was said on this thread.
#[derive(Default)]
struct Said {
    /// Log lines.
    log: Vec<u8>,
    /// Events, answers, and errors that callers are told.
    told: Vec<String>,
    /// Links that were made.
    links: BTreeSet<String>,
}

thread_local! {
    static SAID: RefCell<Said> = RefCell::default();
}

/// Takes down log lines.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        SAID.with_borrow_mut(|said| said.log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

/// From now on it is taken down what this thread says.
pub(crate) fn listen() -> DefaultGuard {
    SAID.take();
    let filter = EnvFilter::new("info,copy_manager=trace");
    let lines = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(|| Lines);
    tracing::subscriber::set_default(lines.finish())
}

/// Takes down what somebody is told.
pub(crate) fn told(text: &str) {
    SAID.with_borrow_mut(|said| said.told.push(text.to_owned()));
}

/// How much was listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Heard {
    /// Log lines.
    pub lines: usize,
    /// Events, answers and errors.
    pub told: usize,
    /// Links that were made.
    pub links: usize,
}

/// What was said that nobody may read, and how much was said.
pub(crate) fn judge(asks: &[Ask]) -> (Vec<String>, Heard) {
    let said = SAID.take();
    let heard = Heard { told: said.told.len(), links: said.links.len(), ..Heard::default() };
    let log = String::from_utf8_lossy(&said.log);
    let mut secrets: BTreeSet<String> = SIGNED.iter().map(|&mark| mark.to_owned()).collect();
    secrets.extend([BEARER, KEY, SHARE, WRONG].map(str::to_owned));
    // Some events are called as their tokens are.
    let plain = asks.iter().filter(|ask| !ask.body.contains("\"detail-type\""));
    secrets.extend(plain.map(|ask| ask.token.clone()).filter(|token| token.starts_with("token-")));
    secrets.extend(said.links);
    let mut broken = Vec::new();
    for (what, text) in log
        .lines()
        .map(|line| ("a log line", line))
        .chain(said.told.iter().map(|text| ("what is told", text.as_str())))
    {
        if let Some(secret) = secrets.iter().find(|secret| text.contains(secret.as_str())) {
            broken.push(format!("{what} holds the secret `{secret}`: {text}"));
        } else if redact(text) != text {
            broken.push(format!("{what} holds what the net had to catch: {text}"));
        }
    }
    broken.truncate(3);
    (broken, Heard { lines: log.lines().count(), ..heard })
}

/// The API of sharing at an instance.
pub(crate) fn api(work: &Work, ports: &Ports) -> Option<Router> {
    let sharing = ports.sharing.clone()?;
    let settings = ShareSettings { presign: Presign::Links, ..shares::settings() };
    let url: url::Url = "https://share.example.org".parse().unwrap();
    let (engine, packages) = (work.engine.clone(), work.packages.clone());
    let desk = Desk::new(engine, packages, ports, sharing, settings.clone(), url.clone());
    let entry = TokenEntry::read(&format!("ann:admin:{}", hex::encode(Sha256::digest(SHARE)))).unwrap();
    Some(router(Share {
        backend: Arc::new(desk),
        callers: Callers::Tokens([entry].into()),
        rates: Arc::new(Rates::new(&settings)),
        public_url: url,
        any_workflow: false,
        largest_body: 1 << 20,
    }))
}

/// A call. What is answered to one that fails is told to somebody.
async fn call(api: &Router, method: &str, path: &str, token: &str, body: Value) -> Option<Value> {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let answer = api.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let status = answer.status();
    let bytes = to_bytes(answer.into_body(), 16 << 20).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if !status.is_success() {
        told(&text);
        return None;
    }
    Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Somebody looks at the packages that there are, makes links to them and follows these: some that are right, some that
/// are not.
pub(crate) async fn visit(api: Router) {
    let at = "/api/v1/package";
    call(&api, "GET", at, WRONG, Value::Null).await;
    let Some(packages) = call(&api, "GET", at, SHARE, Value::Null).await else { return };
    told(&packages.to_string());
    for package in packages["results"].as_array().into_iter().flatten() {
        let links = format!("{at}/{}/links", package["id"].as_str().unwrap());
        let Some(known) = call(&api, "GET", &links, SHARE, Value::Null).await else { continue };
        told(&known.to_string());
        if known["results"].as_array().map_or(0, Vec::len) < LINKS {
            let made = call(&api, "POST", &links, SHARE, json!({ "label": "them" })).await;
            let report = format!("{at}/{}:getSummaryReport", package["id"].as_str().unwrap());
            let report = call(&api, "GET", &report, SHARE, Value::Null).await;
            let urls = [
                made.and_then(|made| made["url"].as_str().map(str::to_owned)),
                report.and_then(|url| url.as_str().map(str::to_owned)),
            ];
            for url in urls.into_iter().flatten() {
                let link =
                    url.split("/d/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
                let secret = link.rsplit('.').next().unwrap_or_default().to_owned();
                SAID.with_borrow_mut(|said| said.links.insert(secret));
                for rest in ["", "/1", "/99", "/report.html"] {
                    call(&api, "GET", &format!("/d/{link}{rest}"), "", Value::Null).await;
                }
                call(&api, "GET", &format!("/d/{link}0/1"), "", Value::Null).await;
            }
        }
        if let Some(ended) = known["results"][0]["id"].as_str() {
            call(&api, "DELETE", &format!("{links}/{ended}"), SHARE, Value::Null).await;
        }
    }
}

#[test]
fn what_nobody_may_read_is_noticed_wherever_it_is_said() {
    let plan = Plan::of(1);
    let token = plan.asks.iter().find(|ask| !ask.body.contains("\"detail-type\"")).unwrap().token.clone();
    let link = format!("01kb0000000000000000000000{}.{}", "0".repeat(16), "f".repeat(64));
    for secret in [
        format!("token {token} is gone"),
        format!("Bearer {BEARER}"),
        format!("is {SHARE} known?"),
        "https://s3/x?X-Amz-Signature=00".to_owned(),
        "PUT /sim/bytes/abc".to_owned(),
        format!("https://x/d/{link}/1"),
    ] {
        let guard = listen();
        tracing::debug!(target: "copy_manager::simulation", error = secret, "it was said");
        drop(guard);
        let (broken, _) = judge(&plan.asks);
        assert!(broken.len() == 1 && broken[0].starts_with("a log line holds"), "{secret}: {broken:?}");
        told(&secret);
        let (broken, _) = judge(&plan.asks);
        assert!(broken.len() == 1 && broken[0].starts_with("what is told holds"), "{secret}: {broken:?}");
    }
    let guard = listen();
    tracing::debug!(target: "copy_manager::simulation", "nothing is amiss");
    drop(guard);
    let (broken, heard) = judge(&plan.asks);
    assert_eq!((broken, heard.lines), (Vec::new(), 1));
}

#[test]
fn packages_are_visited_and_it_is_heard_what_is_said_of_them() {
    let is_pushed = |seed: &u64| {
        let requests = Plan::of(*seed).requests;
        requests.iter().any(|request| matches!(&request.way, Way::Share(share) if !share.forbidden))
    };
    let told: Vec<_> = (1..200).filter(is_pushed).take(3).map(|seed| live(seed, false)).collect();
    assert!(told.iter().all(|told| told.broken.is_empty()), "{:?}", told[0].broken);
    let heard: Vec<Heard> = told.iter().map(|told| told.heard).collect();
    assert!(heard.iter().all(|heard| heard.lines > 100 && heard.told > 10), "{heard:?}");
    assert!(heard.iter().any(|heard| heard.links > 1), "{heard:?}");
}
