//! What can be made to go wrong while the simulator runs (`POST /sim/faults`).

use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
    time::Duration,
};

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use super::s3::S3Rule;
use super::settings::Settings;
use crate::domain::duration_text;

/// Changes to the faults: only what is given changes. Durations are seconds or text like `2s`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultChanges {
    /// The share of copy jobs that fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_failure_rate: Option<f64>,
    /// Source paths; a copy job with one of them fails as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poison_paths: Option<HashSet<String>>,
    /// API calls a second before 429; null for no limit.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// From the last byte of a file to its AVAILABLE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_delay: Option<Delay>,
    /// From a deletion to the data being gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_delay: Option<Delay>,
    /// What shows in listings only some time after it was made, by the starts of paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_lag: Option<HashMap<String, Delay>>,
    /// Whether job events get lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_events: Option<bool>,
    /// Whether single-part files fail in a copy job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag_defect: Option<bool>,
    /// Whether a copy job may read from the project it writes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_project_copies: Option<bool>,
    /// What is told of data instead of what is, by path; replaces all of before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<HashMap<String, Told>>,
    /// What is told as the status of copy jobs, by their status; replaces all of before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_job_status: Option<HashMap<String, String>>,
    /// Answers given instead of the usual ones, each used up in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responses: Option<Vec<Script>>,
    /// What is done to calls of S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<Vec<S3Rule>>,
    /// By bucket: what no caller may do in it, by the names of IAM. Other buckets stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<HashMap<String, Vec<String>>>,
    /// By how many seconds the clock of S3 is ahead: it refuses what is signed by a clock 15 minutes off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_clock: Option<i32>,
    /// How long a restore takes; as long as AWS says where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_delay: Option<Delay>,
}

/// What is told of a file or folder instead of what is: any text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Told {
    /// As its `status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// As its `dataType`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_type: Option<String>,
    /// Whether it is told without its `path`.
    #[serde(default)]
    pub no_path: bool,
}

/// Keeps `null` apart from absent.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RateLimit>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        Number(u32),
        Text(String),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(RateLimit(None)),
        Some(Wire::Number(number)) => Ok(RateLimit(Some(number))),
        Some(Wire::Text(text)) => text.parse().map_err(serde::de::Error::custom),
    }
    .map(Some)
}

/// An answer given instead of the usual one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Which call, like `POST /api/projects/{projectId}/dataCopyBatch`; also
    /// `GET /sim/bytes/{token}` and `PUT /sim/bytes/{token}`.
    pub call: String,
    /// How many times.
    #[serde(default = "once")]
    pub times: u32,
    /// With what.
    pub status: Instead,
    /// Whether the call has its effect first.
    #[serde(default)]
    pub after: bool,
}

const fn once() -> u32 {
    1
}

/// What comes instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// A problem of that status.
    Status(StatusCode),
    /// The connection closes without an answer.
    Close,
    /// No answer ever comes.
    Hang,
    /// A status of success, and a body that no client can read.
    Gibberish,
}

impl<'de> Deserialize<'de> for Instead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Status(u16),
            Word(String),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Status(status) => StatusCode::from_u16(status).map(Self::Status).map_err(D::Error::custom),
            Wire::Word(word) if word == "close" => Ok(Self::Close),
            Wire::Word(word) if word == "hang" => Ok(Self::Hang),
            Wire::Word(word) if word == "gibberish" => Ok(Self::Gibberish),
            Wire::Word(word) => {
                let why = format!("`{word}` is neither a status nor `close`, `hang` or `gibberish`");
                Err(D::Error::custom(why))
            }
        }
    }
}

impl Serialize for Instead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Status(status) => serializer.serialize_u16(status.as_u16()),
            Self::Close => serializer.serialize_str("close"),
            Self::Hang => serializer.serialize_str("hang"),
            Self::Gibberish => serializer.serialize_str("gibberish"),
        }
    }
}

/// Seconds as a number, or text like `2s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delay(pub Duration);

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Seconds(f64),
            Text(String),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Seconds(seconds) => Duration::try_from_secs_f64(seconds).map_err(D::Error::custom),
            Wire::Text(text) => duration_text::parse(&text).map_err(D::Error::custom),
        }
        .map(Self)
    }
}

impl Serialize for Delay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

/// API calls a second, if there is a limit: a number, or text like `20/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RateLimit(pub Option<u32>);

impl FromStr for RateLimit {
    type Err = String;

    /// Reads text like `20/s`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix("/s").and_then(|number| number.trim().parse().ok());
        number.map(|number| Self(Some(number))).ok_or_else(|| format!("`{text}` is not a rate like `20/s`"))
    }
}

/// The faults in force.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    pub(super) job_failure_rate: f64,
    pub(super) poison_paths: HashSet<String>,
    pub(super) rate_limit: Option<u32>,
    pub(super) index_delay: Duration,
    pub(super) delete_delay: Duration,
    pub(super) list_lag: Vec<(String, Duration)>,
    pub(super) drop_events: bool,
    pub(super) tag_defect: bool,
    pub(super) same_project_copies: bool,
    pub(super) told_job_status: HashMap<String, String>,
    responses: Vec<Script>,
    pub(super) s3: Vec<S3Rule>,
    pub(super) deny: HashMap<String, Vec<String>>,
    pub(super) restore_delay: Option<Duration>,
    pub(super) s3_clock: i32,
}

impl Faults {
    /// What the settings say, and nothing scripted.
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            job_failure_rate: settings.job_failure_rate,
            poison_paths: HashSet::new(),
            rate_limit: settings.rate_limit,
            index_delay: settings.index_delay,
            delete_delay: settings.delete_delay,
            list_lag: Vec::new(),
            drop_events: false,
            tag_defect: settings.tag_defect,
            same_project_copies: settings.same_project_copies,
            told_job_status: HashMap::new(),
            responses: Vec::new(),
            s3: Vec::new(),
            deny: HashMap::new(),
            restore_delay: None,
            s3_clock: 0,
        }
    }

    /// Takes the changes over.
    pub(super) fn change(&mut self, changes: FaultChanges) {
        let FaultChanges {
            job_failure_rate,
            poison_paths,
            rate_limit,
            index_delay,
            delete_delay,
            list_lag,
            drop_events,
            tag_defect,
            same_project_copies,
            told: _,
            told_job_status,
            responses,
            s3,
            deny,
            restore_delay,
            s3_clock,
        } = changes;
        set(&mut self.job_failure_rate, job_failure_rate);
        set(&mut self.poison_paths, poison_paths);
        set(&mut self.rate_limit, rate_limit.map(|limit| limit.0));
        set(&mut self.index_delay, index_delay.map(|delay| delay.0));
        set(&mut self.delete_delay, delete_delay.map(|delay| delay.0));
        let lags = |lags: HashMap<String, Delay>| lags.into_iter().map(|(path, lag)| (path, lag.0)).collect();
        set(&mut self.list_lag, list_lag.map(lags));
        set(&mut self.drop_events, drop_events);
        set(&mut self.tag_defect, tag_defect);
        set(&mut self.same_project_copies, same_project_copies);
        set(&mut self.told_job_status, told_job_status);
        set(&mut self.responses, responses);
        set(&mut self.s3, s3);
        set(&mut self.s3_clock, s3_clock);
        self.deny.extend(deny.into_iter().flatten());
        self.restore_delay = restore_delay.map(|delay| delay.0).or(self.restore_delay);
    }

    /// When something must have been made to be seen in listings now, by the starts of paths.
    pub(super) fn unseen(&self, now: Timestamp) -> Vec<(String, Timestamp)> {
        let made = |lag| SignedDuration::try_from(lag).ok().and_then(|lag| now.checked_sub(lag).ok());
        let lags = self.list_lag.iter();
        lags.map(|(path, lag)| (path.clone(), made(*lag).unwrap_or(Timestamp::MIN))).collect()
    }

    /// Whether no caller may do that in the bucket.
    pub(super) fn denies(&self, bucket: &str, action: &str) -> bool {
        self.deny.get(bucket).is_some_and(|denied| denied.iter().any(|known| known == action))
    }

    /// What the call gets instead of its answer, and whether it has its effect first.
    pub(super) fn scripted(&mut self, call: &str) -> Option<(Instead, bool)> {
        let script = self.responses.iter_mut().find(|script| script.call == call && script.times > 0)?;
        script.times -= 1;
        Some((script.status, script.after))
    }
}

fn set<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_given_changes() {
        let settings = Settings { rate_limit: Some(5), ..Settings::default() };
        let mut faults = Faults::new(&settings);
        faults.change(serde_json::from_value(json!({"indexDelay": "2s", "dropEvents": true})).unwrap());
        assert_eq!((faults.rate_limit, faults.index_delay), (Some(5), Duration::from_secs(2)));
        faults.change(serde_json::from_value(json!({"rateLimit": null, "deleteDelay": 0.5})).unwrap());
        assert_eq!((faults.rate_limit, faults.delete_delay), (None, Duration::from_millis(500)));
        faults.change(serde_json::from_value(json!({"rateLimit": "20/s"})).unwrap());
        assert_eq!(faults.rate_limit, Some(20));
        assert!(serde_json::from_value::<FaultChanges>(json!({"rateLimit": "20"})).is_err());
        assert!(faults.drop_events);
        assert!(serde_json::from_value::<FaultChanges>(json!({"jobfailurerate": 1})).is_err());
    }

    #[test]
    fn scripts_are_used_up_in_order() {
        let mut faults = Faults::new(&Settings::default());
        let responses = json!({"responses": [
            {"call": "GET /api/jobs", "times": 2, "status": 503},
            {"call": "GET /api/jobs", "status": "close", "after": true},
        ]});
        faults.change(serde_json::from_value(responses).unwrap());
        assert_eq!(faults.scripted("GET /api/jobs/{jobId}"), None);
        let unavailable = Instead::Status(StatusCode::SERVICE_UNAVAILABLE);
        let given: Vec<_> = (0..4).map(|_| faults.scripted("GET /api/jobs")).collect();
        assert_eq!(
            given,
            [Some((unavailable, false)), Some((unavailable, false)), Some((Instead::Close, true)), None]
        );
    }
}
