//! Two real daemons that are killed, asked to stop and cut off from AWS and ICAv2, again and again,
//! while requests are under way. Nothing may be lost by it.
//!
//! A short run belongs to the tests; `make chaos` is the long one. The seed decides which faults come
//! and when; what the processes are doing at that moment, it cannot decide.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "test helpers"
)]

#[path = "../system/binary.rs"]
mod binary;
#[path = "../support/emulator.rs"]
#[expect(dead_code, reason = "the system tests need what is not needed here")]
mod emulator;
#[path = "../system/lab.rs"]
#[expect(dead_code, reason = "the system tests need what is not needed here")]
mod lab;
#[path = "../system/machine.rs"]
#[expect(dead_code, reason = "the system tests need what is not needed here")]
mod machine;
#[path = "../system/worlds.rs"]
#[expect(dead_code, reason = "the system tests need what is not needed here")]
mod worlds;

mod aftermath;
mod callers;
mod gossip;
mod hand_over;
mod proxy;
mod run;
mod shelves;
mod storm;
mod token;
mod traffic;

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
        sleep(Duration::from_millis(100)).await;
    }
}
