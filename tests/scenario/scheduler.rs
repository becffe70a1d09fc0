//! Who gets which job when many want one: shared batches, fair slots, the express lane, the pace of
//! calls, and folders of many files.

use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

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
    let files: Vec<File> =
        (0..4000).map(|n| (format!("/run/{:04}/s{n:04}.fastq.gz", n / 2), 1000, 2)).collect();
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
    sleep(Duration::from_secs(10)).await;
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

/// The roots that hold slots, each as often as it holds one.
async fn owners(house: &House) -> Vec<String> {
    let slots = house.slots_item().await;
    let members = |set| slots.as_ref().map(|item| item.members(set)).unwrap_or_default();
    let held = members("running").into_iter().chain(members("express"));
    held.map(|member| member.split_once(':').unwrap().0.to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn slots_are_shared_between_roots_and_all_come_back() {
    let mut files = tree("/many/", 40, 12);
    files.extend(tree("/few/", 10, 12));
    let mut house = house(&files, |_| {}).await;
    house.settings.jobs.max_running_jobs = 4;
    let _one = house.instance();
    let _two = house.instance();
    house.ask(&["/many/"], "/in/", "many").await;
    sleep(Duration::from_secs(40)).await;
    assert!(house.slots().await >= 4, "{:?}", house.slots_item().await);
    let asked = Instant::now();
    house.ask(&["/few/"], "/in/", "few").await;
    // As the others' jobs end, until it has its half, in express slots or in others.
    let of_many: BTreeSet<_> = owners(&house).await.into_iter().collect();
    let mut shares = Vec::new();
    while shares.iter().max() < Some(&2) {
        assert!(asked.elapsed() < WINDOW + JOB + JOB, "{shares:?} {:?}", house.slots_item().await);
        sleep(Duration::from_millis(500)).await;
        shares.push(owners(&house).await.iter().filter(|owner| !of_many.contains(*owner)).count());
    }
    let first = shares.iter().position(|share| *share > 0).unwrap();
    assert!(first < 2 * 35, "the first job of the second root began after {} s", first / 2);
    // Ten folders at two jobs of 30 s at a time, and not after the forty of the other.
    let done = house.answer("few", Duration::from_mins(5)).await;
    assert!(asked.elapsed() < Duration::from_mins(4), "{done:?} after {:?}", asked.elapsed());
    assert!(house.callers.answer("many").is_none());
    house.success("many", Duration::from_mins(30)).await;
    all_slots_come_back(&house).await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_without_coming_back_holds_nobody_up() {
    let house = house(&tree("/run/", 3, 200), |_| {}).await;
    // Of an instance that has died: roots that said they wait, just now and long ago.
    let now = house.now().as_second();
    let dead = (0..50).map(|n| format!("dead{n:08}@{}", now / 30));
    house.say_waiting(&dead.chain(["gone00000000@1".to_owned()]).collect::<Vec<_>>()).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", Duration::from_mins(2)).await;
    let (took, _) = house.callers.answer("t").unwrap();
    assert!(took < WINDOW + JOB + Duration::from_secs(8), "{took:?}");
    let left = house.slots_item().await.map(|item| item.members("waiting")).unwrap_or_default();
    assert!(left.iter().all(|entry| entry.starts_with("dead")), "{left:?}");
    // Later nobody believes them, and the next one drops them.
    sleep(Duration::from_mins(2)).await;
    house.ask(&["/run/00/s00000_R1.fastq.gz"], "/in/", "next").await;
    house.success("next", Duration::from_mins(1)).await;
    assert_eq!(house.slots_item().await.map_or(0, |item| item.members("waiting").len()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_platform_is_found_and_kept() {
    let files = tree("/run/", 500, 1);
    let house = house(&files, |platform| platform.rate_limit = Some(10)).await;
    let _instance = house.instance();
    for (n, (path, ..)) in files.iter().enumerate() {
        house.ask(&[path], &format!("/in/{}/", n % 100), &format!("t{n}")).await;
    }
    let began = Instant::now();
    for n in 0..500 {
        house.success(&format!("t{n}"), Duration::from_mins(20)).await;
    }
    let answers = house.answers.lock().unwrap().clone();
    let calls = |from: u64, to: u64| {
        let span = began + Duration::from_secs(from)..began + Duration::from_secs(to);
        let made: Vec<_> = answers.iter().filter(|(at, _)| span.contains(at)).collect();
        let refused = made.iter().filter(|(_, status)| status.as_u16() == 429).count();
        (made.len(), refused)
    };
    let (made, refused) = calls(10, 3600);
    assert!(refused * 50 < made, "{refused} of {made} calls refused");
    // As long as more has to be looked up than may be.
    let (made, refused) = calls(10, 100);
    assert!(made - refused >= 8 * 90, "{made} calls in 90 s, {refused} refused");
}

#[tokio::test(start_paused = true)]
async fn a_tree_costs_few_calls_for_each_folder_and_thousand_files() {
    let files = tree("/run/", 12, 167);
    let house = house(&files[..2000], |platform| platform.job_failure_rate = 0.0).await;
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", Duration::from_mins(5)).await;
    let calls = house.calls(None);
    assert!(calls <= 8 * 12 + 2 * 2, "{calls} calls: {:?}", house.simulator.stats().calls);
}

#[tokio::test(start_paused = true)]
async fn a_folder_keeps_more_files_in_flight_than_names_would_fit_its_record() {
    let house = house(&tree("/run/", 1, 5000), |_| {}).await;
    let _instance = house.instance();
    house.ask(&["/run/00/"], "/in/", "t").await;
    sleep(WINDOW + Duration::from_secs(5)).await;
    assert_eq!(house.calls(Some(SUBMIT)), 5);
    assert_eq!(house.slots().await, 5);
    let output = house.success("t", Duration::from_mins(2)).await;
    assert_eq!(output["files"]["copied"], 5000);
    assert_eq!(house.tree(TO, "/in/00/").await.len(), 5000);
    all_slots_come_back(&house).await;
}
