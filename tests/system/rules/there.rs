//! The world of the table, and what there is in it.

use std::collections::BTreeMap;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::Row;
use crate::lab::Platform;

const LAB: &str = "5b1d1b36-9d2c-4a53-8f0e-6f3f6f2d1c01";
const ARCHIVE: &str = "c0a8c7d2-33e4-4b7b-9a55-0e8d3a5b7f02";
/// As much as S3 wants in a part.
const MB: u64 = 1 << 20;
const PROJECTS: [&str; 7] = ["lab", "inner", "archive", "cloud", "guest", "north", "south"];
const OUTSIDE: &str = "outside-data";

pub(super) fn world() -> Value {
    let file = |(path, size, parts, status): (&str, u64, u32, &str)| json!({"path": path, "size": size, "parts": parts, "status": status});
    let (is, cold, torn) = ("AVAILABLE", "ARCHIVED", "PARTIAL");
    let lab = [
        ("/run/a.bam", 3_000, 3, is),
        ("/run/b.bam", 2_000, 2, is),
        ("/run/s.txt", 100, 1, is),
        ("/run/deep/c.txt", 50, 1, is),
        ("/vcf/a.vcf", 10, 1, is),
        ("/vcf/a.vcf.gz", 12, 1, is),
        ("/swap/a.bam", 11 * MB, 2, is),
        ("/swap/b.bam", 12 * MB, 2, is),
        ("/swap/a.txt", 20, 1, is),
        ("/swap/b.txt", 21, 1, is),
        ("/twin/x.txt", 5, 1, is),
        ("/twin/run", 6, 2, is),
        ("/deepest/1/2/3/x.txt", 5, 1, is),
        ("/many/1.txt", 1, 1, is),
        ("/many/2.txt", 2, 1, is),
        ("/many/3.txt", 3, 1, is),
        ("/many/4/4.txt", 4, 1, is),
        ("/many/4/5.txt", 5, 1, is),
        ("/many/4/6.txt", 6, 1, is),
        ("/poison/bad.bam", 400, 2, is),
        ("/poison/good.bam", 500, 2, is),
        ("/poison/more/fine.bam", 600, 2, is),
        ("/cold/old.bam", 700, 2, cold),
        ("/cold/torn.txt", 70, 1, torn),
        ("/cold/fine.bam", 800, 2, is),
        ("/cold/fine.txt", 80, 1, is),
    ];
    let archive = [
        ("/rename-beside/a.bam", 3_000, 3, is),
        ("/run/s.txt", 100, 1, is),
        ("/by-size/a.bam", 3_000, 3, is),
        ("/size-fail/s.txt", 101, 1, is),
        ("/size-overwrite/s.txt", 101, 1, is),
        ("/size-skip/s.txt", 101, 1, is),
        ("/md5-fail/s.txt", 100, 1, is),
        ("/md5-overwrite/s.txt", 100, 1, is),
        ("/md5-skip/s.txt", 100, 1, is),
        ("/job-fail/a.bam", 2_999, 3, is),
        ("/job-overwrite/a.bam", 2_999, 3, is),
        ("/job-skip/a.bam", 2_999, 3, is),
        ("/archived-fail/s.txt", 100, 1, cold),
        ("/archived-overwrite/s.txt", 100, 1, cold),
        ("/archived-skip/s.txt", 100, 1, cold),
        ("/partial-stream/s.txt", 100, 1, torn),
        ("/partial-job/a.bam", 3_000, 3, torn),
        ("/deleting-stream/s.txt", 101, 1, is),
        ("/deleting-job/a.bam", 2_999, 3, is),
        ("/default-skip/s.txt", 101, 1, is),
        ("/default-overruled/s.txt", 101, 1, is),
        ("/dry-conflict/s.txt", 101, 1, is),
    ];
    let folders = ["/folder-fail/s.txt/", "/folder-overwrite/s.txt/", "/folder-skip/s.txt/"];
    json!({
        "projects": [
            {"id": LAB, "name": "lab", "byob": {"bucket": "lab-data", "prefix": "top/"},
                "folders": ["/run/empty/", "/poison/void/"], "files": lab.map(file)},
            {"id": "5b1d1b36-9d2c-4a53-8f0e-6f3f6f2d1c03", "name": "inner",
                "byob": {"bucket": "lab-data", "prefix": "top/inner/"}, "files": [{"path": "/x.txt", "size": 33}]},
            {"id": ARCHIVE, "name": "archive", "byob": {"bucket": "archive-data"},
                "folders": folders, "files": archive.map(file)},
            {"id": "c0a8c7d2-33e4-4b7b-9a55-0e8d3a5b7f04", "name": "cloud"},
            {"id": "c0a8c7d2-33e4-4b7b-9a55-0e8d3a5b7f05", "name": "guest", "links": [
                {"project": "lab", "path": "/run/", "to": "/shared/"},
                {"project": "lab", "path": "/vcf/a.vcf", "to": "/shared/"}]},
            {"id": "c0a8c7d2-33e4-4b7b-9a55-0e8d3a5b7f06", "name": "north", "tenant": "north",
                "files": [{"path": "/n.bam", "size": 900, "parts": 3}, {"path": "/n.txt", "size": 90}]},
            {"id": "c0a8c7d2-33e4-4b7b-9a55-0e8d3a5b7f07", "name": "south", "tenant": "south",
                "files": [{"path": "/secret.txt", "size": 9}]},
        ],
        "buckets": [
            {"name": OUTSIDE, "objects": [
                {"key": "ref/genome.fa", "size": 11 * MB, "parts": 2}, {"key": "ref/sub/x.txt", "size": 30},
                {"key": "ref/none.txt", "size": 0}, {"key": "lone", "size": 40},
                {"key": "cold/old", "size": 5, "storageClass": "GLACIER"}, {"key": "cold/fine", "size": 6},
                {"key": "deep/1/2/3/x", "size": 7}, {"key": "odd/a", "size": 3}, {"key": "odd/b/", "size": 25},
                {"key": "same/x", "size": 3}, {"key": "same/x/y", "size": 4},
                {"key": "many/1", "size": 1}, {"key": "many/2", "size": 1}, {"key": "many/3", "size": 1},
                {"key": "many/4", "size": 1}, {"key": "many/5", "size": 1}, {"key": "many/6", "size": 1}]},
            {"name": "private-data", "objects": [{"key": "x", "size": 1}]},
            {"name": "payloads"},
        ],
        "accounts": [
            {"token": "both-tenants", "tenants": ["simulated", "north", "south"]},
            {"token": "northern", "tenants": ["north"]},
        ],
    })
}

/// Everything there is: path → content, none for folders.
#[derive(Debug)]
pub(super) struct Places {
    projects: BTreeMap<&'static str, BTreeMap<String, Option<String>>>,
    objects: BTreeMap<String, String>,
}

impl Places {
    pub(super) async fn read(platform: &Platform) -> Self {
        let mut projects = BTreeMap::new();
        for project in PROJECTS {
            let mut tree = BTreeMap::new();
            for entry in platform.tree(project, "/").await {
                let path = entry["path"].as_str().unwrap().to_owned();
                let content = if entry["type"] == "FOLDER" {
                    None
                } else {
                    let (md5, status) = (entry["md5"].as_str().unwrap_or("none"), &entry["status"]);
                    Some(format!("{md5} {}", status.as_str().unwrap()))
                };
                tree.insert(path, content);
            }
            projects.insert(project, tree);
        }
        let s3 = client(platform);
        let mut objects = BTreeMap::new();
        for key in ["ref/genome.fa", "ref/sub/x.txt", "ref/none.txt", "lone", "cold/fine"] {
            let object = s3.get_object().bucket(OUTSIDE).key(key).send().await.unwrap();
            let bytes = object.body.collect().await.unwrap().into_bytes();
            let content = format!("{} AVAILABLE", hex::encode(Md5::digest(&bytes)));
            objects.insert(format!("s3://{OUTSIDE}/{key}"), content);
        }
        Self { projects, objects }
    }

    /// What is below a folder, by path from there.
    pub(super) fn below(&self, project: &str, folder: &str) -> BTreeMap<String, Option<String>> {
        let inside = |(path, content): (&String, &Option<String>)| {
            let rest = path.strip_prefix(folder).filter(|rest| !rest.is_empty())?;
            Some((rest.to_owned(), content.clone()))
        };
        self.projects[project].iter().filter_map(inside).collect()
    }

    /// The content of `project:/path` or of an object.
    pub(super) fn content(&self, of: &str) -> String {
        if let Some(content) = self.objects.get(of) {
            return content.clone();
        }
        let (project, path) = of.split_once(':').unwrap();
        self.projects[project].get(path).unwrap_or_else(|| panic!("there is no {of}")).clone().unwrap()
    }
}

fn client(platform: &Platform) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .region(Region::new("ap-southeast-2"))
        .endpoint_url(platform.s3_url())
        .force_path_style(true);
    aws_sdk_s3::Client::from_conf(config.build())
}

/// Objects that hold payloads, or no payload.
pub(super) async fn put_payloads(platform: &Platform) {
    let good = json!({
        "sourceUriList": ["icav2://lab/vcf/a.vcf"], "destinationUri": "icav2://archive/s3-payload/",
    });
    for (key, body) in [("good.json", good.to_string()), ("bad.json", "{\"sourceUriList\":".to_owned())] {
        let put = client(platform).put_object().bucket("payloads").key(key).body(body.into_bytes().into());
        put.send().await.unwrap();
    }
}

async fn api(platform: &Platform, call: reqwest::RequestBuilder) -> reqwest::Response {
    let call =
        call.header("authorization", "Bearer any").header("accept", "application/vnd.illumina.v3+json");
    let answer = call.send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?} at {}", platform.url());
    answer
}

async fn id(platform: &Platform, project: &str, path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap();
    let url = format!("{}/api/projects/{project}/data", platform.url());
    let query = [("parentFolderPath", format!("{folder}/")), ("filename", name.to_owned())];
    let list = api(platform, reqwest::Client::new().get(url).query(&query)).await;
    let list: Value = list.json().await.unwrap();
    let exact = list["items"].as_array().unwrap().iter().find(|item| item["data"]["details"]["path"] == path);
    exact.unwrap()["data"]["id"].as_str().unwrap().to_owned()
}

/// The rows with the id of `/vcf/a.vcf` in the place of `@a.vcf`.
pub(super) async fn with_ids(platform: &Platform, mut rows: Vec<Row>) -> Vec<Row> {
    let id = id(platform, LAB, "/vcf/a.vcf").await;
    for row in &mut rows {
        row.detail = serde_json::from_str(&row.detail.to_string().replace("@a.vcf", &id)).unwrap();
    }
    rows
}

/// Begins to delete files of `archive`.
pub(super) async fn delete(platform: &Platform, paths: &[&str]) {
    for path in paths {
        let id = id(platform, ARCHIVE, path).await;
        let url = format!("{}/api/projects/{ARCHIVE}/data/{id}:delete", platform.url());
        api(platform, reqwest::Client::new().post(url)).await;
    }
}
