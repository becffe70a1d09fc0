//! A payload or a manifest that is an object in S3 (`payloadS3Uri`, `manifestS3Uri`): read once, at
//! intake, with our own rights.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::{core::Core, large::spawn_blocking_if_large};
use crate::{
    domain::{batch::BatchRequest, location::Location, request::Asked},
    events::intake::{Payload, Submission, read_manifest, read_payload},
    ports::{
        Class, Error,
        objects::{Access, ObjectLocation},
    },
};

/// Payloads read at a time: taking one apart needs several times its bytes.
pub(crate) const AT_ONCE: usize = 2;

/// How long an object may take to come; its message is invisible to other instances only for so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a payload was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It would be the same every time.
    Refused(String),
    /// It may come when asked again.
    Passing(Error),
    /// The process is stopping.
    Stopping,
}

impl Core {
    /// Puts the content of the object that holds the payload in its place, if there is one, and that
    /// of the object that holds its manifest.
    pub(crate) async fn fetch_payload(&self, submission: &mut Submission) -> Result<(), Unread> {
        if let Some(uri) = &submission.payload_uri {
            let kind = submission.request.kind();
            let read = move |content: &[u8], most| read_payload(kind, content, most);
            let payload = self.fetched("payloadS3Uri", uri, read).await?;
            submission.unknown.extend(payload.unknown);
            (submission.request, submission.payload) = (payload.request, payload.canonical);
        }
        if let Asked::Batch(BatchRequest { manifest_uri: Some(uri), .. }) = &submission.request {
            let beside = submission.payload.clone();
            let read = move |content: &[u8], most| read_manifest(&beside, content, most);
            let payload = self.fetched("manifestS3Uri", uri, read).await?;
            (submission.request, submission.payload) = (payload.request, payload.canonical);
        }
        Ok(())
    }

    /// What the object says that a field names.
    async fn fetched(
        &self,
        field: &str,
        uri: &str,
        read: impl FnOnce(&[u8], usize) -> Result<Payload, String> + Send + 'static,
    ) -> Result<Payload, Unread> {
        let Ok(Location::S3 { bucket, key }) = Location::parse(uri) else {
            return Err(Unread::Refused(format!("`{field}` {uri}: it names no object")));
        };
        let at = ObjectLocation::new(bucket, key);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Unread::Stopping),
            payload = self.payload_of(field, &at, read) => payload,
        }
    }

    async fn payload_of(
        &self,
        field: &str,
        at: &ObjectLocation,
        read: impl FnOnce(&[u8], usize) -> Result<Payload, String> + Send + 'static,
    ) -> Result<Payload, Unread> {
        let refused = |why: &str| Unread::Refused(format!("`{field}` {at}: {why}"));
        let most = self.settings.service.max_payload;
        let _permit = self.payloads.acquire().await;
        let late = |_| Err(Error::new(Class::Transient, "GetObject", "the object did not come in time"));
        let content = match timeout(PATIENCE, self.content(at, most)).await.unwrap_or_else(late) {
            Ok(Some(content)) => content,
            Ok(None) => return Err(refused(&format!("it has more than {most} bytes (service.max_payload)"))),
            Err(error) if error.is_passing() => return Err(Unread::Passing(error)),
            Err(error) => {
                let why = match error.class {
                    Class::NotFound => "it is not there",
                    Class::Forbidden => "it is not there, or this service has no right to read it",
                    _ => "it cannot be read",
                };
                return Err(refused(&format!("{why} ({error})")));
            }
        };
        let read = spawn_blocking_if_large(content.len(), move || read(&content, most)).await;
        read.map_err(Unread::Passing)?.map_err(|why| refused(&why))
    }

    /// The bytes of an object; `None` when they are too many.
    async fn content(&self, at: &ObjectLocation, most: usize) -> Result<Option<Vec<u8>>, Error> {
        let mut body = self.ports.objects.get(at, None, None, &Access::Own).await?;
        if body.size.is_some_and(|size| size > most as u64) {
            return Ok(None);
        }
        let mut content = Vec::new();
        while let Some(chunk) = body.bytes.next().await {
            let chunk = chunk.map_err(|error| {
                Error::new(Class::Transient, "GetObject", "the object broke off").caused_by(error)
            })?;
            if content.len() + chunk.len() > most {
                return Ok(None);
            }
            content.extend_from_slice(&chunk);
        }
        Ok(Some(content))
    }
}
