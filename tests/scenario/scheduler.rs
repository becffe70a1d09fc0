//! Who gets which job when many want one: shared batches, fair slots, the express lane, the pace of
//! calls, and folders of many files.

use std::{num::NonZeroU32, time::Duration};

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::house::{House, TO};

const SUBMIT: &str = "POST /api/projects/{projectId}/dataCopyBatch";
const WINDOW: Duration = Duration::from_secs(2);
const JOB: Duration = Duration::from_secs(30);

/// A file of a simulated project: path, size, parts.
type File = (String, u64, u32);

/// Files of two parts in numbered folders.
fn tree(top: &str, folders: usize, each: usize) -> Vec<File> {
    let folders = (0..folders).flat_map(|folder| (0..each).map(move |file| (folder, file)));
    folders.map(|(folder, file)| (format!("{top}{folder:02}/s{file:05}_R1.fastq.gz"), 1000, 2)).collect()
}

async fn house(files: &[File], change: impl FnOnce(&mut copy_manager::simulator::Settings)) -> House {
    let files: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let mut house = House::new(&files, &[], &[], |platform| {
        platform.job_duration = JOB;
        change(platform);
    })
    .await;
    house.icav2.requests_per_second = NonZeroU32::new(200).unwrap();
    house
}

/// Waits until nothing of the house's business is left.
async fn all_slots_come_back(house: &House) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while house.slots().await > 0 {
        assert!(Instant::now() < deadline, "{:?}", house.slots_item().await);
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_thousand_small_requests_for_twenty_folders_share_forty_jobs() {
    let files: Vec<File> = (0..4000).map(|n| (format!("/run/s{n:04}.fastq.gz"), 1000, 2)).collect();
    let house = house(&files, |_| {}).await;
    let _instance = house.instance();
    for (n, pair) in files.chunks(2).enumerate() {
        let sources: Vec<&str> = pair.iter().map(|(path, ..)| path.as_str()).collect();
        house.ask(&sources, &format!("/in/{}/", n % 20), &format!("t{n}")).await;
    }
    for n in 0..2000 {
        house.success(&format!("t{n}"), Duration::from_mins(10)).await;
    }
    let jobs = house.calls(Some(SUBMIT));
    assert!(jobs <= 40, "{jobs} jobs");
    all_slots_come_back(&house).await;
}

/// Asks for two files after somebody has asked for fifty thousand, and says how long that took.
async fn small_beside_large(folders: usize, small: &[&str], destination: &str) -> Duration {
    let mut files = tree("/big/", folders, 50_000 / folders);
    files.extend(small.iter().map(|path| ((*path).to_owned(), 1000, 2)));
    let house = house(&files, |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/big/"], "/in/", "large").await;
    sleep(Duration::from_secs(45)).await;
    assert!(house.slots().await >= 20, "the large request is under way: {:?}", house.slots_item().await);
    let asked = Instant::now();
    house.ask(small, destination, "small").await;
    house.success("small", Duration::from_mins(5)).await;
    asked.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_small_request_does_not_wait_for_the_slots_of_a_large_one() {
    let took = small_beside_large(50, &["/other/a.bam", "/other/b.bam"], "/in/other/").await;
    assert!(took <= WINDOW + JOB + Duration::from_secs(3), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_small_request_does_not_wait_behind_a_large_one_in_its_folder() {
    let took = small_beside_large(1, &["/other/a.bam", "/other/b.bam"], "/in/big/00/").await;
    assert!(took <= WINDOW + JOB + Duration::from_secs(3), "{took:?}");
}
