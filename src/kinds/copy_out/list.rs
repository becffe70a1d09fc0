//! The list of a request, as the items that it stands for. However long the list is, and whatever its
//! wildcards stand for, no more of it is in memory than some thousand items.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use super::reading::{self, Pauses, Reading};
use crate::{
    domain::{
        copy_out::{CopyOutRequest, Origin, SliceItem},
        instruction::{Instruction, is_directory_bucket},
        outcome::{ErrorName, Failure},
        policy::Place,
    },
    engine::kind::PlanResult,
    events::lists::ListReader,
    kinds::lists::{Buckets, DIRECTORY_BUCKET, Items, List, Lists, named},
    ports::{
        Class,
        objects::{Access, ObjectBody},
    },
};

/// Source buckets that a list may name.
const MOST_BUCKETS: usize = 1000;

/// Bytes of the list that an object can need: its key, twice as long for quotes, and folders.
const BYTES: u64 = 4096;

/// Items that are given out at a time, about.
const BATCH: usize = 1000;

/// Bytes of the list that are read at a time: of a gzipped one a thousand times as many may come out.
const READ_BYTES: usize = 512;

/// A list in an object of S3.
#[derive(Debug)]
pub(super) struct InObject<'a>(pub(super) &'a Lists);

#[async_trait]
impl List for InObject<'_> {
    fn judge(&self, request: &CopyOutRequest) -> Result<(), Failure> {
        if request.list_bucket.is_none() && self.0.core.settings.copy_out.working_bucket.is_empty() {
            let message = "the list is given without a bucket, and copy_out.working_bucket is not set";
            return Err(named(ErrorName::InvalidRequest, message, &request.list_key));
        }
        if request.list_key.rsplit('/').next() == Some(request.summary.as_str()) {
            let message = "the summary would be written over the list";
            return Err(named(ErrorName::InvalidRequest, message, &request.list_key));
        }
        Ok(())
    }

    async fn open(&self, request: &CopyOutRequest) -> PlanResult<Box<dyn Items + '_>> {
        let body = open(self.0, request).await?;
        Ok(Box::new(Lister::new(self.0, Arc::new(request.clone()), body)))
    }
}

/// Reads a list.
struct Lister<'a> {
    engine: &'a Lists,
    request: Arc<CopyOutRequest>,
    bytes: Reading<'a>,
    /// What has come and was not read yet.
    piece: Bytes,
    /// None: the list has been read to its end.
    reader: Option<ListReader>,
    rows: VecDeque<Instruction>,
    wildcard: Option<Wildcard>,
    /// A key of each bucket, and whether the bucket is public.
    buckets: Buckets,
    /// Objects that it has stood for.
    objects: u64,
}

/// Opens the list.
async fn open(engine: &Lists, request: &CopyOutRequest) -> PlanResult<ObjectBody> {
    let at = reading::place(request);
    let uri = at.to_string();
    engine.core.settings.policy.check_source(Place::Bucket(&at.bucket), &uri)?;
    let access = engine.objects.bucket_access(&at.bucket, false, &request.options).await?;
    match engine.core.ports.objects.get(&at, None, None, &access).await {
        Ok(body) => Ok(body),
        Err(error) if error.is_passing() => Err(error.into()),
        Err(error) => {
            let name = match error.class {
                Class::NotFound | Class::Forbidden => ErrorName::SourceNotFound,
                _ => ErrorName::InvalidRequest,
            };
            Err(named(name, &format!("the list cannot be read: {error}"), &uri).into())
        }
    }
}

/// A wildcard that is being followed.
struct Wildcard {
    row: Instruction,
    access: Access,
    /// Where its next page starts.
    from: Option<String>,
    /// Objects that it stands for, so far.
    found: usize,
    pauses: Pauses,
}

#[async_trait]
impl Items for Lister<'_> {
    async fn next(&mut self) -> PlanResult<Option<Vec<SliceItem>>> {
        let mut items = Vec::new();
        if let Some(wildcard) = self.wildcard.take() {
            self.wildcard = self.page(wildcard, &mut items).await?;
            return Ok(Some(items));
        }
        if self.rows.is_empty() && !self.read_on().await? {
            return Ok(None);
        }
        while items.len() < BATCH
            && self.wildcard.is_none()
            && let Some(row) = self.rows.pop_front()
        {
            self.follow(row, &mut items).await?;
        }
        Ok(Some(items))
    }

    fn buckets(self: Box<Self>) -> Buckets {
        self.buckets
    }
}

impl<'a> Lister<'a> {
    fn new(engine: &'a Lists, request: Arc<CopyOutRequest>, body: ObjectBody) -> Self {
        let most = engine.core.settings.copy_out.max_objects;
        Self {
            engine,
            bytes: Reading::new(engine, request.clone(), body),
            piece: Bytes::new(),
            reader: Some(ListReader::of(&request.list_key).at_most(most.saturating_mul(BYTES))),
            request,
            rows: VecDeque::new(),
            wildcard: None,
            buckets: Buckets::new(),
            objects: 0,
        }
    }

    /// Reads some more rows; false at the end of the list.
    async fn read_on(&mut self) -> PlanResult<bool> {
        let Some(mut reader) = self.reader.take() else { return Ok(false) };
        let mut rows = Vec::new();
        if self.piece.is_empty() {
            let Some(piece) = self.bytes.next().await? else {
                reader.finish(&mut rows)?;
                self.rows = rows.into();
                return Ok(true);
            };
            self.piece = piece;
        }
        while rows.len() < BATCH && !self.piece.is_empty() {
            let read_chunk = self.piece.split_to(READ_BYTES.min(self.piece.len()));
            reader.push(&read_chunk, &mut rows)?;
            // A chunk of a gzipped list may be half a megabyte of nothing.
            tokio::task::consume_budget().await;
        }
        self.rows = rows.into();
        self.reader = Some(reader);
        Ok(true)
    }

    /// The object of a row, or the wildcard that it is.
    async fn follow(&mut self, row: Instruction, items: &mut Vec<SliceItem>) -> PlanResult<()> {
        if !self.buckets.contains_key(&row.bucket) {
            let uri = format!("s3://{}/{}", row.bucket, row.key);
            self.engine.core.settings.policy.check_source(Place::Bucket(&row.bucket), &uri)?;
            if self.buckets.len() >= MOST_BUCKETS {
                let message = format!("the list names more than {MOST_BUCKETS} buckets");
                return Err(named(ErrorName::InvalidRequest, &message, &uri).into());
            }
            if is_directory_bucket(&row.bucket) {
                return Err(named(ErrorName::InvalidRequest, DIRECTORY_BUCKET, &uri).into());
            }
        }
        if let Some(prefix) = row.wildcard() {
            self.check_apart(&row, prefix)?;
            let options = &self.request.options;
            let access = self.engine.objects.bucket_access(&row.bucket, row.unsigned, options).await?;
            self.wildcard = Some(Wildcard { row, access, from: None, found: 0, pauses: Pauses::default() });
            return Ok(());
        }
        self.take(&row, row.key.clone(), items)?;
        Ok(())
    }

    /// Refuses a wildcard that stands for what is copied, too.
    fn check_apart(&self, row: &Instruction, prefix: &str) -> Result<(), Failure> {
        let relative = row.relative.as_deref().unwrap_or_default();
        let to = format!("{}{relative}", self.request.destination_prefix);
        if row.bucket != self.request.destination_bucket || !to.starts_with(prefix) {
            return Ok(());
        }
        let message = "the destination lies inside the wildcard";
        let uri = format!("s3://{}/{}", row.bucket, row.key);
        Err(named(ErrorName::InvokeArgumentsInvariantError, message, &uri))
    }

    fn take(&mut self, row: &Instruction, key: String, items: &mut Vec<SliceItem>) -> Result<(), Failure> {
        let uri = || format!("s3://{}/{key}", row.bucket);
        let most = self.engine.core.settings.copy_out.max_objects;
        self.objects += 1;
        if self.objects > most {
            let message = format!("the list stands for more than {most} objects (copy_out.max_objects)");
            return Err(named(ErrorName::InvalidRequest, &message, &uri()));
        }
        let Some(to) = row.destination(&self.request.destination_prefix, &key) else {
            let message = "an object would have no key at the destination; give it a folder there";
            return Err(named(ErrorName::InvokeArgumentsInvariantError, message, &uri()));
        };
        if !self.buckets.contains_key(&row.bucket) {
            self.buckets.insert(row.bucket.clone(), (key.clone(), row.unsigned));
        }
        let from = Origin::Object {
            bucket: row.bucket.clone(),
            key,
            unsigned: row.unsigned,
            sums: row.sums.clone(),
            etag: None,
        };
        items.push(SliceItem { from, to });
        Ok(())
    }

    /// The objects of one page of a wildcard; gives it back if there are more.
    async fn page(
        &mut self,
        mut wildcard: Wildcard,
        items: &mut Vec<SliceItem>,
    ) -> PlanResult<Option<Wildcard>> {
        let (row, engine) = (&wildcard.row, self.engine);
        let (prefix, from) = (row.wildcard().unwrap_or_default(), wildcard.from.as_deref());
        let refused =
            |name, message: &str| named(name, message, &format!("s3://{}/{}", row.bucket, row.key)).into();
        let page = match engine.core.ports.objects.list(&row.bucket, prefix, from, &wildcard.access).await {
            Ok(page) => page,
            Err(error) if error.is_passing() => {
                wildcard.pauses.after(engine, error).await?;
                return Ok(Some(wildcard));
            }
            Err(error) => {
                let message = format!("the wildcard cannot be followed: {error}");
                return Err(refused(ErrorName::WildcardExpansionEmptyError, &message));
            }
        };
        wildcard.pauses.forget();
        let most = engine.core.settings.copy_out.max_expansion;
        for found in page.items.into_iter().filter(|found| found.size > 0 || !found.key.ends_with('/')) {
            wildcard.found += 1;
            if wildcard.found > most {
                let message =
                    format!("the wildcard stands for more than {most} objects (copy_out.max_expansion)");
                return Err(refused(ErrorName::WildcardExpansionMaximumError, &message));
            }
            self.take(row, found.key, items)?;
        }
        wildcard.from = page.next;
        match (wildcard.from.is_some(), wildcard.found) {
            (true, _) => Ok(Some(wildcard)),
            (false, 0) => {
                let message = "the wildcard stands for no object";
                Err(refused(ErrorName::WildcardExpansionEmptyError, message))
            }
            (false, _) => Ok(None),
        }
    }
}
