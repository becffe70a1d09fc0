//! Copy-outs, the whole way: from a shell, by event, over the death of a daemon, and through the state
//! machine of `deploy/facade.yaml`.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    lab::Lab,
    machine::Machine,
    shore::{EQUAL, HEADER, MARKER, S3, Shore, client, contents, get, put, quoted, rows, totals},
    watch::{Watch, assert_shape},
    within,
};

const PATIENCE: Duration = Duration::from_mins(1);
const FACADE: &str = include_str!("../../deploy/facade.yaml");

/// Objects that one daemon is killed amid, and how many of them were uploaded in parts.
const MANY: usize = 5_000;
const IN_PARTS: usize = MANY / BLOCK * FIRST;
/// The first few of so many are in parts.
const BLOCK: usize = 500;
const FIRST: usize = 10;
/// Objects that are in flight at a time.
const IN_FLIGHT: u64 = 200;

#[tokio::test]
async fn a_list_is_copied_once() {
    let sizes = [("run/a.bam", 300, 2), ("run/b.txt", 200, 1), ("c.vcf", 100, 1)];
    let objects = sizes.map(|(key, size, parts)| json!({ "key": key, "size": size, "parts": parts }));
    let buckets = json!([
        { "name": "src", "objects": objects }, { "name": "lists" }, { "name": "dest" },
    ]);
    let shore = Shore::start(buckets, &[]).await;
    let list = "src,run/a.bam\nsrc,run/b.txt\nsrc,c.vcf\n";
    shore.put("lists", "tuesday/x.csv", list.to_owned()).await;

    let arguments = ["s3://lists/tuesday/x.csv", "dest", "--prefix", "P/", "--max-items-per-batch", "1"];
    let output = shore.submitted(&arguments).await;
    assert_eq!(output["objects"], totals(3, 0));
    let told =
        ["destinationBucket", "destinationPrefix", "summaryCsvKey", "workingCsvBucket", "workingCsvKey"];
    assert_eq!(
        told.map(|name| &output[name]),
        ["dest", "P/", "ENDED_COPY.csv", "lists", "tuesday/x.csv.ENDED_COPY.csv"]
    );
    assert_eq!(shore.get("dest", "P/STARTED_COPY.txt").await, MARKER);
    let summary = shore.get("dest", "P/ENDED_COPY.csv").await;
    assert_eq!(shore.get("lists", "tuesday/x.csv.ENDED_COPY.csv").await, summary);
    assert_eq!(rows(&summary), ["a.bam", "b.txt", "c.vcf"].map(|name| (name, "COPIED")));
    let (from, to) = (shore.contents("src").await, shore.contents("dest").await);
    let keys: Vec<_> = to.keys().map(String::as_str).collect();
    assert_eq!(keys, ["P/ENDED_COPY.csv", "P/STARTED_COPY.txt", "P/a.bam", "P/b.txt", "P/c.vcf"]);
    for (key, ..) in sizes {
        assert_eq!(from[key], to[&format!("P/{}", key.rsplit('/').next().unwrap())]);
    }
    // What was uploaded in parts is copied in parts.
    let made = [shore.calls("dest", "CopyObject").await, shore.calls("dest", "UploadPartCopy").await];
    assert_eq!(made, [2, 2]);

    // The same again, by event: everything is there.
    let again = json!({
        "sourceFilesCsvBucket": "lists",
        "sourceFilesCsvKey": "tuesday/x.csv",
        "destinationBucket": "dest",
        "destinationPrefixKey": "P/",
        "maxItemsPerBatch": 1,
    });
    let ended = shore.asked(&again).await;
    assert_eq!((&ended["status"], &ended["output"]["objects"]), (&json!("SUCCEEDED"), &totals(0, 3)));
    let expected = ["a.bam", "b.txt", "c.vcf"].map(|name| format!("{name},ALREADYCOPIED,0,{EQUAL}\n"));
    assert_eq!(shore.get("dest", "P/ENDED_COPY.csv").await, format!("{HEADER}\n{}", expected.concat()));
    assert_eq!([shore.calls("dest", "CopyObject").await, shore.calls("dest", "UploadPartCopy").await], made);
}

#[tokio::test]
async fn awkward_keys_arrive_as_they_are() {
    // What a row of the summary calls each.
    let cases = [
        ("two words/a b+c.bam", "a b+c.bam"),
        ("50%41 #2.bam", "50%41 #2.bam"),
        ("a//b//double.txt", "double.txt"),
        (r#"say "so", it's.txt"#, r#"say "so", it's.txt"#),
        ("Zoë – 試料/überlänge & mehr.vcf.gz", "überlänge & mehr.vcf.gz"),
        ("/leading.txt", "leading.txt"),
        ("was?=ja;nein.txt", "was?=ja;nein.txt"),
        ("zero.bin", "zero.bin"),
    ];
    let object = |(n, key): (usize, &str)| json!({ "key": key, "size": if key == "zero.bin" { 0 } else { 100 + n }, "parts": if n % 3 == 0 { 2 } else { 1 } });
    let objects: Vec<_> = cases.iter().map(|(key, _)| *key).enumerate().map(object).collect();
    let buckets = json!([
        { "name": "src", "objects": objects }, { "name": "lists" }, { "name": "dest" },
    ]);
    let shore = Shore::start(buckets, &[]).await;
    let list = cases.map(|(key, _)| format!("src,{}\r\n", quoted(key)));
    shore.put("lists", "a b+%/x y.csv", list.concat()).await;
    let prefix = "Ü 1+1=50%/";
    let output = shore.submitted(&["s3://lists/a b+%/x y.csv", "dest", "--prefix", prefix]).await;
    assert_eq!(output["objects"], totals(cases.len(), 0));
    let (from, mut to) = (shore.contents("src").await, shore.contents("dest").await);
    let summary = shore.get("dest", &format!("{prefix}ENDED_COPY.csv")).await;
    assert_eq!(shore.get("lists", "a b+%/x y.csv.ENDED_COPY.csv").await, summary);
    let names = cases.map(|(_, name)| if name.contains('"') { quoted(name) } else { name.to_owned() });
    assert_eq!(rows(&summary), names.each_ref().map(|name| (name.as_str(), "COPIED")));
    for (key, name) in cases {
        assert_eq!(to.remove(&format!("{prefix}{name}")).as_ref(), Some(&from[key]), "{key}");
    }
    let left: Vec<_> = to.into_keys().collect();
    assert_eq!(left, ["ENDED_COPY.csv", "STARTED_COPY.txt"].map(|name| format!("{prefix}{name}")));

    // With their folders, the slashes too.
    let lines = cases.map(|(key, _)| {
        let root = key.starts_with("a/").then_some("a/").or(key.starts_with('/').then_some("/"));
        let line = json!({
            "sourceBucket": "src", "sourceKey": key, "sourceRootFolderKey": root.unwrap_or_default(),
        });
        format!("{line}\n")
    });
    shore.put("lists", "x.jsonl", lines.concat()).await;
    let payload = json!({
        "sourceFilesCsvBucket": "lists", "sourceFilesCsvKey": "x.jsonl", "destinationBucket": "dest",
    });
    let ended = shore.asked(&payload).await;
    assert_eq!(ended["output"]["objects"], totals(cases.len(), 0), "{ended:#}");
    let to = shore.contents("dest").await;
    assert_eq!(to.get("/b//double.txt"), Some(&from["a//b//double.txt"]));
    assert_eq!(to.get("leading.txt"), Some(&from["/leading.txt"]));
}

#[tokio::test]
async fn a_killed_daemon_copies_nothing_twice() {
    let series = |key: &str, size: u64, parts: u64, count: usize| json!({ "key": key, "size": size, "parts": parts, "count": count });
    let plain = MANY - IN_PARTS;
    let buckets = json!([
        { "name": "src", "objects": [
            series("in/{n}.txt", 1_000, 1, plain), series("in/{n}.bam", 2_000, 2, IN_PARTS),
        ] },
        { "name": "lists" }, { "name": "dest" },
    ]);
    let mut shore = Shore::start(buckets, &["--latency", "5ms"]).await;
    // Most slices have none in parts, whose uploads have what else is known written down.
    let name = |n: usize| match (n / BLOCK, n % BLOCK) {
        (block, at) if at < FIRST => format!("{:06}.bam", block * FIRST + at),
        (block, _) => format!("{:06}.txt", n - (block + 1) * FIRST),
    };
    let names: Vec<_> = (0..MANY).map(name).collect();
    let list: Vec<_> = names.iter().map(|name| format!("src,in/{name}\n")).collect();
    shore.put("lists", "many.csv", list.concat()).await;
    // Long enough for some to be under way at any moment.
    let slow = json!({ "calls": ["CopyObject", "CreateMultipartUpload", "UploadPartCopy"], "delay": "50ms" });
    shore.platform.faults(&json!({ "s3": [slow] })).await;
    let concurrency = IN_FLIGHT.to_string();
    let waiting = shore
        .submit(&["s3://lists/many.csv", "dest", "--prefix", "P/"])
        .args(["--max-items-per-batch", "50", "--copy-concurrency", &concurrency])
        .spawn()
        .unwrap();
    within(PATIENCE, "the middle", async || {
        let copies = shore.calls("dest", "CopyObject").await;
        let is_uploading = copies > 2_000 && !shore.platform.uploads("dest").await.is_empty();
        (is_uploading || copies > 3_500).then_some(())
    })
    .await;
    shore.daemon.kill();
    let killed_at = shore.calls("dest", "CopyObject").await;
    let there = shore.contents("dest").await;
    let is_there = |name: &&String| name.contains(".txt") && there.contains_key(&format!("P/{name}"));
    let arrived = names.iter().filter(is_there).count();
    let left = shore.platform.uploads("dest").await.len();
    assert!(killed_at < plain as u64, "{killed_at}: it was not the middle");
    shore.revive().await;
    let submitted = tokio::time::timeout(2 * PATIENCE, waiting.wait_with_output()).await.unwrap().unwrap();
    assert!(submitted.status.success(), "{submitted:?}");
    let shown: Value = serde_json::from_slice(&submitted.stdout).unwrap();

    // Nothing is missing, and nothing is left behind.
    let (from, to) = (shore.contents("src").await, shore.contents("dest").await);
    assert_eq!(to.len(), MANY + 2);
    for name in &names {
        assert_eq!(to.get(&format!("P/{name}")), from.get(&format!("in/{name}")), "{name}");
    }
    // An upload whose id was lost with the process stays: nobody can know that it was ours. It is empty.
    let mut uploads = shore.platform.uploads("dest").await;
    uploads.retain(|upload| upload["parts"] != json!([]));
    assert_eq!(uploads, [] as [Value; 0]);

    // What had arrived was not copied again: only what was under way at the end of the first daemon.
    let copies = shore.calls("dest", "CopyObject").await;
    let parts = shore.calls("dest", "UploadPartCopy").await;
    assert!(copies <= killed_at + (plain - arrived) as u64, "{copies}: {killed_at} for {arrived}");
    eprintln!(
        "{MANY} objects, killed after {killed_at} CopyObject for {arrived} objects, with {left} uploads begun: {copies} CopyObject, \
         {parts} UploadPartCopy"
    );
    assert!((plain as u64..=plain as u64 + IN_FLIGHT).contains(&copies), "{copies}");
    assert!((2 * IN_PARTS as u64..=2 * IN_PARTS as u64 + IN_FLIGHT).contains(&parts), "{parts}");

    let summary = shore.get("dest", "P/ENDED_COPY.csv").await;
    assert_eq!(summary.lines().count(), MANY + 1);
    let rows = rows(&summary);
    assert!(rows.iter().map(|(name, _)| *name).eq(names.iter().map(String::as_str)));
    // What the first daemon copied and did not write down was copied all the same.
    let statuses: BTreeSet<_> = rows.iter().map(|(_, status)| *status).collect();
    assert_eq!(statuses, BTreeSet::from(["COPIED"]));
    assert_eq!(shown["output"]["objects"], totals(MANY, 0));
}

#[tokio::test]
async fn the_machine_for_lists_hands_the_output_on() {
    let objects = ["run/a.bam", "run/b.txt"].map(|key| json!({ "key": key, "size": 100 }));
    let world = json!({ "projects": [], "buckets": [
        { "name": "src", "objects": objects }, { "name": "lists" }, { "name": "dest" },
    ] });
    let Some(mut lab) = Lab::start("outs", &world, &S3).await else { return };
    lab.set("AWS_ENDPOINT_URL_S3", &lab.platform.s3_url());
    let mut watch = Watch::subscribe(&lab).await;
    let _daemon = lab.serve("serve", &[]).await;
    let parameters = [
        ("Stage", "outs"),
        ("ExternalBusName", lab.stack.external_bus_name.as_str()),
        ("HeartbeatSeconds", "600"),
        // The usual ones may belong to another stage.
        ("CopyBatchParameterName", "/outs/batch"),
        ("CopyOutParameterName", "/outs/copy-out"),
    ];
    let outputs = lab.emulator().create_stack("copy-manager-outs-machines", FACADE, &parameters).await;
    let machine = Machine::at(&lab.aws.sfn, &outputs["CopyOutArn"]);
    let s3 = client(&lab.platform);
    put(&s3, "lists", "x.csv", "src,run/a.bam\nsrc,run/b.txt\n".to_owned()).await;
    let input = |prefix: &str| {
        json!({
            "sourceFilesCsvBucket": "lists",
            "sourceFilesCsvKey": "x.csv",
            "destinationBucket": "dest",
            "destinationPrefixKey": prefix,
            "maxItemsPerBatch": 1,
        })
    };
    let output = machine.start(&input("P/")).await.succeeded(PATIENCE).await;
    assert_shape("outcome", &output);
    assert_eq!(output["objects"], totals(2, 0));
    let id = output["requestId"].as_str().unwrap().to_owned();
    let told = within(PATIENCE, "the last state change", async || {
        let changes = watch.of(&id).await;
        changes.into_iter().find(|change| change["status"] == "SUCCEEDED")
    })
    .await;
    assert_shape("state-change", &told);
    assert_eq!((&told["kind"], &told["outcome"]), (&json!("copy_out"), &output));
    assert_eq!(get(&s3, "dest", "P/STARTED_COPY.txt").await, MARKER);
    let summary = get(&s3, "dest", "P/ENDED_COPY.csv").await;
    assert_eq!(rows(&summary), [("a.bam", "COPIED"), ("b.txt", "COPIED")]);
    let (from, to) = (contents(&lab.platform, "src").await, contents(&lab.platform, "dest").await);
    assert_eq!((&from["run/a.bam"], &from["run/b.txt"]), (&to["P/a.bam"], &to["P/b.txt"]));

    // And so are errors.
    let (error, cause) = machine.start(&input("P")).await.failed(PATIENCE).await;
    assert_eq!(error, "DestinationPrefixKeyNoTrailingSlashError", "{cause}");
    assert_shape("outcome", &cause);
}
