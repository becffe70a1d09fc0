//! The walk through the table of `docs/errors.md`: every class of error at every place, for ever. Each request
//! ends within its time with the answer that the table names, and nothing of it stays behind.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    asking::ask,
    doubles::Said,
    house::{House, TO},
};

const MINUTE: Duration = Duration::from_mins(1);

/// A place where a call is made, and what is asked for to make it.
struct Place {
    name: &'static str,
    /// Calls of ICAv2.
    calls: &'static [&'static str],
    /// Calls of S3, and the bucket.
    s3: Option<(&'static [&'static str], &'static str)>,
    asks: Asks,
    /// Whether the error begins once the request is under way.
    later: bool,
}

#[derive(Debug, Clone, Copy)]
enum Asks {
    Tree,
    Overwrite,
    DryRun,
    Outside,
    Batch,
    Out,
    List,
}

const fn icav2(name: &'static str, calls: &'static [&'static str], asks: Asks) -> Place {
    Place { name, calls, s3: None, asks, later: false }
}

const fn s3(name: &'static str, calls: &'static [&'static str], bucket: &'static str, asks: Asks) -> Place {
    Place { name, calls: &[], s3: Some((calls, bucket)), asks, later: false }
}

const FIND: &str = "GET /api/projects/{projectId}/data";

const PLACES: &[Place] = &[
    icav2("projects", &["GET /api/projects"], Asks::Tree),
    icav2("looking for sources", &[FIND], Asks::Tree),
    icav2("a dry run", &[FIND], Asks::DryRun),
    icav2("a manifest", &[FIND], Asks::Batch),
    Place { later: true, ..icav2("listings, under way", &[FIND], Asks::Tree) },
    icav2("making a folder", &["POST /api/projects/{projectId}/data:createFolder"], Asks::Tree),
    icav2("submitting a job", &["POST /api/projects/{projectId}/dataCopyBatch"], Asks::Tree),
    icav2("a job's status", &["GET /api/jobs", "GET /api/jobs/{jobId}"], Asks::Tree),
    icav2(
        "what a job has brought",
        &["GET /api/projects/{projectId}/dataCopyBatch/{batchId}/items"],
        Asks::Tree,
    ),
    icav2("a download URL", &["POST /api/projects/{projectId}/data:createDownloadUrls"], Asks::Tree),
    icav2("an upload URL", &["POST /api/projects/{projectId}/data:createFileWithUploadUrl"], Asks::Tree),
    icav2("reading bytes", &["GET /sim/bytes/{token}"], Asks::Tree),
    icav2("writing bytes", &["PUT /sim/bytes/{token}"], Asks::Tree),
    icav2("looking before deleting", &["GET /api/projects/{projectId}/data/{dataId}"], Asks::Overwrite),
    icav2("deleting", &["POST /api/projects/{projectId}/data/{dataId}:delete"], Asks::Overwrite),
    s3("listing a prefix outside", &["ListObjectsV2"], "outside-data", Asks::Outside),
    s3("looking at an object outside", &["HeadObject"], "outside-data", Asks::Outside),
    s3("reading an object outside", &["GetObject"], "outside-data", Asks::Outside),
    s3("the entry of a bucket", &["CreateMultipartUpload"], "dest", Asks::Out),
    s3("copying an object", &["CopyObject"], "dest", Asks::Out),
    s3("looking at a destination object", &["HeadObject"], "dest", Asks::Out),
    s3("the start marker of a list", &["PutObject"], "dest", Asks::List),
    s3("the list", &["GetObject"], "requests", Asks::List),
    s3("an object of a list", &["HeadObject"], "src", Asks::List),
    s3("copying an object of a list", &["CopyObject"], "dest", Asks::List),
    s3("the summary beside a list", &["PutObject"], "requests", Asks::List),
];

/// What requests may end with at each place, whatever the class: the rows of the table.
const ENDS: &[(&str, &str)] = &[
    ("projects", "DestinationConflict Internal InvalidRequest Stalled"),
    ("looking for sources", "DestinationConflict Internal PolicyDenied SourceNotFound Stalled"),
    ("a dry run", "DestinationConflict Internal PolicyDenied SourceNotFound Stalled"),
    ("a manifest", "DestinationConflict Internal PolicyDenied SourceNotFound Stalled"),
    ("listings, under way", "DestinationConflict Internal PolicyDenied Stalled"),
    ("making a folder", "Internal PolicyDenied SourceNotFound Stalled"),
    ("submitting a job", "CopyJobFailed Stalled"),
    ("a job's status", "SUCCEEDED SourceNotFound Stalled"),
    ("what a job has brought", "SUCCEEDED"),
    ("a download URL", "Stalled TransferFailed"),
    ("an upload URL", "Stalled TransferFailed"),
    ("reading bytes", "TransferFailed Stalled"),
    ("writing bytes", "TransferFailed Stalled"),
    ("looking before deleting", "DestinationConflict Internal PolicyDenied Stalled"),
    ("deleting", "DestinationConflict Internal PolicyDenied SourceNotFound Stalled"),
    ("listing a prefix outside", "Internal DestinationConflict SourceNotFound Stalled"),
    ("looking at an object outside", "DestinationConflict PolicyDenied SUCCEEDED Stalled TransferFailed"),
    ("reading an object outside", "Stalled TransferFailed"),
    ("the entry of a bucket", "InvalidRequest PolicyDenied Stalled TransferFailed"),
    ("copying an object", "TransferFailed Stalled"),
    ("looking at a destination object", "DestinationConflict SUCCEEDED TransferFailed Stalled"),
    ("the start marker of a list", "CopyError InvalidRequest PolicyDenied Stalled"),
    ("the list", "InvalidRequest SourceNotFound Stalled"),
    ("an object of a list", "CopyError"),
    ("copying an object of a list", "CopyError"),
    ("the summary beside a list", "SUCCEEDED"),
];

/// The classes, as a platform shows them.
fn classes() -> Vec<Value> {
    let statuses = [400, 401, 403, 404, 409, 429, 500].map(Value::from);
    statuses.into_iter().chain([json!("close"), json!("gibberish")]).collect()
}

async fn house() -> House {
    let files = [("/run/a.bam", 100, 2), ("/run/b.txt", 10, 1), ("/run/sub/c.bam", 200, 2)];
    let there = [("/over/run/a.bam", 99, 2), ("/over/run/b.txt", 9, 1)];
    let objects = json!([{"key": "x/a", "size": 100}, {"key": "x/b", "size": 10}]);
    let buckets = json!([{"name": "src", "objects": objects}, {"name": "dest", "objects": []}]);
    let mut house = House::beside(&files, &[], &there, buckets, |platform| {
        platform.job_duration = Duration::from_secs(45);
    })
    .await;
    house.settings.heartbeat.promise = MINUTE;
    house.settings.heartbeat.stalled_after = MINUTE;
    house.settings.heartbeat.outage_after = 4 * MINUTE;
    house.settings.service.retry_cap = Duration::from_secs(20);
    house.settings.jobs.poll_interval = Duration::from_secs(10);
    house.settings.jobs.settle = Duration::from_secs(10);
    house.settings.jobs.submit_settle = Duration::from_secs(10);
    house.settings.service.tick = Duration::from_secs(10);
    house.settings.copy_out.access_retry = MINUTE;
    house.settings.copy_out.access_deadline = 6 * MINUTE;
    house
}

async fn request(house: &House, asks: Asks) {
    match asks {
        Asks::Tree => house.ask(&["/run/"], "/new/", "t").await,
        Asks::Overwrite => {
            house.ask_with(&["/run/"], "/over/", "t", None, json!({"onConflict": "overwrite"})).await;
        }
        Asks::DryRun => house.ask_with(&["/run/"], "/over/", "t", None, json!({"dryRun": true})).await,
        Asks::Outside => {
            let body = json!({
                "payload": {
                    "sourceUriList": [], "externalSourceUriList": ["s3://outside-data/ref/"],
                    "destinationUri": format!("icav2://{TO}/new/"),
                },
                "taskToken": "t",
            });
            house.queue.push(body.to_string()).await.unwrap();
        }
        Asks::Batch => {
            let manifest = json!({"icav2://lab/run/a.bam": [format!("icav2://{TO}/new/")]});
            let event = json!({
                "id": "t", "source": "lab", "detail-type": "ICAv2CopyBatchSync",
                "detail": {"taskToken": "t", "payload": {"manifest": manifest}},
            });
            house.queue.push(event.to_string()).await.unwrap();
        }
        Asks::Out => {
            let body = json!({
                "payload": {"sourceUriList": ["s3://src/x/"], "destinationUri": "s3://dest/in/"},
                "taskToken": "t",
            });
            house.queue.push(body.to_string()).await.unwrap();
        }
        Asks::List => ask(house, "t", "list.csv", "src,x/a\nsrc,x/b\n", json!({})).await,
    }
}

/// What a request ends with when that error never ends.
async fn ends_with(place: &Place, class: &Value) -> String {
    let house = house().await;
    let responses = |call: &&str| json!({"call": call, "times": u32::MAX, "status": class});
    let responses: Vec<_> = place.calls.iter().map(responses).collect();
    let rules: Vec<_> = place
        .s3
        .iter()
        .map(|(calls, bucket)| json!({"calls": calls, "bucket": bucket, "status": class}))
        .collect();
    let faults = json!({"responses": responses, "s3": rules});
    if matches!(place.asks, Asks::List) {
        // The list itself is put with our own rights.
        request(&house, place.asks).await;
        house.faults(faults.clone());
    }
    if !place.later {
        house.faults(faults.clone());
    }
    let _instance = house.instance();
    if !matches!(place.asks, Asks::List) {
        request(&house, place.asks).await;
    }
    if place.later {
        sleep(Duration::from_secs(30)).await;
        house.faults(faults);
    }
    let mut answer = None;
    for _ in 0..20 * 60 {
        answer = house.callers.answer("t");
        if answer.is_some() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    let Some((_, said)) = answer else { return "NEVER".to_owned() };
    sleep(12 * MINUTE).await;
    let left = house.unsettled().await.into_iter().filter(|key| key.id_type != "FOLDER").count();
    let left = if left > 0 { format!(" ({left} left)") } else { String::new() };
    match said {
        Said::Success(_) => format!("SUCCEEDED{left}"),
        Said::Failure(error, cause) => {
            let told = cause.to_string().contains("token");
            let told =
                if *class == json!(401) && error == "Stalled" && !told { " without `token`" } else { "" };
            format!("{error}{told}{left}")
        }
        Said::Beat => unreachable!(),
    }
}

/// What each place ends with, class by class: the row of the table.
async fn walk(places: impl Iterator<Item = &'static Place>) {
    for place in places {
        for class in classes() {
            let shown = class.as_str().map_or_else(|| class.to_string(), str::to_owned);
            let end = ends_with(place, &class).await;
            let (_, allowed) = ENDS.iter().find(|(name, _)| *name == place.name).unwrap();
            assert!(allowed.split(' ').any(|name| name == end), "{}, {shown}: {end}", place.name);
        }
    }
}

macro_rules! walks {
    ($($name:ident: $part:expr,)+) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            walk(PLACES.iter().skip($part).step_by(14)).await;
        }
    )+};
}

walks! {
    part_01: 0, part_02: 1, part_03: 2, part_04: 3, part_05: 4, part_06: 5, part_07: 6,
    part_08: 7, part_09: 8, part_10: 9, part_11: 10, part_12: 11, part_13: 12, part_14: 13,
}
