//! What is said, and how long it may get.

use super::*;

fn counted() -> Counters {
    Counters {
        files: 10,
        copied: 3,
        skipped: 4,
        skipped_by_size: 1,
        skipped_conflict: 2,
        renamed: 0,
        failed: 1,
        bytes: 99,
    }
}

fn outcome(jobs: usize, failure: Option<Failure>) -> Outcome {
    let job = |n| JobSummary { job_id: format!("job-{n}"), attempt: 1, status: "SUCCEEDED".into() };
    Outcome {
        failure,
        counters: counted(),
        jobs: (0..jobs).map(job).collect(),
        preview: None,
        ..Outcome::between(Timestamp::UNIX_EPOCH, "2026-01-02T03:04:05Z".parse().unwrap())
    }
}

fn report(outcome: &Outcome) -> Report<'_> {
    Report { request_id: "r-1", destination_uri: "icav2://p/in/", outcome }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_child_is_sent_by_its_id() {
    assert_eq!(child_event(&RequestId::new("child.1")), r#"{"requestId":"child.1"}"#);
}

#[test]
fn success_has_the_promised_shape() {
    let expected = json!({
        "requestId": "r-1",
        "status": "SUCCEEDED",
        "destinationUri": "icav2://p/in/",
        "files": {"copied": 3, "skipped": 4, "skippedBySize": 1, "skippedConflict": 2, "renamed": 0},
        "bytes": 99,
        "jobs": [{"jobId": "job-0", "attempts": 1, "status": "SUCCEEDED"}],
        "startedAt": "1970-01-01T00:00:00Z",
        "finishedAt": "2026-01-02T03:04:05Z",
    });
    assert_eq!(parsed(&success_output(&report(&outcome(1, None)))), expected);
}

#[test]
fn a_cause_names_the_files_and_what_to_do() {
    let culprit = Culprit { what: "/in/a.bam".into(), why: "gone".into() };
    let failure = Failure::new(ErrorName::SourceNotFound, "A source is missing").naming([culprit]);
    let cause = parsed(&failure_cause(&report(&outcome(0, Some(failure)))));
    assert_eq!(cause["error"], "SourceNotFound");
    assert_eq!(cause["message"], "A source is missing");
    assert_eq!(cause["action"], ErrorName::SourceNotFound.advice());
    assert_eq!(cause["files"], json!([{"what": "/in/a.bam", "why": "gone"}]));
    assert_eq!(cause["filesTotal"], 1);
    assert_eq!(cause["counters"]["failed"], 1);
    assert_eq!(cause.get("truncated"), None);
}

#[test]
fn what_is_too_long_loses_entries_and_says_so() {
    let long = Culprit { what: "\u{1}".repeat(5000), why: "ü".repeat(5000) };
    let failure = Failure::new(ErrorName::Internal, "x".repeat(100_000)).naming(vec![long; 60]);
    let ended = outcome(20_000, Some(failure));

    let output = success_output(&report(&ended));
    assert!(output.len() <= OUTPUT_LIMIT && output.len() > OUTPUT_LIMIT - 100, "{}", output.len());
    let output = parsed(&output);
    assert_eq!(output["truncated"], true);
    assert_eq!(output["jobs"].as_array().unwrap().last().unwrap()["jobId"], "job-19999");

    let cause = failure_cause(&report(&ended));
    assert!(cause.len() <= CAUSE_LIMIT, "{}", cause.len());
    let cause = parsed(&cause);
    assert_eq!((&cause["filesTotal"], &cause["truncated"]), (&json!(60), &json!(true)));
    assert!(!cause["files"].as_array().unwrap().is_empty());

    let change = StateChange {
        request_id: "r-1",
        kind: "copy",
        status: Status::Failed,
        destination_uri: "icav2://p/in/",
        counters: counted(),
        outcome: Some(&ended),
        waiting_for: None,
        at: Timestamp::UNIX_EPOCH,
    };
    assert!(state_change(&change).len() <= DETAIL_LIMIT);
}

#[test]
fn a_change_tells_progress_and_then_the_outcome() {
    let ended = outcome(1, None);
    let running = StateChange {
        request_id: "r-1",
        kind: "copy",
        status: Status::Running,
        destination_uri: "icav2://p/in/",
        counters: counted(),
        outcome: None,
        waiting_for: None,
        at: Timestamp::UNIX_EPOCH,
    };
    let told = parsed(&state_change(&running));
    assert_eq!((&told["status"], &told["kind"]), (&json!("RUNNING"), &json!("copy")));
    assert_eq!(told["counters"]["skippedBySize"], 1);
    assert_eq!(told.get("outcome"), None);

    let over = StateChange { status: Status::Succeeded, outcome: Some(&ended), ..running };
    let told = parsed(&state_change(&over));
    assert_eq!(told["outcome"], parsed(&success_output(&report(&ended))));
}
