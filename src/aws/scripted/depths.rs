//! How full a queue is, where not everything may be asked.

use aws_sdk_sqs::{
    operation::get_queue_attributes::{GetQueueAttributesInput, GetQueueAttributesOutput},
    types::QueueAttributeName,
};
use aws_smithy_mocks::{Rule, create_mock_http_client, mock};

use super::{script, sdk_config};
use crate::{
    aws::queue::SqsQueue,
    ports::{
        Class,
        queue::{Depth, Queue as _},
    },
};

const DENIED: &str = r#"{"__type":"com.amazonaws.sqs#AccessDenied","message":"no sqs:GetQueueAttributes"}"#;

fn asks(url: &'static str) -> impl Fn(&GetQueueAttributesInput) -> bool {
    move |asked| asked.queue_url() == Some(url)
}

/// What the queue itself answers.
fn counted(policy: Option<&'static str>) -> Rule {
    let url = "https://sqs.ap-southeast-2.amazonaws.com/123456789012/requests";
    mock!(aws_sdk_sqs::Client::get_queue_attributes).match_requests(asks(url)).then_output(move || {
        let found = GetQueueAttributesOutput::builder()
            .attributes(QueueAttributeName::ApproximateNumberOfMessages, "3")
            .attributes(QueueAttributeName::ApproximateNumberOfMessagesNotVisible, "2");
        let policy = policy.map(|policy| (QueueAttributeName::RedrivePolicy, policy));
        policy.into_iter().fold(found, |found, (name, policy)| found.attributes(name, policy)).build()
    })
}

async fn depth(rules: &[&Rule]) -> crate::ports::Result<Depth> {
    let config = aws_sdk_sqs::config::Builder::from(&sdk_config().await)
        .http_client(create_mock_http_client())
        .interceptor(script(rules));
    let client = aws_sdk_sqs::Client::from_conf(config.build());
    let url = "https://sqs.ap-southeast-2.amazonaws.com/123456789012/requests";
    SqsQueue::new(client, url, None).depth().await
}

#[tokio::test(start_paused = true)]
async fn dead_letters_that_may_not_be_counted_are_not_known() {
    let policy =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:ap-southeast-2:123456789012:dead","maxReceiveCount":"10"}"#;
    let dead = "https://sqs.ap-southeast-2.amazonaws.com/123456789012/dead";
    let known =
        mock!(aws_sdk_sqs::Client::get_queue_attributes).match_requests(asks(dead)).then_output(|| {
            GetQueueAttributesOutput::builder()
                .attributes(QueueAttributeName::ApproximateNumberOfMessages, "4")
                .attributes(QueueAttributeName::ApproximateNumberOfMessagesNotVisible, "1")
                .build()
        });
    let of = |dead_letters| Depth { waiting: 3, in_flight: 2, dead_letters };
    assert_eq!(depth(&[&counted(Some(policy)), &known]).await.unwrap(), of(Some(5)));
    for code in ["AccessDenied", "AWS.SimpleQueueService.NonExistentQueue"] {
        let answer = Some(DENIED.replace("AccessDenied", code));
        let refused = mock!(aws_sdk_sqs::Client::get_queue_attributes)
            .match_requests(asks(dead))
            .sequence()
            .http_status(400, answer)
            .build();
        assert_eq!(depth(&[&counted(Some(policy)), &refused]).await.unwrap(), of(None), "{code}");
    }
    // There are queues without a place for dead letters.
    assert_eq!(depth(&[&counted(None)]).await.unwrap(), of(None));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_may_not_be_asked_is_an_error() {
    let refused = mock!(aws_sdk_sqs::Client::get_queue_attributes)
        .sequence()
        .http_status(403, Some(DENIED.to_owned()))
        .build();
    assert_eq!(depth(&[&refused]).await.unwrap_err().class, Class::Forbidden);
}
