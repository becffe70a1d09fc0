//! Packages of files that are in ICAv2 projects.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use copy_manager::{
    domain::{
        ids::{ProjectId, RequestId},
        location::DataPath,
        share::settings::Presign,
    },
    events::share::{
        asked,
        linked::LinkAsked,
        shown::{JobStatus, PackageShown},
    },
    inventory::{
        lims::Lims,
        tables::{Catalogue, Place},
    },
    ports::{Sharing, chance::Dice, objects::ObjectStore, platform::DataPlatform as _},
    share::{Backend as _, Led, Refusal},
    simulator::{in_process, others::Others},
    transfer::reports::InBucket,
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    deliveries::receipt,
    house::{House, TO},
    sharing::{desk, keys, made, paths, push_ended, pushed},
};

const LAB: &str = "11111111-1111-4111-8111-111111111111";

/// A house whose project `lab` holds reads, some of which cannot be read; one more lies in a bucket.
pub(crate) async fn house(more: &Value) -> House {
    let mut objects = json!([{ "key": "runs/c.fastq.gz", "size": 300 }]);
    objects.as_array_mut().unwrap().extend(more.as_array().unwrap().clone());
    let buckets = json!([{ "name": "src", "objects": objects }, { "name": "dest" }, { "name": "tables" }]);
    let files = [("/runs/a.fastq.gz", 100, 1), ("/runs/b.fastq.gz", 20 << 20, 3)];
    let mut world = House::world(&files, &[], &[], &buckets);
    let cold = json!({ "path": "/cold/d.fastq.gz", "size": 10, "parts": 1, "status": "ARCHIVED" });
    world["projects"][0]["files"].as_array_mut().unwrap().push(cold);
    let mut house = House::of(world, |_| {}).await;
    let objects: Arc<dyn ObjectStore> = house.objects.clone();
    house.sharing = Some(Sharing {
        inventory: Arc::new(Catalogue::new(objects.clone(), [Place::of("s3://tables/catalogue.csv")])),
        metadata: Arc::new(Lims::new(objects.clone(), None)),
        artifacts: Arc::new(InBucket::below(objects, "s3://tables/share/").unwrap()),
        copies: None,
        jobs: None,
        notices: None,
    });
    house
}

/// The files of those URIs, each at its name below `x/`.
pub(crate) fn of(uris: &[&str]) -> Value {
    let rows = uris.iter().map(|uri| {
        let name = uri.rsplit('/').next().unwrap();
        json!({ "uri": uri, "path": format!("x/{name}"), "dataType": "fastq" })
    });
    json!({ "manifest": rows.collect::<Vec<_>>(), "dataTypeList": ["fastq"] })
}

/// Two files of a project, named by its name and by its id, and an object.
fn mixed() -> Value {
    let by_id = format!("icav2://{LAB}/runs/b.fastq.gz");
    of(&["icav2://lab/runs/a.fastq.gz", &by_id, "s3://src/runs/c.fastq.gz"])
}

pub(crate) fn id(package: &PackageShown) -> RequestId {
    RequestId::new(package.id.as_str())
}

/// Another file of the same name takes the place of one of the project.
async fn replace(house: &House, path: &str) {
    let platform = house.platform(Arc::new(Dice::from_seed(7)));
    let project = ProjectId::new(LAB);
    let path = DataPath::parse(path).unwrap();
    let data = platform.find(&project, &path).await.unwrap().unwrap();
    platform.delete(&project, &data.id).await.unwrap();
    sleep(Duration::from_mins(10)).await;
    let upload =
        json!({ "uploads": [{ "project": "lab", "path": path.as_str(), "size": 55, "takes": "1s" }] });
    house.simulator.others(&serde_json::from_value::<Others>(upload).unwrap()).unwrap();
    sleep(Duration::from_mins(10)).await;
}

#[tokio::test(start_paused = true)]
async fn files_of_projects_are_packaged_shown_and_pushed_to_a_bucket_and_into_a_project() {
    let house = house(&json!([])).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, mixed()).await;
    assert_eq!((package.status, package.error_message.as_deref()), (JobStatus::Succeeded, None));
    assert_eq!(package.files.map(|files| (files.total, files.bytes)), Some((3, 400 + (20 << 20))));
    let files = desk.files(&id(&package), 0, 9).await.unwrap().1;
    let tree = house.simulator.tree("lab", "/runs/").await.unwrap();
    for (file, there) in files.iter().zip(&tree) {
        let of = file.icav2.as_ref().unwrap();
        assert_eq!((file.size, &file.etag), (there.size.unwrap(), &there.etag));
        assert_eq!((of.project.as_str(), file.md5.as_deref()), (LAB, None), "a tag may be under KMS");
        assert!(of.data.as_str().starts_with("fil."), "{file:?}");
    }
    let day = package.request_time.strftime("year=%Y/month=%m/day=%d");
    let sheet = format!("share/packages/{day}/{}/final/files.csv", package.id);
    let sheet = house.object("tables", &sheet).await;
    assert!(sheet.contains("x/a.fastq.gz,icav2://lab/runs/a.fastq.gz,100,"), "{sheet}");

    let dry = asked::push(&json!({ "shareDestination": "s3://dest/in/", "dryRun": true })).unwrap();
    let dry = push_ended(&desk, &desk.push("bob", &id(&package), dry).await.unwrap().id).await;
    let said = dry.preview.unwrap();
    assert_eq!((said.would_succeed, said.to_copy, said.bytes), (true, 3, 400 + (20 << 20)), "{said:?}");
    let push = pushed(&desk, &package.id, "s3://dest/in/").await;
    assert_eq!((push.status, push.error_messages.as_deref()), (JobStatus::Succeeded, None));
    let there = house.simulator.objects("dest", "in/x/").await;
    let there: Vec<_> = there.iter().map(|object| (object.key.as_str(), Some(object.md5.clone()))).collect();
    assert_eq!(
        there[..2],
        [("in/x/a.fastq.gz", tree[0].md5.clone()), ("in/x/b.fastq.gz", tree[1].md5.clone())]
    );
    assert_eq!(receipt(&house, &push).await.len(), 3);
    let again = pushed(&desk, &package.id, "s3://dest/in/").await;
    assert_eq!(again.status, JobStatus::Succeeded, "{again:?}");
    let log = house.object("tables", again.log_uri.unwrap().strip_prefix("s3://tables/").unwrap()).await;
    assert_eq!(log.matches("ALREADYCOPIED").count(), 3, "{log}");

    let push = pushed(&desk, &package.id, "icav2://archive/in/").await;
    assert_eq!((push.status, push.error_messages.as_deref()), (JobStatus::Succeeded, None));
    let arrived = house.tree(TO, "/in/").await.into_iter().map(|(path, ..)| path);
    let arrived: BTreeSet<String> = arrived.filter(|path| !path.ends_with('/')).collect();
    assert_eq!(arrived, paths(&desk, &package).await);
    assert_eq!(receipt(&house, &push).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_file_of_a_project_that_is_another_one_now_is_not_sent() {
    let house = house(&json!([])).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = made(&desk, mixed()).await;
    replace(&house, "/runs/a.fastq.gz").await;
    let push = pushed(&desk, &package.id, "s3://dest/in/").await;
    assert_eq!(push.status, JobStatus::Failed);
    let why = push.error_messages.unwrap();
    assert!(why.starts_with("1 files failed to copy, see "), "{why}");
    let arrived = keys(&house, "in/x/").await;
    assert_eq!(arrived, ["in/x/b.fastq.gz", "in/x/c.fastq.gz"].map(str::to_owned).into());
    let dry = asked::push(&json!({ "shareDestination": "s3://dest/dry/", "dryRun": true })).unwrap();
    let dry = push_ended(&desk, &desk.push("bob", &id(&package), dry).await.unwrap().id).await;
    let said = dry.preview.unwrap();
    assert_eq!((said.would_succeed, said.missing, said.to_copy), (false, 1, 2), "{said:?}");

    let push = pushed(&desk, &package.id, "icav2://archive/in/").await;
    let why = push.error_messages.unwrap();
    assert!(why.contains("icav2://lab/runs/a.fastq.gz: has changed since it was packaged"), "{why}");
    assert!(house.tree(TO, "/in/").await.is_empty(), "nothing is copied");
}

#[tokio::test(start_paused = true)]
async fn files_of_projects_that_cannot_be_read_fail_a_package_and_are_named() {
    let mut house = house(&json!([])).await;
    house.settings.policy.source_projects = vec!["lab".to_owned().try_into().unwrap()];
    let instance = house.instance();
    let desk = desk(&house, &instance);
    for (uri, why) in [
        ("icav2://lab/cold/d.fastq.gz", "icav2://lab/cold/d.fastq.gz: it is archived"),
        ("icav2://lab/runs/z.fastq.gz", "icav2://lab/runs/z.fastq.gz: does not exist or is not accessible"),
        ("icav2://nowhere/a.fastq.gz", "no ICAv2 project `nowhere` is visible to this service"),
        ("icav2://archive/in/a.fastq.gz", "is not allowed by policy.source_projects"),
    ] {
        let mut fields = of(&[uri]);
        fields["manifest"][0]["path"] = json!("x/file");
        let package = made(&desk, fields).await;
        assert_eq!(package.status, JobStatus::Failed, "{uri}");
        let said = package.error_message.unwrap();
        assert!(said.contains(why), "{uri}: {said}");
    }
    let mut some = of(&["icav2://lab/runs/z.fastq.gz", "icav2://lab/runs/a.fastq.gz"]);
    some["allowMissing"] = json!(true);
    let package = made(&desk, some).await;
    assert_eq!(paths(&desk, &package).await, ["x/a.fastq.gz".to_owned()].into());
}

#[tokio::test(start_paused = true)]
async fn links_of_our_own_lead_to_files_of_projects_and_a_script_of_others_is_refused() {
    let mut house = house(&json!([])).await;
    let instance = house.instance();
    let package = made(&desk(&house, &instance), mixed()).await;
    let refused = desk(&house, &instance).hand_out("ann", &id(&package)).await.unwrap_err();
    let Refusal::Conflict(why) = refused else { panic!("{refused:?}") };
    assert!(why.contains("files of ICAv2 projects") && why.ends_with("(share.presign)"), "{why}");

    house.share.presign = Presign::Links;
    let desk = desk(&house, &instance);
    let link = LinkAsked { label: "their lab".to_owned(), until: None };
    let link = desk.make_link("ann", &id(&package), link).await.unwrap();
    let link = link.url.rsplit_once("/d/").unwrap().1.to_owned();
    let there = async |n: &str| match desk.follow(&link, Some(n), 0).await.unwrap() {
        Led::There(there) => there.url,
        led @ Led::Here(_) => panic!("{led:?}"),
    };
    let url = there("1").await;
    let request = http::Request::get(&url).body(axum::body::Body::empty()).unwrap();
    let answer = in_process::call(house.simulator.router(), request).await;
    let bytes = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
    assert_eq!(bytes.len(), 100, "{url}");
    assert!(there("3").await.contains("/src/runs/c.fastq.gz?"), "an object as ever");
}
