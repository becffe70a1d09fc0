//! The bytes behind presigned URLs.

use std::time::Duration;

use axum::body::Body;
use copy_manager::simulator::{Settings, in_process};
use futures_util::stream;
use http::{Method, Request, StatusCode};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use crate::support::{ARCHIVE, LAB, Lab, read, request};

async fn download_url(lab: &Lab, project: &str, path: &str) -> Value {
    let id = lab.id(project, path).await;
    let url = format!("/api/projects/{project}/data/{id}:createDownloadUrl");
    lab.send(request(Method::POST, &url, None)).await.unwrap().body["url"].clone()
}

async fn create(lab: &Lab, name: &str) -> (String, Value) {
    let path = format!("/api/projects/{ARCHIVE}/data:createFileWithUploadUrl");
    let body = lab.post(&path, json!({"name": name, "folderPath": "/in/"})).await.body;
    (body["data"]["id"].as_str().unwrap().to_owned(), body["uploadUrl"].clone())
}

async fn details(lab: &Lab, id: &str) -> Value {
    lab.get(&format!("/api/projects/{ARCHIVE}/data/{id}")).await.body["data"]["details"].clone()
}

#[tokio::test(start_paused = true)]
async fn what_is_read_is_what_the_tree_says() {
    let lab = Lab::new(Settings::default());
    for entry in lab.simulator.tree("lab", "/run/").await.unwrap() {
        let Some(md5) = entry.md5 else { continue };
        let bytes =
            read(lab.bytes(Method::GET, &download_url(&lab, LAB, &entry.path).await, None).await).await;
        assert_eq!(Some(bytes.len() as u64), entry.size);
        assert_eq!(hex::encode(Md5::digest(&bytes)), md5, "{}", entry.path);
    }
    let stats = lab.simulator.stats();
    assert_eq!((stats.bytes_out, stats.bytes_in), (705_101, 0));
    assert!(!stats.calls.keys().any(|call| call.contains("/sim/")));
}

#[tokio::test(start_paused = true)]
async fn a_file_is_partial_until_its_bytes_are_indexed() {
    let lab = Lab::new(Settings { index_delay: Duration::from_secs(3), ..Settings::default() });
    let (id, url) = create(&lab, "new").await;
    assert_eq!(details(&lab, &id).await["status"], "PARTIAL");
    assert!(details(&lab, &id).await["objectETag"].is_null());
    let put = lab.bytes(Method::PUT, &url, Some(b"hello".to_vec())).await;
    assert_eq!(
        (put.status(), &put.headers()["etag"]),
        (StatusCode::OK, &http::HeaderValue::from_static("\"5d41402abc4b2a76b9719d911017c592\""))
    );
    tokio::time::sleep(Duration::from_millis(2999)).await;
    assert_eq!(details(&lab, &id).await["status"], "PARTIAL");
    tokio::time::sleep(Duration::from_millis(1)).await;
    let shown = details(&lab, &id).await;
    assert_eq!((&shown["status"], &shown["fileSizeInBytes"]), (&json!("AVAILABLE"), &json!(5)));
    assert_eq!(shown["objectETag"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(
        read(lab.bytes(Method::GET, &download_url(&lab, ARCHIVE, "/in/new").await, None).await).await,
        b"hello"
    );
}

#[tokio::test(start_paused = true)]
async fn a_broken_upload_leaves_the_file_partial() {
    let lab = Lab::new(Settings::default());
    let (id, url) = create(&lab, "new").await;
    let put = |body: Body, length: Option<u64>| {
        let mut request = Request::put(url.as_str().unwrap());
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        in_process::call(lab.simulator.router(), request.body(body).unwrap())
    };
    assert_eq!(put(Body::from("hello"), None).await.status(), StatusCode::LENGTH_REQUIRED);
    assert_eq!(put(Body::from("hello"), Some(6)).await.status(), StatusCode::BAD_REQUEST);
    let torn = stream::iter([Ok("hel"), Err(std::io::Error::other("gone"))]);
    assert_eq!(put(Body::from_stream(torn), Some(5)).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(details(&lab, &id).await["status"], "PARTIAL");
    let again = format!("/api/projects/{ARCHIVE}/data/{id}:createUploadUrl");
    let again = |status: u16| {
        let call = lab.send(request(Method::POST, &again, None));
        async move { assert_eq!(call.await.unwrap().status.as_u16(), status) }
    };
    again(200).await;
    assert_eq!(put(Body::from("hello"), Some(5)).await.status(), StatusCode::OK);
    again(400).await;
}

#[tokio::test(start_paused = true)]
async fn known_bytes_are_not_kept_twice() {
    let lab = Lab::new(Settings::default());
    let bytes =
        read(lab.bytes(Method::GET, &download_url(&lab, LAB, "/run/a.fastq.gz").await, None).await).await;
    let (_, url) = create(&lab, "copy").await;
    assert_eq!(lab.bytes(Method::PUT, &url, Some(bytes.clone())).await.status(), StatusCode::OK);
    let copy = &lab.simulator.tree("archive", "/in/").await.unwrap()[0];
    assert_eq!(copy.md5.as_deref(), Some(hex::encode(Md5::digest(&bytes)).as_str()));
    assert_eq!(copy.etag, copy.md5, "one PUT is one part");
}

#[tokio::test(start_paused = true)]
async fn urls_allow_what_they_were_made_for() {
    let lab = Lab::new(Settings::default());
    let read_url = download_url(&lab, LAB, "/run/one.txt").await;
    let (id, write_url) = create(&lab, "new").await;
    assert_eq!(lab.bytes(Method::GET, &write_url, None).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(lab.bytes(Method::PUT, &read_url, Some(vec![1])).await.status(), StatusCode::FORBIDDEN);
    let request_with_token = Request::get(read_url.as_str().unwrap()).header("authorization", "Bearer x");
    let refused =
        in_process::call(lab.simulator.router(), request_with_token.body(Body::empty()).unwrap()).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let many = format!("/api/projects/{ARCHIVE}/data:createDownloadUrls");
    assert_eq!(
        lab.post(&many, json!({"dataIds": [id]})).await.status,
        StatusCode::BAD_REQUEST,
        "still PARTIAL"
    );
    let foreign = lab.id(LAB, "/run/one.txt").await;
    assert_eq!(lab.post(&many, json!({"dataIds": [foreign]})).await.status, StatusCode::NOT_FOUND);
    let own = format!("/api/projects/{LAB}/data:createDownloadUrls");
    let both = lab.post(&own, json!({"dataIds": [foreign], "dataPaths": ["/run/nothing.txt"]})).await.body;
    assert_eq!(both["items"][0]["dataPath"], "/run/one.txt");
    assert_eq!(read(lab.bytes(Method::GET, &both["items"][1]["url"], None).await).await, b"");
}
