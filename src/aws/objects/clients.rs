//! Clients of S3: one set per place, region and identity.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_config::{
    BehaviorVersion, SdkConfig, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_credential_types::Credentials;
use aws_sdk_s3::{
    Client,
    config::{
        Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation, http::HttpResponse,
        timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
};
use aws_types::service_config::ServiceConfigKey;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::classify;
use crate::{
    aws::clients::configured,
    ports::{
        Error, Result,
        objects::{Access, EndpointKeys},
    },
};

/// Sets of clients kept.
const MOST: usize = 64;
/// Buckets whose regions are kept.
const MOST_BUCKETS: usize = 1024;
/// Any region does where there is none: an endpoint that is given serves one only.
const NO_REGION: &str = "us-east-1";
/// A copy of 5 GiB inside S3, or the completion of an upload, takes minutes and says nothing meanwhile.
const SLOW: Duration = Duration::from_mins(30);
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// The same client three times.
#[derive(Debug, Clone)]
struct Set {
    /// For calls that are answered at once.
    quick: Client,
    /// For those that take their time.
    slow: Client,
    /// For those that take their time and are made once: bodies, and copies, whose pace is not ours.
    once: Client,
}

/// Who calls, where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    who: Who,
    url: Option<String>,
    region: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Own,
    Nobody,
    /// The key's id, and a hash of the secrets: they may change behind an id that stays.
    Key(String, u64),
}

/// What clients are made of, with what is asked of it for each call.
#[derive(Debug, Clone)]
struct Base {
    config: SdkConfig,
    endpoint: Option<String>,
    region: String,
}

impl Base {
    fn new(config: SdkConfig) -> Self {
        let region = config.region().map_or_else(|| NO_REGION.to_owned(), ToString::to_string);
        Self { endpoint: endpoint_of(&config), config, region }
    }
}

/// All clients.
pub(super) struct Clients {
    endpoint: Option<String>,
    own: OnceCell<Base>,
    /// For all others: no credentials and no region are looked for.
    bare: OnceCell<Base>,
    sets: Mutex<HashMap<Place, Set>>,
    /// Buckets that are not in our region.
    regions: Mutex<HashMap<String, String>>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Clients {
    pub(super) fn new(endpoint: Option<String>) -> Self {
        Self {
            endpoint,
            own: OnceCell::new(),
            bare: OnceCell::new(),
            sets: Mutex::default(),
            regions: Mutex::default(),
        }
    }

    /// The same with the configuration given.
    pub(super) fn from_config(config: &SdkConfig, endpoint: Option<String>) -> Self {
        let once = || OnceCell::new_with(Some(Base::new(config.clone())));
        Self { own: once(), bare: once(), ..Self::new(endpoint) }
    }

    /// Makes a call that is answered at once.
    pub(super) async fn quick<T, E, F>(
        &self,
        operation: &'static str,
        bucket: &str,
        access: &Access,
        send: impl Fn(Client) -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        T: Send,
    {
        self.call(operation, bucket, access, move |set| send(set.quick)).await
    }

    /// Makes a call that takes its time.
    pub(super) async fn slow<T, E, F>(
        &self,
        operation: &'static str,
        bucket: &str,
        access: &Access,
        send: impl Fn(Client) -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        T: Send,
    {
        self.call(operation, bucket, access, move |set| send(set.slow)).await
    }

    /// Makes a call that takes its time, and is not tried again.
    pub(super) async fn once<T, E, F>(
        &self,
        operation: &'static str,
        bucket: &str,
        access: &Access,
        send: impl Fn(Client) -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        T: Send,
    {
        self.call(operation, bucket, access, move |set| send(set.once)).await
    }

    /// Makes a call in the region that is meant, whatever is known of the bucket: one in another is
    /// refused with its name.
    pub(super) async fn here<T, E, F>(
        &self,
        operation: &'static str,
        access: &Access,
        send: impl Fn(Client) -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        T: Send,
    {
        let (set, region) = self.set(None, access).await;
        let error = match send(set.slow).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let elsewhere = region_told(&error).filter(|told| *told != region);
        let mut told = told(operation, error);
        if let Some(elsewhere) = elsewhere {
            told.code = Some("PermanentRedirect".to_owned());
            told.message = format!("PermanentRedirect: the bucket is in {elsewhere}, not in {region}");
        }
        Err(told)
    }

    /// The client for a body, which can be sent once only.
    pub(super) async fn for_body(&self, bucket: &str, access: &Access) -> Client {
        self.set(Some(bucket), access).await.0.once
    }

    async fn call<T, E, F>(
        &self,
        operation: &'static str,
        bucket: &str,
        access: &Access,
        send: impl Fn(Set) -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        T: Send,
    {
        let (set, asked) = self.set(Some(bucket), access).await;
        let error = match send(set).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        // Data outside ICAv2 may be in any region; a bucket that is asked elsewhere says where it is.
        match region_told(&error).filter(|region| is_anywhere(access) && *region != asked) {
            Some(region) => {
                self.remember(bucket, region);
                let (set, _) = self.set(Some(bucket), access).await;
                send(set).await.map_err(|error| told(operation, error))
            }
            None => Err(told(operation, error)),
        }
    }

    fn remember(&self, bucket: &str, region: String) {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        if regions.len() >= MOST_BUCKETS {
            regions.clear();
        }
        regions.insert(bucket.to_owned(), region);
    }

    /// The clients for calls with that access, and the region they ask; with `bucket`, the one that it
    /// is known to be in.
    async fn set(&self, bucket: Option<&str>, access: &Access) -> (Set, String) {
        let who = who(access);
        let base = match who {
            Who::Own => self.own.get_or_init(async || Base::new(configured(defaults()).load().await)).await,
            Who::Nobody | Who::Key(..) => {
                let bare = || configured(defaults().region(NO_REGION).no_credentials()).load();
                self.bare.get_or_init(async || Base::new(bare().await)).await
            }
        };
        let (url, region) = match access {
            Access::Own | Access::Unsigned => (None, None),
            Access::Temporary(access) => (self.endpoint.clone(), Some(access.region.clone())),
            Access::Endpoint(endpoint) => (endpoint.url.clone(), endpoint.region.clone()),
        };
        let known = || {
            let regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.filter(|_| is_anywhere(access)).and_then(|bucket| regions.get(bucket)).cloned()
        };
        let region = region.or_else(known).unwrap_or_else(|| base.region.clone());
        let url = url.or_else(|| base.endpoint.clone()).or_else(|| self.endpoint.clone());
        let place = Place { who, url, region: region.clone() };
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if sets.len() >= MOST && !sets.contains_key(&place) {
            // Making a client costs little; which one is dropped does not matter.
            sets.clear();
        }
        let set = sets.entry(place).or_insert_with_key(|place| set(&base.config, place, credentials(access)));
        (set.clone(), region)
    }
}

fn who(access: &Access) -> Who {
    let hash = |secret: &SecretString, token: Option<&SecretString>| {
        let mut hash = DefaultHasher::new();
        (secret.expose_secret(), token.map(ExposeSecret::expose_secret)).hash(&mut hash);
        hash.finish()
    };
    match access {
        Access::Own => Who::Own,
        Access::Unsigned => Who::Nobody,
        Access::Temporary(access) => {
            let hash = hash(&access.secret_access_key, Some(&access.session_token));
            Who::Key(access.access_key_id.clone(), hash)
        }
        Access::Endpoint(endpoint) => match &endpoint.keys {
            EndpointKeys::Own => Who::Own,
            EndpointKeys::None => Who::Nobody,
            EndpointKeys::Static { access_key_id, secret_access_key, session_token } => {
                Who::Key(access_key_id.clone(), hash(secret_access_key, session_token.as_ref()))
            }
        },
    }
}

/// The credentials that come with the access itself.
fn credentials(access: &Access) -> Option<Credentials> {
    let (id, secret, token) = match access {
        Access::Temporary(access) => {
            (&access.access_key_id, &access.secret_access_key, Some(&access.session_token))
        }
        Access::Endpoint(endpoint) => match &endpoint.keys {
            EndpointKeys::Static { access_key_id, secret_access_key, session_token } => {
                (access_key_id, secret_access_key, session_token.as_ref())
            }
            EndpointKeys::Own | EndpointKeys::None => return None,
        },
        Access::Own | Access::Unsigned => return None,
    };
    let token = token.map(|token| token.expose_secret().to_owned());
    Some(Credentials::new(id, secret.expose_secret(), token, None, "given"))
}

/// Whether nobody says in which region the bucket is.
fn is_anywhere(access: &Access) -> bool {
    match access {
        Access::Own | Access::Unsigned => true,
        Access::Temporary(_) => false,
        Access::Endpoint(endpoint) => endpoint.url.is_none() && endpoint.region.is_none(),
    }
}

/// The region of a bucket that was asked in the wrong one.
fn region_told<E>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    let answer = error.raw_response()?;
    let lost = matches!(answer.status().as_u16(), 301 | 307 | 400);
    answer.headers().get(BUCKET_REGION).filter(|_| lost).map(str::to_owned)
}

/// What the error means. The answer to a HEAD holds no code, and its status stands for it.
fn told<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let has_code = error.as_service_error().is_none_or(|error| error.code().is_some());
    let mut error = classify(operation, error);
    let named = match error.status {
        Some(301 | 307) => "PermanentRedirect",
        Some(400) => "BadRequest",
        Some(403) => "AccessDenied",
        Some(404) => "NotFound",
        Some(412) => "PreconditionFailed",
        Some(503) => "SlowDown",
        _ => return error,
    };
    if !has_code {
        error.code = Some(named.to_owned());
        named.clone_into(&mut error.message);
    }
    error
}

fn defaults() -> aws_config::ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
}

/// The endpoint that the environment names, for S3 or for everything.
fn endpoint_of(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let own = config.service_config().and_then(|service| service.load_config(key));
    own.or_else(|| config.endpoint_url().map(str::to_owned))
}

fn set(config: &SdkConfig, place: &Place, credentials: Option<Credentials>) -> Set {
    // Parts are checked by their MD5s, which every S3 knows; a checksum beside would only change what
    // is sent. Emulators serve no names of buckets, so an endpoint that is given gets them in the path.
    // A copy sends nothing for minutes, which stalls no stream.
    let base = match place.who {
        Who::Nobody => {
            let mut unsigned = config.clone().into_builder();
            unsigned.set_credentials_provider(None);
            Builder::from(&unsigned.build()).allow_no_auth()
        }
        Who::Own | Who::Key(..) => Builder::from(config),
    };
    let mut quick = base
        .region(Region::new(place.region.clone()))
        .force_path_style(place.url.is_some())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    quick.set_endpoint_url(place.url.clone());
    if let Some(credentials) = credentials {
        quick = quick.credentials_provider(credentials);
    }
    let quick = quick.build();
    let patient = TimeoutConfig::builder().connect_timeout(crate::aws::clients::CONNECT);
    let patient = patient.operation_attempt_timeout(SLOW).operation_timeout(2 * SLOW).build();
    let slow = quick.to_builder().timeout_config(patient).build();
    let once = slow.to_builder().retry_config(RetryConfig::disabled()).build();
    Set { quick: Client::from_conf(quick), slow: Client::from_conf(slow), once: Client::from_conf(once) }
}
