//! The whole way: an execution asks, its files arrive, its token is released.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    lab::{Lab, payload},
    machine::{self, Machine},
    watch::{Watch, assert_shape},
    within,
    worlds::{assert_same, awkward},
};

const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_state_machine_is_released_when_every_file_has_arrived() {
    let options = ["--seed", "7", "--job-failure-rate", "0.2", "--job-duration", "2s"];
    let Some(lab) = Lab::start("copying", &awkward(), &options).await else { return };
    let mut watch = Watch::subscribe(&lab).await;
    let _daemon = lab.serve("serve", &[]).await;
    let bus = &lab.stack.external_bus_name;
    let tasks = [
        ("jsonata", machine::jsonata(bus, &machine::jsonata_detail())),
        ("jsonpath", machine::jsonpath(bus, &machine::jsonpath_detail())),
    ];
    let mut executions = Vec::new();
    for (name, task) in tasks {
        let machine = Machine::create(&lab.aws.sfn, name, task).await;
        let destination = format!("icav2://archive/{name}/ünder #%/");
        let sources = ["icav2://lab/run/", "icav2://lab/single/odd #1+%2F.txt"];
        executions.push((name, machine.start(&payload(&sources, &destination)).await, destination));
    }
    for (name, execution, destination) in executions {
        let output = execution.succeeded(PATIENCE).await;
        assert_shape("outcome", &output);
        assert_eq!(
            (&output["status"], &output["destinationUri"]),
            (&json!("SUCCEEDED"), &json!(destination))
        );
        let counted = (&output["files"]["copied"], &output["files"]["skipped"], &output["bytes"]);
        assert_eq!(counted, (&json!(12), &json!(0), &json!(1_307_024)));
        let there = format!("/{name}/ünder #%/");
        assert_same(&lab.platform, "/run/", &format!("{there}run/")).await;
        let beside = lab.platform.tree("archive", &there).await;
        let beside: Vec<_> =
            beside.iter().filter(|entry| entry["path"] == format!("{there}odd #1+%2F.txt")).collect();
        assert_eq!((beside.len(), &beside[0]["size"]), (1, &json!(3_000)));

        let id = output["requestId"].as_str().unwrap();
        let changes = within(PATIENCE, "the last state change", async || {
            let changes = watch.of(id).await;
            changes.last().is_some_and(|last| last["status"] == "SUCCEEDED").then_some(changes)
        })
        .await;
        for change in &changes {
            assert_shape("state-change", change);
        }
        let statuses: Vec<_> = changes.iter().map(|change| change["status"].as_str().unwrap()).collect();
        let (first, last) = (statuses[0], statuses[statuses.len() - 1]);
        assert_eq!((first, last), ("RECEIVED", "SUCCEEDED"), "{statuses:?}");
        let between = &changes[1..changes.len() - 1];
        assert!(
            !between.is_empty() && between.iter().all(|change| change["status"] == "RUNNING"),
            "{statuses:?}"
        );
        let moved = |change: &Value| change["counters"]["copied"].as_u64().unwrap() > 0;
        assert!(between.iter().any(moved), "{between:#?}");
    }
}

#[tokio::test]
async fn every_shape_of_a_request_is_understood() {
    let Some(lab) = Lab::start("shapes", &awkward(), &["--job-duration", "500ms"]).await else { return };
    let mut daemon = lab.serve("serve", &[]).await;
    let fields = json!({
        "taskToken.$": "$$.Task.Token",
        "sourceUriList.$": "$.sourceUriList",
        "destinationUri.$": "$.destinationUri",
    });
    let queue = &lab.stack.copy_requests_queue_url;
    let tasks = [
        ("legacy", machine::jsonpath(&lab.stack.external_bus_name, &fields)),
        ("message", machine::message(queue, &machine::jsonpath_detail())),
        ("legacy-message", machine::message(queue, &fields)),
    ];
    let mut executions = Vec::new();
    for (name, task) in tasks {
        let machine = Machine::create(&lab.aws.sfn, name, task).await;
        let input = payload(&["icav2://lab/run/"], &format!("icav2://archive/{name}/"));
        executions.push((name, machine.start(&input).await));
    }
    let bus = &lab.stack.external_bus_name;
    let server = format!("http://{}", daemon.ready().await);
    let uris = ["icav2://lab/run/", "icav2://archive/shell/"];
    let submit = ["submit", "copy", "--wait", "--json", "--bus", bus, "--server", &server, uris[0], uris[1]];
    let submitted = lab.shell(&submit).output().await.unwrap();
    assert!(submitted.status.success(), "{submitted:?}");
    assert_same(&lab.platform, "/run/", "/shell/run/").await;
    for (name, execution) in executions {
        assert_shape("outcome", &execution.succeeded(PATIENCE).await);
        assert_same(&lab.platform, "/run/", &format!("/{name}/run/")).await;
    }
}
