//! Packages and pushes that state machines ask for by events, and wait for.

use std::time::Duration;

use copy_manager::{domain::ids::RequestId, share::Backend as _};
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
    again["taskToken"] = "t3".into();
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
            "InvalidRequest",
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
    let _instance = house.instance();
    event(&house, "e1", "DataPackageSync", json!({ "taskToken": "t", "payload": package_of("L2400001") }))
        .await;
    let (name, cause) = house.failure("t", MINUTE).await;
    assert_eq!(name, "PolicyDenied");
    assert!(cause["message"].as_str().unwrap().contains("policy.event_sources"), "{cause}");
}
