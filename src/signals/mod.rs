//! What we tell: one function per thing worth telling writes the log line and the metric together.

pub mod api;
pub mod batch;
pub mod copy_out;
pub mod ends;
pub mod engine;
pub mod process;
pub mod queue;
pub mod slice;
pub mod timers;
