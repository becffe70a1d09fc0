//! What the platform says, as far as it is read. Fields that are not known are passed over.

use std::collections::HashMap;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value as Json;

use crate::ports::source;

/// The answer to a login.
#[derive(Deserialize)]
pub(super) struct Login {
    /// The token, a JWT.
    #[serde(deserialize_with = "secret")]
    pub(super) access_token: SecretString,
    /// Its life, in seconds.
    #[serde(default)]
    pub(super) expires_in: Option<f64>,
}

/// The tables of a namespace.
#[derive(Debug, Deserialize)]
pub(super) struct Tables {
    /// Their names.
    pub(super) tables: Vec<String>,
}

/// The schema of a table.
#[derive(Debug, Deserialize)]
pub(super) struct Schema {
    /// As JSON Schema.
    pub(super) schema: Json,
    /// Its number.
    pub(super) version: i64,
}

/// Addresses of files, by the files' names.
#[derive(Deserialize)]
pub(super) struct Urls {
    /// The addresses.
    pub(super) urls: HashMap<String, Resource>,
}

/// The address of a file.
#[derive(Deserialize)]
pub(super) struct Resource {
    /// It lets everyone read the file.
    #[serde(deserialize_with = "secret")]
    pub(super) url: SecretString,
}

/// An answer that is an error.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    /// What is said of it.
    pub(super) error: Said,
}

/// What is said of an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    /// Its type, as `NotFoundError`.
    #[serde(rename = "type")]
    pub(super) name: Option<String>,
    /// Its number at the service, for its support.
    pub(super) uuid: Option<String>,
    /// For people; may be empty.
    pub(super) message: Option<String>,
}

/// A job.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    id: String,
    status: Status,
    #[serde(default, deserialize_with = "time")]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    objects: Option<Vec<Object>>,
    #[serde(default)]
    schema_version: Option<i64>,
    #[serde(default, deserialize_with = "time")]
    at: Option<Timestamp>,
    #[serde(default, deserialize_with = "time")]
    until: Option<Timestamp>,
    /// What is said of its failure.
    #[serde(default)]
    pub(super) error: Option<Said>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Waiting,
    Running,
    Complete,
    Failed,
}

#[derive(Debug, Deserialize)]
struct Object {
    id: String,
}

impl Job {
    /// The job as the port has it; else what a complete one lacks. Its error is left to the caller, who cleans it.
    pub(super) fn told(self) -> Result<source::Job, &'static str> {
        let status = match self.status {
            Status::Waiting => source::JobStatus::Waiting,
            Status::Running => source::JobStatus::Running,
            Status::Complete => source::JobStatus::Complete,
            Status::Failed => source::JobStatus::Failed,
        };
        let data_of = self.at.or(self.until);
        let objects = self.objects.map(|objects| objects.into_iter().map(|object| object.id).collect());
        if status == source::JobStatus::Complete {
            let lacks = [
                (objects.is_none(), "objects"),
                (self.schema_version.is_none(), "schema_version"),
                (data_of.is_none(), "at or until"),
            ];
            if let Some((_, what)) = lacks.into_iter().find(|(lacks, _)| *lacks) {
                return Err(what);
            }
        }
        Ok(source::Job {
            id: self.id,
            status,
            expires_at: self.expires_at,
            objects: objects.unwrap_or_default(),
            schema_version: self.schema_version,
            data_of,
            error: None,
        })
    }
}

/// A time, with or without a fraction of seconds; one without a zone is UTC.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let zoned = text.parse::<Timestamp>().ok();
    let bare = || Some(text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    zoned.or_else(bare).map(Some).ok_or_else(|| de::Error::custom("no time"))
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}
