//! Programs of the project's `.venv` that live no longer than the test that started them.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::sleep;

/// A running program.
#[derive(Debug)]
pub(crate) struct Guarded(Child);

impl Guarded {
    /// Starts it, in a process group of its own. A shell ends the whole group as soon as our end of
    /// its input is closed, which no way of dying leaves out.
    pub(crate) fn spawn(program: &Path, arguments: &[&str], environment: &[(&str, String)]) -> Self {
        let shell = Command::new("sh")
            .args(["-c", r#""$0" "$@" >/dev/null 2>&1 & cat >/dev/null; kill -KILL 0"#])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            // Certificates of this machine's network are none of the emulators' business.
            .env_remove("AWS_CA_BUNDLE")
            .env_remove("REQUESTS_CA_BUNDLE")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn();
        Self(shell.unwrap())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

/// A program of `$COPY_MANAGER_VENV`; `None`, said loudly, where it is not installed.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let venv = std::env::var_os("COPY_MANAGER_VENV");
    let venv =
        venv.map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.venv")), PathBuf::from);
    let program = venv.join("bin").join(name);
    if program.exists() {
        return Some(program);
    }
    assert!(
        std::env::var_os("COPY_MANAGER_TEST_ALL").is_none(),
        "there is no {}, and `make test` leaves nothing out",
        program.display()
    );
    eprintln!("\n!!! SKIPPED: there is no {}; `make install` puts it there !!!\n", program.display());
    None
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until that URL answers well.
pub(crate) async fn wait_until_healthy(url: &str) {
    for _ in 0..600 {
        if reqwest::get(url).await.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("{url} did not become healthy within a minute");
}
