//! One large file into an upload in parts.
//!
//! Each part is a range of the source that is read while it is written, so memory is that of a few
//! streams whatever the size of the file and of its parts. A part whose line breaks is tried again by
//! itself; what fails for good takes the whole upload with it.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    select,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{checked::Progress, stream::Streams};
use crate::{
    domain::file::ETag,
    ports::{
        Class, Error, Result,
        objects::{ObjectLocation, ObjectStore, PartTag, Precondition, UploadId, WriteOptions},
        parts::{self, Plan},
        transfers::{PartStream, PartsUpload},
    },
};

const UPLOAD: &str = "upload parts";
/// How often one part is tried. A file of thousands of parts would otherwise hardly ever arrive.
const TRIES: u32 = 3;
/// How long the first retry of a part waits; the next twice as long.
const WAIT: Duration = Duration::from_secs(1);
/// How long a failed upload may take to be aborted; the next attempt of this process does it, if it was not.
const ABORT: Duration = Duration::from_secs(3);

impl Streams {
    /// Uploads a file; see the port's contract.
    pub(super) async fn upload(&self, upload: &PartsUpload, cut: &CancellationToken) -> Result<ETag> {
        let objects = self.objects()?;
        let id = select! {
            biased;
            () = cut.cancelled() => return Err(cut_short()),
            begun = self.begin_anew(objects, upload) => begun?,
        };
        let done = self.upload_as(objects, upload, &id, cut).await;
        let is_over = done.is_ok() || {
            let abort = objects.abort(&upload.to, &id, &upload.access);
            matches!(timeout(ABORT, abort).await, Ok(Ok(())))
        };
        if is_over {
            self.begun.forget(&upload.to, &id);
        }
        done
    }

    /// Begins an upload, after ending those of ours that were left behind. It cannot be told whose the
    /// uploads to the same key are that this process has not begun: they stay.
    async fn begin_anew(&self, objects: &dyn ObjectStore, upload: &PartsUpload) -> Result<UploadId> {
        let PartsUpload { to, access, .. } = upload;
        for id in self.begun.of(to) {
            match objects.abort(to, &id, access).await {
                Err(error) if error.is_passing() => return Err(error),
                // What is left behind is paid for until the bucket's own rules end it; it does no other harm.
                Ok(()) | Err(_) => self.begun.forget(to, &id),
            }
        }
        let options = WriteOptions { streamed: true, ..WriteOptions::default() };
        let id = objects.begin(to, None, &options, access).await?;
        self.begun.note(to, &id);
        Ok(id)
    }

    async fn upload_as(
        &self,
        objects: &dyn ObjectStore,
        upload: &PartsUpload,
        id: &UploadId,
        cut: &CancellationToken,
    ) -> Result<ETag> {
        let progress = Progress::new();
        let parts = stream::iter(self.plan(upload))
            .map(|(number, range)| self.part(objects, upload, id, number, range, &progress))
            .buffered(self.settings.parts_at_once.max(1))
            .try_collect();
        let parts: Vec<PartTag> = self.watch(parts, &progress, cut).await.map_err(|mut error| {
            // No part can be seen at the destination.
            error.may_have_happened = false;
            error
        })?;
        select! {
            biased;
            () = cut.cancelled() => Err(cut_short().ambiguous()),
            done = complete(objects, upload, id, &parts) => done,
        }
    }

    /// The source's own parts, if they are known or can be guessed; otherwise what is set.
    fn plan(&self, upload: &PartsUpload) -> Vec<(u32, Range<u64>)> {
        let known = upload.parts.as_deref().and_then(|sizes| parts::cut(upload.size, sizes));
        known.unwrap_or_else(|| {
            let count = upload.etag.as_ref().and_then(parts::count);
            let guess = count.and_then(|count| Plan::guess(upload.size, count));
            guess.unwrap_or_else(|| Plan::new(upload.size, self.settings.part_bytes)).ranges().collect()
        })
    }

    async fn part(
        &self,
        objects: &dyn ObjectStore,
        upload: &PartsUpload,
        id: &UploadId,
        number: u32,
        range: Range<u64>,
        progress: &Progress,
    ) -> Result<PartTag> {
        let mut wait = WAIT;
        for _ in 1..TRIES {
            match self.try_part(objects, upload, id, number, range.clone(), progress).await {
                Err(error) if matches!(error.class, Class::Transient | Class::Throttled) => {
                    sleep(error.retry_after.unwrap_or_default().clamp(wait, 4 * wait)).await;
                    progress.touch();
                    wait *= 2;
                }
                done => return done,
            }
        }
        self.try_part(objects, upload, id, number, range, progress).await
    }

    async fn try_part(
        &self,
        objects: &dyn ObjectStore,
        upload: &PartsUpload,
        id: &UploadId,
        number: u32,
        range: Range<u64>,
        all: &Progress,
    ) -> Result<PartTag> {
        let size = range.end - range.start;
        let part = PartStream {
            from: upload.from.clone(),
            // A range of no bytes cannot be asked for, and the only part may as well be read as a whole.
            range: (size < upload.size).then_some(range),
            size,
            to: upload.to.clone(),
            upload: id.clone(),
            number,
            access: upload.access.clone(),
        };
        self.move_part(objects, &part, all).await
    }
}

/// Keys that begun uploads are remembered of.
const MOST_KEYS: usize = 1024;

/// Uploads that this process has begun, and that may not have ended.
#[derive(Debug, Default)]
pub(super) struct Begun(Mutex<HashMap<ObjectLocation, Vec<UploadId>>>);

impl Begun {
    fn with<T>(&self, change: impl FnOnce(&mut HashMap<ObjectLocation, Vec<UploadId>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn of(&self, to: &ObjectLocation) -> Vec<UploadId> {
        self.with(|begun| begun.get(to).cloned().unwrap_or_default())
    }

    fn note(&self, to: &ObjectLocation, id: &UploadId) {
        self.with(|begun| {
            if begun.len() < MOST_KEYS || begun.contains_key(to) {
                begun.entry(to.clone()).or_default().push(id.clone());
            }
        });
    }

    fn forget(&self, to: &ObjectLocation, id: &UploadId) {
        self.with(|begun| {
            let left = begun.get_mut(to).map(|ids| {
                ids.retain(|known| known != id);
                ids.len()
            });
            if left == Some(0) {
                begun.remove(to);
            }
        });
    }
}

/// Completes the upload. Where that fails after it was done (the answer was lost, and the SDK asked
/// again), the object is there with the tag that its parts make.
async fn complete(
    objects: &dyn ObjectStore,
    upload: &PartsUpload,
    id: &UploadId,
    parts: &[PartTag],
) -> Result<ETag> {
    let PartsUpload { to, access, .. } = upload;
    match objects.complete(to, id, parts, &Precondition::None, access).await {
        Ok(etag) => Ok(etag),
        Err(error) => match (objects.head(to, access).await, parts::joined(parts)) {
            (Ok(Some(there)), Some(expected)) if there.etag.as_ref() == Some(&expected) => Ok(expected),
            _ => Err(error),
        },
    }
}

fn cut_short() -> Error {
    Error::new(Class::Transient, UPLOAD, "cut short")
}
