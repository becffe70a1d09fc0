//! Schemas, fixtures and code say the same about every wire format.
//!
//! `tests/fixtures/events/{format}/`: what is in `good` is taken by both, what is in `bad` is
//! refused by both, and `bad-in-code` holds what only the code can refuse.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers")]

use std::{fs, path::PathBuf};

use copy_manager::{
    domain::{
        batch::{Deliveries, Delivery, Undelivered},
        ids::RequestId,
        outcome::{Counters, Culprit, ErrorName, Failure, JobSummary, Outcome},
        preview::{Conflict, Preview, PreviewFile, PreviewTotals},
        request::{Kind, OnConflict},
        route::Route,
    },
    events::{
        CHILD_REQUEST, COPY_REQUEST,
        intake::{Incoming, Refusal, read_request},
        jobs::read_job_events,
        outgoing::{Report, StateChange, Status, child_event, failure_cause, state_change, success_output},
        schemas::{names, schema},
    },
};
use jiff::Timestamp;
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

const DESTINATION: &str = "icav2://cohort-a/incoming/241120/";

/// Name and text of each fixture of a group; none when the format has no such group.
fn fixtures(format: &str, group: &str) -> Vec<(String, String)> {
    let folder: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/events", format, group].iter().collect();
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect()
}

fn validator(format: &str) -> Validator {
    let schema = schema(format).unwrap_or_else(|| panic!("no schema `{format}`"));
    assert!(jsonschema::meta::is_valid(&schema), "{format}");
    jsonschema::validator_for(&schema).unwrap()
}

fn complaints(validator: &Validator, text: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(text).unwrap();
    validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Whether the code takes a message of that format; formats that only go out have no such code.
fn taken(format: &str, text: &str) -> Option<bool> {
    match format {
        "copy-request" | "batch-request" | "copy-out-request" => {
            Some(matches!(read_request(text), Ok(Incoming::Request(_))))
        }
        "child-request" => {
            let detail: Value = serde_json::from_str(text).unwrap();
            let event = json!({"detail-type": CHILD_REQUEST, "source": "us", "detail": detail});
            Some(matches!(read_request(&event.to_string()), Ok(Incoming::Child(_))))
        }
        "ica-job-event" => {
            let events = read_job_events(text).unwrap();
            Some(!events.jobs.is_empty() && events.others == 0)
        }
        _ => None,
    }
}

#[test]
fn schema_and_code_agree_on_every_fixture() {
    for format in names() {
        let validator = validator(format);
        let good = fixtures(format, "good");
        let bad = fixtures(format, "bad");
        assert!(!good.is_empty() && !bad.is_empty(), "{format} has no fixtures");
        for (name, text) in good {
            assert_eq!(complaints(&validator, &text), Vec::<String>::new(), "{name}");
            assert_ne!(taken(format, &text), Some(false), "{name}: refused by the code");
        }
        for (name, text) in bad {
            assert_ne!(complaints(&validator, &text), Vec::<String>::new(), "{name}: taken by the schema");
            assert_ne!(taken(format, &text), Some(true), "{name}: taken by the code");
        }
        for (name, text) in fixtures(format, "bad-in-code") {
            assert_eq!(complaints(&validator, &text), Vec::<String>::new(), "{name}: belongs to `bad`");
            assert_eq!(taken(format, &text), Some(false), "{name}: taken by the code");
        }
    }
}

#[test]
fn a_malformed_request_keeps_its_token() {
    let malformed = ["copy-request", "batch-request"]
        .map(|format| ["bad", "bad-in-code"].map(|group| fixtures(format, group)).concat())
        .concat();
    for (name, text) in malformed {
        let Err(Refusal::Malformed { token, reason, .. }) = read_request(&text) else {
            panic!("{name}: not malformed")
        };
        let usable = text.contains("\"taskToken\": \"AAAA");
        assert_eq!(token.is_some(), usable, "{name}: {reason}");
        assert!(!reason.contains("AAAA") && reason.len() < 300, "{name}: {reason}");
    }
}

/// Puts a value at a place of a message, or removes what is there.
fn mutate(message: &mut Value, place: &str, value: Option<&Value>) {
    let (parent, name) = place.rsplit_once('/').unwrap();
    match (message.pointer_mut(parent), value) {
        (Some(Value::Object(fields)), Some(value)) => {
            fields.insert(name.to_owned(), value.clone());
        }
        (Some(Value::Object(fields)), None) => {
            fields.remove(name);
        }
        (Some(Value::Array(items)), Some(value)) => {
            items.push(value.clone());
        }
        _ => {}
    }
}

#[test]
fn schema_and_code_agree_on_whatever_may_be_wrong_in_two_places() {
    const PLACES: [&str; 21] = [
        "/detail-type",
        "/source",
        "/id",
        "/detail",
        "/detail/taskToken",
        "/detail/requestId",
        "/detail/payload",
        "/detail/payload/taskToken",
        "/detail/payload/sourceUriList",
        "/detail/payload/sourceUriList/0",
        "/detail/payload/destinationUri",
        "/detail/payload/externalSourceUriList",
        "/detail/payload/renamingMapList",
        "/detail/payload/renamingMapList/0",
        "/detail/payload/renamingMapList/0/sourceUri",
        "/detail/payload/renamingMapList/0/dataId",
        "/detail/payload/renamingMapList/0/outputFileName",
        "/detail/payload/onConflict",
        "/detail/payload/dryRun",
        "/detail/payloadB64Gz",
        "/detail/payloadS3Uri",
    ];
    let payload = json!({
        "sourceUriList": ["icav2://p/a"],
        "destinationUri": "s3://bkt/in/",
        "renamingMapList": [{"sourceUri": "icav2://p/a", "outputFileName": "b"}],
    });
    let message = json!({
        "detail-type": COPY_REQUEST, "source": "lab", "id": "e", "detail": {"payload": payload, "taskToken": "t"}
    });
    let values = [
        Value::Null,
        json!(7),
        json!(""),
        json!("icav2://p/f"),
        json!("s3://bkt/"),
        json!("s3://bkt/k"),
        json!("skip"),
        json!("fil.1"),
        json!(true),
        json!("x".repeat(129)),
        json!("x".repeat(2049)),
        json!([]),
        json!(["s3://bkt"]),
        json!({}),
        payload,
    ];
    let values: Vec<_> = values.iter().map(Some).chain([None]).collect();
    let wrongs = PLACES.iter().map(|place| values.iter().map(move |value| (*place, *value)));
    let wrongs: Vec<_> = wrongs.flatten().collect();
    let schema = validator("copy-request");
    // What is around a place is listed before it: the other order would only undo the first wrong.
    for (n, first) in wrongs.iter().enumerate() {
        for second in wrongs.iter().skip(n) {
            let mut message = message.clone();
            for (place, value) in [first, second] {
                mutate(&mut message, place, *value);
            }
            let text = message.to_string();
            match (read_request(&text), schema.is_valid(&message)) {
                (Ok(Incoming::Request(_)), true) | (Err(_), false) => {}
                // JSON in a text is beyond the schema.
                (Err(refusal), true) => {
                    assert!(
                        refusal.to_string().contains("`detail` is not a JSON object"),
                        "{refusal}: {text}"
                    );
                }
                (Ok(_), _) => panic!("taken by the code only: {text}"),
            }
        }
    }
}

#[test]
fn every_fixture_belongs_to_a_known_format() {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/events"].iter().collect();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(schema(&name).is_some(), "no schema `{name}`");
    }
    assert!(schema("teleport").is_none());
}

#[test]
fn every_name_a_caller_can_meet_is_in_the_schema() {
    let outcome = schema("outcome").unwrap();
    let errors = &outcome["$defs"]["failure"]["properties"]["error"]["enum"];
    assert_eq!(*errors, json!(ErrorName::ALL.map(ErrorName::as_str)));
    let change = schema("state-change").unwrap();
    let kinds = &change["properties"]["kind"]["enum"];
    assert_eq!(*kinds, json!(Kind::ALL.map(Kind::as_str)));
}

fn counters() -> Counters {
    Counters {
        files: 12,
        copied: 9,
        skipped: 2,
        skipped_by_size: 1,
        skipped_conflict: 0,
        renamed: 0,
        failed: 1,
        bytes: 123_456_789,
    }
}

fn ended(failure: Option<Failure>) -> Outcome {
    let job = JobSummary {
        job_id: "0c0ffee0-0000-4000-8000-00000000beef".into(),
        attempt: 2,
        status: "PARTIALLY_SUCCEEDED".into(),
    };
    Outcome {
        failure,
        counters: counters(),
        jobs: vec![job],
        preview: None,
        ..Outcome::between(
            "2026-02-03T04:05:06Z".parse().unwrap(),
            "2026-02-03T05:06:07.250Z".parse().unwrap(),
        )
    }
}

/// How a manifest ended, with its second piece failed or not.
fn delivered(failure: Option<Failure>) -> Outcome {
    let sources =
        |names: &[&str]| names.iter().map(|name| format!("icav2://sequencing/run/{name}")).collect();
    let failed = failure.is_some();
    let undelivered =
        Undelivered { error: ErrorName::CopyJobFailed, why: "1 of 12 files did not arrive".into() };
    let pieces = vec![
        Delivery {
            destination: "icav2://cohort-a/incoming/".into(),
            sources: sources(&["a.bam", "b.bam"]),
            job_id: Some("0c0ffee0-0000-4000-8000-00000000beef".into()),
            failed_jobs: vec!["0bad0bad-0000-4000-8000-00000000beef".into()],
            attempt: 2,
            failure: None,
        },
        Delivery {
            destination: "icav2://cohort-b/incoming/".into(),
            sources: sources(&["c.txt"]),
            job_id: failed.then(|| "0bad0bad-0000-4000-8000-00000000beef".into()),
            failed_jobs: Vec::new(),
            attempt: 1,
            failure: failed.then_some(undelivered),
        },
    ];
    Outcome { deliveries: Some(Box::new(Deliveries { pieces, ..Deliveries::default() })), ..ended(failure) }
}

fn report(outcome: &Outcome) -> Report<'_> {
    Report { request_id: "run-17", destination_uri: DESTINATION, outcome }
}

fn change(status: Status, outcome: Option<&Outcome>) -> StateChange<'_> {
    StateChange {
        request_id: "run-17",
        kind: "copy",
        status,
        destination_uri: DESTINATION,
        counters: if status == Status::Received { Counters::default() } else { counters() },
        outcome,
        waiting_for: None,
        at: "2026-02-03T04:30:00Z".parse().unwrap(),
    }
}

fn previewed() -> Preview {
    let brought = PreviewFile {
        source: "icav2://lab/run/a.bam".into(),
        destination: "icav2://archive/in/run/a.bam".into(),
        route: Some(Route::Job),
        reason: "was uploaded in parts".into(),
        size: 9_000,
        conflict: None,
        there: None,
    };
    let blocked = PreviewFile {
        source: "icav2://lab/run/b.bam".into(),
        destination: "icav2://archive/in/run/b.bam".into(),
        route: None,
        reason: "cannot be brought".into(),
        size: 8_000,
        conflict: Some(Conflict { there: "a folder of that name is there".into(), then: OnConflict::Fail }),
        there: None,
    };
    let totals = PreviewTotals {
        files: 3,
        by_route: [("job".to_owned(), 1)].into(),
        bytes: 9_000,
        jobs: 1,
        new_folders: 0,
        api_calls: 8,
        skipped: 1,
        in_flight: 0,
        conflicts: 1,
        failing: 1,
        unready: 0,
    };
    Preview { files: vec![blocked, brought], totals }
}

#[test]
fn what_goes_out_is_what_the_fixtures_show() {
    let culprit = Culprit { what: "/incoming/241120/a.bam".into(), why: "ICAv2: access denied".into() };
    let failure = Failure::new(ErrorName::CopyJobFailed, "1 of 12 files did not arrive").naming([culprit]);
    let (good, bad) = (ended(None), ended(Some(failure.clone())));
    let mut cut = delivered(None);
    let deliveries = cut.deliveries.as_mut().unwrap();
    deliveries.report = Some("s3://reports/run-17/output.json".into());
    deliveries.without_sources = true;
    deliveries.pieces.iter_mut().for_each(|piece| piece.sources.clear());
    let dry = Outcome {
        jobs: Vec::new(),
        counters: Counters::default(),
        preview: Some(Box::new(previewed())),
        ..ended(None)
    };
    let cases = [
        ("outcome/good/success", success_output(&report(&good))),
        ("outcome/good/dry-run", success_output(&report(&dry))),
        ("outcome/good/failure", failure_cause(&report(&bad))),
        ("outcome/good/batch", success_output(&report(&delivered(None)))),
        ("outcome/good/batch-cut", success_output(&report(&cut))),
        ("outcome/good/batch-failure", failure_cause(&report(&delivered(Some(failure))))),
        ("state-change/good/received", state_change(&change(Status::Received, None))),
        ("state-change/good/running", state_change(&change(Status::Running, None))),
        ("state-change/good/succeeded", state_change(&change(Status::Succeeded, Some(&good)))),
        ("state-change/good/failed", state_change(&change(Status::Failed, Some(&bad)))),
    ];
    for (name, text) in cases {
        let path = format!("{}/tests/fixtures/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let expected: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let shown: Value = serde_json::from_str(&text).unwrap();
        pretty_assertions::assert_eq!(shown, expected, "{name}");
    }
}

prop_compose! {
    fn any_counters()(of in any::<[u64; 8]>()) -> Counters {
        let [files, copied, skipped, skipped_by_size, skipped_conflict, renamed, failed, bytes] = of;
        Counters { files, copied, skipped, skipped_by_size, skipped_conflict, renamed, failed, bytes }
    }
}

prop_compose! {
    fn any_failure()(
        error in prop::sample::select(ErrorName::ALL.as_slice()),
        message in ".{0,3000}",
        culprits in prop::collection::vec((".{0,2000}", ".{0,100}"), 0..60),
    ) -> Failure {
        let culprits = culprits.into_iter().map(|(what, why)| Culprit { what, why });
        Failure::new(error, message).naming(culprits)
    }
}

fn delivered_of(failure: Option<&Failure>) -> Delivery {
    let mut outcome = delivered(failure.cloned());
    outcome.deliveries.as_mut().unwrap().pieces.pop().unwrap()
}

#[test]
fn what_is_too_long_loses_its_sources_before_its_entries() {
    let mut outcome = delivered(None);
    let deliveries = outcome.deliveries.as_mut().unwrap();
    let piece = deliveries.pieces[0].clone();
    deliveries.pieces = vec![piece; 1100];
    let told = |outcome: &Outcome| -> (usize, usize, bool) {
        let text = success_output(&report(outcome));
        assert!(text.len() <= 256 * 1024);
        let output: Value = serde_json::from_str(&text).unwrap();
        let entries = output["job_list_with_attempt_counter"].as_array().unwrap();
        assert_eq!(
            output["job_status_iterable_parameter"]["job_status_iterable"],
            output["counters"]["jobs_passed"]
        );
        let sources = entries.iter().map(|entry| entry["source_uris"].as_array().unwrap().len()).sum();
        (entries.len(), sources, output["truncated"] == true)
    };
    assert_eq!(told(&outcome), (1100, 0, true));
    outcome.deliveries.as_mut().unwrap().pieces.truncate(700);
    assert_eq!(told(&outcome), (700, 1400, false));
    let deliveries = outcome.deliveries.as_mut().unwrap();
    deliveries.pieces = vec![deliveries.pieces[0].clone(); 3000];
    let (entries, sources, truncated) = told(&outcome);
    assert!((1000..3000).contains(&entries) && sources == 0 && truncated, "{entries}");
}

prop_compose! {
    fn any_outcome()(
        failure in prop::option::of(any_failure()),
        counters in any_counters(),
        jobs in prop::collection::vec(("[0-9a-f-]{36}", 1..9_u32, "[A-Z_]{4,20}"), 0..40),
        copies in prop_oneof![Just(1_usize), Just(100)],
        planned in prop::option::of((0..3000_usize, ".{0,1500}")),
        delivered in prop::option::of((0..3000_usize, 0..4_usize, "icav2://p/.{0,400}")),
        seconds in 0..4_000_000_000_i64,
    ) -> Outcome {
        let jobs: Vec<_> = jobs
            .into_iter()
            .map(|(job_id, attempt, status)| JobSummary { job_id, attempt, status })
            .collect();
        let at = Timestamp::from_second(seconds).unwrap();
        let preview = planned.map(|(files, source)| {
            let mut preview = previewed();
            preview.files = vec![PreviewFile { source, ..preview.files.first().unwrap().clone() }; files];
            preview.totals.files = files as u64;
            Box::new(preview)
        });
        let deliveries = delivered.map(|(pieces, sources, uri)| {
            let whole = delivered_of(failure.as_ref());
            let like = Delivery { sources: vec![uri.clone(); sources], destination: uri, ..whole };
            Box::new(Deliveries { pieces: vec![like; pieces], ..Deliveries::default() })
        });
        let jobs = vec![jobs; copies].concat();
        Outcome { failure, counters, jobs, preview, deliveries, ..Outcome::between(at, at) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_ends_is_told_in_shape_and_size(
        outcome in any_outcome(),
        request_id in ".{1,128}",
        destination_uri in "icav2://p/.{0,1000}/",
    ) {
        let report = Report { request_id: &request_id, destination_uri: &destination_uri, outcome: &outcome };
        let outcomes = validator("outcome");
        for (text, limit) in [(success_output(&report), 256 * 1024), (failure_cause(&report), 32 * 1024)] {
            prop_assert!(text.len() <= limit);
            prop_assert_eq!(complaints(&outcomes, &text), Vec::<String>::new());
        }

        let changes = validator("state-change");
        let status = if outcome.failure.is_some() { Status::Failed } else { Status::Succeeded };
        for (status, outcome) in [(Status::Received, None), (Status::Running, None), (status, Some(&outcome))] {
            let change = StateChange { request_id: &request_id, destination_uri: &destination_uri, ..change(status, outcome) };
            let text = state_change(&change);
            prop_assert!(text.len() <= 200 * 1024);
            prop_assert_eq!(complaints(&changes, &text), Vec::<String>::new());
        }
    }

    #[test]
    fn a_child_event_comes_back_as_that_child(id in ".{1,200}") {
        let detail = child_event(&RequestId::new(&*id));
        prop_assert_eq!(complaints(&validator("child-request"), &detail), Vec::<String>::new());
        let event = format!(r#"{{"detail-type":"{CHILD_REQUEST}","source":"us","detail":{detail}}}"#);
        prop_assert_eq!(read_request(&event), Ok(Incoming::Child(RequestId::new(id))));
    }
}
