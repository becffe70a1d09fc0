//! The tables of a simulated platform, as a file tells them: a history of commits each.
//!
//! ```json
//! {"tables": [{
//!   "namespace": "canvas", "name": "courses", "rowsPerPart": 1000, "twice": false,
//!   "key": {"id": {"type": "integer", "format": "int64"}},
//!   "schemas": [{"version": 1, "title": "Courses.", "required": [], "value": {"name": {"type": "string"}}}],
//!   "commits": [{"at": "2026-01-01T00:00:00Z", "version": 1, "changes": [
//!     {"key": {"id": 1}, "value": {"name": "Botany"}}, {"key": {"id": 2}, "value": null}
//!   ]}]
//! }]}
//! ```
//!
//! `key`, and `value` of a schema, are properties of JSON Schema; a change without a value is a deletion. What JSON
//! cannot say is an object with one property: `{"$number": "NaN"}` (or `Infinity`, `-Infinity`), and
//! `{"$base64": "…"}`, bytes that are written as they stand.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Named values.
pub type Fields = Map<String, Value>;

/// All tables of a simulated platform.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DapWorld {
    /// In the order in which they are listed.
    pub tables: Vec<WorldTable>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorldTable {
    /// As `canvas`.
    pub namespace: String,
    /// As `courses`.
    pub name: String,
    /// Properties of its key.
    pub key: Fields,
    /// What its rows look like, by version; any order.
    pub schemas: Vec<WorldSchema>,
    /// What happened to it, in the order of time.
    pub commits: Vec<WorldCommit>,
    /// The most rows of a file.
    #[serde(default = "many")]
    pub rows_per_part: usize,
    /// Whether every row of an answer comes twice, as those of `canvas_logs.web_logs` do.
    #[serde(default)]
    pub twice: bool,
}

const fn many() -> usize {
    100_000
}

/// A version of what rows look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorldSchema {
    /// Its number.
    pub version: i64,
    /// What the table is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What the table is, at length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Properties of a row besides its key.
    pub value: Fields,
    /// Those that must be there.
    #[serde(default)]
    pub required: Vec<String>,
}

/// Changes that happened at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorldCommit {
    /// When; rows carry it as it is written here.
    pub at: String,
    /// The schema that is in force from then on.
    pub version: i64,
    /// What happened.
    pub changes: Vec<WorldChange>,
}

/// A row that was put or deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorldChange {
    /// Which.
    pub key: Fields,
    /// The whole row; `None`: it was deleted.
    pub value: Option<Fields>,
}

/// Why a file is no world.
#[derive(Debug, thiserror::Error)]
pub enum DapWorldError {
    /// It is not written as one.
    #[error("{path}: {source}")]
    Unreadable {
        /// Where.
        path: String,
        /// What is wrong there.
        source: serde_json::Error,
    },
    /// It contradicts itself.
    #[error("table {namespace}.{table}: {why}")]
    Contradicts {
        /// Its namespace.
        namespace: String,
        /// Its name.
        table: String,
        /// How.
        why: String,
    },
}

impl DapWorld {
    /// Reads a world file.
    pub fn parse(text: &str) -> Result<Self, DapWorldError> {
        let mut json = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(&mut json).map_err(|error| DapWorldError::Unreadable {
            path: error.path().to_string(),
            source: error.into_inner(),
        })
    }

    /// Says what cannot be served.
    pub(super) fn check(&self) -> Result<(), DapWorldError> {
        for (number, table) in self.tables.iter().enumerate() {
            let twice = |other: &WorldTable| other.namespace == table.namespace && other.name == table.name;
            let doubled = self.tables.iter().take(number).any(twice).then(|| "is there twice".to_owned());
            if let Some(why) = doubled.or_else(|| table.wrong()) {
                let (namespace, table) = (table.namespace.clone(), table.name.clone());
                return Err(DapWorldError::Contradicts { namespace, table, why });
            }
        }
        Ok(())
    }
}

impl WorldTable {
    fn wrong(&self) -> Option<String> {
        if self.commits.is_empty() {
            return Some("has no commit; one without changes is enough".to_owned());
        }
        if self.rows_per_part == 0 {
            return Some("has files of no rows".to_owned());
        }
        let mut last = Timestamp::MIN;
        for commit in &self.commits {
            match commit.at.parse::<Timestamp>() {
                Err(_) => return Some(format!("`{}` is no time", commit.at)),
                Ok(at) if at < last => return Some(format!("the commit of {at} comes after that of {last}")),
                Ok(at) => last = at,
            }
            if !self.schemas.iter().any(|schema| schema.version == commit.version) {
                return Some(format!("has no schema of version {}", commit.version));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(change: impl Fn(&mut Value)) -> String {
        let mut world = json!({"tables": [{
            "namespace": "canvas", "name": "t", "key": {"id": {"type": "integer"}},
            "schemas": [{"version": 1, "value": {}}],
            "commits": [{"at": "2026-01-01T00:00:00Z", "version": 1, "changes": []}],
        }]});
        change(&mut world["tables"]);
        DapWorld::parse(&world.to_string()).and_then(|world| world.check()).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_served_is_said_with_its_table() {
        assert!(refusal(|tables| tables[0]["commits"] = json!([])).contains("canvas.t: has no commit"));
        assert!(refusal(|tables| tables[0]["commits"][0]["version"] = json!(2)).contains("version 2"));
        assert!(
            refusal(|tables| tables[0]["commits"][0]["at"] = json!("soon")).contains("`soon` is no time")
        );
        assert!(refusal(|tables| tables[0]["rowsPerPart"] = json!(0)).contains("files of no rows"));
        assert!(refusal(|tables| tables[0]["rows_per_part"] = json!(1)).starts_with("tables[0]"));
        let twice = |tables: &mut Value| {
            let first = tables[0].clone();
            tables.as_array_mut().unwrap().push(first);
        };
        assert!(refusal(twice).contains("is there twice"));
        let back = |tables: &mut Value| {
            let earlier = json!({"at": "2025-01-01T00:00:00Z", "version": 1, "changes": []});
            tables[0]["commits"].as_array_mut().unwrap().push(earlier);
        };
        assert!(refusal(back).contains("comes after that of 2026"));
    }
}
