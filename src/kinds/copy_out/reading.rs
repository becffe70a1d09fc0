//! The bytes of a list. Reading a long one takes minutes: where it breaks off it is gone on with, and not
//! begun anew, as long as the object is the same.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::{sleep, timeout};

use crate::{
    domain::{copy_out::CopyOutRequest, file::ETag},
    engine::backoff::jittered,
    kinds::lists::Lists,
    ports::{
        Class, Error, Result,
        objects::{ByteStream, ObjectBody, ObjectLocation},
    },
    signals,
};

/// How long the next piece of a list may take to come.
const PATIENCE: Duration = Duration::from_mins(1);

/// Tries in a row that bring nothing before the whole round is given up.
const TRIES: u32 = 5;

/// Waits between them.
const WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Tries in a row that have brought nothing.
#[derive(Debug, Default)]
pub(super) struct Pauses(u32);

impl Pauses {
    /// Something was brought.
    pub(super) fn forget(&mut self) {
        self.0 = 0;
    }

    /// Waits before the next try, unless there is to be none: then the error comes back.
    pub(super) async fn after(&mut self, engine: &Lists, error: Error) -> Result<()> {
        if self.0 >= TRIES || !matches!(error.class, Class::Transient | Class::Throttled) {
            return Err(error);
        }
        let wait = jittered(WAIT, LONGEST_WAIT, self.0, engine.core.ports.chance.as_ref());
        let wait = error.retry_after.map_or(wait, |hint| hint.min(LONGEST_WAIT).max(wait));
        self.0 += 1;
        tokio::select! {
            biased;
            () = engine.core.stop.cancelled() => Err(error),
            () = sleep(wait) => Ok(()),
        }
    }
}

/// Where the list is.
pub(super) fn place(request: &CopyOutRequest) -> ObjectLocation {
    ObjectLocation::new(request.list_bucket.as_deref().unwrap_or_default(), request.list_key.as_str())
}

/// The bytes of a list, in order.
pub(super) struct Reading<'a> {
    engine: &'a Lists,
    request: Arc<CopyOutRequest>,
    at: ObjectLocation,
    /// The tag that it must still have, and its bytes; without both it cannot be gone on with.
    known: Option<(ETag, u64)>,
    bytes: ByteStream,
    /// Bytes that have come.
    come: u64,
    pauses: Pauses,
}

impl<'a> Reading<'a> {
    /// Of a list that was opened.
    pub(super) fn new(engine: &'a Lists, request: Arc<CopyOutRequest>, body: ObjectBody) -> Self {
        let known = body.etag.zip(body.size);
        let (at, pauses) = (place(&request), Pauses::default());
        Self { engine, request, at, known, bytes: body.bytes, come: 0, pauses }
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let broke = |why| Error::new(Class::Transient, "GetObject", why);
            let is_whole = self.known.as_ref().is_none_or(|(_, size)| self.come >= *size);
            let error = match timeout(PATIENCE, self.bytes.next()).await {
                Ok(Some(Ok(piece))) => {
                    self.come += piece.len() as u64;
                    self.pauses.forget();
                    return Ok(Some(piece));
                }
                Ok(None) if is_whole => return Ok(None),
                // How the connection ends does not matter any more.
                Ok(Some(Err(_))) if is_whole && self.known.is_some() => return Ok(None),
                Ok(None) => broke("the list ended early"),
                Ok(Some(Err(error))) => broke("the list broke off").caused_by(error),
                Err(_) => broke("the list does not go on"),
            };
            self.go_on(error).await?;
        }
    }

    /// Opens the list again where it broke off.
    async fn go_on(&mut self, broke: Error) -> Result<()> {
        let Some((etag, size)) = self.known.clone().filter(|(_, size)| self.come < *size) else {
            return Err(broke);
        };
        let mut error = broke;
        loop {
            signals::copy_out::list_broke_off(&self.at, self.come, &error);
            self.pauses.after(self.engine, error).await?;
            let access =
                self.engine.objects.bucket_access(&self.at.bucket, false, &self.request.options).await?;
            let rest = Some(self.come..size);
            match self.engine.core.ports.objects.get(&self.at, rest, Some(&etag), &access).await {
                Ok(body) if body.size.is_none_or(|rest| rest == size - self.come) => {
                    self.bytes = body.bytes;
                    return Ok(());
                }
                Err(passing) if passing.is_passing() => error = passing,
                // The part that has been read is worth nothing any more: the next round begins with the list
                // that is there.
                other => {
                    let changed = "the list has changed while it was read";
                    let changed = Error::new(Class::Transient, "GetObject", changed);
                    return Err(match other {
                        Ok(_) => changed,
                        Err(why) => changed.caused_by(why),
                    });
                }
            }
        }
    }
}
