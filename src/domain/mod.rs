//! The words of the house and the decisions that need no effects.
//!
//! Everything here is pure: no clock, no randomness, no I/O. Other rooms bring facts in and carry
//! decisions out.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod batch;
pub mod bucket;
pub mod copy_out;
pub mod diff;
pub mod duration_text;
pub mod error_name;
pub mod file;
pub mod hosts;
pub mod ids;
pub mod instruction;
pub mod job;
pub mod journal;
pub mod jwt;
pub mod location;
pub mod outcome;
pub mod policy;
pub mod preview;
pub mod receipt;
pub mod recurrence;
pub mod renaming;
pub mod replica;
pub mod request;
pub mod route;
pub mod seen;
pub mod share;
pub mod token;
