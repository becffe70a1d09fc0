//! What an emulator does not do: refusals, throttling and lost answers, as scripted replies.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    operation::{
        batch_get_item::BatchGetItemOutput, transact_write_items::TransactWriteItemsOutput,
        update_item::UpdateItemError,
    },
    types::{AttributeValue, KeysAndAttributes, error::ConditionalCheckFailedException},
};
use aws_smithy_mocks::{MockResponseInterceptor, Rule, RuleMode, create_mock_http_client, mock};
use tokio::time::Instant;

use super::{
    bus::EventBridgeBus, clients, items, queue::SqsQueue, secret::SecretToken, settings::Settings,
    store::DynamoStore,
};
use crate::ports::{
    Class,
    bus::{Bus, Event, EventBus as _},
    chance::Dice,
    queue::Queue as _,
    store::{Change, Condition, Item, Key, Store as _, Transacted, Write, Written},
    tokens::TokenSource as _,
};

/// A client that gets its answers from rules, with the retries and timeouts of the real one.
macro_rules! scripted {
    ($sdk:ident, $($rule:expr),+) => {{
        let script = script(&[$($rule),+]);
        let config = $sdk::config::Builder::from(&sdk_config().await)
            .http_client(create_mock_http_client())
            .interceptor(script);
        $sdk::Client::from_conf(config.build())
    }};
}

mod answers;
mod depths;
mod parameters;

fn script(rules: &[&Rule]) -> MockResponseInterceptor {
    let script = MockResponseInterceptor::new().rule_mode(RuleMode::Sequential);
    rules.iter().fold(script, |script, rule| script.with_rule(rule))
}

async fn sdk_config() -> aws_config::SdkConfig {
    clients::configured(aws_config::defaults(aws_config::BehaviorVersion::latest()))
        .region("ap-southeast-2")
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .load()
        .await
}

fn store(client: aws_sdk_dynamodb::Client) -> DynamoStore {
    DynamoStore::new(client, "table", Arc::new(Dice::from_seed(1)))
}

fn key() -> Key {
    Key::new("id", "REQUEST")
}

fn body(code: &str, rest: &str) -> String {
    format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"secret words"{rest}}}"#)
}

#[tokio::test(start_paused = true)]
async fn throttling_is_tried_three_times_in_seconds() {
    let start = Instant::now();
    let rule = mock!(aws_sdk_dynamodb::Client::get_item)
        .sequence()
        .http_status(400, Some(body("ProvisionedThroughputExceededException", "")))
        .times(3)
        .build();
    let error = store(scripted!(aws_sdk_dynamodb, &rule)).get(&key()).await.unwrap_err();
    assert_eq!((error.class, error.status, rule.num_calls()), (Class::Throttled, Some(400), 3));
    assert_eq!(error.to_string(), "GetItem: ProvisionedThroughputExceededException");
    assert!(!error.may_have_happened);
    assert!(start.elapsed().as_secs() < 15);
}

#[tokio::test(start_paused = true)]
async fn a_server_error_may_have_happened() {
    let rule = mock!(aws_sdk_dynamodb::Client::update_item)
        .sequence()
        .http_status(500, Some(body("InternalServerError", "")))
        .times(3)
        .build();
    let write = Write::update(key(), vec![Change::Add("n".into(), 1)]);
    let error = store(scripted!(aws_sdk_dynamodb, &rule)).write(write).await.unwrap_err();
    assert_eq!((error.class, error.may_have_happened), (Class::Transient, true));
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_finds_itself() {
    let item = Item::new(key()).with("write_id", "mine");
    let found = items::encode(&item.key, &item.attributes);
    let rule = mock!(aws_sdk_dynamodb::Client::update_item)
        .sequence()
        .http_status(500, Some(body("InternalServerError", "")))
        .error(move || {
            let failed = ConditionalCheckFailedException::builder().set_item(Some(found.clone())).build();
            UpdateItemError::ConditionalCheckFailedException(failed)
        })
        .build();
    let write = Write::update(key(), vec![Change::Set("write_id".into(), "mine".into())])
        .when(Condition::Lacks("write_id".into()));
    let written = store(scripted!(aws_sdk_dynamodb, &rule)).write(write).await.unwrap();
    assert_eq!(written, Written::Refused(Some(item)));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_keeps_its_token_over_attempts() {
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&tokens);
    let rule = mock!(aws_sdk_dynamodb::Client::transact_write_items)
        .match_requests(move |request| {
            seen.lock().unwrap().push(request.client_request_token().unwrap().to_owned());
            true
        })
        .sequence()
        .http_status(500, Some(body("InternalServerError", "")))
        .output(|| TransactWriteItemsOutput::builder().build())
        .output(|| TransactWriteItemsOutput::builder().build())
        .build();
    let store = store(scripted!(aws_sdk_dynamodb, &rule));
    for _ in 0..2 {
        let writes = vec![Write::put_new(Item::new(key()))];
        assert_eq!(store.transact(writes).await.unwrap(), Transacted::Done);
    }
    assert_eq!(rule.num_calls(), 3);
    let mut tokens = tokens.lock().unwrap().clone();
    tokens.dedup();
    assert_eq!(tokens.len(), 2, "one token per call");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_transaction_says_why() {
    let refused = |positions: &[usize]| Ok(Transacted::Refused(positions.to_vec()));
    for (reasons, expected) in [
        (vec!["ConditionalCheckFailed", "None"], refused(&[0])),
        (vec!["TransactionConflict", "ConditionalCheckFailed"], refused(&[1])),
        (vec!["None", "TransactionConflict"], Err(Class::Transient)),
        (vec!["TransactionConflict", "ThrottlingError"], Err(Class::Throttled)),
        (vec!["ProvisionedThroughputExceeded", "None"], Err(Class::Throttled)),
        (vec!["ThrottlingError", "ValidationError"], Err(Class::Invalid)),
        (vec!["None", "None"], Err(Class::Transient)),
    ] {
        let codes: Vec<String> = reasons.iter().map(|code| format!(r#"{{"Code":"{code}"}}"#)).collect();
        let answer =
            body("TransactionCanceledException", &format!(r#","CancellationReasons":[{}]"#, codes.join(",")));
        let rule = mock!(aws_sdk_dynamodb::Client::transact_write_items)
            .sequence()
            .http_status(400, Some(answer))
            .times(3)
            .build();
        let writes = vec![Write::put_new(Item::new(key())), Write::delete(Key::new("other", "REQUEST"))];
        let said = store(scripted!(aws_sdk_dynamodb, &rule)).transact(writes).await;
        assert_eq!(said.map_err(|error| error.class), expected, "{reasons:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn unprocessed_keys_are_asked_for_again() {
    let left = || {
        let keys = KeysAndAttributes::builder().keys(items::key(&key())).build().unwrap();
        BatchGetItemOutput::builder().unprocessed_keys("table", keys).build()
    };
    let found = || {
        let item = items::encode(&key(), &[("n".to_owned(), 1.into())].into());
        BatchGetItemOutput::builder().responses("table", vec![item]).build()
    };
    let rule = mock!(aws_sdk_dynamodb::Client::batch_get_item).sequence().output(left).output(found).build();
    let items = store(scripted!(aws_sdk_dynamodb, &rule)).get_many(&[key()]).await.unwrap();
    assert_eq!(items, [Item::new(key()).with("n", 1)]);

    let rule = mock!(aws_sdk_dynamodb::Client::batch_get_item).sequence().output(left).times(4).build();
    let error = store(scripted!(aws_sdk_dynamodb, &rule)).get_many(&[key()]).await.unwrap_err();
    assert_eq!((error.class, rule.num_calls()), (Class::Throttled, 4));
}

#[tokio::test(start_paused = true)]
async fn items_that_are_not_ours_are_invalid() {
    use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
    for foreign in [AttributeValue::Bool(true), AttributeValue::N("1.5".into())] {
        let rule = mock!(aws_sdk_dynamodb::Client::get_item).then_output(move || {
            let mut item = items::key(&key());
            item.insert("foreign".to_owned(), foreign.clone());
            GetItemOutput::builder().set_item(Some(item)).build()
        });
        let error = store(scripted!(aws_sdk_dynamodb, &rule)).get(&key()).await.unwrap_err();
        assert_eq!(error.class, Class::Invalid);
    }
}

#[tokio::test(start_paused = true)]
async fn receipts_that_were_not_deleted_are_returned() {
    use aws_sdk_sqs::{
        operation::delete_message_batch::DeleteMessageBatchOutput, types::BatchResultErrorEntry,
    };
    let all = || DeleteMessageBatchOutput::builder().set_successful(Some(vec![])).set_failed(Some(vec![]));
    let first = mock!(aws_sdk_sqs::Client::delete_message_batch).then_output(move || all().build().unwrap());
    let second = mock!(aws_sdk_sqs::Client::delete_message_batch).then_output(move || {
        let failed =
            BatchResultErrorEntry::builder().id("1").code("InternalError").sender_fault(false).build();
        all().failed(failed.unwrap()).build().unwrap()
    });
    let queue = SqsQueue::new(scripted!(aws_sdk_sqs, &first, &second), "https://sqs/1/queue", None);
    let receipts: Vec<String> = (0..12).map(|n| format!("receipt {n}")).collect();
    assert_eq!(queue.delete(&receipts).await.unwrap(), ["receipt 11"]);
}

#[tokio::test(start_paused = true)]
async fn refused_events_are_told_by_position() {
    use aws_sdk_eventbridge::{operation::put_events::PutEventsOutput, types::PutEventsResultEntry};
    let taken = || PutEventsResultEntry::builder().event_id("e").build();
    let refused =
        |code: &str| PutEventsResultEntry::builder().error_code(code).error_message("words").build();
    let first = mock!(aws_sdk_eventbridge::Client::put_events).then_output(move || {
        let entries = (0..10).map(|n| if n == 3 { refused("NotAuthorizedForSource") } else { taken() });
        PutEventsOutput::builder().set_entries(Some(entries.collect())).build()
    });
    let second = mock!(aws_sdk_eventbridge::Client::put_events).then_output(move || {
        let entries = vec![taken(), refused("MalformedDetail")];
        PutEventsOutput::builder().set_entries(Some(entries)).build()
    });
    let bus = EventBridgeBus::new(scripted!(aws_sdk_eventbridge, &first, &second), &Settings::default());
    let event = Event { bus: Bus::External, source: None, detail_type: "T", detail: "{}".to_owned() };
    let refused = bus.publish(&vec![event; 12]).await.unwrap();
    let refused: Vec<_> = refused.iter().map(|(position, error)| (*position, error.class)).collect();
    assert_eq!(refused, [(3, Class::Invalid), (11, Class::Invalid)]);
}

#[tokio::test(start_paused = true)]
async fn events_refused_for_a_while_are_put_again_alone() {
    use aws_sdk_eventbridge::{operation::put_events::PutEventsOutput, types::PutEventsResultEntry};
    let taken = || PutEventsResultEntry::builder().event_id("e").build();
    let refused = |code: &str| PutEventsResultEntry::builder().error_code(code).build();
    let said =
        |entries: Vec<PutEventsResultEntry>| PutEventsOutput::builder().set_entries(Some(entries)).build();
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let answer = |entries: Vec<PutEventsResultEntry>| {
        let sizes = Arc::clone(&sizes);
        mock!(aws_sdk_eventbridge::Client::put_events)
            .match_requests(move |request| {
                let details = request.entries().iter().map(|entry| entry.detail().unwrap().to_owned());
                sizes.lock().unwrap().push(details.collect::<Vec<_>>());
                true
            })
            .then_output(move || said(entries.clone()))
    };
    // The second answer says nothing of its last entry: that is no success.
    let first = answer(vec![refused("ThrottlingException"), taken(), refused("InternalFailure"), taken()]);
    let second = answer(vec![taken()]);
    let third = answer(vec![refused("ThrottlingException")]);
    let bus =
        EventBridgeBus::new(scripted!(aws_sdk_eventbridge, &first, &second, &third), &Settings::default());
    let event = |n: u32| Event {
        bus: Bus::External,
        source: None,
        detail_type: "T",
        detail: format!("{{\"n\":{n}}}"),
    };
    let start = Instant::now();
    let refused = bus.publish(&(0..4).map(event).collect::<Vec<_>>()).await.unwrap();
    let refused: Vec<_> = refused.iter().map(|(position, error)| (*position, error.class)).collect();
    assert_eq!(refused, [(2, Class::Throttled)]);
    let expected: [&[&str]; 3] =
        [&["{\"n\":0}", "{\"n\":1}", "{\"n\":2}", "{\"n\":3}"], &["{\"n\":0}", "{\"n\":2}"], &["{\"n\":2}"]];
    assert_eq!(*sizes.lock().unwrap(), expected);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_call_holds_ten_events_and_256_kb() {
    use aws_sdk_eventbridge::{operation::put_events::PutEventsOutput, types::PutEventsResultEntry};
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    let rule = mock!(aws_sdk_eventbridge::Client::put_events)
        .match_requests(move |request| {
            let bytes: usize = request.entries().iter().map(|entry| entry.detail().unwrap().len()).sum();
            assert!(bytes <= 256 * 1024, "{bytes} bytes in one call");
            seen.lock().unwrap().push(request.entries().len());
            true
        })
        .sequence()
        .output(|| {
            let taken = PutEventsResultEntry::builder().event_id("e").build();
            PutEventsOutput::builder().set_entries(Some(vec![taken; 10])).build()
        })
        .times(10)
        .build();
    let bus = EventBridgeBus::new(scripted!(aws_sdk_eventbridge, &rule), &Settings::default());
    let event = |kilobytes: usize| {
        let detail = "x".repeat(kilobytes * 1024);
        Event { bus: Bus::External, source: None, detail_type: "T", detail }
    };
    // One that no call takes is refused by itself, and the others go.
    let events: Vec<_> = [200, 100, 100, 300, 100, 1].map(event).into();
    let refused = bus.publish(&events).await.unwrap();
    let refused: Vec<_> = refused.iter().map(|(position, error)| (*position, error.class)).collect();
    assert_eq!(refused, [(3, Class::Invalid)]);
    assert_eq!(*sizes.lock().unwrap(), [1, 2, 2]);
    sizes.lock().unwrap().clear();
    let events: Vec<_> = (0..21).map(|_| event(1)).collect();
    assert_eq!(bus.publish(&events).await.unwrap().len(), 0);
    assert_eq!(*sizes.lock().unwrap(), [10, 10, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_too_large_is_not_sent() {
    let rule = mock!(aws_sdk_dynamodb::Client::transact_write_items)
        .then_output(|| TransactWriteItemsOutput::builder().build());
    let store = store(scripted!(aws_sdk_dynamodb, &rule));
    let large = Write::put_new(Item::new(key()).with("text", "x".repeat(400 * 1024)));
    let small = Write::put_new(Item::new(Key::new("other", "REQUEST")));
    let error = store.transact(vec![small.clone(), large.clone()]).await.unwrap_err();
    assert_eq!((error.class, error.may_have_happened), (Class::Invalid, false));
    assert!(error.to_string().contains("larger than 400 KB"), "{error}");
    assert_eq!(store.write(large).await.unwrap_err().class, Class::Invalid);
    assert_eq!(rule.num_calls(), 0);
    assert_eq!(store.transact(vec![small]).await.unwrap(), Transacted::Done);
}

#[tokio::test(start_paused = true)]
async fn receipts_that_were_not_released_do_not_hold_up_the_others() {
    use aws_sdk_sqs::{
        operation::change_message_visibility_batch::ChangeMessageVisibilityBatchOutput,
        types::BatchResultErrorEntry,
    };
    let rule = mock!(aws_sdk_sqs::Client::change_message_visibility_batch)
        .sequence()
        .output(|| {
            let failed =
                BatchResultErrorEntry::builder().id("0").code("ReceiptHandleIsInvalid").sender_fault(true);
            ChangeMessageVisibilityBatchOutput::builder()
                .set_successful(Some(vec![]))
                .failed(failed.build().unwrap())
                .build()
                .unwrap()
        })
        .times(2)
        .build();
    let queue = SqsQueue::new(scripted!(aws_sdk_sqs, &rule), "https://sqs/1/queue", None);
    let receipts: Vec<String> = (0..12).map(|n| format!("receipt {n}")).collect();
    queue.release(&receipts).await.unwrap();
    assert_eq!(rule.num_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_secret_is_read_but_never_told() {
    use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
    use secrecy::ExposeSecret as _;
    let rule = mock!(aws_sdk_secretsmanager::Client::get_secret_value)
        .match_requests(|request| request.secret_id() == Some("icav2"))
        .then_output(|| GetSecretValueOutput::builder().secret_string(r#"{"token":"a.b.c"}"#).build());
    let source = SecretToken::new(scripted!(aws_sdk_secretsmanager, &rule), "icav2");
    let bearer = source.fetch().await.unwrap();
    assert_eq!((bearer.secret.expose_secret(), bearer.expires), ("a.b.c", None));
    assert!(!format!("{bearer:?}").contains("a.b.c"));

    let rule = mock!(aws_sdk_secretsmanager::Client::get_secret_value)
        .then_output(|| GetSecretValueOutput::builder().secret_string("{\"password\":\"x\"}").build());
    let error =
        SecretToken::new(scripted!(aws_sdk_secretsmanager, &rule), "icav2").fetch().await.unwrap_err();
    assert_eq!((error.class, error.to_string().contains('x')), (Class::Invalid, false));
}
