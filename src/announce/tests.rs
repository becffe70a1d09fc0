//! Targets are told, and none sees what is another's.

use std::sync::Mutex;

use super::*;
use crate::http::transport::TransportError;

/// Answers as it is told, and keeps what was sent.
#[derive(Debug, Default)]
struct Listener {
    status: u16,
    sent: Mutex<Vec<Request<Bytes>>>,
}

#[async_trait]
impl Transport for Listener {
    async fn send(
        &self,
        request: Request<Bytes>,
    ) -> std::result::Result<http::Response<Bytes>, TransportError> {
        self.sent.lock().unwrap().push(request);
        let mut answer = http::Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap();
        Ok(answer)
    }
}

#[derive(Debug, Default)]
struct Told(Mutex<Vec<[String; 3]>>);

#[async_trait]
impl Topics for Told {
    async fn publish(&self, topic: &str, subject: &str, message: &str) -> Result<()> {
        self.0.lock().unwrap().push([topic, subject, message].map(str::to_owned));
        Ok(())
    }
}

fn target(text: &str) -> Target {
    Target::read(text).unwrap()
}

#[tokio::test]
async fn a_target_over_https_can_tell_by_the_signature_that_it_is_us() {
    let listener = Arc::new(Listener { status: 204, ..Listener::default() });
    let announcer = Announcer::new(listener.clone(), None, Some(SecretString::from("key")));
    announcer.send(&target("https://hooks.example.org/secret/path"), "s", "{\"a\":1}").await.unwrap();
    let sent = listener.sent.lock().unwrap();
    assert_eq!(sent[0].body(), "{\"a\":1}");
    // printf '{"a":1}' | openssl dgst -sha256 -hmac key
    let signature = "sha256=88a67f24bbcdaed0e6c997404bb79a743baf44c6bab2f4c27328e3009d22e342";
    assert_eq!(sent[0].headers()["x-signature"], signature);
}

#[tokio::test]
async fn slack_gets_lines_and_no_signature_and_its_address_is_in_no_error() {
    let listener = Arc::new(Listener { status: 404, ..Listener::default() });
    let announcer = Announcer::new(listener.clone(), None, Some(SecretString::from("key")));
    let slack = target("slack:https://hooks.slack.com/services/T0/B0/very-secret");
    let error = announcer.send(&slack, "s", "lines").await.unwrap_err();
    assert_eq!(error.class, Class::NotFound);
    assert!(!format!("{error} {error:?}").contains("very-secret"));
    let sent = listener.sent.lock().unwrap();
    assert_eq!(sent[0].body(), "{\"text\":\"lines\"}");
    assert!(!sent[0].headers().contains_key("x-signature"));
}

#[tokio::test]
async fn a_topic_is_told_where_there_is_sns() {
    let (listener, topics) = (Arc::new(Listener::default()), Arc::new(Told::default()));
    let sns = target("sns:arn:aws:sns:us-east-1:111122223333:canvas");
    Announcer::new(listener.clone(), Some(topics.clone()), None).send(&sns, "s", "m").await.unwrap();
    let told = [["arn:aws:sns:us-east-1:111122223333:canvas", "s", "m"].map(str::to_owned)];
    assert_eq!(*topics.0.lock().unwrap(), told);
    let error = Announcer::new(listener, None, None).send(&sns, "s", "m").await.unwrap_err();
    assert!(error.to_string().contains("backend"), "{error}");
}
