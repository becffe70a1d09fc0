//! Who copies between buckets: this project's daemon, `rclone copy` and `s5cmd cp`.

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::{
    figures::scaled,
    support::{BINARY, PEAK, memory, now, with_keys},
};

/// Calls that each tool may have under way.
const AT_ONCE: &str = "256";
pub(crate) const OURS: &str = "copy-manager";

/// What is copied: its folder in the bucket, how many objects, and of how many bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) folder: &'static str,
    pub(crate) count: usize,
    pub(crate) size: u64,
}

impl Load {
    pub(crate) fn all() -> [Self; 3] {
        [
            Self { folder: "small", count: scaled(5000, 50), size: 10 << 10 },
            Self { folder: "large", count: scaled(20, 4), size: 64 << 20 },
            Self { folder: "many", count: scaled(10_000, 100), size: 10 << 10 },
        ]
    }

    pub(crate) fn keys(self) -> impl Iterator<Item = String> {
        (0..self.count).map(|n| format!("{n:06}"))
    }

    /// The list of its objects, as our daemon reads it.
    pub(crate) fn list(self) -> String {
        self.keys().flat_map(|key| ["src,", self.folder, "/", &key, "\n"].map(str::to_owned)).collect()
    }
}

/// What one run has cost.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    /// Processor seconds of the tool, and of the simulator meanwhile.
    pub(crate) own: f64,
    pub(crate) simulator: f64,
    /// MiB.
    pub(crate) memory: f64,
    pub(crate) calls: BTreeMap<String, u64>,
}

/// Runs a command to its end; how long that took, and how much memory it had.
pub(crate) fn run(command: &mut Command, errors: &Path) -> (f64, f64) {
    let over = AtomicBool::new(false);
    let began = now();
    let said = fs::File::create(errors).unwrap();
    let mut child = command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
    let pid = child.id();
    let (status, seconds, most) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0.0_f64;
            while !over.load(Ordering::Relaxed) {
                most = most.max(memory(pid, PEAK).unwrap_or(0.0));
                std::thread::sleep(Duration::from_millis(5));
            }
            most
        });
        let status = child.wait().unwrap();
        let seconds = began.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        (status, seconds, watch.join().unwrap())
    });
    assert!(status.success(), "{command:?}: {}", fs::read_to_string(errors).unwrap());
    (seconds, most)
}

type Making<'a> = dyn Fn(Load, &str) -> Command + 'a;

/// One of those that are compared: makes the command that copies a load to a folder of `dest`.
pub(crate) struct Tool<'a> {
    pub(crate) name: &'static str,
    pub(crate) command: Box<Making<'a>>,
    pub(crate) costs: BTreeMap<&'static str, Vec<Cost>>,
}

/// As its documentation advises for S3: one listing, no HEAD for a time of modification, no check of
/// the bucket, and many at once, because each waits for S3 most of the time. Of many files it gets a list,
/// as ours does.
pub(crate) fn rclone<'a>(folder: &Path, s3: &'a str) -> Option<Tool<'a>> {
    Command::new("rclone").arg("version").output().ok()?;
    let configuration = folder.join("rclone.conf");
    fs::write(&configuration, "").unwrap();
    let list = folder.join("many.txt");
    fs::write(&list, Load::all()[2].keys().map(|key| key + "\n").collect::<String>()).unwrap();
    let command = move |load: Load, to: &str| {
        let remote = format!(
            ":s3,provider=Other,env_auth,force_path_style,list_version=2,list_url_encode=true,no_check_bucket,endpoint='http://{s3}':"
        );
        let mut command = Command::new("rclone");
        command.arg("--config").arg(&configuration).arg("copy");
        command.arg(format!("{remote}src/{}", load.folder)).arg(format!("{remote}dest/{to}"));
        command.args(["--transfers", AT_ONCE, "--checkers", AT_ONCE, "--fast-list", "--checksum"]);
        command.args(["--s3-upload-concurrency", "16", "--s3-no-head", "--quiet"]);
        if load.folder == "many" {
            command.arg("--files-from").arg(&list);
        }
        with_keys(&mut command);
        command
    };
    Some(tool("rclone", command))
}

pub(crate) fn s5cmd(s3: &str) -> Option<Tool<'_>> {
    let binary = env::var_os("S5CMD").unwrap_or_else(|| "s5cmd".into());
    Command::new(&binary).arg("version").output().ok()?;
    let command = move |load: Load, to: &str| {
        let mut command = Command::new(&binary);
        command
            .args(["--log", "error", "--numworkers", AT_ONCE, "--endpoint-url"])
            .arg(format!("http://{s3}"));
        command.arg("cp").arg(format!("s3://src/{}/*", load.folder)).arg(format!("s3://dest/{to}/"));
        with_keys(&mut command);
        command
    };
    Some(tool("s5cmd", command))
}

/// Ours: a daemon that runs already, asked by `submit copy-out … --wait`.
pub(crate) fn ours(daemon: &str) -> Tool<'_> {
    let command = move |load: Load, to: &str| {
        let mut command = Command::new(BINARY);
        command.args(["submit", "copy-out"]).arg(format!("s3://src/{}.csv", load.folder)).arg("dest");
        command.args(["--prefix", &format!("{to}/"), "--copy-concurrency", AT_ONCE]);
        command.args(["--wait", "--server", &format!("http://{daemon}")]);
        command
    };
    tool(OURS, command)
}

fn tool<'a>(name: &'static str, command: impl Fn(Load, &str) -> Command + 'a) -> Tool<'a> {
    Tool { name, command: Box::new(command), costs: BTreeMap::new() }
}
