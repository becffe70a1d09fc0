//! The token in a file: made by the daemon, read by commands, and by nobody but its owner.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Output,
};

use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    binary::Process,
    lab::{Platform, credentials, quick},
    worlds::world,
};

/// Runs `list` with that home and what is added.
async fn list(url: &str, home: &Path, added: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_copy-manager"));
    command.args(["list", "--server", url]).args(added).env_clear().env("HOME", home).kill_on_drop(true);
    let Output { status, stderr, .. } = command.output().await.unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn a_token_file_is_made_and_kept_and_one_that_others_may_read_is_refused() {
    let directory = TempDir::new().unwrap();
    let platform = Platform::start(&directory, &world(&[], &[]), &[], &[]).await;
    let home = directory.path();
    let file = home.join(".config/copy-manager/token");
    let mut environment =
        quick(&[("ADMIN__LISTEN", "127.0.0.1:0"), ("ADMIN__TOKEN_FILE", file.to_str().unwrap())]);
    environment.extend(credentials(&platform));

    let mut daemon = Process::spawn("first", home, &["serve"], &environment);
    let url = format!("http://{}", daemon.ready().await);
    let token = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(daemon.said("token file made, readable by its owner alone").len(), 1);
    assert_eq!(reqwest::get(format!("{url}/v1/requests")).await.unwrap().status(), 401);
    // Found by itself, and by its name; not without it.
    assert_eq!(list(&url, home, &[]).await.0, Some(0));
    let elsewhere = TempDir::new().unwrap();
    let named = ["--token-file", file.to_str().unwrap()];
    assert_eq!(list(&url, elsewhere.path(), &named).await.0, Some(0));
    let (code, told) = list(&url, elsewhere.path(), &[]).await;
    assert!(code == Some(3) && told.contains("a token is needed"), "{code:?} {told}");
    let (code, told) = list(&url, home, &["--token", "another"]).await;
    assert!(code == Some(3) && told.contains("the token is not the one"), "{code:?} {told}");
    let log = fs::read_to_string(home.join("first.log")).unwrap();
    assert!(!log.contains(token.trim()), "the token is in the log");
    daemon.terminate();
    assert!(daemon.ended().await.success());

    // The same token after a restart.
    let mut daemon = Process::spawn("second", home, &["serve"], &environment);
    let url = format!("http://{}", daemon.ready().await);
    assert_eq!(fs::read_to_string(&file).unwrap(), token);
    assert_eq!(list(&url, home, &[]).await.0, Some(0));

    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let (code, told) = list(&url, home, &[]).await;
    assert!(code == Some(78) && told.contains("(mode 0640): chmod 600 it"), "{code:?} {told}");
    daemon.terminate();
    assert!(daemon.ended().await.success());
    let mut refused = Process::spawn("refused", home, &["serve"], &environment);
    assert_eq!(refused.ended().await.code(), Some(78));
    let log = fs::read_to_string(home.join("refused.log")).unwrap();
    assert!(log.contains("is open to others than its owner (mode 0640)"), "{log}");
}
