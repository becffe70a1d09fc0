//! Sharing from a shell, by the built binary: packaged, pushed, handed out, killed on the way.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{
    binary::Process,
    lab::{Platform, credentials, quick},
};

/// The token of everybody, and its sum.
const TOKEN: &str = "s3cr3t-of-sharing";
const SUM: &str = "a771cb1d697146d6def337d9f224be2dec41366276af4138832187b8310e35e2";
const PATIENCE: Duration = Duration::from_mins(1);
const RUN: &str = "241024_A00130_0336_BHW7MVDSXC";

/// A daemon that shares, and an S3 that is all that it knows.
struct Desk {
    daemon: Process,
    platform: Platform,
    endpoint: String,
    environment: Vec<(String, String)>,
    directory: TempDir,
    daemons: usize,
}

/// The rows of a catalogue and the objects that they name: so many files of one library.
fn files(many: usize) -> (String, Vec<Value>) {
    let mut rows = "uri,library_id,instrument_run_id,lane\n".to_owned();
    let mut objects = Vec::new();
    for n in 0..many {
        let key = format!("primary/{RUN}/L1_S{n}_L001_R1_001.fastq.gz");
        rows.push_str(&["s3://src/", &key, ",L1,", RUN, ",1\n"].concat());
        objects.push(json!({ "key": key, "size": 100 + n }));
    }
    (rows, objects)
}

impl Desk {
    async fn start(many: usize, more: Value, options: &[&str]) -> Self {
        Self::start_with(many, more, options, &[]).await
    }

    /// The same with settings of its own.
    async fn start_with(many: usize, more: Value, options: &[&str], settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (rows, objects) = files(many);
        let catalogue = directory.path().join("catalogue.csv");
        std::fs::write(&catalogue, rows).unwrap();
        std::fs::write(
            directory.path().join("lims.csv"),
            format!("library_id,sequencing_run_id\nL1_topup2,{RUN}\nL1,\n"),
        )
        .unwrap();
        let mut buckets = vec![json!({ "name": "src", "objects": objects }), json!({ "name": "dest" })];
        buckets.extend(more.as_array().cloned().unwrap_or_default());
        let options = [&["--s3-listen", "127.0.0.1:0"], options].concat();
        let platform =
            Platform::start(&directory, &json!({ "projects": [], "buckets": buckets }), &options, &[]).await;
        let own = [
            ("AWS_ENDPOINT_URL_S3", platform.s3_url().as_str()),
            ("AWS_REGION", "ap-southeast-2"),
            ("AWS_ACCESS_KEY_ID", "own"),
            ("AWS_SECRET_ACCESS_KEY", "own"),
            ("COPY_MANAGER__SHARE__LISTEN", "127.0.0.1:0"),
            ("COPY_MANAGER__SHARE__TOKENS", &format!("ann:admin:{SUM}")),
            ("COPY_MANAGER__SHARE__CATALOGUE", &catalogue.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = [quick(settings), credentials(&platform).to_vec(), own.to_vec()].concat();
        let daemon = Process::spawn("serve", directory.path(), &["serve"], &environment);
        let mut desk = Self { daemon, platform, endpoint: String::new(), environment, directory, daemons: 1 };
        desk.open().await;
        desk
    }

    /// Waits until it is open, and notes where.
    async fn open(&mut self) {
        self.daemon.ready().await;
        self.daemon.says("sharing is open").await;
        let line = self.daemon.said("sharing is open").remove(0);
        self.endpoint = format!("http://{}", line["address"].as_str().unwrap());
    }

    /// Kills the daemon, and starts another.
    async fn replace(&mut self) {
        self.daemon.kill();
        self.daemons += 1;
        let name = format!("serve-{}", self.daemons);
        self.daemon = Process::spawn(&name, self.directory.path(), &["serve"], &self.environment);
        self.open().await;
    }

    /// `copy-manager share …`: its code, and what it says.
    async fn share(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_copy-manager"));
        command.arg("share").args(arguments).env_clear();
        command.args(["--endpoint", &self.endpoint]).env("COPY_MANAGER_SHARE_TOKEN", TOKEN);
        command.current_dir(self.directory.path()).stdin(Stdio::null()).kill_on_drop(true);
        let said = command.output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (said.status.code(), text(&said.stdout), text(&said.stderr))
    }

    /// What a command that must succeed prints.
    async fn says(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.share(arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {stdout}\n{stderr}");
        stdout
    }

    /// What is shown of a package or a push.
    async fn shown(&self, id: &str) -> Value {
        let said = match id.split_once('.') {
            Some(("pkg", _)) => self.says(&["get-package-status", "--package-id", id]).await,
            _ => self.says(&["get-push-job-status", "--push-job-id", id]).await,
        };
        serde_json::from_str(&said).unwrap()
    }

    async fn ended(&self, id: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.shown(id).await;
            if !["PENDING", "RUNNING"].contains(&shown["status"].as_str().unwrap()) {
                return shown;
            }
            assert!(Instant::now() < deadline, "{id} did not end: {shown}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn packaged(&self) -> String {
        let said = self
            .says(&[
                "generate-package",
                "--package-name",
                "my-package",
                "--lims-manifest-csv",
                "lims.csv",
                "--wait",
            ])
            .await;
        let id = said.rsplit('"').nth(1).unwrap().to_owned();
        assert_eq!(said, format!("Starting packaging with id '{id}'\nGenerated package: \"{id}\""));
        id
    }

    /// The sums of the objects of a bucket below a prefix, by the rest of their keys.
    async fn sums(&self, bucket: &str, prefix: &str) -> BTreeMap<String, String> {
        let objects = self.platform.objects(bucket).await;
        let text = |object: &Value, name: &str| object[name].as_str().unwrap().to_owned();
        let below = objects.iter().filter_map(|object| {
            Some((text(object, "key").strip_prefix(prefix)?.to_owned(), text(object, "md5")))
        });
        below.collect()
    }
}

#[tokio::test]
async fn a_package_is_made_pushed_and_handed_out_from_a_shell() {
    let desk = Desk::start(20, json!([]), &[]).await;
    let package = desk.packaged().await;
    let shown = desk.shown(&package).await;
    assert_eq!(
        (&shown["status"], &shown["files"]["total"], &shown["requestedBy"]),
        (&json!("SUCCEEDED"), &json!(20), &json!("ann"))
    );

    let pushed = desk
        .says(&["push-package", "--package-id", &package, "--share-location", "s3://dest/in", "--wait"])
        .await;
    let push = pushed.rsplit('"').nth(1).unwrap();
    assert_eq!(pushed, format!("Starting push job '{push}'\nGenerated push job: \"{push}\""));
    let source = desk.sums("src", &format!("primary/{RUN}/")).await;
    assert_eq!(desk.sums("dest", &format!("in/fastq/{RUN}/Lane_1/L1/")).await, source);
    let again = desk
        .says(&["push-package", "--package-id", &package, "--share-location", "s3://dest/in/", "--wait"])
        .await;
    assert!(again.contains("Generated push job"), "{again}");
    let listed: Value =
        serde_json::from_str(&desk.says(&["list-push-jobs", "--package-id", &package]).await).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);

    // The report and the script are fetched as a recipient does it: by their addresses alone.
    let report = fetched(&desk.says(&["view-package-report", "--package-id", &package]).await, None).await;
    assert!(report.contains(&package) && report.contains("L1_S19_L001_R1_001.fastq.gz"), "{report}");
    let script = desk.directory.path().join("download.sh");
    fetched(&desk.says(&["presign-package", "--package-id", &package]).await, Some(&script)).await;
    let there = desk.directory.path().join("there");
    std::fs::create_dir(&there).unwrap();
    let run = async || {
        let mut bash = tokio::process::Command::new("bash");
        bash.arg(&script).args(["--jobs", "2", "--download-path"]).arg(&there).stdin(Stdio::null());
        let said = bash.output().await.unwrap();
        (said.status.code(), String::from_utf8_lossy(&said.stderr).into_owned())
    };
    let (code, said) = run().await;
    assert_eq!(code, Some(0), "{said}");
    for (name, md5) in &source {
        let file = std::fs::read(there.join(format!("fastq/{RUN}/Lane_1/L1/{name}"))).unwrap();
        assert_eq!(hex::encode(<md5::Md5 as md5::Digest>::digest(&file)), *md5, "{name}");
    }
    let (code, said) = run().await;
    assert_eq!((code, said.matches("File already exists: ").count()), (Some(0), 20), "{said}");

    // No capability, and no token, is in any line.
    let log = std::fs::read_to_string(desk.directory.path().join("serve.log")).unwrap_or_default();
    for secret in [TOKEN, "X-Amz-Signature", "/d/"] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_source_that_is_gone_and_one_that_was_overwritten_fail_alone() {
    let desk = Desk::start(5, json!([]), &[]).await;
    let package = desk.packaged().await;
    let s3 = crate::shore::client(&desk.platform);
    let key = |n: usize| format!("primary/{RUN}/L1_S{n}_L001_R1_001.fastq.gz");
    s3.delete_object().bucket("src").key(key(1)).send().await.unwrap();
    crate::shore::put(&s3, "src", &key(2), "another".to_owned()).await;
    let (code, said, _) = desk
        .share(&["push-package", "--package-id", &package, "--share-location", "s3://dest/in/", "--wait"])
        .await;
    assert_eq!(code, Some(1), "{said}");
    let push = said.split('\'').nth(1).unwrap();
    let shown = desk.ended(push).await;
    let why = shown["errorMessages"].as_str().unwrap();
    assert!(why.starts_with("2 files failed to copy, see s3://dest/in/ENDED_COPY__"), "{why}");
    assert_eq!(desk.sums("dest", "in/fastq/").await.len(), 3);
    assert!(
        said.ends_with(&format!(
            "see sfn logs '{}' for more information",
            shown["stepFunctionsExecutionArn"].as_str().unwrap()
        )),
        "{said}"
    );
}

#[tokio::test]
async fn a_daemon_that_is_killed_on_the_way_loses_nothing_and_copies_nothing_twice() {
    let mut desk = Desk::start(400, json!([]), &["--latency", "5ms"]).await;
    let said = desk
        .says(&["generate-package", "--package-name", "my-package", "--lims-manifest-csv", "lims.csv"])
        .await;
    let package = said.rsplit('"').nth(1).unwrap().to_owned();
    for _ in 0..2 {
        sleep(Duration::from_millis(150)).await;
        desk.replace().await;
    }
    let shown = desk.ended(&package).await;
    assert_eq!((&shown["status"], &shown["files"]["total"]), (&json!("SUCCEEDED"), &json!(400)), "{shown}");
    let said =
        desk.says(&["push-package", "--package-id", &package, "--share-location", "s3://dest/in/"]).await;
    let push = said.rsplit('\'').nth(1).unwrap().to_owned();
    for _ in 0..2 {
        sleep(Duration::from_millis(400)).await;
        desk.replace().await;
    }
    let shown = desk.ended(&push).await;
    assert_eq!(shown["status"], "SUCCEEDED", "{shown}");
    let source = desk.sums("src", &format!("primary/{RUN}/")).await;
    assert_eq!(desk.sums("dest", &format!("in/fastq/{RUN}/Lane_1/L1/")).await, source);
}

#[tokio::test]
async fn a_delivery_is_checked_against_its_receipt_wherever_it_is() {
    let desk = Desk::start(5, json!([]), &[]).await;
    let package = desk.packaged().await;
    let line = ["push-package", "--package-id", &package, "--share-location", "s3://dest/in/"];
    let dry = desk.says(&[&line[..], &["--dry-run"]].concat()).await;
    let preview: Value = serde_json::from_str(&dry).unwrap();
    assert_eq!((&preview["writable"], &preview["toCopy"]), (&json!(true), &json!(5)), "{dry}");
    assert!(desk.sums("dest", "").await.is_empty(), "nothing was written");
    let said = desk.says(&[&line[..], &["--deliver", "md5,ro-crate", "--wait"]].concat()).await;
    let shown = desk.shown(said.rsplit('"').nth(1).unwrap()).await;
    // Artifacts lie in a folder beside the database, as the daemon names it.
    let receipt = desk.directory.path().join(shown["receipt"]["uri"].as_str().unwrap());
    let sha256 = shown["receipt"]["sha256"].as_str().unwrap();

    // As a recipient has it, with the programs that are there anyway.
    let s3 = crate::shore::client(&desk.platform);
    let there = desk.directory.path().join("there");
    for path in desk.sums("dest", "in/").await.into_keys() {
        let body = s3.get_object().bucket("dest").key(format!("in/{path}")).send().await.unwrap().body;
        let file = there.join(&path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, body.collect().await.unwrap().to_vec()).unwrap();
    }
    let md5sum = async || {
        let mut md5sum = tokio::process::Command::new("md5sum");
        md5sum.args(["--check", "--strict", "md5sum.my-package.txt"]).current_dir(&there);
        let said = md5sum.output().await.unwrap();
        (said.status.success(), String::from_utf8_lossy(&said.stdout).matches(": OK").count())
    };
    assert_eq!(md5sum().await, (true, 5));
    let verify = async |place: &str| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_copy-manager"));
        command.args(["share", "verify"]).arg(&receipt).args([place, "--sha256", sha256]).env_clear();
        command.envs(desk.environment.iter().cloned()).stdin(Stdio::null());
        let said = command.output().await.unwrap();
        (said.status.code(), String::from_utf8_lossy(&said.stdout).into_owned())
    };
    let folder = there.display().to_string();
    for place in [folder.as_str(), "s3://dest/in"] {
        assert_eq!(verify(place).await, (Some(0), String::new()), "{place}");
    }

    // One byte of one file.
    let path = format!("fastq/{RUN}/Lane_1/L1/L1_S3_L001_R1_001.fastq.gz");
    let mut content = std::fs::read(there.join(&path)).unwrap();
    content[50] ^= 1;
    std::fs::write(there.join(&path), &content).unwrap();
    let changed = content.clone();
    s3.put_object().bucket("dest").key(format!("in/{path}")).body(changed.into()).send().await.unwrap();
    assert_eq!(md5sum().await, (false, 4));
    for place in [folder.as_str(), "s3://dest/in/"] {
        let (code, said) = verify(place).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with(&format!("{path}  has the ")), "{place}: {said}");
        assert_eq!(said.lines().count(), if place == folder { 2 } else { 1 }, "{said}");
        assert_eq!(said.contains(&format!("--only '{path}'")), place == folder, "{said}");
    }
    // A push brings it again, and nothing else.
    desk.says(&[&line[..], &["--wait"]].concat()).await;
    assert_eq!(verify("s3://dest/in/").await, (Some(0), String::new()));
}

/// What is at a quoted address; into a file, where one is named.
async fn fetched(quoted: &str, to: Option<&Path>) -> String {
    let url = quoted.trim_matches('"');
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", url]).stdin(Stdio::null());
    let said = curl.output().await.unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    if let Some(to) = to {
        std::fs::write(to, &said.stdout).unwrap();
    }
    String::from_utf8_lossy(&said.stdout).into_owned()
}

#[tokio::test]
async fn a_link_is_followed_from_a_script_counted_and_taken_back() {
    let settings = [("SHARE__PRESIGN", "links"), ("LOG__LEVEL", "trace")];
    let desk = Desk::start_with(20, json!([]), &[], &settings).await;
    let package = desk.packaged().await;
    let of = ["links", "--package-id", package.as_str()];
    let link: Value =
        serde_json::from_str(&desk.says(&[&of[..], &["--label", "Lab of Ann"]].concat()).await).unwrap();
    let script = desk.directory.path().join("download.sh");
    let text = fetched(link["script"].as_str().unwrap(), Some(&script)).await;
    let door = link["url"].as_str().unwrap();
    assert!(text.contains(&format!("'{door}/20'")) && !text.contains("X-Amz-"), "{text}");
    let run = async |place: &str| {
        let there = desk.directory.path().join(place);
        std::fs::create_dir_all(&there).unwrap();
        let mut bash = tokio::process::Command::new("bash");
        bash.arg(&script).args(["--jobs", "2", "--download-path"]).arg(&there).stdin(Stdio::null());
        let said = bash.output().await.unwrap();
        (said.status.code(), String::from_utf8_lossy(&said.stderr).into_owned(), there)
    };
    let (code, said, there) = run("there").await;
    assert_eq!(code, Some(0), "{said}");
    let source = desk.sums("src", &format!("primary/{RUN}/")).await;
    assert_eq!(source.len(), 20);
    for (name, md5) in &source {
        let file = std::fs::read(there.join(format!("fastq/{RUN}/Lane_1/L1/{name}"))).unwrap();
        assert_eq!(hex::encode(<md5::Md5 as md5::Digest>::digest(&file)), *md5, "{name}");
    }
    let listed: Value = serde_json::from_str(&desk.says(&of).await).unwrap();
    let bytes: u64 = (100..120).sum();
    assert_eq!((&listed[0]["label"], &listed[0]["createdBy"]), (&json!("Lab of Ann"), &json!("ann")));
    assert_eq!((&listed[0]["files"], &listed[0]["bytes"]), (&json!(20), &json!(bytes)), "{listed}");
    // The script that is handed out has a link of its own, of whoever asks.
    let handed = desk.says(&["presign-package", "--package-id", &package]).await;
    assert_eq!(desk.says(&["presign-package", "--package-id", &package]).await, handed);

    desk.says(&[&of[..], &["--revoke", link["id"].as_str().unwrap()]].concat()).await;
    let (code, said, there) = run("later").await;
    assert_eq!((code, said.contains("404")), (Some(2), true), "{said}");
    assert!(
        !there.join("fastq").exists()
            || std::fs::read_dir(there.join(format!("fastq/{RUN}/Lane_1/L1"))).unwrap().next().is_none()
    );
    assert!(fetched(&handed, None).await.starts_with("#!"), "another link is as good as before");

    // At the finest level: no link, no address that was signed, no token.
    let log = std::fs::read_to_string(desk.directory.path().join("serve.log")).unwrap();
    assert!(log.contains("\"level\":\"DEBUG\""), "{log}");
    let secret = door.rsplit('.').next().unwrap();
    let other = handed.split("/d/").nth(1).unwrap().split('/').next().unwrap();
    for capability in [TOKEN, secret, other, "X-Amz-Signature=0", "X-Amz-Signature=a"] {
        assert!(!log.contains(capability), "{capability}");
    }
}

#[tokio::test]
async fn the_demo_shows_a_package_pushed_and_verified() {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_copy-manager"));
    let begun = Instant::now();
    let done = command.args(["demo", "share"]).env_clear().kill_on_drop(true).output().await.unwrap();
    let (said, told) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}\n{told}");
    assert!(said.contains("/SummaryReport.demo-trauma.html\""), "{said}");
    assert!(
        said.contains("144 files were packaged, pushed to s3://partner-lab/incoming/ and verified"),
        "{said}"
    );
    assert!(told.contains("144 of 144 files are as the receipt says"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
