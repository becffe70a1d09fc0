//! Copies to a bucket of no project, from a shell: planned, made, repeated, refused.

use std::{collections::BTreeMap, process::Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    binary::Process,
    lab::{Platform, credentials, quick},
    watch::assert_shape,
};

/// A daemon, and a platform with an S3 beside it.
struct Harbour {
    daemon: Process,
    url: String,
    platform: Platform,
    environment: Vec<(String, String)>,
    directory: TempDir,
}

impl Harbour {
    async fn start(world: &Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let platform = Platform::start(&directory, world, &["--s3-listen", "127.0.0.1:0"], &[]).await;
        let own = [
            ("AWS_ENDPOINT_URL_S3", platform.s3_url().as_str()),
            ("COPY_MANAGER__ICAV2__S3_ENDPOINT_URL", &platform.s3_url()),
            ("AWS_REGION", "ap-southeast-2"),
            ("AWS_ACCESS_KEY_ID", "own"),
            ("AWS_SECRET_ACCESS_KEY", "own"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = [quick(&[]), credentials(&platform).to_vec(), own.to_vec()].concat();
        let mut daemon = Process::spawn("serve", directory.path(), &["serve"], &environment);
        let url = format!("http://{}", daemon.ready().await);
        Self { daemon, url, platform, environment, directory }
    }

    /// What a command says, with its code.
    async fn says(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_copy-manager"));
        command.args(arguments).env_clear().envs(self.environment.iter().cloned());
        command.current_dir(self.directory.path()).stdin(Stdio::null()).kill_on_drop(true);
        let said = command.output().await.unwrap();
        let shown = serde_json::from_slice(&said.stdout);
        (said.status.code(), shown.unwrap_or_else(|_| panic!("{said:?}")))
    }

    /// `copy-manager submit copy … --wait --json`.
    async fn submit(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let submit = ["submit", "copy", "--wait", "--json", "--server", &self.url];
        self.says(&[&submit, arguments].concat()).await
    }

    /// Size and content of each object of a bucket.
    async fn contents(&self, bucket: &str) -> BTreeMap<String, (u64, String)> {
        let objects = self.platform.objects(bucket).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        objects
            .iter()
            .map(|object| (text(&object["key"]), (object["size"].as_u64().unwrap(), text(&object["md5"]))))
            .collect()
    }
}

#[tokio::test]
async fn a_run_and_a_prefix_go_to_a_bucket() {
    let world = json!({
        "projects": [{
            "id": "5b1d1b36-9d2c-4a53-8f0e-6f3f6f2d1c01", "name": "lab", "byob": {"bucket": "lab-data", "prefix": "top/"},
            "files": [
                {"path": "/run/a b+c.bam", "size": 12_000_000, "parts": 2}, {"path": "/run/none.txt", "size": 0},
                {"path": "/run/Zoë – 試料 #1/50%41.txt", "size": 700},
            ],
        }],
        "buckets": [
            {"name": "src", "objects": [{"key": "r/a%2F+ü.txt", "size": 9}, {"key": "r/large", "size": 11_000_000, "parts": 2}]},
            {"name": "dest", "objects": [{"key": "in/r/kept", "size": 1}]},
            {"name": "closed", "deny": ["PutObject"]},
        ],
    });
    let harbour = Harbour::start(&world).await;
    let arguments = ["icav2://lab/run/", "s3://src/r/", "s3://dest/in/"];

    let (code, plan) = harbour.says(&[&["plan", "--json"], &arguments[..]].concat()).await;
    assert_eq!((code, &plan["totals"]["byRoute"]), (Some(0), &json!({"s3_copy": 2, "stream": 3})), "{plan}");
    assert_eq!(harbour.contents("dest").await.len(), 1);

    let (code, request) = harbour.submit(&arguments).await;
    assert_eq!(code, Some(0), "{request}");
    let output = &request["output"];
    assert_shape("outcome", output);
    assert_eq!((&output["files"]["copied"], &output["bytes"]), (&json!(5), &json!(23_000_709)));
    let (source, files) = (harbour.contents("src").await, harbour.platform.tree("lab", "/run/").await);
    let mut expected: BTreeMap<String, (u64, Value)> =
        source.into_iter().map(|(key, (size, md5))| (format!("in/{key}"), (size, json!(md5)))).collect();
    for file in files.iter().filter(|file| file["size"].is_u64()) {
        let key = format!("in{}", file["path"].as_str().unwrap());
        expected.insert(key, (file["size"].as_u64().unwrap(), file["md5"].clone()));
    }
    let mut there = harbour.contents("dest").await;
    assert!(there.remove("in/r/kept").is_some());
    let there: BTreeMap<_, _> =
        there.into_iter().map(|(key, (size, md5))| (key, (size, json!(md5)))).collect();
    assert_eq!((there.len(), &there), (5, &expected));
    assert_eq!(harbour.platform.uploads("dest").await, [Value::Null; 0]);
    let stats = harbour.platform.stats().await;
    assert_eq!(stats["buckets"]["src"]["calls"]["GetObject"], Value::Null, "what is in S3 is copied there");

    let (_, again) = harbour.submit(&arguments).await;
    assert_eq!(again["output"]["files"]["skipped"], 5, "{again}");
    let (code, refused) = harbour.submit(&["s3://src/r/", "s3://closed/in/"]).await;
    assert_eq!((code, &refused["error"]), (Some(3), &json!("PolicyDenied")));
    assert_shape("outcome", &refused["cause"]);
    let concluded = harbour.daemon.said("request concluded").len();
    assert_eq!(concluded, 3);
}
