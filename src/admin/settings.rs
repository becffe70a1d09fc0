//! What can be set about the HTTP side (`[admin]`). Keys and defaults are explained in
//! `config/default.toml`.

use std::{net::SocketAddr, path::PathBuf};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use crate::domain::policy::Glob;

/// `[admin]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Names by which it may be called, besides its address and `localhost`.
    pub hosts: Vec<Glob>,
    /// Connections that are open at a time.
    pub max_connections: usize,
    /// What has to be shown for all but health and metrics.
    #[serde(default, deserialize_with = "secret")]
    pub token: Option<SecretString>,
    /// The file that holds it instead.
    pub token_file: Option<PathBuf>,
    /// Topics of SNS whose messages are taken, by ARN.
    pub sns_topics: Vec<String>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(SecretString::from))
}
