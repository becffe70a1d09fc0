//! Executions whose heartbeats really time out.

use std::{sync::Arc, time::Duration};

use aws_sdk_sfn::types::ExecutionStatus;
use tokio::time::Instant;

use crate::{
    binary::Process,
    emulator::Emulator,
    lab::{Lab, payload},
    machine::{self, Ended, Execution, Machine},
    worlds::{assert_same, regular},
};

/// How long a copy takes: five times as long as an execution waits for a heartbeat.
const COPY: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_mins(1);

/// The delivered settings, scaled down with `HeartbeatSeconds`.
const SCALED: [(&str, &str); 3] =
    [("HEARTBEAT__PROMISE", "5s"), ("HEARTBEAT__INTERVAL", "3s"), ("SERVICE__TICK", "1s")];

/// Heartbeats that come when the caller has given up.
const LATE: [(&str, &str); 3] =
    [("HEARTBEAT__PROMISE", "120s"), ("HEARTBEAT__INTERVAL", "100s"), ("SERVICE__TICK", "1s")];

struct Scene {
    lab: Lab,
    daemon: Process,
    execution: Execution,
    began: Instant,
}

impl Scene {
    async fn start(localstack: &Arc<Emulator>, stage: &str, settings: &[(&str, &str)]) -> Option<Self> {
        let duration = format!("{}s", COPY.as_secs());
        let options = ["--job-duration", &*duration];
        let lab = Lab::on_localstack(localstack, stage, &regular(1, 2), &options).await?;
        let daemon = lab.serve(stage, settings).await;
        let mut task = machine::jsonpath(&lab.stack.external_bus_name, &machine::jsonpath_detail());
        task["HeartbeatSeconds"] = 6.into();
        let machine = Machine::create(&lab.aws.sfn, stage, task).await;
        let began = Instant::now();
        let execution = machine.start(&payload(&["icav2://lab/run/"], "icav2://archive/in/")).await;
        Some(Self { lab, daemon, execution, began })
    }

    async fn ended(&self) -> (Ended, Duration) {
        (self.execution.ended(PATIENCE).await, self.began.elapsed())
    }
}

#[tokio::test]
async fn heartbeats_keep_a_long_copy_alive_and_nothing_else_does() {
    let Some(localstack) = Emulator::start_localstack().await.map(Arc::new) else { return };
    let (beating, silent) = tokio::join!(
        Scene::start(&localstack, "beating", &SCALED),
        Scene::start(&localstack, "silent", &LATE),
    );
    let (Some(beating), Some(silent)) = (beating, silent) else { return };
    let ((lived, long), (died, short)) = tokio::join!(beating.ended(), silent.ended());

    assert_eq!(lived.status, ExecutionStatus::Succeeded, "{lived:?}");
    assert!(long >= COPY, "the copy took only {long:?}");
    assert_same(&beating.lab.platform, "/run/", "/in/run/").await;
    assert_eq!(beating.execution.answers().await, 1);

    assert_ne!(died.status, ExecutionStatus::Succeeded, "{died:?}");
    assert!(["States.Timeout", "States.HeartbeatTimeout"].contains(&died.error.as_str()), "{died:?}");
    assert!(short < COPY, "it lived for {short:?}");
    // Nobody waits any more; what was begun is finished all the same.
    silent.daemon.says("token answered").await;
    assert_eq!(silent.daemon.answers(), 0);
    assert_same(&silent.lab.platform, "/run/", "/in/run/").await;
}
