//! The work that is counted.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use copy_manager::domain::route::{Folders, SinglePart};
use serde_json::json;
use stats_alloc::Region;

use crate::{ALLOCATOR, Counts, asking, house::House};

/// A file of a simulated project: path, size, parts.
pub(crate) type File = (String, u64, u32);

/// How long a request may take.
const PATIENCE: Duration = Duration::from_hours(1);

/// Copy jobs that seldom all go well.
const FAILING: f64 = 0.2;

/// Everything that is counted.
#[tokio::main(flavor = "current_thread", start_paused = true)]
pub(crate) async fn count() -> Counts {
    let mut counts = Counts::new();
    let mut add = |what: &str, figures| {
        counts.insert(what.to_owned(), figures);
    };
    add("20 folders of 50 files by job", copy(&folders(20, 50, 2), &[], |_| {}).await);
    add("20 folders of 50 files, a fifth of the jobs failing", copy(&folders(20, 50, 2), &[], failing).await);
    add("(a): 200 files in 12 folders", copy(&run_a(), &["/run/Logs/archive/"], |_| {}).await);
    add("(a), a fifth of the jobs failing", copy(&run_a(), &["/run/Logs/archive/"], failing).await);
    add("(a), folders whole", copy(&run_a(), &["/run/Logs/archive/"], whole).await);
    add("(b): 1,000 files in one folder", copy(&run_b(), &[], |_| {}).await);
    add("(b), folders whole", copy(&run_b(), &[], whole).await);
    add("a list of 1,000 objects", list(1000).await);
    add("1,000 requests that wait for ten minutes", waiting(1000).await);
    counts
}

fn failing(house: &mut House) {
    house.faults(json!({"jobFailureRate": FAILING}));
}

fn whole(house: &mut House) {
    house.settings.copy.folders = Folders::Whole;
    house.settings.copy.single_part = SinglePart::Job;
    house.faults(json!({"tagDefect": false}));
}

/// Folders of files; those of several parts go by job.
pub(crate) fn folders(folders: usize, files: usize, parts: u32) -> Vec<File> {
    let path = |folder, file| (format!("/run/{folder:02}/{file:03}.bam"), 300, parts);
    (0..folders).flat_map(|folder| (0..files).map(move |file| path(folder, file))).collect()
}

/// A sequencing run in small: 176 files in parts and 24 in one, in 12 folders.
pub(crate) fn run_a() -> Vec<File> {
    let file = |n: usize| {
        let folder = n % 12;
        if n % 8 == 7 && n < 192 {
            (format!("/run/f{folder:02}/{n:03}.txt"), 100, 1)
        } else {
            (format!("/run/f{folder:02}/{n:03}.bam"), 300, 2)
        }
    };
    (0..200).map(file).collect()
}

/// One folder of many files: 900 in parts and 100 in one.
fn run_b() -> Vec<File> {
    let file = |n: usize| {
        if n % 10 == 9 { (format!("/run/{n:04}.txt"), 100, 1) } else { (format!("/run/{n:04}.bam"), 300, 2) }
    };
    (0..1000).map(file).collect()
}

/// Copies everything in `/run/`, and counts for each file.
async fn copy(files: &[File], empty: &[&str], change: fn(&mut House)) -> BTreeMap<String, f64> {
    let borrowed: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let mut house = House::new(&borrowed, empty, &[], |platform| {
        platform.job_duration = Duration::from_secs(10);
    })
    .await;
    change(&mut house);
    let region = Region::new(ALLOCATOR);
    let instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", PATIENCE).await;
    let allocations = region.change().allocations;
    drop(instance);
    figures(&house, files.len(), "file", allocations)
}

/// Copies the objects of a list, and counts for each.
async fn list(objects: usize) -> BTreeMap<String, f64> {
    let series = json!([{"key": "many/{n}", "size": 10, "count": objects}]);
    let buckets = json!([{"name": "src", "objects": series}, {"name": "dest"}]);
    let house = House::beside(&[], &[], &[], buckets, |_| {}).await;
    let list = (0..objects).fold(String::new(), |list, n| list + &format!("src,many/{n:06}\n"));
    let region = Region::new(ALLOCATOR);
    let instance = house.instance();
    asking::ask(&house, "t", "list.csv", &list, json!({"destinationPrefixKey": "in/"})).await;
    house.success("t", PATIENCE).await;
    let allocations = region.change().allocations;
    drop(instance);
    let mut figures = figures(&house, objects, "object", allocations);
    let calls = |bucket: &str| -> u64 { house.simulator.stats().buckets[bucket].calls.values().sum() };
    figures.insert("S3 calls an object".to_owned(), ratio(calls("src") + calls("dest"), objects));
    figures
}

/// A house where that many requests wait for ten hours.
pub(crate) async fn all_waiting(files: &[File]) -> House {
    let borrowed: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let mut house = House::new(&borrowed, &[], &[], |platform| {
        platform.job_duration = Duration::from_hours(10);
    })
    .await;
    house.icav2.requests_per_second = NonZeroU32::new(1000).unwrap();
    house.settings.jobs.max_running_jobs = 100_000;
    house
}

/// Asks for each of these files, and waits until all of their jobs run, and a minute.
pub(crate) async fn submitted(house: &House, files: &[File]) {
    for (n, (path, ..)) in files.iter().enumerate() {
        house.ask(&[path.as_str()], &format!("/in/{n}/"), &format!("t{n}")).await;
    }
    while house.simulator.jobs().total < files.len() as u64 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
}

/// Has many requests wait for their jobs, and counts for each.
async fn waiting(requests: usize) -> BTreeMap<String, f64> {
    let files: Vec<File> = (0..requests).map(|n| (format!("/run/{n:05}.bam"), 300, 2)).collect();
    let house = all_waiting(&files).await;
    let instance = house.instance();
    submitted(&house, &files).await;
    let calls = house.calls(None);
    house.table_calls.lock().unwrap().clear();
    let region = Region::new(ALLOCATOR);
    tokio::time::sleep(Duration::from_mins(10)).await;
    let allocations = region.change().allocations;
    drop(instance);
    let mut figures = figures(&house, requests, "request", allocations);
    figures.insert("API calls a request".to_owned(), ratio(house.calls(None) - calls, requests));
    figures
}

#[expect(clippy::cast_precision_loss, reason = "counts of thousands")]
pub(crate) fn ratio(count: u64, of: usize) -> f64 {
    count as f64 / of as f64
}

/// What a house has been asked for, for each of `of`.
pub(crate) fn figures(house: &House, of: usize, each: &str, allocations: usize) -> BTreeMap<String, f64> {
    let table = house.table_calls.lock().unwrap();
    let (calls, bytes) = table.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let each = if each == "object" { format!("an {each}") } else { format!("a {each}") };
    BTreeMap::from([
        (format!("API calls {each}"), ratio(house.calls(None), of)),
        (format!("table calls {each}"), ratio(calls, of)),
        (format!("bytes written to the table {each}"), ratio(bytes as u64, of)),
        (format!("allocations {each}, with those of the simulator"), ratio(allocations as u64, of)),
    ])
}
