//! The life of the process: who spawns, who stops it and in which order, and when it is ready; and its listeners.

pub mod os;
pub mod readiness;
pub mod server;
pub mod supervisor;

pub use readiness::{Condition, Latch, Readiness};
pub use supervisor::{Ended, OnError, Phases, Supervisor};
