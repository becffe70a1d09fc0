//! What must be so when it is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::QueueAttributeName::{
    ApproximateNumberOfMessages as Waiting, ApproximateNumberOfMessagesNotVisible as InHand,
};
use copy_manager::ports::clock::{Clock as _, SystemClock};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    callers::{Callers, Kind, SOURCES},
    lab::Lab,
    within,
    worlds::{DESTINATION, SOURCE, content},
};

type Item = std::collections::HashMap<String, AttributeValue>;

/// Every caller was told the truth, once.
pub(crate) async fn answered_once(callers: &Callers) {
    let mut wrong = Vec::new();
    for (asked, ended) in &callers.ended {
        wrong.extend(asked.check(ended).await);
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), callers.ended.len(), wrong.join("\n"));
}

/// What was asked for is there, byte for byte, and nothing else.
pub(crate) async fn trees_are_right(lab: &Lab, callers: &Callers) {
    let mut sources = Vec::new();
    for source in 0..SOURCES {
        let folder = format!("/run/{source}/");
        sources.push(content(&lab.platform.tree(SOURCE, &folder).await, &folder));
    }
    let mut there: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for entry in lab.platform.tree(DESTINATION, "/in/").await {
        let path = entry["path"].as_str().unwrap();
        let number = path.split('/').nth(2).unwrap().to_owned();
        let below = path.split('/').nth(4).is_some_and(|rest| !rest.is_empty());
        let entries = there.entry(number).or_default();
        if below {
            entries.push(entry);
        }
    }
    let to_project = |asked: &crate::callers::Asked| matches!(asked.kind, Kind::Copy | Kind::Manifest);
    for (asked, _) in callers.ended.iter().filter(|(asked, _)| !asked.hopeless && to_project(asked)) {
        let number = asked.destination.to_string();
        let folder = format!("/in/{number}/{}/", asked.source);
        let found = content(&there[&number], &folder);
        pretty_assertions::assert_eq!(found, sources[asked.source], "{folder}");
    }
}

/// Nothing waits for time, nobody holds anything, no slot is taken. Returns how many folders are still
/// on the look-out, which they are for ten minutes: for the job of a submission that was given up, or for
/// somebody on the way to a slot that was.
pub(crate) async fn table_is_quiet(lab: &Lab, deadline: Instant) -> usize {
    let watchful = loop {
        let mut items = scan(lab).await;
        items.retain(|item| item.contains_key("due_at"));
        let all = items.len();
        items.retain(|item| !only_looks_out(item));
        if items.is_empty() {
            break all;
        }
        assert!(Instant::now() < deadline, "{} items are still due:\n{}", items.len(), explain(lab).await);
        sleep(Duration::from_secs(1)).await;
    };
    for item in scan(lab).await {
        let held =
            item.get("owner").and_then(|owner| owner.as_s().ok()).is_some_and(|owner| !owner.is_empty());
        let held = held && !only_looks_out(&item);
        let slots = ["running", "express"].iter().any(|name| item.contains_key(*name));
        assert!(!held && !slots, "{item:?}");
    }
    watchful
}

/// Whether that is a folder for which nobody waits and in which nothing is under way.
fn only_looks_out(item: &Item) -> bool {
    let state = item.get("state").and_then(|state| state.as_s().ok());
    let Some(state) = state.and_then(|text| serde_json::from_str::<Value>(text).ok()) else { return false };
    let intents = state["intents"].as_array().map(Vec::as_slice).unwrap_or_default();
    let nobody = state["seen"].as_object().is_none_or(serde_json::Map::is_empty);
    let no_job = state["jobs"].as_array().is_none_or(Vec::is_empty);
    let looks_out = !intents.is_empty() || state["late"].is_object();
    nobody && no_job && looks_out && intents.iter().all(|intent| intent["ghost"] == true)
}

/// No message waits, and none has ended among the dead letters.
pub(crate) async fn queues_are_empty(lab: &Lab, deadline: Instant) {
    let queues = lab.aws.sqs.list_queues().send().await.unwrap().queue_urls.unwrap_or_default();
    let stage = lab.stack.table_name.as_str();
    let ours: Vec<_> = queues
        .iter()
        .filter(|url| url.rsplit('/').next().is_some_and(|name| name.starts_with(stage)))
        .collect();
    assert_eq!(ours.len(), 5, "{queues:?}");
    for url in ours {
        within(deadline - Instant::now(), &format!("an empty queue: {url}"), async || {
            let attributes = lab.aws.sqs.get_queue_attributes().queue_url(url);
            let attributes =
                attributes.attribute_names(Waiting).attribute_names(InHand).send().await.unwrap();
            let counts = attributes.attributes.unwrap();
            counts.values().all(|count| count == "0").then_some(())
        })
        .await;
    }
}

/// Every record that is not settled, with who waits for it and what its document says: why something
/// has not come to its end. Times in seconds from now.
pub(crate) async fn explain(lab: &Lab) -> String {
    let now = SystemClock::new().now().as_millisecond();
    let text = |item: &Item, name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    let number = |item: &Item, name: &str| -> Option<i64> {
        item.get(name).and_then(|value| value.as_n().ok()).and_then(|number| number.parse().ok())
    };
    let mut open = BTreeSet::new();
    for item in scan(lab).await {
        let (id, kind) = (text(&item, "id").unwrap_or_default(), text(&item, "id_type").unwrap_or_default());
        if !kind.starts_with("WAITER#") && !item.contains_key("due_at") {
            continue;
        }
        let texts = ["phase", "owner", "root", "destination", "waits_for", "state"];
        let texts = texts.iter().filter_map(|name| Some(format!("{name}={}", text(&item, name)?)));
        let times = ["due_at", "lease_until", "looked_at", "updated_at", "created_at"];
        let times =
            times.iter().filter_map(|name| Some(format!("{name}={:+}", (number(&item, name)? - now) / 1000)));
        let counts = ["epoch", "starts", "wakes", "failures", "defects"];
        let counts = counts.iter().filter_map(|name| Some(format!("{name}={}", number(&item, name)?)));
        let all: Vec<String> = times.chain(counts).chain(texts).collect();
        open.insert(format!("{id}/{kind} {}", all.join(" ")));
    }
    Vec::from_iter(open).join("\n")
}

async fn scan(lab: &Lab) -> Vec<Item> {
    let mut items = Vec::new();
    let mut from = None;
    loop {
        let scan = lab.aws.dynamodb.scan().table_name(&lab.stack.table_name).consistent_read(true);
        let page = scan.set_exclusive_start_key(from).send().await.unwrap();
        items.extend(page.items.unwrap_or_default());
        from = page.last_evaluated_key;
        if from.as_ref().is_none_or(Item::is_empty) {
            return items;
        }
    }
}
