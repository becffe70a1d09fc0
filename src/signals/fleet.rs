//! What is told of the instances that share a table.

use std::error::Error;

use metrics::gauge;
use tracing::{info, warn};

use super::chain;

/// Metrics of the fleet: name and meaning.
pub const METRICS: &[(&str, &str)] =
    &[("copy_manager_instances", "Instances on the table that are alive, this one among them")];

/// So many instances share the paces of ICAv2 and of Step Functions from now on.
pub fn counted(instances: u32) {
    gauge!("copy_manager_instances").set(instances);
    info!(code = "fleet.counted", instances, "pace shared");
}

/// How many instances there are could not be found out; the pace stays as it is.
pub fn not_counted(error: &dyn Error) {
    warn!(code = "fleet.not_counted", error = chain(error), "instances not counted");
}
