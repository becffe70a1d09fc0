//! What every kind of task token does.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use copy_manager::{
    aws::callbacks::StepFunctions,
    domain::token::TaskToken,
    embedded::{callbacks::LocalCallbacks, database::Database, outcomes::Outcomes},
    ports::callbacks::{Delivery, TaskCallbacks},
};
use serde_json::{Value as Json, json};

use crate::{bus::webhook, chance, clock, emulator::Emulator, eventually, file};

/// Somebody who makes tokens and waits for answers.
#[async_trait]
trait Caller: Send + Sync {
    /// A task that waits.
    async fn task(&self) -> TaskToken;
    /// Its answer: `(status, output, error, cause)`.
    async fn answer(&self, token: &TaskToken) -> (String, Json, Json, Json);
}

#[derive(Debug)]
struct Webhook(Arc<Mutex<Vec<Json>>>);

#[async_trait]
impl Caller for Webhook {
    async fn task(&self) -> TaskToken {
        use copy_manager::ports::chance::Chance as _;
        TaskToken::new(chance().uuid().to_string())
    }

    async fn answer(&self, token: &TaskToken) -> (String, Json, Json, Json) {
        let posted = self.0.lock().unwrap();
        let answers: Vec<&Json> = posted.iter().filter(|body| body["taskToken"] == token.expose()).collect();
        assert_eq!(answers.len(), 1, "one answer per token");
        let part = |name: &str| answers[0][name].clone();
        (answers[0]["status"].as_str().unwrap().to_owned(), part("output"), part("error"), part("cause"))
    }
}

#[tokio::test]
async fn embedded() {
    let posted = Arc::new(Mutex::new(Vec::new()));
    let outcomes = Outcomes::to_webhook(&webhook(Arc::clone(&posted)).await).unwrap();
    let callbacks = LocalCallbacks::new(Database::in_memory().unwrap(), outcomes, clock());
    suite(&callbacks, &Webhook(posted)).await;
}

#[tokio::test]
async fn an_answer_is_remembered_over_restarts() {
    let (directory, database) = file();
    let token = TaskToken::new("token");
    let callbacks = LocalCallbacks::new(database, Outcomes::to_log(), clock());
    assert_eq!(callbacks.succeed(&token, "{}").await.unwrap(), Delivery::Delivered);
    let again = Database::open(&directory.path().join("test.sqlite")).unwrap();
    let callbacks = LocalCallbacks::new(again, Outcomes::to_log(), clock());
    assert_eq!(callbacks.fail(&token, "Internal", "{}").await.unwrap(), Delivery::Gone);
}

#[tokio::test]
async fn an_answer_that_was_not_taken_is_given_again() {
    let database = Database::in_memory().unwrap();
    let token = TaskToken::new("token");
    let nobody = Outcomes::to_webhook("http://127.0.0.1:1/").unwrap();
    let callbacks = LocalCallbacks::new(database.clone(), nobody, clock());
    assert!(callbacks.succeed(&token, "{}").await.unwrap_err().is_passing());
    let callbacks = LocalCallbacks::new(database, Outcomes::to_log(), clock());
    assert_eq!(callbacks.succeed(&token, "{}").await.unwrap(), Delivery::Delivered);
}

/// A state machine whose only state puts its token on a queue and waits.
#[derive(Debug)]
struct StateMachine {
    sfn: aws_sdk_sfn::Client,
    sqs: aws_sdk_sqs::Client,
    arn: String,
    queue: String,
    executions: Mutex<Vec<(TaskToken, String)>>,
}

impl StateMachine {
    async fn create(sfn: aws_sdk_sfn::Client, sqs: aws_sdk_sqs::Client, heartbeat_seconds: u32) -> Self {
        let queue = sqs.create_queue().queue_name("tokens").send().await.unwrap().queue_url.unwrap();
        let definition = json!({"StartAt": "Wait", "States": {"Wait": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"QueueUrl": queue, "MessageBody": {"taskToken.$": "$$.Task.Token"}},
            "HeartbeatSeconds": heartbeat_seconds,
            "End": true,
        }}});
        let machine = sfn
            .create_state_machine()
            .name("waits")
            .definition(definition.to_string())
            .role_arn("arn:aws:iam::000000000000:role/any")
            .send()
            .await
            .unwrap();
        Self { sfn, sqs, arn: machine.state_machine_arn, queue, executions: Mutex::default() }
    }
}

#[async_trait]
impl Caller for StateMachine {
    async fn task(&self) -> TaskToken {
        let execution = self.sfn.start_execution().state_machine_arn(&self.arn).send().await.unwrap();
        let message = eventually("the token", async || {
            let received = self.sqs.receive_message().queue_url(&self.queue).wait_time_seconds(2);
            received.send().await.unwrap().messages?.pop()
        })
        .await;
        let delete = self.sqs.delete_message().queue_url(&self.queue);
        delete.receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
        let body: Json = serde_json::from_str(message.body().unwrap()).unwrap();
        let token = TaskToken::new(body["taskToken"].as_str().unwrap());
        self.executions.lock().unwrap().push((token.clone(), execution.execution_arn));
        token
    }

    async fn answer(&self, token: &TaskToken) -> (String, Json, Json, Json) {
        let executions = self.executions.lock().unwrap().clone();
        let (_, arn) = executions.iter().find(|(known, _)| known == token).unwrap();
        let execution = eventually("the end of the execution", async || {
            let execution = self.sfn.describe_execution().execution_arn(arn).send().await.unwrap();
            execution.stop_date.is_some().then_some(execution)
        })
        .await;
        let json = |text: Option<String>| {
            text.map_or(Json::Null, |text| serde_json::from_str(&text).unwrap_or(Json::from(text)))
        };
        let status = execution.status.as_str().to_owned();
        (status, json(execution.output), json(execution.error), json(execution.cause))
    }
}

#[tokio::test]
async fn step_functions() {
    let Some(emulator) = Emulator::start().await else { return };
    let clients = emulator.clients().await;
    let machine = StateMachine::create(clients.sfn.clone(), clients.sqs, 300).await;
    let callbacks = StepFunctions::new(clients.sfn);
    suite(&callbacks, &machine).await;

    for nobody in [TaskToken::new("nobody's"), TaskToken::new(""), TaskToken::new("x".repeat(5000))] {
        assert_eq!(callbacks.heartbeat(&nobody).await.unwrap(), Delivery::Gone);
        assert_eq!(callbacks.succeed(&nobody, "{}").await.unwrap(), Delivery::Gone);
        assert_eq!(callbacks.fail(&nobody, "Internal", "{}").await.unwrap(), Delivery::Gone);
    }
}

/// Not the whole suite: this emulator takes a second answer to a token.
#[tokio::test]
async fn step_functions_that_time_out() {
    let Some(emulator) = Emulator::start_localstack().await else { return };
    let clients = emulator.clients().await;
    let machine = StateMachine::create(clients.sfn.clone(), clients.sqs, 2).await;
    let callbacks = StepFunctions::new(clients.sfn);
    let token = machine.task().await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(callbacks.heartbeat(&token).await.unwrap(), Delivery::Delivered, "kept alive");
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(callbacks.heartbeat(&token).await.unwrap(), Delivery::Gone);
    assert_eq!(callbacks.succeed(&token, "{}").await.unwrap(), Delivery::Gone);
}

async fn suite(callbacks: &dyn TaskCallbacks, caller: &dyn Caller) {
    let token = caller.task().await;
    assert_eq!(callbacks.heartbeat(&token).await.unwrap(), Delivery::Delivered);
    assert_eq!(callbacks.heartbeat(&token).await.unwrap(), Delivery::Delivered);
    let output = r#"{"status":"SUCCEEDED","files":{"copied":3}}"#;
    assert_eq!(callbacks.succeed(&token, output).await.unwrap(), Delivery::Delivered);
    let expected = serde_json::from_str(output).unwrap();
    assert_eq!(caller.answer(&token).await, ("SUCCEEDED".to_owned(), expected, Json::Null, Json::Null));

    for late in [
        callbacks.heartbeat(&token).await,
        callbacks.succeed(&token, "{}").await,
        callbacks.fail(&token, "Internal", "{}").await,
    ] {
        assert_eq!(late.unwrap(), Delivery::Gone);
    }

    let token = caller.task().await;
    let cause = r#"{"message":"2 files","files":["a b","ü"]}"#;
    assert_eq!(callbacks.fail(&token, "CopyJobFailed", cause).await.unwrap(), Delivery::Delivered);
    let (status, _, error, told) = caller.answer(&token).await;
    assert_eq!((status.as_str(), error), ("FAILED", Json::from("CopyJobFailed")));
    assert_eq!(told, serde_json::from_str::<Json>(cause).unwrap());
    assert_eq!(callbacks.fail(&token, "CopyJobFailed", cause).await.unwrap(), Delivery::Gone);
}
