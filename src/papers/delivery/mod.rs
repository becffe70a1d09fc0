//! What goes with a delivery: lists of sums and a description beside its files, and the receipt and the log of a push.

pub mod log;
pub mod receipt;
pub mod ro_crate;
pub mod sums;
