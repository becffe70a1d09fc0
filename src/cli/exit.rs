//! How a command ends: exit codes that scripts can rely on, and errors as data.

use std::{error::Error, process::ExitCode};

use serde_json::json;

use super::{Global, output};
use crate::{
    app::{Misconfigured, Unreachable},
    domain::outcome::ErrorName,
};

/// The codes, for `--help`.
pub(super) const CODES: &str = "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 refused, nothing was copied; \
    4 something stands where a file has to be, or a source is not ready; 5 a daemon or service could not be \
    reached, try again; 78 the configuration cannot be used, or the token or \
    role in it is refused; 124 --timeout is over; 130 interrupted.";

/// It was done, and has failed.
#[cfg(feature = "canvas")]
pub(super) const FAILED: u8 = 1;
/// As clap has it.
pub(super) const WRONG_USAGE: u8 = 2;
/// Refused before anything was copied.
pub(super) const REFUSED: u8 = 3;
/// Something stands in the way, or a source is not ready.
pub(super) const IN_THE_WAY: u8 = 4;
/// Nobody answers; it may be tried again.
const UNREACHABLE: u8 = 5;
/// `EX_CONFIG` of sysexits.
const CONFIGURATION: u8 = 78;
/// As `timeout` of coreutils has it.
const TIMED_OUT: u8 = 124;
/// As shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

/// Why a command ends without having done what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ended {
    /// The request will never be taken as it is.
    #[error("refused: {0}")]
    Refused(String),
    /// No answer, or one that says "later".
    #[error("{0}")]
    Unreachable(String),
    /// `--timeout` is over.
    #[error("not within {within}: the request goes on ({look})")]
    TimedOut {
        /// How long it was waited for.
        within: String,
        /// How to look at it.
        look: String,
    },
    /// Ctrl-C.
    #[error("interrupted: the request goes on ({look})")]
    Interrupted {
        /// How to look at it.
        look: String,
    },
}

impl Ended {
    const fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => REFUSED,
            Self::Unreachable(_) => UNREACHABLE,
            Self::TimedOut { .. } => TIMED_OUT,
            Self::Interrupted { .. } => INTERRUPTED,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "InvalidRequest",
            Self::Unreachable(_) => "Unreachable",
            Self::TimedOut { .. } => "TimedOut",
            Self::Interrupted { .. } => "Interrupted",
        }
    }

    const fn action(&self) -> &'static str {
        match self {
            Self::Refused(_) => ErrorName::InvalidRequest.advice(),
            Self::Unreachable(_) => {
                "see that it runs and that --server, --table or --endpoint leads to it, then try again"
            }
            Self::TimedOut { .. } | Self::Interrupted { .. } => "look at the request later",
        }
    }
}

/// The exit code of a request that failed.
pub(super) fn of_failure(error: &str) -> u8 {
    match ErrorName::ALL.into_iter().find(|name| name.as_str() == error) {
        Some(ErrorName::DestinationConflict | ErrorName::SourceNotReady) => IN_THE_WAY,
        Some(
            ErrorName::CopyJobFailed
            | ErrorName::TransferFailed
            | ErrorName::VerificationFailed
            | ErrorName::Stalled
            | ErrorName::Cancelled
            | ErrorName::Internal
            | ErrorName::CopyError
            | ErrorName::ReplicaError,
        )
        | None => 1,
        // Everything else is found out before anything is copied.
        Some(_) => REFUSED,
    }
}

/// Tells an error, as data where data is asked for; the exit code that goes with it.
pub(super) fn tell(error: &anyhow::Error, global: &Global) -> ExitCode {
    let ended = error.chain().find_map(|error| error.downcast_ref::<Ended>());
    let misconfigured = error.chain().any(<dyn Error>::is::<Misconfigured>);
    let unreachable = error.chain().any(<dyn Error>::is::<Unreachable>);
    let (code, name, action) = match ended {
        Some(ended) => (ended.code(), ended.name(), ended.action()),
        None if unreachable => (UNREACHABLE, "Unreachable", "see that it can be reached, then try again"),
        None if misconfigured => (CONFIGURATION, "Configuration", "correct the settings that are named"),
        None => (1, "Failed", ""),
    };
    if global.json {
        let error = json!({ "error": { "code": name, "message": format!("{error:#}"), "action": action } });
        if output::data(error).is_ok() {
            return ExitCode::from(code);
        }
    }
    output::talk(format_args!("error: {error:#}"));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_codes() {
        let code = |error: anyhow::Error| tell(&error.context("cannot be done"), &Global::default());
        let look = || "GET /v1/requests/1".to_owned();
        for (error, expected) in [
            (Misconfigured("no such key".into()).into(), 78),
            (anyhow::anyhow!("x"), 1),
            (Unreachable("x".into()).into(), 5),
            (Ended::Refused("x".into()).into(), 3),
            (Ended::Unreachable("x".into()).into(), 5),
            (Ended::TimedOut { within: "1s".into(), look: look() }.into(), 124),
            (Ended::Interrupted { look: look() }.into(), 130),
        ] {
            assert_eq!(code(error), ExitCode::from(expected), "{expected}");
        }
    }

    #[test]
    fn failures_have_the_code_of_what_has_happened() {
        for (name, code) in [
            ("InvalidRequest", 3),
            ("PolicyDenied", 3),
            ("SourceNotFound", 3),
            ("WrongRegionError", 3),
            ("SourceNotReady", 4),
            ("DestinationConflict", 4),
            ("CopyJobFailed", 1),
            ("Stalled", 1),
            ("of a newer version", 1),
        ] {
            assert_eq!(of_failure(name), code, "{name}");
        }
    }
}
