//! Clients of S3: one per region for our own role, one per set of temporary credentials.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, SdkConfig};
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
use secrecy::ExposeSecret as _;
use tokio::sync::OnceCell;

use super::classify;
use crate::{
    aws::clients::configured,
    ports::{
        Result,
        objects::{Access, BucketAccess},
    },
};

/// Temporary clients kept.
const MOST: usize = 64;
/// Buckets whose regions are kept.
const MOST_BUCKETS: usize = 1024;
/// Any region does where there is none: an endpoint that is given serves one only.
const NO_REGION: &str = "us-east-1";
/// A copy of 5 GiB inside S3, or the completion of an upload, takes minutes and says nothing meanwhile.
const SLOW: Duration = Duration::from_mins(30);
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// The same client twice: for calls that are answered at once, and for those that move bytes.
#[derive(Debug, Clone)]
struct Pair {
    quick: Client,
    slow: Client,
}

/// All clients.
pub(super) struct Clients {
    endpoint: Option<String>,
    own: OnceCell<SdkConfig>,
    /// For temporary credentials: no credentials and no region are looked for.
    bare: OnceCell<SdkConfig>,
    by_region: Mutex<HashMap<String, Pair>>,
    by_key: Mutex<HashMap<String, Pair>>,
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
            by_region: Mutex::default(),
            by_key: Mutex::default(),
            regions: Mutex::default(),
        }
    }

    /// The same with the configuration given.
    pub(super) fn from_config(config: &SdkConfig, endpoint: Option<String>) -> Self {
        let once = || OnceCell::new_with(Some(config.clone()));
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
        self.call(operation, bucket, access, move |pair| send(pair.quick)).await
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
        self.call(operation, bucket, access, move |pair| send(pair.slow)).await
    }

    /// The client for a body, which can be sent once only.
    pub(super) async fn once(&self, bucket: &str, access: &Access) -> Client {
        self.pair(bucket, access).await.slow
    }

    async fn call<T, E, F>(
        &self,
        operation: &'static str,
        bucket: &str,
        access: &Access,
        send: impl Fn(Pair) -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        T: Send,
    {
        let error = match send(self.pair(bucket, access).await).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        // Data outside ICAv2 may be in any region; a bucket that is asked elsewhere says where it is.
        let region = error.raw_response().and_then(|answer| answer.headers().get(BUCKET_REGION));
        let lost =
            error.raw_response().is_some_and(|answer| matches!(answer.status().as_u16(), 301 | 307 | 400));
        match (access, region) {
            (Access::Own, Some(region)) if lost && self.moves(bucket, region) => {
                send(self.pair(bucket, access).await).await.map_err(|error| classify(operation, error))
            }
            _ => Err(classify(operation, error)),
        }
    }

    /// Whether it is news that the bucket is in that region.
    fn moves(&self, bucket: &str, region: &str) -> bool {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        if regions.len() >= MOST_BUCKETS {
            regions.clear();
        }
        regions.insert(bucket.to_owned(), region.to_owned()).is_none_or(|before| before != region)
    }

    async fn pair(&self, bucket: &str, access: &Access) -> Pair {
        match access {
            Access::Own => {
                let config = self.own.get_or_init(|| configured(defaults()).load()).await;
                let known = self.regions.lock().unwrap_or_else(PoisonError::into_inner).get(bucket).cloned();
                let region = known.or_else(|| config.region().map(ToString::to_string));
                let region = region.unwrap_or_else(|| NO_REGION.to_owned());
                let endpoint = endpoint_of(config).or_else(|| self.endpoint.clone());
                kept(&self.by_region, region.clone(), || pair(config, endpoint, &region, None))
            }
            Access::Temporary(access) => {
                let bare = || configured(defaults().region(NO_REGION).no_credentials()).load();
                let config = self.bare.get_or_init(bare).await;
                let endpoint = self.endpoint.clone().or_else(|| endpoint_of(config));
                let key = access.access_key_id.clone();
                kept(&self.by_key, key, || pair(config, endpoint, &access.region, Some(access)))
            }
        }
    }
}

fn defaults() -> aws_config::ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
}

fn kept(pairs: &Mutex<HashMap<String, Pair>>, key: String, make: impl FnOnce() -> Pair) -> Pair {
    let mut pairs = pairs.lock().unwrap_or_else(PoisonError::into_inner);
    if pairs.len() >= MOST && !pairs.contains_key(&key) {
        // Making a client costs little; which one is dropped does not matter.
        pairs.clear();
    }
    pairs.entry(key).or_insert_with(make).clone()
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

fn pair(config: &SdkConfig, endpoint: Option<String>, region: &str, access: Option<&BucketAccess>) -> Pair {
    // Parts are checked by their MD5s, which every S3 knows; a checksum beside would only change what
    // is sent. Emulators serve no names of buckets, so an endpoint that is given gets them in the path.
    let mut quick = Builder::from(config)
        .region(Region::new(region.to_owned()))
        .force_path_style(endpoint.is_some())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    quick.set_endpoint_url(endpoint);
    if let Some(access) = access {
        let secret = access.secret_access_key.expose_secret();
        let token = Some(access.session_token.expose_secret().to_owned());
        quick =
            quick.credentials_provider(Credentials::new(&access.access_key_id, secret, token, None, "icav2"));
    }
    let quick = quick.build();
    let patient = TimeoutConfig::builder().connect_timeout(crate::aws::clients::CONNECT);
    let patient = patient.operation_attempt_timeout(SLOW).operation_timeout(2 * SLOW).build();
    let slow = quick.to_builder().timeout_config(patient).build();
    Pair { quick: Client::from_conf(quick), slow: Client::from_conf(slow) }
}
