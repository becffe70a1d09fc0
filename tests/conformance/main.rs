//! One suite per port, run against every adapter: the embedded ones here, those on AWS on an
//! emulator. What an emulator does not enforce or produce is in `src/aws/scripted.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "test helpers"
)]

mod bus;
mod callbacks;
#[expect(dead_code, reason = "the system tests need what is not needed here")]
#[path = "../support/emulator.rs"]
mod emulator;
mod queue;
mod records;
mod same_items;
mod store;

use std::{future::Future, sync::Arc, time::Duration};

use copy_manager::{
    embedded::database::Database,
    ports::{chance::Dice, clock::SystemClock},
};
use tokio::time::{Instant, sleep};

fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::new())
}

fn chance() -> Arc<Dice> {
    Arc::new(Dice::from_os())
}

/// A database in a file, which lives as long as the directory.
fn file() -> (tempfile::TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(&directory.path().join("test.sqlite")).unwrap();
    (directory, database)
}

/// Waits until `look` finds something.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}
