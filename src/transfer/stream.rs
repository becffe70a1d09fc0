//! One file from a presigned GET into a presigned PUT.
//!
//! Promises: memory for two chunks whatever the file's size, `Content-Length` on the PUT, and nothing
//! completed at the destination unless length and MD5 are right. An error says which side failed;
//! it never says where, because a presigned URL is a secret.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use tokio::{
    pin, select,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    checked::{Progress, Promise, checked},
    wire::{GET, Wire},
};
use crate::ports::{
    Class, Error, Result,
    transfers::{Stream, Transfers},
};

const COPY: &str = "stream file";

/// How files are streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long no byte may move before a stream is given up.
    pub idle_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { idle_timeout: Duration::from_mins(1) }
    }
}

/// Streams over a wire.
#[derive(Debug)]
pub struct Streams {
    wire: Arc<dyn Wire>,
    settings: Settings,
}

impl Streams {
    /// Streams over `wire`.
    pub fn new(wire: Arc<dyn Wire>, settings: Settings) -> Self {
        Self { wire, settings }
    }

    async fn copy(&self, stream: &Stream, progress: &Progress) -> Result<()> {
        let (announced, source) = self.wire.get(&stream.from).await?;
        if let Some(announced) = announced.filter(|announced| *announced != stream.size) {
            let message = format!("expected {} bytes, the source has {announced}", stream.size);
            return Err(Error::new(Class::Invalid, GET, message));
        }
        let promise = Promise { size: stream.size, md5: stream.md5.clone(), announced: announced.is_some() };
        let mut body = checked(source, promise, progress.clone());
        // Not before the first chunk may pass is the PUT opened: a small file is wholly checked by
        // then, and an empty one has no chunk that could be held back.
        let body = match body.next().await {
            None => stream::empty().boxed(),
            Some(Ok(first)) => stream::iter([Ok(first)]).chain(body).boxed(),
            Some(Err(error)) => return Err(fault(progress, error)),
        };
        let put = self.wire.put(&stream.to, stream.size, body).await;
        if let Some(fault) = progress.take_fault() {
            return Err(fault);
        }
        put?;
        if progress.has_passed() {
            return Ok(());
        }
        Err(Error::new(Class::Transient, COPY, "the destination answered before it had every byte"))
    }

    /// Lets `work` run until it is done, is cut, or stands still.
    async fn watch(
        &self,
        work: impl Future<Output = Result<()>> + Send,
        progress: &Progress,
        cut: &CancellationToken,
    ) -> Result<()> {
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
    async fn stream(&self, stream: Stream, cut: &CancellationToken) -> Result<()> {
        let progress = Progress::new();
        let done = self.watch(self.copy(&stream, &progress), &progress, cut).await;
        // Before the last byte is out, nothing can have been completed.
        done.map_err(|mut error| {
            error.may_have_happened &= progress.has_passed();
            error
        })
    }
}

fn fault(progress: &Progress, error: std::io::Error) -> Error {
    progress
        .take_fault()
        .unwrap_or_else(|| Error::new(Class::Transient, GET, "the source broke off").caused_by(error))
}
