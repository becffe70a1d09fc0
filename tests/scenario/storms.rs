//! What would keep a caller waiting after everything is well again.

use std::time::Duration;

use copy_manager::ports::store::Store as _;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::house::{House, TO};

const DELETE: &str = "POST /api/projects/{projectId}/data/{dataId}:delete";
const FILES: [(&str, u64, u32); 2] = [("/run/a.bam", 100, 2), ("/run/b.bam", 200, 2)];

/// The documents of all folders that are not settled.
async fn folders(house: &House) -> Vec<Value> {
    let mut documents = Vec::new();
    for key in house.unsettled().await {
        let item = house.store().get(&key).await.unwrap();
        if let Some(text) =
            item.as_ref().filter(|_| key.id_type == "FOLDER").and_then(|item| item.text("state"))
        {
            documents.push(serde_json::from_str(text).unwrap());
        }
    }
    documents
}

fn has_condemned(document: &Value) -> bool {
    document["condemned"].as_object().is_some_and(|condemned| !condemned.is_empty())
}

/// A house whose jobs fail until told otherwise, and leave PARTIAL files.
async fn house_of_failing_jobs() -> House {
    House::new(&FILES, &[], &[], |platform| {
        platform.job_failure_rate = 1.0;
        platform.latency = Duration::from_millis(100);
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn who_dies_on_the_way_to_a_deletion_costs_a_lease() {
    let house = house_of_failing_jobs().await;
    let first = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    while !folders(&house).await.iter().any(has_condemned) {
        sleep(Duration::from_millis(10)).await;
    }
    drop(first);
    house.faults(json!({"jobFailureRate": 0.0}));
    let _second = house.instance();
    house.success("t", Duration::from_mins(3)).await;
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_without_an_answer_costs_a_pause() {
    for after in [false, true] {
        let house = house_of_failing_jobs().await;
        let _instance = house.instance();
        let lost = json!({"call": DELETE, "times": 2, "status": "close", "after": after});
        house.faults(json!({"responses": [lost]}));
        house.ask(&["/run/"], "/in/", "t").await;
        while house.calls(Some(DELETE)) == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        house.faults(json!({"jobFailureRate": 0.0}));
        house.success("t", Duration::from_mins(3)).await;
        assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    }
}
