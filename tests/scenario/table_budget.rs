//! What a copy costs in calls to the table and to ICAv2.

use std::{num::NonZeroU32, time::Duration};

use crate::house::House;

const FOLDERS: u64 = 20;
const FILES: u64 = 50;

/// Folders of files that go by job.
fn tree() -> Vec<(String, u64, u32)> {
    let path = |folder, file| format!("/run/{folder:02}/{file:03}.bam");
    let paths = (0..FOLDERS).flat_map(|folder| (0..FILES).map(move |file| path(folder, file)));
    paths.map(|path| (path, 300, 2)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_folder_of_one_job_costs_few_calls() {
    let files = tree();
    let files: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let ten = Duration::from_secs(10);
    let mut house = House::new(&files, &[], &[], |platform| platform.job_duration = ten).await;
    house.icav2.requests_per_second = NonZeroU32::new(200).unwrap();
    let _instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    let (took, _) = house.answer("t", Duration::from_mins(5)).await;
    let calls = house.table_calls.lock().unwrap().clone();
    let (all, bytes) = calls.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let platform = house.calls(None);
    let told =
        format!("{took:?}: {all} calls to the table, {bytes} bytes, {platform} calls to ICAv2: {calls:#?}");
    // 61 to the table for each folder before jobs were watched together, 41 before the holder of a folder settled
    // the children that wait for it. Of the bytes, a twentieth are journals.
    assert!(all <= 30 * FOLDERS && bytes <= 17_000 * 20, "{told}");
    assert!(platform <= 6 * FOLDERS + 5, "{told}");
    // The window of a batch, the job, and no more than one poll.
    assert!(took <= Duration::from_secs(2 + 10 + 3), "{told}");
}
