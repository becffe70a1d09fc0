//! What we tell: one function per thing worth telling writes its log line and its metric together.

pub mod api;
