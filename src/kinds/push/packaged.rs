//! The files of a package as the items of a list.

use async_trait::async_trait;

use crate::{
    domain::{
        copy_out::{CopyOutRequest, Origin, SliceItem},
        file::ETag,
        ids::RequestId,
        share::{files::PackagedFile, outcome::PackageReport},
    },
    engine::{core::Core, kind::PlanResult},
    kinds::{
        frozen::read_chunk,
        lists::{Buckets, Items, List},
    },
    ports,
};

/// The files of a package.
#[derive(Debug)]
pub(super) struct Packaged<'a> {
    core: &'a Core,
    package: RequestId,
    report: PackageReport,
}

impl<'a> Packaged<'a> {
    pub(super) fn new(core: &'a Core, package: RequestId, report: PackageReport) -> Self {
        Self { core, package, report }
    }

    /// How many chunks they are in.
    pub(super) fn chunks(&self) -> u32 {
        self.report.chunks
    }

    /// The files of a chunk.
    pub(super) async fn files(&self, n: u32) -> ports::Result<Vec<PackagedFile>> {
        let chunk = read_chunk(self.core, &self.package, self.report.generation, n).await?;
        Ok(chunk.kept().cloned().collect())
    }
}

#[async_trait]
impl List for Packaged<'_> {
    async fn open(&self, request: &CopyOutRequest) -> PlanResult<Box<dyn Items + '_>> {
        let prefix = request.destination_prefix.clone();
        Ok(Box::new(Opened { packaged: self, prefix, next: 0, buckets: Buckets::new() }))
    }
}

struct Opened<'a> {
    packaged: &'a Packaged<'a>,
    prefix: String,
    next: u32,
    buckets: Buckets,
}

#[async_trait]
impl Items for Opened<'_> {
    async fn next(&mut self) -> PlanResult<Option<Vec<SliceItem>>> {
        if self.next >= self.packaged.chunks() {
            return Ok(None);
        }
        let files = self.packaged.files(self.next).await?;
        self.next += 1;
        let mut items = Vec::with_capacity(files.len());
        for file in files {
            let Some((bucket, key)) = file.uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'))
            else {
                continue;
            };
            if !self.buckets.contains_key(bucket) {
                self.buckets.insert(bucket.to_owned(), (key.to_owned(), false));
            }
            let from = Origin::Object {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                unsigned: false,
                sums: None,
                etag: file.etag.as_deref().map(ETag::new),
            };
            items.push(SliceItem { from, to: format!("{}{}", self.prefix, file.path) });
        }
        Ok(Some(items))
    }

    fn buckets(self: Box<Self>) -> Buckets {
        self.buckets
    }
}
