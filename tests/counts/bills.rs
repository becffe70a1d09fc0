//! The work whose price `docs/cost.md` tells: what AWS is used for, counted for each request.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use copy_manager::{
    inventory::{jobs::JobsFile, lims::Lims, tables::Place},
    share::{Backend as _, Wanted},
    transfer::reports::InBucket,
};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    Counts, asking,
    house::House,
    meter::{EVENTS, Meter, logs},
    packages, worlds,
};

const PATIENCE: Duration = Duration::from_hours(3);

/// Where it is kept.
pub(crate) const BASELINE: &str = "tests/counts/bills.json";

/// How all that is counted here is named.
pub(crate) fn named(what: &str) -> String {
    format!("bill: {what}")
}

pub(crate) const TREE: &str = "a tree of 200 files in 12 folders";
pub(crate) const FOLDERS: &str = "20 folders of 50 files";
pub(crate) const STREAMS: &str = "10 folders of 10 files in one part";
pub(crate) const MANIFEST: &str = "a manifest of 1,000 files to 10 folders";
pub(crate) const SMALL: &str = "a list of 1,000 small objects";
pub(crate) const LARGE: &str = "a list of 10 objects in 8 parts";
pub(crate) const PACKAGE: &str = "a package of 1,000 files";
pub(crate) const PUSH: &str = "a push of 1,000 files";
pub(crate) const AUTO: &str = "a run of 1,000 files that is shared by itself";
pub(crate) const REPLICA: &str = "a run over 100 tables";
pub(crate) const WAITING: &str = "a request that waits for a minute";
pub(crate) const IDLE: &str = "an instance without work, for an hour";

/// Everything, for each request.
#[tokio::main(flavor = "current_thread", start_paused = true)]
#[expect(clippy::print_stdout, reason = "figures are to be seen")]
pub(crate) async fn count() -> Counts {
    let mut counts = Counts::new();
    let mut add = |what: &str, figures: BTreeMap<String, f64>| {
        println!("{what}: {figures:.2?}");
        counts.insert(named(what), figures);
    };
    add(TREE, copy(&worlds::run_a(), &["/run/Logs/archive/"]).await);
    add(FOLDERS, copy(&worlds::folders(20, 50, 2), &[]).await);
    add(STREAMS, copy(&worlds::folders(10, 10, 1), &[]).await);
    add(MANIFEST, manifest().await);
    add(SMALL, list(1000, 10, 1).await);
    add(LARGE, list(10, 40 << 20, 8).await);
    let (package, push) = Box::pin(shared()).await;
    add(PACKAGE, package);
    add(PUSH, push);
    add(AUTO, Box::pin(auto()).await);
    #[cfg(feature = "canvas")]
    add(REPLICA, crate::replica::run().await);
    add(WAITING, waiting(100).await);
    add(IDLE, idle().await);
    counts
}

/// A house whose instances are looked at by a meter, and hear of jobs.
pub(crate) async fn metered(mut house: House) -> (House, Arc<Meter>) {
    let meter = Arc::new(Meter::default());
    let between = meter.clone();
    house.between = Arc::new(move |ports| between.between(ports));
    house.hear_of_jobs().await;
    (house, meter)
}

/// The figures of one request that came by an event, which its caller put.
pub(crate) fn by_event(mut figures: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    *figures.entry(EVENTS.to_owned()).or_default() += 1.0;
    figures
}

async fn copy(files: &[worlds::File], empty: &[&str]) -> BTreeMap<String, f64> {
    let borrowed: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let house =
        House::new(&borrowed, empty, &[], |platform| platform.job_duration = Duration::from_secs(10)).await;
    let (house, meter) = metered(house).await;
    let _logged = logs(&meter);
    let instance = house.instance();
    house.ask(&["/run/"], "/in/", "t").await;
    house.success("t", PATIENCE).await;
    sleep(Duration::from_mins(1)).await;
    drop(instance);
    by_event(meter.figures(&house, &[], 1))
}

async fn manifest() -> BTreeMap<String, f64> {
    let files = worlds::folders(10, 100, 2);
    let borrowed: Vec<_> = files.iter().map(|(path, size, parts)| (path.as_str(), *size, *parts)).collect();
    let house =
        House::new(&borrowed, &[], &[], |platform| platform.job_duration = Duration::from_secs(10)).await;
    let (house, meter) = metered(house).await;
    let _logged = logs(&meter);
    let instance = house.instance();
    let to = |path: &str| {
        let folder = path.split('/').nth(2).unwrap();
        json!([format!("icav2://archive/in/{folder}/")])
    };
    let all: serde_json::Map<String, Value> =
        files.iter().map(|(path, ..)| (format!("icav2://lab{path}"), to(path))).collect();
    let detail = json!({ "payload": { "manifest": all }, "taskToken": "t" });
    let event = json!({ "detail-type": "ICAv2CopyBatchSync", "source": "lab", "id": "t", "detail": detail });
    house.queue.push(event.to_string()).await.unwrap();
    house.success("t", PATIENCE).await;
    sleep(Duration::from_mins(1)).await;
    drop(instance);
    by_event(meter.figures(&house, &[], 1))
}

async fn list(objects: usize, size: u64, parts: u32) -> BTreeMap<String, f64> {
    let series = json!([{ "key": "many/{n}", "size": size, "parts": parts, "count": objects }]);
    let buckets = json!([{ "name": "src", "objects": series }, { "name": "dest" }]);
    let (house, meter) = metered(House::beside(&[], &[], &[], buckets, |_| {}).await).await;
    let _logged = logs(&meter);
    let list = (0..objects).fold(String::new(), |list, n| list + &format!("src,many/{n:06}\n"));
    let instance = house.instance();
    asking::ask(&house, "t", "list.csv", &list, json!({ "destinationPrefixKey": "in/" })).await;
    house.success("t", PATIENCE).await;
    sleep(Duration::from_mins(1)).await;
    drop(instance);
    by_event(meter.figures(&house, &["src", "dest", "requests"], 1))
}

/// The buckets of a house that shares.
const SHARING: [&str; 3] = ["primary", "dest", "requests"];

/// A house that shares 1,000 files, where whatever belongs to packages is kept in a bucket.
async fn sharing() -> (House, Arc<Meter>) {
    let folder = tempfile::tempdir().unwrap();
    let mut house = packages::house(1000, &folder).await;
    let objects = house.objects.clone();
    let sharing = house.sharing.as_mut().unwrap();
    sharing.artifacts = Arc::new(InBucket::below(objects.clone(), "s3://requests/share/").unwrap());
    let at = Place::of("s3://requests/lims.csv");
    sharing.metadata = Arc::new(Lims::new(objects.clone(), Some(at)));
    sharing.jobs = Some(Arc::new(JobsFile::new(objects, Place::of("s3://requests/jobs.json"))));
    "s3://requests/jobs.json".clone_into(&mut house.share.auto_jobs);
    let lims = format!("library_id,sequencing_run_id,project_id\nL1,{},P\n", packages::RUN);
    house.put_object("requests", "lims.csv", lims.into_bytes()).await;
    let jobs = json!([{ "jobName": "weekly", "enabled": true, "projectIdList": ["P"], "dataTypeList": ["fastq"],
        "shareDestination": "s3://dest/in/" }]);
    house.put_object("requests", "jobs.json", jobs.to_string().into_bytes()).await;
    metered(house).await
}

/// A package and a push of it, each asked for over HTTP.
async fn shared() -> (BTreeMap<String, f64>, BTreeMap<String, f64>) {
    let (house, meter) = sharing().await;
    let _logged = logs(&meter);
    let instance = house.instance();
    let desk = packages::desk(&house, &instance);
    let package = packages::packaged(&desk, 1000).await;
    sleep(Duration::from_mins(1)).await;
    let made = meter.figures(&house, &SHARING, 1);
    meter.clear();
    packages::pushed(&desk, &package, 1000).await;
    sleep(Duration::from_mins(1)).await;
    drop(instance);
    let mut sent = meter.figures(&house, &SHARING, 1);
    // The platform counts its calls from the beginning.
    for class in [crate::meter::S3_READS, crate::meter::S3_WRITES] {
        *sent.get_mut(class).unwrap() -= made[class];
    }
    (made, sent)
}

/// A sequencing run that is ready: a package and its push, without anybody asking.
async fn auto() -> BTreeMap<String, f64> {
    let (house, meter) = sharing().await;
    let _logged = logs(&meter);
    let instance = house.instance();
    let desk = packages::desk(&house, &instance);
    let event = json!({ "id": "e", "detail-type": "ReadSetsAdded", "source": "orcabus.fastqglue",
        "detail": { "instrumentRunId": packages::RUN } });
    house.queue.push(event.to_string()).await.unwrap();
    sleep(Duration::from_mins(10)).await;
    let figures = by_event(meter.figures(&house, &SHARING, 1));
    let all = Wanted { rows_per_page: 100, page: 1, ..Wanted::default() };
    let (_, pushes) = desk.pushes(&all).await.unwrap();
    let files: Vec<_> =
        pushes.iter().map(|push| push.receipt.as_ref().map(|receipt| receipt.files)).collect();
    assert_eq!(files, [Some(1000)]);
    drop(instance);
    figures
}

/// Requests that wait for their jobs, each for a minute.
async fn waiting(requests: usize) -> BTreeMap<String, f64> {
    const MINUTES: usize = 10;
    let files: Vec<_> = (0..requests).map(|n| (format!("/run/{n:05}.bam"), 300, 2)).collect();
    let house = worlds::all_waiting(&files).await;
    let (house, meter) = metered(house).await;
    let _logged = logs(&meter);
    let instance = house.instance();
    worlds::submitted(&house, &files).await;
    meter.clear();
    sleep(Duration::from_mins(MINUTES as u64)).await;
    drop(instance);
    meter.figures(&house, &[], requests * MINUTES)
}

/// An instance that has nothing to do.
async fn idle() -> BTreeMap<String, f64> {
    let (house, meter) = metered(House::new(&[], &[], &[], |_| {}).await).await;
    let _logged = logs(&meter);
    let instance = house.instance();
    let mut fleet = JoinSet::new();
    fleet.spawn(instance.engine.clone().share_with_fleet(CancellationToken::new()));
    sleep(Duration::from_mins(10)).await;
    meter.clear();
    sleep(Duration::from_hours(1)).await;
    drop((instance, fleet));
    meter.figures(&house, &[], 1)
}
