//! Listing, creating and deleting.

use std::time::Duration;

use copy_manager::simulator::Settings;
use http::{Method, StatusCode};
use pretty_assertions::assert_eq;
use serde_json::json;

use crate::support::{ARCHIVE, LAB, Lab, V4, paths, request};

const RUN: [&str; 6] = [
    "/run/B.fastq.gz",
    "/run/a.fastq.gz",
    "/run/b.fastq.gz",
    "/run/deep/",
    "/run/nothing.txt",
    "/run/one.txt",
];

#[tokio::test(start_paused = true)]
async fn cursors_are_complete() {
    let lab = Lab::new(Settings::default());
    for size in 1..=7 {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = lab
                .list(&format!("parentFolderPath=/run/&pageSize={size}&pageToken={token}&pageOffset="))
                .await;
            assert!(page.body.get("totalItemCount").is_none());
            seen.extend(paths(&page.body).into_iter().map(str::to_owned));
            let left = page.body["remainingRecords"].as_u64().unwrap();
            assert_eq!(left, (RUN.len() - seen.len()) as u64);
            token = page.body["nextPageToken"].as_str().unwrap().to_owned();
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, RUN, "pages of {size}");
    }
}

#[tokio::test(start_paused = true)]
async fn offsets_count_and_sort() {
    let lab = Lab::new(Settings::default());
    let page = lab.list("parentFolderPath=/run/&pageOffset=4&pageSize=3&pageToken=").await;
    assert_eq!(paths(&page.body), RUN[4..]);
    assert_eq!((&page.body["totalItemCount"], &page.body["nextPageToken"]), (&json!(6), &json!("")));
    let page = lab.list("parentFolderPath=/run/&type=FILE&sort=fileSizeInBytes%20desc,name&pageSize=3").await;
    assert_eq!(paths(&page.body), ["/run/a.fastq.gz", "/run/B.fastq.gz", "/run/b.fastq.gz"]);
    assert_eq!(page.body["totalItemCount"], 5);
}

#[tokio::test(start_paused = true)]
async fn filters_know_no_case() {
    let lab = Lab::new(Settings::default());
    let both = ["/run/B.fastq.gz", "/run/b.fastq.gz"];
    let deep = ["/run/deep/", "/run/deep/er/", "/run/deep/er/c d+#%ü.bin"];
    for (query, found) in [
        ("filename=b.FASTQ.gz&filenameMatchMode=EXACT&parentFolderPath=/run/", &both[..]),
        ("filename=b.FASTQ.gz&filenameMatchMode=EXACT", &both),
        ("filePath=/RUN/b.fastq.gz&filePathMatchMode=FULL_CASE_INSENSITIVE", &both),
        ("filePath=/run/deep/", &deep),
        ("filePath=/run/deep/&type=FOLDER", &deep[..2]),
        ("filePath=/run/deep/er/c%20d%2B%23%25%C3%9C", &deep[2..]),
        ("parentFolderPath=/RUN/&filename=one", &["/run/one.txt"]),
        ("filename=fastq&filenameMatchMode=EXCLUDE&parentFolderPath=/", &["/empty/", "/run/"]),
        ("parentFolderPath=/nowhere/", &[]),
        ("status=PARTIAL&status=DELETING", &[]),
    ] {
        assert_eq!(paths(&lab.list(query).await.body), found, "{query}");
    }
    let (one, other) = (lab.id(LAB, "/run/one.txt").await, lab.id(LAB, "/run/deep/").await);
    let found = lab.list(&format!("id={one}&id={other}")).await;
    assert_eq!(paths(&found.body), ["/run/deep/", "/run/one.txt"]);
    let children = lab.list(&format!("parentFolderId={other}")).await;
    assert_eq!(paths(&children.body), ["/run/deep/er/"]);
}

#[tokio::test(start_paused = true)]
async fn files_show_what_they_are() {
    let lab = Lab::new(Settings::default());
    let id = lab.id(LAB, "/run/a.fastq.gz").await;
    let answer = lab.get(&format!("/api/projects/{LAB}/data/{id}")).await;
    assert!(answer.headers.contains_key("etag"));
    let details = &answer.body["data"]["details"];
    assert_eq!(details["fileSizeInBytes"], 300_000);
    assert!(details["objectETag"].as_str().unwrap().ends_with("-3"));
    let id = lab.id(LAB, "/run/nothing.txt").await;
    let details = &lab.get(&format!("/api/projects/{LAB}/data/{id}")).await.body["data"]["details"];
    assert!(details["fileSizeInBytes"].is_null());
    assert_eq!(details["objectETag"], "d41d8cd98f00b204e9800998ecf8427e");
}

#[tokio::test(start_paused = true)]
async fn children_come_whole_or_in_pages() {
    let lab = Lab::new(Settings::default());
    let path = format!("/api/projects/{LAB}/data/{}/children", lab.id(LAB, "/run/").await);
    let whole = lab.get(&path).await.body;
    assert_eq!(whole["items"].as_array().unwrap().len(), 6);
    assert_eq!(whole["items"][0]["details"]["path"], "/run/B.fastq.gz");
    let mut paged = request(Method::GET, &format!("{path}?pageSize=4"), None);
    paged.headers_mut().insert("accept", V4.parse().unwrap());
    let paged = lab.send(paged).await.unwrap();
    assert_eq!(paged.headers["content-type"], V4);
    assert_eq!(paths(&paged.body), RUN[..4]);
    assert_eq!(paged.body["remainingRecords"], 2);
}

#[tokio::test(start_paused = true)]
async fn creating_makes_parents_and_refuses_names_that_exist() {
    let lab = Lab::new(Settings::default());
    let (file, folder) = (
        format!("/api/projects/{ARCHIVE}/data:createFile"),
        format!("/api/projects/{ARCHIVE}/data:createFolder"),
    );
    let made = lab
        .post(&file, json!({"name": "x", "folderPath": "/new/deep/", "folderId": null, "formatCode": null}))
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(made.body["data"]["details"]["path"], "/new/deep/x");
    assert_eq!(made.body["data"]["details"]["status"], "PARTIAL");
    let parent = lab.id(ARCHIVE, "/new/").await;
    assert_eq!(
        lab.post(&folder, json!({"name": "DEEP", "folderId": parent})).await.status,
        StatusCode::CREATED
    );
    assert_eq!(lab.post(&file, json!({"name": "top"})).await.body["data"]["details"]["path"], "/top");
    for (path, body) in [
        (&file, json!({"name": "x", "folderPath": "/new/deep/"})),
        (&folder, json!({"name": "deep", "folderPath": "/new/"})),
        (&file, json!({"name": "y", "folderPath": "/new/deep/x/"})),
    ] {
        assert_eq!(lab.post(path, body.clone()).await.status, StatusCode::CONFLICT, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn deleting_takes_time_and_all_below() {
    let lab = Lab::new(Settings { delete_delay: Duration::from_secs(5), ..Settings::default() });
    let (deep, file) = (lab.id(LAB, "/run/deep/").await, lab.id(LAB, "/run/deep/er/c d+#%ü.bin").await);
    let delete = request(Method::POST, &format!("/api/projects/{LAB}/data/{deep}:delete"), None);
    assert_eq!(lab.send(delete).await.unwrap().status, StatusCode::NO_CONTENT);
    let look = format!("/api/projects/{LAB}/data/{file}");
    assert_eq!(lab.get(&look).await.body["data"]["details"]["status"], "DELETING");
    let create = format!("/api/projects/{LAB}/data:createFile");
    let inside = json!({"name": "new", "folderPath": "/run/deep/"});
    assert_eq!(lab.post(&create, inside.clone()).await.status, StatusCode::CONFLICT);
    tokio::time::sleep(Duration::from_millis(4900)).await;
    assert_eq!(
        lab.list("filePath=/run/deep/&status=DELETING").await.body["items"].as_array().unwrap().len(),
        3
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(lab.get(&look).await.status, StatusCode::NOT_FOUND);
    assert_eq!(paths(&lab.list("filePath=/run/deep/").await.body), [""; 0]);
    assert_eq!(lab.post(&create, inside).await.status, StatusCode::CREATED);
}

#[tokio::test(start_paused = true)]
async fn idempotency_keys_replay_for_a_week() {
    let lab = Lab::new(Settings { latency: Duration::from_millis(10), ..Settings::default() });
    let path = format!("/api/projects/{ARCHIVE}/data:createFileWithUploadUrl");
    let keyed = |name: &str| {
        let mut request = request(Method::POST, &path, Some(json!({"name": name})));
        request.headers_mut().insert("idempotency-key", "key".parse().unwrap());
        request
    };
    let first = lab.send(keyed("x")).await.unwrap();
    assert_eq!(first.status, StatusCode::CREATED);
    let again = lab.send(keyed("x")).await.unwrap();
    assert_eq!((again.status, again.body), (first.status, first.body));
    assert_eq!(lab.send(keyed("y")).await.unwrap().status, StatusCode::UNPROCESSABLE_ENTITY);
    tokio::time::sleep(Duration::from_secs(7 * 24 * 3600 + 1)).await;
    assert_eq!(lab.send(keyed("x")).await.unwrap().status, StatusCode::CONFLICT, "a new call by then");
    assert_eq!(lab.send(keyed("y")).await.unwrap().status, StatusCode::CREATED, "refusals are not kept");
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_is_used_once_at_a_time() {
    let lab = Lab::new(Settings { latency: Duration::from_millis(10), ..Settings::default() });
    let path = format!("/api/projects/{ARCHIVE}/data:createFile");
    let keyed = || {
        let mut request = request(Method::POST, &path, Some(json!({"name": "x"})));
        request.headers_mut().insert("idempotency-key", "key".parse().unwrap());
        lab.send(request)
    };
    let (one, other) = tokio::join!(keyed(), keyed());
    assert_eq!((one.unwrap().status, other.unwrap().status), (StatusCode::CREATED, StatusCode::CONFLICT));
    assert_eq!(keyed().await.unwrap().status, StatusCode::CREATED, "the first answer");
}

#[tokio::test(start_paused = true)]
async fn projects_are_found() {
    let lab = Lab::new(Settings::default());
    let page = lab.get("/api/projects?pageOffset=0&pageSize=1&sort=name").await.body;
    assert_eq!((&page["items"][0]["name"], &page["totalItemCount"]), (&json!("archive"), &json!(2)));
    let page = lab.get("/api/projects?search=LA").await.body;
    assert_eq!((&page["items"][0]["id"], &page["remainingRecords"]), (&json!(LAB), &json!(0)));
    let own = lab.get(&format!("/api/projects/{ARCHIVE}/selfManagedStorageConfiguration")).await.body;
    assert_eq!(own["storageConfigurationSubFolder"], "s3://own-bucket/archive/");
}
