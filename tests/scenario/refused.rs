//! Requests that are not taken, and names: every id that a caller was given leads somewhere, and so does
//! every name that it gave.

use std::{sync::Arc, time::Duration};

use copy_manager::{
    engine::{Engine, EventVerdict},
    simulator::events::ChannelSink,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    doubles::Said,
    house::{House, Instance},
};

const FILE: [(&str, u64, u32); 1] = [("/run/a.bam", 100, 2)];
const SOON: Duration = Duration::from_secs(20);

async fn house() -> (House, Instance) {
    let house = House::new(&FILE, &[], &[], |_| {}).await;
    let instance = house.instance();
    (house, instance)
}

/// An event as EventBridge delivers it.
fn event(id: &str, detail: &Value) -> String {
    let (kind, source) = ("ICAv2DataCopySync", "my.lab");
    json!({ "id": id, "detail-type": kind, "source": source, "detail": detail }).to_string()
}

fn right() -> Value {
    json!({ "sourceUriList": ["icav2://lab/run/"], "destinationUri": "icav2://archive/in/" })
}

fn other() -> Value {
    json!({ "sourceUriList": ["icav2://lab/run/a.bam"], "destinationUri": "icav2://archive/in/" })
}

fn wrong() -> Value {
    json!({ "sourceUriList": ["icav2://lab/run/"], "destinationUri": "icav2://archive/in" })
}

/// The id of the record, and how it ended: `SUCCEEDED`, an error name, or nothing yet.
async fn seen(engine: &Engine, name: &str, source: Option<&str>) -> Option<(String, String)> {
    let view = engine.view_of(name, source).await.unwrap()?;
    let ended = view.outcome.map_or(String::new(), |outcome| {
        outcome.failure.map_or("SUCCEEDED".to_owned(), |failure| failure.error.as_str().to_owned())
    });
    Some((view.id, ended))
}

/// How often the bus was told that of that request.
fn told(house: &House, id: &str, status: &str) -> usize {
    let told = house.buses.told.lock().unwrap();
    told.iter().filter(|change| change["requestId"] == id && change["status"] == status).count()
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_found_by_event_and_name_and_told_once() {
    let (house, instance) = house().await;
    house.queue.push(event("e-1", &json!({ "requestId": "tuesday", "payload": wrong() }))).await.unwrap();
    house.queue.push("no { json").await.unwrap();
    sleep(SOON * 20).await;
    let refused = Some(("e-1".to_owned(), "InvalidRequest".to_owned()));
    for (name, source) in [("e-1", None), ("tuesday", None), ("tuesday", Some("my.lab"))] {
        assert_eq!(seen(&instance.engine, name, source).await, refused, "{name}");
    }
    assert_eq!(seen(&instance.engine, "tuesday", Some("another.lab")).await, None);
    assert_eq!(told(&house, "e-1", "FAILED"), 1, "{:?}", house.buses.told.lock().unwrap());
    // A person can see both messages whole, and look up the other one by the id that the queue gave it.
    let dead = house.queue.dead_letters().await.unwrap();
    assert_eq!(dead.len(), 2);
    let (_, why) = seen(&instance.engine, &dead[1].id, None).await.unwrap();
    assert_eq!(why, "InvalidRequest");

    // The name is free for the request that is right.
    house.queue.push(event("e-2", &json!({ "requestId": "tuesday", "payload": right() }))).await.unwrap();
    sleep(SOON * 20).await;
    let (id, ended) = seen(&instance.engine, "tuesday", None).await.unwrap();
    assert_eq!(ended, "SUCCEEDED");
    for name in ["e-2", id.as_str()] {
        assert_eq!(seen(&instance.engine, name, None).await, Some((id.clone(), ended.clone())), "{name}");
    }
    assert_eq!(seen(&instance.engine, "e-1", None).await, refused);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_answered_and_leaves_a_record_too() {
    let (house, instance) = house().await;
    house.queue.push(event("e-1", &json!({ "taskToken": "t", "payload": wrong() }))).await.unwrap();
    let (error, cause) = house.failure("t", SOON).await;
    assert_eq!((error.as_str(), &cause["requestId"]), ("InvalidRequest", &json!("e-1")));
    sleep(SOON).await;
    assert_eq!(seen(&instance.engine, "e-1", None).await, Some(("e-1".into(), "InvalidRequest".into())));
    assert_eq!(told(&house, "e-1", "FAILED"), 1);
    assert_eq!(house.queue.dead_letters().await.unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_event_of_a_request_with_a_token_leads_to_its_record() {
    let (house, instance) = house().await;
    for (id, token) in [("e-1", "one"), ("e-2", "two")] {
        let detail = json!({ "taskToken": token, "payload": right() });
        house.queue.push(event(id, &detail)).await.unwrap();
    }
    let first = house.success("one", Duration::from_mins(5)).await;
    house.success("two", Duration::from_mins(5)).await;
    let (id, ended) = seen(&instance.engine, "e-1", None).await.unwrap();
    assert_eq!((json!(id), ended.as_str()), (first["requestId"].clone(), "SUCCEEDED"));
    assert_ne!(seen(&instance.engine, "e-2", None).await.unwrap().0, id);
}

#[tokio::test(start_paused = true)]
async fn the_same_name_token_or_id_with_other_content_is_an_error_that_is_heard() {
    let (house, instance) = house().await;
    let first = [
        ("n-1", json!({ "requestId": "tuesday", "payload": right() })),
        ("t-1", json!({ "taskToken": "constant", "payload": right() })),
        ("i-1", json!({ "payload": right() })),
        ("b-1", json!({ "requestId": "wednesday", "taskToken": "named", "payload": right() })),
    ];
    for (id, detail) in &first {
        house.queue.push(event(id, detail)).await.unwrap();
    }
    sleep(SOON).await;
    for (id, detail) in [
        ("n-2", json!({ "requestId": "tuesday", "payload": other() })),
        ("t-2", json!({ "taskToken": "constant", "payload": other() })),
        ("t-3", json!({ "requestId": "thursday", "taskToken": "constant", "payload": other() })),
        ("b-2", json!({ "taskToken": "named", "payload": other() })),
        ("b-3", json!({ "requestId": "friday", "taskToken": "named", "payload": other() })),
    ] {
        house.queue.push(event(id, &detail)).await.unwrap();
        sleep(SOON).await;
        let refused = Some((id.to_owned(), "InvalidRequest".to_owned()));
        assert_eq!(seen(&instance.engine, id, None).await, refused, "{id}");
        assert_eq!(told(&house, id, "FAILED"), 1, "{id}");
    }
    // An id that is taken gives no id to the refusal.
    house.queue.push(event("i-1", &json!({ "payload": other() }))).await.unwrap();
    sleep(SOON).await;
    let refused = |change: &&Value| change["requestId"].as_str().unwrap().starts_with("refused.");
    assert_eq!(house.buses.told.lock().unwrap().iter().filter(refused).count(), 1);
    // And nobody who came first is disturbed.
    for token in ["constant", "named"] {
        house.success(token, Duration::from_mins(5)).await;
    }
    for (id, _) in &first {
        assert_eq!(seen(&instance.engine, id, None).await.unwrap().1, "SUCCEEDED", "{id}");
    }
    sleep(SOON * 10).await;
    assert!(house.unsettled().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_same_content_again_is_one_request_whatever_it_is_called() {
    let (house, instance) = house().await;
    for (id, detail) in [
        ("e-1", json!({ "requestId": "tuesday", "payload": right() })),
        ("e-2", json!({ "requestId": "tuesday", "payload": right() })),
        ("e-3", json!({ "requestId": "tuesday", "taskToken": "t", "payload": right() })),
        ("e-4", json!({ "requestId": "tuesday", "taskToken": "t", "payload": right() })),
        ("e-5", json!({ "requestId": "again", "taskToken": "t", "payload": right() })),
    ] {
        house.queue.push(event(id, &detail)).await.unwrap();
        sleep(SOON).await;
    }
    house.success("t", Duration::from_mins(5)).await;
    let (id, _) = seen(&instance.engine, "tuesday", None).await.unwrap();
    for name in ["e-1", "e-2", "e-3", "e-4", "e-5", "again"] {
        assert_eq!(seen(&instance.engine, name, None).await.unwrap().0, id, "{name}");
    }
    assert_eq!(told(&house, &id, "SUCCEEDED"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_at_the_door_is_what_the_queue_would_say() {
    let (house, instance) = house().await;
    let engine = &instance.engine;
    let judge = async |id: &str, detail: &Value| engine.judge_event(&event(id, detail), id).await.unwrap();
    let named = json!({ "requestId": "tuesday", "taskToken": "t", "payload": right() });
    let EventVerdict::Welcome(id) = judge("e-1", &named).await else { panic!("a good request is refused") };
    assert_eq!(seen(engine, "e-1", None).await, None, "nothing is stored by judging");
    house.queue.push(event("e-1", &named)).await.unwrap();
    house.success("t", Duration::from_mins(5)).await;
    assert_eq!(judge("e-2", &named).await, EventVerdict::Welcome(id.clone()));

    let contradiction = json!({ "requestId": "tuesday", "taskToken": "u", "payload": other() });
    let EventVerdict::Refused { id: refused, reason } = judge("e-3", &contradiction).await else { panic!() };
    assert!(refused == "e-3" && reason.contains("with another payload"), "{refused}: {reason}");
    // Its token was answered before the door answered.
    assert!(
        matches!(house.callers.answer("u"), Some((_, Said::Failure(error, _))) if error == "InvalidRequest")
    );
    let EventVerdict::Refused { reason, .. } =
        judge("e-4", &json!({ "taskToken": "v", "payload": wrong() })).await
    else {
        panic!()
    };
    assert!(reason.contains("destinationUri"), "{reason}");
    assert!(house.callers.answer("v").is_some());
    let typo = event("e-5", &json!({ "taskToken": "w", "payload": right() })).replace("CopySync", "CopySink");
    assert!(matches!(engine.judge_event(&typo, "e-5").await.unwrap(), EventVerdict::Refused { .. }));
    for (id, tells) in [("e-3", 1), ("e-4", 1), ("e-5", 1)] {
        assert_eq!(seen(engine, id, None).await, Some((id.to_owned(), "InvalidRequest".into())));
        assert_eq!(told(&house, id, "FAILED"), tells);
    }
    // And the name still leads to the request that has it.
    assert_eq!(seen(engine, "tuesday", Some("my.lab")).await.unwrap().0, id);
}

#[tokio::test(start_paused = true)]
async fn events_of_jobs_wake_who_waits_for_them() {
    const JOB: Duration = Duration::from_mins(15);
    let mut took = Vec::new();
    for is_told in [false, true] {
        let house = House::new(&FILE, &[], &[], |platform| platform.job_duration = JOB).await;
        let instance = house.instance();
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        house.simulator.set_events(Arc::new(ChannelSink(sender)));
        house.ask(&["/run/"], "/in/", "t").await;
        let answered = house.answer("t", 2 * JOB);
        tokio::pin!(answered);
        loop {
            tokio::select! {
                (when, _) = &mut answered => break took.push(when),
                Some(event) = events.recv(), if is_told => {
                    assert_eq!(instance.work.folders.hear_events(&event.to_string()).await.unwrap(), Ok((1, 0)));
                }
            }
        }
        assert!(instance.work.folders.hear_events("no json").await.unwrap().is_err());
    }
    // The window of a batch, and no poll; polls of a job as old as this are most of a minute apart.
    let soon = JOB + Duration::from_secs(3);
    assert!(took[1] < soon && soon < took[0], "polled {:?}, told {:?}", took[0], took[1]);
}
