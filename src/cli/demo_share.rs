//! `demo share`: a package of a simulated run, pushed, and checked against its receipt.
//!
//! Daemon and S3 are processes of this program, and so is each command: what is shown is what anybody would type.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::{
    signal::ctrl_c,
    time::{Instant, sleep},
};

use super::output;
use crate::admin::words::text as text_of;

const RUN: &str = "260102_A01052_0150_AH2YV7DSX5";
const LANES: u32 = 4;
const SAMPLES: u32 = 18;
/// Where the reads lie, and where they go.
const SOURCE: &str = "demo-sequencing";
const DESTINATION: &str = "s3://partner-lab/incoming/";
/// How long a process may take until it is ready, and how often it is looked.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// What the processes are told by their environment.
const SETTINGS: [(&str, &str); 11] = [
    ("COPY_MANAGER__ADMIN__LISTEN", "127.0.0.1:0"),
    ("COPY_MANAGER__SERVICE__TICK", "1s"),
    ("COPY_MANAGER__SHARE__LISTEN", "127.0.0.1:0"),
    // Only whoever is on this machine reaches it.
    ("COPY_MANAGER__SHARE__AUTH", "none"),
    ("COPY_MANAGER__SHARE__CATALOGUE", "catalogue.csv"),
    ("COPY_MANAGER__SHARE__LIMS", "lims.csv"),
    ("COPY_MANAGER__SHARE__ARTIFACTS", "artifacts"),
    ("COPY_MANAGER__LOG__FORMAT", "json"),
    ("AWS_ACCESS_KEY_ID", "demo"),
    ("AWS_SECRET_ACCESS_KEY", "demo"),
    ("AWS_REGION", "us-east-1"),
];

/// A process of this program that ends with this one.
pub(super) struct Running {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Running {
    pub(super) fn start(
        name: &'static str,
        folder: &Path,
        arguments: &[&str],
        more: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = this_program(folder, arguments, more)?;
        let child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn();
        Ok(Self { name, child: child.with_context(|| format!("cannot start {name}"))?, log })
    }

    /// The address that it tells with that message, once it does.
    pub(super) async fn address(&mut self, message: &str) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(line) = lines.find(|line| text_of(line, "message") == message) {
                return Ok(text_of(&line, "address").to_owned());
            }
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("{} has not started, see {}", self.name, self.log.display());
            }
            sleep(LOOK).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What cannot be ended has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn this_program(folder: &Path, arguments: &[&str], more: &[(&str, String)]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("this program is not found")?);
    command.args(arguments).current_dir(folder).env_remove("AWS_CA_BUNDLE").envs(SETTINGS);
    command.envs(more.iter().map(|(name, value)| (name, value)));
    Ok(command)
}

/// The processes, and what the commands need to reach them.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) environment: Vec<(&'static str, String)>,
}

impl Stage {
    /// Runs a command, shows it with what it says on stdout, and gives that back.
    pub(super) async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        output::talk(format_args!("\n$ copy-manager {}", arguments.join(" ")));
        let mut command = this_program(&self.folder, arguments, &self.environment)?;
        let done = tokio::task::spawn_blocking(move || command.stderr(Stdio::inherit()).output()).await??;
        let said = String::from_utf8_lossy(&done.stdout).trim().to_owned();
        if !said.is_empty() {
            output::data(&said)?;
        }
        if !done.status.success() {
            bail!("that has ended with {}, see the logs in {}", done.status, self.folder.display());
        }
        Ok(said)
    }
}

/// The run, as the S3 of the demo, the catalogue and the LIMS tell of it; how many files it has.
fn write_world(folder: &Path) -> anyhow::Result<usize> {
    let mut rows = "uri,library_id,instrument_run_id,lane\n".to_owned();
    let mut lims = "library_id,sequencing_run_id,project_id,external_subject_id,sample_id,type\n".to_owned();
    let mut objects = Vec::new();
    for sample in 1..=SAMPLES {
        let library = format!("LPRJ26{sample:04}");
        writeln!(lims, "{library},{RUN},demo-trauma,SBJ{sample:05},PRJ26{sample:04},WGS")?;
        for (lane, read) in (1..=LANES).flat_map(|lane| [(lane, 1), (lane, 2)]) {
            let key =
                format!("{RUN}/Samples/Lane_{lane}/{library}_S{sample}_L{lane:03}_R{read}_001.fastq.gz");
            writeln!(rows, "s3://{SOURCE}/{key},{library},{RUN},{lane}")?;
            objects.push(json!({ "key": key, "size": 64_000 + sample * 1000 + lane * 100 + read }));
        }
    }
    let many = objects.len();
    let buckets = json!([{ "name": SOURCE, "objects": objects }, { "name": "partner-lab" }]);
    for (name, text) in [
        ("world.json", json!({ "projects": [], "buckets": buckets }).to_string()),
        ("catalogue.csv", rows),
        ("lims.csv", lims),
    ] {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(many)
}

/// The id that a command tells, without what stands around it.
fn id_in(said: &str, prefix: &str) -> anyhow::Result<String> {
    let from = said.rfind(prefix).with_context(|| format!("no id in `{said}`"))?;
    let id = said.get(from..).unwrap_or_default();
    Ok(id.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '.').collect())
}

/// Makes a package, pushes it, and checks what has arrived.
pub(super) async fn run(keep: bool) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let folder = std::env::temp_dir().join(format!("copy-manager-demo-share.{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let many = write_world(&folder)?;

    let simulate =
        ["simulate", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--world", "world.json"];
    let mut world = Running::start("simulator", &folder, &simulate, &[])?;
    let platform = world.address("ready").await?;
    let s3 = format!("http://{}", world.address("simulated S3 is ready").await?);
    let mut environment = vec![
        ("AWS_ENDPOINT_URL_S3", s3),
        ("ICAV2_BASE_URL", format!("http://{platform}/ica/rest")),
        ("ICAV2_ACCESS_TOKEN", "demo".to_owned()),
    ];
    let mut daemon = Running::start("daemon", &folder, &["serve"], &environment)?;
    let address = format!("http://{}", daemon.address("sharing is open").await?);
    daemon.address("ready").await?;
    environment.push(("COPY_MANAGER_SHARE_ENDPOINT", address.clone()));
    output::talk(format_args!("sharing is open at {address}; everything runs in {}", folder.display()));

    let stage = Stage { folder, environment };
    let package = "demo-trauma";
    let made =
        ["share", "generate-package", "--package-name", package, "--lims-manifest-csv", "lims.csv", "--wait"];
    let id = id_in(&stage.run(&made).await?, "pkg.")?;
    stage.run(&["share", "view-package-report", "--package-id", &id]).await?;
    let push = [
        "share",
        "push-package",
        "--package-id",
        &id,
        "--share-location",
        DESTINATION,
        "--deliver",
        "md5,report",
        "--wait",
    ];
    let push = id_in(&stage.run(&push).await?, "psh.")?;
    let shown: Value =
        serde_json::from_str(&stage.run(&["share", "get-push-job-status", "--push-job-id", &push]).await?)?;
    let told = |what: &str| shown.pointer(what).and_then(Value::as_str).unwrap_or_default();
    let (receipt, sum) = (told("/receipt/uri"), told("/receipt/sha256"));
    stage.run(&["share", "verify", receipt, DESTINATION, "--sha256", sum]).await?;

    output::data(format_args!(
        "\n{many} files were packaged, pushed to {DESTINATION} and verified in {:.1} s",
        start.elapsed().as_secs_f64()
    ))?;
    if keep {
        output::talk(format_args!(
            "the report can be read, and the commands tried, until Ctrl-C: export COPY_MANAGER_SHARE_ENDPOINT={address}"
        ));
        ctrl_c().await.context("cannot wait for an interrupt")?;
    }
    drop((daemon, world));
    drop(fs::remove_dir_all(&stage.folder));
    Ok(ExitCode::SUCCESS)
}
