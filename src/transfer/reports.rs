//! Reports below a prefix in S3.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use crate::ports::{
    Class, Error, Result,
    objects::{
        Access, ContentHeaders, ObjectInfo, ObjectLocation, ObjectStore, PartTag, Precondition, Presigned,
        UploadId, WriteOptions,
    },
    parts,
    reports::{Artifacts, Opened, ReportWriter, Reports, kind_of},
};

/// Bytes that are held; S3 takes no smaller parts than 5 MiB.
const PART: usize = 8 << 20;

/// Reports as objects.
#[derive(Debug)]
pub struct InBucket {
    objects: Arc<dyn ObjectStore>,
    bucket: String,
    prefix: String,
}

impl InBucket {
    /// Below `s3://bucket/prefix/`; `None` where that is none.
    #[must_use]
    pub fn below(objects: Arc<dyn ObjectStore>, uri: &str) -> Option<Self> {
        let (bucket, prefix) = uri.strip_prefix("s3://")?.split_once('/')?;
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        (!bucket.is_empty()).then(|| Self { objects, bucket: bucket.to_owned(), prefix })
    }
}

#[async_trait]
impl Reports for InBucket {
    async fn begin(&self, name: &str) -> Result<Box<dyn ReportWriter>> {
        let at = ObjectLocation::new(self.bucket.as_str(), format!("{}{name}", self.prefix));
        let objects = Arc::clone(&self.objects);
        let kind = kind_of(name);
        Ok(Box::new(Writer { objects, at, kind, held: Vec::new(), upload: None, parts: Vec::new() }))
    }
}

#[async_trait]
impl Artifacts for InBucket {
    async fn open(&self, name: &str) -> Result<Option<Opened>> {
        let at = ObjectLocation::new(self.bucket.as_str(), format!("{}{name}", self.prefix));
        match self.objects.get(&at, None, None, &Access::Own).await {
            Ok(body) => Ok(Some(Opened { size: body.size, kind: kind_of(name), bytes: body.bytes })),
            Err(error) if error.class == Class::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn link(&self, name: &str, now: Timestamp, lasts: Duration) -> Result<Option<Presigned>> {
        let at = ObjectLocation::new(self.bucket.as_str(), format!("{}{name}", self.prefix));
        self.objects.presign(&at, now, lasts).await.map(Some)
    }

    async fn remove(&self, folder: &str) -> Result<()> {
        let prefix = format!("{}{folder}", self.prefix);
        let mut from = None;
        loop {
            let page = self.objects.list(&self.bucket, &prefix, from.as_deref(), &Access::Own).await?;
            for object in page.items {
                let at = ObjectLocation::new(self.bucket.as_str(), object.key);
                self.objects.delete(&at, &Access::Own).await?;
            }
            match page.next {
                Some(next) => from = Some(next),
                None => return Ok(()),
            }
        }
    }
}

struct Writer {
    objects: Arc<dyn ObjectStore>,
    at: ObjectLocation,
    /// What it is, for whoever reads it.
    kind: &'static str,
    held: Vec<u8>,
    upload: Option<UploadId>,
    parts: Vec<PartTag>,
}

impl Writer {
    async fn put_part(&mut self) -> Result<()> {
        let upload = if let Some(upload) = self.upload.take() {
            upload
        } else {
            let headers =
                ContentHeaders { content_type: Some(self.kind.to_owned()), ..ContentHeaders::default() };
            let like = ObjectInfo { headers, ..ObjectInfo::default() };
            self.objects.begin(&self.at, Some(&like), &WriteOptions::default(), &Access::Own).await?
        };
        let bytes = Bytes::from(std::mem::take(&mut self.held));
        let number = u32::try_from(self.parts.len() + 1).unwrap_or(u32::MAX);
        let size = bytes.len() as u64;
        let body = stream::once(async move { Ok(bytes) }).boxed();
        let put = self.objects.put_part(&self.at, &upload, number, size, body, &Access::Own).await;
        match put {
            Ok(tag) => {
                self.parts.push(tag);
                self.upload = Some(upload);
                Ok(())
            }
            Err(error) => {
                // What is left of it is paid for; that it stays is no reason to say something else.
                drop(self.objects.abort(&self.at, &upload, &Access::Own).await);
                Err(error)
            }
        }
    }
}

#[async_trait]
impl ReportWriter for Writer {
    async fn write(&mut self, text: &str) -> Result<()> {
        self.held.extend_from_slice(text.as_bytes());
        if self.held.len() >= PART { self.put_part().await } else { Ok(()) }
    }

    async fn finish(mut self: Box<Self>) -> Result<String> {
        if self.upload.is_none() {
            let whole = Bytes::from(std::mem::take(&mut self.held));
            self.objects
                .put(&self.at, whole, Some(self.kind), &WriteOptions::default(), &Access::Own)
                .await?;
            return Ok(self.at.to_string());
        }
        if !self.held.is_empty() {
            self.put_part().await?;
        }
        if let Some(upload) = &self.upload {
            let done =
                self.objects.complete(&self.at, upload, &self.parts, &Precondition::None, &Access::Own).await;
            if let Err(error) = done {
                let is_gone = error.code.as_deref() == Some("NoSuchUpload");
                let (objects, parts) = (self.objects.as_ref(), &self.parts);
                if is_gone && parts::is_completed(objects, &self.at, parts, &Access::Own).await? {
                    return Ok(self.at.to_string());
                }
                drop(self.objects.abort(&self.at, upload, &Access::Own).await);
                // One that another writer has cleared away is written again.
                return Err(if is_gone { Error { class: Class::Transient, ..error } } else { error });
            }
        }
        Ok(self.at.to_string())
    }

    async fn abandon(self: Box<Self>) {
        if let Some(upload) = &self.upload {
            drop(self.objects.abort(&self.at, upload, &Access::Own).await);
        }
    }
}
