//! Errors as RFC 9457 problem documents.

use axum::{
    Json,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};

use super::{ApiError, shapes::ProblemDocument};
use crate::ports;

/// The content type of a problem document.
pub(super) const PROBLEM: &str = "application/problem+json";

/// An error for the caller.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }
}

impl From<ports::Error> for Problem {
    fn from(error: ports::Error) -> Self {
        let status = if error.is_passing() {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        Self::new(status, error.to_string())
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = ProblemDocument {
            of_type: format!("/errors#{}", kind(self.status)),
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        (self.status, [(CONTENT_TYPE, PROBLEM)], Json(document)).into_response()
    }
}

/// What kind of problem a status stands for, as it is called in the page of errors.
pub(super) const fn kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 415 => "bad-request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not-found",
        405 => "method-not-allowed",
        409 => "conflict",
        413 => "payload-too-large",
        503 => "unavailable",
        _ => "internal",
    }
}

/// The kinds.
#[cfg(test)]
pub(super) const KINDS: [&str; 9] = [
    "bad-request",
    "unauthorized",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "conflict",
    "payload-too-large",
    "unavailable",
    "internal",
];
