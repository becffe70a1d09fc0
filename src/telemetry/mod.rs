//! Where log lines and metrics go. What they say is decided in [`crate::signals`].
//!
//! Every line passes [`redact`] on its way out: secrets are kept out of log lines by their types, and
//! this net catches what slips through in texts of others (an error that quotes a URL, say).

pub mod cloudwatch;
pub mod logs;
pub mod metrics;
pub mod redact;

pub use logs::{Dropped, Format, Levels, Logs, Output, Verbatim, Writing};
pub use metrics::Metrics;

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level filter cannot be understood.
    #[error("log filter `{filter}` is not valid")]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// It was set up before, in this process.
    #[error("telemetry is set up already")]
    Twice,
    /// The buckets of a histogram are not valid: a defect of ours.
    #[error("the histogram buckets are not valid")]
    Buckets(#[source] metrics_exporter_prometheus::BuildError),
}
