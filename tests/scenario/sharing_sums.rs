//! Sums of files that neither S3 nor a table tells.

use std::{collections::BTreeMap, time::Duration};

use copy_manager::{
    app::Desk,
    events::share::shown::{JobStatus, PackageShown},
    share::Backend as _,
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    asking::calls,
    house::House,
    sharing::{desk, ended, made, pushed, request},
    sharing_projects::{house, id, of},
};

/// The MD5 and the SHA-256 of each file of a package, by name.
async fn sums(desk: &Desk, package: &PackageShown) -> BTreeMap<String, (Option<String>, Option<String>)> {
    assert_eq!((package.status, package.error_message.as_deref()), (JobStatus::Succeeded, None));
    let files = desk.files(&id(package), 0, 1000).await.unwrap().1;
    files.into_iter().map(|file| (file.name().to_owned(), (file.md5, file.sha256))).collect()
}

/// An object that was uploaded in parts, so that its tag is no sum.
fn in_parts(name: &str) -> Value {
    json!({ "key": format!("runs/{name}"), "size": 11 << 20, "parts": 2 })
}

async fn put(house: &House, name: &str, text: &str) {
    house.put_object("src", &format!("runs/{name}"), text.as_bytes().to_vec()).await;
}

fn uris(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("s3://src/runs/{name}")).collect()
}

fn asked(uris: &[String], compute: bool) -> Value {
    let mut fields = of(&uris.iter().map(String::as_str).collect::<Vec<_>>());
    fields["computeSums"] = json!(compute);
    fields
}

const SUM: &str = "0cc175b9c0f1b6a831c399e269772661";

#[tokio::test(start_paused = true)]
async fn a_sum_that_lies_beside_a_file_is_taken_for_its_own_and_no_other_is() {
    let names = ["bare.bam", "named.bam", "other.bam", "long.bam", "told.bam", "none.bam"];
    let house = house(&names.map(in_parts).into_iter().collect()).await;
    put(&house, "bare.bam.md5sum", SUM).await;
    put(&house, "named.bam.md5", &format!("{SUM}  out/named.bam\n")).await;
    put(&house, "other.bam.md5", &format!("{SUM}  another.bam\n")).await;
    put(&house, "long.bam.md5", &format!("{SUM}{}", " ".repeat(5000))).await;
    put(&house, "told.bam.md5", SUM).await;
    put(&house, "c.fastq.gz.md5", SUM).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let mut all = uris(&names);
    all.push("s3://src/runs/c.fastq.gz".to_owned());
    let mut fields = asked(&all, false);
    let own = "92eb5ffee6ae2fec3ad71c777531578f";
    fields["manifest"][4]["md5"] = json!(own);
    let found = sums(&desk, &made(&desk, fields).await).await;
    let md5 = |name: &str| found[name].0.as_deref();
    assert_eq!((md5("bare.bam"), md5("named.bam")), (Some(SUM), Some(SUM)));
    assert_eq!((md5("other.bam"), md5("long.bam"), md5("none.bam")), (None, None, None));
    assert_eq!(md5("told.bam"), Some(own), "what a table tells goes before");
    let there = house.simulator.objects("src", "runs/c.fastq.gz").await;
    assert_eq!(md5("c.fastq.gz"), Some(there[0].md5.as_str()), "and a tag before both");

    // The same in a project, where the sum has to be brought first.
    put(&house, "b.fastq.gz.md5", SUM).await;
    let mut sum = of(&["s3://src/runs/b.fastq.gz.md5"]);
    sum["manifest"][0]["path"] = json!("b.fastq.gz.md5");
    let sum = made(&desk, sum).await;
    let brought = pushed(&desk, &sum.id, "icav2://lab/runs/").await;
    assert_eq!(brought.status, JobStatus::Succeeded, "{brought:?}");
    let both = of(&["icav2://lab/runs/b.fastq.gz", "icav2://lab/runs/a.fastq.gz"]);
    let found = sums(&desk, &made(&desk, both).await).await;
    assert_eq!((found["b.fastq.gz"].0.as_deref(), &found["a.fastq.gz"].0), (Some(SUM), &None));
}

#[tokio::test(start_paused = true)]
async fn files_without_a_sum_are_read_once_where_that_is_asked_for_whoever_dies() {
    let names: Vec<String> = (0..20).map(|n| format!("{n:02}.bam")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut house = house(&names.iter().map(|name| in_parts(name)).collect()).await;
    house.share.sum_file_bytes = 0;
    let mut all = uris(&names);
    all.extend(["s3://src/runs/c.fastq.gz", "icav2://lab/runs/b.fastq.gz"].map(str::to_owned));
    let mut instance = house.instance();
    let first = desk(&house, &instance);
    let none = sums(&first, &made(&first, asked(&all, false)).await).await;
    assert_eq!(none.values().filter(|(md5, _)| md5.is_some()).count(), 1, "nothing is read unasked");

    let before = calls(&house, "src", "GetObject");
    house.faults(json!({"s3": [{"calls": ["GetObject"], "bucket": "src", "delay": "2s"}]}));
    let package = first.make("ann", "my-package".into(), request(&asked(&all, true))).await.unwrap();
    // Sixteen of them are written down by then, and the rest is being read.
    while calls(&house, "src", "GetObject") < before + 18 {
        sleep(Duration::from_secs(1)).await;
    }
    drop((first, instance));
    instance = house.instance();
    let second = desk(&house, &instance);
    let found = sums(&second, &ended(&second, &package.id).await).await;
    for object in house.simulator.objects("src", "runs/").await {
        let (md5, sha256) = &found[object.key.strip_prefix("runs/").unwrap()];
        assert_eq!(md5.as_deref(), Some(object.md5.as_str()), "{}", object.key);
        assert_eq!(sha256.is_some(), object.etag.contains('-'), "what has a sum is not read");
    }
    let tree = house.simulator.tree("lab", "/runs/").await.unwrap();
    assert_eq!(found["b.fastq.gz"].0, tree[1].md5);
    let read = calls(&house, "src", "GetObject") - before;
    assert!((20..=24).contains(&read), "what was written down is not read again: {read}");
}

#[tokio::test(start_paused = true)]
async fn a_package_that_reads_files_can_be_aborted_and_what_has_changed_stays_without_a_sum() {
    let mut house = house(&json!([in_parts("a.bam")])).await;
    house.share.sum_file_bytes = 0;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let fields = asked(&uris(&["a.bam"]), true);
    house.faults(json!({"s3": [{"calls": ["GetObject"], "bucket": "src", "delay": "1000s"}]}));
    let package = desk.make("ann", "my-package".into(), request(&fields)).await.unwrap();
    sleep(Duration::from_secs(30)).await;
    let asked_at = Instant::now();
    desk.abort_package(&id(&package)).await.unwrap();
    assert_eq!(ended(&desk, &package.id).await.status, JobStatus::Aborted);
    assert!(asked_at.elapsed() < Duration::from_mins(1), "{:?}", asked_at.elapsed());

    house.faults(json!({"s3": [{"calls": ["GetObject"], "bucket": "src", "delay": "5s"}]}));
    let package = desk.make("ann", "my-package".into(), request(&fields)).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    put(&house, "a.bam", "something else").await;
    house.faults(json!({"s3": []}));
    let found = sums(&desk, &ended(&desk, &package.id).await).await;
    assert_eq!(found["a.bam"], (None, None));
}
