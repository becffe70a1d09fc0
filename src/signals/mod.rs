//! What we tell: one function per thing worth telling, which writes the log line and the metric.

pub mod api;
pub mod engine;
