//! Texts that are written beside the objects of a list, as they come.

use bytes::Bytes;

use super::{
    Lists,
    summary::{PART, Sink},
};
use crate::{
    domain::copy_out::CopyOutRequest,
    engine::lease::{Leased, RoundResult},
    ports::{Result, objects::ObjectLocation, reports::kind_of},
};

/// A text that is being written: with one call, or in parts where it is long.
pub(crate) struct Paper<'a> {
    lists: &'a Lists,
    sink: Sink,
    bytes: Vec<u8>,
}

impl Lists {
    /// Begins a text of that name below the prefix of a list.
    pub(crate) async fn paper(&self, request: &CopyOutRequest, name: &str) -> Result<Paper<'_>> {
        let key = format!("{}{name}", request.destination_prefix);
        let at = ObjectLocation::new(&request.destination_bucket, key);
        let sink = Sink::new(self, at, kind_of(name), request).await?;
        Ok(Paper { lists: self, sink, bytes: Vec::new() })
    }
}

impl Paper<'_> {
    /// Adds to it.
    pub(crate) async fn write(&mut self, held: &mut Leased, bytes: &[u8]) -> RoundResult<()> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() < PART {
            return Ok(());
        }
        if self.sink.upload.is_none() {
            self.lists.begin_upload(held, &mut self.sink).await?;
        }
        let part = Bytes::from(std::mem::take(&mut self.bytes));
        self.sink.part(self.lists, part).await;
        Ok(())
    }

    /// Ends it; what of it could not be written is told here.
    pub(crate) async fn finish(self) -> Result<()> {
        self.sink.finish(self.lists, Bytes::from(self.bytes)).await
    }

    /// Drops it, with what was written so far, as far as that can be done.
    pub(crate) async fn give_up(mut self) {
        self.sink.give_up(self.lists).await;
    }
}
