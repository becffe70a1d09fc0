//! The buckets: what is listed there, and what must have arrived.

use std::collections::BTreeMap;

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use serde_json::{Value, json};

use crate::{
    callers::{Asked, Callers, Kind, SOURCES},
    lab::{Lab, Platform},
    worlds::{SOURCE, content},
};

/// Where objects come from, where they go, and where the lists are.
pub(crate) const SHELF: &str = "shelf";
pub(crate) const DEST: &str = "dest";
pub(crate) const LISTS: &str = "lists";

/// Objects of each list.
pub(crate) const OBJECTS: usize = 7;

const MIB: u64 = 1 << 20;

/// The buckets of the world: of each list one object is copied in parts.
pub(crate) fn buckets() -> Value {
    let objects = (0..SOURCES).flat_map(|source| {
        (0..OBJECTS).map(move |n| match n {
            0 => json!({ "key": key(source, n), "size": 12 * MIB, "parts": 2 }),
            _ => json!({ "key": key(source, n), "size": 1_000 * n }),
        })
    });
    let objects: Vec<Value> = objects.collect();
    json!([{ "name": SHELF, "objects": objects }, { "name": DEST }, { "name": LISTS }])
}

fn key(source: usize, n: usize) -> String {
    format!("{source}/o{n}.bin")
}

/// Puts the lists where callers say they are.
pub(crate) async fn put_lists(platform: &Platform) {
    let s3 = client(platform);
    for source in 0..SOURCES {
        let rows: Vec<_> = (0..OBJECTS).map(|n| format!("{SHELF},{}\n", key(source, n))).collect();
        let put = s3.put_object().bucket(LISTS).key(format!("{source}.csv"));
        put.body(rows.concat().into_bytes().into()).send().await.unwrap();
    }
}

fn client(platform: &Platform) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ap-southeast-2"))
        .credentials_provider(Credentials::new("own", "own", None, None, "test"))
        .endpoint_url(platform.s3_url())
        .force_path_style(true);
    Client::from_conf(config.build())
}

/// What was asked for is in the bucket, byte for byte, with one row for each object of a list and nothing
/// else, and no upload has stayed.
pub(crate) async fn are_right(lab: &Lab, callers: &Callers) {
    let md5s = |objects: Vec<Value>| -> BTreeMap<String, Value> {
        objects.into_iter().map(|one| (one["key"].as_str().unwrap().to_owned(), one["md5"].clone())).collect()
    };
    let mut there = md5s(lab.platform.objects(DEST).await);
    let shelf = md5s(lab.platform.objects(SHELF).await);
    let s3 = client(&lab.platform);
    let mut seen = std::collections::BTreeSet::new();
    for (asked, _) in callers.ended.iter().filter(|(asked, _)| !asked.hopeless) {
        let Asked { source, destination, .. } = asked;
        if !seen.insert(*destination) {
            continue;
        }
        let below = match asked.kind {
            Kind::Copy | Kind::Manifest => continue,
            Kind::Outward => format!("out/{destination}/"),
            Kind::List => format!("list/{destination}/"),
        };
        let mut found = there.split_off(&below);
        let mut rest = found.split_off(&format!("{}0", below.trim_end_matches('/')));
        there.append(&mut rest);
        let found: BTreeMap<_, _> =
            found.into_iter().map(|(key, md5)| (key.strip_prefix(&below).unwrap().to_owned(), md5)).collect();
        let mut wanted = BTreeMap::new();
        if asked.kind == Kind::Outward {
            let folder = format!("/run/{source}/");
            for (path, (kind, _, md5)) in content(&lab.platform.tree(SOURCE, &folder).await, &folder) {
                if kind == "FILE" {
                    wanted.insert(format!("{source}/{path}"), md5);
                }
            }
        } else {
            for n in 0..OBJECTS {
                wanted.insert(format!("o{n}.bin"), shelf[&key(*source, n)].clone());
            }
            for own in ["STARTED_COPY.txt", "ENDED_COPY.csv"] {
                wanted.insert(own.to_owned(), found.get(own).cloned().unwrap_or_default());
                assert!(found.contains_key(own), "{below}{own} is missing");
            }
            let summary = s3.get_object().bucket(DEST).key(format!("{below}ENDED_COPY.csv"));
            let summary = summary.send().await.unwrap().body.collect().await.unwrap().to_vec();
            let summary = String::from_utf8(summary).unwrap();
            let rows: Vec<_> = summary.lines().skip(1).map(|row| row.split(',').next().unwrap()).collect();
            let names: Vec<_> = (0..OBJECTS).map(|n| format!("o{n}.bin")).collect();
            assert_eq!(rows, names, "{below}");
        }
        pretty_assertions::assert_eq!(found, wanted, "{below}");
    }
    // A list that is not there leaves a start marker at most.
    there.retain(|key, _| !key.ends_with("STARTED_COPY.txt"));
    assert!(there.is_empty(), "nobody has asked for {:?}", there.keys());
    for bucket in [DEST, LISTS, SHELF] {
        // One whose id was lost with an answer or a process stays, empty: nobody can prove whose it was.
        let mut uploads = lab.platform.uploads(bucket).await;
        uploads.retain(|upload| upload["parts"].as_array().is_none_or(|parts| !parts.is_empty()));
        assert!(uploads.is_empty(), "uploads are left in {bucket}: {uploads:?}");
    }
}
