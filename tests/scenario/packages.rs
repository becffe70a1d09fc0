//! What packages hold: what is new since another one, files of several libraries, and reads that come out of an
//! archive.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use copy_manager::{
    app::Desk,
    domain::{
        ids::RequestId,
        share::files::{DataType, PackagedFile},
    },
    engine::Order,
    events::share::{
        asked,
        shown::{FilesShown, JobStatus, PackageShown},
    },
    inventory::{
        lims::Lims,
        tables::{Catalogue, Place},
    },
    ports::{
        Sharing,
        objects::ObjectStore,
        store::{Key, Store as _, Write},
    },
    share::{Backend as _, Refusal},
    transfer::reports::InBucket,
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    asking::calls,
    house::{House, Instance},
    sharing::{desk, ended, made, paths, push_ended, pushed, request},
};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const RUN: &str = "241024_A00130_0336_BHW7MVDSXC";
const PORTAL: &str = "20241025aaaa0001";

/// A house whose bucket holds these objects, and whose catalogue has nothing in it yet.
async fn house(objects: Value) -> House {
    let buckets = json!([{ "name": "src", "objects": objects }, { "name": "dest" }, { "name": "tables" }]);
    let mut house = House::beside(&[], &[], &[], buckets, |_| {}).await;
    let lims = "library_id,project_id\nL1,Trauma\nL2,Trauma\nL3,Grief\n";
    house.put_object("tables", "lims.csv", lims.as_bytes().to_vec()).await;
    let objects: Arc<dyn ObjectStore> = house.objects.clone();
    house.sharing = Some(Sharing {
        inventory: Arc::new(Catalogue::new(objects.clone(), [Place::of("s3://tables/catalogue.csv")])),
        metadata: Arc::new(Lims::new(objects.clone(), Some(Place::of("s3://tables/lims.csv")))),
        copies: None,
        artifacts: Arc::new(InBucket::below(objects, "s3://tables/share/").unwrap()),
        jobs: None,
        notices: None,
    });
    house.share.public_url = Some("https://share.example.org".parse().unwrap());
    house
}

/// Says which files there are: reads (`L1/a`) and files of an analysis of some libraries (`L1__L2:b`).
async fn know(house: &House, files: &[&str]) {
    let mut rows = "uri,library_id,instrument_run_id,lane,portal_run_id,workflow_name\n".to_owned();
    for file in files {
        if let Some((libraries, name)) = file.split_once(':') {
            writeln!(rows, "s3://src/wgs/{PORTAL}/{name},{libraries},,,{PORTAL},cttsov2").unwrap();
        } else {
            let library = file.split('/').next().unwrap();
            writeln!(rows, "s3://src/{file},{library},{RUN},1,,").unwrap();
        }
    }
    house.put_object("tables", "catalogue.csv", rows.into_bytes()).await;
}

async fn write(house: &House, key: &str, content: &str) {
    house.put_object("src", key, content.as_bytes().to_vec()).await;
}

/// The reads of some libraries.
fn reads(libraries: &[&str], since: Option<&PackageShown>) -> Value {
    let since = since.map(|package| package.id.as_str());
    json!({ "libraryIdList": libraries, "dataTypeList": ["fastq"], "sincePackageId": since })
}

fn place(read: &str) -> String {
    let library = read.split('/').next().unwrap();
    format!("fastq/{RUN}/Lane_1/{library}/{}", read.rsplit('/').next().unwrap())
}

fn places(reads: &[&str]) -> BTreeSet<String> {
    reads.iter().map(|read| place(read)).collect()
}

async fn paper(house: &House, package: &PackageShown, name: &str) -> String {
    let day = package.request_time.strftime("year=%Y/month=%m/day=%d");
    house.object("tables", &format!("share/packages/{day}/{}/final/{name}", package.id)).await
}

/// What the report tells of the package that it is compared with.
async fn previous(house: &House, package: &PackageShown) -> Value {
    let report: Value = serde_json::from_str(&paper(house, package, "report.json").await).unwrap();
    report["summary"]["previous"].clone()
}

/// The marks of the files of a package, in their order.
async fn marks(house: &House, package: &PackageShown) -> Vec<String> {
    let report: Value = serde_json::from_str(&paper(house, package, "report.json").await).unwrap();
    let mark = |file: &Value| file["change"].as_str().unwrap_or_default().to_owned();
    report["files"].as_array().unwrap().iter().map(mark).collect()
}

async fn files(desk: &Desk, package: &PackageShown) -> Vec<PackagedFile> {
    desk.files(&RequestId::new(package.id.as_str()), 0, 10_000).await.unwrap().1
}

/// The package is whole.
async fn whole(desk: &Desk, fields: Value) -> PackageShown {
    let package = made(desk, fields).await;
    assert_eq!((package.status, package.error_message.as_deref()), (JobStatus::Succeeded, None));
    package
}

#[tokio::test(start_paused = true)]
async fn a_second_package_holds_what_is_new_and_says_what_is_changed_and_gone() {
    let house = house(json!([])).await;
    for (key, content) in [("L1/a", "a"), ("L1/b", "b"), ("L2/c", "c"), ("L2/d", "d")] {
        write(&house, key, content).await;
    }
    know(&house, &["L1/a", "L1/b", "L2/c", "L2/d"]).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let first = whole(&desk, reads(&["L1", "L2"], None)).await;
    assert_eq!(previous(&house, &first).await, Value::Null);

    // A top-up, an object that was written again, and one that nobody knows any more.
    write(&house, "L1/e", "e").await;
    write(&house, "L1/b", "other").await;
    know(&house, &["L1/a", "L1/b", "L1/e", "L2/c"]).await;
    let second = whole(&desk, reads(&["L1", "L2"], Some(&first))).await;
    assert_eq!(paths(&desk, &second).await, places(&["L1/b", "L1/e"]));
    assert_eq!(marks(&house, &second).await, ["changed", "new"]);
    let expected = json!({ "id": first.id, "new": 1, "changed": 1, "gone": 1, "gonePaths": [place("L2/d")],
        "leftOut": 2 });
    assert_eq!(previous(&house, &second).await, expected);
    let page = paper(&house, &second, "SummaryReport.my-package.html").await;
    let said = format!("Only what is new since <code>{}</code> is in this package: ", first.id);
    assert!(page.contains(&said) && page.contains("1 new, 1 changed, 1 gone"), "{page}");
    assert!(page.contains(&format!("<li>{}</li>", place("L2/d"))), "{page}");

    // A push brings that, and nothing else.
    assert_eq!(pushed(&desk, &second.id, "s3://dest/in/").await.status, JobStatus::Succeeded);
    let there = house.simulator.objects("dest", "in/fastq/").await;
    assert_eq!(there.len(), 2, "{there:?}");
}

#[tokio::test(start_paused = true)]
async fn a_third_package_leaves_out_what_the_two_before_it_held() {
    let house = house(json!([])).await;
    for key in ["L1/a", "L1/b", "L2/c"] {
        write(&house, key, key).await;
    }
    know(&house, &["L1/a", "L1/b", "L2/c"]).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let first = whole(&desk, reads(&["L1", "L2"], None)).await;
    write(&house, "L1/b", "other").await;
    write(&house, "L1/d", "d").await;
    know(&house, &["L1/a", "L1/b", "L1/d", "L2/c"]).await;
    let second = whole(&desk, reads(&["L1"], Some(&first))).await;
    assert_eq!(paths(&desk, &second).await, places(&["L1/b", "L1/d"]));
    // The second one did not ask for L2, which the first one held. What it held last counts: L1/b is as the first
    // one had it, and not as whoever has both has it.
    write(&house, "L1/b", "L1/b").await;
    write(&house, "L2/e", "e").await;
    know(&house, &["L1/a", "L1/b", "L1/d", "L2/c", "L2/e"]).await;
    let third = whole(&desk, reads(&["L1", "L2"], Some(&second))).await;
    assert_eq!(paths(&desk, &third).await, places(&["L1/b", "L2/e"]));
    assert_eq!(marks(&house, &third).await, ["changed", "new"]);
    let nothing = whole(&desk, reads(&["L1", "L2"], Some(&third))).await;
    assert_eq!(nothing.files, Some(FilesShown::default()));
    assert_eq!(previous(&house, &nothing).await["leftOut"], 5);
}

/// Has a package be kept no longer.
async fn forget(house: &House, package: &PackageShown) {
    house.store().write(Write::delete(Key::new(package.id.as_str(), "OUTCOME"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_package_left_out_is_not_forgotten_with_the_one_before_it() {
    let house = house(json!([])).await;
    for key in ["L1/a", "L1/b", "L1/c"] {
        write(&house, key, key).await;
    }
    know(&house, &["L1/a"]).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let first = whole(&desk, reads(&["L1"], None)).await;
    know(&house, &["L1/a", "L1/b"]).await;
    let second = whole(&desk, reads(&["L1"], Some(&first))).await;
    forget(&house, &first).await;
    know(&house, &["L1/a", "L1/b", "L1/c"]).await;
    let third = whole(&desk, reads(&["L1"], Some(&second))).await;
    assert_eq!(paths(&desk, &third).await, places(&["L1/c"]));
}

#[tokio::test(start_paused = true)]
async fn a_package_is_only_made_since_one_that_is_there() {
    let house = house(json!([])).await;
    write(&house, "L1/a", "a").await;
    know(&house, &["L1/a"]).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let since = async |id: &str| {
        let fields = json!({ "libraryIdList": ["L1"], "dataTypeList": ["fastq"], "sincePackageId": id });
        desk.make("ann", "my-package".into(), request(&fields)).await.unwrap_err()
    };
    let wrong = Refusal::Bad("psh.1 is not the id of a package".into());
    assert_eq!(since("psh.1").await, wrong);
    let unknown = "pkg.01JDXK3V7Q2M8N4P5R6S7T8V9W";
    assert_eq!(since(unknown).await, Refusal::NotFound(format!("{unknown} is not known")));
    let failed = made(&desk, reads(&["L9"], None)).await;
    assert_eq!(failed.status, JobStatus::Failed);
    assert_eq!(since(&failed.id).await, Refusal::Conflict(format!("{} has not succeeded", failed.id)));
    let first = whole(&desk, reads(&["L1"], None)).await;
    let bare = first.id.strip_prefix("pkg.").unwrap();
    let fields = json!({ "libraryIdList": ["L1"], "dataTypeList": ["fastq"], "sincePackageId": bare });
    assert_eq!(whole(&desk, fields).await.files, Some(FilesShown::default()));
    forget(&house, &first).await;
    let lost = format!("the files of {} are not kept any more", first.id);
    assert_eq!(since(&first.id).await, Refusal::Conflict(lost));
}

/// Asks for a package as other parts of the service do, past the desk.
async fn ordered(instance: &Instance, id: &str, fields: &Value) {
    let payload = json!({ "name": "my-package", "request": request(fields) });
    let order = Order {
        kind: "package",
        id: RequestId::new(id),
        destination: "package my-package".into(),
        payload,
        source: "orcabus.datasharing".into(),
        token: None,
        also: Vec::new(),
    };
    instance.engine.submit(&order).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_order_since_a_package_that_is_not_there_fails_and_names_it() {
    let house = house(json!([])).await;
    know(&house, &[]).await;
    let instance = house.instance();
    let (id, lost) = ("pkg.01JDXK3V7Q2M8N4P5R6S7T8V9X", "pkg.01JDXK3V7Q2M8N4P5R6S7T8V9W");
    let fields = json!({ "instrumentRunIdList": [RUN], "dataTypeList": ["fastq"], "sincePackageId": lost });
    ordered(&instance, id, &fields).await;
    let started = Instant::now();
    let failure = loop {
        let view = instance.engine.view(id).await.unwrap().unwrap();
        if let Some(outcome) = view.outcome {
            break outcome.failure.unwrap();
        }
        assert!(started.elapsed() < MINUTE);
        sleep(Duration::from_millis(100)).await;
    };
    let why = format!("a package cannot be made since {lost}: it is not there");
    assert!(failure.message.starts_with(&why), "{failure:?}");
    assert_eq!(failure.culprits[0].what, lost);
}

#[tokio::test(start_paused = true)]
async fn a_package_is_compared_with_the_last_one_of_its_name() {
    let house = house(json!([])).await;
    for key in ["L1/a", "L1/b", "L1/c"] {
        write(&house, key, key).await;
    }
    know(&house, &["L1/a", "L1/b"]).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let first = whole(&desk, reads(&["L1"], None)).await;
    // Neither one of another name nor one that has failed is the last one.
    let other = desk.make("ann", "other".into(), request(&reads(&["L1"], None))).await.unwrap();
    assert_eq!(ended(&desk, &other.id).await.status, JobStatus::Succeeded);
    sleep(MINUTE).await;
    assert_eq!(made(&desk, reads(&["L9"], None)).await.status, JobStatus::Failed);
    sleep(MINUTE).await;
    write(&house, "L1/b", "other").await;
    know(&house, &["L1/b", "L1/c"]).await;
    let second = whole(&desk, reads(&["L1"], None)).await;
    assert_eq!(paths(&desk, &second).await, places(&["L1/b", "L1/c"]), "nothing is left out");
    assert_eq!(marks(&house, &second).await, ["changed", "new"]);
    let expected = json!({ "id": first.id, "new": 1, "changed": 1, "gone": 1, "gonePaths": [place("L1/a")] });
    assert_eq!(previous(&house, &second).await, expected);
    let page = paper(&house, &second, "SummaryReport.my-package.html").await;
    assert!(page.contains(", the last package of this name: "), "{page}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_listed_for_several_libraries_is_of_all_of_them() {
    // More than fit into a chunk, the rows of one library behind those of the other.
    const COUNT: usize = 400;
    let house = house(json!([{ "key": format!("wgs/{PORTAL}/{{n}}"), "size": 9, "count": COUNT }])).await;
    let of = |library| move |n| format!("{library}:{n:06}");
    let rows: Vec<String> = ["L1", "L3"].iter().flat_map(|library| (0..COUNT).map(of(library))).collect();
    know(&house, &rows.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let fields = json!({ "libraryIdList": ["L1", "L3"], "dataTypeList": ["secondaryAnalysis"] });
    let package = whole(&desk, fields).await;
    let all = files(&desk, &package).await;
    assert_eq!(all.len(), COUNT);
    assert!(all.iter().all(|file| file.library_id == "L1__L3"), "{all:?}");
    let report: Value = serde_json::from_str(&paper(&house, &package, "report.json").await).unwrap();
    assert_eq!(report["files"][COUNT - 1]["libraryId"], "L1__L3");
    assert_eq!(paper(&house, &package, "files.csv").await.matches(",L1__L3,").count(), COUNT);
    let page = paper(&house, &package, "SummaryReport.my-package.html").await;
    assert!(page.contains("<td>L1__L3</td>"), "the analysis is of both");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_breaks_off_anywhere_loses_no_library_of_two_copies() {
    // The better copy comes second, chunks behind the first one: its chunk is written, and then that of the other.
    const COUNT: usize = 40;
    // Names so long that a chunk has some dozens of them.
    let name = |n: usize| format!("{n:06}/{}/{}", "x".repeat(350), "y".repeat(350));
    let mut rows = "uri,library_id,portal_run_id,workflow_name\n".to_owned();
    for (place, library) in [("old/", "L1"), ("", "L3")] {
        for n in 0..COUNT {
            writeln!(rows, "s3://src/{place}wgs/{PORTAL}/{},{library},{PORTAL},cttsov2", name(n)).unwrap();
        }
    }
    let (mut n, mut reached) = (0, true);
    while reached {
        for after in [false, true] {
            let house = house(json!([])).await;
            for place in ["old/", ""] {
                for n in 0..COUNT {
                    write(&house, &format!("{place}wgs/{PORTAL}/{}", name(n)), &format!("the same {n}"))
                        .await;
                }
                // The second ones are newer.
                sleep(MINUTE).await;
            }
            house.put_object("tables", "catalogue.csv", rows.clone().into_bytes()).await;
            let instance = house.instance();
            let desk = desk(&house, &instance);
            house.breaks_after.store(after, Relaxed);
            house.breaks_in.store(n, Relaxed);
            let fields = json!({ "libraryIdList": ["L1", "L3"], "dataTypeList": ["secondaryAnalysis"] });
            // Where it is the very call that breaks off, it is made again.
            let asked = desk.make("ann", "my-package".into(), request(&fields)).await;
            let id = match asked {
                Ok(package) => package.id,
                Err(_) => desk.make("ann", "my-package".into(), request(&fields)).await.unwrap().id,
            };
            let package = ends_within(&desk, &RequestId::new(id), HOUR).await;
            reached = house.breaks_in.load(Relaxed) < 0;
            let what = format!("write {n}, after it {after}: {package:?}");
            let all = files(&desk, &package).await;
            assert_eq!(all.len(), COUNT, "{what}");
            for file in &all {
                assert_eq!(file.library_id, "L1__L3", "{what}: {file:?}");
                assert!(file.uri.starts_with("s3://src/wgs/"), "{what}: {file:?}");
            }
        }
        n += 1;
    }
    assert!(n > 10, "{n} writes");
}

#[tokio::test(start_paused = true)]
async fn a_file_goes_nowhere_where_one_of_its_libraries_may_not_go() {
    // Asked for is one library alone; the catalogue tells in another row, before or after, that it is not alone.
    for rows in [["L1:a", "L3:a"], ["L3:a", "L1:a"]] {
        let mut house = house(json!([{ "key": format!("wgs/{PORTAL}/a"), "size": 9 }])).await;
        house.share.rules = serde_json::from_value(json!(["Trauma s3://dest/trauma/*"])).unwrap();
        know(&house, &rows).await;
        let instance = house.instance();
        let desk = desk(&house, &instance);
        let fields = json!({ "libraryIdList": ["L1"], "dataTypeList": ["secondaryAnalysis"] });
        let package = whole(&desk, fields).await;
        let asked = asked::push(&json!({ "shareDestination": "s3://dest/trauma/in/" })).unwrap();
        let refused = desk.push("bob", &RequestId::new(package.id.as_str()), asked).await.unwrap_err();
        let Refusal::Forbidden(why) = refused else { panic!("{refused:?}") };
        assert!(why.contains("L3 is of Grief"), "{why}");
    }
}

/// A house with reads in two archives, and an archived file of an analysis; restores take that long, else as with AWS.
async fn cold_house(delay: Option<&str>) -> House {
    let objects = json!([
        { "key": "L1/cold{n}", "size": 9, "count": 5, "storageClass": "GLACIER" },
        { "key": "L2/deep{n}", "size": 9, "count": 3, "storageClass": "DEEP_ARCHIVE" },
        { "key": "L1/warm", "size": 9 },
        { "key": format!("wgs/{PORTAL}/b"), "size": 9, "storageClass": "GLACIER" },
    ]);
    let mut house = Box::pin(house(objects)).await;
    house.settings.service.tick = Duration::from_secs(30);
    house.settings.service.lease = Duration::from_secs(90);
    if let Some(delay) = delay {
        house.faults(json!({ "restoreDelay": delay }));
    }
    let cold: Vec<String> = (0..5).map(|n| format!("L1/cold{n:06}")).collect();
    let deep: Vec<String> = (0..3).map(|n| format!("L2/deep{n:06}")).collect();
    let rows = cold.iter().chain(&deep).map(String::as_str).chain(["L1/warm", "L1:b"]);
    know(&house, &rows.collect::<Vec<_>>()).await;
    house
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_the_return_of_archived_files_takes() {
    let house = cold_house(Some("2h")).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = whole(&desk, all_of(&["L1", "L2"], false)).await;
    let asked = json!({ "shareDestination": "s3://dest/in/", "dryRun": true });
    let push = desk.push("bob", &RequestId::new(package.id.as_str()), asked::push(&asked).unwrap()).await;
    let said = json!(push_ended(&desk, &push.unwrap().id).await.preview.unwrap());
    assert_eq!((&said["archived"], &said["wouldSucceed"]), (&json!(9), &json!(true)), "{said}");
    let of = |class: &str, files: u64, hours: u64, price: f64| {
        json!({ "storageClass": class, "speed": "Bulk", "files": files, "bytes": files * 9,
            "secondsAtMost": hours * 3600, "price": price })
    };
    let expected = json!([of("GLACIER", 6, 12, 0.0), of("DEEP_ARCHIVE", 3, 48, 0.000_075)]);
    assert_eq!(said["restores"], expected);
    assert_eq!((&said["restoreSeconds"], &said["restorePrice"]), (&json!(48 * 3600), &json!(0.000_075)));
    assert_eq!(calls(&house, "src", "RestoreObject"), 0, "nothing is asked back");
}

#[tokio::test(start_paused = true)]
async fn a_push_restores_as_its_caller_says() {
    let house = cold_house(None).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = whole(&desk, all_of(&["L1", "L2"], false)).await;
    let id = RequestId::new(package.id.as_str());
    let thaw = json!({ "glacierFlexibleRetrievalThawSpeed": "Expedited", "glacierDeepArchiveThawSpeed": "Standard" });
    let asked =
        |dry_run| json!({ "shareDestination": "s3://dest/in/", "dryRun": dry_run, "thawParams": thaw });
    let push = desk.push("bob", &id, asked::push(&asked(true)).unwrap()).await.unwrap();
    let said = json!(push_ended(&desk, &push.id).await.preview.unwrap());
    let speeds: Vec<_> = said["restores"].as_array().unwrap().iter().map(|one| &one["speed"]).collect();
    assert_eq!(speeds, [&json!("Expedited"), &json!("Standard")], "{said}");
    let push = desk.push("bob", &id, asked::push(&asked(false)).unwrap()).await.unwrap();
    // In bulk it would take two days.
    sleep(Duration::from_hours(11)).await;
    let shown = desk.pushed(&RequestId::new(push.id.as_str())).await.unwrap();
    assert!(!shown.status.has_ended(), "{shown:?}");
    sleep(Duration::from_hours(2)).await;
    assert_eq!(json!(push_ended(&desk, &push.id).await.status), "SUCCEEDED");
    // What cannot be is said at once, and into a project nothing is restored so.
    let wrong = json!({ "shareDestination": "s3://dest/in/", "thawParams": { "glacierDeepArchiveThawSpeed": "Expedited" } });
    assert!(
        json!(asked::push(&wrong).unwrap_err())[0]["msg"].as_str().unwrap().contains("`Bulk`, `Standard`")
    );
    let mut elsewhere = asked(false);
    elsewhere["shareDestination"] = "icav2://archive/in/".into();
    let refused = desk.push("bob", &id, asked::push(&elsewhere).unwrap()).await.unwrap_err();
    assert!(format!("{refused:?}").contains("only files on their way to a bucket"), "{refused:?}");
}

/// More files than are planned at a time, all in one folder.
#[tokio::test(start_paused = true)]
async fn a_push_of_many_files_into_a_project_is_planned_piece_by_piece_and_whole() {
    const MANY: usize = 1100;
    let objects = json!([{ "key": "L1/x{n}", "size": 1, "count": MANY }, { "key": "L2/y", "size": 1 }]);
    let house = Box::pin(house(objects)).await;
    let names: Vec<String> = (0..MANY).map(|n| format!("L1/x{n:06}")).chain(["L2/y".to_owned()]).collect();
    know(&house, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = whole(&desk, reads(&["L1", "L2"], None)).await;
    let asked = json!({ "shareDestination": "icav2://archive/in/", "dryRun": true });
    let push = desk.push("bob", &RequestId::new(package.id.as_str()), asked::push(&asked).unwrap()).await;
    let said = push_ended(&desk, &push.unwrap().id).await.preview.unwrap();
    assert_eq!((said.files, said.to_copy, said.would_succeed), (MANY as u64 + 1, MANY as u64 + 1, true));
}

fn all_of(libraries: &[&str], is_restored: bool) -> Value {
    json!({ "libraryIdList": libraries, "dataTypeList": ["fastq", "secondaryAnalysis"],
        "defrostArchivedFastqs": is_restored })
}

async fn asked(desk: &Desk, fields: &Value) -> RequestId {
    let package = desk.make("ann", "my-package".into(), request(fields)).await.unwrap();
    RequestId::new(package.id)
}

async fn ends_within(desk: &Desk, id: &RequestId, within: Duration) -> PackageShown {
    let started = Instant::now();
    loop {
        let shown = desk.package(id).await.unwrap();
        if shown.status.has_ended() {
            return shown;
        }
        assert!(started.elapsed() < within, "{shown:?}");
        sleep(Duration::from_secs(10)).await;
    }
}

async fn until_asked(house: &House, restores: u64) {
    let started = Instant::now();
    while calls(house, "src", "RestoreObject") < restores {
        assert!(started.elapsed() < 5 * MINUTE);
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn archived_reads_are_restored_once_before_a_package_is_ready_whoever_dies() {
    let house = cold_house(Some("2h")).await;
    let mut instance = house.instance();
    let id = asked(&desk(&house, &instance), &all_of(&["L1", "L2"], true)).await;
    until_asked(&house, 8).await;
    // As soon as they are asked for, while they are waited for, and when they come back.
    for wait in [Duration::ZERO, 50 * MINUTE, 69 * MINUTE] {
        sleep(wait).await;
        drop(instance);
        instance = house.instance();
        assert_eq!(desk(&house, &instance).package(&id).await.unwrap().status, JobStatus::Running);
    }
    let desk = desk(&house, &instance);
    let package = ends_within(&desk, &id, 2 * HOUR).await;
    assert_eq!((package.status, package.error_message.as_deref()), (JobStatus::Succeeded, None));
    assert_eq!(calls(&house, "src", "RestoreObject"), 8, "each read once, and nothing else");
    assert_eq!(package.files, Some(FilesShown { total: 10, bytes: 90, archived: 1 }));
    for file in files(&desk, &package).await {
        assert_eq!(file.archived, file.data_type == DataType::SecondaryAnalysis, "{file:?}");
    }
    let page = paper(&house, &package, "SummaryReport.my-package.html").await;
    assert!(page.contains("8 files were restored</strong>"), "{page}");
    assert!(page.contains("restored (DeepArchive)") && page.contains("1 file is archived"), "{page}");
    sleep(10 * MINUTE).await;
    assert_eq!(house.unsettled().await, []);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_restored_for_a_package_that_does_not_ask_for_it() {
    let house = cold_house(Some("2h")).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = whole(&desk, all_of(&["L1", "L2"], false)).await;
    assert_eq!(package.files, Some(FilesShown { total: 10, bytes: 90, archived: 9 }));
    // Nor for one that has none, or that leaves them out.
    let fields = json!({ "libraryIdList": ["L1", "L2"], "dataTypeList": ["fastq"],
        "defrostArchivedFastqs": true, "sincePackageId": package.id });
    assert_eq!(whole(&desk, fields).await.files, Some(FilesShown::default()));
    assert_eq!(calls(&house, "src", "RestoreObject"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_cannot_be_restored_fails_the_package_and_is_named() {
    let house = cold_house(Some("2h")).await;
    let denied =
        json!({ "calls": ["RestoreObject"], "key": "L1/cold000003", "status": 403, "code": "AccessDenied" });
    house.faults(json!({ "restoreDelay": "2h", "s3": [denied] }));
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let id = asked(&desk, &all_of(&["L1"], true)).await;
    let package = ends_within(&desk, &id, 4 * HOUR).await;
    assert_eq!(package.status, JobStatus::Failed);
    let why = package.error_message.unwrap();
    let named = "1 archived reads cannot be restored, the first is s3://src/L1/cold000003: \
        s3://src/L1/cold000003 could not be restored: ";
    assert!(why.starts_with(named) && why.contains("AccessDenied"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_written_again_while_it_is_restored_fails_the_package() {
    let house = cold_house(Some("2h")).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let id = asked(&desk, &all_of(&["L2"], true)).await;
    until_asked(&house, 3).await;
    sleep(MINUTE).await;
    write(&house, "L2/deep000001", "other").await;
    let package = ends_within(&desk, &id, 4 * HOUR).await;
    assert_eq!(package.status, JobStatus::Failed);
    let why = package.error_message.unwrap();
    assert!(why.contains("s3://src/L2/deep000001 has changed since it was packaged"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_package_that_waits_for_restores_can_be_aborted() {
    let house = cold_house(Some("2h")).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let id = asked(&desk, &all_of(&["L1"], true)).await;
    until_asked(&house, 5).await;
    sleep(10 * MINUTE).await;
    desk.abort_package(&id).await.unwrap();
    assert_eq!(ends_within(&desk, &id, 10 * MINUTE).await.status, JobStatus::Aborted);
    sleep(10 * MINUTE).await;
    assert_eq!(house.unsettled().await, []);
}

#[tokio::test(start_paused = true)]
async fn many_archived_reads_are_waited_for_side_by_side() {
    // More chunks than are asked for at a time.
    const COUNT: u64 = 1000;
    let mut house =
        house(json!([{ "key": "L1/{n}", "size": 9, "count": COUNT, "storageClass": "GLACIER" }])).await;
    house.settings.service.tick = Duration::from_secs(30);
    house.settings.service.lease = Duration::from_secs(90);
    house.faults(json!({ "restoreDelay": "2h" }));
    let reads: Vec<String> = (0..COUNT).map(|n| format!("L1/{n:06}")).collect();
    know(&house, &reads.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let instance = house.instance();
    let id = asked(&desk(&house, &instance), &all_of(&["L1"], true)).await;
    until_asked(&house, COUNT / 2).await;
    drop(instance);
    let instance = house.instance();
    let desk = desk(&house, &instance);
    until_asked(&house, COUNT).await;
    let package = ends_within(&desk, &id, 4 * HOUR).await;
    assert_eq!((package.status, package.error_message.as_deref()), (JobStatus::Succeeded, None));
    assert_eq!(package.files, Some(FilesShown { total: COUNT, bytes: 9 * COUNT, archived: 0 }));
    assert_eq!(calls(&house, "src", "RestoreObject"), COUNT);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_breaks_off_anywhere_restores_nothing_twice() {
    let (mut n, mut reached) = (0, true);
    while reached {
        for after in [false, true] {
            let house = cold_house(Some("2h")).await;
            house.faults(json!({ "restoreDelay": "4m" }));
            know(&house, &["L2/deep000000", "L2/deep000001", "L1/warm"]).await;
            let instance = house.instance();
            let desk = desk(&house, &instance);
            let first = whole(&desk, reads(&["L1"], None)).await;
            house.breaks_after.store(after, Relaxed);
            house.breaks_in.store(n + 1, Relaxed);
            let mut fields = reads(&["L1", "L2"], Some(&first));
            fields["defrostArchivedFastqs"] = true.into();
            let id = asked(&desk, &fields).await;
            let package = ends_within(&desk, &id, HOUR).await;
            reached = house.breaks_in.load(Relaxed) < 0;
            let what = format!("write {n}, after it {after}: {package:?}");
            assert_eq!(package.files, Some(FilesShown { total: 2, bytes: 18, archived: 0 }), "{what}");
            assert_eq!(calls(&house, "src", "RestoreObject"), 2, "{what}");
            assert_eq!(previous(&house, &package).await["leftOut"], 1, "{what}");
        }
        n += 1;
    }
    assert!(n > 20, "{n} writes");
}

#[tokio::test(start_paused = true)]
async fn a_report_names_nothing_that_is_gone_of_libraries_that_are_not_in_it() {
    let house = house(
        json!([{ "key": "L1/a", "size": 9 }, { "key": "L1/b", "size": 9 }, { "key": "L3/c", "size": 9 }]),
    )
    .await;
    know(&house, &["L1/a", "L1/b", "L3/c"]).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    whole(&desk, reads(&["L1", "L3"], None)).await;
    know(&house, &["L1/a", "L3/c"]).await;
    let second = whole(&desk, reads(&["L1"], None)).await;
    let previous = previous(&house, &second).await.to_string();
    assert!(previous.contains(&place("L1/b")) && !previous.contains("L3/"), "{previous}");
}
