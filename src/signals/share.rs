//! What is told about packages and pushes.

use std::{error::Error, fmt::Display, net::SocketAddr};

use tracing::{error, info, warn};

use super::{chain, journal::note};

/// The API of sharing listens.
pub fn listens(address: SocketAddr, public_url: &dyn Display) {
    info!(code = "share.listens", %address, public_url = %public_url, "sharing is open");
}

/// A call of the API of sharing came to nothing, and trying again will not help.
pub fn call_failed(why: &dyn Error) {
    error!(
        code = "share.call_failed",
        error = chain(why),
        next = "a call of the API of sharing was answered with 500",
        "a call of the API of sharing failed"
    );
}

/// Files of a package could not be looked at; they are looked at again.
pub fn look_waits(package: &str, why: &dyn Error) {
    note("package.look_failed", || chain(why));
    warn!(
        code = "package.look_failed",
        request_id = package,
        error = chain(why),
        next = "the files are looked at again",
        "files of a package cannot be looked at"
    );
}
