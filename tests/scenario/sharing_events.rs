//! Packages and pushes that state machines ask for by events, and wait for.

use std::time::Duration;

use copy_manager::{
    domain::ids::RequestId,
    events::share::shown::PushShown,
    share::{Backend as _, Wanted},
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    house::House,
    sharing::{MINUTE, desk, house, keys},
};

/// An event on the queue of requests.
async fn event(house: &House, id: &str, detail_type: &str, detail: Value) {
    let event = json!({ "id": id, "detail-type": detail_type, "source": "lab.machine", "detail": detail });
    house.queue.push(event.to_string()).await.unwrap();
}

fn package_of(library: &str) -> Value {
    json!({ "packageName": "my-package",
        "packageRequest": { "libraryIdList": [library], "dataTypeList": ["fastq"] } })
}

#[tokio::test(start_paused = true)]
async fn a_state_machine_hangs_on_its_package_and_on_its_push() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let asked = json!({ "taskToken": "t1", "requestId": "one", "caller": "arn:machine",
        "payload": package_of("L2400001") });
    event(&house, "e1", "DataPackageSync", asked.clone()).await;
    let package = house.success("t1", 5 * MINUTE).await;
    assert_eq!(
        (package["status"].as_str(), package["files"]["total"].as_u64()),
        (Some("SUCCEEDED"), Some(4))
    );
    assert_eq!(package["requestedBy"], "arn:machine");
    let id = package["id"].as_str().unwrap();
    // It is a package like any other: told as the API shows it, and pushed by name.
    let shown = desk.package(&RequestId::new(id)).await.unwrap();
    assert_eq!(json!(shown), package);

    let push = json!({ "packageId": id, "shareDestination": "s3://dest/in/" });
    event(&house, "e2", "DataPushSync", json!({ "taskToken": "t2", "payload": push })).await;
    let pushed = house.success("t2", 5 * MINUTE).await;
    assert_eq!(
        (pushed["status"].as_str(), pushed["packageName"].as_str()),
        (Some("SUCCEEDED"), Some("my-package"))
    );
    assert_eq!(pushed["packageId"], id);
    assert_eq!(keys(&house, "in/").await.len(), 6, "four reads, marker and summary");

    // The same request in another event joins it; another one of that name is refused.
    let mut again = asked.clone();
    (again["taskToken"], again["caller"]) = ("t3".into(), "arn:another-execution".into());
    event(&house, "e3", "DataPackageSync", again).await;
    assert_eq!(house.success("t3", MINUTE).await, package);
    let mut other = asked;
    (other["taskToken"], other["payload"]) = ("t4".into(), package_of("L2400002"));
    event(&house, "e4", "DataPackageSync", other).await;
    assert_eq!(house.failure("t4", MINUTE).await.0, "InvalidRequest");
    sleep(10 * MINUTE).await;
    assert_eq!(house.unsettled().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_answered_as_the_api_shows_it() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let fields = json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] });
    let package = crate::sharing::made(&desk, fields).await;
    for (token, to) in [("t1", "s3://dest/in/"), ("t2", "icav2://archive/in/")] {
        let push = json!({ "packageId": package.id, "shareDestination": to, "dryRun": true });
        event(&house, token, "DataPushSync", json!({ "taskToken": token, "payload": push })).await;
        let said = house.success(token, 5 * MINUTE).await;
        assert_eq!((&said["status"], &said["dryRun"]), (&json!("SUCCEEDED"), &json!(true)), "{said}");
        assert_eq!((&said["preview"]["toCopy"], &said["packageId"]), (&json!(4), &json!(package.id)));
        let id = RequestId::new(said["id"].as_str().unwrap());
        let shown = desk.pushed(&id).await.unwrap();
        assert_eq!(json!(PushShown { progress: None, ..shown }), said, "{to}");
    }
    assert_eq!(keys(&house, "").await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_packaged_or_pushed_is_told_to_whoever_waits() {
    let mut house = house().await;
    house.share.expires_after = Duration::from_hours(2);
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let cases = [
        (
            "DataPackageSync",
            json!({ "packageName": "1x", "packageRequest": {} }),
            "InvalidRequest",
            "`detail.payload.packageName`",
        ),
        ("DataPackageSync", json!([]), "InvalidRequest", "`detail.payload` must be an object"),
        ("DataPackageSync", package_of("L17"), "SourceNotFound", "L17"),
        (
            "DataPushSync",
            json!({ "packageId": "x", "shareDestination": "s3://dest/in/" }),
            "InvalidRequest",
            "packageId",
        ),
        (
            "DataPushSync",
            json!({ "packageId": "pkg.01M8P176469MSSA0NDVMCQHTP0", "shareDestination": "s3://dest/in/" }),
            "SourceNotFound",
            "is not known",
        ),
    ];
    for (n, (detail_type, payload, error, says)) in cases.into_iter().enumerate() {
        let token = format!("t{n}");
        event(&house, &format!("e{n}"), detail_type, json!({ "taskToken": token, "payload": payload })).await;
        let (name, cause) = house.failure(&token, 5 * MINUTE).await;
        assert_eq!(name, error, "{cause}");
        assert!(cause["message"].as_str().unwrap().contains(says), "{cause}");
    }
    // Without a token it is left for a person to see.
    event(&house, "e9", "DataPushSync", json!({ "payload": {} })).await;
    sleep(MINUTE).await;
    assert_eq!(house.queue.dead_letters().await.unwrap().len(), 1);

    // A package that is too old, or was deleted, goes nowhere any more.
    let package =
        crate::sharing::made(&desk, json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] }))
            .await;
    sleep(Duration::from_hours(3)).await;
    let push = json!({ "packageId": package.id, "shareDestination": "s3://dest/in/" });
    event(&house, "e10", "DataPushSync", json!({ "taskToken": "old", "payload": push })).await;
    let (name, cause) = house.failure("old", 5 * MINUTE).await;
    assert_eq!(name, "SourceNotFound");
    assert!(cause["message"].as_str().unwrap().contains("has expired"), "{cause}");
    assert_eq!(keys(&house, "").await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn events_of_sources_that_may_not_ask_are_refused() {
    let mut house = house().await;
    house.settings.policy.event_sources = vec![String::from("portal.*").try_into().unwrap()];
    let instance = house.instance();
    event(&house, "e1", "DataPackageSync", json!({ "taskToken": "t", "payload": package_of("L2400001") }))
        .await;
    let (name, cause) = house.failure("t", MINUTE).await;
    assert_eq!(name, "PolicyDenied");
    assert!(cause["message"].as_str().unwrap().contains("policy.event_sources"), "{cause}");
    // Whoever asks through the API has shown who it is.
    let desk = desk(&house, &instance);
    let package =
        crate::sharing::made(&desk, json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] }))
            .await;
    for to in ["s3://dest/in/", "icav2://archive/in/"] {
        let pushed = crate::sharing::pushed(&desk, &package.id, to).await;
        assert_eq!(pushed.status, copy_manager::events::share::shown::JobStatus::Succeeded, "{pushed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_instances_on_one_table_make_a_package_once_and_list_the_same() {
    let house = house().await;
    let (one, other) = (house.instance(), house.instance());
    let (here, there) = (desk(&house, &one), desk(&house, &other));
    // Each hears of the same request, which came twice.
    for n in 0..8 {
        let library = if n % 2 == 0 { "L2400001" } else { "L2400002" };
        let asked =
            json!({ "taskToken": format!("t{n}"), "requestId": library, "payload": package_of(library) });
        event(&house, &format!("e{n}"), "DataPackageSync", asked).await;
    }
    for n in 0..8 {
        house.success(&format!("t{n}"), 5 * MINUTE).await;
    }
    let all = Wanted { rows_per_page: 100, page: 1, ..Wanted::default() };
    let (count, listed) = here.packages(&all).await.unwrap();
    assert_eq!((count, &listed), (2, &there.packages(&all).await.unwrap().1));
    let looks = crate::asking::calls(&house, "src", "HeadObject");
    assert_eq!(looks, 8, "each object is looked at once");
    sleep(10 * MINUTE).await;
    assert_eq!(house.unsettled().await, []);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_not_told_of_the_failure_of_another_event() {
    let house = house().await;
    house.faults(json!({ "s3": [{ "calls": ["HeadObject"], "delay": "3s" }] }));
    let _instance = house.instance();
    let asked = json!({ "taskToken": "t", "requestId": "one", "payload": package_of("L2400001") });
    event(&house, "e1", "DataPackageSync", asked.clone()).await;
    sleep(Duration::from_secs(2)).await;
    // The token of the one that runs stands in a request that says something else.
    let mut other = asked;
    other["payload"] = package_of("L2400002");
    event(&house, "e2", "DataPackageSync", other).await;
    assert_eq!(house.success("t", 5 * MINUTE).await["files"]["total"], 4);
}

#[tokio::test(start_paused = true)]
async fn a_name_can_be_used_again_once_its_request_is_forgotten() {
    let mut house = house().await;
    house.settings.service.keep = Duration::from_hours(1);
    // Its card is listed for much longer.
    for (name, more) in [("t1", json!({})), ("t2", json!({ "shareDestination": "s3://dest/in/" }))] {
        for round in 0..2 {
            let mut payload = package_of("L2400001");
            payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let token = format!("{name}-{round}");
            let instance = house.instance();
            let asked = json!({ "taskToken": token, "requestId": name, "payload": payload });
            event(&house, &token, "DataPackageSync", asked).await;
            assert_eq!(house.success(&token, 5 * MINUTE).await["status"], "SUCCEEDED", "{token}");
            drop(instance);
            sleep(Duration::from_hours(27)).await;
        }
    }
}
