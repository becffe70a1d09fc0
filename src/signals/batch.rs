//! What is told about manifests.

use std::error::Error;

use tracing::warn;

use super::{chain, journal::note};

/// The receipt of a request could not be written.
pub fn receipt_failed(request: &str, why: &dyn Error) {
    note("request.receipt_not_written", || chain(why));
    warn!(
        code = "request.receipt_not_written",
        request_id = request,
        error = chain(why),
        "receipt not written"
    );
}

/// The whole output of a request could not be written.
pub fn report_failed(request: &str, why: &dyn Error) {
    note("request.report_not_written", || chain(why));
    warn!(
        code = "request.report_not_written",
        request_id = request,
        error = chain(why),
        "report not written"
    );
}
