//! A daemon without any AWS beside an S3 that is all that it knows, and what a copy-out leaves there.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    binary::Process,
    lab::{Platform, credentials, quick},
    watch::assert_shape,
    within,
};

const PATIENCE: Duration = Duration::from_mins(1);
const REGION: &str = "ap-southeast-2";

/// What a simulator is told so that it serves S3.
pub(crate) const S3: [&str; 2] = ["--s3-listen", "127.0.0.1:0"];

/// What the start marker says.
pub(crate) const MARKER: &str =
    "A file created by copy out to ensure correct permissions and to indicate that start of the copy process";
/// The first line of a summary.
pub(crate) const HEADER: &str = "OBJECTNAME,TRANSFERSTATUS,MBPERSEC,MESSAGE";
/// What a summary says of what was there.
pub(crate) const EQUAL: &str =
    "destination file already exists with same checksum so nothing was transferred";

/// A daemon with its database, and an S3 that is all that it knows.
pub(crate) struct Shore {
    pub(crate) daemon: Process,
    pub(crate) platform: Platform,
    pub(crate) s3: Client,
    url: String,
    environment: Vec<(String, String)>,
    directory: TempDir,
    /// How many daemons there have been.
    daemons: usize,
}

impl Shore {
    /// One with those buckets, and options of the simulator.
    pub(crate) async fn start(buckets: Value, options: &[&str]) -> Self {
        Self::with(buckets, options, &[]).await
    }

    /// The same with settings of the daemon, named without `COPY_MANAGER__`.
    pub(crate) async fn with(buckets: Value, options: &[&str], settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = [&S3, options].concat();
        let world = json!({ "projects": [], "buckets": buckets });
        let platform = Platform::start(&directory, &world, &options, &[]).await;
        let own = [
            ("AWS_ENDPOINT_URL_S3", platform.s3_url().as_str()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "own"),
            ("AWS_SECRET_ACCESS_KEY", "own"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = [quick(settings), credentials(&platform).to_vec(), own.to_vec()].concat();
        let mut daemon = Process::spawn("serve", directory.path(), &["serve"], &environment);
        let url = format!("http://{}", daemon.ready().await);
        let s3 = client(&platform);
        Self { daemon, url, platform, s3, environment, directory, daemons: 1 }
    }

    /// Starts the daemon again, at the same address.
    pub(crate) async fn revive(&mut self) {
        self.revive_with(&[]).await;
    }

    /// The same with settings that change.
    pub(crate) async fn revive_with(&mut self, settings: &[(&str, &str)]) {
        self.daemons += 1;
        let listen = self.url.strip_prefix("http://").unwrap().to_owned();
        let same = [("ADMIN__LISTEN", listen.as_str())];
        let settings = same.iter().chain(settings);
        let settings = settings.map(|(key, value)| (format!("COPY_MANAGER__{key}"), (*value).to_owned()));
        self.environment.extend(settings);
        let name = format!("serve-{}", self.daemons);
        self.daemon = Process::spawn(&name, self.directory.path(), &["serve"], &self.environment);
        self.daemon.ready().await;
    }

    /// Puts a daemon in the place of the one that is there, with settings that change.
    pub(crate) async fn replace(&mut self, settings: &[(&str, &str)]) {
        self.daemon.kill();
        self.revive_with(settings).await;
    }

    /// `copy-manager submit copy-out … --wait --json`.
    pub(crate) fn submit(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = self.leave(arguments);
        command.args(["--wait", "--json"]);
        command
    }

    /// The same without waiting for the end.
    pub(crate) fn leave(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_copy-manager"));
        command.args(["submit", "copy-out", "--server", &self.url]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// The output of a request from the shell, which must succeed.
    pub(crate) async fn submitted(&self, arguments: &[&str]) -> Value {
        let submitted = self.submit(arguments).output().await.unwrap();
        assert!(submitted.status.success(), "{submitted:?}");
        let shown: Value = serde_json::from_slice(&submitted.stdout).unwrap();
        assert_shape("outcome", &shown["output"]);
        shown["output"].clone()
    }

    /// The id of a request that is asked for by event.
    pub(crate) async fn ask(&self, payload: &Value) -> String {
        let detail = json!({ "payload": payload });
        let entry = json!({ "Source": "lab.test", "DetailType": "S3CopyOutSync", "Detail": detail });
        let call = reqwest::Client::new().post(format!("{}/v1/events", self.url));
        let answer = call.json(&json!({ "Entries": [entry] })).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["Entries"][0]["EventId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// A request as it stands; `None` while it is not known.
    pub(crate) async fn request(&self, id: &str) -> Option<Value> {
        let request = reqwest::get(format!("{}/v1/requests/{id}", self.url)).await.unwrap();
        request.json().await.ok()
    }

    /// A request, once it has ended.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        within(PATIENCE, "the end of the request", async || {
            let request = self.request(id).await?;
            ["SUCCEEDED", "FAILED"].contains(&request["status"].as_str()?).then_some(request)
        })
        .await
    }

    /// The request of an event, once it has ended.
    pub(crate) async fn asked(&self, payload: &Value) -> Value {
        self.ended(&self.ask(payload).await).await
    }

    /// Puts a list, and asks for its objects to go to `dest`, with whatever more the payload says.
    pub(crate) async fn begun(&self, key: &str, list: &str, more: &Value) -> String {
        self.put("lists", key, list.to_owned()).await;
        let mut payload = json!({
            "sourceFilesCsvBucket": "lists", "sourceFilesCsvKey": key, "destinationBucket": "dest",
        });
        for (name, value) in more.as_object().unwrap() {
            payload[name] = value.clone();
        }
        self.ask(&payload).await
    }

    /// The same, once it has ended.
    pub(crate) async fn brought(&self, key: &str, list: &str, more: &Value) -> Value {
        self.ended(&self.begun(key, list, more).await).await
    }

    pub(crate) async fn put(&self, bucket: &str, key: &str, text: String) {
        put(&self.s3, bucket, key, text).await;
    }

    pub(crate) async fn get(&self, bucket: &str, key: &str) -> String {
        get(&self.s3, bucket, key).await
    }

    /// How often that was asked of that bucket.
    pub(crate) async fn calls(&self, bucket: &str, operation: &str) -> u64 {
        let stats = self.platform.stats().await;
        stats["buckets"][bucket]["calls"][operation].as_u64().unwrap_or(0)
    }

    pub(crate) async fn contents(&self, bucket: &str) -> BTreeMap<String, (u64, String)> {
        contents(&self.platform, bucket).await
    }
}

pub(crate) fn client(platform: &Platform) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .region(Region::new(REGION))
        .endpoint_url(platform.s3_url())
        .force_path_style(true);
    Client::from_conf(config.build())
}

pub(crate) async fn put(s3: &Client, bucket: &str, key: &str, text: String) {
    s3.put_object().bucket(bucket).key(key).body(text.into_bytes().into()).send().await.unwrap();
}

pub(crate) async fn get(s3: &Client, bucket: &str, key: &str) -> String {
    let object = s3.get_object().bucket(bucket).key(key).send().await.unwrap();
    String::from_utf8(object.body.collect().await.unwrap().to_vec()).unwrap()
}

/// Size and `ETag` of every object, by key.
pub(crate) async fn contents(platform: &Platform, bucket: &str) -> BTreeMap<String, (u64, String)> {
    let objects = platform.objects(bucket).await;
    let entry = |object: &Value| {
        let text = |name: &str| object[name].as_str().unwrap().to_owned();
        (text("key"), (object["size"].as_u64().unwrap(), text("etag")))
    };
    objects.iter().map(entry).collect()
}

pub(crate) fn totals(copied: usize, there: usize) -> Value {
    json!({ "total": copied + there, "copied": copied, "alreadyCopied": there, "errors": 0 })
}

/// A field as RFC 4180 has it.
pub(crate) fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

/// The first two columns of a summary, in its order, with whatever quotes are around them.
pub(crate) fn rows(summary: &str) -> Vec<(&str, &str)> {
    let mut lines = summary.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let columns = |line| {
        let statuses = [",COPIED,", ",ALREADYCOPIED,", ",ERROR,"];
        let found = statuses.into_iter().find_map(|status| Some((str::split_once(line, status)?.0, status)));
        let (name, status) = found.unwrap_or_else(|| panic!("{line}"));
        (name, status.trim_matches(','))
    };
    lines.map(columns).collect()
}
