//! Scenarios: the whole daemon beside the simulated platform, in virtual time, without sockets.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

mod acceptance;
mod asking;
mod batch;
mod beats;
mod call_budget;
mod contents;
mod copies;
mod copy_out;
mod deliveries;
mod doubles;
mod ends;
mod faults;
mod fragile;
mod house;
mod impossible;
#[path = "../support/records.rs"]
mod kept;
mod lists;
mod newer;
mod operators;
mod others;
mod outward;
mod packages;
mod passing;
mod patience;
mod places;
mod plan;
mod receipts;
mod records;
mod refused;
#[cfg(feature = "canvas")]
mod replicas;
mod roots;
mod rules;
mod scheduler;
mod secrets;
mod seen;
mod sharing;
mod sharing_auto;
mod sharing_events;
mod sharing_ids;
mod sharing_links;
mod sharing_projects;
mod sharing_sums;
mod slices;
mod storms;
mod strangers;
mod sturdy;
mod table_budget;
mod tokens;
mod told;
mod trees;
mod walk;
mod whole;
#[path = "../support/wire.rs"]
mod wire;
