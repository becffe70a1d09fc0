//! Tables in objects of S3 or in files, read as they come.

use std::{collections::VecDeque, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio_util::io::ReaderStream;

use crate::{
    domain::share::rows::Row,
    events::lists::{Meaning, Reader, Rows},
    ports::{
        Class, Error, Result,
        inventory::{Inventory, Pages, RowQuery},
        objects::{Access, ByteStream, ObjectLocation, ObjectStore},
    },
};

/// Bytes of a file that are read at a time.
const PIECE: usize = 64 * 1024;
/// Bytes that are looked at at a time: of a packed table a thousand times as many may come out.
const SIP: usize = 512;
/// Rows of a page, about.
const PAGE: usize = 1000;
/// Bytes that one table may have when it is unpacked.
const LARGEST: u64 = 4 << 30;

/// Where a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An object.
    Object(ObjectLocation),
    /// A file of this machine.
    File(PathBuf),
}

impl Place {
    /// The place of that name: `s3://bucket/key`, or a path.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match Self::object(name) {
            Some(at) => Self::Object(at),
            None => Self::File(PathBuf::from(name)),
        }
    }

    fn object(uri: &str) -> Option<ObjectLocation> {
        let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty() && !key.is_empty()).then(|| ObjectLocation::new(bucket, key))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Object(at) => write!(f, "{at}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The rows of some tables, one after the other.
pub(super) struct Tables<M> {
    objects: Arc<dyn ObjectStore>,
    /// Those that were not opened yet.
    places: VecDeque<Place>,
    open: Option<Open<M>>,
}

struct Open<M> {
    place: Place,
    bytes: ByteStream,
    /// What has come and was not read yet.
    piece: Bytes,
    reader: Reader<M>,
}

impl<M: Meaning + Default> Tables<M> {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, places: impl IntoIterator<Item = Place>) -> Self {
        Self { objects, places: places.into_iter().collect(), open: None }
    }

    async fn open(objects: Arc<dyn ObjectStore>, place: Place) -> Result<Open<M>> {
        let bytes = bytes_of(&objects, &place).await?;
        let reader = Reader::of(&place.to_string()).at_most(LARGEST);
        Ok(Open { place, bytes, piece: Bytes::new(), reader })
    }
}

/// The content of a place.
pub(super) async fn bytes_of(objects: &Arc<dyn ObjectStore>, place: &Place) -> Result<ByteStream> {
    Ok(match place {
        Place::Object(at) => objects.get(at, None, None, &Access::Own).await?.bytes,
        Place::File(path) => {
            let file = tokio::fs::File::open(path).await.map_err(|error| unreadable(place, &error))?;
            ReaderStream::with_capacity(file, PIECE).boxed()
        }
    })
}

fn unreadable(place: &Place, error: &std::io::Error) -> Error {
    let class = if error.kind() == std::io::ErrorKind::NotFound { Class::NotFound } else { Class::Transient };
    Error::new(class, "read table", format!("{place} cannot be read: {error}"))
}

#[async_trait]
impl<M> Pages<M::Row> for Tables<M>
where
    M: Meaning + Default + Send,
    M::Row: Send,
{
    async fn next(&mut self) -> Result<Option<Vec<M::Row>>> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => match self.places.pop_front() {
                Some(place) => Self::open(self.objects.clone(), place).await?,
                None => return Ok(None),
            },
        };
        let mut rows = Vec::new();
        let wrong =
            |place: &Place, why: String| Error::new(Class::Invalid, "read table", format!("{place}: {why}"));
        if open.piece.is_empty() {
            let piece = open.bytes.try_next().await.map_err(|error| unreadable(&open.place, &error))?;
            let Some(piece) = piece else {
                let ended = open.reader.finish(&mut rows);
                ended.map_err(|failure| wrong(&open.place, failure.message))?;
                return Ok(Some(rows));
            };
            open.piece = piece;
        }
        while rows.len() < PAGE && !open.piece.is_empty() {
            let sip = open.piece.split_to(SIP.min(open.piece.len()));
            let read = open.reader.push(&sip, &mut rows);
            read.map_err(|failure| wrong(&open.place, failure.message))?;
            tokio::task::consume_budget().await;
        }
        self.open = Some(open);
        Ok(Some(rows))
    }
}

/// Tables of files that somebody else keeps.
#[derive(Debug)]
pub struct Catalogue {
    objects: Arc<dyn ObjectStore>,
    places: Vec<Place>,
}

impl Catalogue {
    /// Of those tables.
    pub fn new(objects: Arc<dyn ObjectStore>, places: impl IntoIterator<Item = Place>) -> Self {
        Self { objects, places: places.into_iter().collect() }
    }
}

#[async_trait]
impl Inventory for Catalogue {
    fn may_repeat(&self) -> bool {
        true
    }

    async fn rows(&self, _query: &RowQuery) -> Result<Box<dyn Pages<Row>>> {
        if self.places.is_empty() {
            let why = "no files are known (share.catalogue): the request must bring a manifest";
            return Err(Error::new(Class::Invalid, "read table", why));
        }
        Ok(Box::new(Tables::<Rows>::new(self.objects.clone(), self.places.clone())))
    }

    async fn manifest(&self, uri: &str) -> Result<Box<dyn Pages<Row>>> {
        Ok(Box::new(Tables::<Rows>::new(self.objects.clone(), [in_bucket(uri)?])))
    }
}

/// A table that a request names: only objects, never files of this machine.
pub(super) fn in_bucket(uri: &str) -> Result<Place> {
    let why = || {
        Error::new(Class::Invalid, "read table", format!("a manifest is at s3://bucket/key, not at {uri}"))
    };
    Place::object(uri).map(Place::Object).ok_or_else(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::objects::NoObjects;

    #[tokio::test]
    async fn tables_are_read_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Place::File(path)
        };
        let many: Vec<String> = (0..5000).map(|n| format!("s3://b/{n},L{n}\n")).collect();
        let first = write("a.csv", &format!("uri,library_id\n{}", many.concat()));
        let second = write("b.jsonl", "{\"uri\":\"s3://b/last\"}\n");
        let catalogue = Catalogue::new(Arc::new(NoObjects), [first, second]);
        let (mut pages, mut all) = (catalogue.rows(&RowQuery::default()).await.unwrap(), Vec::new());
        while let Some(page) = pages.next().await.unwrap() {
            assert!(page.len() <= PAGE + SIP, "{}", page.len());
            all.extend(page);
        }
        assert_eq!((all.len(), all[5000].uri.as_str()), (5001, "s3://b/last"));
    }

    #[tokio::test]
    async fn a_request_names_no_files_of_this_machine() {
        let catalogue = Catalogue::new(Arc::new(NoObjects), []);
        let error = catalogue.manifest("/etc/passwd").await.err().unwrap();
        assert_eq!(error.class, Class::Invalid);
    }
}
