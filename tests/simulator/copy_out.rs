//! What copies between buckets meet: our own S3 adapter against the simulator's rules, on a paused
//! clock and without a socket.

use std::{collections::BTreeMap, num::NonZeroU64, sync::Arc, time::Duration};

use bytes::Bytes;
use copy_manager::{
    aws::objects::S3Objects,
    domain::file::ETag,
    ports::{
        Class, Error,
        objects::{
            Access, ObjectCopy, ObjectInfo, ObjectLocation, ObjectStore as _, PartUploads as _, Precondition,
            Restore, RestoreRequest, Tagging, WriteOptions,
        },
        parts,
    },
    simulator::{Settings, Simulator, faults::FaultChanges, world::WorldFile},
};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const MIB: u64 = 1 << 20;

/// A platform that is nothing but buckets.
pub(crate) struct Buckets {
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) s3: S3Objects,
}

impl Buckets {
    pub(crate) async fn new(buckets: Value) -> Self {
        Self::of(Settings::default(), buckets).await
    }

    async fn of(settings: Settings, buckets: Value) -> Self {
        let world = json!({"projects": [], "buckets": buckets}).to_string();
        let simulator = Simulator::new(settings, WorldFile::parse(&world).unwrap()).unwrap();
        let retries = aws_config::retry::RetryConfig::standard().with_max_attempts(3);
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region("ap-southeast-2")
            .credentials_provider(aws_credential_types::Credentials::new("own", "own", None, None, "test"))
            .retry_config(retries)
            .http_client(simulator.s3_service())
            .load()
            .await;
        let s3 = S3Objects::from_config(&config, Some("http://s3.simulated".into()));
        Self { simulator, s3 }
    }

    fn faults(&self, changes: Value) {
        let changes: FaultChanges = serde_json::from_value(changes).unwrap();
        self.simulator.set_faults(changes);
    }

    fn calls(&self, bucket: &str, operation: &str) -> u64 {
        let stats = self.simulator.stats();
        stats.buckets.get(bucket).and_then(|bucket| bucket.calls.get(operation)).copied().unwrap_or(0)
    }

    async fn info(&self, at: &ObjectLocation) -> ObjectInfo {
        self.s3.look(at, &Access::Own).await.unwrap().unwrap()
    }

    async fn copy(&self, copy: &ObjectCopy) -> Result<ETag, Error> {
        self.s3.copy(copy, &Access::Own).await
    }

    async fn put(&self, at: &ObjectLocation, options: &WriteOptions) -> Result<ETag, Error> {
        self.s3.put(at, Bytes::from_static(b"text"), Some("text/plain"), options, &Access::Own).await
    }
}

fn at(bucket: &str, key: &str) -> ObjectLocation {
    ObjectLocation::new(bucket, key)
}

fn copying(from: &ObjectLocation, to: &ObjectLocation, size: u64) -> ObjectCopy {
    ObjectCopy {
        from: from.clone(),
        to: to.clone(),
        size,
        etag: None,
        parts: None,
        precondition: Precondition::None,
        options: WriteOptions::default(),
        tagging: Tagging::Keep,
    }
}

fn code(error: &Error) -> (Class, &str) {
    (error.class, error.code.as_deref().unwrap_or_default())
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_an_object_goes_with_it() {
    let rich = json!({"key": "a b+%//ü'\"", "size": 9, "contentType": "text/x", "metadata": {"run": "7"},
        "tags": {"k": "v", "é": ""}, "sha256": true});
    let buckets = Buckets::new(json!([
        {"name": "src", "objects": [rich]}, {"name": "dest", "owner": "111122223333"},
    ]))
    .await;
    let (from, to) = (at("src", "a b+%//ü'\""), at("dest", "/x y"));
    let source = buckets.info(&from).await;
    assert_eq!((source.tags, source.headers.content_type.as_deref()), (2, Some("text/x")));
    assert_eq!(source.checksums["SHA256"].len(), 44);
    let copy = copying(&from, &to, 9);
    buckets.copy(&copy).await.unwrap();
    let copied = buckets.info(&to).await;
    assert_eq!((&copied.etag, &copied.metadata), (&source.etag, &source.metadata));
    assert_eq!((&copied.checksums, copied.tags), (&source.checksums, 2));
    assert_eq!(buckets.s3.tags(&to, &Access::Own).await.unwrap(), map(&[("k", "v"), ("é", "")]));

    buckets.copy(&ObjectCopy { tagging: Tagging::Drop, ..copy.clone() }).await.unwrap();
    assert_eq!(buckets.info(&to).await.tags, 0);
    let options = WriteOptions {
        tags: Some(map(&[("a&b", "c d")])),
        acl: Some("bucket-owner-full-control".into()),
        expected_owner: Some("111122223333".into()),
        streamed: false,
    };
    buckets.copy(&ObjectCopy { options: options.clone(), ..copy.clone() }).await.unwrap();
    let shown = buckets.simulator.objects("dest", "").await;
    assert_eq!((shown.len(), &shown[0].tags), (1, &map(&[("a&b", "c d")])));
    assert_eq!(shown[0].acl.as_deref(), Some("bucket-owner-full-control"));
    let options = WriteOptions { expected_owner: Some("999999999999".into()), ..options };
    let refused = buckets.put(&at("dest", "marker"), &options).await.unwrap_err();
    assert_eq!(code(&refused), (Class::Forbidden, "AccessDenied"));
}

#[tokio::test(start_paused = true)]
async fn writes_depend_on_what_is_there() {
    let buckets = Buckets::new(json!([{"name": "one", "objects": [{"key": "a", "size": 9}]}])).await;
    let (from, to) = (at("one", "a"), at("one", "c"));
    let with = |precondition| ObjectCopy { precondition, ..copying(&from, &to, 9) };
    let gone = buckets.copy(&with(Precondition::Matches(ETag::new("x")))).await.unwrap_err();
    assert_eq!(code(&gone), (Class::NotFound, "NoSuchKey"));
    let etag = buckets.copy(&with(Precondition::Absent)).await.unwrap();
    for unmet in [Precondition::Absent, Precondition::Matches(ETag::new("x"))] {
        let refused = buckets.copy(&with(unmet.clone())).await.unwrap_err();
        assert_eq!(code(&refused), (Class::Conflict, "PreconditionFailed"));
        let upload = buckets.s3.begin(&to, None, &WriteOptions::default(), &Access::Own).await.unwrap();
        let part = buckets.s3.copy_part(&to, &upload, 1, &from, 0..9, None, &Access::Own).await.unwrap();
        let refused = buckets.s3.complete(&to, &upload, &[part], &unmet, &Access::Own).await.unwrap_err();
        assert_eq!(code(&refused), (Class::Conflict, "PreconditionFailed"));
        assert_eq!(buckets.simulator.uploads("one").len(), 1, "it can still be aborted");
        buckets.s3.abort(&to, &upload, &Access::Own).await.unwrap();
    }
    buckets.copy(&with(Precondition::Matches(etag))).await.unwrap();
    buckets.faults(json!({"s3": [{"calls": ["CopyObject"], "times": 1, "status": 409}]}));
    let race = buckets.copy(&with(Precondition::None)).await.unwrap_err();
    assert_eq!(code(&race), (Class::Transient, "ConditionalRequestConflict"));
}

#[tokio::test(start_paused = true)]
async fn cold_objects_come_back_when_they_are_asked_for() {
    let object = |key: &str, class: &str| json!({"key": key, "size": 9, "storageClass": class});
    let mut tiered = object("tiered", "INTELLIGENT_TIERING");
    tiered["archiveTier"] = json!("DEEP_ARCHIVE_ACCESS");
    let warm = object("warm", "INTELLIGENT_TIERING");
    let buckets = Buckets::new(json!([{"name": "cold", "objects": [
        object("glacier", "GLACIER"), object("deep", "DEEP_ARCHIVE"), object("instant", "GLACIER_IR"), tiered, warm,
    ]}, {"name": "dest"}]))
    .await;
    let copy = async |key: &str| buckets.copy(&copying(&at("cold", key), &at("dest", key), 9)).await;
    let restore = async |key: &str, days: Option<u32>, tier: &str| {
        let ask = RestoreRequest { days, tier: tier.into() };
        buckets.s3.restore(&at("cold", key), &ask, &Access::Own).await
    };
    for (key, archived) in
        [("glacier", true), ("deep", true), ("instant", false), ("tiered", true), ("warm", false)]
    {
        assert_eq!(buckets.info(&at("cold", key)).await.archived, archived, "{key}");
        let copied = copy(key).await;
        assert_eq!(copied.is_err(), archived, "{key}");
        if let Err(error) = copied {
            assert_eq!(code(&error), (Class::Forbidden, "InvalidObjectState"), "{key}");
        }
    }
    for (key, days, tier) in [
        ("deep", Some(1), "Expedited"),
        ("tiered", Some(1), "Bulk"),
        ("glacier", None, "Bulk"),
        ("glacier", Some(0), "Bulk"),
    ] {
        let refused = restore(key, days, tier).await.unwrap_err();
        assert_eq!(refused.class, Class::Invalid, "{key} {tier}: {refused}");
    }
    let needless = restore("instant", Some(1), "Bulk").await.unwrap_err();
    assert_eq!(code(&needless), (Class::Forbidden, "InvalidObjectState"));

    restore("glacier", Some(2), "Standard").await.unwrap();
    restore("deep", Some(1), "Bulk").await.unwrap();
    restore("tiered", None, "Standard").await.unwrap();
    restore("glacier", Some(2), "Standard").await.unwrap();
    assert_eq!(buckets.info(&at("cold", "glacier")).await.restore, Some(Restore::Ongoing));
    sleep(Duration::from_hours(5)).await;
    assert!(!buckets.info(&at("cold", "glacier")).await.archived);
    assert!(buckets.info(&at("cold", "tiered")).await.archived);
    copy("glacier").await.unwrap();
    sleep(Duration::from_hours(43)).await;
    copy("deep").await.unwrap();
    copy("tiered").await.unwrap();
    let tiered = buckets.info(&at("cold", "tiered")).await;
    assert_eq!((tiered.archive_status, tiered.restore), (None, Some(Restore::Done { until: None })));
    sleep(Duration::from_hours(6)).await;
    assert!(buckets.info(&at("cold", "glacier")).await.archived, "two days are over");
    let dest = buckets.info(&at("dest", "glacier")).await;
    assert_eq!((dest.archived, dest.storage_class), (false, None));
    let shown = buckets.simulator.objects("cold", "deep").await;
    let asked = shown[0].restore.as_ref().unwrap();
    assert_eq!((asked.tier.as_str(), asked.days), ("Bulk", Some(1)));
    assert_eq!(buckets.calls("cold", "RestoreObject"), 9);

    buckets.faults(json!({"restoreDelay": "10m"}));
    restore("glacier", Some(1), "Bulk").await.unwrap();
    sleep(Duration::from_mins(10)).await;
    copy("glacier").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bucket_in_another_region_says_so() {
    let buckets = Buckets::new(json!([
        {"name": "far", "region": "eu-west-1", "objects": [{"key": "a", "size": 9}]}, {"name": "near"},
    ]))
    .await;
    let refused = buckets.put(&at("far", "marker"), &WriteOptions::default()).await.unwrap_err();
    assert_eq!(code(&refused), (Class::Invalid, "PermanentRedirect"));
    assert!(refused.message.contains("eu-west-1"), "{refused}");
    buckets.copy(&copying(&at("far", "a"), &at("near", "a"), 9)).await.unwrap();
    assert_eq!(buckets.info(&at("far", "a")).await.size, 9);
    assert_eq!(buckets.calls("far", "HeadObject"), 2, "it was found");
}

#[tokio::test(start_paused = true)]
async fn rights_can_be_missing() {
    let tagged = json!({"key": "tagged", "size": 9, "tags": {"a": "b"}});
    let buckets = Buckets::new(json!([
        {"name": "src", "deny": ["GetObjectTagging"], "objects": [tagged, {"key": "plain", "size": 9}]},
        {"name": "dest", "deny": ["ListBucket", "PutObjectTagging"]},
        {"name": "closed", "public": false, "keys": ["theirs"], "objects": [{"key": "a", "size": 1}]},
    ]))
    .await;
    let denied = (Class::Forbidden, "AccessDenied");
    let missing = buckets.s3.look(&at("dest", "none"), &Access::Own).await.unwrap_err();
    assert_eq!(code(&missing), denied, "nobody may know that it is not there");
    assert_eq!(code(&buckets.s3.tags(&at("src", "tagged"), &Access::Own).await.unwrap_err()), denied);
    assert_eq!(buckets.info(&at("src", "tagged")).await.tags, 0, "nor how many there are");
    let tagged = copying(&at("src", "tagged"), &at("dest", "x"), 9);
    assert_eq!(code(&buckets.copy(&tagged).await.unwrap_err()), denied);
    buckets.faults(json!({"deny": {"src": []}}));
    assert_eq!(code(&buckets.copy(&tagged).await.unwrap_err()), denied, "they may not be written");
    buckets.copy(&ObjectCopy { tagging: Tagging::Drop, ..tagged }).await.unwrap();
    buckets.copy(&copying(&at("src", "plain"), &at("dest", "y"), 9)).await.unwrap();
    let options = WriteOptions { tags: Some(map(&[("testtag", "ok")])), ..WriteOptions::default() };
    assert_eq!(code(&buckets.put(&at("dest", "marker"), &options).await.unwrap_err()), denied);
    buckets.put(&at("dest", "marker"), &WriteOptions::default()).await.unwrap();

    assert_eq!(buckets.s3.look(&at("src", "plain"), &Access::Unsigned).await.unwrap().unwrap().size, 9);
    for access in [Access::Unsigned, Access::Own] {
        assert_eq!(code(&buckets.s3.look(&at("closed", "a"), &access).await.unwrap_err()), denied);
    }
    let stats = buckets.simulator.stats();
    assert_eq!(["src", "dest", "closed"].map(|name| stats.buckets[name].unsigned), [1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn calls_can_be_refused_delayed_and_answered_wrongly() {
    let buckets = Buckets::new(
        json!([{"name": "src", "objects": [{"key": "a/{n}", "size": 9, "count": 100}]}, {"name": "dest"}]),
    )
    .await;
    let none = WriteOptions::default();
    buckets.faults(json!({"s3": [{"calls": ["PutObject"], "bucket": "dest", "times": 2, "status": 403}]}));
    for denied in [true, true, false] {
        assert_eq!(buckets.put(&at("dest", "marker"), &none).await.is_err(), denied);
    }
    buckets.faults(json!({"s3": [
        {"calls": ["CopyObject"], "bucket": "dest", "share": 0.3, "status": 503},
        {"bucket": "dest", "delay": "10ms"},
    ]}));
    let started = Instant::now();
    let copies = (0..100).map(|n| {
        let key = format!("a/{n:06}");
        copying(&at("src", &key), &at("dest", &key), 9)
    });
    let copies: Vec<_> = copies.collect();
    let done = futures_util::future::join_all(copies.iter().map(|copy| buckets.copy(copy))).await;
    let slow = done.iter().filter_map(|done| done.as_ref().err());
    let slow: Vec<_> = slow.map(code).collect();
    assert!((15..45).contains(&slow.len()), "{}", slow.len());
    assert!(slow.iter().all(|error| *error == (Class::Throttled, "SlowDown")), "{slow:?}");
    assert!((10..20).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert_eq!(buckets.calls("dest", "CopyObject"), 100, "nobody tried again");
    let stats = buckets.simulator.stats();
    let dest = &stats.buckets["dest"];
    assert_eq!((dest.at_once, dest.most_at_once), (0, 100));

    buckets.faults(json!({"s3": [
        {"calls": ["CompleteMultipartUpload", "CopyObject"], "status": 200, "times": 2},
    ]}));
    let (from, to) = (at("src", "a/000001"), at("dest", "z"));
    let broken = buckets.copy(&copying(&from, &to, 9)).await.unwrap_err();
    assert_eq!(code(&broken), (Class::Transient, "InternalError"));
    let upload = buckets.s3.begin(&to, None, &none, &Access::Own).await.unwrap();
    let part = [buckets.s3.copy_part(&to, &upload, 1, &from, 0..9, None, &Access::Own).await.unwrap()];
    let etag = buckets.s3.complete(&to, &upload, &part, &Precondition::None, &Access::Own).await.unwrap();
    assert_eq!(etag, parts::joined(&part).unwrap(), "the second try was answered");
    let all = Buckets::of(
        Settings { latency: Duration::from_secs(1), ..Settings::default() },
        json!([{"name": "one"}]),
    );
    let (all, started) = (all.await, Instant::now());
    all.put(&at("one", "x"), &none).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_copy_takes_as_long_as_its_bytes_do() {
    let rate = NonZeroU64::new(8 * MIB);
    let settings = Settings { latency: Duration::from_millis(10), s3_copy_rate: rate, ..Settings::default() };
    let objects = json!([{"name": "src", "objects": [{"key": "x", "size": 32 * MIB}]}, {"name": "dest"}]);
    let buckets = Buckets::of(settings, objects).await;
    let (from, to, none) = (at("src", "x"), at("dest", "x"), WriteOptions::default());
    let started = Instant::now();
    buckets.copy(&copying(&from, &to, 32 * MIB)).await.unwrap();
    assert_eq!(started.elapsed().as_millis(), 4010, "the bytes, and one call");
    let upload = buckets.s3.begin(&to, None, &none, &Access::Own).await.unwrap();
    let started = Instant::now();
    let part = |n: u64| {
        let (from, to, upload, s3) = (&from, &to, &upload, &buckets.s3);
        let range = (n * 8 * MIB)..((n + 1) * 8 * MIB);
        let number = u32::try_from(n + 1).unwrap();
        async move { s3.copy_part(to, upload, number, from, range, None, &Access::Own).await.unwrap() }
    };
    futures_util::future::join_all((0..4).map(part)).await;
    assert_eq!(started.elapsed().as_millis(), 1010, "four parts at a time");
}

#[tokio::test(start_paused = true)]
async fn parts_are_kept_and_an_upload_is_gone_on_with() {
    let sizes = [6 * MIB, 5 * MIB, 8 * MIB, 1];
    let size: u64 = sizes.iter().sum();
    let buckets = Buckets::new(json!([{"name": "src", "objects": [
        {"key": "odd", "size": size, "partSizes": sizes, "metadata": {"a": "b"}},
        {"key": "even", "size": 20 * MIB, "parts": 3},
        {"key": "single", "size": 9, "partSizes": [9]},
        {"key": "huge", "size": (5_u64 << 30) + 1},
    ]}, {"name": "dest"}]))
    .await;
    let told = async |key: &str| {
        let info = buckets.info(&at("src", key)).await;
        buckets.s3.part_sizes(&at("src", key), &info, &Access::Own).await.unwrap()
    };
    assert_eq!(told("odd").await, Some(sizes.to_vec()));
    assert_eq!(told("even").await.unwrap().len(), 3);
    assert_eq!(told("single").await, Some(vec![9]));

    let (from, to) = (at("src", "odd"), at("dest", "odd"));
    let info = buckets.info(&from).await;
    let options = WriteOptions { tags: Some(map(&[("t", "u")])), ..WriteOptions::default() };
    let upload = buckets.s3.begin(&to, Some(&info), &options, &Access::Own).await.unwrap();
    let mut start = 0;
    let ranges = sizes.map(|size| {
        start += size;
        start - size..start
    });
    let copy = async |number: usize| {
        let range = ranges[number - 1].clone();
        let number = u32::try_from(number).unwrap();
        buckets.s3.copy_part(&to, &upload, number, &from, range, info.etag.as_ref(), &Access::Own).await
    };
    for number in [3, 1] {
        copy(number).await.unwrap();
    }
    let there = buckets.s3.parts_of(&to, &upload, &Access::Own).await.unwrap().unwrap();
    let known: Vec<_> = there.iter().map(|(tag, size)| (tag.number, *size)).collect();
    assert_eq!(known, [(1, sizes[0]), (3, sizes[2])]);
    let mut tags: Vec<_> = there.into_iter().map(|(tag, _)| tag).collect();
    tags.insert(1, copy(2).await.unwrap());
    tags.push(copy(4).await.unwrap());
    let etag = buckets.s3.complete(&to, &upload, &tags, &Precondition::Absent, &Access::Own).await.unwrap();
    assert_eq!(Some(&etag), info.etag.as_ref());
    assert_eq!(buckets.simulator.uploads("dest"), []);
    assert_eq!(buckets.s3.parts_of(&to, &upload, &Access::Own).await.unwrap(), None);
    let copied = buckets.info(&to).await;
    assert_eq!((copied.metadata, copied.tags), (map(&[("a", "b")]), 1));

    let huge = ObjectCopy { size: 1, ..copying(&at("src", "huge"), &to, 1) };
    assert_eq!(code(&buckets.copy(&huge).await.unwrap_err()), (Class::Invalid, "InvalidRequest"));
    let stale = Some(ETag::new("no"));
    let changed = ObjectCopy { etag: stale, ..copying(&from, &to, size) };
    assert_eq!(code(&buckets.copy(&changed).await.unwrap_err()), (Class::Conflict, "PreconditionFailed"));
}

#[tokio::test(start_paused = true)]
async fn a_million_objects_cost_nothing() {
    let many = |bucket: &str, same: Option<&str>| {
        json!({"name": bucket, "objects": [
            {"key": "in/{n}.fastq.gz", "size": 100, "count": 1_000_000, "sameAs": same},
            {"key": "in/0", "size": 1},
        ]})
    };
    let buckets = Buckets::new(json!([many("src", None), many("dest", Some("src/in/{n}.fastq.gz"))])).await;
    let last = |bucket| at(bucket, "in/999999.fastq.gz");
    let (a, b) = (buckets.info(&last("src")).await, buckets.info(&last("dest")).await);
    assert_eq!((a.etag.is_some(), &a.etag), (true, &b.etag));
    assert_ne!(a.etag, buckets.info(&at("src", "in/000000.fastq.gz")).await.etag);
    assert_eq!(buckets.s3.look(&at("src", "in/1000000.fastq.gz"), &Access::Own).await.unwrap(), None);
    let first = buckets.s3.list("src", "in/", None, &Access::Own).await.unwrap();
    assert_eq!((first.items.len(), first.items[0].key.as_str()), (1000, "in/0"));
    let next = buckets.s3.list("src", "in/", first.next.as_deref(), &Access::Own).await.unwrap();
    assert_eq!(next.items[0].key, "in/000999.fastq.gz");
    buckets.copy(&copying(&last("src"), &last("dest"), 100)).await.unwrap();
    assert_eq!(buckets.info(&last("dest")).await.etag, a.etag);
    let bytes = buckets.s3.get(&last("src"), None, None, &Access::Unsigned).await.unwrap().bytes;
    assert_eq!(bytes.try_collect::<Vec<_>>().await.unwrap().concat().len(), 100);
}
