//! What is shared by itself: runs that are ready, and packages that are pushed once they are made.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use copy_manager::{
    app::Desk,
    domain::ids::{RequestId, digest},
    events::share::shown::JobStatus,
    inventory::{jobs::JobsFile, tables::Place},
    ports::{
        self, Class, Error,
        notices::{Answer, Became, Notices, Question, Sent},
        store::{Item, Key, Write},
    },
    share::{Backend as _, Refusal, Wanted},
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    house::House,
    sharing::{MINUTE, RUN, catalogue, desk, house, keys},
};

/// A job for the libraries of one project; `more` goes before what is there.
fn job(name: &str, project: &str, more: &Value) -> Value {
    let mut job = json!({ "jobName": name, "enabled": true, "projectIdList": [project],
        "dataTypeList": ["fastq"], "shareDestination": format!("s3://dest/{name}/") });
    for (field, value) in more.as_object().unwrap() {
        job[field] = value.clone();
    }
    job
}

/// A house where these jobs are done.
fn with_jobs(jobs: &Value) -> Pin<Box<impl Future<Output = House>>> {
    let jobs = jobs.to_string().into_bytes();
    Box::pin(async {
        let mut house = house().await;
        "s3://tables/jobs.json".clone_into(&mut house.share.auto_jobs);
        let objects = house.objects.clone();
        let sharing = house.sharing.as_mut().unwrap();
        sharing.jobs = Some(Arc::new(JobsFile::new(objects, Place::of("s3://tables/jobs.json"))));
        house.put_object("tables", "jobs.json", jobs).await;
        house
    })
}

async fn event(house: &House, id: &str, detail_type: &str, detail: Value) {
    let event =
        json!({ "id": id, "detail-type": detail_type, "source": "orcabus.fastqglue", "detail": detail });
    house.queue.push(event.to_string()).await.unwrap();
}

async fn run_is_ready(house: &House, id: &str) {
    event(house, id, "ReadSetsAdded", json!({ "instrumentRunId": RUN })).await;
}

fn all() -> Wanted {
    Wanted { rows_per_page: 100, page: 1, ..Wanted::default() }
}

/// The names, states and destinations of all pushes, the oldest first.
async fn pushes(desk: &Desk) -> Vec<(String, JobStatus, String)> {
    let (_, mut pushes) = desk.pushes(&all()).await.unwrap();
    pushes.reverse();
    pushes.into_iter().map(|push| (push.package_name, push.status, push.share_destination)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_is_shared_for_each_job_that_is_for_it_and_once() {
    let house = with_jobs(&json!([
        job("weekly", "Trauma", &json!({})),
        job("off", "Trauma", &json!({ "enabled": false })),
        job("others", "Nobody", &json!({})),
        job("grief", "Grief", &json!({ "labels": { "for": "the lab" } })),
    ]))
    .await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    run_is_ready(&house, "e1").await;
    sleep(5 * MINUTE).await;
    let expected = [("weekly", 8), ("grief", 4)];
    let names: Vec<_> = expected.iter().map(|(job, _)| format!("autosharing-{job}-{RUN}")).collect();
    let mut there = pushes(&desk).await;
    there.sort_by_key(|(name, ..)| name.clone() != names[0]);
    let whole = |n: usize| (names[n].clone(), JobStatus::Succeeded, format!("s3://dest/{}/", expected[n].0));
    assert_eq!(there, [whole(0), whole(1)]);
    for (job, files) in expected {
        assert_eq!(keys(&house, &format!("{job}/fastq/")).await.len(), files, "{job}");
    }
    let (_, packages) = desk.packages(&all()).await.unwrap();
    let grief = packages.iter().find(|package| package.package_name == names[1]).unwrap();
    assert_eq!((grief.requested_by.as_str(), &grief.labels["for"]), ("job grief", &"the lab".to_owned()));

    // The same news in another event, and under its former name, is no news.
    run_is_ready(&house, "e2").await;
    event(&house, "e3", "FastqListRowsAdded", json!({ "instrumentRunId": RUN })).await;
    sleep(5 * MINUTE).await;
    assert_eq!((pushes(&desk).await.len(), desk.packages(&all()).await.unwrap().0), (2, 2));
    // Nor does it help to ask by hand for what was shared.
    desk.run("ann", RUN.to_owned(), Some("weekly".to_owned())).await.unwrap();
    sleep(5 * MINUTE).await;
    assert_eq!(pushes(&desk).await.len(), 2);
    sleep(10 * MINUTE).await;
    assert_eq!(house.unsettled().await, []);
}

#[tokio::test(start_paused = true)]
async fn what_is_shared_by_itself_is_delivered_with_papers_under_the_name_of_its_package() {
    let mut house = with_jobs(&json!([job("weekly", "Trauma", &json!({}))])).await;
    house.share.deliver = serde_json::from_value(json!(["md5", "report"])).unwrap();
    let instance = house.instance();
    let desk = desk(&house, &instance);
    run_is_ready(&house, "e1").await;
    sleep(5 * MINUTE).await;
    assert_eq!(pushes(&desk).await[0].1, JobStatus::Succeeded);
    let there = keys(&house, "weekly/").await;
    for paper in ["SummaryReport", "md5sum"] {
        let named = |key: &String| key.contains(&format!("/{paper}.autosharing-weekly-{RUN}."));
        assert!(there.iter().any(named), "{paper}: {there:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_failed_is_shared_when_it_is_asked_for_again() {
    let house =
        with_jobs(&json!([job("weekly", "Trauma", &json!({ "shareDestination": "s3://nowhere/in/" }))]))
            .await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    run_is_ready(&house, "e1").await;
    sleep(90 * MINUTE).await;
    assert_eq!(pushes(&desk).await[0].1, JobStatus::Failed);
    house
        .put_object(
            "tables",
            "jobs.json",
            json!([job("weekly", "Trauma", &json!({}))]).to_string().into_bytes(),
        )
        .await;
    desk.run("ann", RUN.to_owned(), None).await.unwrap();
    sleep(5 * MINUTE).await;
    let there = pushes(&desk).await;
    assert_eq!((there.len(), there[1].1), (2, JobStatus::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn a_file_of_jobs_that_is_wrong_shares_nothing_and_is_told() {
    let house =
        with_jobs(&json!([job("weekly", "Trauma", &json!({})), job("b c", "Trauma", &json!({}))])).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    event(&house, "e1", "ReadSetsAdded", json!({ "instrumentRunId": RUN, "taskToken": "t" })).await;
    let (error, cause) = house.failure("t", 5 * MINUTE).await;
    assert_eq!(error, "InvalidRequest");
    assert!(cause["message"].as_str().unwrap().contains("nothing was shared: job `b c`"), "{cause}");
    event(&house, "e2", "ReadSetsAdded", json!({ "instrumentRunId": "../x", "taskToken": "u" })).await;
    assert!(
        house.failure("u", MINUTE).await.1["message"].as_str().unwrap().contains("`detail.instrumentRunId`")
    );
    assert_eq!(desk.packages(&all()).await.unwrap().0, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_run_gains_later_is_shared_alone() {
    let house = with_jobs(&json!([job("weekly", "Trauma", &json!({ "incremental": true }))])).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    run_is_ready(&house, "e1").await;
    sleep(5 * MINUTE).await;
    // The same again is nothing new.
    run_is_ready(&house, "e2").await;
    sleep(5 * MINUTE).await;
    assert_eq!(pushes(&desk).await.len(), 1);
    // A top-up.
    let key = format!("primary/{RUN}/L2400001_topup_S9_L003_R1_001.fastq.gz");
    let row = format!("s3://src/{key},L2400001,{RUN},3,,,x\n");
    house.put_object("src", &key, b"new reads".to_vec()).await;
    house.put_object("tables", "catalogue.csv", format!("{}{row}", catalogue()).into_bytes()).await;
    run_is_ready(&house, "e3").await;
    sleep(5 * MINUTE).await;
    let there = pushes(&desk).await;
    assert_eq!(there.iter().map(|push| push.1).collect::<Vec<_>>(), [JobStatus::Succeeded; 2]);
    let (_, packages) = desk.packages(&all()).await.unwrap();
    let mut files: Vec<_> = packages.iter().map(|package| package.files.unwrap().total).collect();
    files.sort_unstable();
    assert_eq!(files, [0, 1, 8], "all at first, nothing, and then the top-up alone");
    assert_eq!(keys(&house, "weekly/fastq/").await.len(), 9);
}

/// People who are asked, and what they are told.
#[derive(Debug, Default)]
struct People(Mutex<Vec<String>>);

#[async_trait]
impl Notices for People {
    async fn ask(&self, question: &Question) -> ports::Result<String> {
        self.0.lock().unwrap().push(format!("ask {} to {}", question.files, question.destination));
        Ok("C1/1.2".to_owned())
    }

    async fn say(&self, asked: &str, _: &Question, became: &Became) -> ports::Result<()> {
        let became = match became {
            Became::Pushing(who) => format!("pushing, by {who}"),
            Became::Completed => "completed".to_owned(),
            Became::Failed(_) => "failed".to_owned(),
        };
        self.0.lock().unwrap().push(format!("{asked} {became}"));
        Ok(())
    }

    async fn hear(&self, sent: &Sent<'_>) -> ports::Result<Option<Answer>> {
        match sent.signature {
            "ann" => {
                let package_id = String::from_utf8(sent.body.to_vec()).unwrap();
                Ok(Some(Answer { package_id, who: "slack:U1".to_owned() }))
            }
            "bob" => Ok(None),
            _ => Err(Error::new(Class::Unauthorized, "hear", "not signed")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_package_waits_until_somebody_who_may_lets_it_go() {
    let mut house = with_jobs(&json!([
        job("slack", "Trauma", &json!({ "approval": "slack" })),
        job("api", "Trauma", &json!({ "approval": "api" })),
    ]))
    .await;
    let people = Arc::new(People::default());
    house.sharing.as_mut().unwrap().notices = Some(people.clone());
    let instance = house.instance();
    let desk = desk(&house, &instance);
    run_is_ready(&house, "e1").await;
    sleep(10 * MINUTE).await;
    let (_, packages) = desk.packages(&all()).await.unwrap();
    assert!(packages.len() == 2 && packages.iter().all(|package| package.status == JobStatus::Succeeded));
    assert_eq!(pushes(&desk).await, []);
    let of = |job: &str| {
        let name = format!("autosharing-{job}-{RUN}");
        packages.iter().find(|package| package.package_name == name).unwrap().id.clone()
    };
    let heard = async |signature: &str| {
        let id = of("slack");
        desk.hear(&Sent { timestamp: "", signature, body: id.as_bytes() }).await
    };
    assert_eq!(heard("mallory").await, Err(Refusal::Unknown("not signed".to_owned())));
    assert_eq!(heard("bob").await, Ok(()));
    sleep(5 * MINUTE).await;
    assert_eq!(pushes(&desk).await, []);

    assert_eq!(heard("ann").await, Ok(()));
    sleep(5 * MINUTE).await;
    assert_eq!(pushes(&desk).await.len(), 1);
    assert_eq!(keys(&house, "slack/fastq/").await.len(), 8);
    let told = people.0.lock().unwrap().clone();
    assert_eq!(told, ["ask 8 to s3://dest/slack/", "C1/1.2 pushing, by slack:U1", "C1/1.2 completed"]);
    // Pressed again, it changes nothing.
    assert!(matches!(heard("ann").await, Err(Refusal::Conflict(_))));

    let api = RequestId::new(of("api"));
    desk.approve("carol", &api).await.unwrap();
    sleep(5 * MINUTE).await;
    assert_eq!(keys(&house, "api/fastq/").await.len(), 8);
    let none = RequestId::new("pkg.01M8P176469MSSA0NDVMCQHTP0");
    assert!(matches!(desk.approve("carol", &none).await, Err(Refusal::NotFound(_))));
    sleep(10 * MINUTE).await;
    assert_eq!((pushes(&desk).await.len(), house.unsettled().await), (2, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_package_that_nobody_lets_go_goes_nowhere_and_ends() {
    let mut house = with_jobs(&json!([job("api", "Trauma", &json!({ "approval": "api" }))])).await;
    house.share.expires_after = 60 * MINUTE;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    run_is_ready(&house, "e1").await;
    sleep(80 * MINUTE).await;
    assert_eq!((pushes(&desk).await, house.unsettled().await), (Vec::new(), Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_push_that_was_let_go_in_time_may_take_longer_than_its_package_lasts() {
    let mut house = with_jobs(&json!([job("api", "Trauma", &json!({ "approval": "api" }))])).await;
    house.share.expires_after = 60 * MINUTE;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    run_is_ready(&house, "e1").await;
    sleep(55 * MINUTE).await;
    house.faults(json!({ "s3": [{ "calls": ["CopyObject"], "status": 503 }] }));
    let (_, packages) = desk.packages(&all()).await.unwrap();
    desk.approve("carol", &RequestId::new(packages[0].id.as_str())).await.unwrap();
    sleep(10 * MINUTE).await;
    house.faults(json!({ "s3": [] }));
    sleep(20 * MINUTE).await;
    assert_eq!(pushes(&desk).await[0].1, JobStatus::Succeeded);
    // It is shared: the same news again shares nothing.
    run_is_ready(&house, "e2").await;
    sleep(10 * MINUTE).await;
    assert_eq!((pushes(&desk).await.len(), house.unsettled().await), (1, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_state_machine_hangs_on_a_package_and_its_push_at_once() {
    let house = house().await;
    let mut instance = house.instance();
    let asked = json!({ "packageName": "my-package", "shareDestination": "s3://dest/in/",
        "packageRequest": { "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] } });
    event(&house, "e1", "DataPackageSync", json!({ "taskToken": "t", "payload": asked })).await;
    // An instance that dies on the way changes nothing.
    sleep(std::time::Duration::from_millis(700)).await;
    drop(instance);
    instance = house.instance();
    let answer = house.success("t", 20 * MINUTE).await;
    assert_eq!((&answer["status"], &answer["push"]["status"]), (&json!("SUCCEEDED"), &json!("SUCCEEDED")));
    assert_eq!(answer["push"]["packageId"], answer["id"]);
    assert_eq!(crate::asking::calls(&house, "dest", "CopyObject"), 4);

    let mut wrong = asked.clone();
    wrong["packageRequest"]["libraryIdList"] = json!(["L17"]);
    event(&house, "e2", "DataPackageSync", json!({ "taskToken": "u", "payload": wrong })).await;
    let (error, cause) = house.failure("u", 5 * MINUTE).await;
    assert_eq!(error, "SourceNotFound");
    assert!(cause["message"].as_str().unwrap().starts_with("pkg."), "{cause}");
    let mut nowhere = asked;
    nowhere["shareDestination"] = json!("gs://x/y/");
    event(&house, "e3", "DataPackageSync", json!({ "taskToken": "v", "payload": nowhere })).await;
    assert_eq!(house.failure("v", 5 * MINUTE).await.0, "InvalidRequest");
    sleep(10 * MINUTE).await;
    assert_eq!(house.unsettled().await, []);
    drop(instance);
}

#[tokio::test(start_paused = true)]
async fn a_push_begins_as_soon_as_its_package_is_made() {
    let house = house().await;
    let _instance = house.instance();
    for n in 0..10 {
        let asked = json!({ "packageName": "my-package", "shareDestination": format!("s3://dest/in-{n}/"),
            "packageRequest": { "libraryIdList": ["L2400001"], "dataTypeList": ["fastq"] } });
        let token = format!("t{n}");
        event(&house, &format!("e{n}"), "DataPackageSync", json!({ "taskToken": token, "payload": asked }))
            .await;
        let asked_at = tokio::time::Instant::now();
        house.success(&token, 5 * MINUTE).await;
        // Whoever misses the end of what it waits for looks again after a minute.
        assert!(asked_at.elapsed() < MINUTE / 2, "{n}: {:?}", asked_at.elapsed());
    }
}

/// Everything that a run has brought about, by job.
async fn is_shared(house: &House, what: &str) {
    assert_eq!(keys(house, "weekly/fastq/").await.len(), 8, "{what}");
    assert_eq!(crate::asking::calls(house, "dest", "CopyObject"), 8, "{what}: nothing is copied twice");
    assert_eq!(house.unsettled().await, [], "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_breaks_off_anywhere_shares_a_run_once_all_the_same() {
    use std::sync::atomic::Ordering;
    let jobs = json!([job("weekly", "Trauma", &json!({}))]);
    for after in [false, true] {
        for n in 1.. {
            let house = with_jobs(&jobs).await;
            house.breaks_in.store(n, Ordering::Relaxed);
            house.breaks_after.store(after, Ordering::Relaxed);
            let _instance = house.instance();
            run_is_ready(&house, "e1").await;
            sleep(40 * MINUTE).await;
            is_shared(&house, &format!("write {n}, after {after}")).await;
            if house.breaks_in.load(Ordering::Relaxed) >= 0 {
                assert!(n > 15, "{n} writes");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_order_was_never_given_is_taken_over_after_an_hour() {
    let house = with_jobs(&json!([job("weekly", "Trauma", &json!({}))])).await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    // Who claimed the run died before it gave the order, and was never heard of again.
    let now = desk.now().as_millisecond();
    let claim = Item::new(Key::new(format!("auto.{}", digest(&["weekly", RUN])), "NEWEST"))
        .with("root", "auto.0123456789abcdef0123456789abcdef")
        .with("claimed_at", now);
    instance.ports.store.write(Write::put_new(claim)).await.unwrap();
    run_is_ready(&house, "e1").await;
    sleep(50 * MINUTE).await;
    assert_eq!(
        (pushes(&desk).await.len(), desk.packages(&all()).await.unwrap().0),
        (0, 0),
        "it may still be given"
    );
    // Once it is late enough, the same news shares the run, and only once.
    sleep(20 * MINUTE).await;
    for id in ["e2", "e3"] {
        run_is_ready(&house, id).await;
        sleep(10 * MINUTE).await;
        assert_eq!(
            pushes(&desk).await.iter().map(|push| push.1).collect::<Vec<_>>(),
            [JobStatus::Succeeded],
            "{id}"
        );
    }
    is_shared(&house, "taken over").await;
}

#[tokio::test(start_paused = true)]
async fn what_two_instances_hear_of_at_once_is_shared_once() {
    let house = with_jobs(&json!([job("weekly", "Trauma", &json!({}))])).await;
    let instances = [house.instance(), house.instance()];
    let desk = desk(&house, &instances[0]);
    for n in 0..6 {
        let detail_type = if n % 2 == 0 { "ReadSetsAdded" } else { "FastqListRowsAdded" };
        event(&house, &format!("e{n}"), detail_type, json!({ "instrumentRunId": RUN })).await;
    }
    sleep(20 * MINUTE).await;
    assert_eq!((pushes(&desk).await.len(), desk.packages(&all()).await.unwrap().0), (1, 1));
    is_shared(&house, "six times").await;
}

/// The rule of `deploy/stateful.yaml` brings the news to every installation.
#[tokio::test(start_paused = true)]
async fn where_nothing_is_shared_by_itself_news_of_runs_is_deleted_and_who_waits_is_told() {
    let house = house().await;
    let _instance = house.instance();
    run_is_ready(&house, "e1").await;
    event(&house, "e2", "FastqListRowsAdded", json!({ "instrumentRunId": RUN })).await;
    event(&house, "e3", "ReadSetsAdded", json!({ "instrumentRunId": RUN, "taskToken": "t" })).await;
    let (_, cause) = house.failure("t", MINUTE).await;
    assert!(cause.to_string().contains("share.auto_jobs"), "{cause}");
    sleep(60 * MINUTE).await;
    assert_eq!(house.queue.dead_letters().await.unwrap().len(), 0);
}
