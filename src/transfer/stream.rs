//! One file from a presigned GET (or from S3) into a presigned PUT.
//!
//! Promises: memory for two chunks whatever the file's size, `Content-Length` on the PUT, and nothing
//! completed at the destination unless length and MD5 are right. The MD5 is checked here, or by S3 where the
//! source's answer proves it, the PUT carries it (`Content-MD5`), and the destination has told MD5s before. An error says which side failed;
//! it never says where, because a presigned URL is a secret.

use std::{
    collections::BTreeMap,
    future::Future,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use secrecy::ExposeSecret as _;
use tokio::{
    pin, select,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    checked::{MustBe, Progress, Promise, checked},
    multipart::Begun,
    wire::{Body, GET, Opened, PUT, Wire},
};
use crate::{
    domain::file::ETag,
    ports::{
        Class, Error, Result,
        objects::{ObjectStore, PartTag},
        transfers::{
            ObjectSource, ObjectStream, PartStream, PartsUpload, PresignedUrl, Sent, Stream, StreamSource,
            Tagged, Transfers,
        },
    },
};

const COPY: &str = "stream file";
/// Hosts that are remembered to tell MD5s; a tenant has a few.
const MOST_HOSTS: usize = 1024;

/// How files are streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long no byte may move before a stream is given up.
    pub idle_timeout: Duration,
    /// How many parts of one file are uploaded at a time.
    pub parts_at_once: usize,
    /// How large parts are, where nothing else says so.
    pub part_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { idle_timeout: Duration::from_mins(1), parts_at_once: 4, part_bytes: 16 << 20 }
    }
}

/// A whole file that is being read.
pub(super) struct Read {
    pub(super) body: Body,
    /// The MD5, where it is known by now: because the source proves it, or because all bytes have been seen.
    pub(super) md5: Option<String>,
    /// Whether it is left to who stores the bytes to compare them with it.
    pub(super) left: bool,
}

/// Streams over a wire, and over S3.
#[derive(Debug)]
pub struct Streams {
    wire: Arc<dyn Wire>,
    objects: Option<Arc<dyn ObjectStore>>,
    pub(super) begun: Begun,
    /// Whether each host has told an MD5 with every PUT: then it has shown that it computes one.
    tells_md5: Mutex<BTreeMap<String, bool>>,
    pub(super) settings: Settings,
}

impl Streams {
    /// Streams over `wire`; without S3.
    pub fn new(wire: Arc<dyn Wire>, settings: Settings) -> Self {
        Self { wire, objects: None, begun: Begun::default(), tells_md5: Mutex::default(), settings }
    }

    /// The same, with S3.
    #[must_use]
    pub fn with_objects(self, objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects: Some(objects), ..self }
    }

    fn tells_md5(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.tells_md5.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn objects(&self) -> Result<&dyn ObjectStore> {
        self.objects.as_deref().ok_or_else(|| Error::new(Class::Invalid, COPY, "S3 is not at hand"))
    }

    /// Opens a source, or a range of it.
    pub(super) async fn open(&self, from: &StreamSource, range: Option<Range<u64>>) -> Result<Opened> {
        match (from, range) {
            (StreamSource::Url(url), None) => self.wire.get(url).await,
            (StreamSource::Url(url), Some(range)) => self.wire.get_range(url, range).await,
            (StreamSource::Object(object), range) => {
                let ObjectSource { at, access, etag } = object.as_ref();
                let body = self.objects()?.get(at, range, etag.as_ref(), access).await?;
                let tagged = Tagged { etag: body.etag, is_md5: body.is_md5 };
                Ok(Opened { length: body.size, tagged, body: body.bytes })
            }
        }
    }

    /// The bytes of a whole file, which end well only if they are what was promised. `checked_there` says whether
    /// an MD5 that the source proves is checked by who stores the bytes.
    pub(super) async fn read(
        &self,
        from: &StreamSource,
        size: u64,
        checked_there: bool,
        progress: &Progress,
    ) -> Result<Read> {
        let Opened { length: announced, tagged, body } = self.open(from, None).await?;
        if let Some(announced) = announced.filter(|announced| *announced != size) {
            let message = format!("expected {size} bytes, the source has {announced}");
            return Err(Error::new(Class::Invalid, GET, message));
        }
        let md5 = tagged.md5().map(str::to_owned);
        let must_be = if checked_there { MustBe::There } else { MustBe::Here };
        let promise = Promise { size, md5: md5.clone().map(must_be), announced: announced.is_some() };
        let body = begun(checked(body, promise, progress.clone()), progress).await?;
        let left = checked_there && md5.is_some();
        Ok(Read { body, md5: progress.md5().or(md5), left })
    }

    async fn copy(&self, stream: &Stream, progress: &Progress) -> Result<Sent> {
        let host = host(&stream.to);
        let tells = self.tells_md5().get(&host) == Some(&true);
        let checked_there = tells && self.wire.carries_md5(&stream.to);
        let Read { body, md5, left } = self.read(&stream.from, stream.size, checked_there, progress).await?;
        let put = self.wire.put(&stream.to, stream.size, md5.as_deref(), body).await;
        if let Some(fault) = progress.take_fault() {
            return Err(fault);
        }
        let stored = put?;
        let Some(md5) = progress.md5() else { return Err(early(COPY)) };
        self.learn(host, stored.md5().is_some());
        match stored.md5() {
            Some(other) if !other.eq_ignore_ascii_case(&md5) => {
                let message = format!("sent MD5 {md5}, stored {other}");
                Err(Error::new(Class::Transient, PUT, message).ambiguous())
            }
            None if left => {
                let message = "the destination does not tell an MD5 any more: once more, and hashed here";
                Err(Error::new(Class::Transient, PUT, message).ambiguous())
            }
            _ => Ok(Sent { etag: stored.etag, md5 }),
        }
    }

    /// Notes whether a host has told an MD5. One that once did not, for one of its buckets perhaps, is not trusted
    /// with one again.
    fn learn(&self, host: String, told: bool) {
        let mut tells = self.tells_md5();
        if let Some(known) = tells.get_mut(&host) {
            *known &= told;
        } else if tells.len() < MOST_HOSTS {
            tells.insert(host, told);
        }
    }

    /// Lets `work` run until it is done, is cut, or stands still.
    pub(super) async fn watch<T>(
        &self,
        work: impl Future<Output = Result<T>> + Send,
        progress: &Progress,
        cut: &CancellationToken,
    ) -> Result<T> {
        pin!(work);
        loop {
            let deadline = progress.moved() + self.settings.idle_timeout;
            select! {
                biased;
                () = cut.cancelled() => {
                    return Err(Error::new(Class::Transient, COPY, "cut short").ambiguous());
                }
                done = &mut work => return done,
                () = sleep_until(deadline) => if progress.moved() + self.settings.idle_timeout <= Instant::now() {
                    let message = format!("no byte moved for {:?}", self.settings.idle_timeout);
                    return Err(Error::new(Class::Transient, COPY, message).ambiguous());
                }
            }
        }
    }
}

#[async_trait]
impl Transfers for Streams {
    async fn stream(&self, stream: Stream, cut: &CancellationToken) -> Result<Sent> {
        let progress = Progress::new();
        let done = self.watch(self.copy(&stream, &progress), &progress, cut).await;
        // Before the last byte is out, nothing can have been completed.
        done.map_err(|mut error| {
            error.may_have_happened &= progress.has_passed();
            error
        })
    }

    async fn look(&self, url: &PresignedUrl) -> Result<Tagged> {
        let progress = Progress::new();
        let look = async {
            match self.wire.get_range(url, 0..1).await {
                Err(error) if error.class == Class::Invalid => Ok(self.wire.get(url).await?.tagged),
                opened => Ok(opened?.tagged),
            }
        };
        self.watch(look, &progress, &CancellationToken::new()).await
    }

    async fn upload_parts(&self, upload: PartsUpload, cut: &CancellationToken) -> Result<ETag> {
        self.upload(&upload, cut).await
    }

    async fn stream_object(&self, stream: ObjectStream, cut: &CancellationToken) -> Result<Sent> {
        let progress = Progress::new();
        let done = self.watch(self.put_object(&stream, &progress), &progress, cut).await;
        done.map_err(|mut error| {
            error.may_have_happened &= progress.has_passed();
            error
        })
    }

    async fn stream_part(&self, part: PartStream, cut: &CancellationToken) -> Result<PartTag> {
        let progress = Progress::new();
        self.watch(self.put_part(&part, &progress), &progress, cut).await
    }
}

/// A body whose first chunk has been let through. Not before that is a PUT opened: a small file is wholly
/// checked by then, and an empty one has no chunk that could be held back, or that a reader would ask for.
pub(super) async fn begun(mut body: Body, progress: &Progress) -> Result<Body> {
    match body.next().await {
        None => Ok(stream::empty().boxed()),
        Some(Ok(first)) => Ok(stream::iter([Ok(first)]).chain(body).boxed()),
        Some(Err(error)) => Err(fault(progress, error)),
    }
}

/// The host of a URL; empty where it has none.
fn host(url: &PresignedUrl) -> String {
    let parsed = url::Url::parse(url.expose_secret()).ok();
    parsed.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// The destination is content, and has not taken all bytes.
pub(super) fn early(operation: &'static str) -> Error {
    Error::new(Class::Transient, operation, "the destination answered before it had every byte")
}

fn fault(progress: &Progress, error: std::io::Error) -> Error {
    progress
        .take_fault()
        .unwrap_or_else(|| Error::new(Class::Transient, GET, "the source broke off").caused_by(error))
}
