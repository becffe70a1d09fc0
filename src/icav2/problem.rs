//! Answers that are not what we hoped for, classified once, where they enter the house.

use std::fmt::Display;

use bytes::Bytes;
use http::{StatusCode, response::Parts};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::call::Call;
use crate::{
    http::{
        answers::{retry_after, shown},
        transport::TransportError,
    },
    ports::{Class, Error},
};

/// `application/problem+json`, as far as we read it.
#[derive(Debug, Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
}

/// The error of an answer outside 2xx. `secret` is what we authenticated with: the server may quote it.
pub(super) fn refusal(
    call: &Call,
    answer: &Parts,
    body: &Bytes,
    now: Timestamp,
    secret: &SecretString,
) -> Error {
    let problem = serde_json::from_slice(body).unwrap_or(Problem { title: None, detail: None });
    let code = problem.title.map(|title| shown(&title, secret));
    let detail = problem.detail.map(|detail| shown(&detail, secret)).or_else(|| {
        let text = shown(&String::from_utf8_lossy(body), secret);
        (code.is_none() && !text.is_empty()).then_some(text)
    });
    let message = [Some(answer.status.to_string()), code.clone(), detail];
    let message = message.into_iter().flatten().collect::<Vec<_>>().join(": ");
    let mut error = Error::new(class(answer.status), call.operation, message);
    error.status = Some(answer.status.as_u16());
    error.code = code;
    error.retry_after = retry_after(&answer.headers, now);
    let in_doubt = answer.status.is_server_error() || answer.status == StatusCode::REQUEST_TIMEOUT;
    error.may_have_happened = call.has_effect() && in_doubt;
    error
}

/// The error of a call that got no answer.
pub(super) fn no_answer(call: &Call, cause: TransportError) -> Error {
    let mut error = Error::new(Class::Transient, call.operation, "no answer");
    error.may_have_happened = call.has_effect() && !cause.never_sent;
    error.caused_by(cause)
}

/// The error of a 2xx answer that cannot be understood.
pub(super) fn gibberish(call: &Call, cause: impl Display) -> Error {
    let class = if call.is_unrepeatable() { Class::Transient } else { Class::Invalid };
    // A parser quotes what it stumbles over.
    let cause = shown(&cause.to_string(), &SecretString::default());
    let message = format!("the answer cannot be understood: {cause}");
    let mut error = Error::new(class, call.operation, message);
    error.may_have_happened = call.has_effect();
    error
}

fn class(status: StatusCode) -> Class {
    match status {
        StatusCode::UNAUTHORIZED => Class::Unauthorized,
        StatusCode::FORBIDDEN => Class::Forbidden,
        StatusCode::NOT_FOUND => Class::NotFound,
        StatusCode::CONFLICT => Class::Conflict,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Class::Throttled,
        StatusCode::REQUEST_TIMEOUT => Class::Transient,
        status if status.is_server_error() => Class::Transient,
        _ => Class::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn refused(status: u16, headers: &[(&'static str, &str)], body: &str) -> Error {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let (parts, ()) = response.body(()).unwrap().into_parts();
        let call = Call::effect("POST /api/x", &[]);
        let now = "2015-10-21T07:27:30Z".parse().unwrap();
        refusal(&call, &parts, &Bytes::copy_from_slice(body.as_bytes()), now, &SecretString::from("s3cr3t"))
    }

    #[test]
    fn each_status_has_a_class() {
        for (status, class, in_doubt) in [
            (400, Class::Invalid, false),
            (401, Class::Unauthorized, false),
            (403, Class::Forbidden, false),
            (404, Class::NotFound, false),
            (408, Class::Transient, true),
            (409, Class::Conflict, false),
            (422, Class::Invalid, false),
            (429, Class::Throttled, false),
            (500, Class::Transient, true),
            (502, Class::Transient, true),
            (503, Class::Throttled, true),
            (302, Class::Invalid, false),
        ] {
            let error = refused(status, &[], "");
            assert_eq!((error.class, error.may_have_happened), (class, in_doubt), "{status}");
            assert_eq!(error.status, Some(status));
        }
    }

    #[test]
    fn a_problem_keeps_code_and_detail() {
        let body = r#"{"type":"about:blank","title":"ICA_API_004","status":400,"detail":"Invalid Accept Header","parameters":{},"id":"<1>"}"#;
        let error = refused(400, &[], body);
        assert_eq!(error.code.as_deref(), Some("ICA_API_004"));
        assert_eq!(error.to_string(), "POST /api/x: 400 Bad Request: ICA_API_004: Invalid Accept Header");
    }

    #[test]
    fn other_bodies_survive_in_short() {
        let page = format!("<html>\n<body>{}</body>", "bad gateway ".repeat(100));
        let message = refused(502, &[], &page).to_string();
        assert!(message.starts_with("POST /api/x: 502 Bad Gateway: <html> <body>bad gateway"), "{message}");
        assert!(message.chars().count() < 300, "{message}");
        assert_eq!(refused(404, &[], "").to_string(), "POST /api/x: 404 Not Found");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (text, wait) in [
            ("7", Some(7)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(30)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("soon", None),
        ] {
            let error = refused(429, &[("retry-after", text)], "");
            assert_eq!(error.retry_after.map(|wait| wait.as_secs()), wait, "{text}");
        }
    }

    #[test]
    fn what_is_secret_does_not_survive() {
        let body = r#"{"title":"s3cr3t","detail":"token s3cr3t of eyJhbGciOi.J9.x at https://host/key?X-Amz-Signature=abc or https://eyJhbGci?x."}"#;
        let error = refused(403, &[], body);
        let text = format!("{error} {error:?}");
        for secret in ["s3cr3t", "eyJ", "hbGci", "X-Amz"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("https://host/key…"), "{text}");
    }
}
