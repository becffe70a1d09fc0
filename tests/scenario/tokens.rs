//! Task tokens: beaten from the start, answered exactly once, whatever happens.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::house::{House, TO};

const FILE: [(&str, u64, u32); 1] = [("/run/a.bam", 100, 2)];

#[tokio::test(start_paused = true)]
async fn a_long_copy_is_never_five_minutes_without_a_heartbeat() {
    let house = House::new(&FILE, &[], &[], |platform| platform.job_duration = Duration::from_hours(3)).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let (answered, _) = house.answer("t", Duration::from_hours(4)).await;
    let mut times = vec![Duration::ZERO];
    times.extend(house.callers.beats("t"));
    times.push(answered);
    assert!(times[1] < Duration::from_secs(2), "the first beat is sent at intake: {:?}", times[1]);
    let longest = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap();
    assert!(longest <= Duration::from_mins(5), "{longest:?}");
    // Not more often than needed either: three hours at three minutes.
    assert!(times.len() < 80, "{}", times.len());
}

#[tokio::test(start_paused = true)]
async fn both_tokens_of_a_repeat_are_beaten_and_answered() {
    let house = House::new(&FILE, &[], &[], |platform| platform.job_duration = Duration::from_mins(10)).await;
    let _instance = house.instance();
    house.ask_as(&["/run/"], "/in/", "one", Some("mine")).await;
    sleep(Duration::from_mins(2)).await;
    house.ask_as(&["/run/"], "/in/", "two", Some("mine")).await;
    let first = house.success("one", Duration::from_mins(20)).await;
    let second = house.success("two", Duration::from_mins(20)).await;
    assert_eq!(first["requestId"], second["requestId"]);
    assert!(house.callers.beats("two").len() >= 2);
    // And one that comes when all is over.
    house.ask_as(&["/run/"], "/in/", "three", Some("mine")).await;
    assert_eq!(house.success("three", Duration::from_secs(5)).await["requestId"], first["requestId"]);
}

#[tokio::test(start_paused = true)]
async fn one_id_with_two_payloads_is_refused_the_second_time() {
    let house = House::new(&FILE, &[], &[], |_| {}).await;
    let _instance = house.instance();
    house.ask_as(&["/run/"], "/in/", "one", Some("mine")).await;
    house.ask_as(&["/run/a.bam"], "/in/", "two", Some("mine")).await;
    assert_eq!(house.failure("two", Duration::from_secs(5)).await.0, "InvalidRequest");
    house.success("one", Duration::from_mins(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_malformed_request_fails_its_token_or_goes_to_the_dead_letters() {
    let house = House::new(&FILE, &[], &[], |_| {}).await;
    let _instance = house.instance();
    let bad = json!({"payload": {"sourceUriList": "not a list", "destinationUri": "icav2://archive/in/"}});
    let mut with_token = bad.clone();
    with_token["taskToken"] = "t".into();
    house.queue.push(with_token.to_string()).await.unwrap();
    house.queue.push(bad.to_string()).await.unwrap();
    house.ask(&["/run/"], "/in/", "good").await;
    let (error, cause) = house.failure("t", Duration::from_secs(5)).await;
    assert_eq!(error, "InvalidRequest");
    assert!(cause["message"].as_str().unwrap().contains("sourceUriList"), "{cause}");
    house.success("good", Duration::from_mins(1)).await;
    sleep(Duration::from_mins(1)).await;
    let dead = house.queue.dead_letters().await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].body, bad.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_gone_does_not_stop_the_copy() {
    let house = House::new(&FILE, &[], &[], |platform| platform.job_duration = Duration::from_mins(10)).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    sleep(Duration::from_secs(30)).await;
    house.callers.leave("t");
    sleep(Duration::from_mins(15)).await;
    assert_eq!(house.callers.answer("t"), None);
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
    let told = house.buses.told.lock().unwrap();
    assert_eq!(told.last().unwrap()["status"], "SUCCEEDED");
}
