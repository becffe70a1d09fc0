//! Files: whole, or an error.

use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::world::{Fault, SIGNATURE, Service, all, client, client_of, gzip, service, settings};
use crate::{
    dap::{Settings, settings::Limits},
    ports::{Class, Error, source::Source as _},
};

const FILE: &str = "GET /j/part-0";

/// A text of that many bytes that packs a little.
fn text(bytes: usize) -> Vec<u8> {
    (0..)
        .flat_map(|n: u64| format!("{n}\t{}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes())
        .take(bytes)
        .collect()
}

async fn read(service: &Arc<Service>) -> Result<Vec<u8>, Error> {
    all(client(service).read("j/part-0").await?).await
}

fn in_error(result: Result<Vec<u8>, Error>) -> Error {
    let error = result.map(|bytes| bytes.len()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(SIGNATURE), "{error:?}");
    error
}

#[tokio::test(start_paused = true)]
async fn all_members_of_a_file_are_read() {
    let service = service();
    let text = text(300_000);
    service.file("j/part-0", &[&text[..100], b"", &text[100..200_000], &text[200_000..]]);
    assert!(read(&service).await.unwrap() == text);
    let get = service.seen().into_iter().find(|seen| seen.line == FILE).unwrap();
    assert_eq!(
        (get.header("authorization"), get.header("traceparent")),
        (None, None),
        "no token goes to the bucket"
    );
    let packed = client(&service).packed("j/part-0").await.unwrap();
    assert!(all(packed).await.unwrap() == service.files.lock().unwrap()["j/part-0"], "as it is kept");
}

#[tokio::test(start_paused = true)]
async fn what_packs_well_comes_in_small_pieces() {
    let service = service();
    service.file("j/part-0", &[&vec![b'x'; 40 << 20]]);
    let mut body = client(&service).read("j/part-0").await.unwrap();
    let (mut bytes, mut largest) = (0, 0);
    while let Some(chunk) = body.next().await {
        let length = chunk.unwrap().len();
        (bytes, largest) = (bytes + length, largest.max(length));
    }
    assert_eq!(bytes, 40 << 20);
    assert!(largest <= 9 << 20, "{largest}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_whole_ends_with_an_error() {
    let text = text(50_000);
    let whole = gzip(&text);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packed = whole.clone();
        change(&mut packed);
        packed
    };
    let end = whole.len();
    for (what, packed) in [
        ("cut", whole[..end / 2].to_vec()),
        ("cut in the checksum", whole[..end - 3].to_vec()),
        ("without a checksum", whole[..end - 8].to_vec()),
        ("wrong checksum", with(&|packed| packed[end - 8] ^= 1)),
        ("wrong length", with(&|packed| packed[end - 1] ^= 1)),
        ("another byte inside", with(&|packed| packed[end / 2] ^= 1)),
        ("a byte behind the end", with(&|packed| packed.push(0))),
        ("a text behind the end", with(&|packed| packed.extend_from_slice(b"and something more"))),
        ("second member cut", [&whole[..], &whole[..end / 2]].concat()),
        ("header of a second member", [&whole[..], &whole[..5]].concat()),
        ("no gzip", b"meta.ts\tkey.id\n".to_vec()),
        ("nothing", Vec::new()),
    ] {
        let service = service();
        service.file("j/part-0", &[&text]);
        service.fault(FILE, 1, Fault::Instead(packed));
        let error = in_error(read(&service).await);
        assert_eq!(error.class, Class::Transient, "{what}");
        assert!(read(&service).await.unwrap() == text, "another download is whole");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_shorter_than_announced_is_an_error() {
    let service = service();
    let text = text(50_000);
    service.file("j/part-0", &[&text]);
    service.fault(FILE, 2, Fault::Short(2000));
    let error = in_error(read(&service).await);
    assert!(error.to_string().contains("2000 bytes of "), "{error}");
    let packed = client(&service).packed("j/part-0").await.unwrap();
    assert_eq!(in_error(all(packed).await).class, Class::Transient, "of packed bytes, too");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_has_expired_is_replaced_once() {
    let service = service();
    let expired =
        || Fault::Status(403, Vec::new(), format!("<Error><Code>AccessDenied</Code>{SIGNATURE}</Error>"));
    service.file("j/part-0", &[b"x\n"]);
    service.fault(FILE, 1, expired());
    assert_eq!(read(&service).await.unwrap(), b"x\n");
    assert_eq!((service.count("POST /dap/object/url"), service.count(FILE)), (2, 2));
    let asked: Vec<_> =
        service.seen().into_iter().filter(|seen| seen.line == FILE).map(|seen| seen.url).collect();
    assert_ne!(asked[0], asked[1]);
    service.fault(FILE, 1000, expired());
    let error = in_error(read(&service).await);
    assert_eq!((error.class, error.status), (Class::Transient, Some(403)));
    assert!(service.count(FILE) <= 2 + 6, "{}", service.count(FILE));
}

#[tokio::test(start_paused = true)]
async fn a_download_that_stalls_ends() {
    let service = service();
    service.file("j/part-0", &[&text(50_000)]);
    let start = Instant::now();
    service.fault(FILE, 1, Fault::Stall(2000));
    let error = in_error(read(&service).await);
    assert!(error.to_string().contains("not a byte has come for 60 s"), "{error}");
    assert_eq!((error.class, start.elapsed().as_secs()), (Class::Transient, 60));
    service.fault(FILE, 1, Fault::Hang);
    assert!(in_error(read(&service).await).to_string().contains("within 30 s"));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_in_trouble_is_asked_again() {
    let service = service();
    service.file("j/part-0", &[b"x\n"]);
    service.fault(FILE, 1, Fault::Close);
    service.fault(FILE, 1, Fault::Status(503, Vec::new(), "SlowDown".to_owned()));
    assert_eq!(read(&service).await.unwrap(), b"x\n");
    let error = in_error(client(&service).read("gone").await.map(|_| Vec::new()));
    assert_eq!((error.class, service.count("GET /gone")), (Class::NotFound, 1));
}

#[tokio::test(start_paused = true)]
async fn files_come_from_hosts_that_are_allowed() {
    for (bucket, allowed) in [
        ("https://bucket.s3.us-east-1.amazonaws.com", true),
        ("http://bucket.s3.us-east-1.amazonaws.com", false),
        ("https://evil.example", false),
        ("https://x.amazonaws.com@evil.example", false),
        ("https://us:pass@x.amazonaws.com", false),
        ("https://amazonaws.com.evil.example", false),
        ("https://gateway.example", false),
        ("http://127.0.0.1:9000", false),
        ("http://169.254.169.254", false),
        ("file:///etc", false),
        ("no address", false),
    ] {
        let service = service();
        service.file("j/part-0", &[b"x\n"]);
        bucket.clone_into(&mut service.bucket.lock().unwrap());
        let result = read(&service).await;
        assert_eq!(result.is_ok(), allowed, "{bucket}");
        assert_eq!(service.count(FILE), usize::from(allowed), "{bucket}");
        if !allowed {
            in_error(result);
        }
    }
    let service = service();
    "https://files.example".clone_into(&mut service.bucket.lock().unwrap());
    let error = in_error(read(&service).await);
    assert_eq!(error.class, Class::Forbidden);
    assert!(error.to_string().contains("`files.example`, which canvas.url_hosts does not allow"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_service_on_this_machine_may_keep_its_files_here() {
    let service = service();
    service.file("j/part-0", &[b"x\n"]);
    let here = Settings { base_url: "http://localhost:8791".into(), limits: Limits::NONE, ..settings() };
    for (bucket, allowed) in
        [("http://127.0.0.1:8791", true), ("http://[::1]:9", true), ("http://10.0.0.1", false)]
    {
        bucket.clone_into(&mut service.bucket.lock().unwrap());
        assert_eq!(client_of(&service, &here).read("j/part-0").await.is_ok(), allowed, "{bucket}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_not_followed() {
    let service = service();
    let to = vec![("location", "https://evil.example".to_owned())];
    service.fault(FILE, 1, Fault::Status(302, to, String::new()));
    let error = in_error(read(&service).await);
    assert!(error.to_string().contains("redirects are not followed"), "{error}");
    assert_eq!(service.count(FILE), 1);
}
