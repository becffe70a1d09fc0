//! Large folders and large files.

use std::collections::BTreeSet;

use axum::body::Body;
use copy_manager::{
    http::transport::Transport as _,
    simulator::{
        Settings, Simulator,
        in_process::{InProcess, call},
        world::WorldFile,
    },
};
use futures_util::StreamExt as _;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::support::{LAB, paths, request};

fn simulator(files: &[Value]) -> std::sync::Arc<Simulator> {
    let world = json!({"projects": [{"id": LAB, "name": "lab", "files": files}]});
    Simulator::new(Settings::default(), WorldFile::parse(&world.to_string()).unwrap()).unwrap()
}

async fn send(simulator: &std::sync::Arc<Simulator>, method: Method, path: &str) -> Value {
    let answer = InProcess::new(simulator).send(request(method, path, None)).await.unwrap();
    serde_json::from_slice(answer.body()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_large_folder_comes_in_full_pages() {
    let file = |n| json!({"path": format!("/big/{n:04}"), "size": 10, "parts": 2});
    let simulator = simulator(&(0..2500).map(file).collect::<Vec<_>>());
    for query in ["parentFolderPath=/big/", "filePath=/big/&type=FILE"] {
        let (mut seen, mut sizes, mut token) = (BTreeSet::new(), Vec::new(), String::new());
        loop {
            let path = format!("/api/projects/{LAB}/data?{query}&pageSize=1000&pageToken={token}");
            let page = send(&simulator, Method::GET, &path).await;
            sizes.push(paths(&page).len());
            seen.extend(paths(&page).into_iter().map(str::to_owned));
            token = page["nextPageToken"].as_str().unwrap().to_owned();
            if token.is_empty() {
                break;
            }
        }
        assert_eq!((seen.len(), sizes), (2500, vec![1000, 1000, 500]), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_file_is_made_while_it_is_read() {
    const SIZE: u64 = 2 * 1024 * 1024 * 1024;
    let simulator = simulator(&[json!({"path": "/big.bam", "size": SIZE, "parts": 100})]);
    let path = format!("/api/projects/{LAB}/data:createDownloadUrls");
    let body = Some(json!({"dataPaths": ["/big.bam"]}));
    let urls = InProcess::new(&simulator).send(request(Method::POST, &path, body)).await.unwrap();
    let urls: Value = serde_json::from_slice(urls.body()).unwrap();
    let url = urls["items"][0]["url"].as_str().unwrap();
    let response = call(simulator.router(), Request::get(url).body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()["content-length"], SIZE.to_string());
    let mut chunks = response.into_body().into_data_stream().take(3);
    let mut read = 0;
    while let Some(chunk) = chunks.next().await {
        read += chunk.unwrap().len() as u64;
    }
    assert!(read < SIZE / 1000, "{read}");
    assert_eq!(simulator.stats().bytes_out, read);
}
