//! Trees as they are in the world: wide, deep, crowded, and throttled.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::house::{House, TO};

/// A file of a simulated project: path, size, parts.
type File = (String, u64, u32);

async fn house(files: &[File], change: impl FnOnce(&mut copy_manager::simulator::Settings)) -> House {
    let files: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    House::new(&files, &[], &[], change).await
}

/// Folders of so many files in one part and in two.
fn folders(folders: usize, single: usize, double: usize) -> Vec<File> {
    let single = (0..single).map(|n| (format!("s{n:02}.txt"), 200, 1));
    let files: Vec<_> = single.chain((0..double).map(|n| (format!("b{n:02}.bam"), 1000, 2))).collect();
    let all = (0..folders).flat_map(|folder| files.iter().map(move |file| (folder, file)));
    all.map(|(folder, (name, size, parts))| (format!("/big/d{folder:03}/{name}"), *size, *parts)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_wide_tree_of_small_files_ends() {
    let house = house(&folders(300, 2, 0), |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/big/"], "/in/", "t").await;
    let asked = Instant::now();
    let output = house.success("t", Duration::from_mins(20)).await;
    assert_eq!(output["files"]["copied"], 600, "{output}");
    let (took, calls) = (asked.elapsed(), house.calls(None));
    assert!(calls <= 2400, "{calls} calls: {:?}", house.simulator.stats().calls);
    assert!(took <= Duration::from_secs(150), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tree_beside_a_platform_that_takes_few_calls_ends() {
    let house = house(&folders(60, 2, 10), |platform| {
        platform.rate_limit = Some(4);
        platform.job_failure_rate = 0.2;
        platform.job_duration = Duration::from_secs(3);
    })
    .await;
    let _instance = house.instance();
    house.ask(&["/big/"], "/in/", "t").await;
    let output = house.success("t", Duration::from_mins(20)).await;
    assert_eq!(output["files"]["copied"], 720, "{output}");
    let calls = house.calls(None);
    assert!(calls <= 60 * 25, "{calls} calls: {:?}", house.simulator.stats().calls);
}

/// A path of so many levels below a folder.
fn deep(top: &str, levels: usize) -> String {
    (0..levels).fold(top.to_owned(), |path, level| path + &format!("l{level:03}/"))
}

impl House {
    /// Asks for what a manifest says.
    async fn send(&self, manifest: &Value, token: &str) {
        let detail = json!({"payload": {"manifest": manifest}, "taskToken": token});
        let event =
            json!({"detail-type": "ICAv2CopyBatchSync", "source": "lab", "id": token, "detail": detail});
        self.queue.push(event.to_string()).await.unwrap();
    }
}

/// Sends a file to many places with one manifest; how many calls that took.
async fn send_to(destinations: &[String]) -> u64 {
    let house = house(&[("/run/a.txt".to_owned(), 20, 1)], |_| {}).await;
    let _instance = house.instance();
    let uris: Vec<_> = destinations.iter().map(|path| format!("icav2://{TO}{path}")).collect();
    house.send(&json!({"icav2://lab/run/a.txt": uris}), "t").await;
    house.success("t", Duration::from_mins(20)).await;
    for path in [destinations.first(), destinations.last()].into_iter().flatten() {
        assert_eq!(house.tree(TO, path).await.len(), 1, "{path}");
    }
    house.calls(None)
}

#[tokio::test(start_paused = true)]
async fn deep_destinations_are_reached_each_by_a_way_of_its_own() {
    let destinations: Vec<_> = (0..250).map(|n| deep(&format!("/in/{n:03}/"), 149)).collect();
    let calls = send_to(&destinations).await;
    assert!(calls <= 250 * 10, "{calls} calls");
}

#[tokio::test(start_paused = true)]
async fn deep_destinations_are_reached_by_one_way() {
    let top = deep("/in/", 149);
    let destinations: Vec<_> = (0..250).map(|n| format!("{top}{n:03}/")).collect();
    let calls = send_to(&destinations).await;
    assert!(calls <= 250 * 8, "{calls} calls");
}

#[tokio::test(start_paused = true)]
async fn thousands_of_requests_for_one_folder_all_succeed() {
    const REQUESTS: usize = 4000;
    let files: Vec<File> = (0..REQUESTS).map(|n| (format!("/run/s{n:04}.bam"), 1000, 2)).collect();
    let mut house = house(&files, |platform| platform.job_duration = Duration::from_secs(30)).await;
    house.icav2.requests_per_second = std::num::NonZeroU32::new(200).unwrap();
    let _instance = house.instance();
    for (n, (path, ..)) in files.iter().enumerate() {
        house.ask(&[path], "/in/", &format!("t{n}")).await;
    }
    for n in 0..REQUESTS {
        house.success(&format!("t{n}"), Duration::from_mins(30)).await;
    }
    assert_eq!(house.tree(TO, "/in/").await.len(), REQUESTS);
    // What is known of those who wait would not fit one record: the table takes 400 KB.
    let largest = house.largest_record.load(Ordering::Relaxed);
    assert!(largest < 100_000, "a record of {largest} bytes");
}

#[tokio::test(start_paused = true)]
async fn too_many_folders_are_refused_before_anything_is_copied() {
    let mut house = house(&folders(4, 1, 0), |_| {}).await;
    house.settings.copy.max_folders = 5;
    let instance = house.instance();
    house.ask(&["/big/"], "/in/", "five").await;
    house.success("five", Duration::from_mins(2)).await;
    // A tree is copied as often as a manifest sends it somewhere.
    let uris = ["one", "two"].map(|to| format!("icav2://{TO}/{to}/"));
    house.send(&json!({"icav2://lab/big/": uris}), "ten").await;
    let (error, cause) = house.failure("ten", Duration::from_mins(2)).await;
    assert_eq!(error, "InvalidRequest");
    assert!(cause["message"].as_str().unwrap().contains("copy.max_folders = 5"), "{cause}");
    let there = house.tree(TO, "/").await;
    assert!(!there.iter().any(|(path, ..)| path.starts_with("one") || path.starts_with("two")), "{there:?}");
    // And while it is read, where it is too large by itself.
    house.settings.copy.max_folders = 4;
    let _smaller = house.instance();
    drop(instance);
    house.ask(&["/big/"], "/other/", "again").await;
    let (error, cause) = house.failure("again", Duration::from_mins(2)).await;
    assert_eq!(
        (error.as_str(), &cause["files"][0]["what"]),
        ("InvalidRequest", &json!("icav2://lab/big/")),
        "{cause}"
    );
}
