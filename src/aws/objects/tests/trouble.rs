//! Refusals that are none, and what is told of those that are.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{MD5, Settings, Stub, at, ok, refused, temporary};
use crate::{
    domain::file::ETag,
    ports::{
        Class,
        clock::{Clock as _, SystemClock},
        objects::{
            Access, ObjectStore as _, PartTag, PartUploads as _, Precondition, UploadId, WriteOptions,
        },
    },
};

#[tokio::test]
async fn keys_in_listings_are_decoded_where_they_were_encoded() {
    let entry = |key: &str| format!("<Contents><Key>{key}</Key><Size>3</Size></Contents>");
    let stub = Stub::new(move |seen| {
        assert!(seen.has("encoding-type=url"), "{seen:?}");
        let encoded = format!("<EncodingType>url</EncodingType>{}", entry("a%01b+c%2B%25.txt"));
        let plain = entry("a+b%25");
        ok(&format!(
            "<ListBucketResult>{}</ListBucketResult>",
            if seen.has("prefix=x") { encoded } else { plain }
        ))
    })
    .await;
    for (prefix, key) in [("x", "a\u{1}b c+%.txt"), ("y", "a+b%25")] {
        let page = stub.s3.list("data", prefix, None, &Access::Own).await.unwrap();
        assert_eq!(page.items[0].key, key);
        let page = stub.s3.list_after("data", prefix, "a", 5, &Access::Own).await.unwrap();
        assert_eq!(page.items[0].key, key);
    }
}

#[tokio::test]
async fn an_answer_that_can_never_be_read_is_not_asked_for_for_ever() {
    let stub =
        Stub::new(|_| ok("<ListBucketResult><Contents><Key>a\u{1}b</Key></Contents></ListBucketResult>"))
            .await;
    let error = stub.s3.list("data", "x", None, &Access::Own).await.unwrap_err();
    assert_eq!((error.class, stub.seen().len()), (Class::Invalid, 3));
    assert_eq!(error.to_string(), "ListObjectsV2: the answer cannot be understood");
    // The copy may be there: a caller that asks again looks first.
    let copied = Stub::new(|_| ok("<CopyObjectResult><\u{1}/></CopyObjectResult>")).await;
    let error = copied.s3.copy(&super::copy(5, None), &Access::Own).await.unwrap_err();
    assert_eq!((error.class, error.may_have_happened, copied.seen().len()), (Class::Transient, true, 1));
}

#[tokio::test]
async fn a_clock_that_is_off_is_learnt_from_the_first_refusal() {
    for head in [true, false] {
        let stub = Stub::new(move |seen| {
            let ahead = SystemClock::new().now() + jiff::SignedDuration::from_mins(20);
            let date = ahead.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let signed = seen.header("x-amz-date");
            // A date is told in whole seconds, so that what is signed by it may lie in the minute before.
            let least = ahead - jiff::SignedDuration::from_mins(1);
            if least.strftime("%Y%m%dT%H%M").to_string().as_str() <= signed {
                return (200, vec![("content-length", "0".into()), ("date", date)], String::new());
            }
            let (status, mut headers, body) = refused(403, "RequestTimeTooSkewed");
            headers.push(("date", date));
            (status, headers, if head { String::new() } else { body })
        })
        .await;
        if head {
            stub.s3.look(&at("f"), &Access::Own).await.unwrap().unwrap();
        } else {
            stub.s3.get(&at("f"), None, None, &Access::Own).await.unwrap();
        }
        assert_eq!(stub.seen().len(), 2);
    }
    // Where that does not help, the clock is named.
    let stub =
        Stub::new(|_| (403, vec![("date", "Fri, 21 Dec 2012 00:00:00 GMT".into())], String::new())).await;
    let error = stub.s3.look(&at("f"), &Access::Own).await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::Transient, Some("RequestTimeTooSkewed")));
    assert!(error.message.contains("the clock of this machine and that of S3 differ"), "{error}");
    let denied = Stub::new(|_| (403, Vec::new(), String::new())).await;
    assert_eq!(denied.s3.look(&at("f"), &Access::Own).await.unwrap_err().class, Class::Forbidden);
}

#[tokio::test]
async fn what_s3_does_not_take_it_explains() {
    let body = "<Error><Code>InvalidRequest</Code><Message>The header x is wanted</Message></Error>";
    let stub = Stub::new(move |_| (400, Vec::new(), body.to_owned())).await;
    let put = stub.s3.put(&at("f"), Bytes::new(), None, &WriteOptions::default(), &Access::Own).await;
    assert_eq!(put.unwrap_err().to_string(), "PutObject: InvalidRequest: The header x is wanted");
    let bytes = stream::iter([Ok(Bytes::from_static(b"abc"))]).boxed();
    let part = stub.s3.put_part(&at("f"), &UploadId("u".into()), 1, 3, bytes, &Access::Own).await;
    assert_eq!(part.unwrap_err().to_string(), "UploadPart: InvalidRequest: The header x is wanted");
}

#[tokio::test]
async fn a_bucket_that_cannot_be_is_nobodys_outage() {
    let stub = Stub::new(|_| ok("")).await;
    let arn = "arn:aws:s3:us-east-1:111122223333:accesspoint/shared";
    let error = stub.s3.list(arn, "x", None, &Access::Own).await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::Invalid, Some("InvalidBucketName")));
    assert_eq!(stub.seen().len(), 0);
}

#[tokio::test]
async fn bytes_go_with_checksums_and_uploads_announce_them() {
    let stub = Stub::new(|seen| {
        let body = if seen.has("uploads") {
            "<InitiateMultipartUploadResult><UploadId>up</UploadId></InitiateMultipartUploadResult>"
        } else {
            "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
        };
        let headers = vec![("etag", format!("\"{MD5}\"")), ("x-amz-checksum-crc32", "NSRBwg==".into())];
        (200, headers, body.to_owned())
    })
    .await;
    let (to, own) = (at("f"), Access::Own);
    stub.s3.put(&to, Bytes::from_static(b"abc"), None, &WriteOptions::default(), &temporary()).await.unwrap();
    let streamed = WriteOptions { streamed: true, ..WriteOptions::default() };
    let upload = stub.s3.begin(&to, None, &streamed, &own).await.unwrap();
    // A body that may not be asked for its end twice.
    let bytes = stream::unfold(Some("abc"), async |left| {
        let chunk = left?;
        Some((Ok(Bytes::from_static(chunk.as_bytes())), None))
    });
    let part = stub.s3.put_part(&to, &upload, 1, 3, bytes.boxed(), &own).await.unwrap();
    assert_eq!(
        part,
        PartTag { number: 1, etag: ETag::new(MD5), is_md5: true, crc32: Some("NSRBwg==".into()) }
    );
    stub.s3.complete(&to, &upload, &[part], &Precondition::None, &own).await.unwrap();
    stub.s3.begin(&to, None, &WriteOptions::default(), &own).await.unwrap();
    let seen = stub.seen();
    assert_eq!(seen[0].header("x-amz-checksum-crc32"), "NSRBwg==");
    assert_eq!(seen[1].header("x-amz-checksum-algorithm"), "CRC32");
    assert_eq!(seen[2].header("x-amz-trailer"), "x-amz-checksum-crc32");
    let listed = String::from_utf8_lossy(&seen[3].body).into_owned();
    assert!(listed.contains("<ChecksumCRC32>NSRBwg==</ChecksumCRC32>"), "{listed}");
    assert_eq!(seen[4].header("x-amz-checksum-algorithm"), "", "copied parts need none");
}

#[tokio::test]
async fn who_asks_pays_where_that_was_said() {
    let stub = Stub::new(|_| (403, Vec::new(), String::new())).await;
    let error = stub.s3.look(&at("f"), &Access::Own).await.unwrap_err();
    assert_eq!(
        (stub.seen()[0].header("x-amz-request-payer"), error.message.as_str()),
        ("requester", "AccessDenied")
    );
    let only = vec!["other-*".to_owned().try_into().unwrap()];
    let stub = stub.with(&Settings { requester_pays: only, ..Settings::default() });
    let error = stub.s3.look(&at("f"), &Access::Own).await.unwrap_err();
    assert_eq!(stub.seen()[1].header("x-amz-request-payer"), "");
    assert!(error.message.contains("s3.requester_pays"), "{error}");
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_followed_by_another_try() {
    let stub = Stub::new(|_| refused(301, "PermanentRedirect")).await;
    let error = stub.s3.list("data", "x", None, &Access::Own).await.unwrap_err();
    assert_eq!((error.class, stub.seen().len()), (Class::Invalid, 3));
}
