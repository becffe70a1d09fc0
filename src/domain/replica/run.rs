//! How tables end, and what a run comes to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{counts::Counts, order::Mode};

/// Where a table stands. The words are those of the application that this replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableState {
    /// As listed; still so at the end: nothing was heard of it.
    NeedsSync,
    /// The replica does not know the table.
    NeedsInit,
    /// Anything else that is not well.
    Failed,
    /// Up to date, after a change of the schema.
    CompleteWithUpdate,
    /// Up to date.
    Complete,
}

impl TableState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeedsSync => "needs_sync",
            Self::NeedsInit => "needs_init",
            Self::Failed => "failed",
            Self::CompleteWithUpdate => "complete_with_update",
            Self::Complete => "complete",
        }
    }

    /// Whether the table is as it should be.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        matches!(self, Self::Complete | Self::CompleteWithUpdate)
    }
}

/// What an audit has found, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Audited {
    /// Rows that the replica lacks.
    pub missing: u64,
    /// Rows that the source has not.
    pub extra: u64,
    /// Rows that differ.
    pub different: u64,
    /// How many rows differ in a column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<(String, u64)>,
    /// The first keys, each with what is wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<(String, String)>,
    /// Whether it was mended.
    pub healed: bool,
}

/// How one table has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableResult {
    /// Its name, without its namespace.
    pub table: String,
    /// Where it stands.
    pub state: TableState,
    /// Why it is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The time that its data are of, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_of: Option<Timestamp>,
    /// What happened to its rows.
    #[serde(default)]
    pub counts: Counts,
    /// Whether it was loaded as a whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub initialised: bool,
    /// Views that were dropped and made again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remade: Vec<String>,
    /// What stays as it is although the source says otherwise; what was mended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Changes of the schema that wait for a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<String>,
    /// The statements that were made, or would be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
    /// What an audit has found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audited>,
}

impl TableResult {
    /// A table of which only its end is known.
    #[must_use]
    pub fn new(table: impl Into<String>, state: TableState) -> Self {
        Self {
            table: table.into(),
            state,
            error: None,
            data_of: None,
            counts: Counts::default(),
            initialised: false,
            remade: Vec::new(),
            notes: Vec::new(),
            held: Vec::new(),
            statements: Vec::new(),
            audit: None,
        }
    }

    /// A table that has failed.
    #[must_use]
    pub fn failed(table: impl Into<String>, why: impl Into<String>) -> Self {
        Self { error: Some(why.into()), ..Self::new(table, TableState::Failed) }
    }
}

/// What a run comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// The id of the run.
    pub run: String,
    /// Whose settings held.
    pub instance: String,
    /// The namespace.
    pub namespace: String,
    /// What was done.
    pub mode: Mode,
    /// Every table.
    pub tables: Vec<TableResult>,
    /// Tables whose data are older than they should be, with the time that they are of.
    pub stale: BTreeMap<String, Timestamp>,
    /// Why the tables could not be listed.
    pub error: Option<String>,
}

impl RunReport {
    /// The names of the tables in one of these states.
    pub fn names(&self, states: &[TableState]) -> Vec<&str> {
        let those = self.tables.iter().filter(|table| states.contains(&table.state));
        those.map(|table| table.table.as_str()).collect()
    }

    /// Whether a table is not as it should be.
    #[must_use]
    pub fn has_trouble(&self) -> bool {
        self.error.is_some() || self.tables.iter().any(|table| !table.state.is_complete())
    }

    /// Whether anything that people should know of has changed: a schema, a failure, what was held or found.
    #[must_use]
    pub fn has_change(&self) -> bool {
        let is_news = |table: &TableResult| {
            table.state != TableState::Complete
                || table.initialised
                || !table.statements.is_empty()
                || table.counts.rejected > 0
                || !table.held.is_empty()
                || table.audit.as_ref().is_some_and(|audit| audit.missing + audit.extra + audit.different > 0)
        };
        self.has_trouble() || !self.stale.is_empty() || self.tables.iter().any(is_news)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_has_changed_is_news_and_a_usual_run_is_none() {
        let has_change = |more: Value| {
            let mut table = json!({ "table": "users", "state": "complete", "counts": { "changed": 7 } });
            table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let report = RunReport {
                run: "run.1".to_owned(),
                instance: "main".to_owned(),
                namespace: "canvas".to_owned(),
                mode: Mode::Sync,
                tables: vec![serde_json::from_value(table).unwrap()],
                stale: BTreeMap::new(),
                error: None,
            };
            report.has_change()
        };
        assert!(!has_change(json!({})));
        for news in [
            json!({ "state": "complete_with_update" }),
            json!({ "state": "failed" }),
            json!({ "initialised": true }),
            json!({ "statements": ["ALTER TABLE canvas.users ADD COLUMN x text"] }),
            json!({ "counts": { "rejected": 1 } }),
            json!({ "held": ["drop users.x"] }),
        ] {
            assert!(has_change(news.clone()), "{news}");
        }
    }
}
