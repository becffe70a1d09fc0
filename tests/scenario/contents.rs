//! What tags prove of bytes: worlds in which they are no MD5s, and files at the edges of parts.

use std::time::Duration;

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::house::{House, TO};

const SOON: Duration = Duration::from_mins(1);
const LATER: Duration = Duration::from_mins(10);
const MAKE: &str = "POST /api/projects/{projectId}/data:createFileWithUploadUrl";
const DELETE: &str = "POST /api/projects/{projectId}/data/{dataId}:delete";
const FILES: [(&str, u64, u32); 3] = [("/run/a.txt", 300, 1), ("/run/b.txt", 70, 1), ("/run/empty", 0, 1)];

/// A house whose projects are encrypted so.
async fn encrypted(from: &str, to: &str) -> House {
    let mut world = House::world(&FILES, &[], &[], &json!([]));
    world["projects"][0]["encryption"] = json!(from);
    world["projects"][1]["encryption"] = json!(to);
    House::of(world, |_| {}).await
}

async fn equal(house: &House) {
    assert_eq!(house.tree("lab", "/run/").await, house.tree(TO, "/in/run/").await);
}

#[tokio::test(start_paused = true)]
async fn files_whose_tags_are_no_md5s_are_read_once_and_arrive() {
    let house = encrypted("aws:kms", "AES256").await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", SOON).await;
    equal(&house).await;
    assert_eq!(house.simulator.stats().bytes_out, 370, "each was read once");
}

#[tokio::test(start_paused = true)]
async fn what_was_brought_is_known_where_tags_are_no_md5s() {
    for from in ["AES256", "aws:kms"] {
        for way in ["fail", "overwrite", "skip"] {
            let house = encrypted(from, "aws:kms").await;
            let _instance = house.instance();
            house.ask_with(&["/run/"], "/in/", "t", None, json!({"onConflict": way})).await;
            let files = house.success("t", SOON).await["files"].clone();
            assert_eq!((&files["copied"], &files["skippedConflict"]), (&json!(3), &json!(0)), "{from} {way}");
            equal(&house).await;
            // Asked again, what is there is compared by size alone, and none of it touched.
            house.ask_with(&["/run/"], "/in/", "again", None, json!({"onConflict": way})).await;
            let files = house.success("again", SOON).await["files"].clone();
            assert_eq!(
                (&files["copied"], &files["skipped"]),
                (&json!(0), &json!(3)),
                "{from} {way}: {files}"
            );
            assert_eq!((house.calls(Some(MAKE)), house.calls(Some(DELETE))), (3, 0), "{from} {way}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_object_says_for_itself_whether_its_tag_is_an_md5() {
    // What is made at one path is one content, wherever it is.
    let sources = [("/in/same.txt", 40, 1), ("/x/other.txt", 40, 1)];
    let mut world = House::world(&sources, &[], &[], &json!([]));
    world["projects"][1]["files"] = json!([
        {"path": "/in/same.txt", "size": 40, "encryption": "aws:kms"},
        {"path": "/in/other.txt", "size": 40},
    ]);
    let house = House::of(world, |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/in/same.txt", "/x/other.txt"], "/in/", "fail").await;
    let (error, cause) = house.failure("fail", LATER).await;
    assert_eq!(error, "DestinationConflict");
    let named: Vec<_> = cause["files"].as_array().unwrap().iter().map(|file| &file["what"]).collect();
    assert_eq!(named, [&json!("/in/other.txt")], "{cause}");
    house
        .ask_with(&["/in/same.txt", "/x/other.txt"], "/in/", "skip", None, json!({"onConflict": "skip"}))
        .await;
    let files = house.success("skip", LATER).await["files"].clone();
    assert_eq!((&files["skipped"], &files["skippedConflict"]), (&json!(1), &json!(1)), "{files}");
}

/// A copy from buckets of no project into `/in/`, and what it says.
async fn from_outside(house: &House, sources: &[&str], token: &str) -> Value {
    let body = json!({
        "payload": {"externalSourceUriList": sources, "sourceUriList": [], "destinationUri": format!("icav2://{TO}/in/")},
        "taskToken": token,
    });
    house.queue.push(body.to_string()).await.unwrap();
    house.success(token, LATER).await
}

#[tokio::test(start_paused = true)]
async fn objects_of_one_prefix_are_encrypted_in_many_ways() {
    for first in ["AES256", "aws:kms"] {
        let second = if first == "AES256" { "aws:kms" } else { "AES256" };
        let objects = json!([
            {"key": "m/a", "size": 30, "encryption": first}, {"key": "m/b", "size": 40, "encryption": second},
        ]);
        let more = json!([{"name": "mixed", "objects": objects}]);
        let house = House::beside(&[], &[], &[], more, |_| {}).await;
        let _instance = house.instance();
        let output = from_outside(&house, &["s3://mixed/m/"], "t").await;
        assert_eq!(output["files"]["copied"], 2, "{first}");
        let again = from_outside(&house, &["s3://mixed/m/"], "again").await;
        assert_eq!(
            (&again["files"]["copied"], &again["files"]["skipped"]),
            (&json!(0), &json!(2)),
            "{first}"
        );
        assert_eq!(house.calls(Some(DELETE)), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn parts_of_any_sizes_stay_as_they_are() {
    const MIB: u64 = 1 << 20;
    let uneven = [6 * MIB, 5 * MIB, 5 * MIB, 1];
    // The last fits the first, and those between do not.
    let hidden = [6 * MIB, 5 * MIB, 7 * MIB, 1];
    let sum = |sizes: &[u64]| sizes.iter().sum::<u64>();
    let more = json!([{"name": "parts", "objects": [
        {"key": "p/empty", "size": 0, "partSizes": [0]},
        {"key": "p/one", "size": 1, "partSizes": [1]},
        {"key": "p/uneven", "size": sum(&uneven), "partSizes": uneven},
        {"key": "p/hidden", "size": sum(&hidden), "partSizes": hidden},
    ]}]);
    let house = House::beside(&[], &[], &[], more, |_| {}).await;
    let _instance = house.instance();
    let output = from_outside(&house, &["s3://parts/p/"], "t").await;
    assert_eq!(output["files"]["copied"], 4);
    let there = house.simulator.objects("archive-data", "in/p/").await;
    let tags: Vec<_> = there.into_iter().map(|object| object.etag).collect();
    let wanted = house.simulator.objects("parts", "p/").await;
    assert_eq!(tags, wanted.into_iter().map(|object| object.etag).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_fault_of_a_file_does_not_count() {
    for (times, status) in [(14, 401), (60, 429), (60, 500)] {
        let house = House::new(&[("/run/a.txt", 300, 1)], &[], &[], |_| {}).await;
        // More in a row than a file has tries, and each try makes several calls.
        house.faults(json!({"responses": [{"call": MAKE, "times": times, "status": status}]}));
        let _instance = house.instance();
        house.ask(&["/run/a.txt"], "/in/", "t").await;
        house.success("t", Duration::from_hours(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn copies_to_buckets_do_not_take_tags_for_md5s_either() {
    for (from, to) in [("aws:kms", "AES256"), ("AES256", "aws:kms"), ("aws:kms", "aws:kms")] {
        let mut world = House::world(&FILES, &[], &[], &json!([{"name": "dest", "encryption": to}]));
        world["projects"][0]["encryption"] = json!(from);
        let house = House::of(world, |_| {}).await;
        let _instance = house.instance();
        for (token, copied, skipped) in [("first", 3, 0), ("again", 0, 3)] {
            let body = json!({
                "payload": {"sourceUriList": ["icav2://lab/run/"], "destinationUri": "s3://dest/in/"},
                "taskToken": token,
            });
            house.queue.push(body.to_string()).await.unwrap();
            let files = house.success(token, LATER).await["files"].clone();
            let counts = (&files["copied"], &files["skipped"]);
            assert_eq!(counts, (&json!(copied), &json!(skipped)), "{from} {to}: {files}");
        }
        let md5s: Vec<_> =
            house.simulator.objects("dest", "in/run/").await.into_iter().map(|it| it.md5).collect();
        let wanted: Vec<_> =
            house.tree("lab", "/run/").await.into_iter().filter_map(|(.., md5)| md5).collect();
        assert_eq!(md5s, wanted, "{from} {to}");
    }
}
