//! What every queue does. The queues under test show a message again after a second and give it up
//! after three receives.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_sqs::types::QueueAttributeName;
use copy_manager::{
    aws::{queue::SqsQueue, settings::Settings},
    embedded::{
        database::Database,
        queue::{Options, SqliteQueue},
    },
    ports::{
        Class,
        queue::{Depth, Message, Queue},
    },
};
use tokio::time::{Instant, timeout};

use crate::{chance, emulator::Emulator, eventually, file};

const VISIBILITY: Duration = Duration::from_secs(1);
const MAX_RECEIVES: u32 = 3;
const NONE: [&str; 0] = [];

/// What a test needs beside the port.
#[async_trait]
trait Outside: Send + Sync {
    /// Puts a message in.
    async fn push(&self, body: &str);
    /// The bodies of the dead letters.
    async fn dead_letters(&self) -> Vec<String>;
}

fn options() -> Options {
    Options {
        visibility: VISIBILITY,
        long_poll: Duration::from_secs(20),
        max_receives: Some(MAX_RECEIVES),
        capacity: 100,
    }
}

#[async_trait]
impl Outside for Arc<SqliteQueue> {
    async fn push(&self, body: &str) {
        SqliteQueue::push(self, body).await.unwrap();
    }

    async fn dead_letters(&self) -> Vec<String> {
        let letters = SqliteQueue::dead_letters(self).await.unwrap();
        letters.into_iter().map(|letter| letter.body).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn in_memory() {
    let queue = SqliteQueue::open(Database::in_memory().unwrap(), "test", options(), chance()).await.unwrap();
    let queue = Arc::new(queue);
    suite(queue.as_ref(), &queue).await;
}

#[tokio::test]
async fn in_a_file() {
    let (_directory, database) = file();
    let queue = Arc::new(SqliteQueue::open(database, "test", options(), chance()).await.unwrap());
    suite(queue.as_ref(), &queue).await;
}

#[derive(Debug)]
struct Sqs {
    client: aws_sdk_sqs::Client,
    url: String,
    dead_url: String,
}

impl Sqs {
    async fn create(client: aws_sdk_sqs::Client) -> Self {
        let dead_url = client.create_queue().queue_name("dead").send().await.unwrap().queue_url.unwrap();
        let attributes = client.get_queue_attributes().queue_url(&dead_url);
        let attributes = attributes.attribute_names(QueueAttributeName::QueueArn).send().await.unwrap();
        let dead_arn = &attributes.attributes.unwrap()[&QueueAttributeName::QueueArn];
        let redrive = serde_json::json!({"deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVES});
        let queue = client
            .create_queue()
            .queue_name("under-test")
            .attributes(QueueAttributeName::VisibilityTimeout, VISIBILITY.as_secs().to_string())
            .attributes(QueueAttributeName::RedrivePolicy, redrive.to_string())
            .send()
            .await
            .unwrap();
        Self { client, url: queue.queue_url.unwrap(), dead_url }
    }
}

#[async_trait]
impl Outside for Sqs {
    async fn push(&self, body: &str) {
        self.client.send_message().queue_url(&self.url).message_body(body).send().await.unwrap();
    }

    async fn dead_letters(&self) -> Vec<String> {
        let letters = self.client.receive_message().queue_url(&self.dead_url).send().await.unwrap();
        letters.messages().iter().map(|letter| letter.body().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn in_sqs() {
    let Some(emulator) = Emulator::start().await else { return };
    let outside = Sqs::create(emulator.clients().await.sqs).await;
    let queue = SqsQueue::new(outside.client.clone(), &outside.url, Some(MAX_RECEIVES));
    suite(&queue, &outside).await;
}

/// On the last receive the caller's token is answered, so both must count alike.
#[tokio::test]
async fn the_stack_and_the_settings_agree_on_the_last_receive() {
    let Some(emulator) = Emulator::start().await else { return };
    let (stack, sqs) = (emulator.deploy("redrive").await, emulator.clients().await.sqs);
    for url in [stack.copy_requests_queue_url, stack.ica_events_queue_url] {
        let attributes = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
        let attributes = attributes.send().await.unwrap().attributes.unwrap();
        let redrive: serde_json::Value =
            serde_json::from_str(&attributes[&QueueAttributeName::RedrivePolicy]).unwrap();
        let count = redrive["maxReceiveCount"].to_string();
        assert_eq!(count.trim_matches('"'), Settings::default().max_receives.to_string());
    }
}

#[tokio::test]
async fn what_was_pushed_is_there_after_a_crash() {
    let (directory, database) = file();
    let queue = SqliteQueue::open(database, "test", options(), chance()).await.unwrap();
    queue.push("accepted").await.unwrap();
    let held = one(&queue).await;
    let again = Database::open(&directory.path().join("test.sqlite")).unwrap();
    let again = SqliteQueue::open(again, "test", options(), chance()).await.unwrap();
    let message = one(&again).await;
    assert_eq!((message.id, message.receives), (held.id, 2), "visible at once, and counted");
}

/// As in SQS; the emulator does not know that it was there.
#[tokio::test(start_paused = true)]
async fn deleting_twice_is_fine() {
    let queue = SqliteQueue::open(Database::in_memory().unwrap(), "test", options(), chance()).await.unwrap();
    queue.push("once").await.unwrap();
    let receipt = [one(&queue).await.receipt];
    assert_eq!(queue.delete(&receipt).await.unwrap(), NONE);
    assert_eq!(queue.delete(&receipt).await.unwrap(), NONE);
}

#[tokio::test(start_paused = true)]
async fn a_stale_receipt_deletes_nothing() {
    let queue = SqliteQueue::open(Database::in_memory().unwrap(), "test", options(), chance()).await.unwrap();
    queue.push("slow").await.unwrap();
    let stale = [one(&queue).await.receipt];
    let fresh = [one(&queue).await.receipt];
    assert_eq!(queue.delete(&stale).await.unwrap(), stale);
    assert_eq!(queue.delete(&fresh).await.unwrap(), NONE);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses() {
    let queue = SqliteQueue::open(Database::in_memory().unwrap(), "test", options(), chance()).await.unwrap();
    for n in 0..100 {
        queue.push(n.to_string()).await.unwrap();
    }
    assert_eq!(queue.push("one too many").await.unwrap_err().class, Class::Throttled);
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_waits_for_news() {
    let queue = SqliteQueue::open(Database::in_memory().unwrap(), "test", options(), chance()).await.unwrap();
    let start = Instant::now();
    assert_eq!(queue.receive().await.unwrap(), []);
    assert_eq!(start.elapsed(), Duration::from_secs(20));
    let pushing = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        queue.push("news").await.unwrap();
    };
    let (received, ()) = tokio::join!(queue.receive(), pushing);
    assert_eq!(received.unwrap()[0].body, "news");
    assert_eq!(start.elapsed(), Duration::from_secs(27));
}

async fn suite(queue: &dyn Queue, outside: &dyn Outside) {
    assert_eq!(queue.max_receives(), Some(MAX_RECEIVES));
    what_is_deleted_stays_away(queue, outside).await;
    what_is_left_comes_back(queue, outside).await;
    what_is_released_is_there_at_once(queue, outside).await;
    many_come_in_tens(queue, outside).await;
    what_waits_and_what_is_in_flight_is_counted(queue, outside).await;
    what_nobody_finishes_dies(queue, outside).await;
}

async fn is_at(queue: &dyn Queue, waiting: u64, in_flight: u64, dead_letters: u64) {
    let wanted = Depth { waiting, in_flight, dead_letters: Some(dead_letters) };
    eventually("that depth", async || (queue.depth().await.unwrap() == wanted).then_some(())).await;
}

async fn one(queue: &dyn Queue) -> Message {
    let mut messages = timeout(Duration::from_secs(30), queue.receive()).await.unwrap().unwrap();
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages.remove(0)
}

async fn what_is_deleted_stays_away(queue: &dyn Queue, outside: &dyn Outside) {
    let body = r#"{"text": "ünïcödé & <xml>"}"#;
    outside.push(body).await;
    let message = one(queue).await;
    assert_eq!((message.body.as_str(), message.receives), (body, 1));
    let receipt = [message.receipt];
    assert_eq!(queue.delete(&receipt).await.unwrap(), NONE);
    assert_eq!(queue.delete(&[]).await.unwrap(), NONE);
    let nonsense = ["nonsense".to_owned()];
    assert_eq!(queue.delete(&nonsense).await.unwrap(), nonsense);
    queue.release(&nonsense).await.unwrap();
    tokio::time::sleep(VISIBILITY + Duration::from_millis(500)).await;
    outside.push("after").await;
    let after = one(queue).await;
    assert_eq!(after.body, "after");
    queue.delete(&[after.receipt]).await.unwrap();
}

async fn what_is_left_comes_back(queue: &dyn Queue, outside: &dyn Outside) {
    outside.push("left").await;
    let first = one(queue).await;
    let start = Instant::now();
    let second = one(queue).await;
    assert!(start.elapsed() > VISIBILITY / 2, "too early: {:?}", start.elapsed());
    assert_eq!((second.id, second.receives), (first.id, 2));
    assert_eq!(queue.delete(&[second.receipt]).await.unwrap(), NONE);
}

async fn what_is_released_is_there_at_once(queue: &dyn Queue, outside: &dyn Outside) {
    outside.push("released").await;
    let first = one(queue).await;
    queue.release(&[first.receipt]).await.unwrap();
    let start = Instant::now();
    let second = one(queue).await;
    assert!(start.elapsed() < VISIBILITY / 2, "too late: {:?}", start.elapsed());
    assert_eq!((second.id, second.receives), (first.id, 2));
    queue.delete(&[second.receipt]).await.unwrap();
}

async fn many_come_in_tens(queue: &dyn Queue, outside: &dyn Outside) {
    for n in 0..25 {
        outside.push(&n.to_string()).await;
    }
    let mut receipts = Vec::new();
    while receipts.len() < 25 {
        let messages = queue.receive().await.unwrap();
        assert!((1..=10).contains(&messages.len()), "{}", messages.len());
        receipts.extend(messages.into_iter().map(|message| message.receipt));
    }
    assert_eq!(queue.delete(&receipts).await.unwrap(), NONE);
}

async fn what_waits_and_what_is_in_flight_is_counted(queue: &dyn Queue, outside: &dyn Outside) {
    is_at(queue, 0, 0, 0).await;
    outside.push("counted").await;
    is_at(queue, 1, 0, 0).await;
    let message = one(queue).await;
    is_at(queue, 0, 1, 0).await;
    queue.release(&[message.receipt]).await.unwrap();
    is_at(queue, 1, 0, 0).await;
    let message = one(queue).await;
    queue.delete(&[message.receipt]).await.unwrap();
    is_at(queue, 0, 0, 0).await;
}

async fn what_nobody_finishes_dies(queue: &dyn Queue, outside: &dyn Outside) {
    outside.push("poison").await;
    for receives in 1..=MAX_RECEIVES {
        let message = one(queue).await;
        assert_eq!((message.body.as_str(), message.receives), ("poison", receives));
        queue.release(&[message.receipt]).await.unwrap();
    }
    outside.push("healthy").await;
    let message = one(queue).await;
    assert_eq!(message.body, "healthy");
    queue.delete(&[message.receipt]).await.unwrap();
    eventually("the dead letter", async || {
        outside.dead_letters().await.contains(&"poison".to_owned()).then_some(())
    })
    .await;
    is_at(queue, 0, 0, 1).await;
}
