//! How lists are asked for, and what the simulated S3 was called for.

use serde_json::{Value, json};

use crate::house::House;

/// Puts a list, and asks for it to be copied to `dest`; `more` fields of the payload.
pub(crate) async fn ask(house: &House, token: &str, key: &str, list: &str, more: Value) {
    house.put_object("requests", key, list.as_bytes().to_vec()).await;
    let mut payload = json!({
        "sourceFilesCsvBucket": "requests", "sourceFilesCsvKey": key, "destinationBucket": "dest",
    });
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let event = json!({
        "id": token, "source": "orcabus.test", "detail-type": "S3CopyOutSync",
        "detail": {"taskToken": token, "payload": payload},
    });
    house.queue.push(event.to_string()).await.unwrap();
}

/// How often an operation was asked for in a bucket.
pub(crate) fn calls(house: &House, bucket: &str, operation: &str) -> u64 {
    let stats = house.simulator.stats();
    stats.buckets.get(bucket).and_then(|bucket| bucket.calls.get(operation)).copied().unwrap_or(0)
}
