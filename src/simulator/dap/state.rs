//! Everything that changes: jobs, objects, tokens, places under the limits, and the log of calls.

use std::collections::{HashMap, VecDeque};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp, fmt::temporal::DateTimePrinter};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{controls::Controls, log::Log, refusal::Refusal, world::Fields};

/// A query that is being answered, or was.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: String,
    /// What it says when it is complete.
    pub(super) told: Fields,
    /// Its objects, by name.
    pub(super) objects: Vec<(String, Bytes)>,
    /// Why it fails.
    pub(super) error: Option<Value>,
    /// How long it runs.
    pub(super) runs: SignedDuration,
    pub(super) done: Timestamp,
    pub(super) dies: Timestamp,
}

/// Everything that changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) controls: Controls,
    pub(super) log: Log,
    jobs: HashMap<String, Job>,
    /// Jobs by what they were asked.
    queries: HashMap<String, String>,
    /// The jobs that objects belong to.
    objects: HashMap<String, String>,
    /// Until when they are good.
    tokens: HashMap<String, Timestamp>,
    /// When an endpoint was called, within the last minute.
    calls: HashMap<&'static str, VecDeque<Timestamp>>,
    rng: StdRng,
    /// What URLs are signed with.
    secret: [u8; 32],
}

impl State {
    pub(super) fn new(seed: u64, controls: &Controls) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        Self {
            controls: controls.clone(),
            log: Log::default(),
            jobs: HashMap::new(),
            queries: HashMap::new(),
            objects: HashMap::new(),
            tokens: HashMap::new(),
            calls: HashMap::new(),
            rng,
            secret,
        }
    }

    /// The next id.
    pub(super) fn id(&mut self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// A token for who may have one.
    pub(super) fn login(&mut self, now: Timestamp) -> Value {
        let seconds = self.controls.token_seconds;
        let expires = later(now, seconds);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({
            "sub": self.controls.client_id, "exp": expires.as_second(), "jti": self.id(),
        });
        let head = json!({"alg": "HS256", "typ": "JWT"});
        let token = format!("{}.{}.c2lnbmF0dXJl", part(&head), part(&claims));
        self.tokens.retain(|_, until| *until >= now);
        self.tokens.insert(token.clone(), expires);
        json!({"access_token": token, "expires_in": whole(seconds), "scope": "dap", "token_type": "Bearer"})
    }

    /// Whether a token is good.
    pub(super) fn authenticate(&self, token: &str, now: Timestamp) -> Result<(), Refusal> {
        let good = self.tokens.get(token).is_some_and(|until| *until >= now);
        if good { Ok(()) } else { Err(Refusal::unauthorised("invalid or expired token")) }
    }

    pub(super) fn revoke(&mut self) {
        self.tokens.clear();
    }

    /// Takes a place under the limit of an endpoint.
    pub(super) fn admit(&mut self, endpoint: &'static str, now: Timestamp) -> Result<(), Refusal> {
        let limits = self.controls.limits.as_ref();
        let Some(limit) = limits.and_then(|limits| limits.get(endpoint)) else { return Ok(()) };
        let minute = self.controls.minute_seconds;
        let calls = self.calls.entry(endpoint).or_default();
        while calls.front().is_some_and(|at| later(*at, minute) <= now) {
            calls.pop_front();
        }
        if calls.len() < *limit {
            calls.push_back(now);
            return Ok(());
        }
        let free = calls.front().map_or(now, |at| later(*at, minute));
        let wait = free.duration_since(now).as_millis_f64() / 1000.0;
        Err(Refusal::throttled(whole_seconds((wait + 0.5).round())))
    }

    /// The job that was made for an equal query, if it can be shared.
    pub(super) fn shared(&self, query: &str, now: Timestamp) -> Option<&Job> {
        let job = self.jobs.get(self.queries.get(query)?)?;
        let failed = job.error.is_some() && !self.controls.keep_failed;
        Some(job).filter(|job| self.controls.deduplicate && !failed && job.dies > now)
    }

    /// Keeps a job, and forgets those whose time has passed.
    pub(super) fn keep(&mut self, query: String, job: Job, now: Timestamp) {
        let dead: Vec<_> =
            self.jobs.values().filter(|job| job.dies < now).map(|job| job.id.clone()).collect();
        for id in dead {
            self.lose(&id);
        }
        self.queries.insert(query, job.id.clone());
        self.objects.extend(job.objects.iter().map(|(name, _)| (name.clone(), job.id.clone())));
        self.jobs.insert(job.id.clone(), job);
    }

    pub(super) fn job(&self, id: &str, now: Timestamp) -> Result<&Job, Refusal> {
        self.jobs.get(id).filter(|job| job.dies >= now).ok_or_else(|| Refusal::unknown("job", id))
    }

    /// Makes a job fail.
    pub(super) fn fail(&mut self, id: &str, message: &str) {
        let error = json!({"type": "ProcessingError", "uuid": self.id(), "message": message});
        if let Some(job) = self.jobs.get_mut(id) {
            job.error = Some(error);
        }
    }

    /// Forgets a job.
    pub(super) fn lose(&mut self, id: &str) {
        let Some(job) = self.jobs.remove(id) else { return };
        for (name, _) in job.objects {
            self.objects.remove(&name);
        }
        self.queries.retain(|_, job| job != id);
    }

    /// The URL of an object: path and query.
    pub(super) fn url(&self, name: &str, now: Timestamp) -> Result<String, Refusal> {
        if self.object(name, now).is_none() {
            return Err(Refusal::unknown("object", name));
        }
        let until = later(now, self.controls.url_seconds).as_millisecond();
        let until = format!("{}.{:03}", until.div_euclid(1000), until.rem_euclid(1000));
        let signature = self.signature(name, &until);
        Ok(format!("/objects/{name}?X-Amz-Expires={until}&X-Amz-Signature={signature}"))
    }

    /// The bytes of an object, for who has a URL of it.
    pub(super) fn bytes(&self, name: &str, until: &str, signature: &str, now: Timestamp) -> Option<Bytes> {
        let seconds: f64 = until.parse().ok()?;
        let good = later(Timestamp::UNIX_EPOCH, seconds) >= now && signature == self.signature(name, until);
        self.object(name, now).filter(|_| good).cloned()
    }

    fn object(&self, name: &str, now: Timestamp) -> Option<&Bytes> {
        let job = self.jobs.get(self.objects.get(name)?).filter(|job| job.dies >= now)?;
        job.objects.iter().find(|(known, _)| known == name).map(|(_, bytes)| bytes)
    }

    fn signature(&self, name: &str, until: &str) -> String {
        let signed = Sha256::new().chain_update(self.secret).chain_update(name).chain_update(until);
        hex::encode(signed.finalize())
    }
}

impl Job {
    /// As the API shows it.
    pub(super) fn show(&self, now: Timestamp) -> Value {
        let expires = Timestamp::from_second(self.dies.as_second()).unwrap_or(self.dies);
        let mut shown = Fields::new();
        shown.insert("id".to_owned(), json!(self.id));
        shown.insert("expires_at".to_owned(), json!(text_of(expires)));
        let left = self.done.duration_since(now);
        let status = if self.error.is_some() {
            "failed"
        } else if left * 2 > self.runs {
            "waiting"
        } else if left.is_positive() {
            "running"
        } else {
            shown.extend(self.told.clone());
            let objects: Vec<_> = self.objects.iter().map(|(name, _)| json!({"id": name})).collect();
            shown.insert("objects".to_owned(), json!(objects));
            "complete"
        };
        shown.insert("status".to_owned(), json!(status));
        if let Some(error) = &self.error {
            shown.insert("error".to_owned(), error.clone());
        }
        Value::Object(shown)
    }
}

/// So many seconds later.
pub(super) fn later(at: Timestamp, seconds: f64) -> Timestamp {
    let after = SignedDuration::try_from_secs_f64(seconds).ok().and_then(|after| at.checked_add(after).ok());
    after.unwrap_or(Timestamp::MAX)
}

/// A time as the API writes it: with microseconds where there are some.
pub(super) fn text_of(at: Timestamp) -> String {
    let digits = if at.subsec_nanosecond() / 1000 == 0 { 0 } else { 6 };
    DateTimePrinter::new().precision(Some(digits)).timestamp_to_string(&at)
}

/// A whole number as one.
fn whole(number: f64) -> Value {
    if number.fract() == 0.0 { json!(whole_seconds(number)) } else { json!(number) }
}

fn whole_seconds(number: f64) -> u64 {
    SignedDuration::try_from_secs_f64(number).map_or(0, |duration| duration.as_secs().max(0).unsigned_abs())
}
