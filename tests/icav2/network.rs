//! The network adapters against real sockets: what is on the wire, and that a body which ends badly
//! is never whole.

use std::time::Duration;

use bytes::Bytes;
use copy_manager::{
    domain::hosts::UrlHosts,
    http::{network::ReqwestTransport, transport::Transport as _},
    ports::{Class, transfers::PresignedUrl},
    transfer::{
        http::ReqwestWire,
        wire::{Opened, Wire as _},
    },
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pretty_assertions::assert_eq;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

/// Takes one request, answers it when it is whole, and returns what was read.
async fn serve(listener: &TcpListener, length: usize, answer: &str) -> String {
    let (mut peer, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let head = String::from_utf8_lossy(&read).find("\r\n\r\n");
        if head.is_some_and(|head| read.len() >= head + 4 + length) {
            peer.write_all(answer.as_bytes()).await.unwrap();
            peer.shutdown().await.unwrap();
            break;
        }
        match peer.read(&mut buffer).await {
            Ok(n) if n > 0 => read.extend(buffer.iter().take(n)),
            _ => break,
        }
    }
    String::from_utf8(read).unwrap()
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    (listener, base)
}

/// This machine, and nobody else.
fn here() -> UrlHosts {
    UrlHosts::new(&[], "http://127.0.0.1")
}

#[tokio::test]
async fn requests_go_out_as_they_are() {
    let (listener, base) = listen().await;
    let transport = ReqwestTransport::new(Duration::from_secs(10)).unwrap();
    let request = http::Request::post(format!("{base}/rest/api/x?path=/a%20b%2B%23&s=%C3%A9"))
        .header("accept", "application/vnd.illumina.v3+json")
        .header("content-length", "0")
        .body(Bytes::new())
        .unwrap();
    let answer = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-length: 2\r\n\r\n{}";
    let (seen, answer) = tokio::join!(serve(&listener, 0, answer), transport.send(request));
    let (answer, seen) = (answer.unwrap(), seen.to_lowercase());
    assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (429, &b"{}"[..]));
    assert_eq!(answer.headers()["retry-after"], "3");
    assert!(seen.starts_with("post /rest/api/x?path=/a%20b%2b%23&s=%c3%a9 http/1.1"), "{seen}");
    assert!(
        seen.contains("accept-encoding: gzip") && seen.matches("content-length: 0").count() == 1,
        "{seen}"
    );
}

#[tokio::test]
async fn nobody_there_is_never_sent() {
    let (listener, base) = listen().await;
    drop(listener);
    let transport = ReqwestTransport::new(Duration::from_secs(10)).unwrap();
    let request = http::Request::get(format!("{base}/x?secret=1")).body(Bytes::new()).unwrap();
    let error = transport.send(request).await.unwrap_err();
    assert!(error.never_sent, "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

/// The MD5 of `hello`.
const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

#[tokio::test]
async fn a_put_says_its_length_and_its_md5() {
    let (listener, base) = listen().await;
    let wire = ReqwestWire::new(here()).unwrap();
    let url = PresignedUrl::from(format!("{base}/key?X-Amz-Signature=1"));
    let body = stream::iter([Ok(Bytes::from("hel")), Ok(Bytes::from("lo"))]).boxed();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: \"5d41402abc4b2a76b9719d911017c592\"\r\n\
                  x-amz-server-side-encryption: AES256\r\n\r\n";
    let (seen, done) = tokio::join!(serve(&listener, 5, answer), wire.put(&url, 5, Some(HELLO), body));
    assert_eq!(done.unwrap().md5(), Some(HELLO));
    assert!(seen.contains("XUFAKrxLKna5cZ2REBfFkg=="), "{seen}");
    let seen = seen.to_lowercase();
    assert!(
        seen.contains("content-md5: ") && seen.contains("content-length: 5") && !seen.contains("chunked"),
        "{seen}"
    );
    assert!(
        seen.contains("content-type: application/octet-stream") && seen.ends_with("\r\n\r\nhello"),
        "{seen}"
    );

    let (seen, done) =
        tokio::join!(serve(&listener, 0, answer), wire.put(&url, 0, None, stream::empty().boxed()));
    done.unwrap();
    assert!(seen.to_lowercase().contains("content-length: 0"), "{seen}");
}

#[tokio::test]
async fn ranges_are_asked_for_and_must_be_answered() {
    let (listener, base) = listen().await;
    let wire = ReqwestWire::new(here()).unwrap();
    let url = PresignedUrl::from(format!("{base}/key?X-Amz-Signature=1"));
    let answer = "HTTP/1.1 206 Partial Content\r\ncontent-length: 2\r\n\r\nll";
    let (seen, opened) = tokio::join!(serve(&listener, 0, answer), wire.get_range(&url, 2..4));
    let Opened { length, body, .. } = opened.unwrap();
    let bytes: Vec<Bytes> = body.try_collect().await.unwrap();
    assert_eq!((length, bytes.concat()), (Some(2), b"ll".to_vec()));
    assert!(seen.to_lowercase().contains("range: bytes=2-3\r\n"), "{seen}");

    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let (_, opened) = tokio::join!(serve(&listener, 0, answer), wire.get_range(&url, 2..4));
    assert_eq!(opened.err().unwrap().class, Class::Invalid);
}

#[tokio::test]
async fn a_body_that_ends_badly_is_never_whole() {
    let (listener, base) = listen().await;
    let wire = ReqwestWire::new(here()).unwrap();
    let url = PresignedUrl::from(format!("{base}/key?X-Amz-Signature=1"));
    let body = stream::iter([Ok(Bytes::from("hel")), Err(std::io::Error::other("wrong"))]).boxed();
    let (seen, done) = tokio::join!(serve(&listener, 5, "never"), wire.put(&url, 5, None, body));
    let error = done.unwrap_err();
    assert!(!seen.ends_with("hello"), "{seen}");
    assert!(!format!("{error} {error:?}").contains("Amz"), "{error:?}");
    assert_eq!(error.class, Class::Transient);
}

#[tokio::test]
async fn a_refused_url_keeps_its_code_and_hides_itself() {
    let (listener, base) = listen().await;
    let wire = ReqwestWire::new(here()).unwrap();
    let url = PresignedUrl::from(format!("{base}/key?X-Amz-Signature=1"));
    let xml = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
    let answer = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{xml}", xml.len());
    let (_, got) = tokio::join!(serve(&listener, 0, &answer), wire.get(&url));
    let error = got.err().unwrap();
    assert_eq!((error.class, error.status), (Class::Transient, Some(403)));
    assert_eq!(error.to_string(), "GET presigned URL: 127.0.0.1 answered 403 Forbidden (AccessDenied)");
}

#[tokio::test]
async fn bytes_are_taken_as_they_are() {
    let (listener, base) = listen().await;
    let wire = ReqwestWire::new(here()).unwrap();
    let url = PresignedUrl::from(format!("{base}/key"));
    let answer = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello";
    let (seen, got) = tokio::join!(serve(&listener, 0, answer), wire.get(&url));
    let Opened { length, body, .. } = got.unwrap();
    let chunks: Vec<Bytes> = timeout(Duration::from_secs(5), body.try_collect()).await.unwrap().unwrap();
    assert_eq!((length, chunks.concat()), (Some(5), b"hello".to_vec()));
    assert!(!seen.to_lowercase().contains("accept-encoding: gzip"), "{seen}");
}
