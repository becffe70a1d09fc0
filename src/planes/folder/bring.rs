//! How one file comes to its place without a job: with one PUT, in parts, or by a copy inside S3.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    FolderPlane,
    task::{Brought, Target, Task, Way},
    wanted::{Origin, Source},
};
use crate::{
    domain::{
        file::ETag,
        ids::{DataId, digest},
    },
    engine::lease::{Lease, RoundError, RoundResult},
    ports::{
        Class, Error,
        objects::{Access, BucketAccess, ObjectCopy, ObjectLocation, Precondition, Tagging, WriteOptions},
        parts,
        platform::Destination,
        transfers::{ObjectSource, PartsUpload, PresignedUrl, Sent, Stream, StreamSource},
    },
    signals,
};

/// How long a transfer may take to end itself when it must.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// Up to so many parts each is asked for its size. Of more, those between are taken to be like the first,
/// where the last fits it.
const ASKED_EACH: u32 = 100;

impl FolderPlane {
    /// How a file is brought; `fresh`: nothing of it is there and no try has failed.
    pub(super) fn way(&self, source: &Source, fresh: bool) -> Way {
        let wanted = &source.wanted;
        let external = matches!(source.origin, Origin::Object(_));
        let in_parts = wanted.etag.as_ref().is_some_and(ETag::is_multipart);
        if source.staged.is_some() && fresh {
            Way::Copy
        } else if wanted.size > self.core.settings.copy.largest_put || (external && in_parts) {
            Way::Parts
        } else {
            Way::Put
        }
    }

    /// Brings one file; returns the answer of the destination. `url` is where to read it, where that is
    /// needed; a file that is made for it is told in `made` before anything is written.
    pub(super) async fn bring(
        &self,
        lease: &Lease,
        task: &Task,
        url: Option<PresignedUrl>,
        made: &OnceLock<DataId>,
    ) -> RoundResult<Brought> {
        let brought = match task.way {
            Way::Put => self.put(lease, task, url, made).await?,
            Way::Parts => self.put_in_parts(lease, task, made).await?,
            Way::Copy => {
                self.copy_from_staging(lease, task).await?;
                return Ok(Brought::default());
            }
        };
        signals::engine::file_streamed(&lease.key.id, task.source.wanted.size);
        Ok(brought)
    }

    async fn put(
        &self,
        lease: &Lease,
        task: &Task,
        url: Option<PresignedUrl>,
        made: &OnceLock<DataId>,
    ) -> RoundResult<Brought> {
        let wanted = &task.source.wanted;
        let from: StreamSource = match (&task.source.origin, url) {
            (Origin::Object(object), _) => object.as_ref().clone().into(),
            (Origin::File { .. }, Some(url)) => url.into(),
            (Origin::File { .. }, None) => return Err(unknown("where to read it").into()),
        };
        lease.check()?;
        let platform = self.core.ports.platform.as_ref();
        let to = if let Some(id) = &task.target {
            platform.upload_url(&task.to.project, id).await?
        } else {
            let folder = folder_of(&task.to)?;
            let key = digest(&["file", key_of(folder), &wanted.name, &task.nonce]);
            let file = platform.create_file(&task.to.project, folder, &wanted.name, &key).await?;
            is_made(task, file.id, made)?;
            file.upload
        };
        let stream = Stream { from, to, size: wanted.size };
        let stream = |cut| async move { self.core.ports.transfers.stream(stream, &cut).await };
        let Sent { etag, md5 } = self.while_held(lease, &task.to, stream).await?;
        Ok(Brought { tag: etag, md5: Some(md5) })
    }

    async fn put_in_parts(
        &self,
        lease: &Lease,
        task: &Task,
        made: &OnceLock<DataId>,
    ) -> RoundResult<Brought> {
        let wanted = &task.source.wanted;
        let platform = self.core.ports.platform.as_ref();
        let from = match &task.source.origin {
            Origin::Object(object) => object.as_ref().clone(),
            Origin::File { project, id } => {
                let access = platform.read_access(project, id).await?;
                ObjectSource {
                    at: whole(&access),
                    access: Access::Temporary(access),
                    etag: wanted.etag.clone(),
                }
            }
        };
        // Where the source's parts are known, the same ones can be made, and so the same tag.
        let parts = self.parts_of(&from).await?;
        lease.check()?;
        let access = if let Some(id) = &task.target {
            platform.write_access(&task.to.project, id).await?
        } else {
            let folder = folder_of(&task.to)?;
            let key = digest(&["parts", key_of(folder), &wanted.name, &task.nonce]);
            let name = &wanted.name;
            let (id, access) = platform.create_file_for_parts(&task.to.project, folder, name, &key).await?;
            is_made(task, id, made)?;
            access
        };
        let upload = PartsUpload {
            from: from.into(),
            size: wanted.size,
            etag: wanted.etag.clone(),
            parts,
            to: whole(&access),
            access: Access::Temporary(access),
        };
        let upload = |cut| async move { self.core.ports.transfers.upload_parts(upload, &cut).await };
        let tag = self.while_held(lease, &task.to, upload).await?;
        Ok(Brought { tag: Some(tag), md5: None })
    }

    /// The sizes of the parts that a source was uploaded in, where there are some and S3 tells.
    async fn parts_of(&self, from: &ObjectSource) -> Result<Option<Vec<u64>>, Error> {
        let Some(count) = from.etag.as_ref().and_then(parts::count) else { return Ok(None) };
        let objects = &self.core.ports.objects;
        let Some(info) = objects.look(&from.at, &from.access).await? else { return Ok(None) };
        let sizes = if count <= ASKED_EACH {
            objects.each_part_size(&from.at, &info, &from.access).await
        } else {
            objects.part_sizes(&from.at, &info, &from.access).await
        };
        match sizes {
            // Then the copy is another upload of the same bytes.
            Err(error) if matches!(error.class, Class::Forbidden | Class::Invalid) => Ok(None),
            sizes => sizes,
        }
    }

    /// A file that fails here is streamed from its source next time.
    async fn copy_from_staging(&self, lease: &Lease, task: &Task) -> RoundResult<()> {
        let wanted = &task.source.wanted;
        // Nothing is put aside for the root: it gives no credentials for the files in it.
        let folder = folder_of(&task.to)?.id().ok_or_else(|| unknown("the id of the destination folder"))?;
        let again = |error: Error| Error::new(Class::Transient, "copy from staging", error.to_string());
        let access = self.core.ports.platform.write_access(&task.to.project, folder).await.map_err(again)?;
        let from = access.below(task.source.staged.as_deref().unwrap_or_default());
        let to = access.below(&wanted.name);
        let access = Access::Temporary(access);
        let Some(there) = self.core.ports.objects.head(&from, &access).await.map_err(again)? else {
            return Err(Error::new(Class::Transient, "copy from staging", "no job has put it there").into());
        };
        if there.size != wanted.size {
            let message = format!("it has {} bytes in staging, not {}", there.size, wanted.size);
            return Err(Error::new(Class::Transient, "copy from staging", message).into());
        }
        let copy = ObjectCopy {
            from,
            to,
            size: there.size,
            etag: there.etag,
            parts: there.parts,
            precondition: Precondition::Absent,
            options: WriteOptions::default(),
            tagging: Tagging::Keep,
        };
        let copied = self
            .while_held(lease, &task.to, |cut| async move {
                tokio::select! {
                    biased;
                    () = cut.cancelled() => Err(Error::new(Class::Transient, "copy from staging", "cut short")),
                    copied = self.core.ports.objects.copy(&copy, &access) => copied.map(drop),
                }
            })
            .await;
        match copied {
            // Copied before, and not told: the next look compares it.
            Err(RoundError::Port(error)) if error.class == Class::Conflict => {}
            Err(RoundError::Port(error)) => return Err(again(error).into()),
            other => other?,
        }
        signals::engine::file_copied(&lease.key.id, wanted.size);
        Ok(())
    }

    /// Runs a transfer that ends with the lease, or with the process.
    async fn while_held<T, F: Future<Output = Result<T, Error>>>(
        &self,
        lease: &Lease,
        to: &Target,
        transfer: impl FnOnce(CancellationToken) -> F,
    ) -> RoundResult<T> {
        lease.check()?;
        let cut = self.core.cut.child_token();
        let transfer = self.core.while_moving(&to.root_refs, transfer(cut.clone()));
        tokio::pin!(transfer);
        tokio::select! {
            biased;
            result = &mut transfer => Ok(result?),
            () = lease.lost.cancelled() => {
                cut.cancel();
                drop(timeout_at(Instant::now() + LAST_BREATH, transfer).await);
                Err(RoundError::Lost)
            }
        }
    }
}

/// Notes the file that was made for a task. One that was made before, and has gone since, is not what
/// stands there now.
fn is_made(task: &Task, id: DataId, made: &OnceLock<DataId>) -> Result<(), Error> {
    let is_there = task.claims.as_ref().is_none_or(|there| *there == id);
    made.get_or_init(|| id);
    if is_there {
        return Ok(());
    }
    Err(Error::new(Class::Conflict, "bring file", "a file that is not ours is there"))
}

/// The object that credentials for one file lead to.
fn whole(access: &BucketAccess) -> ObjectLocation {
    access.below("")
}

fn folder_of(to: &Target) -> Result<&Destination, Error> {
    to.folder.as_ref().ok_or_else(|| unknown("the destination folder"))
}

/// The part of an idempotency key that stands for a folder; nonces tell those of several projects apart.
fn key_of(folder: &Destination) -> &str {
    folder.id().map_or("/", DataId::as_str)
}

fn unknown(what: &str) -> Error {
    Error::new(Class::Transient, "bring file", format!("{what} is not known"))
}

/// The same error for each file of a call that failed.
pub(super) fn again(error: &Arc<Error>) -> Error {
    Error::new(error.class, error.operation, error.message.clone()).caused_by(Arc::clone(error))
}
