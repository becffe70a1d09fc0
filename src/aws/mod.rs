//! Adapters on AWS: DynamoDB, SQS, EventBridge, Step Functions, Secrets Manager and S3.
//!
//! The SDK tries each call three times within seconds (see [`clients`]); everything longer is the
//! engine's business. Errors are classified in one place ([`error`]).

pub mod bus;
pub mod callbacks;
pub mod clients;
mod error;
mod expressions;
pub mod external;
mod items;
pub mod objects;
pub mod queue;
#[cfg(test)]
mod scripted;
pub mod secret;
pub mod settings;
pub mod store;
mod transaction;
