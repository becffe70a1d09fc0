//! Answers that are not what we hoped for, classified once, where they enter the house.

use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, response::Parts};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::wire::{Refusal, Said};
use crate::{
    http::{
        answers::{retry_after, shown},
        transport::TransportError,
    },
    ports::{Class, Error},
};

/// How long to wait where a limit is exceeded and the service does not say.
pub(super) const UNTOLD: Duration = Duration::from_secs(30);
/// How long an account is left alone that is under maintenance.
const MAINTENANCE: Duration = Duration::from_mins(1);
/// Longest type of an error, in bytes.
const LONGEST_CODE: usize = 64;

/// What must not be shown, whoever says it.
pub(super) struct Secrets<'a> {
    /// The client's secret, by itself and as it is sent.
    pub(super) client: [&'a SecretString; 2],
    /// What we authenticated with.
    pub(super) token: &'a SecretString,
}

impl Secrets<'_> {
    /// A text of the service as it may stand in a message.
    pub(super) fn cleaned(&self, text: &str) -> String {
        let known =
            self.client.iter().map(|secret| secret.expose_secret()).filter(|secret| !secret.is_empty());
        let text = known.fold(text.to_owned(), |text, secret| text.replace(secret, "…"));
        shown(&text, self.token)
    }

    /// Type and message of an error as they may be shown, the message with the number that support asks for.
    pub(super) fn told(&self, said: &Said) -> (Option<String>, String) {
        let name = said.name.as_deref().filter(|name| {
            name.len() <= LONGEST_CODE && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        let message = said.message.as_deref().unwrap_or_default().trim();
        let mut message = self.cleaned(message);
        if let Some(uuid) = said.uuid.as_deref().filter(|uuid| !uuid.is_empty()) {
            let gap = if message.is_empty() { "" } else { " " };
            message = format!("{message}{gap}(uuid {})", self.cleaned(uuid));
        }
        (name.map(str::to_owned), message)
    }
}

/// The error of an answer outside 2xx.
pub(super) fn refusal(
    operation: &'static str,
    host: &str,
    answer: &Parts,
    body: &Bytes,
    now: Timestamp,
    secrets: &Secrets<'_>,
) -> Error {
    let mut message = format!("{host} answered {}", answer.status);
    let said = serde_json::from_slice::<Refusal>(body).ok().map(|refusal| secrets.told(&refusal.error));
    let (code, text) = match said {
        Some((code, text)) => (code, text),
        None if answer.status.is_redirection() => {
            (None, "redirects are not followed; is canvas.base_url right?".to_owned())
        }
        None if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() => {
            (None, "that is no JSON, so a proxy before canvas.base_url may have said it".to_owned())
        }
        None => (None, String::new()),
    };
    for part in [code.as_deref(), Some(text.as_str())].into_iter().flatten().filter(|part| !part.is_empty()) {
        message = format!("{message}: {part}");
    }
    let class = class(answer.status, code.as_deref());
    let mut error = Error::new(class, operation, message);
    error.status = Some(answer.status.as_u16());
    error.retry_after = retry_after(&answer.headers, now).or_else(|| {
        let is_closed = code.as_deref() == Some("AccountUnderMaintenance");
        let is_over = answer.status == StatusCode::TOO_MANY_REQUESTS;
        is_closed.then_some(MAINTENANCE).or(is_over.then_some(UNTOLD))
    });
    error.code = code;
    error
}

/// What it means for the caller. Maintenance passes, although its status says that it is forbidden.
fn class(status: StatusCode, code: Option<&str>) -> Class {
    match (status, code) {
        (_, Some("AccountUnderMaintenance"))
        | (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => Class::Throttled,
        (StatusCode::UNAUTHORIZED, _) => Class::Unauthorized,
        (StatusCode::FORBIDDEN, _) => Class::Forbidden,
        (StatusCode::NOT_FOUND, _) => Class::NotFound,
        (StatusCode::CONFLICT, _) => Class::Conflict,
        (StatusCode::REQUEST_TIMEOUT, _) => Class::Transient,
        (status, _) if status.is_server_error() => Class::Transient,
        _ => Class::Invalid,
    }
}

/// The error of a call that got no answer.
pub(super) fn no_answer(operation: &'static str, host: &str, cause: TransportError) -> Error {
    let message = format!("{host} does not answer: {}", cause.message);
    Error::new(Class::Transient, operation, message).caused_by(cause)
}

/// The error of a call that got none in time.
pub(super) fn late(operation: &'static str, host: &str, after: Duration) -> Error {
    Error::new(
        Class::Transient,
        operation,
        format!("{host} does not answer within {} s", after.as_secs_f64()),
    )
}

/// The error of a good answer that cannot be understood. A parser quotes what it stumbles over, so only where it
/// did is said.
pub(super) fn gibberish(operation: &'static str, host: &str, answer: &Parts, at: Option<&str>) -> Error {
    let message = if let Some(at) = at {
        format!("the answer of {host} cannot be understood at `{at}`")
    } else {
        let kind = answer.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = shown(kind.unwrap_or("of no type"), &SecretString::default());
        format!(
            "the answer of {host} is no JSON ({kind}): is canvas.base_url right, or is a proxy before it?"
        )
    };
    Error::new(Class::Invalid, operation, message)
}
