//! One call, before it is sent.

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use super::settings::Endpoint;
use crate::{
    http::transport::TransportError,
    ports::{Class, Error, Result},
};

/// Who we are.
pub(super) const US: HeaderValue =
    HeaderValue::from_static(concat!("copy-manager/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Which limit it falls under.
    pub(super) endpoint: Endpoint,
    /// What is called, without names, so that errors can be told apart by it.
    pub(super) operation: &'static str,
    path: Vec<String>,
    body: Option<Bytes>,
}

impl Call {
    /// A GET of that path.
    pub(super) fn get(endpoint: Endpoint, operation: &'static str, path: &[&str]) -> Self {
        let path = path.iter().map(|&name| name.to_owned()).collect();
        Self { endpoint, operation, path, body: None }
    }

    /// A POST of that JSON.
    pub(super) fn post(endpoint: Endpoint, operation: &'static str, path: &[&str], body: &Value) -> Self {
        let body = Some(Bytes::from(body.to_string()));
        Self { body, ..Self::get(endpoint, operation, path) }
    }

    /// The request, below that address, with that token.
    pub(super) fn request(&self, base: &Url, token: &SecretString) -> Result<Request<Bytes>> {
        let method = if self.body.is_some() { Method::POST } else { Method::GET };
        let bearer = format!("Bearer {}", token.expose_secret());
        let path: Vec<_> = self.path.iter().map(String::as_str).collect();
        let mut request = request(self.operation, method, &below(base, &path, self.operation)?, &bearer)?;
        if let Some(body) = &self.body {
            request.headers_mut().insert(CONTENT_TYPE, JSON);
            *request.body_mut() = body.clone();
        }
        Ok(request)
    }
}

/// A request without a body, with that authorization.
pub(super) fn request(
    operation: &'static str,
    method: Method,
    url: &Url,
    authorization: &str,
) -> Result<Request<Bytes>> {
    let invalid = |what: &str| Error::new(Class::Invalid, operation, what.to_owned());
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method;
    *request.uri_mut() = url.as_str().parse().map_err(|_| invalid("not a URL"))?;
    // The error of this conversion would be safe to show, the text is not.
    let mut value = HeaderValue::try_from(authorization)
        .map_err(|_| invalid("the credentials hold characters that no header can hold"))?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    request.headers_mut().insert(ACCEPT, JSON);
    request.headers_mut().insert(USER_AGENT, US);
    Ok(request)
}

/// The status of an answer, if one came in time.
pub(super) fn status<T, L>(answer: &Result<Result<http::Response<T>, TransportError>, L>) -> Option<u16> {
    Some(answer.as_ref().ok()?.as_ref().ok()?.status().as_u16())
}

/// That path below an address. Names in it are encoded, so that one with a slash stays one.
pub(super) fn below(base: &Url, path: &[&str], operation: &'static str) -> Result<Url> {
    // The first two are left out of paths by every client, the third makes `//`.
    if let Some(name) = path.iter().find(|name| matches!(**name, "." | ".." | "")) {
        return Err(Error::new(
            Class::Invalid,
            operation,
            format!("`{name}` is no name that can be asked for"),
        ));
    }
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.path_segments_mut()
        .map_err(|()| Error::new(Class::Invalid, operation, "canvas.base_url is no base"))?
        .pop_if_empty()
        .extend(path);
    Ok(url)
}
