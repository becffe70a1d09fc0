//! Settings: the embedded default, a file and the environment, laid over each other and checked.
//!
//! `config/default.toml` is the reference: it names every setting. Sections that belong to a room
//! are read into that room's own type, so that no room imports this one. Whatever is wrong is told
//! at once, each problem with its key and its origin, and no secret is ever shown.

mod checks;
mod icav2;
mod layers;
mod more;
mod problems;

use std::path::Path;

use serde::Deserialize;

use self::layers::Layers;
pub use self::{
    icav2::Icav2,
    problems::{Origin, Problem, Problems},
};
use crate::{
    admin::settings as admin,
    aws::settings as aws,
    domain::{policy::Rules, replica::settings::CanvasSettings, share::settings::ShareSettings},
    embedded::settings as embedded,
    engine::settings::{self as engine, CopyOutSettings, CopySettings, HeartbeatSettings, ServiceSettings},
    transfer::settings::ReportSettings,
};

/// Every setting, with its meaning and its default.
pub const DEFAULT: &str = include_str!("../../config/default.toml");

const PREFIX: &str = "COPY_MANAGER__";
const FILE_VARIABLE: &str = "COPY_MANAGER_CONFIG";
/// What a file would say: to a container a text is sooner given than a file.
const TEXT_VARIABLE: &str = "COPY_MANAGER_SETTINGS";
/// What others call some of our settings.
const ALIASES: [(&str, &str); 7] = [
    ("ICAV2_BASE_URL", "icav2.base_url"),
    ("ICAV2_ACCESS_TOKEN", "icav2.access_token"),
    ("ICAV2_API_KEY", "icav2.api_key"),
    ("DAP_API_URL", "canvas.base_url"),
    ("DAP_CLIENT_ID", "canvas.client_id"),
    ("DAP_CLIENT_SECRET", "canvas.client_secret"),
    ("DAP_CONNECTION_STRING", "canvas.database_url"),
];

/// What is not shown.
const SECRETS: [&str; 9] = [
    "icav2.access_token",
    "icav2.api_key",
    "admin.token",
    "canvas.client_secret",
    "canvas.database_url",
    "canvas.hash_key",
    "canvas.more",
    // Slack's and others' addresses let whoever knows them write there.
    "canvas.notify",
    "canvas.notify_secret",
];

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where requests, records and answers live.
    pub backend: Backend,
    /// `[aws]`
    pub aws: aws::Settings,
    /// `[embedded]`
    pub embedded: embedded::Settings,
    /// `[icav2]`
    pub icav2: Icav2,
    /// `[copy]`
    pub copy: CopySettings,
    /// `[copy_out]`
    pub copy_out: CopyOutSettings,
    /// `[s3]`
    pub s3: aws::S3,
    /// `[report]`
    // Settings that are empty texts are not set, and so may a whole section be.
    #[serde(default)]
    pub report: ReportSettings,
    /// `[share]`
    pub share: ShareSettings,
    /// `[canvas]`
    pub canvas: CanvasSettings,
    /// What `canvas.more` says, each as `[canvas]`.
    #[serde(skip)]
    pub more: Vec<CanvasSettings>,
    /// `[policy]`
    pub policy: Rules,
    /// `[heartbeat]`
    pub heartbeat: HeartbeatSettings,
    /// `[service]`
    pub service: ServiceSettings,
    /// `[admin]`
    pub admin: admin::Settings,
    /// `[log]`
    pub log: Log,
    /// `[metrics]`
    pub metrics: MetricsSettings,
}

/// Which adapters are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// SQLite and HTTP.
    Embedded,
    /// AWS services.
    Aws,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The least important lines that are shown.
    pub level: Level,
    /// How lines are written.
    pub format: Format,
}

/// `[metrics]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsSettings {
    /// Whether those that alarms need go to standard output for CloudWatch, every minute.
    pub cloudwatch: bool,
    /// The namespace that they have there.
    pub namespace: String,
}

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// For people on a terminal, for machines elsewhere.
    Auto,
    /// For machines.
    Json,
    /// For people.
    Text,
}

impl Settings {
    /// The replicas that are kept: that of `[canvas]`, and further ones.
    pub fn replicas(&self) -> impl Iterator<Item = &CanvasSettings> {
        std::iter::once(&self.canvas).chain(&self.more).filter(|of| of.is_on())
    }

    /// What the engine needs of it.
    #[must_use]
    pub fn engine(&self) -> engine::Settings {
        engine::Settings {
            copy: self.copy.clone(),
            copy_out: self.copy_out.clone(),
            jobs: self.icav2.jobs(),
            policy: self.policy.clone(),
            heartbeat: self.heartbeat.clone(),
            service: self.service.clone(),
        }
    }
}

/// The environment, for [`load`]; what is not Unicode cannot be a setting of ours.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// A setting as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its full name.
    pub key: String,
    /// Its value as TOML; of a secret only whether there is one.
    pub value: String,
    /// Where that was said.
    pub origin: Origin,
}

/// Every setting as it would be used, in the order of their names.
pub fn show(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Shown>, Problems> {
    let (settings, layers, more) = lay(file, env);
    let mut shown = layers.shown(&SECRETS);
    shown.extend(more);
    let problems = layers.into_problems();
    if settings.is_some() && problems.is_empty() { Ok(shown) } else { Err(Problems(problems)) }
}

/// Reads the settings from all layers. `file` goes before the file that the environment names.
pub fn load(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, Problems> {
    let (settings, layers, _) = lay(file, env);
    let problems = layers.into_problems();
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(Problems(problems)),
    }
}

/// All layers over each other, and what they come to, as far as that can be read; and what further instances of
/// replicas say.
fn lay(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> (Option<Settings>, Layers, Vec<Shown>) {
    let env: std::collections::BTreeMap<String, String> = env.into_iter().collect();
    let mut layers = Layers::new(DEFAULT);
    match (file, env.get(FILE_VARIABLE).map(String::as_str)) {
        (Some(path), _) => layers.file(path),
        (None, None | Some("")) => {}
        (None, Some(path)) => layers.file(Path::new(path)),
    }
    if let Some(text) = env.get(TEXT_VARIABLE) {
        layers.text(text, &Origin::Env(TEXT_VARIABLE.to_owned()));
    }
    for (name, key) in ALIASES {
        if let Some(text) = env.get(name) {
            layers.variable(name, key, text.clone());
        }
    }
    for (name, text) in env {
        if let Some(key) = name.strip_prefix(PREFIX) {
            layers.variable(&name, &key.to_lowercase().replace("__", "."), text);
        }
    }

    let mut settings = layers.read::<Settings>();
    let mut shown = Vec::new();
    if let Some(settings) = &mut settings {
        shown = more::read(&mut layers, settings);
        checks::note(&mut layers, settings, |_| true);
    }
    (settings, layers, shown)
}

#[cfg(test)]
mod tests;
