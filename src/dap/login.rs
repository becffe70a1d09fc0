//! The token that all calls share.
//!
//! Callers that need another at the same time make one login, and share its failure. A login that was refused is
//! not made again for a minute: a wrong secret must make no storm. Where the client is kept elsewhere, it is read again
//! before its refusal stands: it may have got another secret.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use url::Url;

use super::{
    call,
    refusal::{self, Secrets},
    settings::{Credentials, Keyring, Settings},
    wire,
};
use crate::{
    domain::jwt,
    http::transport::Transport,
    ports::{Class, Error, Result, clock::Clock},
    signals,
};

const LOGIN: &str = "POST /ids/auth/login";
/// A token that ends sooner is replaced before it is used.
const REFRESH_BEFORE: SignedDuration = SignedDuration::from_mins(5);
/// Used where a token does not say when it ends.
const USUAL_LIFE: SignedDuration = SignedDuration::from_hours(1);
/// Between two tries to replace a token that still lives.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// How long a refusal stands.
const STANDS: Duration = Duration::from_mins(1);

/// A token.
pub(super) struct Held {
    /// The token.
    pub(super) token: SecretString,
    /// When it is to be replaced.
    refresh_at: Timestamp,
    /// Whether it was got because the one before was refused.
    instead: bool,
    /// Whether a call was let in with it.
    proven: AtomicBool,
}

impl Held {
    /// A call was let in with it.
    pub(super) fn is_good(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    /// The same, to be replaced a little later.
    fn longer(&self, now: Timestamp) -> Self {
        let refresh_at = now.checked_add(AGAIN).unwrap_or(Timestamp::MAX);
        let proven = AtomicBool::new(self.proven.load(Ordering::Relaxed));
        Self { token: self.token.clone(), refresh_at, instead: self.instead, proven }
    }
}

/// The token at hand, and how the last login went.
#[derive(Default)]
struct State {
    held: Option<Arc<Held>>,
    /// The last login failed so; with until when that stands, if it was a refusal.
    failed: Option<(Error, Option<Instant>)>,
}

/// A client's secret, by itself and with its id as both are sent.
pub(super) struct Pair {
    secret: SecretString,
    sent: SecretString,
}

impl Pair {
    fn new(Credentials { id, secret }: Credentials) -> Arc<Self> {
        let pair = SecretString::from(format!("{id}:{}", secret.expose_secret()));
        let sent = SecretString::from(BASE64_STANDARD.encode(pair.expose_secret()));
        Arc::new(Self { secret, sent })
    }

    /// What must not be shown, with what a call carries.
    pub(super) fn secrets<'a>(&'a self, token: &'a SecretString) -> Secrets<'a> {
        Secrets { client: [&self.secret, &self.sent], token }
    }
}

/// Gives tokens.
pub(super) struct Logins {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    base: Url,
    pair: RwLock<Arc<Pair>>,
    keyring: Option<Arc<dyn Keyring>>,
    timeout: Duration,
    /// Counts logins, so that those who wait for one know that it was made.
    made: AtomicU64,
    state: Mutex<State>,
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").finish_non_exhaustive()
    }
}

impl Logins {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        base: Url,
        settings: &Settings,
    ) -> Self {
        let (id, secret) = (settings.client_id.clone(), settings.client_secret.clone());
        let pair = RwLock::new(Pair::new(Credentials { id, secret }));
        let (keyring, timeout) = (settings.keyring.clone(), settings.timeout);
        let (made, state) = (AtomicU64::default(), Mutex::default());
        Self { transport, clock, base, pair, keyring, timeout, made, state }
    }

    /// The client as it is sent now.
    pub(super) fn pair(&self) -> Arc<Pair> {
        Arc::clone(&self.pair.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The token at hand, or a new one.
    pub(super) async fn token(&self) -> Result<Arc<Held>> {
        self.get(None).await
    }

    /// Another token, after that one was refused.
    ///
    /// # Errors
    ///
    /// `Unauthorized` where the one that was refused was itself got instead of another, and was never any good.
    pub(super) async fn another(&self, refused: &Arc<Held>) -> Result<Arc<Held>> {
        self.get(Some(refused)).await
    }

    async fn get(&self, refused: Option<&Arc<Held>>) -> Result<Arc<Held>> {
        let before = self.made.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let is_refused = |held: &Arc<Held>| refused.is_some_and(|refused| Arc::ptr_eq(held, refused));
        if let Some(held) = state.held.as_ref().filter(|held| !is_refused(held) && now < held.refresh_at) {
            return Ok(Arc::clone(held));
        }
        let was_made = self.made.load(Ordering::Acquire) > before;
        let stands = |until: &Option<Instant>| until.is_some_and(|until| Instant::now() < until);
        if let Some((error, _)) = state.failed.as_ref().filter(|(_, until)| was_made || stands(until)) {
            return Err(copy(error));
        }
        if let Some(refused) = refused.filter(|held| held.instead && !held.proven.load(Ordering::Relaxed)) {
            let said = "a token is refused that was given for canvas.client_id a moment ago";
            let error = Error::new(Class::Unauthorized, LOGIN, said);
            if state.held.as_ref().is_some_and(|held| Arc::ptr_eq(held, refused)) {
                state.held = None;
                state.failed = Some((copy(&error), Some(Instant::now() + STANDS)));
            }
            return Err(error);
        }
        let result = self.login(refused.is_some()).await;
        self.made.fetch_add(1, Ordering::Release);
        match result {
            Ok(held) => {
                let held = Arc::new(held);
                *state = State { held: Some(Arc::clone(&held)), failed: None };
                Ok(held)
            }
            Err(error) => {
                // A token that lives for some minutes more is better than none.
                let usable = state.held.as_ref().filter(|held| !is_refused(held) && now < ends(held));
                if let Some(held) =
                    usable.filter(|_| error.is_passing() && error.class != Class::Unauthorized)
                {
                    let held = Arc::new(held.longer(now));
                    state.held = Some(Arc::clone(&held));
                    return Ok(held);
                }
                let until = (!matches!(error.class, Class::Transient | Class::Throttled))
                    .then(|| Instant::now() + STANDS);
                *state = State { held: None, failed: Some((copy(&error), until)) };
                Err(error)
            }
        }
    }

    /// One login; another one where the client has got another secret since it was read.
    async fn login(&self, instead: bool) -> Result<Held> {
        let pair = self.pair();
        match (self.login_as(&pair, instead).await, &self.keyring) {
            (Err(error), Some(keyring)) if error.class == Class::Unauthorized => {
                // Where it cannot be read, the refusal says more.
                let Ok(credentials) = keyring.credentials().await else { return Err(error) };
                let other = Pair::new(credentials);
                if other.sent.expose_secret() == pair.sent.expose_secret() {
                    return Err(error);
                }
                *self.pair.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&other);
                self.login_as(&other, instead).await
            }
            (result, _) => result,
        }
    }

    async fn login_as(&self, pair: &Pair, instead: bool) -> Result<Held> {
        let host = self.base.host_str().unwrap_or("nowhere");
        let url = call::below(&self.base, &["ids", "auth", "login"], LOGIN)?;
        let mut request =
            call::request(LOGIN, Method::POST, &url, &format!("Basic {}", pair.sent.expose_secret()))?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        *request.body_mut() = Bytes::from_static(b"grant_type=client_credentials");
        let answer = timeout(self.timeout, self.transport.send(request)).await;
        signals::dap::called("login", call::status(&answer));
        let answer = answer.map_err(|_| refusal::late(LOGIN, host, self.timeout))?;
        let answer = answer.map_err(|cause| refusal::no_answer(LOGIN, host, cause))?;
        let (parts, body) = answer.into_parts();
        let now = self.clock.now();
        if !parts.status.is_success() {
            let secrets = pair.secrets(&pair.sent);
            return Err(advised(refusal::refusal(LOGIN, host, &parts, &body, now, &secrets)));
        }
        // What serde says of a body may quote it, and this body is a token.
        let login: wire::Login = serde_json::from_slice(&body).map_err(|error| {
            let at = error.is_data().then_some("access_token");
            refusal::gibberish(LOGIN, host, &parts, at)
        })?;
        let left = life(&login, now);
        let early = REFRESH_BEFORE.min(left / 2);
        let refresh_at = now.checked_add(left - early).unwrap_or(Timestamp::MAX);
        Ok(Held { token: login.access_token, refresh_at, instead, proven: AtomicBool::default() })
    }
}

/// How long a token lives from now on. Where the clocks differ so much that its end has passed, its life is taken.
fn life(login: &wire::Login, now: Timestamp) -> SignedDuration {
    let claimed = jwt::expiry(login.access_token.expose_secret()).map(|end| end.duration_since(now));
    let told = login.expires_in.and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok());
    let lives = |life: &SignedDuration| *life > SignedDuration::ZERO;
    claimed.filter(lives).or_else(|| told.filter(lives)).unwrap_or(USUAL_LIFE)
}

/// When a token ends, as far as that was known: it is replaced before.
fn ends(held: &Held) -> Timestamp {
    let end = jwt::expiry(held.token.expose_secret());
    end.unwrap_or(held.refresh_at)
}

/// The refusal of a login, with what to look at.
fn advised(mut error: Error) -> Error {
    let status = error.status.and_then(|status| StatusCode::from_u16(status).ok());
    let advice = match (error.class, status) {
        (Class::Unauthorized, _) | (_, Some(StatusCode::BAD_REQUEST)) => {
            error.class = Class::Unauthorized;
            "canvas.client_id and canvas.client_secret are refused"
        }
        (Class::Forbidden, _) => "the client of canvas.client_id is not allowed to log in",
        (Class::NotFound | Class::Invalid, _) => "no login is to be had there; is canvas.base_url right?",
        (Class::Transient | Class::Throttled | Class::Conflict, _) => return error,
    };
    error.message = format!("{advice}: {}", error.message);
    error
}

/// The same error again, for another caller.
fn copy(error: &Error) -> Error {
    let mut copy = Error::new(error.class, error.operation, error.message.clone());
    copy.status = error.status;
    copy.code.clone_from(&error.code);
    copy.retry_after = error.retry_after;
    copy
}
