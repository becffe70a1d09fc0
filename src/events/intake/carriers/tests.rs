//! Packed payloads and payloads in S3.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use serde_json::json;

use super::{
    super::{Incoming, LARGEST_PAYLOAD, Refusal, Submission, read_request},
    *,
};
use crate::domain::{
    request::{Asked, CopyRequest, Kind},
    token::TaskToken,
};

const PAYLOAD_TEXT: &str = r#"{"sourceUriList":["icav2://p/run/"],"destinationUri":"icav2://q/in/"}"#;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn packed(text: &[u8]) -> String {
    BASE64_STANDARD.encode(gzip(text))
}

fn event(detail: &Value) -> String {
    json!({"detail-type": super::super::COPY_REQUEST, "source": "lab", "detail": detail}).to_string()
}

fn copy(detail: &Value) -> Submission {
    match read_request(&event(detail)) {
        Ok(Incoming::Request(submission)) => *submission,
        other => panic!("{detail}: {other:?}"),
    }
}

/// The reason, once it is sure that the token was kept.
fn refusal(detail: &Value) -> String {
    match read_request(&event(detail)) {
        Err(Refusal::Malformed { token, reason, .. }) => {
            assert_eq!(token, Some(TaskToken::new("t")), "{reason}");
            reason
        }
        other => panic!("{detail}: {other:?}"),
    }
}

#[test]
fn a_packed_payload_says_what_a_plain_one_says() {
    let payload: Value = serde_json::from_str(PAYLOAD_TEXT).unwrap();
    let plain = copy(&json!({"payload": payload, "taskToken": "t"}));
    let detail = json!({"payloadB64Gz": packed(PAYLOAD_TEXT.as_bytes()), "taskToken": "t"});
    assert_eq!(copy(&detail), plain);
    assert_eq!(copy(&detail.to_string().into()), plain);
    let Ok(Incoming::Request(bare)) = read_request(&detail.to_string()) else { panic!() };
    assert_eq!(bare.payload, plain.payload);

    let halves = PAYLOAD_TEXT.split_at(20);
    let members = [gzip(halves.0.as_bytes()), gzip(halves.1.as_bytes())].concat();
    assert_eq!(copy(&json!({"payloadB64Gz": BASE64_STANDARD.encode(members), "taskToken": "t"})), plain);
}

#[test]
fn refusals_name_the_packed_field() {
    let truncated = BASE64_STANDARD.encode(gzip(PAYLOAD_TEXT.as_bytes()).split_at(30).0);
    let trailing = BASE64_STANDARD.encode([gzip(PAYLOAD_TEXT.as_bytes()), b"more".to_vec()].concat());
    let cases = [
        (json!({"payloadB64Gz": 7}), "`detail.payloadB64Gz` must be a string, not a number"),
        (json!({"payloadB64Gz": null}), "`detail.payloadB64Gz` must be a string, not null"),
        (json!({"payloadB64Gz": "#"}), "`detail.payloadB64Gz` is not base64: "),
        (json!({"payloadB64Gz": ""}), "`detail.payloadB64Gz` "),
        (json!({"payloadB64Gz": "e30="}), "`detail.payloadB64Gz` is not gzip: "),
        (json!({"payloadB64Gz": truncated}), "`detail.payloadB64Gz` is not gzip: "),
        (json!({"payloadB64Gz": trailing}), "`detail.payloadB64Gz` is not gzip: "),
        (json!({"payloadB64Gz": packed(b"{")}), "`detail.payloadB64Gz` does not hold JSON: "),
        (json!({"payloadB64Gz": packed(b"[]")}), "`detail.payloadB64Gz` must hold an object, not a list"),
        (json!({"payloadB64Gz": packed(b"{}")}), "`detail.payloadB64Gz.sourceUriList` is missing"),
        (
            json!({"payloadB64Gz": packed(b"{}"), "payload": {}}),
            "`detail.payload` and `payloadB64Gz` say the same thing twice",
        ),
        (
            json!({"payloadB64Gz": packed(b"{}"), "payloadS3Uri": "s3://bkt/k"}),
            "`detail.payloadB64Gz` and `payloadS3Uri` say the same thing twice",
        ),
    ];
    for (mut detail, start) in cases {
        detail["taskToken"] = "t".into();
        let reason = refusal(&detail);
        assert!(reason.starts_with(start), "{reason}");
    }
}

#[test]
fn a_token_packed_with_the_payload_is_found() {
    let inside = PAYLOAD_TEXT.replacen('{', r#"{"taskToken":"t","#, 1);
    let expected = "`detail.payloadB64Gz.taskToken` must stand beside `payloadB64Gz`, not in it";
    assert_eq!(refusal(&json!({"payloadB64Gz": packed(inside.as_bytes())})), expected);
    let submission = copy(&json!({"payloadB64Gz": packed(inside.as_bytes()), "taskToken": "right"}));
    assert_eq!(submission.token, Some(TaskToken::new("right")));
    assert!(!submission.payload.contains("taskToken"));
}

#[test]
fn what_inflates_without_end_is_cut_off() {
    let bomb = packed(&vec![b' '; LARGEST_PAYLOAD + 1]);
    assert!(bomb.len() < LARGEST_PAYLOAD / 100);
    let reason = refusal(&json!({"payloadB64Gz": bomb, "taskToken": "t"}));
    assert_eq!(reason, "`detail.payloadB64Gz` holds more than 16777216 bytes (service.max_payload)");

    let mut largest = vec![b' '; LARGEST_PAYLOAD - PAYLOAD_TEXT.len()];
    largest.extend(PAYLOAD_TEXT.bytes());
    assert_eq!(inflate(&gzip(&largest), "x", LARGEST_PAYLOAD).unwrap().len(), LARGEST_PAYLOAD);
    assert!(read_payload(Kind::Copy, &largest, LARGEST_PAYLOAD).is_ok());
    largest.push(b' ');
    assert_eq!(
        read_payload(Kind::Copy, &largest, LARGEST_PAYLOAD).unwrap_err(),
        "`payloadS3Uri` holds more than 16777216 bytes (service.max_payload)"
    );
}

#[test]
fn a_payload_in_s3_is_only_named() {
    let submission = copy(&json!({"payloadS3Uri": "s3://bkt/a/k.json", "taskToken": "t", "colour": 1}));
    assert_eq!(submission.payload_uri.as_deref(), Some("s3://bkt/a/k.json"));
    assert_eq!(submission.request, Asked::Copy(CopyRequest::default()));
    assert_eq!(submission.payload, r#"{"payloadS3Uri":"s3://bkt/a/k.json"}"#);
    assert_eq!(submission.unknown, ["detail.colour"]);
    assert!(copy(&json!({"payloadS3Uri": "s3://bkt//k"})).payload_uri.is_some());

    let cases = [
        (json!({"payloadS3Uri": 7}), "`detail.payloadS3Uri` must be a string, not a number"),
        (json!({"payloadS3Uri": "icav2://p/k"}), "`detail.payloadS3Uri` must be an s3:// URI"),
        (json!({"payloadS3Uri": "s3://bkt/a/"}), "`detail.payloadS3Uri` must name one object"),
        (json!({"payloadS3Uri": "s3://bkt"}), "`detail.payloadS3Uri` must name one object"),
        (
            json!({"payload": {}, "payloadS3Uri": "s3://bkt/k"}),
            "`detail.payload` and `payloadS3Uri` say the same thing twice: only one of them may be given",
        ),
    ];
    for (mut detail, reason) in cases {
        detail["taskToken"] = "t".into();
        assert_eq!(refusal(&detail), reason);
    }
}

#[test]
fn what_the_object_holds_is_read_like_a_payload() {
    let plain = read_payload(Kind::Copy, PAYLOAD_TEXT.as_bytes(), LARGEST_PAYLOAD).unwrap();
    assert_eq!(plain.request.clone().into_copy().unwrap().sources, ["icav2://p/run/"]);
    assert_eq!(read_payload(Kind::Copy, &gzip(PAYLOAD_TEXT.as_bytes()), LARGEST_PAYLOAD).unwrap(), plain);
    let with_token = PAYLOAD_TEXT.replacen('{', r#"{"taskToken":"t","#, 1);
    let read = read_payload(Kind::Copy, with_token.as_bytes(), LARGEST_PAYLOAD).unwrap();
    assert_eq!((read.canonical, read.unknown), (plain.canonical, vec!["payloadS3Uri.taskToken".into()]));
    assert_eq!(
        read_payload(Kind::Copy, b"{}", LARGEST_PAYLOAD).unwrap_err(),
        "`payloadS3Uri.sourceUriList` is missing"
    );
    assert_eq!(
        read_payload(Kind::Copy, b"[]", LARGEST_PAYLOAD).unwrap_err(),
        "`payloadS3Uri` must hold an object, not a list"
    );
}

proptest! {
    #[test]
    fn any_bytes_give_a_payload_or_a_refusal(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        with_head in any::<bool>(),
    ) {
        let mut content = if with_head { gzip(b"{}").split_at(10).0.to_vec() } else { Vec::new() };
        content.extend(bytes);
        prop_assert!(read_payload(Kind::Copy, &content, LARGEST_PAYLOAD).is_err());
        let detail = json!({"payloadB64Gz": BASE64_STANDARD.encode(content), "taskToken": "t"});
        prop_assert!(refusal(&detail).starts_with("`detail.payloadB64Gz"));
    }
}
