//! Operators with rights on the table alone: `--table`, and the page on their own machine.

use std::{process::Output, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::{
    lab::{Lab, payload},
    machine::{self, Machine},
    page, within,
    worlds::regular,
};

const PATIENCE: Duration = Duration::from_mins(1);

/// Runs a command with the lab's AWS, and nothing else of it.
fn command(lab: &Lab, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_copy-manager"));
    let aws = lab.environment.iter().filter(|(name, _)| name.starts_with("AWS_"));
    command.args(arguments).env_clear().envs(aws.map(|(name, value)| (name, value)));
    command.current_dir(lab.directory()).kill_on_drop(true);
    command
}

async fn run(lab: &Lab, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let table = lab.stack.table_name.as_str();
    let arguments = [&["--json"], arguments, &["--table", table]].concat();
    let Output { status, stdout, stderr } = command(lab, &arguments).output().await.unwrap();
    let lines = String::from_utf8(stdout).unwrap();
    let told = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(stderr.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    (status.code(), told)
}

#[tokio::test]
async fn requests_are_seen_and_ended_by_who_may_use_the_table() {
    let Some(lab) = Lab::start("table", &regular(1, 2), &["--job-duration", "1h"]).await else { return };
    let mut daemon = lab.serve("daemon", &[]).await;
    let its_page = format!("http://{}/", daemon.ready().await);
    let its_page = within(PATIENCE, "the depths of the queues", async || {
        let page = reqwest::get(&its_page).await.unwrap().text().await.unwrap();
        page.contains("job events queue: ").then_some(page)
    })
    .await;
    for queue in ["requests", "job events"] {
        let told = format!("{queue} queue: 0 waiting, 0 in flight, 0 dead letters");
        assert!(its_page.contains(&told), "{told}: {its_page}");
    }
    let mut detail = machine::jsonpath_detail();
    detail["caller.$"] = json!("$$.Execution.Id");
    let task = machine::jsonpath(&lab.stack.external_bus_name, &detail);
    let machine = Machine::create(&lab.aws.sfn, "table", task).await;
    let execution = machine.start(&payload(&["icav2://lab/run/"], "icav2://archive/in/")).await;
    let running = within(PATIENCE, "a running request", async || {
        let (code, requests) = run(&lab, &["list", "--status", "running"]).await;
        assert_eq!(code, Some(0));
        requests.into_iter().next()
    })
    .await;
    assert_eq!(running["destinationUri"], "icav2://archive/in/");
    let caller = running["caller"].as_str().unwrap().to_owned();
    assert!(caller.starts_with("arn:aws:states:"), "{running}");
    // Found by the execution, and ended by it.
    let (_, status) = run(&lab, &["status", &caller]).await;
    assert_eq!(status[0]["requestId"], running["requestId"]);
    let (code, _) = run(&lab, &["wake", "--all"]).await;
    assert_eq!(code, Some(0));
    let (code, told) = run(&lab, &["cancel", &caller, "--reason", "wrong run"]).await;
    assert_eq!((code, &told[0]["requestId"]), (Some(0), &running["requestId"]));
    let ended = execution.ended(PATIENCE).await;
    assert_eq!(ended.error, "Cancelled");
    assert!(ended.cause.contains("wrong run"));
    let (_, failed) = run(&lab, &["list", "--status", "failed"]).await;
    assert_eq!(failed[0]["error"], "Cancelled");
    // What is refused says who refuses it: no daemon was asked.
    let arguments = ["cancel", &caller, "--reason", "again", "--table", &lab.stack.table_name];
    let Output { status, stderr, .. } = command(&lab, &arguments).output().await.unwrap();
    let (code, told) = (status.code(), String::from_utf8(stderr).unwrap());
    let who = format!("error: refused: the table `{}` answered 409 Conflict: ", lab.stack.table_name);
    assert!(code == Some(3) && told.starts_with(&who), "{code:?} {told}");
    let (code, again) = run(&lab, &["retry", &caller]).await;
    assert_eq!((code, &again[0]["retryOf"]), (Some(0), &running["requestId"]));
    assert_eq!(run(&lab, &["status", "nobody"]).await.0, Some(3));

    // The page, for the same table.
    let mut ui =
        command(&lab, &["--json", "ui", "--listen", "127.0.0.1:0", "--table", &lab.stack.table_name]);
    let mut ui = ui.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let line = BufReader::new(ui.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let (url, token) = (told["url"].as_str().unwrap(), told["token"].as_str().unwrap());
    let http = reqwest::Client::new();
    assert_eq!(http.get(url).send().await.unwrap().status(), 401, "others on this machine have other rights");
    let page = http.get(url).bearer_auth(token).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Needs attention") && page.contains("Cancelled"), "{page}");
    assert!(
        page.contains("1 instance alive") && !page.contains(" in flight"),
        "queues are asked nothing: {page}"
    );
    let event = json!({ "Entries": [{ "Source": "s", "DetailType": "ICAv2DataCopySync", "Detail": {} }] });
    let refused = http.post(format!("{url}v1/events")).bearer_auth(token).json(&event).send().await.unwrap();
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["FailedEntryCount"], 1, "{refused}");
    // In a browser, which shows the token once.
    for (name, destination) in [("stuck-0", "icav2://archive/stuck/"), ("bad-0", "icav2://nowhere/in/")] {
        lab.put_event(&json!({ "requestId": name, "payload": payload(&["icav2://lab/run/"], destination) }))
            .await;
    }
    within(PATIENCE, "the end of a request", async || {
        let (_, status) = run(&lab, &["list", "--text", "nowhere", "--status", "failed"]).await;
        status.into_iter().next()
    })
    .await;
    page::visit(url, Some(token), None).await;
    ui.kill().await.unwrap();
}
