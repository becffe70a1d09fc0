//! The built binary as a process that cannot outlive its test, with its log.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::time::{Instant, sleep};

/// How long a process may take to become ready, or to end.
const PATIENCE: Duration = Duration::from_secs(40);

/// As much of a log as is shown when a test fails.
const SHOWN: usize = 400_000;

/// A running copy-manager.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    /// Ends the child as soon as our end of its input is closed, however this process dies.
    guard: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `copy-manager` with those arguments and nothing in its environment but that. What it
    /// says on either stream goes to a log file in `directory`.
    pub(crate) fn spawn(
        name: &str,
        directory: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
    ) -> Self {
        let this = Path::new(env!("CARGO_BIN_EXE_copy-manager"));
        Self::spawn_version(this, name, directory, arguments, environment)
    }

    /// The same with the binary of another version.
    pub(crate) fn spawn_version(
        binary: &Path,
        name: &str,
        directory: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
    ) -> Self {
        let log = directory.join(format!("{name}.log"));
        let stream = File::options().create(true).append(true).open(&log).unwrap();
        let child = Command::new(binary)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().cloned())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(stream.try_clone().unwrap())
            .stderr(stream)
            .spawn()
            .unwrap();
        let guard = Command::new("sh")
            .args(["-c", r#"cat >/dev/null; kill -KILL "$0""#])
            .arg(child.id().to_string())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self { name: name.to_owned(), child, guard, log }
    }

    /// Its address, once it says that it is ready.
    pub(crate) async fn ready(&mut self) -> SocketAddr {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.said("ready").first() {
                return line["address"].as_str().unwrap().parse().unwrap();
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended before it was ready: {status}", self.name);
            }
            assert!(Instant::now() < deadline, "{} did not become ready", self.name);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The lines of its log with that message.
    pub(crate) fn said(&self, message: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == message).collect()
    }

    /// How many answers to task tokens it knows to have been taken. One that crosses another on the
    /// way may seem so to both.
    pub(crate) fn answers(&self) -> usize {
        self.said("token answered").iter().filter(|line| line["caller_gone"] == false).count()
    }

    /// Waits until it has said that.
    pub(crate) async fn says(&self, message: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.said(message).is_empty() {
            assert!(Instant::now() < deadline, "{} did not say `{message}`", self.name);
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGKILL: not a word more.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, as ECS sends it.
    pub(crate) fn terminate(&self) {
        self.send("-TERM");
    }

    /// Sends a signal, `-HUP` for example.
    pub(crate) fn send(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} did not end", self.name);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// How it ended, if it has.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.get(text.floor_char_boundary(text.len().saturating_sub(SHOWN))..).unwrap_or_default().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard first: afterwards the number may be somebody else's.
        self.guard.kill().ok();
        self.guard.wait().ok();
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}--- end of {} ---", self.name, self.tail(), self.name);
        }
    }
}
