//! Clients of S3: one set per place, region and identity.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_config::{
    BehaviorVersion, SdkConfig, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_credential_types::{Credentials, provider::ProvideCredentials as _};
use aws_sdk_s3::{
    Client,
    config::{
        Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation, http::HttpResponse,
        timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
};
use aws_types::service_config::ServiceConfigKey;
use tokio::{sync::OnceCell, time::sleep};

use super::{
    Settings,
    identity::{Who, credentials, is_anywhere, who},
    trouble::{Answer, answer_of, given_up},
};
use crate::{
    aws::clients::configured,
    ports::{Error, Result, objects::Access},
};

/// Sets of clients kept.
const MOST: usize = 64;
/// Buckets whose regions are kept.
const MOST_BUCKETS: usize = 1024;
/// Any region does where there is none: an endpoint that is given serves one only.
const NO_REGION: &str = "us-east-1";
/// A copy of 5 GiB inside S3, or the completion of an upload, takes minutes and says nothing meanwhile.
const SLOW: Duration = Duration::from_mins(30);
/// How often a call is made whose answer says nothing of what was asked, and the first wait between.
const TRIES: u32 = 3;
const WAIT: Duration = Duration::from_millis(200);

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

/// The identity that calls, and the endpoint that is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    who: Who,
    url: Option<String>,
    region: String,
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
    settings: Settings,
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
            settings: Settings::default(),
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

    /// The same, as these settings say.
    pub(super) fn with(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Whether what is written goes with checksums.
    pub(super) const fn checksums(&self) -> bool {
        self.settings.checksums
    }

    /// Whether we offer to pay for calls that name this bucket.
    pub(super) fn pays(&self, bucket: &str) -> bool {
        self.settings.requester_pays.iter().any(|pattern| pattern.matches(bucket))
    }

    /// The same error, with what may be the matter with a bucket whose owner lets its readers pay.
    fn hinted(&self, bucket: &str, mut error: Error) -> Error {
        if error.code.as_deref() == Some("AccessDenied") && !self.pays(bucket) {
            error.message.push_str(" (where its requesters pay, s3.requester_pays must name the bucket)");
        }
        error
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
        let mut tries = 0;
        loop {
            let error = match send(set.slow.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let told = match answer_of(operation, error) {
                Answer::Elsewhere { region: told, error } if told != region => {
                    let message = format!("PermanentRedirect: the bucket is in {told}, not in {region}");
                    return Err(Error { code: Some("PermanentRedirect".to_owned()), message, ..error });
                }
                Answer::Odd(error) => error,
                Answer::Elsewhere { error, .. } | Answer::Final(error) => return Err(error),
            };
            tries += 1;
            if tries >= TRIES {
                return Err(given_up(told));
            }
            sleep(WAIT * tries).await;
        }
    }

    /// Our own credentials, as they are now; `None` where there are none.
    pub(super) async fn own_credentials(&self) -> Result<Option<Credentials>> {
        let base = self.own.get_or_init(async || Base::new(configured(defaults()).load().await)).await;
        let Some(provider) = base.config.credentials_provider() else { return Ok(None) };
        let given = provider.provide_credentials().await;
        given.map(Some).map_err(|error| {
            let why = "our own credentials cannot be had";
            Error::new(crate::ports::Class::Unauthorized, "provide credentials", why).caused_by(error)
        })
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
        let mut tries = 0;
        loop {
            let (set, asked) = self.set(Some(bucket), access).await;
            let error = match send(set).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            tries += 1;
            match answer_of(operation, error) {
                // Data outside ICAv2 may be in any region; a bucket that is asked elsewhere says where it is.
                Answer::Elsewhere { region, .. }
                    if is_anywhere(access) && region != asked && tries < TRIES =>
                {
                    self.remember(bucket, region);
                }
                Answer::Odd(_) if tries < TRIES => sleep(WAIT * tries).await,
                Answer::Odd(error) => return Err(given_up(error)),
                Answer::Elsewhere { error, .. } => return Err(error),
                Answer::Final(error) => return Err(self.hinted(bucket, error)),
            }
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
        let set = sets
            .entry(place)
            .or_insert_with_key(|place| set(&base.config, place, credentials(access), self.checksums()));
        (set.clone(), region)
    }
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

fn set(config: &SdkConfig, place: &Place, credentials: Option<Credentials>, checksums: bool) -> Set {
    // A bucket under Object Lock takes no bytes without a checksum.
    let checksums = if checksums {
        RequestChecksumCalculation::WhenSupported
    } else {
        RequestChecksumCalculation::WhenRequired
    };
    // Emulators serve no names of buckets, so an endpoint that is given gets them in the path.
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
        .request_checksum_calculation(checksums)
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
