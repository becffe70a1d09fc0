//! Messages signed with a key that was made for the test, of which only the certificate is left.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::events::jobs::read_job_events;

const TOPIC: &str = "arn:aws:sns:ap-southeast-2:123456789012:ica-events";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/sns/", $name))
    };
}

/// SNS: serves the certificate, and remembers what was called.
#[derive(Debug, Clone, Default)]
struct Sns {
    called: Arc<Mutex<Vec<String>>>,
    is_away: bool,
}

#[async_trait]
impl Fetch for Sns {
    async fn fetch(&self, url: &Url) -> Result<Vec<u8>, String> {
        self.called.lock().unwrap().push(url.to_string());
        if self.is_away { Err("away".into()) } else { Ok(fixture!("certificate.pem").into()) }
    }
}

impl Sns {
    fn inbox(&self) -> Inbox {
        Inbox::new(vec![TOPIC.to_owned()], Box::new(self.clone()))
    }

    fn calls(&self) -> usize {
        self.called.lock().unwrap().len()
    }
}

/// A message with one field changed.
fn with(message: &str, field: &str, value: &str) -> String {
    let mut message: Value = serde_json::from_str(message).unwrap();
    message[field] = value.into();
    message.to_string()
}

#[tokio::test]
async fn both_kinds_of_signature_are_believed_and_the_certificate_is_fetched_once() {
    let sns = Sns::default();
    let inbox = sns.inbox();
    for message in [fixture!("notification-1.json"), fixture!("notification-2.json")] {
        let published = inbox.open(message).await.unwrap().unwrap();
        assert_eq!(read_job_events(&published).unwrap().jobs.len(), 1, "{published}");
    }
    let url = "https://sns.ap-southeast-2.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem";
    assert_eq!(*sns.called.lock().unwrap(), [url]);
}

#[tokio::test]
async fn a_topic_that_asks_is_told_that_it_may_send() {
    for message in [fixture!("confirmation-1.json"), fixture!("confirmation-2.json")] {
        let sns = Sns::default();
        assert_eq!(sns.inbox().open(message).await, Ok(None));
        assert!(sns.called.lock().unwrap()[1].contains("Action=ConfirmSubscription"));
    }
    // Signed, but leading elsewhere: no address is called.
    let sns = Sns::default();
    let asked = sns.inbox().open(fixture!("confirmation-elsewhere.json")).await;
    assert!(matches!(asked, Err(Unheard::Untrusted(_))), "{asked:?}");
    assert_eq!(sns.calls(), 1, "the certificate alone");
}

#[tokio::test]
async fn whatever_was_changed_on_the_way_is_not_believed() {
    let sns = Sns::default();
    let inbox = sns.inbox();
    for (message, field, value) in [
        (fixture!("notification-1.json"), "Message", "{}"),
        (fixture!("notification-1.json"), "Subject", "Another"),
        (fixture!("notification-2.json"), "Message", "{}"),
        (fixture!("notification-2.json"), "Subject", "One more"),
        (fixture!("notification-2.json"), "Timestamp", "2027-01-01T00:00:00.000Z"),
        (fixture!("notification-2.json"), "Signature", "AAAA"),
        (fixture!("notification-2.json"), "Signature", "no base64"),
        (fixture!("notification-2.json"), "SignatureVersion", "1"),
        (fixture!("notification-2.json"), "SignatureVersion", "3"),
        (fixture!("notification-2.json"), "Type", "SubscriptionConfirmation"),
        (fixture!("confirmation-2.json"), "Type", "Notification"),
        (fixture!("confirmation-2.json"), "SubscribeURL", "https://sns.us-east-1.amazonaws.com/"),
    ] {
        let opened = inbox.open(&with(message, field, value)).await;
        assert!(matches!(opened, Err(Unheard::Untrusted(_))), "{field}: {value}: {opened:?}");
    }
    assert_eq!(sns.calls(), 1, "the certificate alone");
}

#[tokio::test]
async fn other_topics_and_other_places_are_not_even_asked() {
    let sns = Sns::default();
    let inbox = sns.inbox();
    for (field, value) in [
        ("TopicArn", "arn:aws:sns:ap-southeast-2:666666666666:ica-events"),
        ("SigningCertURL", "https://evil.example/SimpleNotificationService-1.pem"),
        ("SigningCertURL", "http://sns.ap-southeast-2.amazonaws.com/SimpleNotificationService-1.pem"),
        ("SigningCertURL", "https://sns.ap-southeast-2.amazonaws.com/?Action=ListTopics"),
        ("SigningCertURL", "https://sns.ap-southeast-2.amazonaws.com/x.pem"),
        ("SigningCertURL", "https://sns.ap-southeast-2.amazonaws.com/x.pem?Action=GetTopicAttributes"),
        (
            "SigningCertURL",
            "https://sns.ap-southeast-2.amazonaws.com/SimpleNotificationService-1.pem?Action=ListTopics",
        ),
        ("SigningCertURL", "https://sns.ap-southeast-2.amazonaws.com/SimpleNotificationService-1/../x.pem"),
    ] {
        let opened = inbox.open(&with(fixture!("notification-2.json"), field, value)).await;
        assert!(matches!(opened, Err(Unheard::Untrusted(_))), "{value}: {opened:?}");
    }
    for wrong in ["", "{}", "[]", r#"{"Type": "New"}"#] {
        assert!(matches!(inbox.open(wrong).await, Err(Unheard::Wrong(_))), "{wrong}");
    }
    assert_eq!(sns.calls(), 0);
}

#[tokio::test]
async fn a_message_may_come_again_when_sns_cannot_be_asked() {
    let sns = Sns { is_away: true, ..Sns::default() };
    let opened = sns.inbox().open(fixture!("notification-2.json")).await;
    assert_eq!(opened, Err(Unheard::Later("away".into())));
}
