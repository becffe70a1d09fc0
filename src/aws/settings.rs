//! What can be set about the AWS mode (`[aws]`). Keys and defaults are explained in
//! `config/default.toml`.

use serde::{Deserialize, Serialize};

/// `[aws]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queue of copy requests and child events.
    pub copy_requests_queue_url: Option<String>,
    /// The queue of ICAv2 job events; none: jobs are only polled.
    pub ica_events_queue_url: Option<String>,
    /// The table.
    pub table_name: Option<String>,
    /// Everybody's bus.
    pub external_bus_name: String,
    /// Our own bus.
    pub internal_bus_name: Option<String>,
    /// `source` of our events.
    pub event_source: String,
    /// After how many receives a request goes to the dead letters.
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
            max_receives: 5,
        }
    }
}
