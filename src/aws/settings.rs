//! What can be set about AWS (`[aws]`). Region, credentials and endpoints come from the standard
//! environment.

use serde::{Deserialize, Serialize};

use crate::domain::policy::Glob;

/// `[aws]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queue of copy requests and child events.
    pub copy_requests_queue_url: Option<String>,
    /// The queue of ICAv2 job events; none: jobs are polled only.
    pub ica_events_queue_url: Option<String>,
    /// The table.
    pub table_name: Option<String>,
    /// The bus that callers listen to.
    pub external_bus_name: String,
    /// The bus of child events.
    pub internal_bus_name: Option<String>,
    /// The `source` of our events.
    pub event_source: String,
    /// After how many receives the queues dead-letter a message; as in their redrive policies.
    pub max_receives: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            copy_requests_queue_url: None,
            ica_events_queue_url: None,
            table_name: None,
            external_bus_name: "OrcaBusMain".to_owned(),
            internal_bus_name: None,
            event_source: "copy-manager".to_owned(),
            max_receives: 10,
        }
    }
}

/// How S3 is used (`[s3]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// Whether what is written goes with a checksum, beside the MD5s that are compared.
    pub checksums: bool,
    /// Buckets whose calls this service pays for, where their owners want that.
    pub requester_pays: Vec<Glob>,
}

impl Default for S3 {
    fn default() -> Self {
        Self { checksums: true, requester_pays: Glob::try_from("*".to_owned()).into_iter().collect() }
    }
}
