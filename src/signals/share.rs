//! What is told about packages and pushes.

use std::{error::Error, fmt::Display, net::SocketAddr};

use tracing::{info, warn};

use super::{chain, journal::note};

/// The API of sharing listens.
pub fn listens(address: SocketAddr, public_url: &dyn Display) {
    info!(code = "share.listens", %address, public_url = %public_url, "sharing is open");
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
