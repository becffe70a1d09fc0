//! Instructure's Data Access Platform (Query API): the adapter of [`crate::ports::source::Source`] over the
//! [`Transport`](crate::http::transport::Transport) seam.
//!
//! What is on the wire is from the public pages, from the service's official client (2.3.1), and from what was seen
//! of both. One login serves many calls, and one that was refused is not tried again for a minute. Each call takes a
//! place in the minute of its account, which all instances share. Credentials, tokens and addresses of files appear
//! in no message.

mod call;
mod client;
mod files;
mod gate;
mod login;
pub mod places;
mod refusal;
pub mod settings;
mod unpack;
mod wire;

#[cfg(test)]
mod tests;

pub use client::{Dap, Ways};
pub use settings::Settings;
