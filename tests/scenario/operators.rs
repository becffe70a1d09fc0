//! What operators see of requests, and do to them.

use std::{num::NonZeroU32, time::Duration};

use copy_manager::{
    domain::ids::RequestId,
    engine::{
        Cancel, Retry, Woken,
        list::{Listed, Wanted},
    },
    events::outgoing::Status,
    ports::store::Store as _,
};
use pretty_assertions::assert_eq;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::house::{House, TO};

const SOON: Duration = Duration::from_mins(5);
const DAY: Duration = Duration::from_hours(24);
const BATCH: &str = "POST /api/projects/{projectId}/dataCopyBatch";
const LIST: &str = "GET /api/projects/{projectId}/data";
const FILES: [(&str, u64, u32); 3] = [("/run/a.bam", 300, 2), ("/run/b.bam", 300, 2), ("/run/c.txt", 30, 1)];

/// Asks with a caller and a name, through the bus.
async fn ask(house: &House, n: usize, source: &str, token: &str) {
    let event = json!({
        "id": format!("event-{n}"), "detail-type": "ICAv2DataCopySync", "source": source,
        "detail": {
            "taskToken": token,
            "requestId": format!("run-{n}"),
            "caller": format!("arn:aws:states:r:1:execution:copy:{}", n / 2),
            "payload": {
                "sourceUriList": ["icav2://lab/run/a.bam"],
                "destinationUri": format!("icav2://archive/in/{n}/"),
            },
        },
    });
    house.queue.push(event.to_string()).await.unwrap();
}

fn names(listed: &Listed) -> Vec<&str> {
    listed.requests.iter().map(|view| view.name.as_deref().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn requests_are_listed_newest_first_over_days_and_pages() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    let mut instance = house.instance();
    // Nine of them on three days, with a day without any between.
    for n in 0..9 {
        ask(&house, n, if n % 3 == 0 { "one" } else { "other" }, &format!("t{n}")).await;
        house.success(&format!("t{n}"), SOON).await;
        sleep(Duration::from_secs(7)).await;
        if n % 3 == 2 {
            // Nobody needs to be there meanwhile.
            drop(instance);
            sleep(2 * DAY).await;
            instance = house.instance();
        }
    }
    let list = async |wanted: Wanted| instance.engine.list(&Wanted { limit: 4, ..wanted }).await.unwrap();
    let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let page = list(Wanted { cursor: cursor.take(), ..Wanted::default() }).await;
        seen.extend(names(&page).into_iter().map(str::to_owned));
        assert!(page.requests.len() <= 4);
        pages += 1;
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, (0..9).rev().map(|n| format!("run-{n}")).collect::<Vec<_>>());
    assert!((3..=6).contains(&pages), "{pages}");
    let source = list(Wanted { source: Some("one".into()), ..Wanted::default() }).await;
    assert_eq!(names(&source), ["run-6", "run-3", "run-0"]);
    let text = list(Wanted { text: Some("execution:copy:2".into()), ..Wanted::default() }).await;
    assert_eq!(names(&text), ["run-5", "run-4"]);
    let text = list(Wanted { text: Some("/in/7/".into()), ..Wanted::default() }).await;
    assert_eq!(names(&text), ["run-7"]);
    let since = house.now() - jiff::SignedDuration::from_hours(49);
    let recent = list(Wanted { since: Some(since), ..Wanted::default() }).await;
    assert_eq!((names(&recent), &recent.next), (vec!["run-8", "run-7", "run-6"], &None));
    let none = list(Wanted { status: Some(Status::Failed), ..Wanted::default() }).await;
    assert_eq!(none.requests, []);
    let wrong = Wanted { cursor: Some("no cursor".into()), limit: 1, ..Wanted::default() };
    assert!(instance.engine.list(&wrong).await.is_err());
    // Children are no requests of callers, and what was asked for is told.
    let view = &list(Wanted::default()).await.requests[0];
    assert_eq!(
        (view.status(), view.source.as_str(), view.kind.as_str()),
        (Status::Succeeded, "other", "copy")
    );
    assert_eq!(
        (view.sources.first.as_slice(), view.sources.total),
        (&["icav2://lab/run/a.bam".to_owned()][..], 1)
    );
    assert_eq!(view.event_id.as_deref(), Some("event-8"));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_found_by_what_its_caller_calls_itself() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    let instance = house.instance();
    for n in 0..2 {
        ask(&house, n, "s", &format!("t{n}")).await;
        house.success(&format!("t{n}"), SOON).await;
    }
    let found = instance.engine.view("arn:aws:states:r:1:execution:copy:0").await.unwrap().unwrap();
    assert_eq!(found.name.as_deref(), Some("run-1"), "the newest of its requests");
    assert!(instance.engine.view("arn:aws:states:r:1:execution:copy:1").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_made_again_and_copies_what_is_missing() {
    let mut house = House::new(&FILES, &[], &[], |_| {}).await;
    house.settings.jobs.max_attempts = 2;
    house.faults(json!({"jobFailureRate": 1.0, "poisonPaths": []}));
    let instance = house.instance();
    house.ask_as(&["/run/"], "/in/", "t", Some("n")).await;
    let (error, _) = house.failure("t", SOON).await;
    assert_eq!(error, "CopyJobFailed");
    let id = RequestId::new(instance.engine.view("n").await.unwrap().unwrap().id);
    house.faults(json!({"jobFailureRate": 0.0}));
    let (one, other) = tokio::join!(instance.engine.retry(&id), instance.engine.retry(&id));
    let Retry::As(again) = one.unwrap() else { panic!("it was not made again") };
    assert_eq!(other.unwrap(), Retry::As(again.clone()), "two wishes at a time make one request");
    let ended = async |id: &RequestId| {
        let until = Instant::now() + SOON;
        loop {
            let view = instance.engine.view(id.as_str()).await.unwrap().unwrap();
            if view.outcome.is_some() || Instant::now() > until {
                return view;
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    let view = ended(&again).await;
    assert_eq!(view.status(), Status::Succeeded, "{view:?}");
    assert_eq!(house.tree("lab", "/run/").await, house.tree("archive", "/in/run/").await);
    // Its name leads to the newest, its id to itself.
    assert_eq!(instance.engine.view("n").await.unwrap().unwrap().id, again.as_str());
    assert_eq!(instance.engine.view(id.as_str()).await.unwrap().unwrap().id, id.as_str());
    // The single-part file had arrived before.
    assert_eq!((view.counters.copied, view.counters.skipped), (2, 1));
    assert_eq!(instance.engine.retry(&id).await.unwrap(), Retry::Succeeded(again.clone()));
    assert_eq!(instance.engine.retry(&again).await.unwrap(), Retry::NotFailed(Status::Succeeded));
    assert_eq!(instance.engine.retry(&RequestId::new("nobody")).await.unwrap(), Retry::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_cancel_and_to_wake_is_told_what_came_of_it() {
    let house = House::new(&FILES, &[], &[], |platform| platform.job_duration = SOON).await;
    let instance = house.instance();
    house.ask_as(&["/run/"], "/in/", "t", Some("n")).await;
    while house.calls(Some(BATCH)) == 0 {
        sleep(Duration::from_millis(100)).await;
    }
    let id = RequestId::new(instance.engine.view("n").await.unwrap().unwrap().id);
    assert_eq!(instance.engine.retry(&id).await.unwrap(), Retry::NotFailed(Status::Running));
    assert_eq!(instance.engine.wake_request(&id).await.unwrap(), Woken::Now);
    assert_eq!(instance.engine.wake_request(&RequestId::new("nobody")).await.unwrap(), Woken::Unknown);
    assert_eq!(instance.engine.cancel(id.as_str(), "not needed").await.unwrap(), Cancel::Stopping);
    let (error, cause) = house.failure("t", SOON).await;
    assert!(error == "Cancelled" && cause["message"].as_str().unwrap().ends_with("not needed"), "{cause}");
    sleep(3 * SOON).await;
    assert_eq!(instance.engine.wake_request(&id).await.unwrap(), Woken::Ended);
    // What was cancelled may be made again.
    assert!(matches!(instance.engine.retry(&id).await.unwrap(), Retry::As(_)));
}

#[tokio::test(start_paused = true)]
async fn waking_ends_the_waits_after_errors() {
    let mut took = Vec::new();
    for wakes in [false, true] {
        let mut house = House::new(&FILES, &[], &[], |_| {}).await;
        house.settings.service.retry_base = Duration::from_mins(1);
        house.settings.service.retry_cap = Duration::from_mins(20);
        house.faults(json!({"responses": [{"call": LIST, "times": 1_000_000, "status": 500}]}));
        let instance = house.instance();
        house.ask_as(&["/run/"], "/in/", "t", Some("n")).await;
        sleep(20 * Duration::from_mins(1)).await;
        let view = instance.engine.view("n").await.unwrap().unwrap();
        assert!(view.trouble.as_deref().unwrap().contains("500") && view.next_at.is_some(), "{view:?}");
        house.faults(json!({"responses": []}));
        let mended = Instant::now();
        if wakes {
            instance.engine.wake_request(&RequestId::new(view.id)).await.unwrap();
        }
        house.success("t", 10 * SOON).await;
        took.push(mended.elapsed());
    }
    assert!(took[1] < Duration::from_mins(1) && took[1] < took[0], "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_copy_is_seen_to_move_from_its_first_minute() {
    // Where only 4 calls a second are granted, a folder waits for its turn to be looked at.
    for (rate, most) in [(20, 30), (4, 45)] {
        let behind = seconds_behind(rate).await;
        assert!(behind <= most, "{behind} s behind at {rate} calls a second");
    }
}

/// How far what is shown of a copy of 720 files in 60 folders is behind what has arrived, at most.
async fn seconds_behind(rate: u32) -> usize {
    let path = |n: usize| {
        let kind = if n % 12 < 10 { ("bam", 300, 2) } else { ("txt", 30, 1) };
        (format!("/run/{:02}/{n:03}.{}", n / 12, kind.0), kind.1, kind.2)
    };
    let files: Vec<_> = (0..720).map(path).collect();
    let files: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let mut house =
        House::new(&files, &[], &[], |platform| platform.job_duration = Duration::from_secs(10)).await;
    house.icav2.requests_per_second = NonZeroU32::new(rate).unwrap();
    house.faults(json!({"rateLimit": rate}));
    let instance = house.instance();
    house.ask_as(&["/run/"], "/in/", "t", Some("n")).await;
    let (mut truth, mut shown) = (Vec::new(), Vec::new());
    while house.callers.answer("t").is_none() {
        sleep(Duration::from_secs(5)).await;
        let Some(view) = instance.engine.view("n").await.unwrap() else { continue };
        let there = house.tree(TO, "/in/").await;
        truth.push(
            there.iter().filter(|(path, status, _)| !path.ends_with('/') && status == "Available").count()
                as u64,
        );
        shown.push(view.counters.copied + view.unverified);
        let done = view.counters.done();
        assert!(done <= view.counters.files && view.counters.files <= 720, "{:?}", view.counters);
    }
    let view = instance.engine.view("n").await.unwrap().unwrap();
    assert_eq!((view.counters.files, view.counters.copied), (720, 720));
    // What a tally holds at the end is what the outcome says: nothing was added twice.
    let tallies = house.store().query(&view.id, "TALLY#").await.unwrap();
    let sum = |name: &str| tallies.iter().filter_map(|item| item.number(name)).sum::<i64>();
    assert_eq!(["files", "copied", "so_far_copied", "so_far_unverified"].map(sum), [720, 720, 0, 0]);
    // What was put shows a moment later.
    assert!(
        shown.iter().zip(&truth[1..]).all(|(shown, arrived)| shown <= arrived),
        "not more than has arrived"
    );
    let behind = |(n, arrived): (usize, &u64)| {
        let seen = shown.iter().skip(n).position(|shown| shown >= arrived);
        seen.map_or(0, |later| 5 * later)
    };
    truth.iter().enumerate().map(behind).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_listed_with_what_failed() {
    let house = House::new(&FILES, &[], &[], |_| {}).await;
    let instance = house.instance();
    let event = json!({
        "id": "event-1", "detail-type": "ICAv2DataCopySync", "source": "s",
        "detail": { "requestId": "letter", "payload": { "sourceUriList": [], "destinationUri": "icav2://archive/in/" } },
    });
    house.queue.push(event.to_string()).await.unwrap();
    sleep(SOON).await;
    let wanted = Wanted { status: Some(Status::Failed), limit: 5, ..Wanted::default() };
    let listed = instance.engine.list(&wanted).await.unwrap();
    assert_eq!(names(&listed), ["letter"]);
    let succeeded = Wanted { status: Some(Status::Succeeded), limit: 5, ..Wanted::default() };
    assert_eq!(instance.engine.list(&succeeded).await.unwrap().requests, []);
    assert!(
        matches!(instance.engine.retry(&RequestId::new("event-1")).await, Err(error) if error.message.contains("send the request again"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_place_leads_to_the_request_that_goes_exactly_there() {
    let house = House::new(&FILES, &[], &[], |platform| platform.job_duration = SOON).await;
    let instance = house.instance();
    house.ask_as(&["/run/a.bam"], "/a/", "t1", Some("one")).await;
    sleep(Duration::from_secs(5)).await;
    house.ask_as(&["/run/a.bam"], "/a-other/", "t2", Some("other")).await;
    sleep(Duration::from_secs(5)).await;
    let name = async |place: &str| instance.engine.view(place).await.unwrap().and_then(|view| view.name);
    assert_eq!(name("icav2://archive/a").await.as_deref(), Some("one"));
    assert_eq!(name("icav2://archive/a-other/").await.as_deref(), Some("other"));
    assert_eq!(name("icav2://archive/").await, None, "a part of a place is no place");
    // Nothing is changed by what is only a place.
    assert!(instance.engine.own_id("icav2://archive/a/", None).await.unwrap().is_none());
}
