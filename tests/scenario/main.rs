//! Scenarios: the whole daemon beside the simulated platform, in virtual time, without sockets.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

mod copies;
mod doubles;
mod faults;
mod house;
mod rules;
mod scheduler;
mod tokens;
