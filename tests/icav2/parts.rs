//! Uploads in parts, over an S3 that is a map and a wire that knows ranges.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use copy_manager::{
    domain::file::ETag,
    ports::{
        Class, Error, Result,
        objects::{
            Access, ByteStream, ObjectBody, ObjectCopy, ObjectInfo, ObjectLocation, ObjectStore, PartTag,
            PartUploads, Precondition, RestoreRequest, UploadId, WriteOptions,
        },
        parts,
        store::Page,
        transfers::{ObjectSource, PartsUpload, PresignedUrl, Stream, StreamSource, Tagged, Transfers as _},
    },
    transfer::{
        stream::{Settings, Streams},
        wire::{Body, Opened, Wire},
    },
};
use futures_util::{StreamExt as _, stream};
use md5::{Digest as _, Md5};
use pretty_assertions::assert_eq;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The first attempts at part 2 break off in the middle.
    Breaks(usize),
    /// The source of part 2 never ends.
    Stalls,
    /// Part 2 is stored with another byte.
    Damages,
    /// Part 2 is refused.
    Refuses,
    /// The object is made, and nobody is told.
    LosesAnswer,
}

#[derive(Debug, Default)]
struct Upload {
    parts: BTreeMap<u32, Bytes>,
}

/// An S3 of one source object and of whatever is uploaded.
#[derive(Debug)]
struct Bucket {
    source: Bytes,
    fault: Fault,
    attempts: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    uploads: Mutex<BTreeMap<String, Upload>>,
    begun: AtomicUsize,
    made: Mutex<Option<(Bytes, ETag)>>,
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap()
}

fn md5(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

fn tag(number: u32, bytes: &[u8]) -> PartTag {
    PartTag { number, etag: ETag::new(&md5(bytes)), is_md5: true, crc32: None }
}

impl Bucket {
    fn new(size: u64, fault: Fault) -> Arc<Self> {
        let pattern: Vec<u8> = (0..=250).collect();
        let mut bytes = pattern.repeat(index(size).div_ceil(pattern.len()));
        bytes.truncate(index(size));
        Arc::new(Self {
            source: bytes.into(),
            fault,
            attempts: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            uploads: Mutex::default(),
            begun: AtomicUsize::new(0),
            made: Mutex::default(),
        })
    }

    fn read(&self, range: Option<Range<u64>>) -> (Option<u64>, Body) {
        let size = self.source.len() as u64;
        let range = range.unwrap_or(0..size);
        let is_second = range.start > 0 && range.start <= size / 2;
        let bytes = self.source.slice(index(range.start)..index(range.end));
        let length = bytes.len() as u64;
        let chunks: Vec<_> = bytes.chunks(index(MIB)).map(|chunk| bytes.slice_ref(chunk)).collect();
        let half = stream::iter(chunks.clone()).take(index(length / MIB / 2)).map(Ok);
        let body = stream::iter(chunks).map(Ok);
        let body = match self.fault {
            Fault::Breaks(times) if is_second && self.attempts.fetch_add(1, Ordering::SeqCst) < times => {
                half.chain(stream::iter([Err(std::io::Error::other("reset"))])).boxed()
            }
            Fault::Stalls if is_second => half.chain(stream::pending()).boxed(),
            _ => body.boxed(),
        };
        (Some(length), body)
    }

    fn object(&self) -> Option<(Bytes, ETag)> {
        self.made.lock().unwrap().clone()
    }

    fn left(&self) -> usize {
        self.uploads.lock().unwrap().len()
    }
}

#[async_trait]
impl PartUploads for Bucket {
    async fn begin(
        &self,
        _: &ObjectLocation,
        _: Option<&ObjectInfo>,
        _: &WriteOptions,
        _: &Access,
    ) -> Result<UploadId> {
        let id = format!("upload {}", self.begun.fetch_add(1, Ordering::SeqCst));
        self.uploads.lock().unwrap().insert(id.clone(), Upload::default());
        Ok(UploadId(id))
    }

    async fn put_part(
        &self,
        _: &ObjectLocation,
        upload: &UploadId,
        number: u32,
        size: u64,
        mut bytes: ByteStream,
        _: &Access,
    ) -> Result<PartTag> {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        let mut taken = Vec::new();
        let mut broken = None;
        while let Some(chunk) = bytes.next().await {
            match chunk {
                Ok(chunk) => taken.extend_from_slice(&chunk),
                Err(error) => broken = Some(error),
            }
            sleep(Duration::from_millis(10)).await;
        }
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if let Some(error) = broken {
            return Err(Error::new(Class::Transient, "UploadPart", "no answer").caused_by(error).ambiguous());
        }
        assert_eq!(taken.len() as u64, size);
        if number == 2 && self.fault == Fault::Refuses {
            return Err(Error::new(Class::Forbidden, "UploadPart", "no"));
        }
        if number == 2 && self.fault == Fault::Damages {
            *taken.first_mut().unwrap() ^= 1;
        }
        let tag = tag(number, &taken);
        let mut uploads = self.uploads.lock().unwrap();
        uploads.get_mut(&upload.0).unwrap().parts.insert(number, taken.into());
        Ok(tag)
    }

    async fn copy_part(
        &self,
        to: &ObjectLocation,
        _: &UploadId,
        _: u32,
        _: &ObjectLocation,
        _: Range<u64>,
        _: Option<&ETag>,
        _: &Access,
    ) -> Result<PartTag> {
        Err(Error::new(Class::Forbidden, "UploadPartCopy", to.to_string()))
    }

    async fn parts_of(
        &self,
        _: &ObjectLocation,
        upload: &UploadId,
        _: &Access,
    ) -> Result<Option<Vec<(PartTag, u64)>>> {
        let uploads = self.uploads.lock().unwrap();
        let sized = |(number, bytes): (&u32, &Bytes)| (tag(*number, bytes), bytes.len() as u64);
        Ok(uploads.get(&upload.0).map(|upload| upload.parts.iter().map(sized).collect()))
    }

    async fn complete(
        &self,
        _: &ObjectLocation,
        upload: &UploadId,
        parts: &[PartTag],
        _: &Precondition,
        _: &Access,
    ) -> Result<ETag> {
        let upload = self.uploads.lock().unwrap().remove(&upload.0).unwrap();
        let known: Vec<_> = upload.parts.iter().map(|(number, bytes)| tag(*number, bytes)).collect();
        assert_eq!(parts, known);
        let whole = upload.parts.into_values().collect::<Vec<_>>().concat();
        let etag = parts::joined(parts).unwrap();
        *self.made.lock().unwrap() = Some((whole.into(), etag.clone()));
        match self.fault {
            Fault::LosesAnswer => Err(Error::new(Class::NotFound, "CompleteMultipartUpload", "NoSuchUpload")),
            _ => Ok(etag),
        }
    }

    async fn abort(&self, _: &ObjectLocation, upload: &UploadId, _: &Access) -> Result<()> {
        self.uploads.lock().unwrap().remove(&upload.0);
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn head(&self, at: &ObjectLocation, _: &Access) -> Result<Option<ObjectInfo>> {
        Ok(self.object().map(|(bytes, etag)| ObjectInfo {
            key: at.key.clone(),
            size: bytes.len() as u64,
            etag: Some(etag),
            ..ObjectInfo::default()
        }))
    }

    async fn look(&self, at: &ObjectLocation, access: &Access) -> Result<Option<ObjectInfo>> {
        self.head(at, access).await
    }

    async fn part_sizes(&self, _: &ObjectLocation, _: &ObjectInfo, _: &Access) -> Result<Option<Vec<u64>>> {
        Ok(None)
    }

    async fn each_part_size(
        &self,
        _: &ObjectLocation,
        _: &ObjectInfo,
        _: &Access,
    ) -> Result<Option<Vec<u64>>> {
        Ok(None)
    }

    async fn tags(&self, _: &ObjectLocation, _: &Access) -> Result<BTreeMap<String, String>> {
        Ok(BTreeMap::new())
    }

    async fn put(
        &self,
        to: &ObjectLocation,
        _: Bytes,
        _: Option<&str>,
        _: &WriteOptions,
        _: &Access,
    ) -> Result<ETag> {
        Err(Error::new(Class::Forbidden, "PutObject", to.to_string()))
    }

    async fn restore(&self, _: &ObjectLocation, _: &RestoreRequest, _: &Access) -> Result<()> {
        Ok(())
    }

    async fn list(&self, _: &str, _: &str, _: Option<&str>, _: &Access) -> Result<Page<ObjectInfo>> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn get(
        &self,
        _: &ObjectLocation,
        range: Option<Range<u64>>,
        etag: Option<&ETag>,
        _: &Access,
    ) -> Result<ObjectBody> {
        if etag.is_some_and(|etag| etag.as_str() == "changed") {
            return Err(Error::new(Class::Conflict, "GetObject", "PreconditionFailed"));
        }
        let (size, bytes) = self.read(range);
        Ok(ObjectBody { size, etag: None, is_md5: false, bytes })
    }

    async fn copy(&self, copy: &ObjectCopy, _: &Access) -> Result<ETag> {
        Err(Error::new(Class::Forbidden, "CopyObject", copy.to.to_string()))
    }
}

/// The same source behind presigned URLs; what is PUT is kept as if it were uploaded.
#[derive(Debug)]
struct Urls(Arc<Bucket>);

#[async_trait]
impl Wire for Urls {
    async fn get(&self, _: &PresignedUrl) -> Result<Opened> {
        let (length, body) = self.0.read(None);
        Ok(Opened { length, tagged: Tagged::default(), body })
    }

    async fn get_range(&self, _: &PresignedUrl, range: Range<u64>) -> Result<Opened> {
        let (length, body) = self.0.read(Some(range));
        Ok(Opened { length, tagged: Tagged::default(), body })
    }

    fn carries_md5(&self, _: &PresignedUrl) -> bool {
        false
    }

    async fn put(&self, _: &PresignedUrl, _: u64, _: Option<&str>, body: Body) -> Result<Tagged> {
        let chunks: Vec<Bytes> = body.map(|chunk| chunk.unwrap()).collect().await;
        let bytes: Bytes = chunks.concat().into();
        *self.0.made.lock().unwrap() = Some((bytes.clone(), ETag::new(&md5(&bytes))));
        Ok(Tagged::default())
    }
}

fn streams(bucket: &Arc<Bucket>) -> Streams {
    let settings = Settings { part_bytes: 5 * MIB, ..Settings::default() };
    Streams::new(Arc::new(Urls(bucket.clone())), settings).with_objects(bucket.clone())
}

fn object(etag: Option<&str>) -> StreamSource {
    let at = ObjectLocation::new("outside", "f");
    ObjectSource { at, access: Access::Own, etag: etag.map(ETag::new) }.into()
}

fn upload(bucket: &Bucket, from: StreamSource) -> PartsUpload {
    let to = ObjectLocation::new("data", "run/f");
    PartsUpload { from, size: bucket.source.len() as u64, etag: None, parts: None, to, access: Access::Own }
}

async fn arrived(bucket: &Arc<Bucket>, upload: PartsUpload) -> ETag {
    let etag = streams(bucket).upload_parts(upload, &CancellationToken::new()).await.unwrap();
    let (bytes, stored) = bucket.object().unwrap();
    assert!(bytes == bucket.source && stored == etag);
    assert_eq!(bucket.left(), 0);
    etag
}

async fn failed(fault: Fault, change: impl FnOnce(&mut PartsUpload)) -> (Error, Arc<Bucket>) {
    let bucket = Bucket::new(12 * MIB, fault);
    let mut upload = upload(&bucket, object(None));
    change(&mut upload);
    let error = streams(&bucket).upload_parts(upload, &CancellationToken::new()).await.unwrap_err();
    assert_eq!((bucket.left(), bucket.object()), (0, None), "aborted, and nothing made");
    assert!(!error.may_have_happened);
    (error, bucket)
}

#[tokio::test(start_paused = true)]
async fn parts_arrive_whole_and_few_at_a_time() {
    let bucket = Bucket::new(41 * MIB, Fault::None);
    let etag = arrived(&bucket, upload(&bucket, object(Some("as it was")))).await;
    assert_eq!(parts::count(&etag), Some(9));
    assert_eq!(bucket.most_under_way.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn presigned_urls_are_read_in_ranges_too() {
    for size in [0, 1, 5 * MIB, 11 * MIB] {
        let bucket = Bucket::new(size, Fault::None);
        arrived(&bucket, upload(&bucket, PresignedUrl::from("https://x").into())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_sources_own_parts_give_its_own_tag() {
    let bucket = Bucket::new(20 * MIB, Fault::None);
    let tags = |sizes: &[u64]| -> Vec<_> {
        let ranges = parts::cut(20 * MIB, sizes).unwrap();
        let chunk = |range: Range<u64>| &bucket.source[index(range.start)..index(range.end)];
        ranges.into_iter().map(|(number, range)| tag(number, chunk(range))).collect()
    };
    let all = [
        (&[8, 8, 4][..], false),
        (&[16, 4], false),
        (&[7, 7, 6], true),
        (&[19, 1], true),
        (&[6, 9, 5], true),
    ];
    for (part, known) in all {
        let sizes: Vec<u64> = part.iter().map(|size| size * MIB).collect();
        let etag = parts::joined(&tags(&sizes)).unwrap();
        let parts = known.then_some(sizes);
        let upload = PartsUpload { etag: Some(etag.clone()), parts, ..upload(&bucket, object(None)) };
        assert_eq!(arrived(&bucket, upload).await, etag, "{part:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_breaks_is_tried_again_by_itself() {
    let bucket = Bucket::new(12 * MIB, Fault::Breaks(2));
    arrived(&bucket, upload(&bucket, object(None))).await;
    assert_eq!((bucket.attempts.load(Ordering::SeqCst), bucket.begun.load(Ordering::SeqCst)), (3, 1));
    let (error, _) = failed(Fault::Breaks(3), |_| ()).await;
    assert_eq!((error.class, error.operation), (Class::Transient, "GET presigned URL"));
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_otherwise_is_no_success() {
    let (error, _) = failed(Fault::Damages, |_| ()).await;
    assert!(error.class == Class::Transient && error.message.starts_with("part 2: sent MD5"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_aborted() {
    assert_eq!(failed(Fault::Refuses, |_| ()).await.0.class, Class::Forbidden);
    let (error, _) = failed(Fault::None, |upload| upload.from = object(Some("changed"))).await;
    assert_eq!(error.class, Class::Conflict);
    let start = Instant::now();
    let (error, _) = failed(Fault::Stalls, |_| ()).await;
    assert!(error.message.starts_with("no byte moved"), "{error}");
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn what_was_left_behind_is_ended_first_and_what_others_write_is_not() {
    let bucket = Bucket::new(12 * MIB, Fault::Stalls);
    let to = ObjectLocation::new("data", "run/f");
    let others = bucket.begin(&to, None, &WriteOptions::default(), &Access::Own).await.unwrap();
    let streams = streams(&bucket);
    // It is dropped, so that nobody aborts it.
    let cut = CancellationToken::new();
    let dropped = streams.upload_parts(upload(&bucket, object(None)), &cut);
    tokio::time::timeout(Duration::from_secs(5), dropped).await.unwrap_err();
    assert_eq!(bucket.left(), 2);
    streams.upload_parts(upload(&bucket, object(None)), &cut).await.unwrap_err();
    let left: Vec<_> = bucket.uploads.lock().unwrap().keys().cloned().collect();
    assert_eq!(left, [others.0]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_out() {
    let bucket = Bucket::new(6 * MIB, Fault::LosesAnswer);
    arrived(&bucket, upload(&bucket, object(None))).await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_ends_and_aborts_it() {
    let bucket = Bucket::new(12 * MIB, Fault::Stalls);
    let cut = CancellationToken::new();
    let streams = streams(&bucket);
    let upload = upload(&bucket, object(None));
    let (done, ()) = tokio::join!(streams.upload_parts(upload, &cut), async {
        sleep(Duration::from_secs(5)).await;
        cut.cancel();
    });
    assert_eq!((done.unwrap_err().class, bucket.left()), (Class::Transient, 0));
}

#[tokio::test(start_paused = true)]
async fn objects_are_streamed_into_one_put() {
    let bucket = Bucket::new(3 * MIB, Fault::None);
    let stream = Stream { from: object(None), to: PresignedUrl::from("https://x"), size: 3 * MIB };
    streams(&bucket).stream(stream.clone(), &CancellationToken::new()).await.unwrap();
    assert!(bucket.object().unwrap().0 == bucket.source);
    let without = Streams::new(Arc::new(Urls(bucket)), Settings::default());
    let error = without.stream(stream, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "stream file: S3 is not at hand");
}
