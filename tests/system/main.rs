//! The built binary as real processes: daemons, killed and started again, on an AWS emulator with
//! the stack of `deploy/stateful.yaml`, and `copy-manager simulate` in the place of ICAv2.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "test helpers"
)]

mod acceptance;
mod account;
mod binary;
#[path = "../support/browser.rs"]
mod browser;
mod copy_out;
mod copying;
mod deployment;
mod embedded;
mod emulated;
#[path = "../support/emulator.rs"]
mod emulator;
mod endings;
mod facade;
mod gate;
mod heartbeats;
mod interruptions;
#[expect(dead_code, reason = "chaos needs what is not needed here")]
mod lab;
mod machine;
mod manifests;
mod outward;
mod page;
mod plan;
mod refusals;
mod refused_lists;
mod rights;
mod rules;
mod sharing;
mod shore;
mod table;
mod template;
mod token_file;
mod tutorials;
mod versions;
mod watch;
mod worlds;

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Waits until `look` finds something.
async fn within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}
