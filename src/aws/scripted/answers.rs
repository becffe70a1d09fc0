//! Answers to task tokens, and a request that cannot be made.

use aws_sdk_sfn::operation::send_task_failure::SendTaskFailureOutput;
use aws_smithy_mocks::{create_mock_http_client, mock};

use super::{script, sdk_config};
use crate::{
    aws::{callbacks::StepFunctions, error::classify},
    domain::token::TaskToken,
    ports::{
        Class,
        callbacks::{Delivery, TaskCallbacks as _},
    },
};

#[tokio::test(start_paused = true)]
async fn tokens_nobody_waits_on_are_gone() {
    let token = TaskToken::new("secret-token");
    for code in ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"] {
        let answer = Some(format!(r#"{{"__type":"{code}","message":"Invalid Token: 'secret-token'"}}"#));
        let rule =
            mock!(aws_sdk_sfn::Client::send_task_heartbeat).sequence().http_status(400, answer).build();
        let callbacks = StepFunctions::new(scripted!(aws_sdk_sfn, &rule));
        assert_eq!(callbacks.heartbeat(&token).await.unwrap(), Delivery::Gone, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_not_be_encrypted_is_told_without_words() {
    let denied = r#"{"__type":"KmsAccessDeniedException","message":"no kms:GenerateDataKey"}"#;
    let told = mock!(aws_sdk_sfn::Client::send_task_failure)
        .match_requests(|request| request.error().is_some() && request.cause().is_some())
        .sequence()
        .http_status(400, Some(denied.to_owned()))
        .build();
    let bare = mock!(aws_sdk_sfn::Client::send_task_failure)
        .match_requests(|request| request.error().is_none() && request.cause().is_none())
        .then_output(|| SendTaskFailureOutput::builder().build());
    let callbacks = StepFunctions::new(scripted!(aws_sdk_sfn, &told, &bare));
    let token = TaskToken::new("secret-token");
    assert_eq!(callbacks.fail(&token, "Internal", "{}").await.unwrap(), Delivery::Delivered);
    assert_eq!((told.num_calls(), bare.num_calls()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_made_is_not_taken_for_an_outage() {
    let config = aws_sdk_s3::config::Builder::from(&sdk_config().await).force_path_style(true).build();
    let bucket = "arn:aws:s3:ap-southeast-2:123456789012:accesspoint/shared";
    let asked = aws_sdk_s3::Client::from_conf(config).list_objects_v2().bucket(bucket).send().await;
    let error = classify("ListObjectsV2", asked.unwrap_err());
    assert_eq!((error.class, error.may_have_happened), (Class::Invalid, false));
    assert!(error.to_string().contains("ARN"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_never_quoted() {
    let quoting = r#"{"__type":"ValidationException","message":"Value 'secret-token' at 'taskToken'"}"#;
    let rule = mock!(aws_sdk_sfn::Client::send_task_success)
        .sequence()
        .http_status(400, Some(quoting.to_owned()))
        .build();
    let callbacks = StepFunctions::new(scripted!(aws_sdk_sfn, &rule));
    let error = callbacks.succeed(&TaskToken::new("secret-token"), "{}").await.unwrap_err();
    assert_eq!(error.class, Class::Invalid);
    assert!(!format!("{error} {error:?}").contains("secret-token"));
}
