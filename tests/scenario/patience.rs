//! Sources that are not wholly shown when a copy is asked for: what was written a moment ago shows late.

use std::{sync::Arc, time::Duration};

use copy_manager::{
    domain::{
        ids::ProjectId,
        location::DataPath,
        route::{Folders, SinglePart},
    },
    ports::{
        chance::Dice,
        objects::{Access, ObjectStore as _, WriteOptions},
        platform::DataPlatform as _,
    },
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::house::{House, TO};

const SETTLE: Duration = Duration::from_mins(2);
const LATER: Duration = Duration::from_mins(10);
const FILES: [(&str, u64, u32); 5] = [
    ("/run/first.bam", 100, 2),
    ("/run/late.bam", 200, 2),
    ("/run/late.txt", 30, 1),
    ("/run/late/deep/a.bam", 400, 2),
    ("/run/late/b.txt", 50, 1),
];

fn world(files: &[(&str, u64, u32)], age: &str) -> Value {
    let mut world = House::world(files, &[], &[], &json!([{"name": "dest"}]));
    world["projects"][0]["age"] = json!(age);
    world
}

/// A house whose sources have just been written; what starts so shows after 40 seconds.
async fn fresh(files: &[(&str, u64, u32)], late: &str) -> House {
    let house = House::of(world(files, "0s"), |platform| platform.tag_defect = false).await;
    house.faults(json!({"listLag": {late: "40s"}}));
    house
}

async fn equal(house: &House) {
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn files_and_folders_that_show_late_are_brought_too() {
    for late in ["/run/late", "/run/late.txt", "/run/late/deep/", "/run/"] {
        let house = fresh(&FILES, late).await;
        let _instance = house.instance();
        house.ask(&["/run/"], "/in/", "t").await;
        let output = house.success("t", LATER).await;
        equal(&house).await;
        let files = &output["files"];
        assert_eq!((&files["copied"], &files["skipped"]), (&json!(5), &json!(0)), "{late}: {output}");
        assert_eq!(output["bytes"], 780, "{late}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_shows_nothing_yet_is_no_empty_one() {
    let mut world = world(&FILES[1..3], "0s");
    world["projects"][0]["folders"] = json!(["/run/"]);
    let house = House::of(world, |_| {}).await;
    house.faults(json!({"listLag": {"/run/late": "40s"}}));
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    assert_eq!(house.success("t", LATER).await["files"]["copied"], 2);
    equal(&house).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_written_to_the_bucket_a_moment_ago_is_waited_for() {
    let house = fresh(&FILES[..1], "/nothing").await;
    house.faults(json!({"indexDelay": "30s"}));
    let platform = house.platform(Arc::new(Dice::from_seed(1)));
    let lab = ProjectId::new("11111111-1111-4111-8111-111111111111");
    let run = platform.find(&lab, &DataPath::parse("/run/").unwrap()).await.unwrap().unwrap();
    let access = platform.write_access(&lab, &run.id).await.unwrap();
    let (at, access) = (access.below("new/x.txt"), Access::Temporary(access));
    house.objects.put(&at, "new".into(), None, &WriteOptions::default(), &access).await.unwrap();
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    assert_eq!(house.success("t", LATER).await["files"]["copied"], 2);
    equal(&house).await;
}

#[tokio::test(start_paused = true)]
async fn whole_folders_are_looked_at_again_too() {
    for late in ["/run/late.txt", "/run/late/deep/"] {
        let mut house = fresh(&FILES, late).await;
        house.settings.copy.folders = Folders::Whole;
        house.settings.copy.single_part = SinglePart::Job;
        let _instance = house.instance();
        house.ask(&["/run/"], "/in/", "t").await;
        let output = house.success("t", LATER).await;
        equal(&house).await;
        let files = &output["files"];
        assert_eq!((&files["copied"], &files["skipped"]), (&json!(5), &json!(0)), "{late}: {output}");
    }
}

#[tokio::test(start_paused = true)]
async fn copies_to_buckets_wait_for_their_sources() {
    let house = fresh(&FILES, "/run/late").await;
    let _instance = house.instance();
    let body = json!({
        "payload": {"sourceUriList": ["icav2://lab/run/"], "destinationUri": "s3://dest/in/"}, "taskToken": "t",
    });
    house.queue.push(body.to_string()).await.unwrap();
    assert_eq!(house.success("t", LATER).await["files"]["copied"], 5);
    assert_eq!(house.simulator.objects("dest", "in/run/").await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn named_sources_that_are_missing_are_looked_for_as_long_as_they_may_be_hidden() {
    let house = fresh(&FILES, "/run/late").await;
    let _instance = house.instance();
    house.ask(&["/run/first.bam", "/run/late.bam", "/run/late/"], "/in/", "t").await;
    assert_eq!(house.success("t", SETTLE * 2).await["files"]["copied"], 4);
    let before = house.calls(None);
    house.ask(&["/run/first.bam", "/run/lafe.bam"], "/in/", "typo").await;
    let (took, said) = house.answer("typo", LATER).await;
    assert!(format!("{said:?}").contains("SourceNotFound"), "{said:?}");
    assert!(took > SETTLE * 2 && took < SETTLE * 4, "{took:?}");
    assert!(house.calls(None) - before < 50, "{}", house.calls(None) - before);
}

#[tokio::test(start_paused = true)]
async fn old_sources_cost_nothing_more_and_fresh_ones_one_listing() {
    let mut calls = Vec::new();
    for age in ["1h", "0s"] {
        let house = House::of(world(&FILES, age), |_| {}).await;
        let _instance = house.instance();
        house.ask(&["/run/"], "/in/", "t").await;
        let (took, _) = house.answer("t", LATER).await;
        assert_eq!(took < SETTLE, age == "1h", "{took:?}");
        equal(&house).await;
        calls.push(house.calls(None));
    }
    assert_eq!(calls[0] + 1, calls[1]);
}
