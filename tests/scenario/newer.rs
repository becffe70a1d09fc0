//! What only a newer version knows is left to it.

use std::time::Duration;

use copy_manager::ports::store::{Change, Item, READS, SCHEMA, Store as _, Value, Write};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    house::{House, TO},
    records::all,
};

const SUBMIT: &str = "POST /api/projects/{projectId}/dataCopyBatch";

/// A request that an instance has begun, which is gone.
async fn begun() -> House {
    let house = House::new(&[("/run/a.bam", 10, 2)], &[], &[], |_| {}).await;
    let first = house.instance();
    house.ask_as(&["/run/"], "/in/", "t", Some("t")).await;
    while house.calls(Some(SUBMIT)) == 0 {
        sleep(Duration::from_millis(100)).await;
    }
    drop(first);
    house
}

async fn set(house: &House, item: &Item, name: &str, value: Value) {
    house
        .store()
        .write(Write::update(item.key.clone(), vec![Change::Set(name.into(), value)]))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_in_a_phase_that_is_not_known_is_left_as_it_is() {
    let house = begun().await;
    let roots = async || {
        let mut items = all(&house).await;
        items.retain(|item| item.key.id_type == "REQUEST" && item.text("kind") == Some("copy"));
        items
    };
    let known = roots().await.remove(0);
    set(&house, &known, "phase", Value::Text("reviewed".into())).await;
    let _instance = house.instance();
    sleep(Duration::from_mins(20)).await;
    assert_eq!(roots().await[0].text("phase"), Some("reviewed"));
    assert_eq!((house.callers.answer("t"), house.calls(Some(SUBMIT))), (None, 1));
    // An instance that knows it takes it on.
    set(&house, &known, "phase", Value::Text(known.text("phase").unwrap().to_owned())).await;
    house.success("t", Duration::from_mins(20)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_request_a_newer_version_has_is_not_answered_for_it() {
    let house = begun().await;
    let items = all(&house).await;
    for item in &items {
        set(&house, item, SCHEMA, Value::Number(READS + 1)).await;
    }
    // It is delivered again, and its payload cannot be read, until it is one for the dead letters.
    house.faults(json!({"s3": [{"calls": ["GetObject"], "bucket": "requests", "status": 503}]}));
    let again = json!({"payloadS3Uri": "s3://requests/t.json", "taskToken": "t", "requestId": "t"});
    house.queue.push(again.to_string()).await.unwrap();
    let old = house.instance();
    sleep(Duration::from_mins(30)).await;
    assert_eq!(house.callers.answer("t"), None);
    assert_eq!(house.queue.dead_letters().await.unwrap().len(), 1);
    drop(old);
    for item in &items {
        set(&house, item, SCHEMA, Value::Number(READS)).await;
    }
    let _new = house.instance();
    house.success("t", Duration::from_mins(20)).await;
}
