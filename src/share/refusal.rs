//! What a caller is told that gets nothing.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::detail;
use crate::{events::share::Invalid, papers::script, ports, signals};

/// Why a call comes to nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// What it says contradicts itself.
    Bad(String),
    /// Its body cannot be read.
    Invalid(Vec<Invalid>),
    /// Its caller has not shown who it is.
    Unknown(String),
    /// It may not be done.
    Forbidden(String),
    /// There is no such thing.
    NotFound(String),
    /// Not as it stands.
    Conflict(String),
    /// It may be tried again.
    Unavailable(String),
    /// Too many calls come from there; when the next one may.
    TooMany(Duration),
    /// It is our fault, and the log tells more.
    Fault,
}

impl From<ports::Error> for Refusal {
    fn from(error: ports::Error) -> Self {
        if error.is_passing() {
            return Self::Unavailable(error.to_string());
        }
        // That is no fault of the caller, and its particulars are ours.
        signals::share::call_failed(&error);
        Self::Fault
    }
}

impl From<script::Refused> for Refusal {
    fn from(refused: script::Refused) -> Self {
        Self::Conflict(refused.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(why) => detail(StatusCode::BAD_REQUEST, &why),
            Self::Invalid(wrong) => {
                (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "detail": wrong }))).into_response()
            }
            Self::Unknown(why) => detail(StatusCode::UNAUTHORIZED, &why),
            Self::Forbidden(why) => detail(StatusCode::FORBIDDEN, &why),
            Self::NotFound(why) => detail(StatusCode::NOT_FOUND, &why),
            Self::Conflict(why) => detail(StatusCode::CONFLICT, &why),
            Self::Unavailable(why) => detail(StatusCode::SERVICE_UNAVAILABLE, &why),
            Self::TooMany(wait) => {
                let mut answer = detail(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                answer
            }
            Self::Fault => detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        }
    }
}
