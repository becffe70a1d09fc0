//! Callers: state machines that ask for a copy and wait for its token.

use std::time::Duration;

use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent, HistoryEventType};
use serde_json::{Value, json};

use crate::within;

const COPY_REQUEST: &str = "ICAv2DataCopySync";
const PUT_EVENTS: &str = "arn:aws:states:::events:putEvents.waitForTaskToken";
const SEND_MESSAGE: &str = "arn:aws:states:::sqs:sendMessage.waitForTaskToken";

/// A state machine of one task.
#[derive(Debug)]
pub(crate) struct Machine {
    sfn: aws_sdk_sfn::Client,
    arn: String,
}

/// A run of it.
#[derive(Debug)]
pub(crate) struct Execution {
    sfn: aws_sdk_sfn::Client,
    arn: String,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExecutionStatus,
    pub(crate) output: Value,
    pub(crate) error: String,
    pub(crate) cause: String,
}

/// The task in `JSONata`, as `docs/callers.md` has it; `detail` is a template.
pub(crate) fn jsonata(bus: &str, detail: &Value) -> Value {
    let entry =
        json!({ "EventBusName": bus, "Source": "my.service", "DetailType": COPY_REQUEST, "Detail": detail });
    json!({ "QueryLanguage": "JSONata", "Type": "Task", "Resource": PUT_EVENTS, "Arguments": { "Entries": [entry] } })
}

/// The task in `JSONPath`, as `docs/callers.md` has it.
pub(crate) fn jsonpath(bus: &str, detail: &Value) -> Value {
    let entry =
        json!({ "EventBusName": bus, "Source": "my.service", "DetailType": COPY_REQUEST, "Detail": detail });
    json!({ "Type": "Task", "Resource": PUT_EVENTS, "Parameters": { "Entries": [entry] } })
}

/// A task that sends a bare message to the requests queue.
pub(crate) fn message(queue: &str, body: &Value) -> Value {
    json!({ "Type": "Task", "Resource": SEND_MESSAGE, "Parameters": { "QueueUrl": queue, "MessageBody": body } })
}

/// The documented `detail`, in `JSONata`.
pub(crate) fn jsonata_detail() -> Value {
    json!({
        "taskToken": "{% $states.context.Task.Token %}",
        "payload": {
            "sourceUriList": "{% $states.input.sourceUriList %}",
            "destinationUri": "{% $states.input.destinationUri %}",
        },
    })
}

/// The documented `detail`, in `JSONPath`.
pub(crate) fn jsonpath_detail() -> Value {
    json!({
        "taskToken.$": "$$.Task.Token",
        "payload": { "sourceUriList.$": "$.sourceUriList", "destinationUri.$": "$.destinationUri" },
    })
}

impl Machine {
    /// Creates it with that task as its only state, ending there.
    pub(crate) async fn create(sfn: &aws_sdk_sfn::Client, name: &str, mut task: Value) -> Self {
        task["End"] = true.into();
        if task.get("HeartbeatSeconds").is_none() {
            task["HeartbeatSeconds"] = 900.into();
        }
        let definition = json!({ "StartAt": "Copy", "States": { "Copy": task } });
        let machine = sfn
            .create_state_machine()
            .name(name)
            .definition(definition.to_string())
            .role_arn("arn:aws:iam::000000000000:role/any")
            .send()
            .await
            .unwrap();
        Self { sfn: sfn.clone(), arn: machine.state_machine_arn }
    }

    /// One that is there.
    pub(crate) fn at(sfn: &aws_sdk_sfn::Client, arn: &str) -> Self {
        Self { sfn: sfn.clone(), arn: arn.to_owned() }
    }

    pub(crate) async fn start(&self, input: &Value) -> Execution {
        let started = self.sfn.start_execution().state_machine_arn(&self.arn).input(input.to_string());
        Execution { sfn: self.sfn.clone(), arn: started.send().await.unwrap().execution_arn }
    }
}

impl Execution {
    /// Its end, if it has come.
    pub(crate) async fn look(&self) -> Option<Ended> {
        let execution = self.sfn.describe_execution().execution_arn(&self.arn).send().await.unwrap();
        (execution.status != ExecutionStatus::Running).then(|| Ended {
            output: execution.output().map_or(Value::Null, |text| serde_json::from_str(text).unwrap()),
            error: execution.error().unwrap_or_default().to_owned(),
            cause: execution.cause().unwrap_or_default().to_owned(),
            status: execution.status,
        })
    }

    /// How many answers its task has had.
    pub(crate) async fn answers(&self) -> usize {
        let history = self.sfn.get_execution_history().execution_arn(&self.arn).send().await.unwrap();
        let answers = [HistoryEventType::TaskSucceeded, HistoryEventType::TaskFailed];
        let told = |event: &&HistoryEvent| answers.contains(&event.r#type);
        history.events.iter().filter(told).count()
    }

    pub(crate) async fn ended(&self, patience: Duration) -> Ended {
        within(patience, "the end of the execution", || self.look()).await
    }

    /// Its end, which must be success; the output.
    pub(crate) async fn succeeded(&self, patience: Duration) -> Value {
        let ended = self.ended(patience).await;
        assert_eq!(ended.status, ExecutionStatus::Succeeded, "{ended:?}");
        ended.output
    }

    /// Its end, which must be failure; error and cause.
    pub(crate) async fn failed(&self, patience: Duration) -> (String, Value) {
        let ended = self.ended(patience).await;
        assert_eq!(ended.status, ExecutionStatus::Failed, "{ended:?}");
        (ended.error, serde_json::from_str(&ended.cause).unwrap_or(Value::String(ended.cause)))
    }
}
