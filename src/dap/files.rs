//! Files of a job: their addresses, and their bytes as they are kept.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{
    Request, StatusCode,
    header::{CONTENT_LENGTH, USER_AGENT},
    response::Parts,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;
use url::Url;

use super::{call::US, refusal};
use crate::{
    domain::hosts::{HostNotAllowed, UrlHosts, is_loopback},
    http::transport::{Body, Transport},
    ports::{Class, Error, Result, source::ByteStream},
};

/// What errors about an address call it.
pub(super) const GET: &str = "GET file of a job";

/// Downloads.
#[derive(Debug)]
pub(super) struct Downloads {
    transport: Arc<dyn Transport>,
    hosts: UrlHosts,
    /// The service is on this machine, so its files may be, too.
    is_here: bool,
    timeout: Duration,
    stalled_after: Duration,
}

impl Downloads {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        hosts: UrlHosts,
        base: &Url,
        timeout: Duration,
        stalled_after: Duration,
    ) -> Self {
        let is_here = base.host_str().is_some_and(is_loopback);
        Self { transport, hosts, is_here, timeout, stalled_after }
    }

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// `Forbidden` with a status where the address has expired; `Forbidden` without one where it leads to where it
    /// may not.
    pub(super) async fn open(&self, url: &SecretString) -> Result<ByteStream> {
        let url = self.parse(url)?;
        let host = url.host_str().unwrap_or("nowhere");
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() =
            url.as_str().parse().map_err(|_| Error::new(Class::Invalid, GET, "not a URL"))?;
        request.headers_mut().insert(USER_AGENT, US);
        let answer = timeout(self.timeout, self.transport.open(request)).await;
        let answer = answer.map_err(|_| refusal::late(GET, host, self.timeout))?;
        let (parts, body) = answer.map_err(|cause| refusal::no_answer(GET, host, cause))?.into_parts();
        if parts.status != StatusCode::OK {
            return Err(refused(host, &parts));
        }
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Ok(watched(Watched {
            body,
            length,
            seen: 0,
            stalled_after: self.stalled_after,
            host: host.to_owned(),
        }))
    }

    /// The address, if it leads to where it may.
    fn parse(&self, url: &SecretString) -> Result<Url> {
        let url =
            Url::parse(url.expose_secret()).map_err(|_| Error::new(Class::Invalid, GET, "not a URL"))?;
        let host = url.host_str().unwrap_or_default();
        let refused = |why: String| Err(Error::new(Class::Forbidden, GET, why));
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some()
        {
            return refused(format!("the address of the file, on host `{host}`, is not as it should be"));
        }
        if self.is_here && is_loopback(host) {
            return Ok(url);
        }
        match self.hosts.check(&url) {
            Ok(()) => Ok(url),
            Err(HostNotAllowed::Host(host)) => refused(format!(
                "the address of the file leads to the host `{host}`, which canvas.url_hosts does not allow"
            )),
            Err(HostNotAllowed::Plain(host)) => {
                refused(format!("the address of the file leads to the host `{host}` without TLS"))
            }
        }
    }
}

/// A download that is watched.
struct Watched {
    body: Body,
    length: Option<u64>,
    seen: u64,
    stalled_after: Duration,
    host: String,
}

/// The bytes; an error where they stall, or are not as many as were announced.
fn watched(state: Watched) -> ByteStream {
    stream::try_unfold(state, |mut state| async move {
        loop {
            let next = timeout(state.stalled_after, state.body.next()).await;
            let broken = |what: String| Error::new(Class::Transient, GET, format!("{}: {what}", state.host));
            let next = next.map_err(|_| {
                broken(format!("not a byte has come for {} s", state.stalled_after.as_secs_f64()))
            })?;
            let Some(chunk) = next else {
                return match state.length {
                    Some(length) if length != state.seen => {
                        Err(broken(format!("{} bytes of {length} have come", state.seen)))
                    }
                    _ => Ok(None),
                };
            };
            let chunk = chunk.map_err(|cause| {
                broken(format!("{} after {} bytes", cause.message, state.seen)).caused_by(cause)
            })?;
            state.seen += chunk.len() as u64;
            if let Some(length) = state.length.filter(|length| state.seen > *length) {
                return Err(Error::new(
                    Class::Transient,
                    GET,
                    format!("{}: more than {length} bytes have come", state.host),
                ));
            }
            if !chunk.is_empty() {
                return Ok(Some((chunk, state)));
            }
        }
    })
    .boxed()
}

/// Nothing of the body is kept: it quotes signatures.
fn refused(host: &str, answer: &Parts) -> Error {
    let class = match answer.status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Class::Forbidden,
        StatusCode::NOT_FOUND | StatusCode::GONE => Class::NotFound,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Class::Throttled,
        StatusCode::REQUEST_TIMEOUT => Class::Transient,
        status if status.is_server_error() => Class::Transient,
        _ => Class::Invalid,
    };
    let mut message = format!("{host} answered {}", answer.status);
    if answer.status.is_redirection() {
        message.push_str(", and redirects are not followed");
    }
    let mut error = Error::new(class, GET, message);
    error.status = Some(answer.status.as_u16());
    error
}
