//! What every bus does, and where its events end up.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use copy_manager::{
    aws::{bus::EventBridgeBus, queue::SqsQueue, settings::Settings},
    embedded::{
        bus::LocalBus,
        database::Database,
        outcomes::Outcomes,
        queue::{Options, SqliteQueue},
    },
    ports::{
        Class,
        bus::{Bus, Event, EventBus},
        queue::Queue,
    },
};
use tokio::time::timeout;

use crate::{chance, clock, emulator::Emulator};

#[tokio::test]
async fn embedded() {
    let queue = requests().await;
    let bus = LocalBus::new(Arc::clone(&queue), Outcomes::to_log(), clock(), chance());
    suite(&bus, queue.as_ref()).await;
}

#[tokio::test]
async fn eventbridge() {
    let Some(emulator) = Emulator::start().await else { return };
    let stack = emulator.deploy("bus").await;
    let clients = emulator.clients().await;
    let settings = Settings {
        external_bus_name: stack.external_bus_name,
        internal_bus_name: Some(stack.internal_bus_name),
        ..Settings::default()
    };
    let bus = EventBridgeBus::new(clients.eventbridge, &settings);
    let queue = SqsQueue::new(clients.sqs, stack.copy_requests_queue_url, Some(5));
    suite(&bus, &queue).await;

    // The rule on the external bus sees the detail type only, so malformed requests arrive too.
    let request = event(Bus::External, "ICAv2DataCopySync", r#"{"nonsense": true}"#);
    assert!(bus.publish(&[request]).await.unwrap().is_empty());
    assert_eq!(details(&queue, 1).await, BTreeSet::from([r#"{"nonsense":true}"#.to_owned()]));
}

#[tokio::test]
async fn outcomes_are_posted() {
    let posted = Arc::new(Mutex::new(Vec::new()));
    let url = webhook(Arc::clone(&posted)).await;
    let bus = LocalBus::new(requests().await, Outcomes::to_webhook(&url).unwrap(), clock(), chance());
    let outcome = event(Bus::External, "CopyManagerStateChange", r#"{"status": "SUCCEEDED"}"#);
    assert!(bus.publish(&[outcome]).await.unwrap().is_empty());
    let envelope = posted.lock().unwrap().remove(0);
    assert_eq!(envelope["detail-type"], "CopyManagerStateChange");
    assert_eq!(envelope["detail"]["status"], "SUCCEEDED");
}

#[tokio::test]
async fn a_webhook_that_is_not_there_refuses() {
    let outcomes = Outcomes::to_webhook("http://127.0.0.1:1/nobody?key=secret").unwrap();
    let bus = LocalBus::new(requests().await, outcomes, clock(), chance());
    let refused = bus.publish(&[event(Bus::External, "CopyManagerStateChange", "{}")]).await.unwrap();
    let (position, error) = &refused[0];
    assert_eq!((*position, error.class), (0, Class::Transient));
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn what_the_webhook_answers_decides() {
    for (status, class) in
        [(503, Class::Throttled), (500, Class::Transient), (401, Class::Unauthorized), (422, Class::Invalid)]
    {
        let refuse = async move || StatusCode::from_u16(status).unwrap();
        let url = serve(Router::new().route("/outcomes", post(refuse))).await;
        let bus = LocalBus::new(requests().await, Outcomes::to_webhook(&url).unwrap(), clock(), chance());
        let refused = bus.publish(&[event(Bus::External, "CopyManagerStateChange", "{}")]).await.unwrap();
        assert_eq!((refused[0].1.class, refused[0].1.status), (class, Some(status)));
    }
}

/// As in EventBridge; the emulator takes anything.
#[tokio::test]
async fn what_is_not_json_is_refused() {
    let bus = LocalBus::new(requests().await, Outcomes::to_log(), clock(), chance());
    for to in [Bus::Internal, Bus::External] {
        let refused = bus.publish(&[event(to, "CopyManagerStateChange", "not JSON")]).await.unwrap();
        assert_eq!(refused[0].1.class, Class::Invalid);
    }
}

#[tokio::test]
async fn callers_events_are_taken_as_eventbridge_would() {
    let queue = requests().await;
    let bus = LocalBus::new(Arc::clone(&queue), Outcomes::to_log(), clock(), chance());
    let id = bus.accept("orcabus.test", "ICAv2DataCopySync", &serde_json::json!({"a": 1})).await.unwrap();
    let message = queue.receive().await.unwrap().remove(0);
    let envelope: serde_json::Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!(envelope["id"], id.as_str());
    assert_eq!(envelope["source"], "orcabus.test");
    assert_eq!(envelope["account"], "000000000000");
    let time: jiff::Timestamp = envelope["time"].as_str().unwrap().parse().unwrap();
    assert!(time.as_second() > 1_700_000_000);
}

/// A webhook that keeps what is posted to it.
pub(crate) async fn webhook(posted: Arc<Mutex<Vec<serde_json::Value>>>) -> String {
    let keep = async |State(posted): State<Arc<Mutex<Vec<serde_json::Value>>>>, Json(body)| {
        posted.lock().unwrap().push(body);
    };
    serve(Router::new().route("/outcomes", post(keep)).with_state(posted)).await
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/outcomes", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn requests() -> Arc<SqliteQueue> {
    let database = Database::in_memory().unwrap();
    Arc::new(SqliteQueue::open(database, "requests", Options::default(), chance()).await.unwrap())
}

fn event(bus: Bus, detail_type: &'static str, detail: &str) -> Event {
    Event { bus, source: None, detail_type, detail: detail.to_owned() }
}

fn child(n: usize) -> Event {
    event(Bus::Internal, "CopyManagerChildRequest", &format!(r#"{{"requestId": "child.{n}"}}"#))
}

/// The details, as compact JSON, of the next so many events; each must come in a proper envelope.
async fn details(queue: &dyn Queue, count: usize) -> BTreeSet<String> {
    let mut details = BTreeSet::new();
    while details.len() < count {
        let messages = timeout(Duration::from_secs(30), queue.receive()).await.unwrap().unwrap();
        for message in &messages {
            let envelope: serde_json::Value = serde_json::from_str(&message.body).unwrap();
            assert_eq!(envelope["version"], "0");
            assert_eq!(envelope["source"], "copy-manager");
            for field in ["id", "detail-type", "account", "time", "region"] {
                assert!(envelope[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {envelope}");
            }
            assert_eq!(envelope["resources"], serde_json::json!([]));
            details.insert(envelope["detail"].to_string());
        }
        let receipts: Vec<String> = messages.into_iter().map(|message| message.receipt).collect();
        queue.delete(&receipts).await.unwrap();
    }
    details
}

async fn suite(bus: &dyn EventBus, queue: &dyn Queue) {
    assert!(bus.publish(&[]).await.unwrap().is_empty());

    let children: Vec<Event> = (0..25).map(child).collect();
    assert!(bus.publish(&children).await.unwrap().is_empty());
    let expected = (0..25).map(|n| format!(r#"{{"requestId":"child.{n}"}}"#)).collect();
    assert_eq!(details(queue, 25).await, expected);

    let large: Vec<Event> = (0..4)
        .map(|n| {
            event(
                Bus::Internal,
                "CopyManagerChildRequest",
                &format!(r#"{{"{n}": "{}"}}"#, "x".repeat(150_000)),
            )
        })
        .collect();
    assert!(bus.publish(&large).await.unwrap().is_empty(), "too large together only");
    assert_eq!(details(queue, 4).await.len(), 4);

    let too_large =
        event(Bus::Internal, "CopyManagerChildRequest", &format!(r#"{{"a": "{}"}}"#, "x".repeat(270_000)));
    let refused = bus.publish(&[child(1), too_large, child(2)]).await.unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].0, refused[0].1.class), (1, Class::Invalid), "{}", refused[0].1);
    assert_eq!(details(queue, 2).await.len(), 2, "the others were taken");

    let others = event(Bus::External, "CopyManagerStateChange", r#"{"status": "RUNNING"}"#);
    assert!(bus.publish(&[others, child(3)]).await.unwrap().is_empty());
    assert_eq!(
        details(queue, 1).await,
        BTreeSet::from([r#"{"requestId":"child.3"}"#.to_owned()]),
        "outcomes are not requests"
    );
}
