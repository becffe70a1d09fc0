//! The wire over the network.

use std::{io, ops::Range, time::Duration};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{
    StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, RANGE},
};
use reqwest::{Client, Request, Response, Url, redirect::Policy};
use secrecy::ExposeSecret as _;

use super::wire::{Body, GET, Opened, PUT, Wire, tagged};
use crate::{
    domain::hosts::UrlHosts,
    ports::{
        Class, Error, Result,
        transfers::{PresignedUrl, Tagged},
    },
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an error's body is read: enough for S3's `<Code>`.
const ERROR_BYTES: usize = 4096;

/// Presigned URLs by reqwest.
///
/// Bodies are taken as they are: a file stored with `Content-Encoding: gzip` must arrive compressed.
/// Nothing here limits the time a body takes; the task that moves the bytes watches them.
#[derive(Debug)]
pub struct ReqwestWire {
    client: Client,
    hosts: UrlHosts,
}

impl ReqwestWire {
    /// One client, so that connections are kept; it goes to no other hosts than these.
    pub fn new(hosts: UrlHosts) -> Result<Self> {
        let client = Client::builder()
            .user_agent(concat!("copy-manager/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .gzip(false)
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|error| {
                Error::new(Class::Invalid, "set up HTTPS", "no client").caused_by(error.without_url())
            })?;
        Ok(Self { client, hosts })
    }

    /// The URL, if it leads to where it may.
    fn parse(&self, operation: &'static str, url: &PresignedUrl) -> Result<Url> {
        let url = Url::parse(url.expose_secret())
            .map_err(|error| Error::new(Class::Invalid, operation, "not a URL").caused_by(error))?;
        self.hosts
            .check(&url)
            .map_err(|refused| Error::new(Class::Forbidden, operation, refused.to_string()))?;
        Ok(url)
    }

    /// Sends, and returns the answer if it is a good one.
    async fn send(&self, operation: &'static str, request: Request) -> Result<Response> {
        let host = request.url().host_str().unwrap_or("nowhere").to_owned();
        let answer = self.client.execute(request).await.map_err(|error| {
            let never_sent = error.is_connect();
            let what = if never_sent { "could not connect" } else { "the connection broke" };
            let mut lost = Error::new(Class::Transient, operation, format!("{host}: {what}"));
            lost.may_have_happened = operation == PUT && !never_sent;
            lost.caused_by(error.without_url())
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(refusal(operation, &host, answer).await)
    }
}

#[async_trait]
impl Wire for ReqwestWire {
    async fn get(&self, url: &PresignedUrl) -> Result<Opened> {
        let request = Request::new(reqwest::Method::GET, self.parse(GET, url)?);
        let answer = self.send(GET, request).await?;
        Ok(opened(answer))
    }

    async fn get_range(&self, url: &PresignedUrl, range: Range<u64>) -> Result<Opened> {
        let mut request = Request::new(reqwest::Method::GET, self.parse(GET, url)?);
        let bytes = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let bytes = http::HeaderValue::from_str(&bytes)
            .map_err(|error| Error::new(Class::Invalid, GET, "not a range").caused_by(error))?;
        request.headers_mut().insert(RANGE, bytes);
        let answer = self.send(GET, request).await?;
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            return Err(Error::new(Class::Invalid, GET, "the source does not know ranges"));
        }
        Ok(opened(answer))
    }

    fn carries_md5(&self, url: &PresignedUrl) -> bool {
        Url::parse(url.expose_secret()).is_ok_and(|url| takes_content_md5(&url))
    }

    async fn put(&self, url: &PresignedUrl, length: u64, md5: Option<&str>, body: Body) -> Result<Tagged> {
        let url = self.parse(PUT, url)?;
        let digest = md5.filter(|_| takes_content_md5(&url)).and_then(content_md5);
        let mut request = Request::new(reqwest::Method::PUT, url);
        let headers = request.headers_mut();
        headers.extend(digest.map(|digest| (http::HeaderName::from_static("content-md5"), digest)));
        headers.insert(CONTENT_LENGTH, length.into());
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/octet-stream"));
        *request.body_mut() = Some(if length == 0 { "".into() } else { reqwest::Body::wrap_stream(body) });
        self.send(PUT, request).await.map(|answer| tagged(answer.headers()))
    }
}

/// Whether a header that was not signed may go with the URL. Signatures of version 4 name the headers
/// that they are about; those of version 2 are always about this one.
fn takes_content_md5(url: &Url) -> bool {
    !url.query_pairs().any(|(name, _)| name == "Signature" || name == "AWSAccessKeyId")
}

/// The header's value for an MD5 in hex.
fn content_md5(md5: &str) -> Option<http::HeaderValue> {
    http::HeaderValue::from_str(&BASE64_STANDARD.encode(hex::decode(md5).ok()?)).ok()
}

fn opened(answer: Response) -> Opened {
    let (length, tagged) = (answer.content_length(), tagged(answer.headers()));
    let body = answer.bytes_stream().map_err(|error| io::Error::other(error.without_url()));
    Opened { length, tagged, body: body.boxed() }
}

async fn refusal(operation: &'static str, host: &str, mut answer: Response) -> Error {
    let status = answer.status();
    let mut text = Vec::new();
    while text.len() < ERROR_BYTES
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        text.extend_from_slice(&chunk);
    }
    let code = code(&String::from_utf8_lossy(&text));
    let shown = code.as_deref().map_or_else(String::new, |code| format!(" ({code})"));
    let class = class(status, code.as_deref());
    let mut error = Error::new(class, operation, format!("{host} answered {status}{shown}"));
    error.status = Some(status.as_u16());
    error.code = code;
    error.may_have_happened = operation == PUT && status.is_server_error();
    error
}

/// S3's `<Code>`. Nothing else of its errors is kept: they quote signatures.
fn code(xml: &str) -> Option<String> {
    let (_, rest) = xml.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let plain = !code.is_empty() && code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric());
    plain.then(|| code.to_owned())
}

/// A presigned URL that is refused has ended: the next attempt gets another.
fn class(status: StatusCode, code: Option<&str>) -> Class {
    match (status, code) {
        (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => Class::Throttled,
        (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED | StatusCode::REQUEST_TIMEOUT, _)
        | (StatusCode::BAD_REQUEST, Some("ExpiredToken" | "RequestTimeout" | "BadDigest")) => {
            Class::Transient
        }
        (StatusCode::NOT_FOUND, _) => Class::NotFound,
        (StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED, _) => Class::Conflict,
        (status, _) if status.is_server_error() || status.is_redirection() => Class::Transient,
        _ => Class::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_url_is_worth_another() {
        for (status, code, expected) in [
            (403, Some("AccessDenied"), Class::Transient),
            (400, Some("ExpiredToken"), Class::Transient),
            (400, Some("BadDigest"), Class::Transient),
            (400, Some("EntityTooLarge"), Class::Invalid),
            (400, None, Class::Invalid),
            (404, Some("NoSuchKey"), Class::NotFound),
            (412, None, Class::Conflict),
            (307, None, Class::Transient),
            (500, Some("InternalError"), Class::Transient),
            (503, Some("SlowDown"), Class::Throttled),
        ] {
            assert_eq!(class(StatusCode::from_u16(status).unwrap(), code), expected, "{status} {code:?}");
        }
    }

    #[test]
    fn only_the_code_of_an_error_is_kept() {
        let xml = "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>AWS4 x</StringToSign></Error>";
        assert_eq!(code(xml).as_deref(), Some("SignatureDoesNotMatch"));
        assert_eq!(code("<Code>https://host?sig=1</Code>"), None);
        assert_eq!(code("<html>"), None);
    }

    #[tokio::test]
    async fn what_is_no_url_is_not_shown() {
        let wire = ReqwestWire::new(UrlHosts::default()).unwrap();
        let error = wire.get(&PresignedUrl::from("no url X-Amz-Signature=1")).await.err().unwrap();
        assert!(!format!("{error} {error:?}").contains("Signature"), "{error:?}");
    }

    #[test]
    fn an_md5_goes_where_the_signature_lets_it() {
        for (query, takes) in [
            ("?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-SignedHeaders=host&X-Amz-Signature=1", true),
            ("", true),
            ("?AWSAccessKeyId=A&Expires=1&Signature=1", false),
        ] {
            let url = Url::parse(&format!("https://bucket.s3.amazonaws.com/key{query}")).unwrap();
            assert_eq!(takes_content_md5(&url), takes, "{query}");
        }
        assert_eq!(content_md5("d41d8cd98f00b204e9800998ecf8427e").unwrap(), "1B2M2Y8AsgTpgAmY7PhCfg==");
    }

    #[tokio::test]
    async fn a_url_to_elsewhere_is_refused_by_host_and_setting() {
        let wire = ReqwestWire::new(UrlHosts::default()).unwrap();
        let url = PresignedUrl::from("https://evil.example/key?X-Amz-Signature=1");
        let body = futures_util::stream::empty().boxed();
        for error in [wire.get(&url).await.err().unwrap(), wire.put(&url, 0, None, body).await.unwrap_err()] {
            assert_eq!(error.class, Class::Forbidden);
            let said = format!("{error} {error:?}");
            assert!(said.contains("`evil.example`") && said.contains("icav2.url_hosts"), "{said}");
            assert!(!said.contains("Signature") && !said.contains("/key"), "{said}");
        }
    }
}
