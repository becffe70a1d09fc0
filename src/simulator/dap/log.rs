//! The log of calls (`GET /_log`).

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// The most calls that are kept.
const KEPT: usize = 100_000;

/// A call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoggedCall {
    /// When, in seconds since 1970.
    pub at: f64,
    /// Of what: `login`, `list_tables`, `get_schema`, `create_job`, `get_job`, `object_url`, `get_object`.
    pub endpoint: &'static str,
    /// HTTP method.
    pub method: String,
    /// Path and query as they came.
    pub path: String,
    /// Some of its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body; empty of a login.
    pub body: String,
    /// What it was answered with; 0: the connection was closed; `None`: not answered yet.
    pub status: Option<u16>,
}

/// The last calls.
#[derive(Debug, Default)]
pub(super) struct Log {
    calls: VecDeque<LoggedCall>,
    /// How many were forgotten.
    gone: usize,
}

impl Log {
    /// Notes a call, whose number comes back.
    pub(super) fn begin(&mut self, call: LoggedCall) -> usize {
        if self.calls.len() == KEPT {
            self.calls.pop_front();
            self.gone += 1;
        }
        self.calls.push_back(call);
        self.gone + self.calls.len() - 1
    }

    pub(super) fn end(&mut self, number: usize, status: u16) {
        let call = number.checked_sub(self.gone).and_then(|place| self.calls.get_mut(place));
        if let Some(call) = call {
            call.status = Some(status);
        }
    }

    pub(super) fn all(&self) -> Vec<LoggedCall> {
        self.calls.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.gone += self.calls.len();
        self.calls.clear();
    }
}
