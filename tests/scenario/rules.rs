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
