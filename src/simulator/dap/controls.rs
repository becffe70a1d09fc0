//! How the simulated platform behaves, and how that is changed while it runs (`POST /_control`).

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{refusal::Refusal, rules::Rule, world::Fields};

/// What a simulated platform is started with.
#[derive(Debug, Clone)]
pub struct DapSettings {
    /// Every id is drawn from it.
    pub seed: u64,
    /// Wall time at the start; it goes on with tokio's clock.
    pub epoch: Timestamp,
    /// What URLs of objects start with.
    pub public_url: String,
    /// What can be changed while it runs.
    pub controls: Controls,
}

/// 2026-01-01T00:00:00Z.
const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);

impl Default for DapSettings {
    fn default() -> Self {
        let public_url = "http://127.0.0.1:1235".to_owned();
        Self { seed: 1, epoch: EPOCH, public_url, controls: Controls::default() }
    }
}

/// What can be changed while it runs. [`Default`] is a fast platform without limits or faults, at the first commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Controls {
    /// Who may log in.
    pub client_id: String,
    /// With what.
    pub client_secret: String,
    /// How much of the histories has happened.
    pub commit: Commits,
    /// Seconds that a job takes: half of them `waiting`, half `running`; 0: it is complete at once.
    pub job_seconds: f64,
    /// Seconds that a job and its objects are kept after its end.
    pub job_lifetime: f64,
    /// Seconds that a token is good for.
    pub token_seconds: f64,
    /// Seconds that the URL of an object is good for.
    pub url_seconds: f64,
    /// Whether equal queries share a job.
    pub deduplicate: bool,
    /// Whether they do so also where something has been committed between them.
    pub outdated: bool,
    /// Whether they share one that has failed, too.
    pub keep_failed: bool,
    /// Increments since before that time are refused …
    pub oldest: Option<String>,
    /// … with this, or `OutOfRangeError`.
    pub oldest_error: String,
    /// Calls a minute by endpoint, as `create_job`; `"published"` stands for the published ones.
    pub limits: Option<BTreeMap<String, usize>>,
    /// Seconds of a minute of the limits.
    pub minute_seconds: f64,
    /// Members of gzip that a file is made of.
    pub gzip_members: usize,
    /// What goes wrong.
    pub rules: Vec<Rule>,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            client_id: "us-east-1#simulator".to_owned(),
            client_secret: "simulator-secret".to_owned(),
            commit: Commits::All(0),
            job_seconds: 0.0,
            job_lifetime: 86_400.0,
            token_seconds: 3600.0,
            url_seconds: 900.0,
            deduplicate: true,
            outdated: false,
            keep_failed: true,
            oldest: None,
            oldest_error: "SnapshotRequiredError".to_owned(),
            limits: None,
            minute_seconds: 60.0,
            gzip_members: 1,
            rules: Vec::new(),
        }
    }
}

/// How much of the histories has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Commits {
    /// All up to that number, from 0; data are of the second after the last.
    All(usize),
    /// The same by table, as `canvas.courses`; 0 for others.
    ByTable(HashMap<String, usize>),
    /// Those whose time has come; data are of now.
    Clock(Clock),
}

/// The word for [`Commits::Clock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// `clock`.
    Clock,
}

/// Calls a minute that are published.
const PUBLISHED: [(&str, usize); 5] =
    [("create_job", 5), ("get_job", 500), ("list_tables", 5), ("get_schema", 500), ("object_url", 200)];

impl Controls {
    /// With what is wished changed; the rest stays.
    pub(super) fn changed(&self, wishes: Fields) -> Result<Self, Refusal> {
        let wrong = |error: &serde_json::Error| Refusal::invalid(&error.to_string());
        let Value::Object(mut all) = serde_json::to_value(self).map_err(|error| wrong(&error))? else {
            return Ok(self.clone());
        };
        let mut unknown: Vec<_> = wishes.keys().filter(|name| !all.contains_key(*name)).collect();
        unknown.sort();
        if !unknown.is_empty() {
            let names: Vec<_> = unknown.iter().map(|name| format!("'{name}'")).collect();
            return Err(Refusal::invalid(&format!("unknown settings: [{}]", names.join(", "))));
        }
        for (name, value) in wishes {
            let published = name == "limits" && value == "published";
            let published = published.then(|| PUBLISHED.iter().map(|(name, n)| (*name, *n)).collect());
            let value = published.map_or(value, |limits: BTreeMap<_, _>| serde_json::json!(limits));
            all.insert(name, value);
        }
        serde_path_to_error::deserialize(Value::Object(all))
            .map_err(|error| Refusal::invalid(&error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(wishes: &Value) -> Result<Controls, String> {
        let wishes = wishes.as_object().unwrap().clone();
        Controls::default().changed(wishes).map_err(|refusal| refusal.message)
    }

    #[test]
    fn only_what_is_given_changes() {
        let controls = changed(&json!({"job_seconds": 3, "commit": {"canvas.t": 2}})).unwrap();
        assert_eq!(controls.commit, Commits::ByTable([("canvas.t".to_owned(), 2)].into()));
        assert_eq!(
            controls,
            Controls { job_seconds: 3.0, commit: controls.commit.clone(), ..Controls::default() }
        );
        let controls = changed(&json!({"limits": "published", "commit": "clock"})).unwrap();
        assert_eq!(controls.limits.unwrap()["create_job"], 5);
        assert_eq!(controls.commit, Commits::Clock(Clock::Clock));
    }

    #[test]
    fn unknown_settings_are_named() {
        assert_eq!(changed(&json!({"b": 1, "a": 2})).unwrap_err(), "unknown settings: ['a', 'b']");
        assert!(changed(&json!({"job_seconds": "long"})).unwrap_err().starts_with("job_seconds"));
        assert!(changed(&json!({"rules": [{"match": "*", "statuz": 1}]})).unwrap_err().contains("statuz"));
    }
}
