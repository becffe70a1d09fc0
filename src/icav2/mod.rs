//! The ICAv2 REST API: one adapter of [`crate::ports::platform::DataPlatform`] over a
//! [`transport::Transport`] seam.

pub mod transport;
