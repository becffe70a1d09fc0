//! Refusals, in the form the platform gives them: `application/problem+json`.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::tree::TreeError;

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    title: &'static str,
    detail: String,
    parameters: BTreeMap<&'static str, String>,
    pub(super) retry_after: Option<u32>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), parameters: BTreeMap::new(), retry_after: None }
    }

    /// Says which value it is about.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.parameters.insert(name, value.into());
        self
    }

    /// A request that is wrong in itself.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ICA_API_001", detail)
    }

    /// A value of the request that is wrong.
    pub(super) fn parameter(name: &'static str, value: &str, why: &str) -> Self {
        Self::invalid(format!("Invalid value for {name}: {why}")).with(name, value)
    }

    /// Nothing of that id.
    pub(super) fn not_found(name: &'static str, id: &str) -> Self {
        let detail = format!("No such data, project or job: {name} {id}");
        Self::new(StatusCode::NOT_FOUND, "ICA_API_002", detail).with(name, id)
    }

    /// No such address.
    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "ICA_API_000", "No such resource")
    }

    /// Something of that name is there, or in the way.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ICA_DATA_009", detail)
    }

    /// The Accept header asks for nothing that the call answers.
    pub(super) fn accept() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ICA_API_004", "Invalid Accept Header")
    }

    /// The call carries no credentials of a kind that it may be made with.
    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "ICA_SEC_001", "Missing or empty credentials")
    }

    /// Too many calls.
    pub(super) fn too_many() -> Self {
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "ICA_API_429", "Too many requests");
        problem.retry_after = Some(1);
        problem
    }

    /// A URL that no gateway takes.
    pub(super) fn too_long() -> Self {
        Self::new(StatusCode::URI_TOO_LONG, "ICA_API_414", "Request-URI Too Large")
    }

    /// As asked for in the faults.
    pub(super) fn scripted(status: StatusCode) -> Self {
        Self::new(status, "ICA_SIM_001", "This answer was asked for through /sim/faults")
    }

    /// The body.
    pub(super) fn json(&self, method: &str, now: Timestamp) -> Value {
        json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "parameters": self.parameters,
            "timestamp": format!("{now:.0}"),
            "method": method,
        })
    }
}

impl From<TreeError> for Problem {
    fn from(refused: TreeError) -> Self {
        match refused {
            TreeError::Exists(path) => {
                Self::conflict(format!("There is already data at {path}")).with("path", path)
            }
            TreeError::NoFolder(path) => {
                Self::conflict("Conflict while updating file/folder. Please try again later.")
                    .with("path", path)
            }
        }
    }
}
