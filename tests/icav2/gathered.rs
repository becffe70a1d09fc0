//! Siblings that are looked up together.

use std::{sync::Arc, time::Duration};

use copy_manager::{
    domain::{ids::ProjectId, location::DataPath},
    ports::{Class, platform::DataPlatform as _},
};
use futures_util::future::join_all;
use percent_encoding::percent_decode_str;
use pretty_assertions::assert_eq;
use tokio::time::timeout;

use crate::script::{Script, answer, client, entry, page, target};

const P: &str = "11111111-2222-4333-8444-555555555555";

/// The names that a call asks for.
fn names(target: &str) -> Vec<String> {
    let fields = target.split(['?', '&']).filter_map(|field| field.strip_prefix("filename="));
    fields.map(|name| percent_decode_str(name).decode_utf8().unwrap().into_owned()).collect()
}

/// A project in which every folder stands that has a short name, and nothing is linked.
fn tree() -> Arc<Script> {
    Script::new(|request, _| {
        let asked = names(&target(request));
        let there = asked.iter().filter(|name| name.len() < 4 || name.starts_with("long"));
        let items: Vec<_> =
            there.map(|name| entry(&format!("fol.{name}"), &format!("/run/{name}/"), None)).collect();
        answer(200, &page(&items, None))
    })
}

fn path(name: &str) -> DataPath {
    DataPath::parse(&format!("/run/{name}/")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn siblings_share_a_call() {
    let script = tree();
    let (client, project) = (client(&script), ProjectId::new(P));
    let mut wanted: Vec<_> = (0..40).map(|n| n.to_string()).collect();
    wanted.push("missing".to_owned());
    let found = join_all(wanted.iter().map(|name| async {
        let found = client.find(&project, &path(name)).await.unwrap();
        found.map(|data| data.id.to_string())
    }))
    .await;
    let expected: Vec<_> =
        wanted.iter().map(|name| (name.len() < 4).then(|| format!("fol.{name}"))).collect();
    assert_eq!(found, expected);
    // The first alone, all others, and what is linked above the one that is missing.
    assert_eq!(script.count(), 3, "{:?}", script.lines());
    // Whoever asks later is answered anew.
    client.find(&project, &path("1")).await.unwrap();
    assert_eq!(script.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_url_is_never_too_long() {
    let script = tree();
    let (client, project) = (client(&script), ProjectId::new(P));
    let wanted: Vec<_> = (0..60).map(|n| format!("long{n:03}{}", "ü".repeat(100))).collect();
    let found = join_all(
        wanted.iter().map(|name| async { client.find(&project, &path(name)).await.unwrap().is_some() }),
    )
    .await;
    assert!(found.into_iter().all(|found| found));
    let lines = script.lines();
    assert!(lines.iter().all(|line| line.len() < 5000) && (8..20).contains(&lines.len()), "{}", lines.len());
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_leaves_the_others_their_answer() {
    let script = tree();
    let (client, project) = (client(&script), ProjectId::new(P));
    // The first call is under way when its caller is cut, with another that it asks for too.
    let cut = |name: &'static str, after| {
        let (client, project) = (&client, &project);
        async move { timeout(Duration::from_micros(after), client.find(project, &path(name))).await.is_err() }
    };
    let stays = async {
        tokio::task::yield_now().await;
        client.find(&project, &path("3")).await.unwrap().is_some()
    };
    let (first, second, third) = tokio::join!(cut("1", 500), cut("2", 1500), stays);
    assert_eq!((first, second, third), (true, true, true));
}

#[tokio::test(start_paused = true)]
async fn an_error_is_told_to_everyone() {
    let script = Script::always(403, "{}");
    let (client, project) = (client(&script), ProjectId::new(P));
    let wanted: Vec<_> = (0..5).map(|n| n.to_string()).collect();
    let found = join_all(
        wanted.iter().map(|name| async { client.find(&project, &path(name)).await.unwrap_err().class }),
    )
    .await;
    assert_eq!(found, [Class::Forbidden; 5]);
}
