//! Adapters for one machine without AWS: a SQLite file for records and messages, an in-process bus,
//! and a webhook or the log for outcomes.
//!
//! The guarantees are those of the ports, so the engine cannot tell them from the adapters on AWS;
//! everything accepted survives a crash of the process. What they do not do: several processes on
//! one file.

pub mod bus;
pub mod callbacks;
mod commits;
pub mod database;
pub mod objects;
pub mod outcomes;
pub mod queue;
pub mod reports;
mod rows;
pub mod secrets;
pub mod settings;
pub mod sns;
pub mod store;
