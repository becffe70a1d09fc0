//! The papers of packages, used as those use them who get them: the report in a browser, the download script by bash
//! and the tools of the system.
//!
//! What takes minutes, the figures, is left out of the normal run:
//!
//! ```sh
//! cargo test --profile bench --test papers -- --ignored --nocapture
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "test helpers"
)]

#[path = "../support/browser.rs"]
mod browser;
mod maker;
mod samples;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// What is looked at in a browser, and not measured.
const PARTS: &str = "sample,paper,looks,without_script,hostile";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where a program is, if it is on the `PATH`.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|place| place.is_file())
}

/// Runs a check; what it says is told, and all of it where it has failed.
fn check(command: &mut Command) {
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let talk = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}\n{said}\n{talk}");
    let is_told = |line: &&str| !line.starts_with("ok ");
    eprintln!("{}", said.lines().filter(is_told).collect::<Vec<_>>().join("\n"));
}

/// Opens the reports of a folder; `None`, loudly, where there is no browser.
fn open(folder: &Path, parts: &str) -> Option<()> {
    let (python, chromium) = browser::of_the_page("the reports were not looked at")?;
    let peer = env::var_os("PAPERS_PEER").unwrap_or_else(|| "-".into());
    let mut command = Command::new(python);
    command.arg(root().join("tests/papers/check_report.py")).arg(chromium);
    check(command.args([folder, folder]).arg(peer).arg(parts));
    Some(())
}

/// Runs download scripts; `None`, loudly, where what they need is missing.
fn run_scripts(more: &[&str]) -> Option<()> {
    for needed in ["bash", "curl"] {
        if program(needed).is_none() {
            eprintln!("NO {}: download scripts were not run", needed.to_uppercase());
            return None;
        }
    }
    if program("shellcheck").is_none() {
        eprintln!("NO SHELLCHECK: download scripts were run, but not looked at by it");
    }
    let venv = root().join(".venv/bin/python");
    let mut command = Command::new(if venv.is_file() { venv } else { "python3".into() });
    command.arg(root().join("tests/papers/check_script.py"));
    command.arg("--maker").arg(maker::listen().to_string());
    if let Some(bash) = env::var_os("PAPERS_BASH32") {
        command.arg("--bash32").arg(bash);
    }
    check(command.args(more));
    Some(())
}

#[test]
fn a_report_can_be_used_offline_and_runs_nothing_of_others() {
    let folder = tempfile::tempdir().unwrap();
    samples::usual(folder.path());
    samples::long(folder.path(), 2_000);
    open(folder.path(), PARTS);
}

#[test]
fn a_download_script_does_what_it_says() {
    run_scripts(&[]);
}

#[test]
fn a_download_script_does_it_where_bash_keeps_to_posix() {
    run_scripts(&["--posix"]);
}

#[test]
#[ignore = "it measures, for minutes; with PAPERS_PEER, also the page of DataTables in that folder"]
fn figures_of_the_report() {
    let folder = tempfile::tempdir().unwrap();
    for count in [10_000, 100_000, 200_000] {
        samples::long(folder.path(), count);
    }
    open(folder.path(), "speed");
}

#[test]
#[ignore = "it measures, for minutes; with PAPERS_BASH32, also that bash"]
fn figures_of_the_script() {
    run_scripts(&["--figures", "figures"]);
}
