//! Whatever comes in gives either a request or a clear refusal: never a panic, never a hang, and
//! never a caller who is forgotten although its token can be made out.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers")]

use std::io::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use copy_manager::{
    domain::{
        batch::BatchRequest,
        location::Location,
        request::{Asked, CopyRequest, Kind},
        token::TaskToken,
    },
    events::{
        BATCH_REQUEST, COPY_REQUEST,
        intake::{
            Incoming, Refusal, Submission, read_manifest, read_payload, read_request, read_request_within,
        },
        jobs::read_job_events,
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Everything a user reads of a refusal fits on a screen, whatever was sent.
const LONGEST_REASON: usize = 1000;

fn payload() -> Value {
    json!({"sourceUriList": ["icav2://p/a.txt"], "destinationUri": "icav2://q/in/"})
}

fn event(detail: &Value) -> String {
    let id = "0f4f1c5e-8e3d-4c27-9bb1-1f2a3b4c5d6e";
    json!({"id": id, "detail-type": COPY_REQUEST, "source": "lab", "detail": detail}).to_string()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

fn taken(body: &str) -> Submission {
    match read_request(body) {
        Ok(Incoming::Request(submission)) => *submission,
        other => panic!("{other:?}"),
    }
}

fn asked(submission: &Submission) -> CopyRequest {
    submission.request.clone().into_copy().unwrap()
}

/// The token and the reason of a refusal.
fn refused(body: &str) -> (Option<String>, String) {
    match read_request(body) {
        Err(Refusal::Malformed { token, reason, .. }) => {
            assert!(reason.len() < LONGEST_REASON, "{} bytes", reason.len());
            assert!(!reason.chars().any(char::is_control), "{reason:?}");
            (token.map(|token| token.expose().to_owned()), reason)
        }
        other => panic!("{other:?}"),
    }
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[test]
fn what_is_no_json_is_refused() {
    for (body, beginning) in [
        ("", "the message is not JSON: EOF"),
        ("\u{0}", "the message is not JSON: expected value"),
        ("{\"detail\":", "the message is not JSON: EOF"),
        ("{'detail': 1}", "the message is not JSON: key must be a string"),
        ("{\"taskToken\": \"t\"} more", "the message is not JSON: trailing characters"),
        ("{\"a\": NaN}", "the message is not JSON: expected value"),
        ("{\"a\": 1e999}", "the message is not JSON: number out of range"),
        ("{\"a\": \"\\ud800\"}", "the message is not JSON: "),
        ("\u{feff}{}", "the message is not JSON: expected value"),
        ("\"text\"", "the message must be an object, not a string"),
        ("null", "the message must be an object, not null"),
    ] {
        let (token, reason) = refused(body);
        assert!(token.is_none() && reason.starts_with(beginning), "{body:?}: {reason}");
    }
}

#[test]
fn wrong_types_are_refused_by_path_and_the_caller_is_told() {
    let fields =
        ["sourceUriList", "destinationUri", "externalSourceUriList", "renamingMapList", "onConflict"];
    for field in fields.into_iter().chain(["dryRun"]) {
        for wrong in [json!(7), json!({"a": 1}), json!([[]]), json!([null]), json!("\u{1}")] {
            let mut payload = payload();
            payload[field] = wrong;
            let (token, reason) = refused(&event(&json!({"payload": payload, "taskToken": "t"})));
            assert_eq!(token.as_deref(), Some("t"), "{reason}");
            assert!(reason.starts_with(&format!("`detail.payload.{field}")), "{reason}");
        }
    }
}

#[test]
fn a_message_of_one_megabyte_is_read() {
    let long = "x".repeat(1 << 20);
    let many: Vec<String> = (0..40_000).map(|n| format!("icav2://p/{n:08}.bam")).collect();
    let fields: serde_json::Map<_, _> = (0..60_000).map(|n| (format!("field{n:06}"), json!(1))).collect();

    let submission =
        taken(&event(&json!({"payload": {"sourceUriList": many, "destinationUri": "s3://bkt/"}})));
    assert_eq!(asked(&submission).sources.len(), 40_000);

    let mut unknown = payload();
    unknown["comment"] = json!(long);
    let submission = taken(&event(&json!({"payload": unknown})));
    assert_eq!(submission.unknown, ["detail.payload.comment"]);
    assert!(submission.payload.len() > 1 << 20, "unknown fields are kept");

    let submission = taken(&event(&json!({"payload": payload(), "more": fields, "fields": fields})));
    assert_eq!(submission.unknown.len(), 2);

    for field in ["destinationUri", "onConflict", "sourceUriList"] {
        let mut payload = payload();
        payload[field] = json!(long);
        let (token, _) = refused(&event(&json!({"payload": payload, "taskToken": "t"})));
        assert_eq!(token.as_deref(), Some("t"));
    }
    let kind = json!({"detail-type": long, "source": "lab", "detail": {}}).to_string();
    assert!(read_request(&kind).unwrap_err().to_string().len() < LONGEST_REASON);
}

#[test]
fn ten_thousand_uris_are_one_request() {
    let uris: Vec<String> = (0..10_000).map(|n| format!("icav2://p/run/{n}.bam")).collect();
    let body = event(&json!({"payload": {"sourceUriList": uris, "destinationUri": "icav2://q/in/"}}));
    assert_eq!(asked(&taken(&body)).sources, uris);

    let mut broken = uris;
    broken[9_999] = "icav2://p".to_owned();
    let payload = json!({"sourceUriList": broken, "destinationUri": "icav2://q/in/"});
    let (token, reason) = refused(&event(&json!({"payload": payload, "taskToken": "t"})));
    assert_eq!(token.as_deref(), Some("t"));
    assert!(reason.starts_with("`detail.payload.sourceUriList[9999]` is not usable"), "{reason}");
}

#[test]
fn what_is_nested_too_deeply_is_refused_and_its_caller_told() {
    // As deep as our reader goes, and an unknown field is no reason to refuse.
    let inside = |depth| {
        format!(r#"{{"taskToken":"t","requestId":"r","comment":{},"payload":{}}}"#, nested(depth), payload())
    };
    assert_eq!(taken(&inside(100)).token, Some(TaskToken::new("t")));

    let deep = inside(100_000);
    let envelope = |detail: &str| {
        format!(r#"{{"id":"e","detail-type":"{COPY_REQUEST}","source":"lab","detail":{detail}}}"#)
    };
    let in_payload = format!(r#"{{"payload":{{"taskToken":"t","a":{}}}}}"#, nested(300));
    for body in [
        deep.clone(),
        envelope(&deep),
        envelope(&json!(inside(300)).to_string()),
        in_payload.clone(),
        envelope(&in_payload),
        format!(r#"{{"detail":{},"taskToken":"t","source":"lab"}}"#, nested(300)),
    ] {
        let (token, reason) = refused(&body);
        assert_eq!(token.as_deref(), Some("t"), "{reason}");
        assert!(reason.contains("recursion limit exceeded"), "{reason}");
    }
    let Err(Refusal::Malformed { request_id, event_id, .. }) = read_request(&envelope(&deep)) else {
        panic!()
    };
    assert_eq!((request_id.as_deref(), event_id.as_deref()), (Some("r"), Some("e")));

    let packed = BASE64_STANDARD.encode(gzip(format!(r#"{{"a":{}}}"#, nested(300)).as_bytes()));
    let (token, reason) = refused(&event(&json!({"payloadB64Gz": packed, "taskToken": "t"})));
    assert_eq!(token.as_deref(), Some("t"));
    assert!(reason.contains("recursion limit exceeded"), "{reason}");
    assert!(read_payload(Kind::Copy, nested(100_000).as_bytes(), 1 << 20).is_err());
    assert!(read_job_events(&nested(100_000)).is_err());
}

#[test]
fn a_gzip_bomb_ends_at_the_limit() {
    // 64 MiB in 64 KB. Whoever read on to the end would come upon what is no gzip, and say so.
    let bomb = gzip(&vec![b' '; 64 << 20]);
    let never_read = [&bomb[..], b"no gzip"].concat();
    for packed in [bomb, never_read] {
        let detail = json!({"payloadB64Gz": BASE64_STANDARD.encode(&packed), "taskToken": "t"});
        let Err(Refusal::Malformed { token, reason, .. }) = read_request_within(&event(&detail), 1 << 20)
        else {
            panic!()
        };
        assert_eq!(token, Some(TaskToken::new("t")));
        assert_eq!(reason, "`detail.payloadB64Gz` holds more than 1048576 bytes (service.max_payload)");
        let reason = read_payload(Kind::Copy, &packed, 1 << 20).unwrap_err();
        assert_eq!(reason, "`payloadS3Uri` holds more than 1048576 bytes (service.max_payload)");
    }
}

fn batch(payload: &Value) -> String {
    let detail = json!({"payload": payload, "taskToken": "t"});
    json!({"detail-type": BATCH_REQUEST, "source": "lab", "detail": detail}).to_string()
}

fn manifest(submission: &Submission) -> BatchRequest {
    let Asked::Batch(request) = &submission.request else { panic!("{:?}", submission.request) };
    request.clone()
}

#[test]
fn a_manifest_of_ten_thousand_sources_is_read_in_its_order() {
    let to = ["icav2://q/one/", "icav2://q/two/"];
    let sources: Vec<_> = (0..10_000).rev().map(|n| format!("icav2://p/{n:08}.bam")).collect();
    let entries: serde_json::Map<_, _> = sources.iter().map(|uri| (uri.clone(), json!(to))).collect();
    let plain = taken(&batch(&json!({"manifest": entries})));
    let packed = BASE64_STANDARD.encode(gzip(json!(entries).to_string().as_bytes()));
    let packed = taken(&batch(&json!({"manifest_b64gz": packed})));
    assert_eq!(plain.payload, packed.payload);
    for submission in [plain, packed] {
        let request = manifest(&submission);
        assert_eq!(request.sources, sources);
        let ends: Vec<_> =
            request.destinations.iter().map(|to| (to.uri.as_str(), to.sources.len())).collect();
        assert_eq!(ends, [(to[0], 10_000), (to[1], 10_000)]);
    }
    // And one source that goes to as many places.
    let to: Vec<_> = (0..10_000).map(|n| format!("icav2://q/{n}/")).collect();
    let request = manifest(&taken(&batch(&json!({"manifest": {"icav2://p/a": to}}))));
    assert_eq!((request.sources.len(), request.destinations.len()), (1, 10_000));
}

#[test]
fn a_manifest_is_refused_at_its_limits_and_its_caller_told() {
    let bomb = gzip(&vec![b' '; 64 << 20]);
    let never_read = [&bomb[..], b"no gzip"].concat();
    for packed in [bomb, never_read] {
        let body = batch(&json!({"manifest_b64gz": BASE64_STANDARD.encode(&packed)}));
        let Err(Refusal::Malformed { token, reason, .. }) = read_request_within(&body, 1 << 20) else {
            panic!()
        };
        assert_eq!(token, Some(TaskToken::new("t")));
        assert_eq!(
            reason,
            "`detail.payload.manifest_b64gz` holds more than 1048576 bytes (service.max_payload)"
        );
        let beside = r#"{"manifestS3Uri":"s3://bkt/k"}"#;
        let reason = read_manifest(beside, &packed, 1 << 20).unwrap_err();
        assert_eq!(reason, "`manifestS3Uri` holds more than 1048576 bytes (service.max_payload)");
        // A bomb in a package is measured by itself.
        let inside = json!({"manifest_b64gz": BASE64_STANDARD.encode(&packed)}).to_string();
        let detail =
            json!({"payloadB64Gz": BASE64_STANDARD.encode(gzip(inside.as_bytes())), "taskToken": "t"});
        let body = json!({"detail-type": BATCH_REQUEST, "source": "lab", "detail": detail}).to_string();
        assert!(read_request_within(&body, 1 << 20).unwrap_err().to_string().contains("service.max_payload"));
    }
    let deep = format!(r#"{{"icav2://p/a":{}}}"#, nested(300));
    let packed = BASE64_STANDARD.encode(gzip(deep.as_bytes()));
    for payload in [json!({"manifest_b64gz": packed}).to_string(), format!(r#"{{"manifest":{deep}}}"#)] {
        let body = format!(
            r#"{{"detail-type":"{BATCH_REQUEST}","source":"lab","detail":{{"taskToken":"t","payload":{payload}}}}}"#
        );
        let (token, reason) = refused(&body);
        assert_eq!(token.as_deref(), Some("t"));
        assert!(reason.contains("recursion limit exceeded"), "{reason}");
    }
    // Whatever is long is not repeated.
    let long = "x".repeat(1 << 20);
    for manifest in [
        json!({&long: ["icav2://q/b/"]}),
        json!({format!("icav2://p/{long}"): ["icav2://q/b/"]}),
        json!({"icav2://p/a": [format!("icav2://q/{long}")]}),
        json!({"icav2://p/a": [&long]}),
        json!({format!("icav2://p/{}", "y".repeat(1000)): []}),
        json!({"icav2://p/a\u{7}": ["icav2://q/b/"]}),
    ] {
        assert_eq!(refused(&batch(&json!({"manifest": manifest}))).0.as_deref(), Some("t"));
    }
}

#[test]
fn control_characters_in_uris_are_refused_and_not_repeated() {
    for control in ["\0", "\n", "\r\n", "\t", "\u{7f}", "\u{85}", "\u{1b}[31m"] {
        let destination = format!("s3://bkt/{control}/");
        for (uri, destination, why) in [
            (format!("icav2://p/a{control}b"), "icav2://q/in/", "holds a control character"),
            (format!("icav2://p{control}/a"), "icav2://q/in/", "holds a control character"),
            (format!("s3://bk{control}t/a"), "icav2://q/in/", "holds only letters, digits"),
            // What is in S3 may be named so, but nothing is brought to such a place.
            (format!("s3://bkt/{control}"), destination.as_str(), "holds a control character"),
        ] {
            let payload = json!({"sourceUriList": [uri], "destinationUri": destination});
            let (token, reason) = refused(&event(&json!({"payload": payload, "taskToken": "t"})));
            assert_eq!(token.as_deref(), Some("t"));
            assert!(reason.contains(why), "{reason}");
            assert!(!reason.contains(control), "{reason:?}");
        }
        assert!(Location::parse(&format!("s3://bkt/{control}")).is_ok());
    }
}

#[test]
fn the_longest_token_is_taken_and_a_longer_one_is_none() {
    let body = |token: &str| event(&json!({"payload": payload(), "taskToken": token}));
    let longest = "x".repeat(2048);
    assert_eq!(taken(&body(&longest)).token, Some(TaskToken::new(longest)));
    let (token, reason) = refused(&body(&"x".repeat(2049)));
    assert_eq!(
        (token, reason.as_str()),
        (None, "`detail.taskToken` must have between 1 and 2048 characters")
    );
    assert_eq!(refused(&body(&"x".repeat(1 << 20))).0, None);
}

#[test]
fn names_that_cannot_be_ids_do_not_become_ids() {
    let with = |name: &str, value: &str| {
        let mut message: Value = serde_json::from_str(&event(&json!({"payload": payload()}))).unwrap();
        message[name] = json!(value);
        message.to_string()
    };
    assert!(taken(&with("id", "e-1")).event_id.is_some());
    assert_eq!(taken(&with("id", "")).event_id, None);
    assert_eq!(taken(&with("id", &"x".repeat(5000))).event_id, None);
    assert_eq!(refused(&with("source", &"x".repeat(257))).1, "`source` must have at most 256 characters");
}

#[test]
fn unknown_fields_are_kept_and_ignored() {
    let mut more = payload();
    more["futureOption"] = json!({"deep": [1, {"x": null}]});
    let submission = taken(&event(&json!({"payload": more, "futureField": 1})));
    assert_eq!(submission.request, taken(&event(&json!({"payload": payload()}))).request);
    assert_eq!(submission.unknown, ["detail.futureField", "detail.payload.futureOption"]);
    let kept: Value = serde_json::from_str(&submission.payload).unwrap();
    assert_eq!(kept["futureOption"], json!({"deep": [1, {"x": null}]}));
}

#[test]
fn of_a_name_that_stands_twice_the_last_counts() {
    let body = r#"{"taskToken":"first","requestId":"one","payload":{"sourceUriList":["icav2://p/first"],
        "destinationUri":"icav2://q/first/","destinationUri":"icav2://q/last/",
        "sourceUriList":["icav2://p/last"]},"requestId":"two","taskToken":"last"}"#;
    let submission = taken(body);
    assert_eq!(asked(&submission).sources, ["icav2://p/last"]);
    assert_eq!(asked(&submission).destination, "icav2://q/last/");
    assert_eq!(submission.token, Some(TaskToken::new("last")));
    assert_eq!(submission.request_id.as_deref(), Some("two"));
    assert_eq!(submission.payload.matches("destinationUri").count(), 1);
    // Also where only the token can be read.
    let body = format!(r#"{{"taskToken":"first","a":{},"taskToken":"last"}}"#, nested(300));
    assert_eq!(refused(&body).0.as_deref(), Some("last"));
}

/// A good message of any shape.
fn good() -> impl Strategy<Value = String> {
    let packed = BASE64_STANDARD.encode(gzip(payload().to_string().as_bytes()));
    prop_oneof![
        Just(event(&json!({"payload": payload(), "taskToken": "t", "requestId": "r"}))),
        Just(event(&json!({"payloadB64Gz": packed, "taskToken": "t"}))),
        Just(event(&json!({"payloadS3Uri": "s3://bucket/key.json", "taskToken": "t"}))),
        Just(event(&json!(json!({"payload": payload()}).to_string()))),
        Just(batch(&json!({"manifest": {"icav2://p/a": ["icav2://q/b/", "icav2://q/c/"]}}))),
        Just(batch(&json!({"manifest_b64gz": "H4sIAAAAAAAC/6uuBQBDv6ajAgAAAA=="}))),
        Just(json!({"payload": payload(), "taskToken": "t"}).to_string()),
        Just(
            json!({"detail-type": "CopyManagerChildRequest", "detail": {"requestId": "child.1"}}).to_string()
        ),
        Just(r#"{"eventCode":"ICA_JOB_001","payload":{"id":"j-1","status":"SUCCEEDED"}}"#.to_owned()),
    ]
}

/// Cuts, repeats and replaces bytes.
fn mutated(text: &str, wounds: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (place, kind, byte) in wounds {
        let at = place % bytes.len().max(1);
        match kind % 4 {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|found| *found = *byte),
            1 => bytes.insert(at.min(bytes.len()), *byte),
            2 => bytes.truncate(at),
            _ => {
                let tail: Vec<_> = bytes.iter().skip(at).copied().collect();
                bytes.extend(tail);
            }
        }
    }
    bytes
}

fn survives(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(refusal) = read_request_within(&text, 1 << 16) {
        let said = refusal.to_string();
        assert!(!said.is_empty() && said.len() < LONGEST_REASON, "{said}");
    }
    if let Err(reason) = read_payload(Kind::Copy, bytes, 1 << 16) {
        assert!(!reason.is_empty() && reason.len() < LONGEST_REASON, "{reason}");
    }
    if let Err(reason) = read_manifest("{}", bytes, 1 << 16) {
        assert!(!reason.is_empty() && reason.len() < LONGEST_REASON, "{reason}");
    }
    if let Err(reason) = read_job_events(&text) {
        assert!(!reason.is_empty() && reason.len() < LONGEST_REASON, "{reason}");
    }
    if let Err(error) = Location::parse(&text) {
        let said = error.to_string();
        assert!(said.len() < LONGEST_REASON * 3 && !said.chars().any(char::is_control), "{said:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_request_or_a_refusal(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        survives(&bytes);
        survives(&gzip(&bytes));
    }

    #[test]
    fn a_wounded_message_gives_a_request_or_a_refusal(
        text in good(),
        wounds in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6),
    ) {
        survives(&mutated(&text, &wounds));
    }

    #[test]
    fn a_wounded_package_gives_a_payload_or_a_refusal(
        wounds in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6),
    ) {
        let mut packed = gzip(payload().to_string().as_bytes());
        for (place, _, byte) in wounds {
            let at = place % packed.len();
            packed[at] = byte;
        }
        survives(&packed);
        survives(event(&json!({"payloadB64Gz": BASE64_STANDARD.encode(&packed)})).as_bytes());
    }
}
