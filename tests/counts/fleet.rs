//! Fleets in virtual time: whether twice the instances do twice the work, and what many requests cost.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    Counts,
    house::House,
    worlds::{figures, ratio},
};

/// Instances, and requests, of the largest fleet.
const INSTANCES: usize = 16;
const REQUESTS: usize = 20_000;

/// Folders of one streamed request, and the files of each.
const FOLDERS: usize = 128;
const FILES: usize = 8;

/// How long a call to the queue takes: instances share what is on it.
const RECEIVE: Duration = Duration::from_millis(20);

/// From one request to the next: a request that waits costs something, so a backlog would, too.
const APART: Duration = Duration::from_millis(40);

const PATIENCE: Duration = Duration::from_hours(12);

/// The numbers of requests (`REQUESTS` and parts of it) for which costs are compared.
#[expect(clippy::disallowed_methods, reason = "a measurement may be shrunk")]
pub(crate) fn sizes() -> [usize; 3] {
    let most = std::env::var("REQUESTS").map_or(REQUESTS, |most| most.parse().unwrap());
    [most / 16, most / 4, most]
}

pub(crate) fn named(requests: usize) -> String {
    format!("{INSTANCES} instances, {requests} requests")
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
pub(crate) async fn count() -> Counts {
    let mut counts = Counts::new();
    let mut alone = 0.0;
    for instances in [1, 2, 4] {
        let rate = streamed(instances).await;
        if instances == 1 {
            alone = rate;
        }
        let figures = BTreeMap::from([
            ("files a second".to_owned(), rate),
            ("over one instance".to_owned(), rate / alone),
        ]);
        counts.insert(format!("{instances} instances, streams of a second"), figures);
    }
    for requests in sizes() {
        counts.insert(named(requests), many(requests).await);
    }
    counts
}

/// Files a second, where each takes a second to stream and an instance has sixteen streams.
async fn streamed(instances: usize) -> f64 {
    let path = |n: usize| format!("/run/{:03}/{n:04}.txt", n / FILES);
    let files: Vec<_> = (0..FOLDERS * FILES).map(|n| (path(n), 100, 1)).collect();
    let borrowed: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let mut house = House::new(&borrowed, &[], &[], |_| {}).await;
    house.icav2.requests_per_second = NonZeroU32::new(2000).unwrap();
    house.chunk_takes = Duration::from_secs(1);
    house.receive_takes = RECEIVE;
    let fleet: Vec<_> = (0..instances).map(|_| house.instance()).collect();
    let began = Instant::now();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", PATIENCE).await;
    let rate = ratio(files.len() as u64, 1) / began.elapsed().as_secs_f64();
    drop(fleet);
    rate
}

/// Small requests that come one after another, forty into each folder: what each costs, and how long all take.
async fn many(requests: usize) -> BTreeMap<String, f64> {
    let path = |n: usize| format!("/run/{n:05}.bam");
    let files: Vec<_> = (0..requests).map(|n| (path(n), 300, 2)).collect();
    let borrowed: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let mut house = House::new(&borrowed, &[], &[], |platform| {
        platform.job_duration = Duration::from_secs(10);
        platform.job_failure_rate = 0.05;
    })
    .await;
    house.icav2.requests_per_second = NonZeroU32::new(500).unwrap();
    house.receive_takes = RECEIVE;
    let fleet: Vec<_> = (0..INSTANCES).map(|_| house.instance()).collect();
    let began = Instant::now();
    for n in 0..requests {
        house.ask(&[&path(n)], &format!("/in/{:04}/", n / 40), &format!("t{n}")).await;
        sleep(APART).await;
    }
    for n in 0..requests {
        house.success(&format!("t{n}"), PATIENCE).await;
    }
    let took = began.elapsed().as_secs_f64();
    drop(fleet);
    let mut figures = figures(&house, requests, "request", 0);
    figures.retain(|name, _| !name.starts_with("allocations"));
    figures.insert("seconds until all were answered".to_owned(), took);
    figures.insert("jobs a request".to_owned(), ratio(house.simulator.jobs().total, requests));
    figures
}
