//! The payloads of the three generations.

use serde_json::json;

use super::*;

fn taken(payload: &Value) -> CopyOutRequest {
    read(payload.as_object().unwrap(), "payload", &mut Vec::new()).unwrap()
}

fn refusal(payload: &Value) -> String {
    read(payload.as_object().unwrap(), "payload", &mut Vec::new()).unwrap_err()
}

#[test]
fn each_generation_is_understood() {
    let first = taken(&json!({
        "sourceFilesCsvBucket": "lists", "sourceFilesCsvKey": "a/objects.csv", "destinationBucket": "their-bucket",
        "maxItemsPerBatch": 3
    }));
    assert_eq!((first.list_bucket.as_deref(), first.list_key.as_str()), (Some("lists"), "a/objects.csv"));
    assert_eq!((first.max_items_per_batch, first.copy_concurrency), (3, 100));
    assert_eq!((first.start_marker.as_str(), first.summary.as_str()), ("STARTED_COPY.txt", "ENDED_COPY.csv"));
    assert!(first.brief_summary && !first.continue_on_error && !first.dry_run && first.refused.is_none());
    assert!(!first.allow_collisions);
    assert_eq!(first.destination(), "s3://their-bucket/");

    let second = taken(&json!({
        "copyInstructionsKey": "job/COPY.jsonl", "destinationBucket": "their-bucket",
        "destinationFolderKey": "x/", "destinationStartCopyRelativeKey": "S.txt"
    }));
    assert_eq!((second.list_bucket, second.list_key.as_str()), (None, "job/COPY.jsonl"));
    assert_eq!((second.max_items_per_batch, second.start_marker.as_str()), (10, "S.txt"));

    let third = taken(&json!({
        "instructionsPrefix": "job/", "destinationBucket": "their-bucket", "destinationPrefix": "./x/y/",
        "startMarkerKey": "S.txt", "summaryCsvKey": "E.csv", "continueOnError": true, "dryRun": true, "allowCollisions": true, "copyConcurrency": 7,
        "thawParams": {"glacierDeepArchiveThawSpeed": "Standard", "glacierFlexibleRetrievalThawDays": 3},
        "bucketDefinitions": {
            "ceph": {"endpointUrl": "https://ceph.example", "credentialProvider": "aws-secret", "secret": "ceph-keys"},
            "open": {"credentialProvider": "no-credentials", "region": "us-east-1"}
        }
    }));
    assert_eq!(third.list_key, "job/INSTRUCTIONS.jsonl");
    assert_eq!((third.destination_prefix.as_str(), third.copy_concurrency), ("x/y/", 7));
    assert!(third.continue_on_error && third.dry_run && third.allow_collisions && !third.brief_summary);
    assert_eq!(third.options.thaw.deep_archive.speed, ThawSpeed::Standard);
    assert_eq!(third.options.thaw.glacier, Thaw { days: 3, speed: ThawSpeed::Bulk });
    assert_eq!(third.options.buckets["ceph"].rights, Rights::Secret("ceph-keys".into()));
    assert_eq!(third.options.buckets["open"].rights, Rights::None);
}

#[test]
fn what_has_a_name_of_its_own_fails_by_it() {
    let with = |name: &str, value: Value| {
        let mut payload = json!({"sourceFilesCsvKey": "x.csv", "destinationBucket": "their-bucket"});
        payload[name] = value;
        taken(&payload).refused.expect(name)
    };
    let cases = [
        ("destinationPrefixKey", json!("x"), ErrorName::DestinationPrefixKeyNoTrailingSlashError),
        ("destinationPrefix", json!("x"), ErrorName::DestinationPrefixFieldInvalid),
        ("destinationPrefix", json!("/x/"), ErrorName::DestinationPrefixFieldInvalid),
        ("destinationPrefix", json!("x/../"), ErrorName::DestinationPrefixFieldInvalid),
        (
            "thawParams",
            json!({"glacierDeepArchiveThawSpeed": "Expedited"}),
            ErrorName::InvalidThawParamsError,
        ),
        ("thawParams", json!({"glacierFlexibleRetrievalThawDays": 0}), ErrorName::InvalidThawParamsError),
    ];
    for (name, value, error) in cases {
        assert_eq!(with(name, value.clone()).error, error, "{name} {value}");
    }
}

#[test]
fn everything_else_is_refused_at_once() {
    let good = || json!({"sourceFilesCsvKey": "x.csv", "destinationBucket": "their-bucket"});
    let with = |name: &str, value: Value| {
        let mut payload = good();
        payload[name] = value;
        refusal(&payload)
    };
    assert_eq!(
        refusal(&json!({"destinationBucket": "their-bucket"})),
        "`payload.sourceFilesCsvKey` is missing"
    );
    assert_eq!(refusal(&json!({"sourceFilesCsvKey": "x.csv"})), "`payload.destinationBucket` is missing");
    let cases = [
        ("maxItemsPerBatch", json!(0), "`payload.maxItemsPerBatch` must be a whole number from 1 to 1000"),
        ("copyConcurrency", json!("8"), "`payload.copyConcurrency` must be a whole number from 1 to 10000"),
        (
            "destinationBucket",
            json!("a/b"),
            "`payload.destinationBucket` is no name of a bucket: a bucket's name holds only letters, digits, `.`, `-` \
             and `_`",
        ),
        (
            "sourceFilesCsvBucket",
            json!("arn:aws:s3:us-east-1:111122223333:accesspoint/lists"),
            "`payload.sourceFilesCsvBucket` is no name of a bucket: it is an ARN: name the bucket, or the alias of the \
             access point",
        ),
        (
            "bucketDefinitions",
            json!({"two words": {}}),
            "`payload.bucketDefinitions` holds `two words`, which is no name of a bucket: a bucket's name holds only \
             letters, digits, `.`, `-` and `_`",
        ),
        ("continueOnError", json!("yes"), "`payload.continueOnError` must be a boolean, not a string"),
        (
            "startMarkerKey",
            json!("../x"),
            "`payload.startMarkerKey` must be a key below the destination's prefix",
        ),
        (
            "instructionsKey",
            json!("x"),
            "`payload.sourceFilesCsvKey` and other instructions say the same thing twice",
        ),
        (
            "bucketDefinitions",
            json!({"bkt": {"credentialProvider": "x"}}),
            "`payload.bucketDefinitions.bkt.credentialProvider` must be one of `default-environment`, \
             `no-credentials`, `aws-secret`",
        ),
    ];
    for (name, value, expected) in cases {
        assert_eq!(with(name, value), expected);
    }
}
