//! Records of released versions, taken in the midst of the work on every kind of request: this version brings all of
//! it to its end.
//!
//! What a version had in its table at a moment lies in `tests/fixtures/records`. A test puts that into the table of a
//! fresh house, beside the world in which it was written, and starts an instance. So this world stays as it is.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use copy_manager::{
    inventory::{jobs::JobsFile, tables::Place},
    ports::store::{Action, FIRST, Item, SCHEMA, Store as _, Write},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    asking::ask,
    doubles::Said,
    house::{House, TO},
    kept,
    sharing::{MINUTE, RUN, beside},
};

/// When the records are taken, from the beginning of the world.
const AT: Duration = Duration::from_mins(10);

const FILES: [(&str, u64, u32); 5] = [
    ("/run/a.bam", 900, 3),
    ("/run/b.bam", 800, 2),
    ("/run/deep/c.txt", 10, 1),
    ("/two/d.bam", 700, 2),
    ("/two/e.txt", 20, 1),
];

/// What is asked for, by token, and whether it ends well.
const ASKED: [(&str, bool); 10] = [
    ("copy", true),
    ("renamed", true),
    ("stopped", false),
    ("batch", true),
    ("to-bucket", true),
    ("list", true),
    ("package", true),
    ("push", true),
    ("push-to-project", true),
    ("auto", true),
];

/// A moment in the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Everything is stored, and nothing was begun.
    Received,
    /// Everything is planned, and cannot go on: no job is taken, no file made in a project, no object copied.
    Running,
    /// Everything has ended, and nobody could be told.
    Ended,
}

impl Moment {
    const ALL: [Self; 3] = [Self::Received, Self::Running, Self::Ended];

    const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }
}

async fn world() -> House {
    let own = ["own/x", "own/y"].map(|key| json!({ "key": key, "size": 50 }));
    let mut house = beside(&FILES, &["/in/run/", "/in/run/deep/", "/out/", "/shared/"], &own).await;
    house.put_object("requests", "list.csv", b"src,own/x\nsrc,own/y\n".to_vec()).await;
    "s3://tables/jobs.json".clone_into(&mut house.share.auto_jobs);
    let jobs = JobsFile::new(house.objects.clone(), Place::of("s3://tables/jobs.json"));
    house.sharing.as_mut().unwrap().jobs = Some(Arc::new(jobs));
    let job = json!([{ "jobName": "weekly", "enabled": true, "projectIdList": ["Trauma"],
        "dataTypeList": ["fastq"], "shareDestination": "s3://dest/weekly/" }]);
    house.put_object("tables", "jobs.json", job.to_string().into_bytes()).await;
    house
}

async fn event(house: &House, token: &str, detail_type: &str, payload: Value) {
    let detail = json!({ "taskToken": token, "requestId": token, "payload": payload });
    let event =
        json!({ "id": format!("e-{token}"), "detail-type": detail_type, "source": "lab", "detail": detail });
    house.queue.push(event.to_string()).await.unwrap();
}

fn package_of(library: &str) -> Value {
    json!({ "packageName": library, "packageRequest": { "libraryIdList": [library], "dataTypeList": ["fastq"] } })
}

/// Asks for one of each kind; `package` is one that is there.
async fn ask_for_all(house: &House, package: &str) {
    house.ask_as(&["/run/"], "/in/", "copy", Some("copy")).await;
    let new_name =
        json!({ "renamingMapList": [{ "sourceUri": "icav2://lab/two/e.txt", "outputFileName": "f.txt" }] });
    house.ask_with(&["/two/e.txt"], "/out/", "renamed", None, new_name).await;
    house.ask(&["/two/d.bam"], "/out/", "stopped").await;
    let manifest =
        json!({ "icav2://lab/run/a.bam": ["icav2://archive/out/one/", "icav2://archive/out/two/"] });
    event(house, "batch", "ICAv2CopyBatchSync", json!({ "manifest": manifest })).await;
    let body = json!({
        "payload": { "sourceUriList": ["icav2://lab/run/", "s3://src/own/"], "destinationUri": "s3://dest/copy/" },
        "taskToken": "to-bucket",
    });
    house.queue.push(body.to_string()).await.unwrap();
    ask(house, "list", "list.csv", "src,own/x\nsrc,own/y\n", json!({ "destinationPrefixKey": "list/" }))
        .await;
    event(house, "package", "DataPackageSync", package_of("L2400002")).await;
    for (token, to) in [("push", "s3://dest/push/"), ("push-to-project", "icav2://archive/shared/")] {
        event(house, token, "DataPushSync", json!({ "packageId": package, "shareDestination": to })).await;
    }
    let ready = json!({ "instrumentRunId": RUN, "taskToken": "auto" });
    let ready = json!({ "id": "e-auto", "detail-type": "ReadSetsAdded", "source": "lab", "detail": ready });
    house.queue.push(ready.to_string()).await.unwrap();
}

/// Lives up to a moment, and takes all records.
async fn taken_at(moment: Moment) -> Vec<Item> {
    let mut house = Box::pin(world()).await;
    let first = house.instance();
    event(&house, "first", "DataPackageSync", package_of("L2400001")).await;
    let package = house.success("first", 5 * MINUTE).await["id"].as_str().unwrap().to_owned();
    sleep(MINUTE).await;
    first.stop().await;
    match moment {
        Moment::Received => house.settings.service.max_active = 0,
        Moment::Running => {
            house.chunk_takes = Duration::from_hours(1);
            let refused = ["dataCopyBatch", "data"].map(|call| {
                let call = format!("POST /api/projects/{{projectId}}/{call}");
                json!({ "call": call, "times": 1_000_000, "status": 503 })
            });
            house.faults(json!({ "responses": refused, "s3": [{ "calls": ["CopyObject"], "status": 503 }] }));
        }
        Moment::Ended => {
            house.buses.refuse.store(true, std::sync::atomic::Ordering::Relaxed);
            house.callers.refused.lock().unwrap().extend(ASKED.map(|(token, _)| token.to_owned()));
        }
    }
    let second = house.instance();
    ask_for_all(&house, &package).await;
    sleep(MINUTE).await;
    let is_stopped = |item: &&Item| item.text("token") == Some("stopped");
    let stopped = all(&house).await.iter().find(is_stopped).unwrap().key.id.clone();
    second.engine.cancel(&stopped, "to see what becomes of it").await.unwrap();
    if moment != Moment::Ended {
        // Nothing is done about it any more by this one.
        drop(second);
    }
    let passed = house.callers.start.elapsed();
    sleep(AT.checked_sub(passed).unwrap()).await;
    all(&house).await
}

/// Every record that an instance has written and that is there.
pub(crate) async fn all(house: &House) -> Vec<Item> {
    let keys: Vec<_> = house.written.lock().unwrap().iter().cloned().collect();
    let mut items = house.store().get_many(&keys).await.unwrap();
    items.sort_by(|one, other| one.key.cmp(&other.key));
    items
}

/// The records as they were before each said its schema.
pub(crate) fn unmarked(mut items: Vec<Item>) -> Vec<Item> {
    for item in &mut items {
        if !["REQUEST", "FOLDER", "SCHEDULE"].contains(&item.key.id_type.as_str()) {
            item.attributes.remove(SCHEMA);
        }
    }
    items
}

/// Puts records into the table as they are.
pub(crate) async fn put_all(house: &House, items: Vec<Item>) {
    for Item { key, attributes } in items {
        let put = Write { key, action: Action::Put(attributes), conditions: Vec::new() };
        house.store().write(put).await.unwrap();
    }
}

/// Goes on with records where they were left, until all has ended.
async fn is_brought_to_its_end(items: Vec<Item>, moment: Moment) {
    let house = Box::pin(world()).await;
    sleep(AT).await;
    let waits: BTreeSet<String> =
        items.iter().filter_map(|item| item.text("token")).map(str::to_owned).collect();
    assert!(waits.len() >= ASKED.len() - 2, "{moment:?}: who makes packages has them soon; {waits:?} wait");
    put_all(&house, items).await;
    let _instance = house.instance();
    for (token, ends_well) in ASKED.into_iter().filter(|(token, _)| waits.contains(*token)) {
        let said = house.answer(token, 30 * MINUTE).await.1;
        match said {
            // What had ended could not be stopped.
            Said::Success(_) => assert!(ends_well || moment == Moment::Ended, "{moment:?} {token}"),
            Said::Failure(error, cause) => {
                assert!(!ends_well && error == "Cancelled", "{moment:?} {token}: {error} {cause}");
            }
            Said::Beat => unreachable!(),
        }
    }
    if moment != Moment::Ended {
        let tree = house.tree(TO, "/").await;
        let there: BTreeSet<&str> = tree.iter().map(|(path, ..)| path.as_str()).collect();
        for path in [
            "in/run/a.bam",
            "in/run/b.bam",
            "in/run/deep/c.txt",
            "out/f.txt",
            "out/one/a.bam",
            "out/two/a.bam",
        ] {
            assert!(there.contains(path), "{moment:?}: {path} is not in {there:?}");
        }
        let objects = house.simulator.objects("dest", "").await;
        let keys: BTreeSet<_> = objects.into_iter().map(|object| object.key).collect();
        // What is streamed to a bucket had arrived when the records of work under way were taken, and is not in this world.
        let streamed = (moment == Moment::Received).then_some("copy/run/a.bam");
        for key in ["copy/own/x", "list/x", "list/y"].into_iter().chain(streamed) {
            assert!(keys.contains(key), "{moment:?}: {key} is not in {keys:?}");
        }
        assert!(keys.iter().any(|key| key.starts_with("push/") && key.ends_with(".fastq.gz")), "{keys:?}");
        assert!(
            there.iter().any(|path| path.starts_with("shared/") && path.ends_with(".fastq.gz")),
            "{there:?}"
        );
    }
    sleep(20 * MINUTE).await;
    assert_eq!(house.unsettled().await, [], "{moment:?}");
}

#[tokio::test(start_paused = true)]
async fn of_every_released_version_is_brought_to_its_end() {
    let versions = kept::versions();
    assert!(
        versions.contains(&env!("CARGO_PKG_VERSION").to_owned()),
        "{versions:?}: write those of this version"
    );
    for version in versions {
        for moment in Moment::ALL {
            Box::pin(is_brought_to_its_end(kept::read(&version, moment.name()), moment)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_before_each_said_its_schema_is_brought_to_its_end() {
    for moment in Moment::ALL {
        Box::pin(is_brought_to_its_end(unmarked(kept::read("0.1.0", moment.name())), moment)).await;
    }
}

/// With `UPDATE_DOCS=1` the records of this version are written anew. Else: they are of as many kinds as it writes.
#[tokio::test(start_paused = true)]
async fn writes_what_is_kept_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    for moment in Moment::ALL {
        let items = Box::pin(taken_at(moment)).await;
        let unmarked = items.iter().find(|item| item.number(SCHEMA).is_none_or(|schema| schema < FIRST));
        assert!(unmarked.is_none(), "{unmarked:?} does not say its schema");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            kept::write(version, moment.name(), &items);
        }
        let kinds = |items: &[Item]| -> BTreeSet<(String, String, String)> {
            let text = |item: &Item, name: &str| item.text(name).unwrap_or_default().to_owned();
            let id_type = |item: &Item| item.key.id_type.split('#').next().unwrap().to_owned();
            items.iter().map(|item| (id_type(item), text(item, "kind"), text(item, "phase"))).collect()
        };
        assert_eq!(kinds(&items), kinds(&kept::read(version, moment.name())), "{moment:?}");
    }
}
