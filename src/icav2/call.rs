//! One call as the client thinks of it, and how it becomes an HTTP request.
//!
//! The operation's name (`GET /api/jobs/{jobId}`) is the call: method and path are read from it, so
//! that what is logged and counted cannot differ from what is sent.

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use crate::{
    policy::retry::Retry,
    ports::{Class, Error, Result},
};

/// The version of the API that we speak. Anything else is refused as `ICA_API_004`.
pub(super) const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.illumina.v3+json");

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Bytes of the paths or names that one call asks for. Servers take URLs of 8 KB, and often no longer ones.
pub(super) const MOST_ASKED: usize = 4096;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Slashes stay readable in queries, as in the calls that other clients make.
const QUERY: &AsciiSet = &UNRESERVED.remove(b'/');

/// What happens when the same call is made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing: it reads.
    None,
    /// Nothing more: the API knows the key.
    Keyed,
    /// It happens twice.
    Each,
}

/// The identity that we show.
#[derive(Debug, Clone, Copy)]
pub(super) enum Credential<'a> {
    /// `Authorization: Bearer`.
    Bearer(&'a SecretString),
    /// `X-API-Key`.
    ApiKey(&'a SecretString),
}

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Method and path template.
    pub(super) operation: &'static str,
    path: String,
    query: String,
    body: Bytes,
    key: Option<String>,
    effect: Effect,
    /// Whether it goes before all that wait for the pace.
    first: bool,
}

impl Call {
    /// A call that reads. `ids` fill the template's braces, in order.
    pub(super) fn read(operation: &'static str, ids: &[&str]) -> Self {
        let path = fill(operation, ids);
        Self {
            operation,
            path,
            query: String::new(),
            body: Bytes::new(),
            key: None,
            effect: Effect::None,
            first: false,
        }
    }

    /// A call with an effect that happens each time it is made.
    pub(super) fn effect(operation: &'static str, ids: &[&str]) -> Self {
        Self { effect: Effect::Each, ..Self::read(operation, ids) }
    }

    /// A call with an effect that happens once per `key`.
    pub(super) fn keyed(operation: &'static str, ids: &[&str], key: &str) -> Self {
        Self { effect: Effect::Keyed, key: Some(key.to_owned()), ..Self::read(operation, ids) }
    }

    /// The same, before all that wait for the pace: for calls that are few.
    pub(super) fn at_once(self) -> Self {
        Self { first: true, ..self }
    }

    /// Whether it goes before all that wait for the pace.
    pub(super) fn goes_first(&self) -> bool {
        self.first
    }

    /// The same, with one more parameter in the query.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.query.push(if self.query.is_empty() { '?' } else { '&' });
        self.query.push_str(name);
        self.query.push('=');
        self.query.extend(utf8_percent_encode(value, QUERY));
        self
    }

    /// The same, with a JSON body.
    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self> {
        let text = serde_json::to_vec(body).map_err(|error| {
            Error::new(Class::Invalid, self.operation, "the request cannot be written as JSON")
                .caused_by(error)
        })?;
        self.body = Bytes::from(text);
        Ok(self)
    }

    /// How often it may be tried.
    pub(super) fn retry(&self) -> Retry {
        match self.effect {
            Effect::None | Effect::Keyed => Retry::read(),
            Effect::Each => Retry::never(),
        }
    }

    /// Whether it changes anything.
    pub(super) fn has_effect(&self) -> bool {
        self.effect != Effect::None
    }

    /// Whether an answer that cannot be understood leaves open what happened.
    pub(super) fn is_unrepeatable(&self) -> bool {
        self.effect == Effect::Each
    }

    /// The request to send.
    pub(super) fn request(&self, base_url: &str, credential: Credential<'_>) -> Result<Request<Bytes>> {
        let invalid = |what: &str| Error::new(Class::Invalid, self.operation, what);
        let method = self.operation.split_once(' ').map_or("", |(method, _)| method);
        let uri = format!("{}{}{}", base_url.trim_end_matches('/'), self.path, self.query);
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = Method::from_bytes(method.as_bytes())
            .map_err(|error| invalid("no such HTTP method").caused_by(error))?;
        *request.uri_mut() =
            uri.parse().map_err(|error: http::uri::InvalidUri| invalid("not a URL").caused_by(error))?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, MEDIA_TYPE);
        if !self.body.is_empty() {
            headers.insert(CONTENT_TYPE, MEDIA_TYPE);
        } else if method == "POST" {
            // Proxies refuse a POST that does not say its length, and reqwest does not for no body.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if let Some(key) = &self.key {
            let value =
                HeaderValue::from_str(key).map_err(|_| invalid("the Idempotency-Key is no header"))?;
            headers.insert(IDEMPOTENCY_KEY, value);
        }
        let (name, text) = match credential {
            Credential::Bearer(token) => (AUTHORIZATION, format!("Bearer {}", token.expose_secret())),
            Credential::ApiKey(key) => (API_KEY, key.expose_secret().to_owned()),
        };
        // The error of this conversion would be safe to show, the text is not.
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| invalid("the credential holds characters that no header can hold"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(request)
    }
}

/// How long a value is in a query.
pub(super) fn encoded(value: &str) -> usize {
    utf8_percent_encode(value, QUERY).map(str::len).sum()
}

/// The path of an operation, its braces filled.
fn fill(operation: &str, ids: &[&str]) -> String {
    let template = operation.split_once(' ').map_or(operation, |(_, template)| template);
    let mut parts = template.split('{');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for (part, id) in parts.zip(ids) {
        path.extend(utf8_percent_encode(id, UNRESERVED));
        path.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_is_the_request() {
        let token = SecretString::from("t");
        let call = Call::effect("POST /api/projects/{projectId}/data/{dataId}:delete", &["p/1", "fil.1"]);
        let request = call.request("https://host/ica/rest/", Credential::Bearer(&token)).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "https://host/ica/rest/api/projects/p%2F1/data/fil.1:delete");
        assert_eq!(request.headers().get("content-length").unwrap(), "0");
    }

    #[test]
    fn values_are_encoded_as_utf8_and_slashes_stay() {
        let call = Call::read("GET /api/x", &[]).with("path", "/a b/c+d#e%f?é&g=/").with("type", "FILE");
        assert_eq!(call.query, "?path=/a%20b/c%2Bd%23e%25f%3F%C3%A9%26g%3D/&type=FILE");
    }

    proptest::proptest! {
        #[test]
        fn any_value_survives_its_encoding(value in "\\PC{0,60}") {
            let call = Call::read("GET /api/x", &[]).with("v", &value);
            let request = call.request("https://host", Credential::Bearer(&SecretString::from("t"))).unwrap();
            let query = request.uri().query().unwrap().strip_prefix("v=").unwrap();
            let back = percent_encoding::percent_decode_str(query).decode_utf8().unwrap();
            proptest::prop_assert_eq!(back, value);
        }
    }

    #[test]
    fn credentials_do_not_show() {
        let secret = SecretString::from("very-secret");
        for credential in [Credential::Bearer(&secret), Credential::ApiKey(&secret)] {
            let request = Call::read("GET /api/x", &[]).request("https://host", credential).unwrap();
            assert!(!format!("{request:?} {credential:?}").contains("very-secret"));
        }
        let broken = SecretString::from("very\nsecret");
        let error =
            Call::read("GET /api/x", &[]).request("https://host", Credential::Bearer(&broken)).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("secret\""), "{error:?}");
    }
}
