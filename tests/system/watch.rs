//! Whoever else listens: state changes on the external bus, and the documented shapes.

use std::process::Command;

use serde_json::Value;

use crate::lab::{Lab, queue_arn, subscribe};

/// A queue that gets every `CopyManagerStateChange`.
#[derive(Debug)]
pub(crate) struct Watch {
    sqs: aws_sdk_sqs::Client,
    queue: String,
    seen: Vec<Value>,
}

impl Watch {
    /// Subscribes to the lab's external bus.
    pub(crate) async fn subscribe(lab: &Lab) -> Self {
        let sqs = &lab.aws.sqs;
        let bus = &lab.stack.external_bus_name;
        let queue = sqs.create_queue().queue_name(format!("{bus}-watch")).send().await.unwrap();
        let queue = queue.queue_url.unwrap();
        let arn = queue_arn(sqs, &queue).await;
        subscribe(&lab.aws.eventbridge, bus, "CopyManagerStateChange", "watch", &arn).await;
        Self { sqs: sqs.clone(), queue, seen: Vec::new() }
    }

    /// The details of all state changes of a request so far.
    pub(crate) async fn of(&mut self, request_id: &str) -> Vec<Value> {
        let news = drain(&self.sqs, &self.queue).await;
        self.seen.extend(news.into_iter().map(|mut event| event["detail"].take()));
        self.seen.iter().filter(|detail| detail["requestId"] == request_id).cloned().collect()
    }
}

/// Takes all that is on a queue: JSON where a message is that, else its text.
pub(crate) async fn drain(sqs: &aws_sdk_sqs::Client, queue: &str) -> Vec<Value> {
    let mut taken = Vec::new();
    loop {
        let receive = sqs.receive_message().queue_url(queue).max_number_of_messages(10).wait_time_seconds(0);
        let messages = receive.send().await.unwrap().messages.unwrap_or_default();
        if messages.is_empty() {
            return taken;
        }
        for message in messages {
            let body = message.body().unwrap();
            taken.push(serde_json::from_str(body).unwrap_or_else(|_| body.into()));
            let delete = sqs.delete_message().queue_url(queue);
            delete.receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
        }
    }
}

/// Asserts that a document has the shape that `copy-manager schema` prints.
pub(crate) fn assert_shape(name: &str, document: &Value) {
    let printed = Command::new(env!("CARGO_BIN_EXE_copy-manager")).args(["schema", name]).output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let schema: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = validator.iter_errors(document).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{document:#}");
}
