//! Requests by other ways and of other sizes, and what is said without being done.

use std::{
    io::Write as _,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use copy_manager::{
    domain::{ids::ProjectId, location::DataPath},
    ports::{
        chance::Dice,
        platform::{DataPlatform as _, Destination},
        store::{Key, Store as _},
    },
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::house::{House, TO, text};

const SOON: Duration = Duration::from_mins(2);

fn payload(sources: &[String]) -> Value {
    json!({"sourceUriList": sources, "destinationUri": format!("icav2://{TO}/in/")})
}

/// Puts a message on the queue whose payload is in S3.
async fn ask_in_s3(house: &House, key: &str, token: &str, id: Option<&str>) {
    let mut body = json!({"payloadS3Uri": format!("s3://requests/{key}"), "taskToken": token});
    if let Some(id) = id {
        body["requestId"] = id.into();
    }
    house.queue.push(body.to_string()).await.unwrap();
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_payload_in_s3_is_read_like_one_in_the_message() {
    let house = House::new(&[("/run/a.bam", 9_000, 3)], &[], &[], |_| ()).await;
    let wanted = payload(&["icav2://lab/run/a.bam".to_owned()]);
    house.put_object("requests", "one.json", wanted.to_string().into_bytes()).await;
    house.put_object("requests", "one.json.gz", gzip(wanted.to_string().as_bytes())).await;
    let _instance = house.instance();
    ask_in_s3(&house, "one.json", "t1", Some("r")).await;
    let output = house.success("t1", SOON).await;
    assert_eq!(output["files"]["copied"], 1, "{}", text(&output));

    // What the object holds is what was asked for, however it comes.
    ask_in_s3(&house, "one.json.gz", "t2", Some("r")).await;
    assert_eq!(house.success("t2", SOON).await["requestId"], output["requestId"]);
    house.ask_as(&["/run/a.bam"], "/in/", "t3", Some("r")).await;
    assert_eq!(house.success("t3", SOON).await["requestId"], output["requestId"]);

    house
        .put_object("requests", "one.json", payload(&["icav2://lab/run/".to_owned()]).to_string().into())
        .await;
    ask_in_s3(&house, "one.json", "t4", Some("r")).await;
    let (error, cause) = house.failure("t4", SOON).await;
    assert_eq!(error, "InvalidRequest");
    assert!(cause["message"].as_str().unwrap().contains("with another payload"), "{}", text(&cause));
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_cannot_be_had_is_refused_by_name() {
    let mut house = House::new(&[], &[], &[], |_| ()).await;
    house.settings.service.max_payload = 1000;
    house.put_object("requests", "text", b"no JSON".to_vec()).await;
    house.put_object("requests", "large", vec![b' '; 1001]).await;
    house.put_object("requests", "bomb", gzip(&vec![b' '; 1_000_000])).await;
    let _instance = house.instance();
    for (uri, why) in [
        ("s3://requests/nothing", "it is not there"),
        ("s3://nowhere/x", "it is not there"),
        ("s3://archive-data/x", "no right to read it"),
        ("s3://requests/text", "does not hold JSON"),
        ("s3://requests/large", "more than 1000 bytes (service.max_payload)"),
        ("s3://requests/bomb", "more than 1000 bytes (service.max_payload)"),
    ] {
        house.queue.push(json!({"payloadS3Uri": uri, "taskToken": uri}).to_string()).await.unwrap();
        let (error, cause) = house.failure(uri, SOON).await;
        assert_eq!(error, "InvalidRequest", "{uri}");
        let message = cause["message"].as_str().unwrap();
        assert!(message.contains(uri) && message.contains(why), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn s3_that_is_away_for_a_while_only_delays() {
    let house = House::new(&[("/run/a.bam", 9_000, 3)], &[], &[], |_| ()).await;
    let wanted = payload(&["icav2://lab/run/a.bam".to_owned()]);
    house.put_object("requests", "one.json", wanted.to_string().into_bytes()).await;
    house.faults(json!({"responses": [{"call": "S3 GetObject", "times": 4, "status": 503}]}));
    let _instance = house.instance();
    ask_in_s3(&house, "one.json", "t", None).await;
    let output = house.success("t", SOON).await;
    assert_eq!(output["files"]["copied"], 1, "{}", text(&output));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_keeps_its_request_though_its_object_has_changed() {
    let house = House::new(&[("/run/a.bam", 100, 2), ("/run/b.bam", 100, 2)], &[], &[], |_| ()).await;
    let wanted = |path: &str| payload(&[format!("icav2://lab{path}")]).to_string().into_bytes();
    house.put_object("requests", "one.json", wanted("/run/a.bam")).await;
    let _instance = house.instance();
    ask_in_s3(&house, "one.json", "t", Some("r")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    house.put_object("requests", "one.json", wanted("/run/b.bam")).await;
    ask_in_s3(&house, "one.json", "t", Some("r")).await;
    let output = house.success("t", SOON).await;
    assert_eq!(output["files"]["copied"], 1);
    let there = house.tree("archive", "/in/").await;
    assert_eq!(there.iter().map(|(path, ..)| path.as_str()).collect::<Vec<_>>(), ["a.bam"]);
}

/// A name of so many characters that no compression makes short.
fn long_name(n: usize, length: usize) -> String {
    let mut seed = n as u64 + 1;
    let mut name = format!("{n:05}-");
    while name.len() < length {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        name.push(char::from(
            b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"[(seed >> 58) as usize],
        ));
    }
    name
}

#[tokio::test(start_paused = true)]
async fn a_request_of_ten_megabytes_is_stored_in_pieces_and_copied() {
    const FILES: usize = 10_000;
    const RENAMED: usize = 200;
    const COPIED: usize = 300;
    let folder = format!("/{}/{}/{}/", long_name(1, 250), long_name(2, 250), long_name(3, 250));
    let names: Vec<String> = (0..FILES).map(|n| long_name(n, 240)).collect();
    let paths: Vec<String> = names.iter().map(|name| format!("{folder}{name}")).collect();
    let there: Vec<String> = names.iter().skip(COPIED).map(|name| format!("/in/{name}")).collect();
    let files =
        |paths: &'static [String]| paths.iter().map(|path| (path.as_str(), 10, 2)).collect::<Vec<_>>();
    let (paths, there) = (&*paths.leak(), &*there.leak());
    let house = House::new(&files(paths), &[], &files(there), |_| ()).await;
    let uris: Vec<_> = paths.iter().map(|path| format!("icav2://lab{path}")).collect();
    let mut wanted = payload(&uris);
    let new_name = |n: usize| json!({"sourceUri": uris[n], "outputFileName": long_name(n + FILES, 250)});
    wanted["renamingMapList"] = (0..RENAMED).map(new_name).collect();
    let wanted = wanted.to_string();
    assert!(wanted.len() > 10_000_000, "{}", wanted.len());
    house.put_object("requests", "large.json", wanted.into_bytes()).await;
    let _instance = house.instance();
    ask_in_s3(&house, "large.json", "t", Some("large")).await;
    let output = house.success("t", Duration::from_hours(1)).await;
    assert_eq!(output["files"]["copied"], COPIED, "{}", text(&output));
    assert_eq!(output["files"]["skipped"], FILES - COPIED, "{}", text(&output));
    assert_eq!(output["files"]["renamed"], RENAMED, "{}", text(&output));
    // Staging is gone a little later.
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(house.tree("archive", "/in/").await.len(), FILES);

    // The same once more: its payload is found to be the same, and nothing is done twice.
    ask_in_s3(&house, "large.json", "again", Some("large")).await;
    assert_eq!(house.success("again", SOON).await, output);
    let root = output["requestId"].as_str().unwrap();
    let stored = house.store().get(&Key::new(root, "PAYLOAD")).await.unwrap().unwrap();
    assert!(stored.attributes.contains_key("spec_parts"), "{:?}", stored.attributes.keys());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_breaks_off_anywhere_leaves_no_request_without_its_payload() {
    const FILES: usize = 700;
    let folder = format!("/{}/{}/{}/", long_name(1, 250), long_name(2, 250), long_name(3, 250));
    let names: Vec<String> = (0..FILES).map(|n| long_name(n, 240)).collect();
    let paths: Vec<String> = names.iter().map(|name| format!("{folder}{name}")).collect();
    let there: Vec<String> = names.iter().map(|name| format!("/in/{name}")).collect();
    let files =
        |paths: &'static [String]| paths.iter().map(|path| (path.as_str(), 10, 2)).collect::<Vec<_>>();
    let (paths, there) = (&*paths.leak(), &*there.leak());
    let renaming =
        |n: usize| json!({"sourceUri": format!("icav2://lab{}", paths[n]), "outputFileName": names[n]});
    let mut wanted = payload(&paths.iter().map(|path| format!("icav2://lab{path}")).collect::<Vec<_>>());
    wanted["renamingMapList"] = (0..FILES).map(renaming).collect();
    for (n, after) in [(0, false), (0, true), (1, false), (2, false), (2, true), (4, true), (6, false)] {
        let house = House::new(&files(paths), &[], &files(there), |_| ()).await;
        house.put_object("requests", "large.json", wanted.to_string().into_bytes()).await;
        house.breaks_in.store(n, Ordering::Relaxed);
        house.breaks_after.store(after, Ordering::Relaxed);
        let _instance = house.instance();
        ask_in_s3(&house, "large.json", "t", None).await;
        let output = house.success("t", Duration::from_mins(30)).await;
        assert_eq!(output["files"]["skipped"], FILES, "{n} {after}: {}", text(&output));
        assert!(house.breaks_in.load(Ordering::Relaxed) < 0, "there was no write {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_of_too_many_files_is_refused_and_its_neighbours_do_not_count() {
    let files = [
        ("/run/a", 10, 2),
        ("/run/deep/b", 10, 2),
        // The API's filter knows no case.
        ("/Run/a", 10, 2),
        ("/Run/b", 10, 2),
        ("/run2/a", 10, 2),
        ("/one", 10, 2),
    ];
    let mut house = House::new(&files, &[], &[], |_| ()).await;
    house.settings.copy.max_files = 3;
    let _instance = house.instance();
    house.ask(&["/run/", "/one"], "/in/", "fits").await;
    assert_eq!(house.success("fits", SOON).await["files"]["copied"], 3);
    house.ask(&["/run/", "/run2/", "/one"], "/in/2/", "too many").await;
    let (error, cause) = house.failure("too many", SOON).await;
    assert_eq!(error, "InvalidRequest", "{}", text(&cause));
    assert_eq!(cause["message"], "the request has at least 4 files, more than copy.max_files = 3");
    assert_eq!(cause["files"][1], json!({"what": "icav2://lab/run2/", "why": "files below it: 1"}));
    assert_eq!(house.tree("archive", "/in/2/").await, []);
}

#[tokio::test(start_paused = true)]
async fn counting_files_takes_one_call_per_source_folder_or_none() {
    let names: Vec<String> = (0..2_500).map(|n| format!("/run/{}/{n}", n % 5)).collect();
    let files: Vec<(&str, u64, u32)> = names.iter().map(|name| (name.as_str(), 10, 2)).collect();
    let mut calls = Vec::new();
    for most in [0, 2_500] {
        let mut house = House::new(&files, &[], &[], |_| ()).await;
        house.settings.copy.max_files = most;
        let _instance = house.instance();
        house.ask(&["/run/"], "/in/", "t").await;
        assert_eq!(house.success("t", Duration::from_mins(10)).await["files"]["copied"], 2_500);
        calls.push(house.calls(Some("GET /api/projects/{projectId}/data")));
    }
    assert_eq!(calls[1], calls[0] + 1);
}

/// The files of a plan by destination, as route (or nothing), size and conflict.
fn planned(output: &Value) -> Vec<(String, Option<String>, u64, Option<String>)> {
    let files = output["plan"]["files"].as_array().unwrap().iter().map(|file| {
        let destination = file["destination"].as_str().unwrap().rsplit_once("/in/").unwrap().1;
        let route = file["route"].as_str().map(str::to_owned);
        (
            destination.to_owned(),
            route,
            file["size"].as_u64().unwrap(),
            file["conflict"]["then"].as_str().map(str::to_owned),
        )
    });
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_a_run_then_does_and_changes_nothing() {
    let files = [
        ("/run/a.bam", 9_000, 3),
        ("/run/same.bam", 8_000, 2),
        ("/run/other.bam", 7_000, 2),
        ("/run/one.txt", 100, 1),
        ("/run/deep/b.bam", 6_000, 2),
        ("/run/deep/to rename.bam", 5_000, 2),
        ("/named.txt", 50, 1),
    ];
    let there = [("/in/run/same.bam", 8_000, 2), ("/in/run/other.bam", 7_001, 2)];
    let house = House::new(&files, &["/run/empty/"], &there, |_| ()).await;
    let before = house.tree("archive", "/").await;
    let _instance = house.instance();
    let renaming =
        json!([{"sourceUri": "icav2://lab/run/deep/to rename.bam", "outputFileName": "renamed.bam"}]);
    let ask = async |token: &str, dry: bool, way: &str| {
        let more = json!({"renamingMapList": renaming, "onConflict": way, "dryRun": dry});
        house.ask_with(&["/run/", "/named.txt"], "/in/", token, None, more).await;
    };
    ask("dry", true, "fail").await;
    let output = house.success("dry", SOON).await;
    let file = |name: &str, route: Option<&str>, size: u64, then: Option<&str>| {
        (name.to_owned(), route.map(str::to_owned), size, then.map(str::to_owned))
    };
    let mut expected = [
        file("named.txt", Some("stream"), 50, None),
        file("run/a.bam", Some("job"), 9_000, None),
        file("run/deep/b.bam", Some("job"), 6_000, None),
        file("run/deep/renamed.bam", Some("job"), 5_000, None),
        file("run/one.txt", Some("stream"), 100, None),
        file("run/other.bam", None, 7_000, Some("fail")),
        file("run/same.bam", None, 8_000, None),
    ];
    assert_eq!(planned(&output), expected, "{}", text(&output));
    assert_eq!(output["dryRun"], true);
    let plan = &output["plan"];
    assert_eq!(plan["wouldSucceed"], false);
    // What stands in the way comes first.
    assert_eq!(plan["files"][0]["conflict"]["there"], "another file of 7001 bytes is there");
    let renamed = plan["files"].as_array().unwrap().iter().find(|file| file["size"] == 5_000);
    let source = renamed.unwrap()["source"].as_str().unwrap();
    assert_eq!(source, "icav2://11111111-1111-4111-8111-111111111111/run/deep/to rename.bam");
    let mut totals = plan["totals"].clone();
    totals.as_object_mut().unwrap().remove("apiCalls");
    let expected_totals = json!({
        "files": 7, "byRoute": {"job": 3, "stream": 2}, "bytes": 20_150, "jobs": 3, "newFolders": 2,
        "skipped": 1, "inFlight": 0, "conflicts": 1, "failing": 1, "unready": 0,
    });
    assert_eq!(totals, expected_totals);
    for calls in house.simulator.stats().calls.keys() {
        assert!(calls.starts_with("GET "), "a dry run called {calls}");
    }
    assert_eq!(house.tree("archive", "/").await, before);

    // The other ways, and then the run itself.
    for (way, route) in [("skip", None), ("overwrite", Some("job"))] {
        ask(way, true, way).await;
        let output = house.success(way, SOON).await;
        expected[5] = file("run/other.bam", route, 7_000, Some(way));
        assert_eq!(planned(&output), expected, "{}", text(&output));
        assert_eq!(output["plan"]["wouldSucceed"], true);
    }
    ask("run", false, "overwrite").await;
    let output = house.success("run", Duration::from_mins(20)).await;
    assert_eq!(output["files"]["copied"], 6, "{}", text(&output));
    assert_eq!(output["files"]["skipped"], 1);
    assert_eq!(output["bytes"], 20_150 + 7_000);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_names_what_cannot_be_read_yet() {
    let house = House::new(&[("/run/a.bam", 9_000, 3)], &[], &[], |_| ()).await;
    let lab = ProjectId::new("11111111-1111-4111-8111-111111111111");
    let platform = house.platform(Arc::new(Dice::from_seed(1)));
    let folder = platform.find(&lab, &DataPath::parse("/run/").unwrap()).await.unwrap().unwrap();
    platform.create_file(&lab, &Destination::Folder(folder.id), "late.bam", "key").await.unwrap();
    let _instance = house.instance();
    house.ask_with(&["/run/"], "/in/", "t", None, json!({"dryRun": true})).await;
    let output = house.success("t", SOON).await;
    let plan = &output["plan"];
    assert_eq!((&plan["wouldSucceed"], &plan["totals"]["unready"]), (&json!(false), &json!(1)));
    let late = json!({
        "source": format!("icav2://{lab}/run/late.bam"),
        "destination": "icav2://22222222-2222-4222-8222-222222222222/in/run/late.bam",
        "reason": "its bytes are not (all) in: it is PARTIAL",
        "size": 0,
    });
    assert_eq!(plan["files"][0], late);
    assert_eq!(plan["files"][1]["route"], "job");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_a_request_that_would_be_refused_is_refused() {
    let house = House::new(&[], &[], &[], |_| ()).await;
    let _instance = house.instance();
    house.ask_with(&["/nothing"], "/in/", "t", None, json!({"dryRun": true})).await;
    assert_eq!(house.failure("t", SOON).await.0, "SourceNotFound");
}

#[tokio::test(start_paused = true)]
async fn a_large_plan_loses_files_and_no_totals_and_its_calls_are_about_right() {
    const FILES: u64 = 3_000;
    let folder = "/run/with a name that takes some room in a list of files/";
    let names: Vec<_> = (0..FILES).map(|n| format!("{folder}{n:05} and another long name.bam")).collect();
    let mut files: Vec<(&str, u64, u32)> = names.iter().map(|name| (name.as_str(), 10, 2)).collect();
    files.extend([("/run/z/1.txt", 10, 1), ("/run/z/2.txt", 10, 1)]);
    let house = House::new(&files, &[], &[("/in/run/z/2.txt", 11, 1)], |_| ()).await;
    let _instance = house.instance();
    house.ask_with(&["/run/"], "/in/", "dry", None, json!({"dryRun": true, "onConflict": "skip"})).await;
    let output = house.success("dry", SOON).await;
    assert!(output.to_string().len() <= 256 * 1024);
    let plan = &output["plan"];
    let shown = plan["files"].as_array().unwrap();
    assert!(shown.len() > 500, "{}", shown.len());
    assert_eq!(shown[0]["conflict"]["then"], "skip");
    assert_eq!(output["truncated"], true);
    assert_eq!(plan["filesLeftOut"], FILES + 2 - shown.len() as u64);
    assert_eq!(plan["totals"]["files"], FILES + 2);
    assert_eq!(plan["totals"]["jobs"], 3);
    let estimate = plan["totals"]["apiCalls"].as_u64().unwrap();

    let before = house.calls(None);
    house.ask_with(&["/run/"], "/in/", "run", None, json!({"onConflict": "skip"})).await;
    house.success("run", Duration::from_mins(20)).await;
    let made = house.calls(None) - before;
    assert!(made <= 2 * estimate && estimate <= 2 * made, "{made} calls, {estimate} estimated");
}
