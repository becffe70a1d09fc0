//! The files of a package as the items of a list.

use std::collections::{BTreeSet, VecDeque};

use async_trait::async_trait;

use super::Push;
use crate::{
    domain::{
        copy_out::{CopyOutRequest, Origin, SliceItem},
        file::ETag,
        ids::RequestId,
        location::Location,
        outcome::{ErrorName, Failure, Outcome, culprit},
        share::{
            files::{InProject, PackagedFile},
            outcome::{Libraries, PackageReport},
        },
    },
    engine::{
        kind::PlanResult,
        lease::{Leased, RoundResult},
    },
    kinds::{
        frozen::read_chunk,
        lists::{Buckets, Items, List},
    },
    ports,
};

/// The files of a package.
#[derive(Debug)]
pub(super) struct Packaged<'a> {
    push: &'a Push,
    package: RequestId,
    report: PackageReport,
    /// Names of papers that are put beside the files.
    papers: BTreeSet<String>,
    /// Whether an event has asked for it.
    is_of_event: bool,
}

impl<'a> Packaged<'a> {
    pub(super) fn new(
        push: &'a Push,
        package: RequestId,
        report: PackageReport,
        papers: BTreeSet<String>,
        is_of_event: bool,
    ) -> Self {
        Self { push, package, report, papers, is_of_event }
    }

    /// How many chunks they are in.
    pub(super) fn chunks(&self) -> u32 {
        self.report.chunks
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.report.files
    }

    /// The libraries of the files.
    pub(super) fn libraries(&self) -> &Libraries {
        &self.report.libraries
    }

    /// The package.
    pub(super) fn package(&self) -> &RequestId {
        &self.package
    }

    /// The files of a chunk.
    pub(super) async fn files(&self, n: u32) -> ports::Result<Vec<PackagedFile>> {
        let chunk = read_chunk(&self.push.core, &self.package, self.report.generation, n).await?;
        Ok(chunk.kept().cloned().collect())
    }

    /// Refuses a file whose place a paper will have.
    pub(super) fn check(&self, file: &PackagedFile) -> Result<(), Failure> {
        if !self.papers.contains(&file.path) {
            return Ok(());
        }
        let why =
            format!("it would be written over by what is put beside the files (deliver): {}", file.path);
        Err(culprit(ErrorName::InvalidRequest, why.clone(), &file.uri, &why))
    }

    /// The files that are items of a list, in its order.
    pub(super) fn in_order(&self) -> InOrder<'_> {
        InOrder { packaged: self, next: 0, files: VecDeque::new() }
    }
}

/// Where a file that can be an item comes from: as it was packaged, and not otherwise.
fn origin(file: &PackagedFile) -> Option<Origin> {
    let etag = file.etag.as_deref().map(ETag::new);
    match (Location::parse(&file.uri).ok()?, &file.icav2) {
        (Location::S3 { bucket, key }, _) => {
            Some(Origin::Object { bucket, key, unsigned: false, sums: None, etag })
        }
        (Location::Icav2 { path, .. }, Some(InProject { project, data })) => {
            Some(Origin::Data { project: project.clone(), id: data.clone(), path, size: file.size, etag })
        }
        (Location::Icav2 { .. }, None) => None,
    }
}

/// Files, one after the other; a chunk of them is in memory.
pub(super) struct InOrder<'a> {
    packaged: &'a Packaged<'a>,
    next: u32,
    files: VecDeque<PackagedFile>,
}

impl InOrder<'_> {
    /// The next one.
    pub(super) async fn next(&mut self) -> ports::Result<Option<PackagedFile>> {
        while self.files.is_empty() && self.next < self.packaged.chunks() {
            let files = self.packaged.files(self.next).await?;
            self.files.extend(files.into_iter().filter(|file| origin(file).is_some()));
            self.next += 1;
        }
        Ok(self.files.pop_front())
    }
}

#[async_trait]
impl List for Packaged<'_> {
    fn is_of_event(&self) -> bool {
        self.is_of_event
    }

    async fn complete_dry_run(&self, held: &Leased, outcome: &mut Outcome) -> RoundResult<()> {
        self.push.complete_dry_run(held, outcome).await
    }

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
            self.packaged.check(&file)?;
            let Some(from) = origin(&file) else { continue };
            if let Origin::Object { bucket, key, .. } = &from
                && !self.buckets.contains_key(bucket)
            {
                self.buckets.insert(bucket.clone(), (key.clone(), false));
            }
            items.push(SliceItem { from, to: format!("{}{}", self.prefix, file.path) });
        }
        Ok(Some(items))
    }

    fn buckets(self: Box<Self>) -> Buckets {
        self.buckets
    }
}
