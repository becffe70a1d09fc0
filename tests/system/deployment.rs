//! `deploy/README.md`, as somebody follows it: every command is run against the emulator, except where the page says
//! that it is not. The test does Fargate's part, and starts the daemon that the task definition says.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::json;
use tokio::process::Command;

use crate::{
    account::{Account, SERVICE, for_emulator},
    emulator::process::program,
};

/// No block takes longer.
const PATIENCE: Duration = Duration::from_mins(3);

/// The commands of the page, and whether they are run.
fn blocks(page: &str) -> Vec<(bool, &str)> {
    let parts = page.split("\n```sh\n").collect::<Vec<_>>();
    let pairs = parts.windows(2).map(|pair| {
        let run = !pair[0].lines().last().unwrap_or_default().starts_with("<!-- not run: ");
        (run, pair[1].split("\n```").next().unwrap())
    });
    pairs.collect()
}

/// A folder with the templates as the emulator takes them, a token, and an `aws` that calls the emulator: the one of the
/// tests would call SQS itself.
fn clone(account: &Account, aws: &Path) -> PathBuf {
    let root = account.directory.path().join("clone");
    std::fs::create_dir_all(root.join("deploy")).unwrap();
    for name in ["bootstrap", "stateful", "service", "alarms", "facade"] {
        let name = format!("deploy/{name}.yaml");
        let template = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name)).unwrap();
        std::fs::write(root.join(&name), for_emulator(&template)).unwrap();
    }
    std::fs::write(root.join("icav2-token"), "any").unwrap();
    let wrapper = format!("#!/bin/sh\nexec {} --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"\n", aws.display());
    std::fs::write(root.join("aws"), wrapper).unwrap();
    std::fs::set_permissions(root.join("aws"), std::fs::Permissions::from_mode(0o755)).unwrap();
    root
}

#[tokio::test]
async fn the_page_leads_from_an_empty_account_to_a_copy_and_back() {
    let world = json!({ "projects": [
        { "id": "5b1d1b36-9d2c-4a53-8f0e-6f3f6f2d1c01", "name": "sequencing", "age": "1h",
          "files": [{ "path": "/reports/241120.html", "size": 2000 }] },
        { "id": "c0a8c7d2-33e4-4b7b-9a55-0e8d3a5b7f02", "name": "cohort-a", "age": "1h" },
    ] });
    let Some(account) = Account::empty(&world, &[]).await else { return };
    let root = clone(&account, &program("aws").unwrap());
    let this = Path::new(env!("CARGO_BIN_EXE_copy-manager")).parent().unwrap();
    let path = format!("{}:{}:/usr/local/bin:/usr/bin:/bin", root.display(), this.display());
    let text = include_str!("../../deploy/README.md");
    let mut daemons = Vec::new();
    let mut said = String::new();
    for (run, commands) in blocks(text) {
        if !run {
            continue;
        }
        // The number as the emulator takes it.
        if let Some((_, count)) = commands.split_once("DesiredCount=") {
            let count = count.split_whitespace().next().unwrap();
            let service = for_emulator(SERVICE).replace("DesiredCount: 1", &format!("DesiredCount: {count}"));
            std::fs::write(root.join("deploy/service.yaml"), service).unwrap();
        }
        let script = format!("set -e; set -a; [ ! -f state ] || . ./state\n{commands}\nexport -p > state\n");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(&root).env_clear().env("PATH", &path).env("HOME", &root);
        shell.envs(account.emulator.environment()).env("AWS_ENDPOINT_URL", &account.gate.endpoint);
        let output = shell.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, output)
            .await
            .unwrap_or_else(|_| panic!("does not end: {commands}"));
        let output = output.unwrap();
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{commands}\n{out}\n{error}");
        said.push_str(&out);
        // Each deployment of the service starts a task, and the former one goes on beside it.
        if commands.contains("deploy/service.yaml") {
            let service = account.deployed("copy-manager-dev").await;
            let name = format!("task-{}", daemons.len());
            daemons.push(account.serve(&name, &service, &[]).await);
        }
        if commands.contains("delete-stack --stack-name \"$stack\"") {
            daemons.clear();
        }
    }
    assert!(said.contains("\nSUCCEEDED\n"), "{said}");
    assert_eq!(account.platform.tree("cohort-a", "/incoming/").await.len(), 1);
    // Nothing is left that was made.
    let tables = account.aws.dynamodb.list_tables().send().await.unwrap();
    assert!(tables.table_names().is_empty(), "{tables:?}");
    let queues = account.aws.sqs.list_queues().send().await.unwrap();
    assert!(queues.queue_urls().is_empty(), "{queues:?}");
}

#[test]
fn the_page_says_which_commands_are_not_run() {
    let page = "a\n```sh\none\n```\n<!-- not run: why -->\n```sh\ntwo\nthree\n```\n";
    assert_eq!(blocks(page), [(true, "one"), (false, "two\nthree")]);
    let all = blocks(include_str!("../../deploy/README.md"));
    assert_eq!(all.iter().filter(|(run, _)| !run).count(), 3, "{all:#?}");
}
