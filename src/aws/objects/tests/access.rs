//! With whose rights S3 is called, and where.

use std::sync::Arc;

use bytes::Bytes;
use secrecy::SecretString;

use super::{MIB, Said, Stub, at, copy, refused};
use crate::ports::{
    Class,
    objects::{Access, Endpoint, EndpointKeys, ObjectStore as _, WriteOptions},
};

fn keys(secret: &str) -> EndpointKeys {
    EndpointKeys::Static {
        access_key_id: "MINIO".into(),
        secret_access_key: SecretString::from(secret.to_owned()),
        session_token: None,
    }
}

fn endpoint(url: Option<&str>, region: Option<&str>, keys: EndpointKeys) -> Access {
    let (url, region) = (url.map(str::to_owned), region.map(str::to_owned));
    Access::Endpoint(Arc::new(Endpoint { url, region, keys }))
}

fn one_byte() -> Said {
    (200, vec![("content-length", "1".into())], String::new())
}

#[tokio::test]
async fn public_buckets_are_asked_unsigned() {
    let stub = Stub::new(|_| one_byte()).await;
    let nobodys = endpoint(None, Some("eu-west-1"), EndpointKeys::None);
    for access in [Access::Unsigned, nobodys] {
        assert_eq!(stub.s3.look(&at("f"), &access).await.unwrap().unwrap().size, 1);
    }
    stub.s3.look(&at("f"), &Access::Own).await.unwrap();
    let signed: Vec<_> = stub.seen().iter().map(|seen| !seen.header("authorization").is_empty()).collect();
    assert_eq!(signed, [false, false, true]);
}

#[tokio::test]
async fn other_places_are_asked_with_their_own_keys() {
    let (ours, theirs) = (Stub::new(|_| one_byte()).await, Stub::new(|_| one_byte()).await);
    let url = theirs.url.as_str();
    for keys in [keys("one"), keys("two"), EndpointKeys::Own, EndpointKeys::None] {
        let access = endpoint(Some(url), None, keys);
        ours.s3.look(&at("a b"), &access).await.unwrap();
        assert!(!format!("{access:?}").contains("MINIO"), "{access:?}");
    }
    let seen = theirs.seen();
    assert!(seen.iter().all(|seen| seen.asks("HEAD", "/data/a%20b")), "the bucket is in the path: {seen:?}");
    let signed: Vec<_> = seen.iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert!(signed[0].contains("Credential=MINIO/") && signed[2].contains("Credential=OWN/"), "{signed:?}");
    let signature = |n: usize| signed[n].rsplit_once("Signature=").unwrap().1;
    assert_ne!(signature(0), signature(1), "a secret that was replaced is not used on");
    assert_eq!((signed[3].as_str(), ours.seen().len()), ("", 0));
}

#[tokio::test]
async fn many_at_once_find_a_bucket_elsewhere() {
    let stub = Stub::new(|seen| {
        if seen.header("authorization").contains("/eu-west-1/") {
            one_byte()
        } else {
            (301, vec![("x-amz-bucket-region", "eu-west-1".into())], String::new())
        }
    })
    .await;
    let f = at("f");
    let looks = (0..8).map(|_| stub.s3.look(&f, &Access::Own));
    for found in futures_util::future::join_all(looks).await {
        assert_eq!(found.unwrap().unwrap().size, 1);
    }
    let meant = endpoint(None, Some("us-west-2"), EndpointKeys::Own);
    let error = stub.s3.look(&at("f"), &meant).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("PermanentRedirect"), "who says where it is, is believed");
}

#[tokio::test]
async fn a_small_object_is_written_here_or_nowhere() {
    let stub = Stub::new(|seen| match (seen.method.as_str(), seen.header("authorization")) {
        (_, signed) if signed.contains("/eu-west-1/") => (200, vec![("etag", "\"e\"".into())], String::new()),
        ("PUT", _) => {
            let (status, mut headers, body) = refused(400, "AuthorizationHeaderMalformed");
            headers.push(("x-amz-bucket-region", "eu-west-1".into()));
            (status, headers, body)
        }
        _ => (301, vec![("x-amz-bucket-region", "eu-west-1".into())], String::new()),
    })
    .await;
    stub.s3.look(&at("f"), &Access::Own).await.unwrap();
    let body = Bytes::from_static(b"text");
    let options = WriteOptions::default();
    let error = stub.s3.put(&at("f"), body.clone(), None, &options, &Access::Own).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("PermanentRedirect"));
    assert_eq!(
        error.to_string(),
        "PutObject: PermanentRedirect: the bucket is in eu-west-1, not in ap-southeast-2"
    );
    let there = endpoint(None, Some("eu-west-1"), EndpointKeys::Own);
    stub.s3.put(&at("f"), body, None, &options, &there).await.unwrap();
}

#[tokio::test]
async fn answers_without_a_code_get_one() {
    let answers = [
        (403, Class::Forbidden, "AccessDenied"),
        (412, Class::Conflict, "PreconditionFailed"),
        (301, Class::Invalid, "PermanentRedirect"),
    ];
    for (status, class, code) in answers {
        let stub = Stub::new(move |_| (status, Vec::new(), String::new())).await;
        let error = stub.s3.look(&at("f"), &Access::Own).await.unwrap_err();
        assert_eq!((error.class, error.code.as_deref()), (class, Some(code)), "{error}");
    }
}

#[tokio::test]
async fn whoever_paces_copies_sees_every_slow_down() {
    let stub = Stub::new(|_| refused(503, "SlowDown")).await;
    let error = stub.s3.copy(&copy(5, None), &Access::Own).await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::Throttled, Some("SlowDown")));
    assert_eq!(stub.seen().len(), 1);
    stub.s3.copy(&copy(6 * 1024 * MIB, None), &Access::Own).await.unwrap_err();
    assert_eq!(stub.seen().len(), 4, "a HEAD is tried again, thrice in all");
}
