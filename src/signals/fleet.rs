//! What is told of the instances that share a table.

use std::{error::Error, fmt::Display};

use metrics::{counter, gauge};
use tracing::{info, warn};

use super::chain;

/// Metrics of the fleet: name and meaning.
pub const METRICS: &[(&str, &str)] = &[
    ("copy_manager_instances", "Instances on the table that are alive, this one among them"),
    (
        "copy_manager_newer_records_total",
        "Records of a newer schema than this instance reads, which it leaves to newer instances",
    ),
];

/// So many instances share the paces of ICAv2 and of Step Functions from now on.
pub fn counted(instances: u32) {
    gauge!("copy_manager_instances").set(instances);
    info!(code = "fleet.counted", instances, "pace shared");
}

/// How many instances there are could not be found out; the pace stays as it is.
pub fn not_counted(error: &dyn Error) {
    warn!(code = "fleet.not_counted", error = chain(error), "instances not counted");
}

/// A record is of a newer schema than this instance reads, and it is left alone. Told once for each record.
pub fn newer_record(key: &dyn Display, schema: i64, reads: i64) {
    counter!("copy_manager_newer_records_total").increment(1);
    warn!(code = "record.newer", record = %key, schema, reads, "record of a newer version left alone");
}
