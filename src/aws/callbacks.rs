//! Task tokens, in Step Functions.

use std::error::Error as StdError;

use async_trait::async_trait;
use aws_sdk_sfn::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use super::error::classify;
use crate::{
    domain::token::TaskToken,
    ports::{
        Result,
        callbacks::{Delivery, TaskCallbacks},
    },
    signals,
};

/// How long a task token may be; Step Functions takes a longer one for a mistake in the request.
const MAX_TOKEN: usize = 2048;

/// Answers to Step Functions tasks.
#[derive(Debug)]
pub struct StepFunctions {
    client: Client,
}

impl StepFunctions {
    /// Answers through that client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl TaskCallbacks for StepFunctions {
    async fn heartbeat(&self, token: &TaskToken) -> Result<Delivery> {
        if !can_be_a_token(token) {
            return Ok(Delivery::Gone);
        }
        delivery(
            "SendTaskHeartbeat",
            self.client.send_task_heartbeat().task_token(token.expose()).send().await,
        )
    }

    async fn succeed(&self, token: &TaskToken, output: &str) -> Result<Delivery> {
        if !can_be_a_token(token) {
            return Ok(Delivery::Gone);
        }
        let request = self.client.send_task_success().task_token(token.expose()).output(output);
        delivery("SendTaskSuccess", request.send().await)
    }

    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<Delivery> {
        if !can_be_a_token(token) {
            return Ok(Delivery::Gone);
        }
        let bare = self.client.send_task_failure().task_token(token.expose());
        let answer = bare.clone().error(error).cause(cause).send().await;
        if matches!(&answer, Err(refused) if refused.code() == Some("KmsAccessDeniedException")) {
            // The state machine has a key that we may not use. What says nothing needs none, and ends it.
            signals::ends::failed_without_words();
            return delivery("SendTaskFailure", bare.send().await);
        }
        delivery("SendTaskFailure", answer)
    }
}

fn can_be_a_token(token: &TaskToken) -> bool {
    (1..=MAX_TOKEN).contains(&token.expose().len())
}

fn delivery<T, E>(operation: &'static str, answer: Result<T, SdkError<E, HttpResponse>>) -> Result<Delivery>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match answer {
        Ok(_) => Ok(Delivery::Delivered),
        Err(error) => match error.code() {
            Some("TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken") => Ok(Delivery::Gone),
            _ => Err(classify(operation, error)),
        },
    }
}
