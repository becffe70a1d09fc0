//! What becomes of messages, shape by shape.

use proptest::prelude::*;
use serde_json::json;

use super::{
    payload::{DESTINATION, EXTERNAL, SOURCES},
    *,
};
use crate::domain::{
    renaming::{RenameEntry, RenameSource},
    request::{CopyRequest, OnConflict},
};

fn payload() -> Value {
    json!({"sourceUriList": ["icav2://p/run/"], "destinationUri": "icav2://q/in/"})
}

fn event(detail: &Value) -> String {
    json!({"id": "e-1", "detail-type": COPY_REQUEST, "source": "lab", "detail": detail}).to_string()
}

fn copy(body: &str) -> Submission {
    match read_request(body) {
        Ok(Incoming::Request(submission)) => *submission,
        other => panic!("{body}: {other:?}"),
    }
}

fn asked(submission: &Submission) -> CopyRequest {
    submission.request.clone().into_copy().expect("a copy")
}

/// The token and the reason of a malformed request.
fn refusal(body: &str) -> (Option<String>, String) {
    match read_request(body) {
        Err(Refusal::Malformed { token, reason, .. }) => {
            (token.map(|token| token.expose().to_owned()), reason)
        }
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn shapes_say_the_same() {
    let modern = json!({"payload": payload(), "taskToken": "t", "requestId": "r"});
    let mut legacy = payload();
    legacy["taskToken"] = "t".into();
    legacy["requestId"] = "r".into();

    let expected = copy(&event(&modern));
    assert_eq!(expected.source, "lab");
    assert_eq!(expected.event_id.as_deref(), Some("e-1"));
    assert_eq!(expected.request_id.as_deref(), Some("r"));
    assert_eq!(expected.token, Some(TaskToken::new("t")));
    assert_eq!(asked(&expected).sources, ["icav2://p/run/"]);
    assert_eq!(asked(&expected).destination, "icav2://q/in/");
    assert_eq!(expected.payload, r#"{"destinationUri":"icav2://q/in/","sourceUriList":["icav2://p/run/"]}"#);
    assert_eq!(expected.unknown, [""; 0]);

    assert_eq!(copy(&event(&legacy)), expected);
    assert_eq!(copy(&event(&modern.to_string().into())), expected);
    let bare = Submission { source: "sqs".into(), event_id: None, ..expected };
    assert_eq!(copy(&modern.to_string()), bare);
    assert_eq!(copy(&legacy.to_string()), bare);
}

#[test]
fn token_and_request_id_may_be_absent() {
    for detail in
        [json!({"payload": payload()}), json!({"payload": payload(), "taskToken": null, "requestId": null})]
    {
        let submission = copy(&event(&detail));
        assert_eq!((submission.token, submission.request_id), (None, None));
    }
}

#[test]
fn unknown_fields_are_kept_and_named() {
    let mut payload = payload();
    payload["zeta"] = json!({"b": 1, "a": [{"d": 1, "c": 2}]});
    let submission = copy(&event(&json!({"payload": payload, "colour": "red"})));
    assert_eq!(submission.unknown, ["detail.colour", "detail.payload.zeta"]);
    assert!(submission.payload.ends_with(r#""zeta":{"a":[{"c":2,"d":1}],"b":1}}"#), "{}", submission.payload);
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    let body = r#"{"payload":{"sourceUriList":["s3://xxx/"],"sourceUriList":["s3://yyy/"],"destinationUri":"s3://zzz/"}}"#;
    assert_eq!(asked(&copy(body)).sources, ["s3://yyy/"]);
}

#[test]
fn refusals_name_the_field_and_keep_the_token() {
    let cases = [
        (json!({"payload": "{}"}), "`detail.payload` must be an object, not a string"),
        (json!({"other": 1}), "`detail.payload` is missing"),
        (json!({"payload": {"destinationUri": "s3://bkt/"}}), "`detail.payload.sourceUriList` is missing"),
        (json!({"destinationUri": "s3://bkt/"}), "`detail.sourceUriList` is missing"),
        (
            json!({"payload": {"sourceUriList": "s3://bkt/a", "destinationUri": "s3://bkt/"}}),
            "`detail.payload.sourceUriList` must be a list, not a string",
        ),
        (
            json!({"payload": {"sourceUriList": [], "destinationUri": "s3://bkt/"}}),
            "`detail.payload.sourceUriList` or `externalSourceUriList` must name at least one source",
        ),
        (
            json!({"payload": {"sourceUriList": ["s3://bkt/a", 7], "destinationUri": "s3://bkt/"}}),
            "`detail.payload.sourceUriList[1]` must be a string, not a number",
        ),
        (
            json!({"payload": {"sourceUriList": ["ftp://b/a"], "destinationUri": "s3://bkt/"}}),
            "`detail.payload.sourceUriList[0]` is not usable: `ftp://b/a` is neither an icav2:// nor an s3:// URI",
        ),
        (json!({"payload": {"sourceUriList": ["s3://bkt/a"]}}), "`detail.payload.destinationUri` is missing"),
        (
            json!({"payload": {"sourceUriList": ["s3://bkt/a"], "destinationUri": "icav2://p/in"}}),
            "`detail.payload.destinationUri` must end with `/`: it names a folder",
        ),
        (
            json!({"payload": payload(), "requestId": ""}),
            "`detail.requestId` must have between 1 and 128 characters",
        ),
        (json!({"payload": payload(), "requestId": 7}), "`detail.requestId` must be a string, not a number"),
    ];
    for (mut detail, reason) in cases {
        detail["taskToken"] = "t".into();
        assert_eq!(refusal(&event(&detail)), (Some("t".into()), reason.into()));
        assert_eq!(refusal(&event(&detail.to_string().into())), (Some("t".into()), reason.into()));
        let bare = reason.replace("detail.", "");
        assert_eq!(refusal(&detail.to_string()), (Some("t".into()), bare));
    }
}

#[test]
fn every_field_of_the_payload_is_read() {
    let mut payload = payload();
    payload["externalSourceUriList"] = json!(["s3://bkt/a", "s3://bkt/c/"]);
    payload["renamingMapList"] = json!([
        {"sourceUri": "icav2://p/run/a", "outputFileName": "b", "why": 1},
        {"dataId": "fil.1", "outputFileName": "c d"},
    ]);
    payload["onConflict"] = "skip".into();
    payload["dryRun"] = true.into();
    payload["receipt"] = true.into();
    let submission = copy(&event(&json!({"payload": payload})));
    let rename = |source, name: &str| RenameEntry { source, name: name.into() };
    let expected = CopyRequest {
        sources: vec!["icav2://p/run/".into()],
        destination: "icav2://q/in/".into(),
        external: vec!["s3://bkt/a".into(), "s3://bkt/c/".into()],
        renaming: vec![
            rename(RenameSource::Uri("icav2://p/run/a".into()), "b"),
            rename(RenameSource::DataId("fil.1".into()), "c d"),
        ],
        on_conflict: Some(OnConflict::Skip),
        dry_run: true,
        receipt: true,
    };
    assert_eq!(asked(&submission), expected);
    assert_eq!(submission.unknown, ["detail.payload.renamingMapList[0].why"]);

    let nothing = json!({"destinationUri": "icav2://q/in/", "externalSourceUriList": ["s3://bkt/a"]});
    let request = asked(&copy(&nothing.to_string()));
    assert_eq!((request.sources.len(), request.external.len(), request.dry_run), (0, 1, false));
    assert_eq!((request.renaming.len(), request.on_conflict), (0, None));
}

#[test]
fn refusals_name_the_rule_that_a_field_breaks() {
    let renames = "renamingMapList";
    let named = |name: &str| json!([{"sourceUri": "s3://bkt/a", "outputFileName": name}]);
    let cases = [
        ("externalSourceUriList", json!("s3://bkt/a"), " must be a list, not a string"),
        ("onConflict", json!("replace"), "` must be one of `fail`, `overwrite`, `skip`"),
        ("onConflict", json!(false), "` must be a string, not a boolean"),
        ("dryRun", json!("yes"), "` must be a boolean, not a string"),
        (renames, json!({}), "` must be a list, not an object"),
        (renames, json!([7]), "[0]` must be an object, not a number"),
        (renames, json!([{"outputFileName": "b"}]), "[0]` must have either `sourceUri` or `dataId`"),
        (renames, json!([{"dataId": "fol.1"}]), "[0].dataId` is not the data id of a file"),
        (renames, json!([{"dataId": "fil.1"}]), "[0].outputFileName` is missing"),
        (
            renames,
            json!([{"sourceUri": "s3://bkt/a/"}]),
            "[0].sourceUri` must name a file: folders are not renamed",
        ),
        (renames, named("a/b"), "[0].outputFileName` is not usable: a file name must not hold `/`"),
        (renames, named(""), "[0].outputFileName` is not usable: a file name must not be empty"),
        (renames, named(".."), "[0].outputFileName` is not usable: `.` and `..` are not file names"),
    ];
    for (field, value, rest) in cases {
        let mut payload = payload();
        payload[field] = value;
        let (token, reason) = refusal(&event(&json!({"payload": payload, "taskToken": "t"})));
        assert_eq!(token.as_deref(), Some("t"));
        let rest = if rest.starts_with(' ') { format!("`{rest}") } else { rest.to_owned() };
        assert!(reason.starts_with(&format!("`detail.payload.{field}{rest}")), "{reason}");
    }
}

#[test]
fn a_misplaced_token_is_found() {
    let mut inside = payload();
    inside["taskToken"] = "t".into();
    let reason = "`detail.payload.taskToken` must stand beside `payload`, not in it";
    assert_eq!(refusal(&event(&json!({"payload": inside}))), (Some("t".into()), reason.into()));

    let submission = copy(&event(&json!({"payload": inside, "taskToken": "right"})));
    assert_eq!(submission.token, Some(TaskToken::new("right")));
    assert!(!submission.payload.contains("taskToken"));

    let outside = json!({"detail-type": COPY_REQUEST, "source": "lab", "detail": 7, "taskToken": "t"});
    assert_eq!(
        refusal(&outside.to_string()),
        (Some("t".into()), "`detail` must be an object, not a number".into())
    );
}

#[test]
fn an_impossible_token_is_not_answered() {
    for token in [json!(""), json!("x".repeat(2049)), json!(7), json!({})] {
        let (recovered, reason) = refusal(&event(&json!({"payload": payload(), "taskToken": token})));
        assert_eq!(recovered, None);
        assert!(reason.starts_with("`detail.taskToken` must "), "{reason}");
    }
    let longest = "x".repeat(2048);
    assert!(copy(&event(&json!({"payload": payload(), "taskToken": longest}))).token.is_some());
}

#[test]
fn refusals_keep_the_ids() {
    let body = event(&json!({"requestId": "r", "taskToken": "t"}));
    let Err(Refusal::Malformed { request_id, event_id, .. }) = read_request(&body) else { panic!() };
    assert_eq!((request_id.as_deref(), event_id.as_deref()), (Some("r"), Some("e-1")));
}

#[test]
fn envelopes_must_be_whole() {
    let detail = json!({"payload": payload(), "taskToken": "t"});
    let cases = [
        (json!({"source": "lab", "detail": detail}), "`detail-type` is missing"),
        (
            json!({"source": "lab", "detail-type": 7, "detail": detail}),
            "`detail-type` must be a string, not a number",
        ),
        (json!({"detail-type": COPY_REQUEST, "detail": detail}), "`source` is missing"),
    ];
    for (body, reason) in cases {
        assert_eq!(refusal(&body.to_string()), (Some("t".into()), reason.into()));
    }
    let no_detail = json!({"source": "lab", "detail-type": COPY_REQUEST});
    assert_eq!(refusal(&no_detail.to_string()), (None, "`detail` is missing".into()));
    assert_eq!(refusal("[]"), (None, "the message must be an object, not a list".into()));
    assert!(refusal("{").1.starts_with("the message is not JSON: EOF"));
}

#[test]
fn children_are_named_by_their_id() {
    let body = |detail: Value| json!({"detail-type": CHILD_REQUEST, "detail": detail}).to_string();
    assert_eq!(
        read_request(&body(json!({"requestId": "child.1"}))),
        Ok(Incoming::Child(RequestId::new("child.1")))
    );
    assert_eq!(refusal(&body(json!({}))), (None, "`detail.requestId` is missing".into()));
    assert!(refusal(&body(json!({"requestId": ""}))).1.contains("between 1 and 1024"));
}

#[test]
fn newer_kinds_go_back() {
    let body = json!({"detail-type": "TeleportSync", "source": "lab", "detail": {"taskToken": "t"}});
    let refusal = read_request(&body.to_string()).unwrap_err();
    assert_eq!(refusal, Refusal::UnknownKind { detail_type: "TeleportSync".into() });
    assert_eq!(refusal.to_string(), "nothing is known about the detail-type `TeleportSync`");
}

#[test]
fn tokens_are_never_shown() {
    let good = copy(&event(&json!({"payload": payload(), "taskToken": "s3cr3t"})));
    let bad = read_request(&event(&json!({"taskToken": "s3cr3t"}))).unwrap_err();
    assert!(!format!("{good:?} {bad:?} {bad}").contains("s3cr3t"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("icav2://p/a/")),
    ];
    let name = prop_oneof![
        Just(DETAIL),
        Just(DETAIL_TYPE),
        Just(PAYLOAD),
        Just(TASK_TOKEN),
        Just(REQUEST_ID),
        Just(SOURCES),
        Just(DESTINATION),
        Just(EXTERNAL),
        Just("renamingMapList"),
        Just("payloadB64Gz"),
        Just("payloadS3Uri"),
        Just("source"),
        Just("other"),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone().prop_map(str::to_owned), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_gives_a_request_or_a_refusal(body in ".*") {
        prop_assert_ne!(read_request(&body), Ok(Incoming::Child(RequestId::new(""))));
    }

    #[test]
    fn a_usable_token_survives_whatever_is_around_it(mut detail in any_json()) {
        if let Some(fields) = detail.as_object_mut() {
            fields.insert(TASK_TOKEN.into(), "t".into());
            let token = match read_request(&event(&detail)) {
                Ok(Incoming::Request(submission)) => submission.token,
                Err(Refusal::Malformed { token, .. }) => token,
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(token, Some(TaskToken::new("t")));
        }
    }

    #[test]
    fn the_stored_payload_reads_back_as_the_same_request(extra in any_json(), name in "[a-z]{1,8}X?") {
        let mut payload = payload();
        payload[&name] = extra;
        let first = copy(&event(&json!({"payload": payload})));
        let again = copy(&format!(r#"{{"payload":{}}}"#, first.payload));
        prop_assert_eq!(first.payload, again.payload);
        prop_assert_eq!(first.request, again.request);
    }
}
