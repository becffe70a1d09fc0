//! Packages and pushes, from what a caller asks for to what arrives.

mod listed;

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc, time::Duration};

use copy_manager::{
    app::Desk,
    domain::{ids::RequestId, share::request::PackageRequest},
    events::share::{
        asked,
        shown::{JobStatus, PackageShown, PushShown},
    },
    inventory::{
        lims::Lims,
        tables::{Catalogue, Place},
    },
    ports::{Sharing, objects::ObjectStore},
    share::{Backend as _, Refusal, Wanted},
    transfer::reports::InBucket,
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::house::{House, Instance, TO};

pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const RUN: &str = "241024_A00130_0336_BHW7MVDSXC";
pub(crate) const TUMOUR: &str = "20241025aaaa0001";
const OLDER: &str = "20240101aaaa0001";

/// The rows of two libraries on two lanes each, with two runs of a workflow.
pub(crate) fn catalogue() -> String {
    let mut rows = "uri,library_id,instrument_run_id,lane,portal_run_id,workflow_name,extra\n".to_owned();
    for library in ["L2400001", "L2400002"] {
        for (lane, read) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let key = format!("primary/{RUN}/{library}_S1_L00{lane}_R{read}_001.fastq.gz");
            writeln!(rows, "s3://src/{key},{library},{RUN},{lane},,,x").unwrap();
        }
    }
    for run in [OLDER, TUMOUR] {
        for key in ["a.bam", "logs/inner.log"] {
            let key = format!("analysis/wgs/{run}/{key}");
            writeln!(rows, "s3://src/{key},L2400001,,,{run},cttsov2,x").unwrap();
        }
        writeln!(rows, "s3://src/x/logs/wgs/{run}/own.log,L2400001,,,{run},cttsov2,x").unwrap();
    }
    rows
}

/// A house whose bucket holds all that the catalogue names.
pub(crate) async fn house() -> House {
    beside(&[], &[], &[]).await
}

/// The same with files in the project `lab`, folders in the project of destinations, and more objects in the bucket.
pub(crate) async fn beside(files: &[(&str, u64, u32)], folders: &[&str], more: &[Value]) -> House {
    let catalogue = catalogue();
    let keys = catalogue.lines().skip(1).filter_map(|row| row.strip_prefix("s3://src/")?.split(',').next());
    // Each has a size of its own, and so a content.
    let objects = keys.enumerate().map(|(n, key)| json!({ "key": key, "size": 100 + n }));
    let objects: Vec<Value> = objects.chain(more.iter().cloned()).collect();
    let buckets = json!([{ "name": "src", "objects": objects }, { "name": "dest" }, { "name": "tables" }]);
    let mut world = House::world(files, &[], &[], &buckets);
    let there = world["projects"][1]["folders"].as_array_mut().unwrap();
    there.extend(folders.iter().map(|folder| json!(folder)));
    let mut house = House::of(world, |_| {}).await;
    house.put_object("tables", "catalogue.csv", catalogue.into_bytes()).await;
    let lims = "library_id,sequencing_run_id,project_id,external_subject_id,type\n\
        L2400001,x,Trauma,SBJ1,WGS\nL2400002_topup2,x,Trauma,SBJ2,WGS\nL2400002,x,Grief,SBJ2,WGS\nL9,x,Other,SBJ9,WTS\n";
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

/// Where callers ask.
pub(crate) fn desk(house: &House, instance: &Instance) -> Desk {
    let work = &instance.work;
    let url = "https://share.example.org".parse().unwrap();
    {
        let sharing = house.sharing.clone().unwrap();
        Desk::new(
            instance.engine.clone(),
            work.packages.clone(),
            &instance.ports,
            sharing,
            house.share.clone(),
            url,
        )
    }
}

pub(crate) fn request(fields: &Value) -> PackageRequest {
    let body = json!({ "packageName": "my-package", "packageRequest": fields });
    asked::package(&body, false).unwrap().1
}

pub(crate) async fn made(desk: &Desk, fields: Value) -> PackageShown {
    let package = desk.make("ann", "my-package".into(), request(&fields)).await.unwrap();
    assert_eq!(package.status, JobStatus::Pending);
    ended(desk, &package.id).await
}

pub(crate) async fn ended(desk: &Desk, id: &str) -> PackageShown {
    for _ in 0..600 {
        let shown = desk.package(&RequestId::new(id)).await.unwrap();
        if shown.status.has_ended() {
            return shown;
        }
        sleep(Duration::from_millis(500)).await;
    }
    panic!("{id} never ends");
}

pub(crate) async fn pushed(desk: &Desk, package: &str, to: &str) -> PushShown {
    let asked = asked::push(&json!({ "shareDestination": to })).unwrap();
    let push = desk.push("bob", &RequestId::new(package), asked).await.unwrap();
    assert_eq!((push.status, push.requested_by.as_str()), (JobStatus::Pending, "bob"));
    push_ended(desk, &push.id).await
}

pub(crate) async fn push_ended(desk: &Desk, push: &str) -> PushShown {
    for _ in 0..2400 {
        let shown = desk.pushed(&RequestId::new(push)).await.unwrap();
        if shown.status.has_ended() {
            return shown;
        }
        sleep(Duration::from_millis(500)).await;
    }
    panic!("{push} never ends");
}

/// The summary of a push, whose name has the day in it.
async fn summary(house: &House, push: &PushShown) -> String {
    let ended = keys(house, "in/ENDED_COPY__20").await;
    ended.into_iter().find(|key| key.ends_with(&format!("__{}.csv", push.id))).unwrap()
}

pub(crate) async fn paths(desk: &Desk, package: &PackageShown) -> BTreeSet<String> {
    let (count, files) = desk.files(&RequestId::new(package.id.as_str()), 0, 10_000).await.unwrap();
    assert_eq!(Some(count as u64), package.files.map(|files| files.total));
    files.into_iter().map(|file| file.path).collect()
}

pub(crate) async fn keys(house: &House, prefix: &str) -> BTreeSet<String> {
    house.simulator.objects("dest", prefix).await.into_iter().map(|object| object.key).collect()
}

pub(crate) fn fastq(library: &str, lane: u32, read: u32) -> String {
    format!("fastq/{RUN}/Lane_{lane}/{library}/{library}_S1_L00{lane}_R{read}_001.fastq.gz")
}

#[tokio::test(start_paused = true)]
async fn a_package_holds_the_reads_and_the_newest_analyses_of_its_libraries() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let both = json!({ "libraryIdList": ["L2400001", "L2400002_topup2"],
        "dataTypeList": ["fastq", "secondaryAnalysis"] });
    let package = made(&desk, both).await;
    assert_eq!((package.status, package.error_message.as_deref()), (JobStatus::Succeeded, None));
    assert_eq!(package.requested_by, "ann");
    let reads = ["L2400001", "L2400002"]
        .into_iter()
        .flat_map(|library| [(1, 1), (1, 2), (2, 1), (2, 2)].map(|(lane, read)| fastq(library, lane, read)));
    let below = format!("secondary-analysis/cttsov2/{TUMOUR}");
    let mut expected: BTreeSet<String> = reads.collect();
    expected.extend([format!("{below}/a.bam"), format!("{below}/logs/inner.log")]);
    assert_eq!(paths(&desk, &package).await, expected);
    assert_eq!(package.files.map(|files| files.total), Some(10));
    for file in desk.files(&RequestId::new(package.id.as_str()), 0, 100).await.unwrap().1 {
        let key = file.uri.strip_prefix("s3://src/").unwrap();
        let there = house.simulator.objects("src", key).await;
        let there = there.iter().find(|object| object.key == key).unwrap();
        assert_eq!((file.size, file.md5.as_deref()), (there.size, Some(there.md5.as_str())), "{key}");
    }

    let by_run = json!({ "instrumentRunIdList": [RUN], "projectIdList": ["Grief"], "dataTypeList": ["fastq"],
        "primaryDataPathPrefix": "/" });
    let package = made(&desk, by_run).await;
    let of_one = paths(&desk, &package).await;
    assert_eq!(of_one.len(), 4);
    assert!(of_one.iter().all(|path| path.starts_with(RUN) && path.contains("L2400002")), "{of_one:?}");
    let portal = json!({ "portalRunIdList": [OLDER], "dataTypeList": ["fastq", "secondaryAnalysis"] });
    assert_eq!(
        paths(&desk, &made(&desk, portal).await).await.len(),
        2,
        "the runs of workflows name no reads"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_or_not_there_fails_a_package_and_is_named() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package =
        made(&desk, json!({ "libraryIdList": ["L1", "L2400001"], "dataTypeList": ["fastq"] })).await;
    assert_eq!(package.status, JobStatus::Failed);
    let why = package.error_message.unwrap();
    assert!(why.contains("L1: no such library is known"), "{why}");

    let rows = json!([{ "uri": "s3://src/gone", "path": "a/gone" }, { "uri": format!("s3://src/primary/{RUN}/L2400001_S1_L001_R1_001.fastq.gz"),
        "path": "a/there" }]);
    let gone = |more: bool| json!({ "manifest": rows, "dataTypeList": ["fastq"], "allowMissing": more });
    let package = made(&desk, gone(false)).await;
    let why = package.error_message.unwrap();
    assert!(why.contains("s3://src/gone: does not exist or is not accessible"), "{why}");
    let package = made(&desk, gone(true)).await;
    assert_eq!(paths(&desk, &package).await, ["a/there".to_owned()].into());

    let twice = json!([{ "uri": format!("s3://src/analysis/wgs/{TUMOUR}/a.bam"), "path": "x" },
        { "uri": format!("s3://src/analysis/wgs/{OLDER}/a.bam"), "path": "x" }]);
    let package = made(&desk, json!({ "manifest": twice, "dataTypeList": ["fastq"] })).await;
    let why = package.error_message.unwrap();
    assert!(why.contains("would be x in the package, and so would"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_package_is_pushed_to_a_bucket_and_a_second_push_copies_nothing() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] })).await;
    let first = pushed(&desk, &package.id, "s3://dest/in").await;
    assert_eq!((first.status, first.error_messages.as_deref()), (JobStatus::Succeeded, None));
    assert_eq!(first.share_destination, "s3://dest/in/");
    let there = keys(&house, "in/fastq/").await;
    assert_eq!(there, paths(&desk, &package).await.into_iter().map(|path| format!("in/{path}")).collect());
    let summary = summary(&house, &first).await;
    let marker = summary.replace("ENDED_COPY", "STARTED_COPY").replace(".csv", ".txt");
    assert!(keys(&house, "in/STARTED").await.contains(&marker), "{marker}");
    assert_eq!(house.object("dest", &summary).await.matches(",COPIED,").count(), 4);

    let second = pushed(&desk, &package.id, "s3://dest/in/").await;
    assert_eq!(second.status, JobStatus::Succeeded);
    assert_eq!(crate::asking::calls(&house, "dest", "CopyObject"), 4, "nothing is copied twice");
    let of_package = Wanted {
        packages: vec![RequestId::new(package.id.as_str())],
        page: 1,
        rows_per_page: 1,
        ..Wanted::default()
    };
    let (count, page) = desk.pushes(&of_package).await.unwrap();
    assert_eq!((count, page.len(), &page[0].id), (2, 1, &second.id), "newest first");
}

#[tokio::test(start_paused = true)]
async fn a_package_of_nothing_is_pushed_all_the_same() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let nothing = json!({ "portalRunIdList": ["20990101aaaa0001"], "dataTypeList": ["secondaryAnalysis"] });
    let package = made(&desk, nothing).await;
    assert_eq!((package.status, package.files.map(|files| files.total)), (JobStatus::Succeeded, Some(0)));
    for to in ["s3://dest/none/", "icav2://archive/none/"] {
        let push = pushed(&desk, &package.id, to).await;
        assert_eq!((push.status, push.error_messages.as_deref()), (JobStatus::Succeeded, None), "{to}");
    }
    assert_eq!(keys(&house, "none/").await.len(), 2, "marker and summary");
}

#[tokio::test(start_paused = true)]
async fn what_has_changed_since_it_was_packaged_is_not_sent_and_the_rest_is() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] })).await;
    let changed = format!("primary/{RUN}/L2400001_S1_L001_R1_001.fastq.gz");
    house.put_object("src", &changed, b"something else".to_vec()).await;
    let gone = format!("primary/{RUN}/L2400001_S1_L002_R2_001.fastq.gz");
    house.s3_client().delete_object().bucket("src").key(&gone).send().await.unwrap();
    let push = pushed(&desk, &package.id, "s3://dest/in/").await;
    assert_eq!(push.status, JobStatus::Failed);
    let why = push.error_messages.clone().unwrap();
    assert!(why.starts_with("2 files failed to copy, see s3://dest/in/ENDED_COPY__"), "{why}");
    assert_eq!(keys(&house, "in/fastq/").await.len(), 2);
    let summary = house.object("dest", &summary(&house, &push).await).await;
    assert!(summary.contains("has changed since it was packaged"), "{summary}");
    assert!(summary.contains("does not exist or is not accessible"), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn a_package_is_pushed_into_a_project_folder_by_folder() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let fields = json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq", "secondaryAnalysis"],
        "primaryDataPathPrefix": "primary", "secondaryAnalysisPathPrefix": "/" });
    let package = made(&desk, fields).await;
    let push = pushed(&desk, &package.id, "icav2://archive/shared").await;
    assert_eq!((push.status, push.error_messages.as_deref()), (JobStatus::Succeeded, None));
    let tree = house.tree(TO, "/shared/").await;
    let arrived: BTreeSet<String> =
        tree.into_iter().map(|(path, ..)| path).filter(|path| !path.ends_with('/')).collect();
    assert_eq!(arrived, paths(&desk, &package).await);
}

#[tokio::test(start_paused = true)]
async fn a_push_goes_nowhere_else() {
    let mut house = house().await;
    house.share.destinations = vec!["s3://dest/allowed/*".to_owned().try_into().unwrap()];
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] })).await;
    let push = async |to: &str| {
        let asked = asked::push(&json!({ "shareDestination": to })).unwrap();
        desk.push("bob", &RequestId::new(package.id.as_str()), asked).await
    };
    let wrong = "Error: pushLocation must be a valid s3 url, s3://dest does not have a path";
    assert_eq!(push("s3://dest").await, Err(Refusal::Bad(wrong.to_owned())));
    assert!(matches!(push("s3://dest/other/").await, Err(Refusal::Forbidden(_))));
    assert_eq!(pushed(&desk, &package.id, "s3://dest/allowed/here/").await.status, JobStatus::Succeeded);
    assert!(keys(&house, "other/").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_library_of_another_project_keeps_a_package_here() {
    let mut house = house().await;
    house.share.rules = serde_json::from_value(json!(["Trauma s3://dest/trauma/*"])).unwrap();
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let both = json!({ "libraryIdList": ["L2400001", "L2400002"], "dataTypeList": ["fastq"] });
    let package = made(&desk, both).await;
    assert_eq!(pushed(&desk, &package.id, "s3://dest/trauma/in/").await.status, JobStatus::Succeeded);
    let asked = asked::push(&json!({ "shareDestination": "s3://dest/other/" })).unwrap();
    let refused = desk.push("bob", &RequestId::new(package.id.as_str()), asked).await.unwrap_err();
    let Refusal::Forbidden(why) = refused else { panic!("{refused:?}") };
    assert!(why.contains("L2400001 is of Trauma; no rule is for that place"), "{why}");
    assert!(keys(&house, "other/").await.is_empty(), "nothing is written before");
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_says_of_libraries_moves_no_rule() {
    let mut house = house().await;
    house.share.rules = serde_json::from_value(json!(["Trauma s3://dest/trauma/*"])).unwrap();
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let refused = async |fields: Value| {
        let package = made(&desk, fields).await;
        assert_eq!(package.status, JobStatus::Succeeded, "{package:?}");
        let asked = asked::push(&json!({ "shareDestination": "s3://dest/trauma/in/" })).unwrap();
        desk.push("bob", &RequestId::new(package.id.as_str()), asked).await.unwrap_err()
    };
    let told = json!({ "libraryIdList": ["L9"], "dataTypeList": ["fastq"],
        "limsManifest": [{ "library_id": "L9", "project_id": "Trauma" }],
        "manifest": [{ "uri": format!("s3://src/analysis/wgs/{OLDER}/a.bam"), "libraryId": "L9", "path": "x/a.bam",
            "dataType": "fastq" }] });
    assert!(matches!(refused(told).await, Refusal::Forbidden(_)));
    let listed = json!({ "dataTypeList": ["fastq"], "manifest": [{ "uri": format!("s3://src/analysis/wgs/{OLDER}/a.bam"),
        "libraryId": "L2400001", "path": "x/a.bam", "dataType": "fastq" }] });
    let Refusal::Forbidden(why) = refused(listed).await else { panic!() };
    assert!(why.contains("files of no library"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn into_a_project_goes_what_was_packaged_under_its_own_name() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] })).await;
    house
        .put_object("src", &format!("primary/{RUN}/L2400001_S1_L001_R1_001.fastq.gz"), b"else".to_vec())
        .await;
    let push = pushed(&desk, &package.id, "icav2://archive/changed/").await;
    assert_eq!(push.status, JobStatus::Failed);
    assert!(push.error_messages.unwrap().contains("has changed since it was packaged"));
    let other = json!({ "dataTypeList": ["fastq"], "manifest": [{ "uri": format!("s3://src/analysis/wgs/{OLDER}/a.bam"),
        "path": "x/other.bam", "dataType": "fastq" }] });
    let package = made(&desk, other).await;
    let push = pushed(&desk, &package.id, "icav2://archive/other/").await;
    assert!(push.error_messages.unwrap().contains("in a project files keep their names"));
    assert!(
        house
            .tree(TO, "/")
            .await
            .iter()
            .all(|(path, ..)| !path.contains("L2400001") && !path.contains("a.bam"))
    );
}

#[tokio::test(start_paused = true)]
async fn tables_are_read_where_sources_may_be() {
    let mut house = house().await;
    house.settings.policy.source_buckets = vec!["src".to_owned().try_into().unwrap()];
    let instance = house.instance();
    let desk = desk(&house, &instance);
    for fields in [
        json!({ "dataTypeList": ["fastq"], "manifest": { "uri": "s3://tables/lims.csv" } }),
        json!({ "dataTypeList": ["fastq"], "libraryIdList": ["L1"], "limsManifest": { "uri": "s3://tables/lims.csv" } }),
    ] {
        let package = made(&desk, fields).await;
        let why = package.error_message.unwrap();
        assert!(why.contains("is not allowed by policy.source_buckets"), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn packages_are_listed_aborted_deleted_and_expire() {
    let mut house = house().await;
    house.share.expires_after = 60 * MINUTE;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let fields = json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] });
    let old = made(&desk, fields.clone()).await;
    sleep(MINUTE).await;
    let package = desk.make("ann", "other".into(), request(&fields)).await.unwrap();
    let id = RequestId::new(package.id.as_str());
    let aborted = desk.abort_package(&id).await;
    let package = match aborted {
        Ok(package) => package,
        Err(Refusal::Conflict(_)) => ended(&desk, &package.id).await,
        Err(refusal) => panic!("{refusal:?}"),
    };
    assert!(package.status.has_ended());
    assert_eq!(
        desk.abort_package(&id).await.unwrap_err(),
        Refusal::Conflict("Job is not in a state that can be aborted".into())
    );
    let all = Wanted { page: 1, rows_per_page: 100, ..Wanted::default() };
    let (count, listed) = desk.packages(&all).await.unwrap();
    assert_eq!((count, &listed[0].id, &listed[1].id), (2, &package.id, &old.id));
    let named = Wanted { names: vec!["other".into()], ..all.clone() };
    assert_eq!(desk.packages(&named).await.unwrap().0, 1);
    desk.delete_package(&id).await.unwrap();
    assert!(matches!(desk.package(&id).await, Err(Refusal::NotFound(_))));
    assert_eq!(desk.packages(&all).await.unwrap().0, 1);

    sleep(60 * MINUTE).await;
    let shown = desk.package(&RequestId::new(old.id.as_str())).await.unwrap();
    assert!(shown.has_expired);
    let asked = asked::push(&json!({ "shareDestination": "s3://dest/in/" })).unwrap();
    let push = desk.push("bob", &RequestId::new(old.id.as_str()), asked).await;
    assert_eq!(push, Err(Refusal::Conflict("Package has expired".into())));
}

#[tokio::test(start_paused = true)]
async fn a_package_has_its_papers_and_is_handed_out() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] })).await;
    let id = RequestId::new(package.id.as_str());
    let url = desk.report("ann", &id).await.unwrap();
    let day = package.request_time.strftime("year=%Y/month=%m/day=%d");
    let folder = format!("share/packages/{day}/{id}/final/");
    let url = url.replace("%3D", "=");
    assert!(url.contains(&format!("/tables/{folder}SummaryReport.my-package.html?")), "{url}");
    assert!(url.contains("X-Amz-Expires=604800"), "{url}");
    let report = house.object("tables", &format!("{folder}SummaryReport.my-package.html")).await;
    assert!(report.contains("Package ID:") && report.contains(id.as_str()), "{report}");
    let files = house.object("tables", &format!("{folder}files.csv")).await;
    assert_eq!(files.lines().count(), 5, "{files}");
    let for_programs: Value =
        serde_json::from_str(&house.object("tables", &format!("{folder}report.json")).await).unwrap();
    assert_eq!(for_programs["files"].as_array().unwrap().len(), 4);
    assert_eq!(for_programs["libraries"][0]["subjectId"], "SBJ1");

    let url = desk.hand_out("ann", &id).await.unwrap();
    assert!(url.contains("download-data.my-package.sh?"), "{url}");
    let name = format!("{folder}download-data.my-package.sh");
    let script = house.object("tables", &name).await;
    assert!(script.starts_with("#!"), "{script}");
    assert_eq!(script.matches("X-Amz-Signature=").count(), 4, "a link for each file");
    assert!(paths(&desk, &package).await.iter().all(|path| script.contains(&format!("'{path}'"))));
    sleep(23 * 60 * MINUTE).await;
    desk.hand_out("ann", &id).await.unwrap();
    assert_eq!(house.object("tables", &name).await, script, "its links are good for more than six days");
    sleep(2 * 60 * MINUTE).await;
    desk.hand_out("ann", &id).await.unwrap();
    assert_ne!(house.object("tables", &name).await, script, "they are not any more");
}

#[tokio::test(start_paused = true)]
async fn links_that_would_die_soon_are_not_handed_out() {
    let mut house = house().await;
    // The credentials of a task are those of a session.
    let ends = std::time::SystemTime::from(house.now() + jiff::SignedDuration::from_hours(6));
    house.own_credentials_until(ends);
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] })).await;
    let refused = desk.hand_out("ann", &RequestId::new(package.id.as_str())).await.unwrap_err();
    let Refusal::Conflict(why) = refused else { panic!("{refused:?}") };
    assert!(
        why.starts_with("Presigned URLs would expire at ") && why.ends_with("(share.presign_least)"),
        "{why}"
    );
}

/// What the bus was told of a package or a push: each state once, as the last of those that repeat it.
pub(crate) fn told(house: &House, id: &str) -> Vec<Value> {
    let all = house.buses.told.lock().unwrap();
    let mut told: Vec<Value> = all.iter().filter(|told| told["id"] == id).cloned().collect();
    told.dedup_by(|next, before| next["status"] == before["status"]);
    told
}

#[tokio::test(start_paused = true)]
async fn each_change_is_told_as_the_api_shows_it() {
    let house = house().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] })).await;
    let push = pushed(&desk, &package.id, "s3://dest/in/").await;
    let lost = made(&desk, json!({ "libraryIdList": ["L1"], "dataTypeList": ["fastq"] })).await;
    sleep(MINUTE).await;
    let statuses = |id: &str| {
        told(&house, id).iter().map(|told| told["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&package.id), ["PENDING", "RUNNING", "SUCCEEDED"]);
    assert_eq!(statuses(&lost.id), ["PENDING", "FAILED"]);
    assert_eq!(statuses(&push.id), ["PENDING", "RUNNING", "SUCCEEDED"]);
    assert_eq!(told(&house, &package.id).last(), Some(&json!(package)));
    assert_eq!(told(&house, &lost.id).last(), Some(&json!(lost)));
    assert_eq!(told(&house, &push.id).last(), Some(&json!(PushShown { progress: None, ..push })));
}

/// A package and a push of it, while the table breaks off at a write or the instance dies and another goes on.
pub(crate) async fn through(house: &House, dies_after: Option<Duration>) -> (PackageShown, PushShown) {
    let mut instance = house.instance();
    let first = desk(house, &instance);
    let asked =
        request(&json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq", "secondaryAnalysis"] }));
    let package = first.make("ann", "my-package".into(), asked).await.unwrap();
    if let Some(after) = dies_after {
        sleep(after).await;
        drop(instance);
        instance = house.instance();
    }
    let second = desk(house, &instance);
    let package = ended(&second, &package.id).await;
    let deliver = json!({ "shareDestination": "s3://dest/in/", "deliver": ["md5", "report", "ro-crate"] });
    let asked = asked::push(&deliver).unwrap();
    let push = second.push("bob", &RequestId::new(package.id.as_str()), asked).await.unwrap();
    if let Some(after) = dies_after {
        sleep(after).await;
        drop(instance);
        instance = house.instance();
    }
    let third = desk(house, &instance);
    for _ in 0..2400 {
        let shown = third.pushed(&RequestId::new(push.id.as_str())).await.unwrap();
        if shown.status.has_ended() {
            sleep(10 * MINUTE).await;
            return (package, shown);
        }
        sleep(Duration::from_millis(500)).await;
    }
    panic!("{} never ends", push.id);
}

pub(crate) async fn is_whole(house: &House, what: &str, (package, push): (PackageShown, PushShown)) {
    assert_eq!(
        (package.status, push.status),
        (JobStatus::Succeeded, JobStatus::Succeeded),
        "{what}: {push:?}"
    );
    assert_eq!(package.files.map(|files| files.total), Some(6), "{what}");
    assert_eq!(keys(house, "in/").await.len(), 11, "{what}: files, marker, summary and papers");
    let receipt = crate::deliveries::receipt(house, &push).await;
    assert_eq!(
        receipt.iter().map(|line| line["path"].to_string()).collect::<BTreeSet<_>>().len(),
        6,
        "{what}"
    );
    assert_eq!(receipt.len(), 6, "{what}");
    let copies = crate::asking::calls(house, "dest", "CopyObject");
    assert_eq!(copies, 6, "{what}: nothing is copied twice");
    let last = |id: &str| told(house, id).last().map(|told| told["status"].clone());
    assert_eq!(
        (last(&package.id), last(&push.id)),
        (Some(json!("SUCCEEDED")), Some(json!("SUCCEEDED"))),
        "{what}"
    );
    assert_eq!(house.unsettled().await, [], "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_breaks_off_anywhere_changes_nothing() {
    let (mut n, mut reached) = (0, true);
    while reached {
        for after in [false, true] {
            let house = house().await;
            // The caller's own order is its to repeat.
            house.breaks_after.store(after, std::sync::atomic::Ordering::Relaxed);
            house.breaks_in.store(n + 1, std::sync::atomic::Ordering::Relaxed);
            let ends = through(&house, None).await;
            reached = house.breaks_in.load(std::sync::atomic::Ordering::Relaxed) < 0;
            is_whole(&house, &format!("write {n}, after it {after}"), ends).await;
        }
        n += 1;
    }
    assert!(n > 20, "{n} writes");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_dies_loses_nothing() {
    for millis in [0, 3, 10, 30, 100, 300, 1000] {
        let house = house().await;
        house.faults(json!({"s3": [{"calls": ["HeadObject"], "delay": "40ms"}, {"calls": ["PutObject"], "delay": "30ms"}]}));
        let ends = through(&house, Some(Duration::from_millis(millis))).await;
        is_whole(&house, &format!("after {millis} ms"), ends).await;
    }
}
