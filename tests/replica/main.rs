//! The replica in a real PostgreSQL: what the port promises, tried on each one that is here.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "test helpers"
)]

#[path = "../support/postgres.rs"]
mod postgres;

mod agreement;
mod aside;
mod behind;
mod catalogue;
mod compare;
mod constraints;
mod dependents;
mod encryption;
mod endings;
mod evolve;
mod exchange;
mod expected;
mod history;
mod lines;
mod meta;
mod official;
#[cfg(feature = "simulator")]
mod oracle;
mod sessions;
mod snapshots;
mod syncs;
#[cfg(feature = "simulator")]
mod takeover;
mod treated;
mod world;
