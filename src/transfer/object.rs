//! Bytes into S3: a whole object with one PUT, or one part of an upload.

use futures_util::StreamExt as _;

use super::{
    checked::{Progress, Promise, checked},
    stream::{Read, Streams, begun, early},
    wire::{GET, Opened},
};
use crate::ports::{
    Class, Error, Result,
    objects::{ObjectStore, PartTag},
    transfers::{ObjectStream, PartStream, Sent},
};

const PUT: &str = "stream object";
const PART: &str = "upload parts";

impl Streams {
    /// Writes a whole object.
    pub(super) async fn put_object(&self, stream: &ObjectStream, progress: &Progress) -> Result<Sent> {
        let put = &stream.put;
        let Read { body, .. } = self.read(&stream.from, put.size, false, progress).await?;
        let made = self.objects()?.put_body(put, body, &stream.access).await;
        if let Some(fault) = progress.take_fault() {
            return Err(fault);
        }
        let etag = Some(made?);
        let md5 = progress.md5().ok_or_else(|| early(PUT))?;
        Ok(Sent { etag, md5 })
    }

    /// Writes one part.
    pub(super) async fn put_part(&self, part: &PartStream, progress: &Progress) -> Result<PartTag> {
        self.move_part(self.objects()?, part, progress).await
    }

    /// Writes one part; `all` learns of each chunk.
    pub(super) async fn move_part(
        &self,
        objects: &dyn ObjectStore,
        part: &PartStream,
        all: &Progress,
    ) -> Result<PartTag> {
        let PartStream { from, range, size, to, upload, number, access } = part;
        let Opened { length: announced, body: source, .. } = self.open(from, range.clone()).await?;
        if let Some(announced) = announced.filter(|announced| announced != size) {
            let message = format!("expected {size} bytes for part {number}, the source has {announced}");
            return Err(Error::new(Class::Invalid, GET, message));
        }
        let progress = Progress::new();
        let promise = Promise { size: *size, md5: None, announced: announced.is_some() };
        let all = all.clone();
        let body = begun(checked(source, promise, progress.clone()), &progress).await?;
        let body = body.inspect(move |_| all.touch()).boxed();
        let tag = objects.put_part(to, upload, *number, *size, body, access).await;
        let tag = match (tag, progress.take_fault()) {
            (_, Some(fault)) => return Err(fault),
            (tag, None) => tag?,
        };
        let Some(md5) = progress.md5() else { return Err(early(PART)) };
        if tag.is_md5 && tag.etag.md5().is_some_and(|stored| !stored.eq_ignore_ascii_case(&md5)) {
            let message = format!("part {number}: sent MD5 {md5}, stored {}", tag.etag);
            return Err(Error::new(Class::Transient, PART, message));
        }
        Ok(tag)
    }
}
