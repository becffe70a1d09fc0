//! What can be set about the HTTP side (`[admin]`). Keys and defaults are explained in
//! `config/default.toml`.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::domain::policy::Glob;

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Names by which it may be called, besides its address and `localhost`.
    pub hosts: Vec<Glob>,
    /// Connections that are open at a time.
    pub max_connections: usize,
    /// Topics of SNS whose messages are taken, by ARN.
    pub sns_topics: Vec<String>,
}
