//! Copy Manager: copies genomics data between ICAv2 projects and S3 on request, keeps the callers'
//! task tokens alive meanwhile, verifies what arrived, and answers.
//!
//! The map of the house; who may import whom is in `tests/house/architecture.rs`.
//!
//! - [`domain`]: the words, and every decision that needs no effects
//! - [`events`]: wire formats in and out
//! - [`ports`]: what the engine needs from the world
//! - [`policy`]: how we try: retries, pace
//! - [`signals`]: what we tell: log lines and metrics
//! - [`engine`]: what we do
//! - [`http`]: the seam below our clients of HTTP, and the network behind it
//! - [`transfer`], [`icav2`]: bytes, and the ICAv2 REST API
//! - [`inventory`], [`orcabus`]: which files and libraries there are: tables, buckets, OrcaBus's services
//! - [`aws`], [`embedded`]: the two full sets of adapters
//! - `dap`: the platform that a replica's tables come from
//! - `postgres`: the replica of a source's tables in a database
//! - [`simulator`]: a stand-in for ICAv2
//! - [`papers`], [`share`]: what is read of packages, and the API of sharing
//! - [`admin`], [`runtime`], [`config`], [`telemetry`], [`cli`]: the process around it
//! - [`app`]: the composition root

pub mod admin;
pub mod announce;
pub mod app;
pub mod aws;
pub mod cli;
pub mod config;
#[cfg(feature = "canvas")]
pub mod dap;
pub mod domain;
pub mod embedded;
pub mod engine;
pub mod events;
pub mod http;
pub mod icav2;
pub mod inventory;
pub mod kinds;
pub mod orcabus;
pub mod papers;
pub mod planes;
pub mod policy;
pub mod ports;
#[cfg(feature = "canvas")]
pub mod postgres;
pub mod runtime;
pub mod share;
pub mod signals;
#[cfg(feature = "simulator")]
pub mod simulator;
pub mod slack;
pub mod telemetry;
pub mod transfer;
