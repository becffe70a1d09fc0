//! The state machines of `deploy/facade.yaml`, with everything that callers of the predecessors may hand
//! them: their inputs go on unchanged, and what the service answers comes back as it is.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    emulated::create_bucket,
    lab::{Lab, Platform},
    machine::Machine,
    manifests::parameter,
    shore::{S3, client, contents, get, put},
    watch::{Watch, assert_shape},
    within,
    worlds::world,
};

const PATIENCE: Duration = Duration::from_mins(1);
const FACADE: &str = include_str!("../../deploy/facade.yaml");
const MIB: u64 = 1 << 20;

/// The machine that callers find under the name that they have always used.
pub(crate) async fn machine(lab: &Lab, name: &str) -> Machine {
    let bus = lab.stack.external_bus_name.as_str();
    let parameters = [("ExternalBusName", bus), ("HeartbeatSeconds", "600")];
    lab.emulator().create_stack("copy-manager-dev-machines", FACADE, &parameters).await;
    Machine::at(&lab.aws.sfn, &parameter(lab, name).await)
}

/// Buckets of which one lets nobody write, at first.
fn shores() -> Value {
    let rich = json!({ "key": "in/a b+c.bam", "size": 17, "metadata": { "run": "7" }, "tags": { "k": "v" } });
    json!({ "projects": [], "buckets": [
        { "name": "src", "objects": [rich, { "key": "in/sub/b.txt", "size": 5 }, { "key": "c.txt", "size": 0 }] },
        { "name": "lists" }, { "name": "dest", "keys": ["test"] }, { "name": "away", "region": "eu-west-1" },
    ] })
}

/// Another S3, which other keys open.
fn far() -> Value {
    json!({ "projects": [], "buckets": [{ "name": "ceph-data", "public": false, "keys": ["CEPH"], "objects": [
        { "key": "parts", "size": 17 * MIB, "partSizes": [5 * MIB, 7 * MIB, 5 * MIB], "contentType": "text/x" },
        { "key": "large", "size": 11 * MIB }, { "key": "whole", "size": 300 }, { "key": "none", "size": 0 },
    ] }] })
}

#[tokio::test]
async fn a_successors_caller_waits_for_access_and_gets_objects_of_two_houses() {
    let Some(mut lab) = Lab::start("successor", &shores(), &S3).await else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Platform::start(&elsewhere, &far(), &S3, &[]).await;
    lab.set("AWS_ENDPOINT_URL_S3", &lab.platform.s3_url());
    let keys = json!({ "access_key_id": "CEPH", "secret_access_key": "any" }).to_string();
    lab.aws.secrets.create_secret().name("ceph-keys").secret_string(keys).send().await.unwrap();
    let settings = [
        ("COPY_OUT__WORKING_BUCKET", "lists"),
        ("COPY_OUT__WORKING_PREFIX", "work/"),
        ("COPY_OUT__ACCESS_RETRY", "1s"),
        ("COPY_OUT__MULTIPART_THRESHOLD", "10485760"),
        ("COPY_OUT__PART_SIZE", "5242880"),
        ("COPY_OUT__ENDPOINT_HOSTS", "127.0.0.1"),
        ("COPY_OUT__SECRETS", "ceph-keys"),
    ];
    let mut watch = Watch::subscribe(&lab).await;
    let daemon = lab.serve("serve", &settings).await;
    let machine = machine(&lab, "/s3_copy_out/state_machine_arn").await;
    let lines = [
        json!({ "sourceBucket": "src", "sourceKey": "in/*" }),
        json!({ "sourceBucket": "src", "sourceKey": "c.txt", "destinationRelativeFolderKey": "sub/" }),
        json!({ "sourceBucket": "ceph-data", "sourceKey": "*", "destinationRelativeFolderKey": "far/" }),
    ];
    let s3 = client(&lab.platform);
    put(&s3, "lists", "work/tuesday/mine.jsonl", lines.map(|line| format!("{line}\n")).concat()).await;
    let input = json!({
        "instructionsPrefix": "tuesday/", "instructionsKey": "mine.jsonl", "destinationBucket": "dest",
        "destinationPrefix": "P/", "startMarkerKey": "begun.txt", "summaryCsvKey": "ended.csv",
        "continueOnError": true, "dryRun": false, "copyConcurrency": 7, "maxItemsPerBatch": 2,
        "thawParams": { "glacierFlexibleRetrievalThawSpeed": "Standard" },
        "bucketDefinitions": { "ceph-data": {
            "endpointUrl": other.s3_url(), "credentialProvider": "aws-secret", "secret": "ceph-keys",
        } },
    });

    // Refused twice: each try asks with a tag and without one.
    let refusal = json!({ "calls": ["PutObject"], "bucket": "dest", "times": 4, "status": 403 });
    lab.platform.faults(&json!({ "s3": [refusal] })).await;
    let execution = machine.start(&input).await;
    daemon.says("the destination refuses to be written to, waiting").await;
    let said = daemon.said("the destination refuses to be written to, waiting").remove(0);
    assert_eq!(said["state"], "waiting_for_access", "{said}");
    let id = said["request_id"].as_str().unwrap().to_owned();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let record = lab.aws.dynamodb.get_item().table_name(&lab.stack.table_name);
    let record =
        record.key("id", text(&id)).key("id_type", text("REQUEST")).consistent_read(true).send().await;
    let record = record.unwrap().item.unwrap();
    assert_eq!(record["waiting_for"], text("waiting_for_access"));
    let output = execution.succeeded(PATIENCE).await;
    assert_eq!(daemon.said("the destination refuses to be written to, waiting").len(), 2);
    assert_shape("outcome", &output);
    assert_eq!(output["objects"], json!({ "total": 7, "copied": 7, "alreadyCopied": 0, "errors": 0 }));
    let told =
        ["destinationBucket", "destinationPrefix", "summaryCsvKey", "workingCsvBucket", "workingCsvKey"];
    assert_eq!(
        told.map(|name| &output[name]),
        ["dest", "P/", "ended.csv", "lists", "work/tuesday/ended.csv"]
    );
    let changes = within(PATIENCE, "the last state change", async || {
        let changes = watch.of(&id).await;
        changes.iter().any(|change| change["status"] == "SUCCEEDED").then_some(changes)
    })
    .await;
    assert!(changes.iter().any(|change| change["waitingFor"] == "waiting_for_access"), "{changes:#?}");
    let last = changes.iter().find(|change| change["status"] == "SUCCEEDED").unwrap();
    assert_eq!((&last["outcome"], &last["waitingFor"]), (&output, &Value::Null));

    // What is in one house was copied there, and what is in another was brought from it.
    let (from, beyond) = (contents(&lab.platform, "src").await, contents(&other, "ceph-data").await);
    let mut to = contents(&lab.platform, "dest").await;
    for (key, source) in [
        ("P/a b+c.bam", &from["in/a b+c.bam"]),
        ("P/sub/b.txt", &from["in/sub/b.txt"]),
        ("P/sub/c.txt", &from["c.txt"]),
        ("P/far/parts", &beyond["parts"]),
        ("P/far/whole", &beyond["whole"]),
        ("P/far/none", &beyond["none"]),
    ] {
        assert_eq!(to.remove(key).as_ref(), Some(source), "{key}");
    }
    let sum = |objects: &[Value], key: &str| {
        objects.iter().find(|object| object["key"] == key).map(|object| object["md5"].clone()).unwrap()
    };
    let (there, source) = (lab.platform.objects("dest").await, other.objects("ceph-data").await);
    assert_eq!(sum(&there, "P/far/large"), sum(&source, "large"), "cut anew, and the same bytes");
    to.remove("P/far/large");
    assert_eq!(to.into_keys().collect::<Vec<_>>(), ["P/begun.txt", "P/ended.csv"]);
    let stats = lab.platform.stats().await;
    assert_eq!(stats["buckets"]["dest"]["calls"]["CopyObject"], 3, "no S3 copies from another");
    assert_eq!(stats["buckets"]["dest"]["calls"]["UploadPart"], 3 + 3);
    let asked = &other.stats().await["buckets"]["ceph-data"];
    assert_eq!(asked["unsigned"], 0, "{asked}");
    assert_eq!(lab.platform.uploads("dest").await, [] as [Value; 0]);
    // Whoever asks in these words knows seven columns.
    let summary = get(&s3, "dest", "P/ended.csv").await;
    let header = "OBJECTNAME,TRANSFERSTATUS,MBPERSEC,MESSAGE,DESTINATION,BYTESTRANSFERRED,ELAPSEDSECONDS";
    assert_eq!(summary.lines().next(), Some(header));
    assert!(summary.contains("s3://dest/P/far/parts,17825792,"), "{summary}");

    // A dry run and failures come back as they are, too.
    let with = |changes: Value| {
        let mut input = input.clone();
        input.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        input
    };
    let dry = machine.start(&with(json!({ "dryRun": true }))).await.succeeded(PATIENCE).await;
    // What was cut anew has another tag, and nothing else that could be compared.
    let plan = json!({ "toCopy": 1, "toThaw": 0, "alreadyCopied": 6, "missing": 0, "bytes": 11 * MIB });
    assert_eq!((&dry["dryRun"], &dry["plan"]), (&json!(true), &plan), "{dry}");
    let gone = format!("{}\n", json!({ "sourceBucket": "src", "sourceKey": "gone" }));
    put(&s3, "lists", "work/gone.jsonl", gone).await;
    let gone = json!({ "instructionsPrefix": "", "instructionsKey": "gone.jsonl", "continueOnError": false });
    let thaw = json!({ "thawParams": { "glacierDeepArchiveThawSpeed": "Expedited" } });
    let cases = [
        (with(gone), "CopyError", "1 of 1 copies failed"),
        (with(json!({ "destinationBucket": "away" })), "WrongRegionError", "in another region"),
        (with(thaw), "InvalidThawParamsError", "glacierDeepArchiveThawSpeed"),
        (with(json!({ "destinationPrefix": "P" })), "DestinationPrefixFieldInvalid", "slash terminated"),
    ];
    for (input, name, words) in cases {
        let (error, cause) = machine.start(&input).await.failed(PATIENCE).await;
        assert_eq!(error, name, "{cause}");
        assert_shape("outcome", &cause);
        assert!(cause["message"].as_str().unwrap().contains(words), "{cause}");
    }
}

#[tokio::test]
async fn the_slices_of_a_list_are_spread_over_all_daemons_and_no_more_are_in_flight_than_asked() {
    const COUNT: usize = 48;
    let world = json!({ "projects": [], "buckets": [
        { "name": "src", "objects": [{ "key": "o{n}", "size": 9, "count": COUNT }] },
        { "name": "lists" }, { "name": "dest" },
    ] });
    let Some(mut lab) = Lab::start("spread", &world, &S3).await else { return };
    lab.set("AWS_ENDPOINT_URL_S3", &lab.platform.s3_url());
    let slow = json!({ "calls": ["CopyObject"], "delay": "150ms" });
    lab.platform.faults(&json!({ "s3": [slow] })).await;
    let (one, two) = tokio::join!(lab.serve("one", &[]), lab.serve("two", &[]));
    let machine = machine(&lab, "/s3_copy_out/state_machine_arn").await;
    let list: Vec<_> = (0..COUNT).map(|n| format!("src,o{n:06}\n")).collect();
    put(&client(&lab.platform), "lists", "x.csv", list.concat()).await;
    let mut lists = 0;
    let mut shares = [0, 0];
    // Nobody can say who fetches a message, only that anybody may.
    while lists < 5 && shares.contains(&0) {
        lists += 1;
        let input = json!({
            "sourceFilesCsvBucket": "lists", "sourceFilesCsvKey": "x.csv", "destinationBucket": "dest",
            "destinationPrefixKey": format!("{lists}/"), "maxItemsPerBatch": 2, "copyConcurrency": 8,
        });
        let output = machine.start(&input).await.succeeded(PATIENCE).await;
        assert_eq!(output["objects"]["copied"], COUNT);
        shares = [one.said("child settled").len(), two.said("child settled").len()];
        assert_eq!(shares[0] + shares[1], lists * COUNT / 2, "{shares:?}");
    }
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    let dest = &lab.platform.stats().await["buckets"]["dest"];
    assert_eq!(dest["calls"]["CopyObject"], lists * COUNT);
    let most = dest["most_at_once"].as_u64().unwrap();
    assert!((3..=8).contains(&most), "{most} at a time");
}

fn packed(text: &[u8]) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    std::io::Write::write_all(&mut encoder, text).unwrap();
    BASE64_STANDARD.encode(encoder.finish().unwrap())
}

/// Files with such long names that their manifest is too long for an answer.
fn wide() -> Vec<String> {
    let folder = "long".repeat(180);
    (0..360).map(|n| format!("/{folder}/{n:03}.bam")).collect()
}

#[tokio::test]
async fn what_a_manifest_is_refused_for_is_said_and_what_is_too_long_to_be_said_is_written_down() {
    let files: Vec<_> = [("/run/a.bam", 9_000, 2), ("/two/a.bam", 9_001, 2)]
        .map(|(path, size, parts)| (path.to_owned(), size, parts))
        .into_iter()
        .chain(wide().into_iter().map(|path| (path, 50, 2)))
        .collect();
    let options = ["--job-duration", "500ms"];
    let Some(lab) = Lab::start("refusing", &world(&[], &files), &options).await else { return };
    let s3 = lab.s3().await;
    for bucket in ["manifests", "reports"] {
        create_bucket(&s3, bucket).await;
    }
    let settings = [
        ("ICAV2__SAME_PROJECT_COPIES", "refuse"),
        ("SERVICE__MAX_PAYLOAD", "1000000"),
        ("REPORT__S3_PREFIX", "s3://reports/out/"),
    ];
    let mut daemon = lab.serve("serve", &settings).await;
    let machine = machine(&lab, "/icav2_copy_batch_utility/state_machine_arn").await;
    let (a, to) = ("icav2://lab/run/a.bam", "icav2://archive/x/");
    let good = || packed(json!({ a: [to] }).to_string().as_bytes());
    let cases = [
        (json!({}), "InvalidRequest", "`detail.payload.manifest` is missing"),
        (json!({ "manifest": { a: [to] }, "manifest_b64gz": good() }), "InvalidRequest", "only one of them"),
        (json!({ "manifest": {} }), "InvalidRequest", "`detail.payload.manifest` is empty"),
        (
            json!({ "manifest_b64gz": "e30=" }),
            "InvalidRequest",
            "`detail.payload.manifest_b64gz` is not gzip",
        ),
        (json!({ "manifest_b64gz": "?" }), "InvalidRequest", "`detail.payload.manifest_b64gz` is not base64"),
        (
            json!({ "manifest_b64gz": packed(&vec![b' '; 1_000_001]) }),
            "InvalidRequest",
            "more than 1000000 bytes (service.max_payload)",
        ),
        (json!({ "manifest": { a: ["icav2://archive/x"] } }), "InvalidRequest", "must end with `/`"),
        (
            json!({ "manifest": { a: [to, "icav2://archive/y/"], "icav2://lab/two/a.bam": [to] } }),
            "InvalidRequest",
            "two sources have the same name in one destination; nothing of the manifest is copied",
        ),
        (json!({ "manifest": { a: ["icav2://lab/x/", to] } }), "PolicyDenied", "icav2.same_project_copies"),
    ];
    let asked = cases.iter().map(async |(input, name, words)| {
        let (error, cause) = machine.start(input).await.failed(PATIENCE).await;
        assert_eq!(error, *name, "{cause}");
        assert_shape("outcome", &cause);
        assert!(cause["message"].as_str().unwrap().contains(words), "{cause}");
    });
    join_all(asked).await;
    assert!(lab.platform.tree("archive", "/").await.is_empty(), "nothing was copied");

    // A shell may leave a manifest there, and look for it later.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({ a: ["icav2://archive/shell/"] }).to_string()).unwrap();
    let server = format!("http://{}", daemon.ready().await);
    let (path, bus) = (file.path().to_str().unwrap(), lab.stack.external_bus_name.as_str());
    let left =
        lab.shell(&["submit", "batch", path, "--bus", bus, "--server", &server]).output().await.unwrap();
    assert!(left.status.success(), "{left:?}");
    let id = String::from_utf8(left.stdout).unwrap();
    let ended = within(PATIENCE, "its end", async || {
        let request = reqwest::get(format!("{server}/v1/requests/{}", id.trim())).await.unwrap();
        let request: Value = request.json().await.ok()?;
        request["output"].is_object().then_some(request)
    })
    .await;
    assert_eq!(
        (&ended["status"], &ended["output"]["counters"]["jobs_passed"]),
        (&json!("SUCCEEDED"), &json!(1))
    );

    // One that is too long for an event, and its output for an answer.
    let sources: Vec<_> = wide().into_iter().map(|path| format!("icav2://lab{path}")).collect();
    let manifest: BTreeMap<_, _> = sources.iter().map(|source| (source, [to])).collect();
    let manifest = serde_json::to_vec(&manifest).unwrap();
    s3.put_object().bucket("manifests").key("a b.json").body(manifest.into()).send().await.unwrap();
    let input = json!({ "manifestS3Uri": "s3://manifests/a b.json" });
    let output = machine.start(&input).await.succeeded(PATIENCE).await;
    assert_shape("outcome", &output);
    assert!(output.to_string().len() < 256 * 1024);
    let entry = &output["job_list_with_attempt_counter"][0];
    assert_eq!((&output["truncated"], &entry["source_uris"]), (&json!(true), &json!([])));
    assert!(entry["job_id"].is_string() && entry["dest_uri"] == to && entry["job_status"] == true, "{entry}");
    let report = output["report"].as_str().unwrap();
    let key = report.strip_prefix("s3://reports/").unwrap();
    assert!(key.starts_with("out/"), "{report}");
    let whole: Value = serde_json::from_str(&get(&s3, "reports", key).await).unwrap();
    let mut wanted = output.clone();
    wanted["job_list_with_attempt_counter"][0]["source_uris"] = json!(sources);
    for name in ["truncated", "report"] {
        wanted.as_object_mut().unwrap().remove(name);
    }
    assert!(whole == wanted, "the report is the output with nothing left out");
    assert_eq!(lab.platform.tree("archive", "/x/").await.len(), sources.len());
}
