//! One error for all ports, classified once, where it enters the house.

use std::{io, time::Duration};

/// What Unix calls having no more descriptors, in all and in this process, and what Linux calls having no
/// buffers.
const NO_DESCRIPTORS: [i32; 2] = [23, 24];
const NO_BUFFERS: i32 = 105;

fn is_lack(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::OutOfMemory | io::ErrorKind::AddrNotAvailable)
        || error.raw_os_error().is_some_and(|code| NO_DESCRIPTORS.contains(&code) || code == NO_BUFFERS)
}

/// What an error means for the caller. One enum decides everything: retry, failure name, alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// 5xx, timeout, connection: may work when tried again.
    Transient,
    /// 429 or 503: the same, but slower.
    Throttled,
    /// 401: the credentials are stale.
    Unauthorized,
    /// Not there.
    NotFound,
    /// 403: not allowed.
    Forbidden,
    /// 409, or a condition that did not hold.
    Conflict,
    /// Our request is wrong, or the answer cannot be understood.
    Invalid,
}

impl Class {
    /// Whether trying again later can help.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Transient | Self::Throttled | Self::Unauthorized)
    }
}

/// The code of an error about a record that a newer version has written.
pub const NEWER_SCHEMA: &str = "NewerSchema";

/// What a port method failed with.
///
/// `Display` says what was tried and what was answered; it never holds tokens, presigned URLs or
/// bodies, so it may be logged and may reach a caller's `cause`.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct Error {
    /// What it means.
    pub class: Class,
    /// What was tried, e.g. `POST /api/projects/{projectId}/dataCopyBatch` or `PutItem`.
    pub operation: &'static str,
    /// What was answered, with status and code where there are any.
    pub message: String,
    /// HTTP status, where there is one.
    pub status: Option<u16>,
    /// The platform's own error code (ICAv2: `ICA_API_004`; AWS: the exception's name).
    pub code: Option<String>,
    /// How long the other side asks us to wait.
    pub retry_after: Option<Duration>,
    /// Whether the effect may have happened although no answer came.
    pub may_have_happened: bool,
    /// What lies beneath.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result of a port method.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of that class; the rest unknown.
    pub fn new(class: Class, operation: &'static str, message: impl Into<String>) -> Self {
        Self {
            class,
            operation,
            message: message.into(),
            status: None,
            code: None,
            retry_after: None,
            may_have_happened: false,
            source: None,
        }
    }

    /// The same, caused by `source`.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same, and the effect may have happened.
    #[must_use]
    pub fn ambiguous(mut self) -> Self {
        self.may_have_happened = true;
        self
    }

    /// Whether trying again later can help.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        self.class.is_passing()
    }

    /// Whether it is about a record of a newer version, which instances of that version go on with. For this one that
    /// is like an outage of that record.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        self.code.as_deref() == Some(NEWER_SCHEMA)
    }

    /// Whether it was this machine that lacked something: descriptors, memory, ports. Neither
    /// the other side nor what was moved is to blame then.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(is_lack) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_this_machine_is_found_below_whatever_wraps_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("wrapped")]
        struct Wrapped(#[source] io::Error);
        let error = |code| {
            let cause = Wrapped(io::Error::from_raw_os_error(code));
            Error::new(Class::Transient, "GET", "could not connect").caused_by(cause)
        };
        for (code, is_local) in
            [(24, true), (23, true), (12, true), (99, true), (105, true), (104, false), (111, false)]
        {
            assert_eq!(error(code).is_local(), is_local, "{code}");
        }
        assert!(!Error::new(Class::Transient, "GET", "no").is_local());
    }
}
