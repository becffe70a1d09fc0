//! Data by their URN, by the dates of their making and status, and what can be updated of them.

use std::time::Duration;

use copy_manager::simulator::Settings;
use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{ARCHIVE, Answer, LAB, Lab, paths, request};

async fn put(lab: &Lab, project: &str, id: &str, body: &Value, if_match: Option<&str>) -> Answer {
    let path = format!("/api/projects/{project}/data/{id}");
    let mut request = request(Method::PUT, &path, Some(body.clone()));
    if let Some(tag) = if_match {
        request.headers_mut().insert("if-match", tag.parse().unwrap());
    }
    lab.send(request).await.unwrap()
}

fn etag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn data_are_found_by_their_urn() {
    let lab = Lab::new(Settings::default());
    let id = lab.id(LAB, "/run/one.txt").await;
    let known = lab.get(&format!("/api/projects/{LAB}/data/{id}")).await;
    let urn = known.body["data"]["urn"].as_str().unwrap();
    let get = async |urn: &str| {
        let encoded: String = url::form_urlencoded::byte_serialize(urn.as_bytes()).collect();
        lab.get(&format!("/api/data/{encoded}")).await
    };
    for urn in [urn, urn.split('#').next().unwrap()] {
        let found = get(urn).await;
        assert_eq!((&found.body, etag(&found)), (&known.body["data"], etag(&known)), "{urn}");
    }
    let elsewhere = urn.replacen("region:c39b1feb", "region:00000000", 1);
    let unknown = urn.replacen(&id, "fil.00000000000000000000000000000000", 1);
    for (urn, status) in
        [(elsewhere.as_str(), 404), (unknown.as_str(), 404), (id.as_str(), 400), ("urn:ilmn:ica", 400)]
    {
        assert_eq!(get(urn).await.status, status, "{urn}");
    }
}

#[tokio::test(start_paused = true)]
async fn listings_know_when_data_were_made_and_changed_status() {
    let lab = Lab::new(Settings::default());
    let base = format!("/api/projects/{ARCHIVE}/data");
    sleep(Duration::from_mins(1)).await;
    let made = lab.post(&format!("{base}:createFileWithUploadUrl"), json!({"name": "x"})).await.body;
    sleep(Duration::from_mins(1)).await;
    lab.bytes(Method::PUT, &made["uploadUrl"], Some(b"x".to_vec())).await;
    for (query, expected) in [
        ("creationDateAfter=2026-01-01T00:00:59Z", &["/x"][..]),
        ("creationDateAfter=2026-01-01T00:01:00Z", &[]),
        ("creationDateBefore=2026-01-01T00:01:00Z", &["/in/"]),
        ("creationDateAfter=2025-12-31T00:00:00Z&creationDateBefore=2026-01-01T00:01:01Z", &["/in/", "/x"]),
        ("statusDateAfter=2026-01-01T00:01:30Z", &["/x"]),
        ("statusDateBefore=2026-01-01T00:01:30Z", &["/in/"]),
        ("statusDateAfter=2026-01-01T00:02:00Z", &[]),
        ("creationDateAfter=2026-01-01T00%3A00%3A59.000000%2B0000", &["/x"]),
    ] {
        let listed = lab.get(&format!("{base}?{query}")).await.body;
        assert_eq!(paths(&listed), expected, "{query}");
    }
    for wrong in ["creationDateAfter=yesterday", "statusDateBefore=2026-01-01"] {
        assert_eq!(lab.get(&format!("{base}?{wrong}")).await.status, 400, "{wrong}");
    }
    let folder = lab.id(LAB, "/run/").await;
    let children =
        format!("/api/projects/{LAB}/data/{folder}/children?creationDateAfter=2026-01-01T00:01:00Z");
    assert_eq!(lab.get(&children).await.body["items"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn tags_and_plans_are_updated_if_nothing_has_changed_since() {
    let lab = Lab::new(Settings::default());
    let id = lab.id(LAB, "/run/a.fastq.gz").await;
    let path = format!("/api/projects/{LAB}/data/{id}");
    let first = lab.get(&path).await;
    let mut body = first.body.clone();
    body["data"]["details"]["tags"]["userTags"] = json!(["mine"]);
    body["data"]["details"]["tags"]["technicalTags"] = json!(["theirs"]);
    body["data"]["details"]["tags"]["connectorTags"] = json!(null);
    body["data"]["details"]["willBeDeletedAt"] = json!("2027-01-01T00:00:00Z");
    let updated = put(&lab, LAB, &id, &body, Some(&etag(&first))).await;
    assert_eq!(updated.status, 200, "{}", updated.body);
    assert_eq!(updated.body["data"]["details"]["tags"]["userTags"], json!(["mine"]));
    assert_eq!(updated.body["data"]["details"]["tags"]["connectorTags"], json!([]));
    let now = lab.get(&path).await;
    assert_eq!((&now.body, etag(&now)), (&updated.body, etag(&updated)));
    assert_ne!(etag(&now), etag(&first));
    assert_eq!(now.body["data"]["details"]["willBeDeletedAt"], "2027-01-01T00:00:00Z");

    body["data"]["details"]["tags"]["userTags"] = json!(["late"]);
    assert_eq!(put(&lab, LAB, &id, &body, Some(&etag(&first))).await.status, 409);
    assert_eq!(lab.get(&path).await.body, now.body, "a stale update changes nothing");
    assert_eq!(put(&lab, LAB, &id, &body, None).await.status, 200, "nobody asked for the check");

    for (pointer, value) in [
        ("/projectId", json!(ARCHIVE)),
        ("/data/id", json!(lab.id(LAB, "/run/one.txt").await)),
        ("/data/details/name", json!("other.gz")),
        ("/data/details/path", json!("/run/other.gz")),
        ("/data/details/tags", json!({"colours": []})),
    ] {
        let mut wrong = body.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        assert_eq!(put(&lab, LAB, &id, &wrong, None).await.status, 400, "{pointer}");
    }
    let folder = lab.id(LAB, "/run/").await;
    let mut body = lab.get(&format!("/api/projects/{LAB}/data/{folder}")).await.body;
    body["data"]["details"]["tags"]["runInTags"] = json!(["x"]);
    assert_eq!(put(&lab, LAB, &folder, &body, None).await.status, 200);
    body["data"]["details"]["willBeArchivedAt"] = json!("2027-01-01T00:00:00Z");
    assert_eq!(put(&lab, LAB, &folder, &body, None).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn copies_take_the_tags_that_they_were_asked_to() {
    let lab = Lab::new(Settings::default());
    let id = lab.id(LAB, "/run/a.fastq.gz").await;
    let mut body = lab.get(&format!("/api/projects/{LAB}/data/{id}")).await.body;
    let tags = json!({"userTags": ["u"], "technicalTags": ["t"], "runInTags": ["r"]});
    body["data"]["details"]["tags"] = tags;
    assert_eq!(put(&lab, LAB, &id, &body, None).await.status, 200);
    let folder = lab.id(ARCHIVE, "/in/").await;
    let batch = json!({
        "items": [{"dataId": id}], "destinationFolderId": folder, "copyUserTags": true,
        "copyTechnicalTags": false, "copyInstrumentInfo": false, "actionOnExist": "SKIP",
    });
    lab.post(&format!("/api/projects/{ARCHIVE}/dataCopyBatch"), batch).await;
    sleep(Duration::from_secs(2)).await;
    let copy = lab.id(ARCHIVE, "/in/a.fastq.gz").await;
    let copy = lab.get(&format!("/api/projects/{ARCHIVE}/data/{copy}")).await.body;
    let tags = &copy["data"]["details"]["tags"];
    assert_eq!(
        (&tags["userTags"], &tags["technicalTags"], &tags["runInTags"]),
        (&json!(["u"]), &json!([]), &json!([]))
    );
}
