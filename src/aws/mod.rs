//! Adapters on AWS: DynamoDB, SQS, EventBridge, Step Functions, Secrets Manager, Systems Manager and S3.
//!
//! The SDK tries each call three times within seconds (see [`clients`]); everything longer is the
//! engine's business. Errors are classified in one place (`error`). A build without the feature `aws` has
//! the settings alone, so that it can read them and say what it lacks.

#[cfg(feature = "aws")]
pub mod bus;
#[cfg(feature = "aws")]
pub mod callbacks;
#[cfg(feature = "aws")]
pub mod clients;
#[cfg(feature = "aws")]
mod error;
#[cfg(feature = "aws")]
mod expressions;
#[cfg(feature = "aws")]
pub mod external;
#[cfg(feature = "aws")]
mod items;
#[cfg(feature = "aws")]
pub mod objects;
#[cfg(feature = "aws")]
pub mod parameters;
#[cfg(feature = "aws")]
pub mod queue;
#[cfg(test)]
#[cfg(feature = "aws")]
mod scripted;
#[cfg(feature = "aws")]
pub mod secret;
pub mod settings;
#[cfg(feature = "aws")]
pub mod store;
#[cfg(feature = "aws")]
pub mod topics;
#[cfg(feature = "aws")]
mod transaction;
