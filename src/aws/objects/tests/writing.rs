//! What goes with a write besides bytes, and what is told of it afterwards.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{MD5, MIB, Said, Seen, Stub, at, copy, copying, ok, refused, temporary};
use crate::{
    domain::file::ETag,
    ports::{
        Class,
        objects::{
            Access, ContentHeaders, ObjectCopy, ObjectInfo, ObjectStore as _, PartUploads as _, Parts,
            Precondition, Restore, RestoreRequest, Tagging, UploadId, WriteOptions,
        },
    },
};

fn options() -> WriteOptions {
    WriteOptions {
        tags: Some(BTreeMap::from([("a b".into(), "c&d".into()), ("é".into(), String::new())])),
        acl: Some("bucket-owner-full-control".into()),
        expected_owner: Some("123456789012".into()),
        streamed: false,
    }
}

fn carries_them(seen: &Seen) {
    assert_eq!(seen.header("x-amz-tagging"), "a%20b=c%26d&%C3%A9=");
    assert_eq!(seen.header("x-amz-acl"), "bucket-owner-full-control");
    assert_eq!(seen.header("x-amz-expected-bucket-owner"), "123456789012");
}

#[tokio::test]
async fn a_small_object_is_written_with_all_that_goes_with_it() {
    let stub = Stub::new(|_| (200, vec![("etag", format!("\"{MD5}\""))], String::new())).await;
    let body = Bytes::from_static(b"hello");
    let etag = stub.s3.put(&at("a/b c"), body, Some("text/csv"), &options(), &temporary()).await.unwrap();
    assert_eq!(etag, ETag::new(MD5));
    let seen = &stub.seen()[0];
    assert!(seen.asks("PUT", "/data/a/b%20c?x-id=PutObject"), "{seen:?}");
    assert_eq!((seen.body.as_ref(), seen.header("content-type")), (b"hello".as_slice(), "text/csv"));
    assert_eq!(seen.header("x-amz-server-side-encryption"), "aws:kms");
    carries_them(seen);
}

#[tokio::test]
async fn copies_keep_their_tags_or_get_others() {
    let stub = Stub::new(|_| ok("<CopyObjectResult><ETag>\"new\"</ETag></CopyObjectResult>")).await;
    let none = WriteOptions::default;
    for (options, tagging) in [(none(), Tagging::Keep), (none(), Tagging::Drop), (options(), Tagging::Keep)] {
        stub.s3.copy(&ObjectCopy { options, tagging, ..copy(5, None) }, &Access::Own).await.unwrap();
    }
    let seen = stub.seen();
    let directives: Vec<_> = seen.iter().map(|seen| seen.header("x-amz-tagging-directive")).collect();
    assert_eq!(directives, ["", "REPLACE", "REPLACE"]);
    assert_eq!((seen[0].header("x-amz-tagging"), seen[1].header("x-amz-tagging")), ("", ""));
    carries_them(&seen[2]);
}

fn rich() -> Said {
    let headers = [
        ("content-length", (20 * MIB).to_string()),
        ("etag", "\"src\"".into()),
        ("content-type", "text/plain".into()),
        ("cache-control", "no-cache".into()),
        ("content-disposition", "attachment; filename=\"x\"".into()),
        ("content-encoding", "gzip".into()),
        ("content-language", "de".into()),
        ("expires", "Fri, 21 Dec 2035 00:00:00 GMT".into()),
        ("x-amz-meta-run", "7".into()),
        ("x-amz-checksum-sha256", "abc=-3".into()),
        ("x-amz-tagging-count", "2".into()),
    ];
    (200, headers.to_vec(), String::new())
}

#[tokio::test]
async fn copies_in_parts_keep_headers_and_metadata() {
    let stub = Stub::new(|seen| match seen.method.as_str() {
        "HEAD" => rich(),
        _ => copying(seen, 20 * MIB, true),
    })
    .await;
    let parts = Some(Parts { count: 3, first: 8 * MIB });
    let copy = ObjectCopy { options: options(), ..copy(20 * MIB, parts) };
    stub.s3.copy(&copy, &Access::Own).await.unwrap();
    let seen = stub.seen();
    let begun = seen.iter().find(|seen| seen.has("uploads")).unwrap();
    carries_them(begun);
    let kept = ["content-type", "cache-control", "content-disposition", "content-encoding"];
    let kept = kept.map(|name| begun.header(name));
    assert_eq!(kept, ["text/plain", "no-cache", "attachment; filename=\"x\"", "gzip"]);
    let kept = ["content-language", "expires", "x-amz-meta-run"].map(|name| begun.header(name));
    assert_eq!(kept, ["de", "Fri, 21 Dec 2035 00:00:00 GMT", "7"]);
    assert!(seen.iter().all(|seen| !seen.has("tagging")), "{seen:?}");
}

#[tokio::test]
async fn one_call_tells_all_but_the_parts() {
    let stub = Stub::new(|_| rich()).await;
    let info = stub.s3.look(&at("f"), &Access::Own).await.unwrap().unwrap();
    let text = |text: &str| Some(text.to_owned());
    let headers = ContentHeaders {
        content_type: text("text/plain"),
        cache_control: text("no-cache"),
        content_disposition: text("attachment; filename=\"x\""),
        content_encoding: text("gzip"),
        content_language: text("de"),
        expires: text("Fri, 21 Dec 2035 00:00:00 GMT"),
    };
    assert_eq!((info.headers, info.tags), (headers, 2));
    assert_eq!(info.checksums, BTreeMap::from([("SHA256".into(), "abc=-3".into())]));
    let seen = stub.seen();
    assert_eq!((seen.len(), seen[0].header("x-amz-checksum-mode")), (1, "ENABLED"));
}

#[tokio::test]
async fn cold_objects_say_what_becomes_of_them() {
    let until = "2012-12-21T00:00:00Z".parse().unwrap();
    let done = "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\"";
    let cases = [
        ("GLACIER", "", "", true, None),
        ("GLACIER", "", "ongoing-request=\"true\"", true, Some(Restore::Ongoing)),
        ("DEEP_ARCHIVE", "", done, false, Some(Restore::Done { until: Some(until) })),
        ("GLACIER_IR", "", "", false, None),
        ("INTELLIGENT_TIERING", "ARCHIVE_ACCESS", "", true, None),
        ("INTELLIGENT_TIERING", "", "ongoing-request=\"false\"", false, Some(Restore::Done { until: None })),
    ];
    for (class, status, restore, archived, expected) in cases {
        let stub = Stub::new(move |_| {
            let headers = [
                ("x-amz-storage-class", class),
                ("x-amz-archive-status", status),
                ("x-amz-restore", restore),
            ];
            let headers = headers.into_iter().filter(|(_, value)| !value.is_empty());
            (200, headers.map(|(name, value)| (name, value.to_owned())).collect(), String::new())
        })
        .await;
        let info = stub.s3.look(&at("f"), &Access::Own).await.unwrap().unwrap();
        assert_eq!((info.archived, info.restore), (archived, expected), "{class} {status} {restore}");
        assert_eq!(info.archive_status.as_deref(), Some(status).filter(|status| !status.is_empty()));
    }
}

#[tokio::test]
async fn restores_are_asked_for_once() {
    let stub = Stub::new(|seen| match seen.uri.path() {
        "/data/now" => refused(409, "RestoreAlreadyInProgress"),
        "/data/never" => refused(403, "InvalidObjectState"),
        _ => (202, Vec::new(), String::new()),
    })
    .await;
    let ask = |days| RestoreRequest { days, tier: "Bulk".into() };
    stub.s3.restore(&at("cold"), &ask(Some(3)), &Access::Own).await.unwrap();
    stub.s3.restore(&at("now"), &ask(None), &Access::Own).await.unwrap();
    let error = stub.s3.restore(&at("never"), &ask(Some(1)), &Access::Own).await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::Forbidden, Some("InvalidObjectState")));
    let bodies: Vec<_> = stub.seen().iter().map(|s| String::from_utf8_lossy(&s.body).into_owned()).collect();
    assert!(bodies[0].contains("<Days>3</Days>") && bodies[0].contains("<Tier>Bulk</Tier>"), "{bodies:?}");
    assert!(!bodies[1].contains("Days"), "{bodies:?}");
}

#[tokio::test]
async fn tags_are_read() {
    let stub = Stub::new(|_| {
        ok("<Tagging><TagSet><Tag><Key>a b</Key><Value>c&amp;d</Value></Tag></TagSet></Tagging>")
    })
    .await;
    let tags = stub.s3.tags(&at("f"), &Access::Own).await.unwrap();
    assert_eq!(tags, BTreeMap::from([("a b".into(), "c&d".into())]));
    assert!(stub.seen()[0].asks("GET", "/data/f?tagging"), "{:?}", stub.seen());
}

/// A stub that serves an object of these parts.
async fn of_parts(sizes: &'static [u64]) -> (Stub, ObjectInfo) {
    let stub = Stub::new(move |seen| {
        let number = seen.uri.query().and_then(|query| query.strip_prefix("partNumber="));
        let number: usize = number.unwrap().parse().unwrap();
        let headers =
            vec![("content-length", sizes[number - 1].to_string()), ("x-amz-mp-parts-count", "n".into())];
        let headers = headers.into_iter().map(|(name, value)| (name, value.replace('n', "3"))).collect();
        (206, headers, String::new())
    })
    .await;
    let etag = Some(ETag::new(&format!("{MD5}-{}", sizes.len())));
    let info = ObjectInfo { key: "f".into(), size: sizes.iter().sum(), etag, ..ObjectInfo::default() };
    (stub, info)
}

#[tokio::test]
async fn parts_are_told_with_few_calls() {
    let cases: [(&'static [u64], usize); 5] =
        [(&[7], 1), (&[8, 5], 1), (&[8, 8, 8, 3], 2), (&[8, 5, 8, 8], 4), (&[8, 5, 8], 3)];
    for (sizes, calls) in cases {
        let (stub, info) = of_parts(sizes).await;
        let told = stub.s3.part_sizes(&at("f"), &info, &Access::Own).await.unwrap();
        assert_eq!((told.as_deref(), stub.seen().len()), (Some(sizes), calls));
        assert_eq!(stub.seen()[0].header("if-match"), format!("\"{MD5}-{}\"", sizes.len()));
    }
    // Where others make up for one, only asking for each tells.
    let odd: &'static [u64] = &[8, 6, 10, 3];
    let (stub, info) = of_parts(odd).await;
    let told = stub.s3.part_sizes(&at("f"), &info, &Access::Own).await.unwrap();
    assert_eq!(told.as_deref(), Some(&[8, 8, 8, 3][..]));
    let told = stub.s3.each_part_size(&at("f"), &info, &Access::Own).await.unwrap();
    assert_eq!((told.as_deref(), stub.seen().len()), (Some(odd), 2 + 4));
    let (stub, info) = of_parts(&[8, 8, 3]).await;
    let headed = ObjectInfo { parts: Some(Parts { count: 3, first: 8 }), ..info.clone() };
    assert!(stub.s3.part_sizes(&at("f"), &headed, &Access::Own).await.unwrap().is_some());
    assert_eq!(stub.seen().len(), 1);
    let plain = ObjectInfo { etag: Some(ETag::new(MD5)), ..info };
    assert_eq!(stub.s3.part_sizes(&at("f"), &plain, &Access::Own).await.unwrap(), None);
    let silent = Stub::new(|_| (200, vec![("content-length", "19".into())], String::new())).await;
    assert_eq!(silent.s3.part_sizes(&at("f"), &unheaded(), &Access::Own).await.unwrap(), None);
    let changed = Stub::new(|_| refused(412, "PreconditionFailed")).await;
    let error = changed.s3.part_sizes(&at("f"), &unheaded(), &Access::Own).await.unwrap_err();
    assert_eq!(error.class, Class::Conflict);
}

fn unheaded() -> ObjectInfo {
    let etag = Some(ETag::new(&format!("{MD5}-3")));
    ObjectInfo { key: "f".into(), size: 19, etag, ..ObjectInfo::default() }
}

#[tokio::test]
async fn an_upload_tells_what_has_arrived() {
    let stub = Stub::new(|seen| {
        let part = |n: u32| {
            format!("<Part><PartNumber>{n}</PartNumber><Size>{n}0</Size><ETag>\"{MD5}\"</ETag></Part>")
        };
        if seen.has("uploadId=gone") {
            return refused(404, "NoSuchUpload");
        }
        let page = if seen.has("part-number-marker=1") {
            part(3)
        } else {
            format!(
                "<IsTruncated>true</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker>{}",
                part(1)
            )
        };
        ok(&format!("<ListPartsResult>{page}</ListPartsResult>"))
    })
    .await;
    let parts =
        async |id: &str| stub.s3.parts_of(&at("f"), &UploadId(id.into()), &Access::Own).await.unwrap();
    let told: Vec<_> = parts("up").await.unwrap().into_iter().map(|(tag, size)| (tag.number, size)).collect();
    assert_eq!(told, [(1, 10), (3, 30)]);
    assert_eq!(parts("gone").await, None);
}

#[tokio::test]
async fn all_that_copies_reads_errors_with_the_status_of_success() {
    let stub = Stub::new(|_| refused(200, "SlowDown")).await;
    let (to, upload) = (at("f"), UploadId("up".into()));
    let part = stub.s3.copy_part(&to, &upload, 1, &at("g"), 0..5, None, &Access::Own).await.unwrap_err();
    assert_eq!(
        (part.class, part.code.as_deref(), stub.seen().len()),
        (Class::Throttled, Some("SlowDown"), 1)
    );
    let seen = &stub.seen()[0];
    let source = ["x-amz-copy-source", "x-amz-copy-source-range"].map(|name| seen.header(name));
    assert_eq!(source, ["data/g", "bytes=0-4"]);
    let whole = stub.s3.complete(&to, &upload, &[], &Precondition::None, &Access::Own).await.unwrap_err();
    assert_eq!((whole.class, whole.code.as_deref()), (Class::Throttled, Some("SlowDown")));
}
