//! Conflicts, and what an installation allows.

use std::time::Duration;

use copy_manager::domain::{
    policy::{Glob, Rules},
    request::OnConflict,
};
use serde_json::json;

use crate::house::{House, TO};

const FILES: [(&str, u64, u32); 3] = [("/run/a.bam", 100, 2), ("/run/s.txt", 10, 1), ("/run/b.bam", 50, 2)];
const THERE: [(&str, u64, u32); 3] =
    [("/in/run/a.bam", 99, 2), ("/in/run/s.txt", 10, 1), ("/in/other", 1, 1)];

#[tokio::test(start_paused = true)]
async fn overwrite_replaces_what_differs_and_nothing_else() {
    let mut house = House::new(&FILES, &[], &THERE, |_| {}).await;
    house.faults(json!({"deleteDelay": "5s"}));
    house.settings.copy.on_conflict = OnConflict::Overwrite;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let output = house.success("t", Duration::from_mins(10)).await;
    assert_eq!(output["files"]["copied"], 3);
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    assert!(house.tree(TO, "/in/").await.iter().any(|(path, ..)| path == "other"));
}

#[tokio::test(start_paused = true)]
async fn skip_leaves_what_differs_and_counts_it() {
    let mut house = House::new(&FILES, &[], &THERE, |_| {}).await;
    house.settings.copy.on_conflict = OnConflict::Skip;
    let _instance = house.instance();
    let before = house.tree(TO, "/in/run/").await;
    house.ask(&["/run/"], "/in/", "t").await;
    let output = house.success("t", Duration::from_mins(10)).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["skippedConflict"]), (&json!(1), &json!(2)));
    let after = house.tree(TO, "/in/run/").await;
    assert!(before.iter().all(|entry| after.contains(entry)), "what was there is untouched");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_want_one_name_the_first_comes_first() {
    let files = [("/one/x.txt", 10, 1), ("/one/big.bam", 9, 2), ("/two/x.txt", 20, 1)];
    let house = House::new(&files, &[], &[], |_| {}).await;
    let _instance = house.instance();
    let over = json!({"onConflict": "overwrite"});
    house.ask_with(&["/one/x.txt", "/one/big.bam"], "/in/", "one", None, over.clone()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    house.ask_with(&["/two/x.txt"], "/in/", "two", None, over).await;
    house.success("one", Duration::from_mins(1)).await;
    house.success("two", Duration::from_mins(2)).await;
    let to = house.tree(TO, "/in/").await;
    let from = house.tree("lab", "/two/").await;
    assert_eq!(to.iter().find(|(path, ..)| path == "x.txt"), from.first());
}

#[tokio::test(start_paused = true)]
async fn the_request_has_the_last_word_on_conflicts() {
    let house = House::new(&FILES, &[], &THERE, |_| {}).await;
    let _instance = house.instance();
    house.ask_with(&["/run/"], "/in/", "skip", None, json!({"onConflict": "skip"})).await;
    assert_eq!(house.success("skip", Duration::from_mins(10)).await["files"]["skippedConflict"], 2);
    house.ask_with(&["/run/"], "/in/", "over", None, json!({"onConflict": "overwrite"})).await;
    assert_eq!(house.success("over", Duration::from_mins(10)).await["files"]["copied"], 2);
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn rules_refuse_by_name_and_say_which_setting() {
    let only = |text: &str| vec![Glob::try_from(text.to_owned()).unwrap()];
    let cases = [
        (Rules { source_projects: only("prod-*"), ..Rules::default() }, "policy.source_projects"),
        (
            Rules { destination_projects: only("elsewhere"), ..Rules::default() },
            "policy.destination_projects",
        ),
        (Rules { event_sources: only("lims.*"), ..Rules::default() }, "policy.event_sources"),
    ];
    for (rules, setting) in cases {
        let mut house = House::new(&FILES, &[], &[], |_| {}).await;
        house.settings.policy = rules;
        let _instance = house.instance();
        house.ask(&["/run/"], "/in/", "t").await;
        let (error, cause) = house.failure("t", Duration::from_mins(1)).await;
        assert_eq!(error, "PolicyDenied");
        assert!(crate::house::text(&cause).contains(setting), "{cause}");
        assert!(house.tree(TO, "/in/").await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn files_arrive_under_their_new_names() {
    let files = [
        ("/run/a.bam", 100, 2),
        ("/run/b.bam", 100, 2),
        ("/run/sub/c.txt", 10, 1),
        ("/run/sub/c.txt.gz", 12, 1),
        ("/one.vcf", 7, 1),
    ];
    // An `a.bam` of equal size is there already, and is not ours to touch.
    let house = House::new(&files, &[], &[("/in/run/a.bam.old", 1, 1)], |_| {}).await;
    let _instance = house.instance();
    let map = json!({"renamingMapList": [
        {"sourceUri": "icav2://lab/run/a.bam", "outputFileName": "b.bam"},
        {"sourceUri": "icav2://lab/run/b.bam", "outputFileName": "a.bam"},
        {"sourceUri": "icav2://lab/run/sub/c.txt", "outputFileName": "ü d.txt"},
        {"sourceUri": "icav2://lab/one.vcf", "outputFileName": "two.vcf"},
    ]});
    house.ask_with(&["/run/", "/one.vcf"], "/in/", "t", None, map.clone()).await;
    let output = house.success("t", Duration::from_mins(5)).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["renamed"]), (&json!(5), &json!(4)));
    tokio::time::sleep(Duration::from_mins(1)).await;
    let md5 = |tree: &[(String, String, Option<String>)], path: &str| {
        tree.iter().find(|(known, ..)| known == path).and_then(|(.., md5)| md5.clone())
    };
    let (from, to) = (house.tree("lab", "/").await, house.tree(TO, "/in/").await);
    for (source, target) in [
        ("run/a.bam", "run/b.bam"),
        ("run/b.bam", "run/a.bam"),
        ("run/sub/c.txt", "run/sub/ü d.txt"),
        ("run/sub/c.txt.gz", "run/sub/c.txt.gz"),
        ("one.vcf", "two.vcf"),
    ] {
        assert!(md5(&from, source).is_some());
        assert_eq!(md5(&from, source), md5(&to, target), "{source} → {target}");
    }
    assert_eq!(to.len(), 8, "{to:?}");
    // A repeat finds everything there.
    house.ask_with(&["/run/", "/one.vcf"], "/in/", "again", None, map).await;
    let output = house.success("again", Duration::from_mins(5)).await;
    assert_eq!((&output["files"]["copied"], &output["files"]["renamed"]), (&json!(0), &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn a_renaming_map_that_does_not_fit_is_refused_before_anything_is_copied() {
    let house = House::new(&[("/run/a.vcf.gz", 100, 2), ("/run/b.vcf", 5, 1)], &[], &[], |_| {}).await;
    let _instance = house.instance();
    let cases = [
        // Never by prefix.
        json!([{"sourceUri": "icav2://lab/run/a.vcf", "outputFileName": "x"}]),
        json!([{"sourceUri": "icav2://lab/run/b.vcf", "outputFileName": "a.vcf.gz"}]),
        json!([{"sourceUri": "icav2://lab/run/b.vcf", "outputFileName": "x/y"}]),
        json!([{"dataId": "fil.00000000000000000000000000000000", "outputFileName": "x"}]),
    ];
    for (n, map) in cases.into_iter().enumerate() {
        let token = format!("t{n}");
        house.ask_with(&["/run/"], "/in/", &token, None, json!({"renamingMapList": map})).await;
        assert_eq!(house.failure(&token, Duration::from_mins(1)).await.0, "InvalidRequest", "case {n}");
    }
    assert!(house.tree(TO, "/in/").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn data_may_be_named_by_the_buckets_of_their_projects() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    let _instance = house.instance();
    let ask = |sources: &[&str], destination: &str, token: &str| {
        json!({"payload": {"sourceUriList": sources, "destinationUri": destination}, "taskToken": token})
            .to_string()
    };
    let body = ask(&["s3://lab-data/top/run/"], "s3://archive-data/in/", "t");
    house.queue.push(body).await.unwrap();
    house.success("t", Duration::from_mins(5)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    // One place by two names is one place.
    let body = ask(&["s3://lab-data/top/run/"], "icav2://lab/run/inside/", "inside");
    house.queue.push(body).await.unwrap();
    assert_eq!(house.failure("inside", Duration::from_mins(1)).await.0, "RecursionLimit");
    // A bucket that only begins like a project's, and a prefix that only begins like one.
    for (n, uri) in ["s3://lab-data-old/top/run/a.bam", "s3://lab-data/topmost/a.bam"].into_iter().enumerate()
    {
        let token = format!("t{n}");
        house.queue.push(ask(&[uri], "icav2://archive/in/", &token)).await.unwrap();
        assert_eq!(house.failure(&token, Duration::from_mins(1)).await.0, "SourceNotFound");
    }
}
