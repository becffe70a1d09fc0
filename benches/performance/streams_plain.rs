//! The same bytes, copied as plainly as can be: one GET whose body is the body of one PUT.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::{
    stage::side_by_side,
    support::{exchange, now},
};

const LAB: &str = "11111111-1111-4111-8111-000000000001";
const ARCHIVE: &str = "11111111-1111-4111-8111-000000000002";
const V3: &str = "application/vnd.illumina.v3+json";

/// Calls the API as a proper client does.
fn call(controls: &str, path: &str, body: &Value) -> Value {
    let head = format!(
        "POST /ica/rest/api/projects/{path} HTTP/1.0\r\nAuthorization: Bearer bench\r\nAccept: {V3}\r\nContent-Type: {V3}"
    );
    let (status, answer) = exchange(controls, &head, &body.to_string());
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
    serde_json::from_str(&answer).unwrap()
}

/// For each path a URL to read it by, and one to write a copy of it by.
fn urls(controls: &str, paths: &[String], name: &str) -> Vec<(String, String)> {
    let read = call(controls, &format!("{LAB}/data:createDownloadUrls"), &json!({ "dataPaths": paths }));
    let read = read["items"].as_array().unwrap().iter().map(|item| item["url"].as_str().unwrap().to_owned());
    let write = |n: usize| {
        // Of its own: nothing else is written there.
        let body =
            json!({"name": format!("{name}-{n:02}-{}", paths[n].replace('/', "-")), "folderPath": "/in/"});
        let made = call(controls, &format!("{ARCHIVE}/data:createFileWithUploadUrl"), &body);
        made["uploadUrl"].as_str().unwrap().to_owned()
    };
    read.enumerate().map(|(n, read)| (read, write(n))).collect()
}

/// With one HTTP client, so many at a time.
pub(crate) fn by_hand(controls: &str, paths: &[String], size: usize, at_once: usize, name: &str) -> Duration {
    let urls = urls(controls, paths, name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let client = reqwest::Client::new();
    let copy = async |(read, write): (String, String)| {
        let from = client.get(read).send().await.unwrap().error_for_status().unwrap();
        let body = reqwest::Body::wrap_stream(from.bytes_stream());
        let put = client.put(write).header("content-length", size).body(body);
        put.send().await.unwrap().error_for_status().unwrap();
    };
    let began = now();
    runtime.block_on(stream::iter(urls).for_each_concurrent(at_once, copy));
    began.elapsed()
}

pub(crate) fn has_curl() -> bool {
    Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// With two processes a file, so many files at a time.
pub(crate) fn by_curl(controls: &str, paths: &[String], size: usize, at_once: usize, name: &str) -> Duration {
    let urls = urls(controls, paths, name);
    let began = now();
    side_by_side(&urls, at_once, |(read, write)| {
        let curl = || {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--fail", "--show-error"]);
            curl
        };
        let mut from = curl().arg(read).stdout(Stdio::piped()).spawn().unwrap();
        let length = format!("Content-Length: {size}");
        let mut to = curl();
        to.args([
            "--header",
            &length,
            "--header",
            "Transfer-Encoding:",
            "--header",
            "Expect:",
            "--upload-file",
            "-",
            "--output",
            "/dev/null",
        ]);
        let put = to.arg(write).stdin(from.stdout.take().unwrap()).status().unwrap();
        assert!(put.success() && from.wait().unwrap().success(), "curl failed");
    });
    began.elapsed()
}
