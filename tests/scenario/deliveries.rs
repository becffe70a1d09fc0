//! What goes with a push, what it leaves, and how it is tried again.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use copy_manager::{
    app::Desk,
    domain::ids::RequestId,
    events::share::{
        asked,
        shown::{JobStatus, PackageShown, PushShown},
    },
    share::{Backend as _, Refusal, Wanted},
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use crate::{
    asking::calls,
    house::{House, TO},
    sharing::{MINUTE, RUN, desk, fastq, house, keys, made, paths, push_ended, told},
};

/// Four reads.
async fn reads(desk: &Desk) -> PackageShown {
    made(desk, json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] })).await
}

async fn asked_for(desk: &Desk, package: &PackageShown, to: &str, more: Value) -> Result<PushShown, Refusal> {
    let mut body = json!({ "shareDestination": to });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    desk.push("bob", &RequestId::new(package.id.as_str()), asked::push(&body).unwrap()).await
}

async fn pushed(desk: &Desk, package: &PackageShown, to: &str, more: Value) -> PushShown {
    let push = asked_for(desk, package, to, more).await.unwrap();
    push_ended(desk, &push.id).await
}

/// An artifact by its URI.
async fn artifact(house: &House, uri: &str) -> String {
    house.object("tables", uri.strip_prefix("s3://tables/").unwrap()).await
}

/// The lines of the receipt of a push, which is the one that it tells of.
pub(crate) async fn receipt(house: &House, push: &PushShown) -> Vec<Value> {
    let told = push.receipt.as_ref().unwrap();
    let text = artifact(house, &told.uri).await;
    assert_eq!(hex::encode(Sha256::digest(text.as_bytes())), told.sha256, "{}", told.uri);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, told.files);
    lines
}

async fn log(house: &House, push: &PushShown) -> Value {
    serde_json::from_str(&artifact(house, push.log_uri.as_ref().unwrap()).await).unwrap()
}

/// What the bucket holds of files, by their paths below a prefix: size and MD5.
async fn there(house: &House, prefix: &str) -> BTreeMap<String, (u64, String)> {
    let found = house.simulator.objects("dest", prefix).await.into_iter();
    found.map(|it| (it.key.strip_prefix(prefix).unwrap().to_owned(), (it.size, it.md5))).collect()
}

fn source(lane: u32, read: u32) -> String {
    format!("primary/{RUN}/L2400001_S1_L00{lane}_R{read}_001.fastq.gz")
}

/// Takes an object away; what it was.
async fn take_away(house: &House, key: &str) -> Vec<u8> {
    let client = house.s3_client();
    let body = client.get_object().bucket("src").key(key).send().await.unwrap().body;
    let content = body.collect().await.unwrap().to_vec();
    client.delete_object().bucket("src").key(key).send().await.unwrap();
    content
}

#[tokio::test(start_paused = true)]
async fn a_push_leaves_a_receipt_and_a_log_that_say_what_is_there() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = reads(&desk).await;
    take_away(&house, &source(2, 2)).await;
    let push = pushed(&desk, &package, "s3://dest/in/", json!({})).await;
    assert_eq!(push.status, JobStatus::Failed);
    let day = push.start_time.strftime("year=%Y/month=%m/day=%d");
    assert_eq!(push.log_uri, Some(format!("s3://tables/share/push-logs/{day}/{}.json", push.id)));
    let lines = receipt(&house, &push).await;
    let said: BTreeMap<_, _> = lines
        .iter()
        .map(|line| {
            let sum = line["sum"].as_str().unwrap().strip_prefix("md5:").unwrap().to_owned();
            assert_eq!(line["compared"], "tag", "{line}");
            (line["path"].as_str().unwrap().to_owned(), (line["size"].as_u64().unwrap(), sum))
        })
        .collect();
    let there = there(&house, "in/").await;
    let files = there.into_iter().filter(|(path, _)| path.starts_with("fastq/")).collect();
    assert_eq!(said, files, "what has arrived, and nothing else");
    let log = log(&house, &push).await;
    assert_eq!((&log["pushId"], &log["status"]), (&json!(push.id), &json!("FAILED")));
    assert_eq!(log["errorMessages"], json!(push.error_messages));
    let results: BTreeMap<_, _> = log["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["path"].as_str().unwrap(), row["result"].as_str().unwrap()))
        .collect();
    assert_eq!(results.len(), 4);
    let gone = fastq("L2400001", 2, 2);
    assert!(results.iter().all(|(path, result)| (*result == "ERROR") == (*path == gone)), "{results:?}");
    sleep(MINUTE).await;
    let event = told(&house, &push.id).last().cloned().unwrap();
    assert_eq!(event["receipt"]["sha256"], json!(push.receipt.as_ref().unwrap().sha256));
    let url = desk.receipt(&RequestId::new(push.id.as_str())).await.unwrap();
    assert!(url.contains(&format!("{}.receipt.jsonl?", push.id)), "{url}");
}

#[tokio::test(start_paused = true)]
async fn sums_report_and_crate_lie_beside_the_files() {
    let mut house = house().await;
    house.share.deliver = serde_json::from_value(json!(["md5", "sha256", "report", "ro-crate"])).unwrap();
    // A file that was uploaded in parts has no MD5 for a tag.
    let parts = format!("primary/{RUN}/L2400001_S1_L001_R1_001.fastq.gz");
    upload_in_parts(&house, &parts).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = reads(&desk).await;
    let push = pushed(&desk, &package, "s3://dest/in/", json!({})).await;
    assert_eq!((push.status, push.error_messages.as_deref()), (JobStatus::Succeeded, None));
    let known = |name: &str| {
        let found = push.delivered.iter().find(|paper| paper.name == name).unwrap();
        (found.files, found.without_sum)
    };
    assert_eq!(known("md5sum.my-package.txt"), (3, 1));
    assert_eq!(known("sha256sum.my-package.txt"), (0, 4));
    let there = there(&house, "in/").await;
    let sums = house.object("dest", "in/md5sum.my-package.txt").await;
    let mut listed = 0;
    for line in sums.lines() {
        let (sum, path) = line.split_once("  ").unwrap();
        assert_eq!(there[path].1, sum, "as md5sum -c would see it");
        listed += 1;
    }
    assert_eq!(listed, 3);
    assert_eq!(there["sha256sum.my-package.txt"].0, 0);
    let day = package.request_time.strftime("year=%Y/month=%m/day=%d");
    let report = format!("share/packages/{day}/{}/final/SummaryReport.my-package.html", package.id);
    let delivered = house.object("dest", "in/SummaryReport.my-package.html").await;
    assert_eq!(delivered, house.object("tables", &report).await);
    let crate_: Value =
        serde_json::from_str(&house.object("dest", "in/ro-crate-metadata.json").await).unwrap();
    let parts = crate_["@graph"][1]["hasPart"].as_array().unwrap();
    assert_eq!(parts.len(), 4);
    assert!(parts.iter().any(|part| part["@id"] == json!(fastq("L2400001", 1, 2))), "{parts:?}");
    let none = pushed(&desk, &package, "s3://dest/none/", json!({ "deliver": [] })).await;
    assert_eq!((none.status, none.delivered.len()), (JobStatus::Succeeded, 0));
    assert_eq!(keys(&house, "none/").await.len(), 6);
}

async fn upload_in_parts(house: &House, key: &str) {
    let client = house.s3_client();
    let begun = client.create_multipart_upload().bucket("src").key(key).send().await.unwrap();
    let upload = begun.upload_id().unwrap();
    let part = client.upload_part().bucket("src").key(key).upload_id(upload).part_number(1);
    let part = part.body(b"in one part".to_vec().into()).send().await.unwrap();
    let done =
        aws_sdk_s3::types::CompletedPart::builder().part_number(1).e_tag(part.e_tag().unwrap()).build();
    let all = aws_sdk_s3::types::CompletedMultipartUpload::builder().parts(done).build();
    let complete = client.complete_multipart_upload().bucket("src").key(key).upload_id(upload);
    complete.multipart_upload(all).send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn papers_go_into_a_project_from_where_they_are_kept() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = reads(&desk).await;
    let deliver = json!({ "deliver": ["md5", "report"] });
    let push = pushed(&desk, &package, "icav2://archive/shared/", deliver).await;
    assert_eq!((push.status, push.error_messages.as_deref()), (JobStatus::Succeeded, None));
    let tree = house.tree(TO, "/shared/").await;
    let arrived: Vec<String> =
        tree.into_iter().map(|(path, ..)| path).filter(|path| !path.contains("fastq")).collect();
    assert_eq!(arrived, ["SummaryReport.my-package.html", "md5sum.my-package.txt"]);
    assert_eq!(push.delivered.iter().map(|paper| paper.files).collect::<Vec<_>>(), [4, 4]);
    let lines = receipt(&house, &push).await;
    let said: std::collections::BTreeSet<_> =
        lines.iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(said, paths(&desk, &package).await);
    assert!(lines.iter().all(|line| line["sum"].as_str().unwrap().starts_with("md5:")), "{lines:?}");
    assert_eq!(log(&house, &push).await["results"].as_array().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn papers_of_a_second_delivery_take_the_place_of_the_first_ones_in_a_project() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let first = reads(&desk).await;
    let both = json!({ "libraryIdList": ["L2400001", "L2400002"], "dataTypeList": ["fastq"] });
    let second = made(&desk, both).await;
    // What is said of files holds for files, and the files of the first are all there, and equal.
    let deliver = json!({ "deliver": ["md5", "ro-crate"], "onConflict": "fail" });
    for (package, files) in [(&first, 4), (&second, 8), (&second, 8)] {
        let push = pushed(&desk, package, "icav2://archive/shared/", deliver.clone()).await;
        assert_eq!((push.status, push.error_messages.as_deref()), (JobStatus::Succeeded, None));
        assert_eq!(push.delivered.iter().map(|paper| paper.files).collect::<Vec<_>>(), [files, files]);
        let kept = format!("md5sum.{}.txt", package.package_name);
        let day = package.request_time.strftime("year=%Y/month=%m/day=%d");
        let ours = format!("share/packages/{day}/{}/final/{kept}", package.id);
        let sum = house.simulator.objects("tables", &ours).await[0].md5.clone();
        let tree = house.tree(TO, "/shared/").await;
        let there: Vec<_> = tree.into_iter().filter(|(path, ..)| *path == kept).collect();
        assert_eq!(there, [(kept, "Available".to_owned(), Some(sum))]);
    }
    let other = house.simulator.objects("src", &source(1, 1)).await[0].size;
    house.put_object("src", &source(1, 1), vec![7; usize::try_from(other).unwrap()]).await;
    let push = pushed(&desk, &reads(&desk).await, "icav2://archive/shared/", deliver).await;
    assert_eq!(push.status, JobStatus::Failed, "another file of that name stays: {push:?}");
}

#[tokio::test(start_paused = true)]
async fn no_paper_is_written_over_a_file_of_the_package() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let rows = json!([{ "uri": format!("s3://src/{}", source(1, 1)), "path": "ro-crate-metadata.json",
        "dataType": "fastq" }]);
    let package = made(&desk, json!({ "manifest": rows, "dataTypeList": ["fastq"] })).await;
    let push = pushed(&desk, &package, "s3://dest/in/", json!({ "deliver": ["ro-crate"] })).await;
    assert_eq!(push.status, JobStatus::Failed);
    assert!(push.error_messages.unwrap().contains("would be written over by what is put beside the files"));
    let push = pushed(&desk, &package, "s3://dest/in/", json!({ "deliver": ["md5"] })).await;
    assert_eq!(push.status, JobStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn what_has_failed_is_brought_into_the_same_push() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = reads(&desk).await;
    let content = take_away(&house, &source(1, 2)).await;
    let push = pushed(&desk, &package, "s3://dest/in/", json!({ "deliver": ["md5"] })).await;
    let id = RequestId::new(push.id.as_str());
    assert_eq!(push.status, JobStatus::Failed);
    let why = push.error_messages.clone().unwrap();
    assert!(why.starts_with("1 files failed to copy, see s3://dest/in/ENDED_COPY__"), "{why}");
    assert_eq!((keys(&house, "in/fastq/").await.len(), receipt(&house, &push).await.len()), (3, 3));

    // The source is still away.
    let again = desk.retry_push(&id).await.unwrap();
    assert_eq!((again.id.as_str(), again.status), (push.id.as_str(), JobStatus::Running));
    assert_eq!((again.error_messages, again.end_time), (None, None));
    assert!(matches!(desk.retry_push(&id).await, Err(Refusal::Conflict(_))), "it runs");
    assert_eq!(push_ended(&desk, &push.id).await.error_messages, Some(why));

    house.put_object("src", &source(1, 2), content).await;
    desk.retry_push(&id).await.unwrap();
    let done = push_ended(&desk, &push.id).await;
    assert_eq!((done.status, done.error_messages.as_deref()), (JobStatus::Succeeded, None));
    assert_eq!((done.start_time, done.id.as_str()), (push.start_time, push.id.as_str()));
    assert_eq!((keys(&house, "in/fastq/").await.len(), calls(&house, "dest", "CopyObject")), (4, 4));
    assert_eq!(keys(&house, "in/").await.len(), 7, "marker and summary are those of the push");
    assert_eq!(receipt(&house, &done).await.len(), 4);
    assert_eq!(log(&house, &done).await["attempt"], 3);
    let all = Wanted { page: 1, rows_per_page: 9, ..Wanted::default() };
    let (count, listed) = desk.pushes(&all).await.unwrap();
    assert_eq!((count, listed[0].status), (1, JobStatus::Succeeded), "it is one push");
    sleep(MINUTE).await;
    let statuses: Vec<_> = told(&house, &push.id).iter().map(|told| told["status"].clone()).collect();
    assert_eq!(statuses, ["PENDING", "RUNNING", "FAILED", "RUNNING", "FAILED", "RUNNING", "SUCCEEDED"]);
    assert!(matches!(desk.retry_push(&id).await, Err(Refusal::Conflict(_))), "nothing has failed");
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_a_push_like_any_other() {
    let mut house = house().await;
    house.share.expires_after = 60 * MINUTE;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = reads(&desk).await;
    let content = take_away(&house, &source(1, 2)).await;
    let push = pushed(&desk, &package, "s3://dest/in/", json!({})).await;
    let id = RequestId::new(push.id.as_str());
    // Ended while it runs.
    house.put_object("src", &source(1, 2), content).await;
    house.faults(json!({"s3": [{"calls": ["CopyObject"], "delay": "500s"}]}));
    desk.retry_push(&id).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    desk.abort_push(&id).await.unwrap();
    assert_eq!(push_ended(&desk, &push.id).await.status, JobStatus::Aborted);
    let refused = "Job is not in a state that can be retried".to_owned();
    assert_eq!(desk.retry_push(&id).await, Err(Refusal::Conflict(refused)), "what was ended stays so");

    // What may not go there any more, and what is too old.
    house.faults(json!({"s3": []}));
    take_away(&house, &source(2, 1)).await;
    let push = pushed(&desk, &package, "s3://dest/else/", json!({})).await;
    let id = RequestId::new(push.id.as_str());
    assert_eq!(push.status, JobStatus::Failed);
    drop(desk);
    let mut elsewhere = house.share.clone();
    elsewhere.destinations = vec!["s3://other/*".to_owned().try_into().unwrap()];
    let before = std::mem::replace(&mut house.share, elsewhere);
    let refused = crate::sharing::desk(&house, &instance).retry_push(&id).await;
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
    house.share = before;
    sleep(61 * MINUTE).await;
    let refused = crate::sharing::desk(&house, &instance).retry_push(&id).await;
    assert_eq!(refused, Err(Refusal::Conflict("Package has expired".into())));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = reads(&desk).await;
    house.put_object("dest", &format!("in/{}", fastq("L2400001", 1, 1)), b"something else".to_vec()).await;
    let equal = take_away(&house, &source(1, 2)).await;
    house.put_object("src", &source(1, 2), equal.clone()).await;
    house.put_object("dest", &format!("in/{}", fastq("L2400001", 1, 2)), equal).await;
    let before = there(&house, "").await;
    let push = pushed(&desk, &package, "s3://dest/in/", json!({ "dryRun": true, "deliver": ["md5"] })).await;
    assert_eq!((push.status, push.dry_run), (JobStatus::Succeeded, true));
    let said = serde_json::to_value(push.preview.unwrap()).unwrap();
    assert_eq!(
        (&said["wouldSucceed"], &said["writable"], &said["files"], &said["toCopy"]),
        (&json!(true), &json!(true), &json!(4), &json!(3)),
        "{said}"
    );
    assert_eq!(
        (&said["alreadyThere"], &said["conflicts"], &said["archived"]),
        (&json!(1), &json!(1), &json!(0))
    );
    let fails = json!({ "dryRun": true, "onConflict": "fail" });
    let said = pushed(&desk, &package, "s3://dest/in/", fails).await.preview.unwrap();
    assert_eq!((said.would_succeed, said.conflicts, said.to_copy), (false, 1, 2));
    house.faults(json!({ "deny": { "dest": ["PutObject"] } }));
    let said = pushed(&desk, &package, "s3://dest/in/", json!({ "dryRun": true })).await.preview.unwrap();
    assert_eq!((said.would_succeed, said.writable), (false, Some(false)));
    assert!(said.refusal.unwrap().contains("AccessDenied"));
    assert_eq!(there(&house, "").await, before, "nothing was written");
    assert_eq!(house.simulator.uploads("dest"), [], "and nothing is left behind");

    let push = pushed(&desk, &package, "icav2://archive/shared/", json!({ "dryRun": true })).await;
    let said = push.preview.unwrap();
    assert_eq!((push.status, said.files, said.to_copy, said.writable), (JobStatus::Succeeded, 4, 4, None));
    assert!(house.tree(TO, "/shared/").await.is_empty());
    assert_eq!((push.receipt, push.log_uri), (None, None));
}

/// A push that has failed and is tried again, while the table breaks off at a write.
#[tokio::test(start_paused = true)]
async fn a_write_that_breaks_off_in_a_retry_changes_nothing() {
    let (mut n, mut reached) = (0, true);
    while reached {
        for after in [false, true] {
            let what = format!("write {n}, after it {after}");
            let house = house().await;
            let instance = house.instance();
            let desk = desk(&house, &instance);
            let package = reads(&desk).await;
            let content = take_away(&house, &source(1, 2)).await;
            let push = pushed(&desk, &package, "s3://dest/in/", json!({ "deliver": ["md5"] })).await;
            house.put_object("src", &source(1, 2), content).await;
            house.breaks_after.store(after, Ordering::Relaxed);
            house.breaks_in.store(n, Ordering::Relaxed);
            let id = RequestId::new(push.id.as_str());
            // Whoever has no answer asks again.
            while let Err(refusal) = desk.retry_push(&id).await {
                if matches!(refusal, Refusal::Conflict(_)) {
                    break;
                }
            }
            let done = push_ended(&desk, &push.id).await;
            sleep(10 * MINUTE).await;
            reached = house.breaks_in.load(Ordering::Relaxed) < 0;
            assert_eq!(done.status, JobStatus::Succeeded, "{what}: {done:?}");
            assert_eq!(receipt(&house, &done).await.len(), 4, "{what}");
            assert_eq!(calls(&house, "dest", "CopyObject"), 4, "{what}: nothing is copied twice");
            assert_eq!(log(&house, &done).await["attempt"], 2, "{what}");
            assert_eq!(told(&house, &push.id).last().unwrap()["status"], "SUCCEEDED", "{what}");
            assert_eq!(house.unsettled().await, [], "{what}");
        }
        n += 1;
    }
    assert!(n > 8, "{n} writes");
}

#[tokio::test(start_paused = true)]
async fn a_push_that_is_aborted_leaves_a_receipt_of_what_has_arrived() {
    let mut house = house().await;
    house.chunk_takes = Duration::from_secs(200);
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = reads(&desk).await;
    let slow = fastq("L2400001", 2, 2);
    let key = format!("in/{slow}");
    house.faults(json!({"s3": [{"calls": ["CopyObject"], "bucket": "dest", "key": key, "delay": "500s"}]}));
    let push = asked_for(&desk, &package, "s3://dest/in/", json!({ "deliver": ["md5"] })).await.unwrap();
    while keys(&house, "in/fastq/").await.len() < 3 {
        sleep(Duration::from_millis(500)).await;
    }
    desk.abort_push(&RequestId::new(push.id.as_str())).await.unwrap();
    let ended = push_ended(&desk, &push.id).await;
    assert_eq!(ended.status, JobStatus::Aborted);
    let told_of: std::collections::BTreeSet<_> =
        receipt(&house, &ended).await.iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect();
    let mut arrived = paths(&desk, &package).await;
    assert!(arrived.remove(&slow));
    assert_eq!(told_of, arrived);
    let said = log(&house, &ended).await;
    assert_eq!(said["status"], "ABORTED");
    let results = said["results"].as_array().unwrap();
    let lost: Vec<_> = results.iter().filter(|row| row["result"] == "ERROR").collect();
    assert_eq!((results.len(), lost.len(), &lost[0]["path"]), (4, 1, &json!(slow)), "{said}");
    sleep(MINUTE).await;
    let event = told(&house, &push.id).last().cloned().unwrap();
    assert_eq!(event["receipt"]["sha256"], json!(ended.receipt.as_ref().unwrap().sha256));

    // The same on the way into a project, where nothing has arrived yet.
    house.faults(json!({"s3": []}));
    let first = json!({ "uri": format!("s3://src/{}", source(1, 1)), "dataType": "fastq",
        "path": format!("a/{}", source(1, 1).rsplit('/').next().unwrap()) });
    let there = made(&desk, json!({ "manifest": [first], "dataTypeList": ["fastq"] })).await;
    let push = asked_for(&desk, &there, "icav2://archive/shared/", json!({})).await.unwrap();
    sleep(Duration::from_secs(30)).await;
    desk.abort_push(&RequestId::new(push.id.as_str())).await.unwrap();
    let ended = push_ended(&desk, &push.id).await;
    assert_eq!(ended.status, JobStatus::Aborted);
    let lines = receipt(&house, &ended).await;
    assert_eq!(lines, Vec::<Value>::new());
    let said = log(&house, &ended).await;
    assert_eq!(said["results"].as_array().unwrap().len(), 1, "{said}");
    // One that has not begun has brought nothing, and leaves none.
    house.faults(json!({ "deny": { "dest": ["PutObject"] } }));
    let push = asked_for(&desk, &package, "s3://dest/none/", json!({})).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    desk.abort_push(&RequestId::new(push.id.as_str())).await.unwrap();
    let ended = push_ended(&desk, &push.id).await;
    assert_eq!((ended.status, ended.receipt, ended.log_uri), (JobStatus::Aborted, None, None));
}

/// A report that is longer than a part, wherever it is written to.
async fn long_report(house: &House, package: &PackageShown, letter: &str) -> String {
    let day = package.request_time.strftime("year=%Y/month=%m/day=%d");
    let report = format!("share/packages/{day}/{}/final/SummaryReport.my-package.html", package.id);
    let text = letter.repeat(9 << 20);
    house.put_object("tables", &report, text.clone().into_bytes()).await;
    text
}

#[tokio::test(start_paused = true)]
async fn a_long_paper_whose_upload_is_gone_is_there_or_is_written_again() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = reads(&desk).await;
    // The answer to the first completion is lost, and whoever asks again hears that there is no such upload; or
    // another writer has cleared it away. Beside the files of a bucket, and on the way into a project.
    let lost = json!({ "status": "close", "after": true });
    let cleared = json!({ "status": 404, "code": "NoSuchUpload" });
    for (letter, bucket, to, fault, begun) in [
        ("ü", "dest", "s3://dest/lost/", &lost, 1),
        ("ö", "dest", "s3://dest/cleared/", &cleared, 2),
        ("ä", "tables", "icav2://archive/lost/", &lost, 1),
        ("é", "tables", "icav2://archive/cleared/", &cleared, 2),
    ] {
        let text = long_report(&house, &package, letter).await;
        let mut rule = json!({ "calls": ["CompleteMultipartUpload"], "bucket": bucket, "times": 1 });
        rule.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        house.faults(json!({ "s3": [rule] }));
        let before = calls(&house, bucket, "CreateMultipartUpload");
        let push = pushed(&desk, &package, to, json!({ "deliver": ["report"] })).await;
        assert_eq!((push.status, push.error_messages.as_deref()), (JobStatus::Succeeded, None), "{to}");
        let uploads = calls(&house, bucket, "CreateMultipartUpload") - before;
        assert_eq!((uploads, house.simulator.uploads(bucket)), (begun, Vec::new()), "{to}");
        let md5 = hex::encode(md5::Md5::digest(text.as_bytes()));
        let name = "SummaryReport.my-package.html";
        let there = if let Some(prefix) = to.strip_prefix("s3://dest/") {
            house.simulator.objects("dest", &format!("{prefix}{name}")).await[0].md5.clone()
        } else {
            let tree = house.tree(TO, to.strip_prefix("icav2://archive").unwrap()).await;
            tree.into_iter().find(|(path, ..)| path == name).and_then(|(.., md5)| md5).unwrap()
        };
        assert_eq!(there, md5, "{to}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_paper_is_written_in_parts_and_leaves_no_upload_behind() {
    let house = house().await;
    let mut instance = house.instance();
    let first = desk(&house, &instance);
    let package = reads(&first).await;
    let day = package.request_time.strftime("year=%Y/month=%m/day=%d");
    let report = format!("share/packages/{day}/{}/final/SummaryReport.my-package.html", package.id);
    // Letters of two bytes, which no piece may cut.
    let text = "ü".repeat(9 << 20);
    house.put_object("tables", &report, text.clone().into_bytes()).await;
    // Parts take long, and the instance dies in the middle of them.
    house.faults(json!({"s3": [{"calls": ["UploadPart"], "bucket": "dest", "delay": "100s"}]}));
    let push = asked_for(&first, &package, "s3://dest/in/", json!({ "deliver": ["report"] })).await.unwrap();
    while house.simulator.uploads("dest").is_empty() {
        sleep(Duration::from_millis(500)).await;
    }
    sleep(Duration::from_secs(5)).await;
    drop((first, instance));
    house.faults(json!({"s3": []}));
    instance = house.instance();
    let done = push_ended(&desk(&house, &instance), &push.id).await;
    assert_eq!((done.status, done.error_messages), (JobStatus::Succeeded, None));
    assert!(house.object("dest", "in/SummaryReport.my-package.html").await == text);
    let there = house.simulator.objects("dest", "in/SummaryReport").await;
    assert_eq!(there[0].headers.get("content-type").map(String::as_str), Some("text/html; charset=utf-8"));
    assert!(there[0].etag.ends_with("-3"), "{}", there[0].etag);
    assert_eq!(house.simulator.uploads("dest"), [], "the upload that was broken off is dropped");
}
