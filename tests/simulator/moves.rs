//! Move batches: what is moved, what is not, and what is told of it.

use std::time::Duration;

use copy_manager::simulator::{Settings, faults::FaultChanges};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{ARCHIVE, Answer, LAB, Lab};

async fn start(lab: &Lab, ids: &[&str], project: &str, folder: &str) -> Answer {
    let items: Vec<Value> = ids.iter().map(|id| json!({"dataId": id})).collect();
    let body = json!({"items": items, "destinationFolderId": lab.id(project, folder).await});
    lab.post(&format!("/api/projects/{project}/dataMoveBatch"), body).await
}

async fn statuses(lab: &Lab, project: &str, batch: &Value, search: Value) -> Vec<Value> {
    let path =
        format!("/api/projects/{project}/dataMoveBatch/{}/items:search", batch["id"].as_str().unwrap());
    let found = lab.post(&path, search).await.body;
    let items = found["items"].as_array().unwrap();
    items.iter().map(|item| item["processing"]["status"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn files_and_folders_are_moved_with_their_ids() {
    let mut lab = Lab::new(Settings::default());
    let (file, deep) = (lab.id(LAB, "/run/one.txt").await, lab.id(LAB, "/run/deep/").await);
    let inside = lab.id(LAB, "/run/deep/er/c d+#%ü.bin").await;
    let before = lab.get(&format!("/api/projects/{LAB}/data/{inside}")).await.body;
    let batch = start(&lab, &[&file, &deep], ARCHIVE, "/in/").await;
    assert_eq!((batch.status.as_u16(), &batch.body["job"]["status"]), (201, &json!("INITIALIZED")));
    assert_eq!(batch.body["job"]["subjectId"], batch.body["id"]);
    assert_eq!(statuses(&lab, ARCHIVE, &batch.body, json!({})).await, ["QUEUED", "QUEUED"]);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(lab.job(&batch.body).await, "RUNNING");
    assert_eq!(statuses(&lab, ARCHIVE, &batch.body, json!({"status": ["MOVING"]})).await.len(), 2);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(lab.job(&batch.body).await, "SUCCEEDED");
    assert_eq!(statuses(&lab, ARCHIVE, &batch.body, json!({"status": [null]})).await, ["MOVED", "MOVED"]);
    let there: Vec<String> = lab.tree(ARCHIVE, "/in/").await.into_iter().map(|(path, _)| path).collect();
    let expected = ["/in/deep/", "/in/deep/er/", "/in/deep/er/c d+#%ü.bin", "/in/one.txt"];
    assert_eq!(there, expected);
    assert!(
        lab.tree(LAB, "/run/")
            .await
            .iter()
            .all(|(path, _)| !path.contains("deep") && !path.ends_with("one.txt"))
    );
    let after = lab.get(&format!("/api/projects/{ARCHIVE}/data/{inside}")).await.body;
    assert_eq!(after["data"]["details"]["objectETag"], before["data"]["details"]["objectETag"]);
    assert_eq!(after["data"]["details"]["owningProjectId"], ARCHIVE);
    assert_eq!(lab.get(&format!("/api/projects/{LAB}/data/{inside}")).await.status, 404);
    assert_eq!(lab.id(ARCHIVE, "/in/deep/").await, deep);
    let listed = lab.get("/api/jobs?status=SUCCEEDED").await.body;
    assert_eq!(listed["items"][0]["subjectType"], "ProjectDataMoveBatch");
    sleep(Duration::from_secs(1)).await;
    let mut told = Vec::new();
    while let Ok(event) = lab.events.try_recv() {
        told.push(event["payload"]["status"].as_str().unwrap().to_owned());
    }
    assert_eq!(told, ["INITIALIZED", "WAITING_FOR_RESOURCES", "RUNNING", "SUCCEEDED"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_moved_stays() {
    let lab = Lab::new(Settings::default());
    let (run, one) = (lab.id(LAB, "/run/").await, lab.id(LAB, "/run/one.txt").await);
    let created =
        lab.post(&format!("/api/projects/{LAB}/data:createFile"), json!({"name": "half"})).await.body;
    let half = created["data"]["id"].as_str().unwrap();
    let same = json!({"name": "one.txt", "folderPath": "/empty/"});
    lab.post(&format!("/api/projects/{LAB}/data:createFile"), same).await;
    for (id, into, why) in [
        (run.as_str(), "/run/deep/", "It cannot be moved to /run/deep/"),
        (half, "/empty/", "The data is not available"),
        (one.as_str(), "/empty/", "There is already data at /empty/one.txt"),
    ] {
        let batch = start(&lab, &[id], LAB, into).await.body;
        sleep(Duration::from_secs(2)).await;
        assert_eq!(lab.job(&batch).await, "FAILED", "{why}");
        let items = format!("/api/projects/{LAB}/dataMoveBatch/{}/items", batch["id"].as_str().unwrap());
        let found = lab.post(&format!("{items}:search"), json!({"status": ["FAILED"]})).await.body;
        let item = lab.get(&format!("{items}/{}", found["items"][0]["id"].as_str().unwrap())).await.body;
        assert_eq!(item["processing"]["additionalStatusInformation"], why);
    }
    let fails = FaultChanges { job_failure_rate: Some(1.0), ..FaultChanges::default() };
    lab.simulator.set_faults(fails);
    let batch = start(&lab, &[&one], ARCHIVE, "/in/").await.body;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(lab.job(&batch).await, "FAILED");
    assert_eq!(lab.id(LAB, "/run/one.txt").await, one);
}

#[tokio::test(start_paused = true)]
async fn wrong_requests_move_nothing() {
    let lab = Lab::new(Settings::default());
    let one = lab.id(LAB, "/run/one.txt").await;
    let path = format!("/api/projects/{ARCHIVE}/dataMoveBatch");
    for (body, status) in [
        (json!({"items": []}), 400),
        (json!({"items": [{"dataId": one}], "actionOnExist": "SKIP"}), 400),
        (json!({"items": [{"dataId": "fil.00000000000000000000000000000000"}]}), 404),
        (json!({"items": [{"dataId": one}], "destinationFolderId": lab.id(LAB, "/run/").await}), 404),
    ] {
        assert_eq!(lab.post(&path, body.clone()).await.status, status, "{body}");
    }
    assert_eq!(lab.get("/api/jobs").await.body["items"], json!([]));
}
