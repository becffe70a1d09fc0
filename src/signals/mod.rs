//! What we tell: one function per thing worth telling writes the log line and the metric together.

pub mod process;
