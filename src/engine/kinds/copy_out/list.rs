//! The list of a request, as the items that it stands for.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::{Judged, Refused, named};
use crate::{
    domain::{
        copy_out::{CopyOutRequest, Origin, SliceItem},
        instruction::Instruction,
        outcome::ErrorName,
        policy::Place,
    },
    engine::Engine,
    events::lists::ListReader,
    ports::{
        Class, Error,
        objects::{ByteStream, ObjectLocation},
    },
};

/// How long the next piece of a list may take to come.
const PATIENCE: Duration = Duration::from_mins(1);

/// Source buckets that a list may name.
const MOST_BUCKETS: usize = 1000;

/// Reads a list.
pub(super) struct Lister<'a> {
    engine: &'a Engine,
    request: &'a CopyOutRequest,
    bytes: ByteStream,
    /// None: the list has been read to its end.
    reader: Option<ListReader>,
    rows: VecDeque<Instruction>,
    /// A key of each bucket, and whether the bucket is public.
    buckets: BTreeMap<String, (String, bool)>,
}

/// Opens the list.
pub(super) async fn open(engine: &Engine, request: &CopyOutRequest) -> Judged<ByteStream> {
    let bucket = request.list_bucket.as_deref().unwrap_or_default();
    let at = ObjectLocation::new(bucket, request.list_key.as_str());
    let uri = at.to_string();
    engine.settings.policy.check_source(Place::Bucket(bucket), &uri)?;
    let access = engine.bucket_access(bucket, false, &request.options).await?;
    match engine.ports.objects.get(&at, None, None, &access).await {
        Ok(body) => Ok(body.bytes),
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

impl<'a> Lister<'a> {
    pub(super) async fn open(engine: &'a Engine, request: &'a CopyOutRequest) -> Judged<Self> {
        Ok(Self::new(engine, request, open(engine, request).await?))
    }

    pub(super) fn new(engine: &'a Engine, request: &'a CopyOutRequest, bytes: ByteStream) -> Self {
        Self {
            engine,
            request,
            bytes,
            reader: Some(ListReader::of(&request.list_key)),
            rows: VecDeque::new(),
            buckets: BTreeMap::new(),
        }
    }

    /// A key of each source bucket that has gone by, and whether the bucket is public.
    pub(super) fn buckets(self) -> BTreeMap<String, (String, bool)> {
        self.buckets
    }

    /// The next items of the list, in its order; `None` at its end.
    pub(super) async fn next(&mut self) -> Judged<Option<Vec<SliceItem>>> {
        loop {
            let mut items = Vec::new();
            while let Some(row) = self.rows.pop_front() {
                self.follow(row, &mut items).await?;
            }
            if !items.is_empty() {
                return Ok(Some(items));
            }
            let Some(mut reader) = self.reader.take() else { return Ok(None) };
            let mut rows = Vec::new();
            let piece = timeout(PATIENCE, self.bytes.next()).await.map_err(|_| {
                Refused::Port(Error::new(Class::Transient, "GetObject", "the list does not go on"))
            })?;
            match piece {
                Some(Ok(piece)) => {
                    reader.push(&piece, &mut rows)?;
                    self.reader = Some(reader);
                }
                Some(Err(error)) => {
                    let broke = Error::new(Class::Transient, "GetObject", "the list broke off");
                    return Err(Refused::Port(broke.caused_by(error)));
                }
                None => reader.finish(&mut rows)?,
            }
            self.rows = rows.into();
        }
    }

    async fn follow(&mut self, row: Instruction, items: &mut Vec<SliceItem>) -> Judged<()> {
        if !self.buckets.contains_key(&row.bucket) {
            let uri = format!("s3://{}/{}", row.bucket, row.key);
            self.engine.settings.policy.check_source(Place::Bucket(&row.bucket), &uri)?;
            if self.buckets.len() >= MOST_BUCKETS {
                let message = format!("the list names more than {MOST_BUCKETS} buckets");
                return Err(named(ErrorName::InvalidRequest, &message, &uri).into());
            }
        }
        let keys = match row.wildcard() {
            Some(prefix) => expand(self.engine, self.request, &row, prefix).await?,
            None => vec![row.key.clone()],
        };
        for key in keys {
            // The marker of a folder is no object of interest.
            let Some(to) = row.destination(&self.request.destination_prefix, &key) else { continue };
            if !self.buckets.contains_key(&row.bucket) {
                self.buckets.insert(row.bucket.clone(), (key.clone(), row.unsigned));
            }
            let from = Origin::Object {
                bucket: row.bucket.clone(),
                key,
                unsigned: row.unsigned,
                sums: row.sums.clone(),
            };
            items.push(SliceItem { from, to });
        }
        Ok(())
    }
}

/// The keys that a wildcard stands for.
async fn expand(
    engine: &Engine,
    request: &CopyOutRequest,
    row: &Instruction,
    prefix: &str,
) -> Judged<Vec<String>> {
    let most = engine.settings.copy_out.max_expansion;
    let uri = format!("s3://{}/{}", row.bucket, row.key);
    let access = engine.bucket_access(&row.bucket, row.unsigned, &request.options).await?;
    let (mut keys, mut from) = (Vec::new(), None);
    loop {
        let page = engine.ports.objects.list(&row.bucket, prefix, from.as_deref(), &access).await;
        let page = match page {
            Ok(page) => page,
            Err(error) if error.is_passing() => return Err(error.into()),
            Err(error) => {
                let message = format!("the wildcard cannot be followed: {error}");
                return Err(named(ErrorName::WildcardExpansionEmptyError, &message, &uri).into());
            }
        };
        let real = page.items.into_iter().filter(|found| found.size > 0 || !found.key.ends_with('/'));
        keys.extend(real.map(|found| found.key));
        if keys.len() > most {
            let message =
                format!("the wildcard stands for more than {most} objects (copy_out.max_expansion)");
            return Err(named(ErrorName::WildcardExpansionMaximumError, &message, &uri).into());
        }
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    if keys.is_empty() {
        let message = "the wildcard stands for no object";
        return Err(named(ErrorName::WildcardExpansionEmptyError, message, &uri).into());
    }
    Ok(keys)
}
