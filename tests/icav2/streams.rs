//! Streams over a scripted wire.

use std::{
    io,
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
        transfers::{PresignedUrl, Sent, Stream, Tagged, Transfers as _},
    },
    transfer::{
        stream::{Settings, Streams},
        wire::{Body, Opened, Wire},
    },
};
use futures_util::{Stream as Chunks, StreamExt as _, stream};
use md5::{Digest as _, Md5};
use pretty_assertions::assert_eq;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const FROM: &str = "https://source.test/key?X-Amz-Signature=read";
const TO: &str = "https://destination.test/key?X-Amz-Signature=write";

/// What the source does after its chunks.
#[derive(Debug, Clone, Copy)]
enum End {
    Well,
    Broken,
    Never,
}

/// A source that gives chunks, a destination that counts them.
#[derive(Debug)]
struct Pipe {
    announced: Option<u64>,
    /// What the answer of the source proves of the MD5.
    proven: Option<String>,
    /// Whether the destination checks the MD5 that a PUT carries, as S3 does.
    checks: bool,
    /// What the destination says that it has stored.
    stored: Tagged,
    chunks: Vec<Bytes>,
    /// What comes instead of the chunks, and what is told instead of `stored`.
    swapped: Mutex<Option<Bytes>>,
    told: Mutex<Option<Tagged>>,
    end: End,
    /// What the destination answers, and after how long.
    answer: Option<Class>,
    pause: Duration,
    given: Arc<AtomicUsize>,
    most_ahead: AtomicUsize,
    puts: AtomicUsize,
    written: Mutex<Vec<u8>>,
    completed: Mutex<Option<u64>>,
}

impl Pipe {
    fn new(chunks: &[&'static [u8]]) -> Self {
        Self {
            announced: Some(chunks.iter().map(|chunk| chunk.len() as u64).sum()),
            proven: None,
            checks: false,
            stored: Tagged::default(),
            chunks: chunks.iter().map(|chunk| Bytes::from_static(chunk)).collect(),
            swapped: Mutex::default(),
            told: Mutex::default(),
            end: End::Well,
            answer: None,
            pause: Duration::ZERO,
            given: Arc::default(),
            most_ahead: AtomicUsize::new(0),
            puts: AtomicUsize::new(0),
            written: Mutex::default(),
            completed: Mutex::default(),
        }
    }

    fn completed(&self) -> Option<u64> {
        *self.completed.lock().unwrap()
    }
}

#[async_trait]
impl Wire for Pipe {
    async fn get(&self, _: &PresignedUrl) -> Result<Opened> {
        let given = self.given.clone();
        let swapped = self.swapped.lock().unwrap().clone();
        let chunks = swapped.map_or_else(|| self.chunks.clone(), |chunk| vec![chunk]);
        let chunks = stream::iter(chunks).map(move |chunk| {
            given.fetch_add(1, Ordering::SeqCst);
            Ok(chunk)
        });
        let end = match self.end {
            End::Well => ended_once().boxed(),
            End::Broken => stream::iter([Err(io::Error::other("reset"))]).boxed(),
            End::Never => stream::pending().boxed(),
        };
        let etag = self.proven.as_deref().map(ETag::new);
        let tagged = Tagged { is_md5: etag.is_some(), etag };
        Ok(Opened { length: self.announced, tagged, body: chunks.chain(end).boxed() })
    }

    fn carries_md5(&self, _: &PresignedUrl) -> bool {
        self.checks
    }

    async fn put(&self, _: &PresignedUrl, length: u64, sum: Option<&str>, mut body: Body) -> Result<Tagged> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        let mut taken = 0;
        while let Some(chunk) = body.next().await {
            let chunk =
                chunk.map_err(|_| Error::new(Class::Transient, "PUT", "the body broke").ambiguous())?;
            taken += 1;
            self.most_ahead.fetch_max(self.given.load(Ordering::SeqCst) - taken, Ordering::SeqCst);
            self.written.lock().unwrap().extend_from_slice(&chunk);
            sleep(self.pause).await;
        }
        if let Some(class) = self.answer {
            Err(Error::new(class, "PUT", "no").ambiguous())
        } else {
            let stored = md5(&self.written.lock().unwrap());
            if self.checks && sum.is_some_and(|sum| !sum.eq_ignore_ascii_case(&stored)) {
                return Err(Error::new(Class::Transient, "PUT", "BadDigest"));
            }
            assert_eq!(self.written.lock().unwrap().len() as u64, length);
            *self.completed.lock().unwrap() = Some(length);
            Ok(self.told.lock().unwrap().clone().unwrap_or_else(|| self.stored.clone()))
        }
    }
}

/// Nothing, and a panic for whoever asks after that.
fn ended_once() -> impl Chunks<Item = io::Result<Bytes>> {
    stream::unfold((), |()| async { None })
}

struct Done {
    pipe: Arc<Pipe>,
    result: Result<Sent>,
    took: Duration,
}

async fn run(pipe: Pipe, size: u64, md5: Option<&str>) -> Done {
    run_until(pipe, size, md5, &CancellationToken::new()).await
}

async fn run_until(pipe: Pipe, size: u64, md5: Option<&str>, cut: &CancellationToken) -> Done {
    let pipe = Arc::new(Pipe { proven: md5.map(str::to_owned), ..pipe });
    let streams = Streams::new(pipe.clone(), Settings::default());
    let stream = Stream { from: PresignedUrl::from(FROM).into(), to: TO.into(), size };
    let started = Instant::now();
    let result = streams.stream(stream, cut).await;
    if let Err(error) = &result {
        assert!(!format!("{error} {error:?}").contains("Amz"), "{error:?}");
    }
    Done { pipe, result, took: started.elapsed() }
}

fn md5(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_whole_and_in_order() {
    let expected = md5(b"hello world").to_uppercase();
    let done = run(Pipe::new(&[b"hel", b"", b"lo ", b"world"]), 11, Some(&expected)).await;
    done.result.unwrap();
    assert_eq!(
        (&*done.pipe.written.lock().unwrap(), done.pipe.completed()),
        (&b"hello world".to_vec(), Some(11))
    );
}

#[tokio::test(start_paused = true)]
async fn empty_files_are_files() {
    for chunks in [&[][..], &[&b""[..]][..]] {
        let done = run(Pipe::new(chunks), 0, Some("d41d8cd98f00b204e9800998ecf8427e")).await;
        done.result.unwrap();
        assert_eq!(done.pipe.completed(), Some(0));
    }
    let wrong = run(Pipe::new(&[]), 0, Some(&md5(b"x"))).await;
    assert_eq!((wrong.result.unwrap_err().class, wrong.pipe.completed()), (Class::Invalid, None));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_md5_is_never_completed() {
    let expected = md5(b"hello there");
    let done = run(Pipe::new(&[b"hello ", b"wor", b"ld"]), 11, Some(&expected)).await;
    let error = done.result.unwrap_err();
    assert_eq!((error.class, error.may_have_happened), (Class::Invalid, false));
    assert!(error.message.contains(&expected) && error.message.contains(&md5(b"hello world")), "{error}");
    assert_eq!((done.pipe.completed(), &*done.pipe.written.lock().unwrap()), (None, &b"hello wor".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_small_file_that_is_wrong_is_not_even_begun() {
    let done = run(Pipe::new(&[b"hello"]), 5, Some(&md5(b"other"))).await;
    assert_eq!(done.result.unwrap_err().class, Class::Invalid);
    assert_eq!(done.pipe.puts.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_otherwise_is_no_success() {
    let stored = |text: &[u8], is_md5| Tagged { etag: Some(ETag::new(&md5(text))), is_md5 };
    let pipe = |stored| Pipe { stored, ..Pipe::new(&[b"hello ", b"world"]) };
    let wrong = run(pipe(stored(b"hellO world", true)), 11, None).await.result.unwrap_err();
    assert!(wrong.class == Class::Transient && wrong.message.starts_with("sent MD5"), "{wrong}");
    // A tag that only looks like an MD5 says nothing, and is kept all the same.
    for (is_md5, text) in [(true, b"hello world"), (false, b"hellO world")] {
        let sent = run(pipe(stored(text, is_md5)), 11, None).await.result.unwrap();
        assert_eq!(sent, Sent { etag: Some(ETag::new(&md5(text))), md5: md5(b"hello world") });
    }
}

#[tokio::test(start_paused = true)]
async fn s3_is_trusted_with_the_md5_once_it_has_told_one() {
    let tells = |text: &[u8]| Tagged { etag: Some(ETag::new(&md5(text))), is_md5: true };
    let pipe =
        Pipe { checks: true, proven: Some(md5(b"hello")), stored: tells(b"hello"), ..Pipe::new(&[b"hello"]) };
    let pipe = Arc::new(pipe);
    let streams = Streams::new(pipe.clone(), Settings::default());
    let go = async |source: &'static [u8], told: Option<Tagged>| {
        pipe.written.lock().unwrap().clear();
        *pipe.swapped.lock().unwrap() = Some(Bytes::from_static(source));
        *pipe.told.lock().unwrap() = told;
        let stream = Stream { from: PresignedUrl::from(FROM).into(), to: TO.into(), size: 5 };
        streams.stream(stream, &CancellationToken::new()).await
    };
    // At first the bytes are seen here: a file that is wrong is not even begun.
    let error = go(b"jello", None).await.unwrap_err();
    assert!(error.class == Class::Invalid && error.message.starts_with("expected MD5"), "{error}");
    assert_eq!(pipe.puts.load(Ordering::SeqCst), 0);
    assert_eq!(go(b"hello", None).await.unwrap().md5, md5(b"hello"));
    // From then on S3 refuses what is not what the source proves.
    let error = go(b"jello", None).await.unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (Class::Transient, "BadDigest"));
    // One that tells no MD5 any more has not shown that it has looked: not a success, and hashed here again.
    let error = go(b"hello", Some(Tagged::default())).await.unwrap_err();
    assert!(error.class == Class::Transient && error.may_have_happened, "{error}");
    assert!(go(b"jello", Some(Tagged::default())).await.unwrap_err().message.starts_with("expected MD5"));
    assert_eq!(go(b"hello", Some(Tagged::default())).await.unwrap().md5, md5(b"hello"));
    // One host may have buckets that tell and buckets that do not: from now on all is hashed, and all goes well.
    for told in [None, Some(Tagged::default()), None, Some(Tagged::default())] {
        assert!(go(b"jello", told.clone()).await.unwrap_err().message.starts_with("expected MD5"));
        assert_eq!(go(b"hello", told).await.unwrap().md5, md5(b"hello"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_length_is_never_completed() {
    let announced = run(Pipe::new(&[b"hello"]), 6, None).await;
    let longer = run(Pipe { announced: None, ..Pipe::new(&[b"a", b"b", b"c"]) }, 2, None).await;
    let shorter = run(Pipe { announced: None, ..Pipe::new(&[b"a", b"b", b"c"]) }, 4, None).await;
    for (done, expected, seen) in [(announced, "6", "5"), (longer, "2", "3"), (shorter, "4", "3")] {
        let error = done.result.unwrap_err();
        assert_eq!((error.class, done.pipe.completed()), (Class::Invalid, None));
        assert!(error.message.contains(expected) && error.message.contains(seen), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_breaks_off_passes() {
    for end in [End::Well, End::Broken] {
        let done = run(Pipe { announced: Some(9), end, ..Pipe::new(&[b"a", b"b", b"c"]) }, 9, None).await;
        let error = done.result.unwrap_err();
        assert_eq!((error.class, error.may_have_happened), (Class::Transient, false), "{error}");
        assert_eq!(done.pipe.completed(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stalls_is_given_up() {
    let done = run(Pipe { announced: Some(9), end: End::Never, ..Pipe::new(&[b"a", b"b"]) }, 9, None).await;
    assert_eq!((done.result.unwrap_err().class, done.took.as_secs()), (Class::Transient, 60));
}

#[tokio::test(start_paused = true)]
async fn a_slow_stream_is_no_stall() {
    let pipe = Pipe { pause: Duration::from_secs(50), ..Pipe::new(&[b"a", b"b", b"c", b"d"]) };
    let done = run(pipe, 4, None).await;
    done.result.unwrap();
    assert_eq!(done.took.as_secs(), 200);
}

#[tokio::test(start_paused = true)]
async fn two_chunks_are_held_at_a_time() {
    let pipe = Pipe { pause: Duration::from_millis(10), ..Pipe::new(&[&b"0123456789abcdef"[..]; 1000]) };
    let done = run(pipe, 16_000, None).await;
    done.result.unwrap();
    assert_eq!(done.pipe.most_ahead.load(Ordering::SeqCst), 1, "besides the one being written");
}

#[tokio::test(start_paused = true)]
async fn a_cut_ends_it_at_once() {
    let cut = CancellationToken::new();
    let pipe = Pipe { pause: Duration::from_secs(10), ..Pipe::new(&[b"a", b"b", b"c", b"d"]) };
    let (done, ()) = tokio::join!(run_until(pipe, 4, None, &cut), async {
        sleep(Duration::from_secs(15)).await;
        cut.cancel();
    });
    let error = done.result.unwrap_err();
    assert_eq!((error.class, error.may_have_happened), (Class::Transient, false));
    assert_eq!((done.took.as_secs(), done.pipe.completed()), (15, None));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_the_last_byte_leaves_open_what_happened() {
    let done = run(Pipe { answer: Some(Class::Transient), ..Pipe::new(&[b"a", b"b"]) }, 2, None).await;
    let error = done.result.unwrap_err();
    assert_eq!((error.class, error.may_have_happened), (Class::Transient, true));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// However the bytes are cut, and whatever is changed on the way: complete means equal.
    #[test]
    fn complete_means_equal(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        cut in 1..50_usize,
        flip in proptest::option::of(0..200_usize),
        lose in 0..3_usize,
        announce in proptest::bool::ANY,
        checks in proptest::bool::ANY,
    ) {
        let mut sent = bytes.clone();
        if let Some(byte) = flip.and_then(|at| sent.get_mut(at)) {
            *byte ^= 1;
        }
        sent.truncate(sent.len().saturating_sub(lose));
        let pipe = Pipe {
            announced: announce.then_some(bytes.len() as u64),
            checks,
            chunks: sent.chunks(cut).map(Bytes::copy_from_slice).collect(),
            ..Pipe::new(&[])
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let done = runtime.block_on(run(pipe, bytes.len() as u64, Some(&md5(&bytes))));
        proptest::prop_assert_eq!(done.pipe.completed().is_some(), sent == bytes);
        proptest::prop_assert_eq!(done.result.is_ok(), sent == bytes);
    }
}
