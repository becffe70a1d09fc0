//! S3 against a stub on a socket of its own: what is sent, and what is read from the answers.

mod access;
mod trouble;
mod writing;

use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use axum::{Router, extract::Request, response::Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, Method, Uri};
use secrecy::SecretString;
use tokio::{net::TcpListener, task::JoinSet};

use super::{S3Objects, Settings};
use crate::{
    domain::file::ETag,
    ports::{
        Class,
        objects::{
            Access, BucketAccess, Encryption, ObjectCopy, ObjectLocation, ObjectStore as _, PartTag,
            PartUploads as _, Parts, Precondition, Tagging, UploadId, WriteOptions,
        },
    },
};

const MIB: u64 = 1 << 20;
const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// A request as it came.
#[derive(Debug, Clone)]
struct Seen {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn asks(&self, method: &str, path_and_query: &str) -> bool {
        self.method == method && self.uri == path_and_query
    }

    fn has(&self, query: &str) -> bool {
        self.uri.query().unwrap_or_default().contains(query)
    }
}

/// Status, headers and body.
type Said = (u16, Vec<(&'static str, String)>, String);

struct Stub {
    s3: S3Objects,
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _server: JoinSet<()>,
}

impl Stub {
    async fn new(answer: impl Fn(&Seen) -> Said + Clone + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let all = seen.clone();
        let app = Router::new().fallback(move |request: Request| {
            let (answer, all) = (answer.clone(), all.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
                let seen = Seen { method: parts.method, uri: parts.uri, headers: parts.headers, body };
                let (status, headers, body) = answer(&seen);
                all.lock().unwrap().push(seen);
                let response = headers
                    .into_iter()
                    .fold(Response::builder().status(status), |response, (name, value)| {
                        response.header(name, value)
                    });
                response.body(axum::body::Body::from(body)).unwrap()
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let config =
            crate::aws::clients::configured(aws_config::defaults(aws_config::BehaviorVersion::latest()))
                .region("ap-southeast-2")
                .credentials_provider(Credentials::new("OWN", "own", None, None, "test"))
                .load()
                .await;
        let s3 = S3Objects::from_config(&config, Some(endpoint.clone()));
        Self { s3, url: endpoint, seen, _server: server }
    }

    fn with(self, settings: &Settings) -> Self {
        Self { s3: self.s3.with(settings), ..self }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn at(key: &str) -> ObjectLocation {
    ObjectLocation::new("data", key)
}

fn temporary() -> Access {
    Access::Temporary(BucketAccess {
        bucket: "data".into(),
        prefix: "run/".into(),
        region: "us-west-2".into(),
        access_key_id: "ASIATEMP".into(),
        secret_access_key: SecretString::from("secret"),
        session_token: SecretString::from("session"),
        expires: "2030-01-01T00:00:00Z".parse().unwrap(),
        encryption: Some(Encryption { algorithm: "AWS_KMS".into(), key: Some("arn:key".into()) }),
    })
}

fn ok(body: &str) -> Said {
    (200, vec![("content-type", "application/xml".into())], body.into())
}

fn refused(status: u16, code: &str) -> Said {
    (status, Vec::new(), format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
}

#[tokio::test]
async fn an_object_is_looked_at_with_its_parts() {
    let stub = Stub::new(|seen| {
        let part = seen.has("partNumber=1");
        let mut headers = vec![
            ("content-length", if part { 8 * MIB } else { 20 * MIB }.to_string()),
            ("etag", format!("\"{MD5}-3\"")),
            ("x-amz-storage-class", "DEEP_ARCHIVE".into()),
            ("x-amz-meta-run", "7".into()),
            ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT".into()),
        ];
        if part {
            headers.push(("x-amz-mp-parts-count", "3".into()));
        }
        (200, headers, String::new())
    })
    .await;
    let info = stub.s3.head(&at("run/a b+c.txt"), &Access::Own).await.unwrap().unwrap();
    assert_eq!((info.size, info.parts), (20 * MIB, Some(Parts { count: 3, first: 8 * MIB })));
    assert_eq!((info.archived, info.metadata.get("run").map(String::as_str)), (true, Some("7")));
    assert_eq!(info.modified.unwrap().to_string(), "2015-10-21T07:28:00Z");
    assert!(stub.seen()[0].asks("HEAD", "/data/run/a%20b%2Bc.txt"), "{:?}", stub.seen());
    assert!(stub.seen()[0].header("authorization").contains("Credential=OWN/"));
}

#[tokio::test]
async fn what_is_not_there_and_what_may_not_be_seen_differ() {
    let stub =
        Stub::new(|seen| refused(if seen.uri.path().ends_with("hidden") { 403 } else { 404 }, "X")).await;
    assert_eq!(stub.s3.head(&at("gone"), &Access::Own).await.unwrap(), None);
    let hidden = stub.s3.head(&at("hidden"), &Access::Own).await.unwrap_err();
    assert_eq!((hidden.class, hidden.operation), (Class::Forbidden, "HeadObject"));
}

#[tokio::test]
async fn listings_come_in_pages() {
    let stub = Stub::new(|seen| {
        let entry = |key: &str, class: &str| format!("<Contents><Key>{key}</Key><Size>3</Size><ETag>&quot;{MD5}&quot;</ETag><StorageClass>{class}</StorageClass></Contents>");
        let rest = if seen.has("continuation-token=more") {
            entry("run/b", "GLACIER")
        } else {
            format!("<IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>{}", entry("run/a &amp; b", "STANDARD"))
        };
        ok(&format!("<ListBucketResult>{rest}</ListBucketResult>"))
    })
    .await;
    let first = stub.s3.list("data", "run/", None, &Access::Own).await.unwrap();
    let second = stub.s3.list("data", "run/", first.next.as_deref(), &Access::Own).await.unwrap();
    assert_eq!((first.items[0].key.as_str(), first.items[0].storage_class.as_deref()), ("run/a & b", None));
    assert_eq!((second.items[0].archived, second.next), (true, None));
    assert_eq!(first.items[0].etag, Some(ETag::new(MD5)));
}

#[tokio::test]
async fn ranges_are_read_of_the_object_that_was_meant() {
    let stub = Stub::new(|seen| match seen.header("if-match") {
        "" | "\"old\"" => (206, Vec::new(), "cd".into()),
        _ => refused(412, "PreconditionFailed"),
    })
    .await;
    let body = stub.s3.get(&at("f"), Some(2..4), Some(&ETag::new("old")), &temporary()).await.unwrap();
    assert_eq!(body.size, Some(2));
    let bytes: Vec<Bytes> = body.bytes.try_collect().await.unwrap();
    assert_eq!(bytes.concat(), b"cd");
    let seen = stub.seen();
    assert_eq!((seen[0].header("range"), seen[0].header("x-amz-security-token")), ("bytes=2-3", "session"));
    assert!(
        seen[0].header("authorization").contains("ASIATEMP/")
            && seen[0].header("authorization").contains("/us-west-2/")
    );
    let changed = stub.s3.get(&at("f"), None, Some(&ETag::new("new")), &Access::Own).await.unwrap_err();
    assert_eq!(changed.class, Class::Conflict);
    let nothing = stub.s3.get(&at("f"), Some(4..4), None, &Access::Own).await.unwrap();
    assert_eq!((nothing.size, nothing.bytes.count().await, stub.seen().len()), (Some(0), 0, 2));
}

fn copy(size: u64, parts: Option<Parts>) -> ObjectCopy {
    let (from, to) = (at("run/é a+b"), ObjectLocation::new("other", "run/b"));
    let etag = Some(ETag::new("src"));
    let (options, tagging) = (WriteOptions::default(), Tagging::Keep);
    ObjectCopy { from, to, size, etag, parts, precondition: Precondition::Absent, options, tagging }
}

#[tokio::test]
async fn small_objects_are_copied_with_one_call() {
    let stub = Stub::new(|_| ok("<CopyObjectResult><ETag>\"new\"</ETag></CopyObjectResult>")).await;
    let etag = stub.s3.copy(&copy(5, None), &temporary()).await.unwrap();
    assert_eq!(etag, ETag::new("new"));
    let seen = &stub.seen()[0];
    assert!(seen.asks("PUT", "/other/run/b?x-id=CopyObject"), "{seen:?}");
    assert_eq!(seen.header("x-amz-copy-source"), "data/run/%C3%A9%20a%2Bb");
    assert_eq!((seen.header("x-amz-copy-source-if-match"), seen.header("if-none-match")), ("\"src\"", "*"));
    assert_eq!(seen.header("x-amz-server-side-encryption-aws-kms-key-id"), "arn:key");
}

#[tokio::test]
async fn an_error_with_the_status_of_success_is_an_error() {
    let stub = Stub::new(|_| refused(200, "InternalError")).await;
    let error = stub.s3.copy(&copy(5, None), &Access::Own).await.unwrap_err();
    assert_eq!((error.class, error.may_have_happened), (Class::Transient, true), "{error}");
    assert_eq!(error.code.as_deref(), Some("InternalError"));
}

fn copying(seen: &Seen, source_size: u64, completes: bool) -> Said {
    match seen.method.as_str() {
        "HEAD" if seen.uri.path() == "/other/run/b" => refused(404, "NotFound"),
        "HEAD" => {
            let headers = [
                ("content-length", source_size.to_string()),
                ("etag", "\"src\"".into()),
                ("x-amz-meta-a", "b".into()),
            ];
            (200, headers.to_vec(), String::new())
        }
        "POST" if seen.has("uploads") => {
            ok("<InitiateMultipartUploadResult><UploadId>up</UploadId></InitiateMultipartUploadResult>")
        }
        "PUT" => ok(&format!("<CopyPartResult><ETag>\"{MD5}\"</ETag></CopyPartResult>")),
        "POST" if completes => {
            ok("<CompleteMultipartUploadResult><ETag>\"whole-3\"</ETag></CompleteMultipartUploadResult>")
        }
        "POST" => refused(412, "PreconditionFailed"),
        _ => (204, Vec::new(), String::new()),
    }
}

#[tokio::test]
async fn objects_of_parts_are_copied_part_by_part() {
    let size = 20 * MIB;
    let parts = Some(Parts { count: 3, first: 8 * MIB });
    let stub = Stub::new(move |seen| copying(seen, size, true)).await;
    assert_eq!(stub.s3.copy(&copy(size, parts), &Access::Own).await.unwrap(), ETag::new("whole-3"));
    let seen = stub.seen();
    let mut ranges: Vec<_> = seen.iter().map(|seen| seen.header("x-amz-copy-source-range")).collect();
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable();
    assert_eq!(ranges, ["bytes=0-8388607", "bytes=16777216-20971519", "bytes=8388608-16777215"]);
    let begun = seen.iter().find(|seen| seen.has("uploads")).unwrap();
    assert_eq!(begun.header("x-amz-meta-a"), "b");
    let whole = seen.last().unwrap();
    let numbers: Vec<_> =
        String::from_utf8_lossy(&whole.body).match_indices("<PartNumber>").map(|(n, _)| n).collect();
    assert_eq!((whole.has("uploadId=up"), numbers.len(), whole.header("if-none-match")), (true, 3, "*"));
}

#[tokio::test]
async fn large_objects_are_copied_in_parts_and_failures_leave_nothing() {
    let size = 6 << 30;
    let stub = Stub::new(move |seen| copying(seen, size, false)).await;
    let error = stub.s3.copy(&copy(size, None), &Access::Own).await.unwrap_err();
    assert_eq!((error.class, error.operation), (Class::Conflict, "CompleteMultipartUpload"));
    let seen = stub.seen();
    assert_eq!(seen.iter().filter(|seen| seen.has("partNumber=")).count(), 6);
    assert!(
        seen.last().unwrap().asks("DELETE", "/other/run/b?x-id=AbortMultipartUpload&uploadId=up"),
        "{seen:?}"
    );

    let stub = Stub::new(move |seen| copying(seen, size + 1, true)).await;
    let changed = stub.s3.copy(&copy(size, None), &Access::Own).await.unwrap_err();
    assert_eq!((changed.class, stub.seen().len()), (Class::Conflict, 1));
}

#[tokio::test]
async fn a_part_is_streamed_with_its_length() {
    let stub = Stub::new(|_| {
        let headers =
            vec![("etag", format!("\"{MD5}\"")), ("x-amz-server-side-encryption", "aws:kms".into())];
        (200, headers, String::new())
    })
    .await;
    let stub = stub.with(&Settings { checksums: false, ..Settings::default() });
    let upload = UploadId("up".into());
    let put = async |size: u64, chunks: &[&'static str]| {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
        stub.s3.put_part(&at("f"), &upload, 2, size, stream::iter(chunks).boxed(), &temporary()).await
    };
    let tag = put(5, &["ab", "cde"]).await.unwrap();
    assert_eq!(tag, PartTag { number: 2, etag: ETag::new(MD5), is_md5: false, crc32: None });
    let seen = &stub.seen()[0];
    assert_eq!((seen.header("content-length"), seen.body.as_ref()), ("5", b"abcde".as_slice()));
    assert!(seen.has("partNumber=2") && seen.has("uploadId=up"), "{seen:?}");
    assert_eq!(seen.header("content-encoding"), "", "no chunks within chunks");
    put(0, &[]).await.unwrap();
    for (size, chunks) in [(5, ["ab", "cd"]), (3, ["ab", "cd"])] {
        let error = put(size, &chunks).await.unwrap_err();
        assert!(error.is_passing(), "{error}");
    }
}

#[tokio::test]
async fn ending_what_has_ended_is_fine() {
    let stub = Stub::new(|_| refused(404, "NoSuchUpload")).await;
    stub.s3.abort(&at("f"), &UploadId("up".into()), &Access::Own).await.unwrap();
    let parts = [PartTag { number: 1, etag: ETag::new(MD5), is_md5: true, crc32: None }];
    let (to, upload) = (at("f"), UploadId("up".into()));
    let done = stub.s3.complete(&to, &upload, &parts, &Precondition::None, &Access::Own).await;
    assert_eq!(done.unwrap_err().class, Class::NotFound);
}

#[tokio::test]
async fn a_bucket_elsewhere_is_asked_there() {
    let stub = Stub::new(|seen| {
        if seen.header("authorization").contains("/eu-west-1/") {
            (200, vec![("content-length", "1".into())], String::new())
        } else {
            (301, vec![("x-amz-bucket-region", "eu-west-1".into())], String::new())
        }
    })
    .await;
    for _ in 0..2 {
        assert_eq!(stub.s3.head(&at("f"), &Access::Own).await.unwrap().unwrap().size, 1);
    }
    assert_eq!(stub.seen().len(), 3, "it is remembered");
}

#[tokio::test]
async fn credentials_that_ended_say_so_and_hide() {
    let stub = Stub::new(|_| refused(400, "ExpiredToken")).await;
    let error = stub.s3.get(&at("f"), None, None, &temporary()).await.unwrap_err();
    assert_eq!(error.class, Class::Unauthorized);
    assert!(!format!("{error} {error:?} {:?}", stub.s3).contains("session"));
}

#[tokio::test]
async fn who_has_no_credentials_is_told() {
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region("ap-southeast-2")
        .credentials_provider(aws_credential_types::credential_fn::provide_credentials_fn(async || {
            Err(aws_credential_types::provider::error::CredentialsError::not_loaded_no_source())
        }))
        .load()
        .await;
    let s3 = S3Objects::from_config(&config, Some("http://127.0.0.1:1".into()));
    let error = s3.head(&at("f"), &Access::Own).await.unwrap_err();
    assert_eq!(error.to_string(), "HeadObject: there are no AWS credentials");
    let nobody = s3.head(&at("f"), &temporary()).await.unwrap_err();
    assert_eq!((nobody.class, nobody.message.as_str()), (Class::Transient, "no answer"));
}
