//! The ICAv2 REST API: one adapter of [`crate::ports::platform::DataPlatform`] over a
//! [`Transport`](crate::http::transport::Transport) seam.
//!
//! Promises: every call is paced, carries the media types the API insists on, and fails with a
//! class; tokens and presigned URLs appear in no message. Names are compared here again, exactly,
//! because the API's own filters ignore case.

pub mod auth;
mod call;
pub mod client;
mod credentials;
mod entrance;
mod gathered;
mod linked;
pub mod notifications;
mod platform;
mod problem;
mod projects;
mod recent;
mod roots;
mod secret;
pub mod settings;
mod standing;
mod storage;
pub mod wire;

pub use settings::Settings;
