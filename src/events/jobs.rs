//! ICAv2 job events, in the three ways they are routed to us: the bare envelope that ICAv2 puts on
//! a queue, the EventBridge event that a pipe makes of it, and the list that a pipe gives a target.
//!
//! Only the event code and the job's id are required. A status is a hint that the platform is
//! asked about anyway, so an unknown one is no reason to lose the news.

use serde::Deserialize as _;
use serde_json::Value;

use crate::domain::{ids::JobId, job::JobStatus};

/// The code of the events that say that a job's status has changed.
const JOB_STATUS_CHANGED: &str = "ICA_JOB_001";
/// Job ids are UUIDs; what is longer than this is none.
const LONGEST_JOB_ID: usize = 128;

/// A job of which there is news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobNews {
    /// The job.
    pub job: JobId,
    /// What the event says its status is; `None` when it does not say, or says something new.
    pub status: Option<JobStatus>,
}

/// What one message brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobEvents {
    /// News of jobs, in the order of the message.
    pub jobs: Vec<JobNews>,
    /// Events of other codes or shapes: none of our business, only counted.
    pub others: u32,
}

/// Reads the body of a message from the job event queue; refuses only what is not JSON.
pub fn read_job_events(body: &str) -> Result<JobEvents, String> {
    let message: Value =
        serde_json::from_str(body).map_err(|error| format!("the message is not JSON: {error}"))?;
    let mut events = JobEvents::default();
    let items = match &message {
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    for item in items {
        match unwrap(item).as_ref().and_then(news) {
            Some(news) => events.jobs.push(news),
            None => events.others = events.others.saturating_add(1),
        }
    }
    Ok(events)
}

/// Takes the ICAv2 envelope out of what a pipe put around it.
fn unwrap(item: &Value) -> Option<Value> {
    let inner = item.pointer("/detail/ica-event").or_else(|| item.get("input")).unwrap_or(item);
    match inner {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    }
}

fn news(envelope: &Value) -> Option<JobNews> {
    envelope.get("eventCode").filter(|code| *code == JOB_STATUS_CHANGED)?;
    let payload = envelope.get("payload")?;
    let id = payload.get("id")?.as_str().filter(|id| (1..=LONGEST_JOB_ID).contains(&id.len()))?;
    let status = payload.get("status").and_then(|status| JobStatus::deserialize(status).ok());
    // One that we do not know may be an end.
    let status = status.filter(|status| *status != JobStatus::Unknown);
    Some(JobNews { job: JobId::new(id), status })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENVELOPE: &str = r#"{"eventCode":"ICA_JOB_001","payload":{"id":"j-1","status":"SUCCEEDED"}}"#;

    fn succeeded() -> JobNews {
        JobNews { job: JobId::new("j-1"), status: Some(JobStatus::Succeeded) }
    }

    #[test]
    fn three_ways_say_the_same() {
        let quoted = serde_json::to_string(ENVELOPE).unwrap();
        let ways = [
            ENVELOPE.to_owned(),
            format!(r#"{{"detail-type":"Event from aws:sqs","detail":{{"ica-event":{ENVELOPE}}}}}"#),
            format!(r#"[{{"input":{ENVELOPE}}}]"#),
            format!(r#"[{{"input":{quoted}}}]"#),
        ];
        for body in ways {
            let events = read_job_events(&body).unwrap();
            assert_eq!(events, JobEvents { jobs: vec![succeeded()], others: 0 }, "{body}");
        }
    }

    #[test]
    fn what_is_not_ours_is_counted() {
        let bodies = [
            r#"{"eventCode":"ICA_EXEC_028","payload":{"id":"x"}}"#,
            r#"{"gdsFolderPath":"/x","status":"New"}"#,
            r#"{"eventCode":"ICA_JOB_001","payload":{"id":7}}"#,
            r#"{"eventCode":"ICA_JOB_001","payload":{"id":""}}"#,
            r#"{"input":"not json"}"#,
            "null",
        ];
        for body in bodies {
            assert_eq!(read_job_events(body).unwrap(), JobEvents { jobs: vec![], others: 1 }, "{body}");
        }
        let mixed = format!(r#"[{{"input":{ENVELOPE}}},{{"input":{{}}}},7]"#);
        assert_eq!(read_job_events(&mixed).unwrap(), JobEvents { jobs: vec![succeeded()], others: 2 });
    }

    #[test]
    fn a_status_we_do_not_know_is_still_news() {
        for status in [r#""PAUSED""#, "7", "null", "{}"] {
            let body = format!(r#"{{"eventCode":"ICA_JOB_001","payload":{{"id":"j","status":{status}}}}}"#);
            let events = read_job_events(&body).unwrap();
            assert_eq!(events.jobs, [JobNews { job: JobId::new("j"), status: None }]);
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_events_or_a_refusal(body in ".*") {
            let is_json = serde_json::from_str::<Value>(&body).is_ok();
            prop_assert_eq!(read_job_events(&body).is_ok(), is_json);
        }
    }
}
