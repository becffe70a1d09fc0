//! Packages at their real size: what is held in memory while many files are packaged, pushed and handed out.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use copy_manager::{
    app::Desk,
    domain::{
        ids::RequestId,
        share::{settings::Presign, templates::Template},
    },
    embedded::reports::InFolder,
    events::share::{asked, linked::LinkAsked, shown::JobStatus},
    inventory::{lims::Lims, listing::Listing},
    ports::{Sharing, objects::ObjectStore},
    share::{Backend as _, Led},
};
use futures_util::TryStreamExt as _;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    ALLOCATOR,
    house::{House, Instance},
};

pub(crate) const RUN: &str = "241024_A00130_0336_BHW7MVDSXC";
/// Bytes of each file.
const SIZE: usize = 10;
/// How often it is looked at what is held.
const EVERY: Duration = Duration::from_micros(300);

fn held() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.cast_signed() - stats.bytes_deallocated.cast_signed()
}

/// The most bytes that are held while something is done, beyond those that were before.
#[expect(clippy::disallowed_methods, reason = "memory has no virtual time")]
async fn peak<T>(work: impl Future<Output = T>) -> (usize, T) {
    let (before, is_done) = (held(), Arc::new(AtomicBool::new(false)));
    let until = is_done.clone();
    let watch = thread::spawn(move || {
        let mut most = held();
        while !until.load(Ordering::Relaxed) {
            most = most.max(held());
            thread::sleep(EVERY);
        }
        most
    });
    let done = work.await;
    is_done.store(true, Ordering::Relaxed);
    (usize::try_from(watch.join().unwrap() - before).unwrap_or(0), done)
}

/// A house with so many reads of one library, found where they lie. What belongs to packages is kept in a folder, not
/// in the memory of the simulator.
pub(crate) async fn house(files: usize, folder: &TempDir) -> House {
    let key = format!("{RUN}/Samples/Lane_1/L1_S1_L001_R1_{{n}}.fastq.gz");
    let reads = json!([{ "key": key, "size": SIZE, "count": files }]);
    let buckets = json!([{ "name": "primary", "objects": reads }, { "name": "dest" }]);
    let mut house = House::beside(&[], &[], &[], buckets, |_| {}).await;
    let objects: Arc<dyn ObjectStore> = house.objects.clone();
    let template = Template::parse("s3://primary/{instrument_run_id}/**/{library_id}_*.fastq.{gz,ora}");
    house.sharing = Some(Sharing {
        inventory: Arc::new(Listing::new(objects.clone(), vec![template.unwrap()])),
        metadata: Arc::new(Lims::new(objects, None)),
        copies: None,
        artifacts: Arc::new(InFolder::new(folder.path())),
        jobs: None,
        notices: None,
    });
    house.share.presign = Presign::Links;
    house
}

pub(crate) fn desk(house: &House, instance: &Instance) -> Desk {
    let packages = instance.work.packages.clone();
    let (sharing, settings) = (house.sharing.clone().unwrap(), house.share.clone());
    let url = "https://share.example.org".parse().unwrap();
    Desk::new(instance.engine.clone(), packages, &instance.ports, sharing, settings, url)
}

pub(crate) async fn packaged(desk: &Desk, files: usize) -> RequestId {
    let fields = json!({ "libraryIdList": ["L1"], "instrumentRunIdList": [RUN], "dataTypeList": ["fastq"] });
    let body = json!({ "packageName": "many", "packageRequest": fields });
    let (name, request) = asked::package(&body, false).unwrap();
    let id = RequestId::new(desk.make("ann", name, request).await.unwrap().id);
    loop {
        let shown = desk.package(&id).await.unwrap();
        if shown.status.has_ended() {
            assert_eq!((shown.status, shown.error_message), (JobStatus::Succeeded, None));
            assert_eq!(
                shown.files.map(|all| (all.total, all.bytes)),
                Some((files as u64, (files * SIZE) as u64))
            );
            return id;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

pub(crate) async fn pushed(desk: &Desk, package: &RequestId, files: usize) {
    let asked = asked::push(&json!({ "shareDestination": "s3://dest/in/" })).unwrap();
    let push = RequestId::new(desk.push("ann", package, asked).await.unwrap().id);
    loop {
        let shown = desk.pushed(&push).await.unwrap();
        if shown.status.has_ended() {
            assert_eq!((shown.status, shown.error_messages), (JobStatus::Succeeded, None));
            assert_eq!(shown.receipt.map(|receipt| receipt.files), Some(files as u64));
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// The files that the script of a package fetches.
async fn handed_out(desk: &Desk, package: &RequestId) -> usize {
    let asked = LinkAsked { label: "them".to_owned(), until: None };
    let link = desk.make_link("ann", package, asked).await.unwrap();
    let Led::Here(mut script) = desk.follow(link.url.rsplit_once("/d/").unwrap().1, None, 0).await.unwrap()
    else {
        panic!("a script is read here");
    };
    let (mut rest, mut files) = (String::new(), 0);
    while let Some(piece) = script.bytes.try_next().await.unwrap() {
        rest.push_str(&String::from_utf8_lossy(&piece));
        let whole = rest.rfind('\n').map_or(0, |end| end + 1);
        files += rest.get(..whole).unwrap().lines().filter(|line| line.starts_with("f 10 ")).count();
        rest.drain(..whole);
    }
    files
}

/// Bytes that are held at most while so many files are packaged, and, where that is asked for, pushed and handed out.
#[tokio::main(flavor = "current_thread", start_paused = true)]
pub(crate) async fn memory(files: usize, goes_on: bool) -> Vec<(&'static str, usize)> {
    let folder = tempfile::tempdir().unwrap();
    let house = house(files, &folder).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    sleep(Duration::from_mins(1)).await;
    let (packaging, package) = peak(packaged(&desk, files)).await;
    let mut peaks = vec![("packaging", packaging)];
    if goes_on {
        peaks.push(("pushing", peak(pushed(&desk, &package, files)).await.0));
        let there = house.simulator.objects("dest", "in/fastq/").await.len();
        assert_eq!(there, files);
        let (handing, rows) = peak(handed_out(&desk, &package)).await;
        assert_eq!(rows, files);
        peaks.push(("handing out", handing));
    }
    peaks
}
