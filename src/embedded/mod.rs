//! (empty)

pub mod settings;
