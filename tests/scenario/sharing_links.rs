//! Hand-outs: links of our own to the files of a package, and scripts that are made while nobody waits.

use std::time::Duration;

use copy_manager::{
    domain::{ids::RequestId, share::settings::Presign},
    events::share::linked::{LinkAsked, LinkMade},
    share::{Backend as _, Led, Refusal},
};
use futures_util::TryStreamExt as _;
use jiff::SignedDuration;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    house::House,
    sharing::{desk, house, made, paths},
};

fn for_whom(label: &str) -> LinkAsked {
    LinkAsked { label: label.to_owned(), until: None }
}

fn fastq() -> Value {
    json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq", "secondaryAnalysis"] })
}

/// A link as it stands in a URL.
fn text(made: &LinkMade) -> String {
    made.url.rsplit_once("/d/").unwrap().1.to_owned()
}

fn nowhere<T: std::fmt::Debug>(led: Result<T, Refusal>) {
    let refused = led.unwrap_err();
    assert_eq!(refused, Refusal::NotFound("there is no such link, or it has ended".into()));
}

async fn read(led: Led) -> String {
    let Led::Here(opened) = led else { panic!("{led:?}") };
    let pieces: Vec<_> = opened.bytes.try_collect().await.unwrap();
    String::from_utf8(pieces.concat()).unwrap()
}

async fn keys(house: &House, prefix: &str) -> Vec<String> {
    house.simulator.objects("tables", prefix).await.into_iter().map(|object| object.key).collect()
}

#[tokio::test(start_paused = true)]
async fn a_link_leads_to_each_file_counts_it_and_ends_when_it_is_taken_back() {
    let mut house = house().await;
    house.share.presign = Presign::Links;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, fastq()).await;
    let id = RequestId::new(package.id.as_str());
    let link = desk.make_link("ann", &id, for_whom("their lab")).await.unwrap();
    assert_eq!(link.script, format!("{}/download-data.my-package.sh", link.url));
    assert!(link.url.starts_with("https://share.example.org/d/"), "{}", link.url);
    let link_text = text(&link);

    let script = read(desk.follow(&link_text, Some("download-data.my-package.sh"), 0).await.unwrap()).await;
    assert_eq!(read(desk.follow(&link_text, None, 0).await.unwrap()).await, script);
    assert!(!script.contains("X-Amz-"), "{script}");
    let files = desk.files(&id, 0, 100).await.unwrap().1;
    assert_eq!(files.len(), paths(&desk, &package).await.len());
    let mut bytes = 0;
    for (number, file) in (1..).zip(&files) {
        let row = format!("f {} '{}' '{}/{number}'", file.size, file.path, link.url);
        assert!(script.contains(&row), "{row}");
        let led = desk.follow(&link_text, Some(&number.to_string()), 0).await.unwrap();
        let Led::There(there) = led else { panic!("{led:?}") };
        let key = file.uri.strip_prefix("s3://src/").unwrap();
        assert!(there.url.contains(&format!("/src/{key}?")), "{}", there.url);
        assert!(there.url.contains("X-Amz-Expires=3600"), "{}", there.url);
        bytes += file.size;
    }
    // A download that was cut off asks for the rest.
    desk.follow(&link_text, Some("1"), 60).await.unwrap();
    bytes += files[0].size - 60;
    let all = files.len() as u64;
    let listed = desk.links(&id).await.unwrap();
    assert_eq!((listed.len(), listed[0].files, listed[0].bytes), (1, all + 1, bytes));
    assert_eq!((listed[0].label.as_str(), listed[0].created_by.as_str()), ("their lab", "ann"));
    assert_eq!((listed[0].has_ended, listed[0].until), (false, package.expires_at));
    assert!(listed[0].last_asked_at >= Some(listed[0].created_at));
    for wrong in ["0", &(all + 1).to_string(), "-1", "x.sh", "report.json"] {
        nowhere(desk.follow(&link_text, Some(wrong), 0).await);
    }
    let (link_id, secret) = link_text.split_once('.').unwrap();
    let flipped = format!("{link_id}.{}", secret.chars().rev().collect::<String>());
    for wrong in [flipped.as_str(), link_id, secret, ".", "", "é.é"] {
        nowhere(desk.follow(wrong, Some("1"), 0).await);
    }
    let kept = instance.ports.store.query(&format!("links.{id}"), "").await.unwrap();
    assert!(kept.len() == 1 && !format!("{kept:?}").contains(secret), "its sum alone is kept");

    // Who has the package handed out has a link, too, and the same one again.
    sleep(Duration::from_secs(1)).await;
    let handed = desk.hand_out("bob", &id).await.unwrap();
    assert_eq!(desk.hand_out("bob", &id).await.unwrap(), handed);
    sleep(Duration::from_secs(1)).await;
    assert_ne!(desk.hand_out("cyn", &id).await.unwrap(), handed);
    let labels: Vec<_> = desk.links(&id).await.unwrap().into_iter().map(|link| link.label).collect();
    assert_eq!(labels, ["their lab", "bob", "cyn"]);

    let ended = desk.end_link(&id, link_id).await.unwrap();
    assert!(ended.has_ended && ended.revoked_at.is_some() && ended.files == all + 1, "{ended:?}");
    nowhere(desk.follow(&link_text, Some("1"), 0).await);
    nowhere(desk.follow(&link_text, None, 0).await);
    assert_eq!(desk.end_link(&id, link_id).await.unwrap(), ended, "once is enough");
    assert!(matches!(desk.end_link(&id, "other").await, Err(Refusal::NotFound(_))));
    let bobs = handed.split('/').nth(4).unwrap();
    assert!(desk.follow(bobs, Some("1"), 0).await.is_ok(), "others are as good as before");
    let bobs_id = bobs.split('.').next().unwrap();
    desk.end_link(&id, bobs_id).await.unwrap();
    assert_ne!(
        desk.hand_out("bob", &id).await.unwrap(),
        handed,
        "what was taken back is not handed out again"
    );
}

#[tokio::test(start_paused = true)]
async fn links_end_when_they_were_said_to_and_with_their_package() {
    let mut house = house().await;
    house.share.presign = Presign::Links;
    house.share.max_links = 3;
    house.share.expires_after = Duration::from_hours(6);
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, fastq()).await;
    let id = RequestId::new(package.id.as_str());
    let hours = |hours| Some(desk.now() + SignedDuration::from_hours(hours));
    let asked = |until| LinkAsked { label: "x".into(), until };
    for wrong in [hours(0), Some(package.expires_at + SignedDuration::from_secs(1))] {
        let refused = desk.make_link("ann", &id, asked(wrong)).await.unwrap_err();
        assert!(matches!(refused, Refusal::Bad(_)), "{refused:?}");
    }
    let short = text(&desk.make_link("ann", &id, asked(hours(2))).await.unwrap());
    sleep(Duration::from_secs(1)).await;
    let long = text(&desk.make_link("ann", &id, asked(None)).await.unwrap());
    sleep(Duration::from_hours(3)).await;
    nowhere(desk.follow(&short, Some("1"), 0).await);
    desk.follow(&long, Some("1"), 0).await.unwrap();
    let has_ended: Vec<_> = desk.links(&id).await.unwrap().iter().map(|link| link.has_ended).collect();
    assert_eq!(has_ended, [true, false], "what was asked for is still told");
    let paper = desk.report("ann", &id).await.unwrap();
    let paper = paper.split('/').nth(4).unwrap().to_owned();
    assert!(read(desk.follow(&paper, Some("x"), 0).await.unwrap()).await.contains(id.as_str()));
    desk.make_link("ann", &id, asked(None)).await.unwrap();
    let refused = desk.make_link("ann", &id, asked(None)).await.unwrap_err();
    assert_eq!(refused, Refusal::Conflict("the package has 3 links (share.max_links)".into()));

    // The other package is nobody else's.
    let other = made(&desk, fastq()).await;
    let other_id = RequestId::new(other.id.as_str());
    let others = text(&desk.make_link("ann", &other_id, asked(None)).await.unwrap());
    assert!(matches!(desk.end_link(&id, others.split('.').next().unwrap()).await, Err(Refusal::NotFound(_))));
    assert_eq!(keys(&house, "share/packages/").await.len(), 8, "the papers of both");
    desk.delete_package(&id).await.unwrap();
    for link in [&long, &paper] {
        nowhere(desk.follow(link, Some("1"), 0).await);
    }
    let left = keys(&house, "share/packages/").await;
    assert!(left.len() == 4 && left.iter().all(|key| key.contains(&other.id)), "{left:?}");
    assert_eq!(instance.ports.store.query(&format!("links.{id}"), "").await.unwrap(), []);
    desk.follow(&others, Some("1"), 0).await.unwrap();
    sleep(Duration::from_hours(6)).await;
    nowhere(desk.follow(&others, Some("1"), 0).await);
    let refused = desk.make_link("ann", &other_id, asked(None)).await.unwrap_err();
    assert_eq!(refused, Refusal::Conflict("Package has expired".into()));
}

#[tokio::test(start_paused = true)]
async fn links_to_papers_are_listed_counted_and_ended_like_others() {
    let mut house = house().await;
    (house.share.presign, house.share.max_links) = (Presign::Links, 1);
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, fastq()).await;
    let id = RequestId::new(package.id.as_str());
    let text_in = |url: &str| url.split('/').nth(4).unwrap().to_owned();
    let report = text_in(&desk.report("ann", &id).await.unwrap());
    sleep(Duration::from_secs(1)).await;
    let other = text_in(&desk.report("bob", &id).await.unwrap());
    sleep(Duration::from_secs(1)).await;
    let files = text(&desk.make_link("ann", &id, for_whom("their lab")).await.unwrap());
    let size = read(desk.follow(&report, None, 0).await.unwrap()).await.len() as u64;
    let listed = desk.links(&id).await.unwrap();
    let name = Some("SummaryReport.my-package.html");
    let shown: Vec<_> = listed
        .iter()
        .map(|link| (link.paper.as_deref(), link.created_by.as_str(), link.files, link.bytes))
        .collect();
    assert_eq!(shown, [(name, "ann", 1, size), (name, "bob", 0, 0), (None, "ann", 0, 0)]);
    assert!(!format!("{listed:?}").contains(report.split('.').next_back().unwrap()), "no secret is told");
    let ended = desk.end_link(&id, &listed[0].id).await.unwrap();
    assert!(ended.has_ended && ended.paper.as_deref() == name, "{ended:?}");
    nowhere(desk.follow(&report, None, 0).await);
    desk.follow(&other, None, 0).await.unwrap();
    desk.follow(&files, Some("1"), 0).await.unwrap();

    let push = crate::sharing::pushed(&desk, &package.id, "s3://dest/in/").await;
    let push = RequestId::new(push.id);
    let receipt = text_in(&desk.receipt(&push).await.unwrap());
    desk.follow(&receipt, None, 0).await.unwrap();
    let listed = desk.links(&push).await.unwrap();
    assert_eq!(listed[0].paper, Some(format!("{push}.receipt.jsonl")));
    assert!(
        matches!(desk.end_link(&id, &listed[0].id).await, Err(Refusal::NotFound(_))),
        "it is of the push"
    );
    desk.end_link(&push, &listed[0].id).await.unwrap();
    nowhere(desk.follow(&receipt, None, 0).await);
    let none = RequestId::new("psh.01M8P176469MSSA0NDVMCQHTP0");
    assert!(matches!(desk.links(&none).await, Err(Refusal::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn a_script_is_made_though_its_caller_has_hung_up() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, fastq()).await;
    let id = RequestId::new(package.id.as_str());
    house.faults(json!({"s3": [{"calls": ["PutObject"], "delay": "40s"}]}));
    let desk = std::sync::Arc::new(desk);
    let (goes_on, off) = (desk.clone(), CancellationToken::new());
    let mut tasks = JoinSet::new();
    let until = off.clone();
    tasks.spawn(async move { goes_on.go_on(until).await });
    let hangs_up = timeout(Duration::from_secs(29), desk.hand_out("ann", &id)).await;
    assert!(hangs_up.is_err());
    sleep(Duration::from_secs(20)).await;
    let scripts =
        keys(&house, "share/packages/").await.into_iter().filter(|key| key.contains("/download-data."));
    assert_eq!(scripts.count(), 1);
    let found = timeout(Duration::from_secs(1), desk.hand_out("ann", &id)).await;
    assert!(found.unwrap().unwrap().contains("download-data.my-package.sh?"));
    off.cancel();
    tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_ends_leaves_no_half_of_a_script() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, fastq()).await;
    let off = CancellationToken::new();
    off.cancel();
    desk.go_on(off).await;
    let refused = desk.hand_out("ann", &RequestId::new(package.id.as_str())).await.unwrap_err();
    assert!(matches!(refused, Refusal::Unavailable(_)), "{refused:?}");
    let left = keys(&house, "share/packages/").await;
    assert!(left.len() == 4 && left.iter().all(|key| !key.contains("/download-data.")), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_breaks_off_anywhere_is_done_when_it_is_asked_for_again() {
    use std::sync::atomic::Ordering::Relaxed;
    let (mut n, mut reached) = (0, true);
    while reached {
        for after in [false, true] {
            let mut house = house().await;
            house.share.presign = Presign::Links;
            let instance = house.instance();
            let desk = desk(&house, &instance);
            let package = made(&desk, fastq()).await;
            let id = RequestId::new(package.id.as_str());
            let link = text(&desk.make_link("ann", &id, for_whom("x")).await.unwrap());
            desk.report("ann", &id).await.unwrap();
            sleep(Duration::from_mins(5)).await;
            house.breaks_after.store(after, Relaxed);
            house.breaks_in.store(n, Relaxed);
            let deleted = desk.delete_package(&id).await;
            reached = house.breaks_in.load(Relaxed) < 0;
            house.breaks_in.store(-1, Relaxed);
            let what = format!("write {n}, after it {after}: {deleted:?}");
            assert_eq!(deleted.is_err(), reached, "{what}");
            // It is there as a whole, or gone.
            match desk.delete_package(&id).await {
                Ok(deleted) => assert_eq!(deleted.id, package.id, "{what}"),
                Err(refused) => assert!(matches!(refused, Refusal::NotFound(_)), "{what}: {refused:?}"),
            }
            assert!(matches!(desk.package(&id).await, Err(Refusal::NotFound(_))), "{what}");
            let wanted = copy_manager::share::Wanted { rows_per_page: 9, page: 1, ..Default::default() };
            assert_eq!(desk.packages(&wanted).await.unwrap().0, 0, "{what}: it is in no list");
            nowhere(desk.follow(&link, Some("1"), 0).await);
            assert_eq!(keys(&house, "share/packages/").await, Vec::<String>::new(), "{what}");
            assert_eq!(instance.ports.store.query(&format!("links.{id}"), "").await.unwrap(), [], "{what}");
        }
        n += 1;
    }
    assert!(n > 2, "{n} writes");
}
