//! Runs over the tables of a replica: the real engine, plane and client over a simulated platform, and a replica in
//! memory that fails at any call.

mod behind;
#[path = "../support/replica.rs"]
mod memory;
mod records;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use copy_manager::{
    config::DEFAULT,
    dap::{
        self, Dap, Ways,
        places::{InStore, Rates},
        settings::Limits,
    },
    domain::{
        policy::Glob,
        replica::{names::TableName, settings::CanvasSettings},
    },
    planes::table::Replicated,
    ports::{
        chance::Dice,
        messages::{Messages, Target},
    },
    simulator::{
        dap::{DapSettings, DapSimulator, Truth, world::DapWorld},
        in_process::InProcess,
    },
};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use self::memory::{Memory, Rows, Wrong};
use crate::{
    doubles::Said,
    house::{House, Instance},
};

/// What targets were told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<(String, Value)>>);

#[async_trait]
impl Messages for Told {
    async fn send(&self, target: &Target, _: &str, message: &str) -> copy_manager::ports::Result<()> {
        let message = serde_json::from_str(message).unwrap_or_else(|_| message.into());
        self.0.lock().unwrap().push((target.to.clone(), message));
        Ok(())
    }
}

/// A house with a replica of a simulated platform.
struct Kept {
    house: House,
    platform: Arc<DapSimulator>,
    replica: Memory,
    told: Arc<Told>,
}

/// A client of the simulated platform, and what it needs of the house.
fn source_of(house: &House, platform: &Arc<DapSimulator>, settings: &CanvasSettings) -> Dap {
    let limits =
        if settings.limits.is_empty() { Limits::NONE } else { Limits::read(&settings.limits).unwrap() };
    let of = dap::Settings {
        base_url: "http://127.0.0.1:1235".to_owned(),
        client_id: "us-east-1#simulator".to_owned(),
        client_secret: SecretString::from("simulator-secret"),
        url_hosts: Vec::<Glob>::new(),
        limits,
        minute: settings.minute,
        ..dap::Settings::default()
    };
    let transport = Arc::new(InProcess::to(platform.router()));
    let ways = Ways { calls: transport.clone(), files: transport };
    let dice = Arc::new(Dice::from_seed(5));
    let rates = Rates { limits, minute: settings.minute };
    let store = Arc::new(house.store());
    let places = InStore::new(store, house.clock.clone(), dice.clone(), &of.client_id, rates);
    Dap::new(ways, Arc::new(places), house.clock.clone(), dice, &of).unwrap()
}

fn settings(change: impl FnOnce(&mut CanvasSettings)) -> CanvasSettings {
    let default: toml::Table = DEFAULT.parse().unwrap();
    let mut canvas = default["canvas"].clone();
    canvas.as_table_mut().unwrap().retain(|_, value| value.as_str() != Some(""));
    let mut settings: CanvasSettings = canvas.try_into().unwrap();
    settings.limits = Vec::new();
    change(&mut settings);
    settings
}

/// A table of whole numbers and texts: rows 1 to `rows`; each later commit changes the first, deletes the second and
/// adds one.
fn table(name: &str, rows: u64, commits: u64) -> Value {
    let put =
        |id: u64, name: String| json!({ "key": { "id": id }, "value": { "name": name, "size": id * 2 } });
    let all: Vec<_> = (1..=rows).map(|id| put(id, format!("row {id}"))).collect();
    let mut history = vec![json!({ "at": "2025-12-01T00:00:00Z", "version": 1, "changes": all })];
    for n in 1..=commits {
        let changes = [
            put(1, format!("changed {n}")),
            json!({ "key": { "id": n + 1 }, "value": null }),
            put(rows + n, "new".into()),
        ];
        history.push(
            json!({ "at": format!("2025-12-{:02}T00:00:00Z", n + 1), "version": 1, "changes": changes }),
        );
    }
    json!({
        "namespace": "canvas", "name": name, "rowsPerPart": 3,
        "key": { "id": { "type": "integer", "format": "int64" } },
        "schemas": [{ "version": 1, "value": {
            "name": { "type": "string" }, "size": { "type": "integer", "format": "int32" },
        } }],
        "commits": history,
    })
}

impl Kept {
    async fn of(tables: Vec<Value>, change: impl FnOnce(&mut CanvasSettings)) -> Self {
        let mut house = House::new(&[], &[], &[], |_| ()).await;
        let world: DapWorld = serde_json::from_value(json!({ "tables": tables })).unwrap();
        let at = DapSettings { epoch: house.clock.epoch, ..DapSettings::default() };
        let platform = DapSimulator::new(at, world).unwrap();
        let settings = settings(change);
        let source = source_of(&house, &platform, &settings);
        let (replica, told) = (Memory::default(), Arc::new(Told::default()));
        house.replicated = vec![Replicated {
            settings: Arc::new(settings),
            source: Arc::new(source),
            replica: Arc::new(replica.clone()),
            messages: told.clone(),
        }];
        Self { house, platform, replica, told }
    }

    /// Asks for a run; its token is its name.
    async fn ask(&self, token: &str, payload: Value) {
        let detail = json!({ "taskToken": token, "payload": payload });
        let event = json!({ "id": format!("e-{token}"), "source": "test", "detail-type": "CanvasReplicaSync", "detail": detail });
        self.house.queue.push(event.to_string()).await.unwrap();
    }

    /// The answer of a token: the output, or the error's name and cause.
    async fn answer(&self, token: &str, within: Duration) -> Result<Value, (String, Value)> {
        let until = Instant::now() + within;
        loop {
            match self.house.callers.answer(token) {
                Some((_, Said::Success(output))) => return Ok(output),
                Some((_, Said::Failure(error, cause))) => return Err((error, cause)),
                Some((_, Said::Beat)) | None => {}
            }
            assert!(
                Instant::now() < until,
                "`{token}` was not answered: {:?}",
                self.platform.log(false).last()
            );
            sleep(Duration::from_millis(200)).await;
        }
    }

    fn control(&self, wishes: Value) {
        self.platform.control(wishes).unwrap();
    }

    /// That a table is what it is at the platform.
    fn is_whole(&self, name: &str) {
        let table = self.replica.table(&TableName::new("canvas", name)).unwrap_or_default();
        let truth = self.platform.truth("canvas", name).unwrap();
        assert_eq!(table.values(), truth_of(&truth), "{name}");
    }

    fn count(&self, what: &str) -> usize {
        self.platform.log(false).iter().filter(|call| call.path.contains(what)).count()
    }
}

fn truth_of(truth: &Truth) -> Rows {
    let text = |value: &Value| match value {
        Value::Null => "\\N".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |(key, value): &(serde_json::Map<String, Value>, serde_json::Map<String, Value>)| {
        let all = key.iter().chain(value.iter()).filter(|(_, value)| !value.is_null());
        let all = all.map(|(name, value)| (name.clone(), text(value))).collect();
        (key.values().map(text).collect(), all)
    };
    truth.rows.iter().map(row).collect()
}

const SOON: Duration = Duration::from_mins(5);

#[tokio::test(start_paused = true)]
async fn a_run_loads_what_is_not_there_and_brings_the_rest_up_to_date() {
    let kept =
        Kept::of(vec![table("users", 10, 2), table("courses", 4, 2), table("nothing", 0, 0)], |_| ()).await;
    let _instance = kept.house.instance();
    kept.ask("one", json!({})).await;
    let pivot = kept.answer("one", SOON).await.unwrap();
    assert_eq!(pivot["complete"], json!(["courses", "nothing", "users"]));
    assert_eq!((&pivot["num_failed"], &pivot["tables"][2]["initialised"]), (&json!(0), &json!(true)));
    kept.control(json!({ "commit": 2 }));
    kept.ask("two", json!({ "tables": ["users", "courses", "gone"] })).await;
    let (error, cause) = kept.answer("two", SOON).await.unwrap_err();
    assert_eq!(error, "ReplicaError");
    assert_eq!(cause["files"], json!([{ "what": "canvas.gone", "why": "the source has no such table" }]));
    for name in ["users", "courses", "nothing"] {
        kept.is_whole(name);
    }
    let told = kept.told.0.lock().unwrap();
    assert_eq!(told.len(), 2, "a message after every run, also when tables have failed");
    assert_eq!(
        (&told[1].1["failed"], &told[1].1["errors"]["gone"]),
        (&json!(["gone"]), &json!("the source has no such table"))
    );
    let users =
        told[1].1["tables"].as_array().unwrap().iter().find(|table| table["table"] == "users").unwrap();
    assert_eq!(
        (&users["rows"]["changed"], &users["rows"]["inserted"], &users["rows"]["deleted"]),
        (&json!(1), &json!(2), &json!(2))
    );
}

#[tokio::test(start_paused = true)]
async fn one_login_and_one_question_a_table_are_enough_where_nothing_has_changed() {
    let tables = (0..40).map(|n| table(&format!("t{n:02}"), 2, 0)).collect();
    let kept = Kept::of(tables, |_| ()).await;
    let _instance = kept.house.instance();
    kept.ask("one", json!({})).await;
    kept.answer("one", SOON).await.unwrap();
    kept.platform.log(true);
    kept.ask("two", json!({})).await;
    kept.answer("two", SOON).await.unwrap();
    let calls = kept.platform.log(false).len();
    // The list, and for each table its question; the files of it are none.
    assert_eq!(
        calls,
        1 + 40,
        "{:?}",
        kept.platform.log(false).iter().map(|call| &call.path).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_call_of_the_replica_goes_wrong_the_end_is_the_same_and_no_part_is_loaded_twice() {
    let whole = async |wrong: Option<(u64, Wrong)>| {
        let kept = Kept::of(vec![table("users", 10, 1), table("courses", 4, 1)], |_| ()).await;
        if let Some((at, how)) = wrong {
            kept.replica.goes_wrong(at, how);
        }
        let mut instance = Some(kept.house.instance());
        for (n, commit) in [("one", 0), ("two", 1)] {
            kept.control(json!({ "commit": commit }));
            kept.ask(n, json!({})).await;
            let never = matches!(wrong, Some((_, Wrong::Never)));
            if never {
                sleep(Duration::from_secs(20)).await;
                drop(instance.take());
                instance = Some(kept.house.instance());
            }
            let answer = kept.answer(n, Duration::from_mins(30)).await;
            assert!(answer.is_ok(), "{wrong:?}: {answer:?}");
        }
        for name in ["users", "courses"] {
            kept.is_whole(name);
        }
        assert_eq!(kept.replica.most_loads(), 1, "{wrong:?}");
        kept.replica.calls()
    };
    let calls = whole(None).await;
    assert!(calls > 15, "{calls}");
    for at in 1..=calls {
        for how in [Wrong::Before, Wrong::After, Wrong::Never] {
            whole(Some((at, how))).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_call_of_the_platform_goes_wrong_the_end_is_the_same() {
    let faults = [
        json!({ "status": 429, "headers": { "Retry-After": "3" }, "times": 2 }),
        json!({ "status": 500, "times": 2 }),
        json!({ "status": 503, "times": 4 }),
        json!({ "close": true }),
        json!({ "lost": true }),
        json!({ "revoke": true }),
    ];
    for (call, path) in [
        ("list", "GET /dap/query/canvas/table"),
        ("schema", "GET /dap/query/*/schema"),
        ("data", "POST /dap/query/*/data"),
        ("url", "POST /dap/object/url"),
        ("object", "GET /objects/*"),
    ] {
        for fault in &faults {
            let kept = Kept::of(vec![table("users", 10, 1), table("courses", 4, 1)], |_| ()).await;
            let _instance = kept.house.instance();
            for (n, commit) in [("one", 0), ("two", 1)] {
                let mut rule = fault.clone();
                rule["match"] = path.into();
                kept.control(json!({ "commit": commit, "rules": [rule] }));
                kept.ask(n, json!({})).await;
                let answer = kept.answer(n, Duration::from_mins(30)).await;
                assert!(answer.is_ok(), "{call} {fault}: {answer:?}");
            }
            kept.is_whole("users");
            kept.is_whole("courses");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_cut_is_never_data() {
    for fault in [json!({ "cut": 60 }), json!({ "short": 60 }), json!({ "status": 403, "text": "<Error/>" })]
    {
        let kept = Kept::of(vec![table("users", 10, 0)], |_| ()).await;
        let _instance = kept.house.instance();
        let mut rule = fault.clone();
        rule["match"] = "GET /objects/*".into();
        kept.control(json!({ "rules": [rule] }));
        kept.ask("one", json!({})).await;
        let answer = kept.answer("one", Duration::from_mins(30)).await;
        assert!(answer.is_ok(), "{fault}: {answer:?}");
        kept.is_whole("users");
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_whose_job_fails_or_is_refused_keeps_no_other_back() {
    let rule = |more: Value| {
        let mut rule = json!({ "match": "POST /dap/query/canvas/table/users/data", "times": 100 });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    for (fault, says) in [
        (rule(json!({ "fail_job": "" })), "ProcessingError"),
        (
            rule(
                json!({ "status": 403, "error": { "type": "AccountUnderMaintenance", "message": "later" } }),
            ),
            "Maintenance",
        ),
        (
            rule(json!({ "status": 400, "error": { "type": "ValidationError", "message": "no" } })),
            "ValidationError",
        ),
    ] {
        let kept = Kept::of(vec![table("users", 10, 0), table("courses", 4, 0)], |_| ()).await;
        let _instance = kept.house.instance();
        kept.control(json!({ "rules": [fault], "keep_failed": false }));
        kept.ask("one", json!({})).await;
        let (error, cause) = kept.answer("one", Duration::from_hours(2)).await.unwrap_err();
        assert_eq!(error, "ReplicaError");
        let why = cause["files"][0]["why"].as_str().unwrap();
        assert!(cause["filesTotal"] == 1 && why.contains(says), "{why}");
        kept.is_whole("courses");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_keeps_no_changes_since_then_has_the_table_loaded_anew_and_merged() {
    for error in ["SnapshotRequiredError", "OutOfRangeError"] {
        let kept = Kept::of(vec![table("users", 10, 3)], |_| ()).await;
        let _instance = kept.house.instance();
        kept.ask("one", json!({})).await;
        kept.answer("one", SOON).await.unwrap();
        kept.control(json!({ "commit": 3, "oldest": "2025-12-03T00:00:00Z", "oldest_error": error }));
        kept.ask("two", json!({})).await;
        let pivot = kept.answer("two", SOON).await.unwrap();
        assert!(pivot["tables"][0]["notes"][0].as_str().unwrap().contains("loaded anew"), "{pivot}");
        kept.is_whole("users");
    }
}

#[tokio::test(start_paused = true)]
async fn the_published_rates_are_kept_by_the_whole_fleet_and_the_oldest_come_first() {
    let tables = (0..40).map(|n| table(&format!("t{n:02}"), 2, 1)).collect();
    let kept = Kept::of(tables, |canvas| {
        canvas.limits = vec!["create_job=5".to_owned()];
        canvas.first = vec!["t33".to_owned()];
    })
    .await;
    let _instances = [kept.house.instance(), kept.house.instance()];
    let started = Instant::now();
    kept.ask("one", json!({})).await;
    kept.answer("one", Duration::from_hours(2)).await.unwrap();
    assert!(started.elapsed() < Duration::from_mins(12), "{:?}", started.elapsed());
    let log = kept.platform.log(false);
    let asked: Vec<_> = log.iter().filter(|call| call.path.ends_with("/data")).collect();
    assert_eq!(asked.len(), 40);
    assert!(asked.iter().all(|call| call.status == Some(200)), "none was refused");
    let minutes: Vec<f64> = asked.iter().map(|call| call.at).collect();
    for window in minutes.windows(6) {
        assert!(window[5] - window[0] >= 59.9, "{window:?}");
    }
    assert!(asked[0].path.contains("t33"), "{}", asked[0].path);
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_beaten_through_a_long_load_and_can_end_it() {
    let kept = Kept::of(vec![table("users", 9, 0)], |_| ()).await;
    let _instance = kept.house.instance();
    kept.control(json!({ "job_seconds": 1200 }));
    kept.ask("long", json!({})).await;
    sleep(Duration::from_mins(19)).await;
    let beats = kept.house.callers.beats("long");
    assert!(beats.len() >= 4, "{beats:?}");
    kept.answer("long", Duration::from_mins(10)).await.unwrap();
    kept.control(json!({ "job_seconds": 1200, "deduplicate": false }));
    kept.ask("ended", json!({ "mode": "init" })).await;
    sleep(Duration::from_mins(2)).await;
    let id = kept.house.instance().engine.view_of("e-ended", None).await.unwrap().unwrap().id;
    kept.house.instance().engine.cancel(&id, "not wanted").await.unwrap();
    let (error, _) = kept.answer("ended", SOON).await.unwrap_err();
    assert_eq!(error, "Cancelled");
}

#[tokio::test(start_paused = true)]
async fn another_program_that_writes_the_table_meanwhile_is_seen_and_nothing_is_lost() {
    let kept = Kept::of(vec![table("users", 10, 2)], |_| ()).await;
    let _instance = kept.house.instance();
    kept.ask("one", json!({})).await;
    kept.answer("one", SOON).await.unwrap();
    kept.control(json!({ "commit": 1, "job_seconds": 60 }));
    kept.ask("two", json!({})).await;
    sleep(Duration::from_secs(20)).await;
    // As the official client does, which takes no lock: the row of the table moves on.
    kept.replica.change(&TableName::new("canvas", "users"), |table| {
        let meta = table.meta.as_mut().unwrap();
        meta.timestamp = "2025-12-01T12:00:00Z".parse().unwrap();
    });
    kept.answer("two", Duration::from_mins(30)).await.unwrap();
    kept.is_whole("users");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_listed_is_told_too() {
    let kept = Kept::of(vec![table("users", 10, 0)], |_| ()).await;
    let _instance = kept.house.instance();
    let rule = json!({ "match": "GET /dap/query/canvas/table", "times": 100, "status": 403,
        "error": { "type": "AccountNotOnboarded", "message": "not yet" } });
    kept.control(json!({ "rules": [rule] }));
    kept.ask("one", json!({})).await;
    let (error, cause) = kept.answer("one", SOON).await.unwrap_err();
    assert_eq!(error, "ReplicaError");
    assert!(cause["message"].as_str().unwrap().contains("AccountNotOnboarded"), "{cause}");
    sleep(SOON).await;
    let told = kept.told.0.lock().unwrap();
    assert!(
        told.len() == 1 && told[0].1["error"].as_str().unwrap().contains("could not be listed"),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_stops_in_a_load_leaves_it_to_the_next() {
    let kept = Kept::of(vec![table("users", 30, 0)], |_| ()).await;
    let instance: Instance = kept.house.instance();
    kept.control(json!({ "rules": [{ "match": "GET /objects/*", "delay": 5, "times": 100 }] }));
    kept.ask("one", json!({})).await;
    sleep(Duration::from_secs(22)).await;
    instance.stop().await;
    let _next = kept.house.instance();
    kept.answer("one", Duration::from_mins(30)).await.unwrap();
    kept.is_whole("users");
    assert_eq!((kept.replica.most_loads(), kept.count("/data")), (1, 1), "no part twice, and the same job");
}

#[tokio::test(start_paused = true)]
async fn an_audit_finds_what_differs_and_mends_it_where_that_is_asked_for() {
    let kept = Kept::of(vec![table("users", 10, 1)], |_| ()).await;
    let _instance = kept.house.instance();
    kept.ask("one", json!({})).await;
    kept.answer("one", SOON).await.unwrap();
    kept.ask("clean", json!({ "mode": "audit", "tables": ["users"] })).await;
    let clean = kept.answer("clean", SOON).await.unwrap();
    let audit = |pivot: &Value| pivot["tables"][0]["audit"].clone();
    assert_eq!((&audit(&clean)["missing"], &audit(&clean)["different"]), (&json!(0), &json!(0)));
    kept.replica.change(&TableName::new("canvas", "users"), |table| {
        table.rows.remove(&vec!["3".to_owned()]);
        let mut other = table.rows[&vec!["4".to_owned()]].clone();
        other.insert("name".into(), "planted".into());
        table.rows.insert(vec!["4".to_owned()], other.clone());
        table.rows.insert(vec!["99".to_owned()], other);
    });
    for (token, heal) in [("found", false), ("healed", true), ("again", false)] {
        kept.ask(token, json!({ "mode": "audit", "tables": ["users"], "heal": heal })).await;
        let found = audit(&kept.answer(token, SOON).await.unwrap());
        let counts = ["missing", "extra", "different"].map(|name| found[name].as_u64().unwrap());
        assert_eq!(counts, if token == "again" { [0; 3] } else { [1; 3] }, "{token}");
        assert_eq!(found["healed"], heal);
    }
    kept.is_whole("users");
}

#[tokio::test(start_paused = true)]
async fn a_table_that_others_hold_is_tried_again_and_names_them_when_given_up() {
    let mut table = table("users", 4, 1);
    table["schemas"].as_array_mut().unwrap().push(json!({ "version": 2, "value": {
        "name": { "type": "string" }, "size": { "type": "integer", "format": "int64" }, "more": { "type": "string" },
    } }));
    table["commits"][1]["version"] = 2.into();
    for (times, is_given_up) in [(2, false), (3, true)] {
        let kept = Kept::of(vec![table.clone()], |_| ()).await;
        let _instance = kept.house.instance();
        kept.ask("one", json!({})).await;
        kept.answer("one", SOON).await.unwrap();
        kept.control(json!({ "commit": 1 }));
        kept.replica.in_the_way(&TableName::new("canvas", "users"), times);
        kept.ask("two", json!({})).await;
        match kept.answer("two", Duration::from_hours(1)).await {
            Ok(pivot) => {
                assert!(
                    !is_given_up && !pivot["tables"][0]["statements"].as_array().unwrap().is_empty(),
                    "{pivot}"
                );
                kept.is_whole("users");
            }
            Err((_, cause)) => {
                let why = cause["files"][0]["why"].as_str().unwrap();
                assert!(is_given_up && why.contains("analyst (psql, pid 7"), "{why}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_waits_for_a_person_keeps_the_column_and_the_rest_goes_on() {
    let mut table = table("users", 4, 1);
    table["schemas"].as_array_mut().unwrap().push(json!({ "version": 2, "value": {
        "size": { "type": "integer", "format": "int32" }, "more": { "type": "string" },
    } }));
    table["commits"][1]["version"] = 2.into();
    let kept =
        Kept::of(vec![table], |canvas| canvas.on_change = vec!["drop=hold".into(), "add=hold".into()]).await;
    let _instance = kept.house.instance();
    kept.ask("one", json!({})).await;
    kept.answer("one", SOON).await.unwrap();
    kept.control(json!({ "commit": 1 }));
    kept.ask("two", json!({ "dryRun": true })).await;
    let planned = kept.answer("two", SOON).await.unwrap();
    assert_eq!(planned["held"]["users"], json!(["drop column name", "add column more text"]), "{planned}");
    kept.ask("three", json!({})).await;
    let pivot = kept.answer("three", SOON).await.unwrap();
    assert_eq!(pivot["held"], planned["held"]);
    let columns = kept.replica.table(&TableName::new("canvas", "users")).unwrap().found.columns;
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "name", "size"]);
}

#[tokio::test(start_paused = true)]
async fn a_table_whose_columns_are_to_be_treated_otherwise_is_loaded_anew() {
    let kept = Kept::of(vec![table("users", 4, 1)], |canvas| {
        canvas.columns = vec!["users.name=drop".into(), "users.size=hash".into()];
        canvas.hash_key = Some(SecretString::from("a key"));
    });
    let kept = kept.await;
    let _instance = kept.house.instance();
    let users = TableName::new("canvas", "users");
    let mark = || kept.replica.table(&users).unwrap().mark;
    let run = async |token: &str, payload: Value| {
        kept.ask(token, payload).await;
        kept.answer(token, SOON).await.unwrap()["tables"][0].clone()
    };
    run("one", json!({})).await;
    let wanted = mark().unwrap();
    assert!(wanted.starts_with("name=drop,size=hash;key=") && !wanted.contains("a key"), "{wanted}");
    let again = run("two", json!({})).await;
    assert!(!again["notes"].to_string().contains("anew"), "{again}");
    for (n, other) in
        [None, Some("name=drop".to_owned()), Some("name=drop,size=hash;key=00000000".to_owned())]
            .into_iter()
            .enumerate()
    {
        // As where the official client, or other settings, have loaded it.
        kept.replica.change(&users, |table| table.mark.clone_from(&other));
        let planned = run(&format!("planned-{n}"), json!({ "dryRun": true })).await;
        assert!(planned["notes"].to_string().contains("as a whole"), "{planned}");
        assert_eq!(mark(), other);
        let loaded = run(&format!("loaded-{n}"), json!({})).await;
        assert!(loaded["notes"].to_string().contains("loaded anew"), "{loaded}");
        assert_eq!(mark().as_ref(), Some(&wanted));
    }
    // A hash that another program has cut.
    kept.replica.change(&users, |table| {
        for column in table.found.columns.iter_mut().filter(|column| column.name == "size") {
            column.kind = "character varying(32)".to_owned();
        }
    });
    let loaded = run("cut", json!({})).await;
    assert!(loaded["notes"].to_string().contains("loaded anew"), "{loaded}");
    let columns = kept.replica.table(&users).unwrap().found.columns;
    assert_eq!(columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["id", "size"]);
}

#[tokio::test(start_paused = true)]
async fn two_instances_with_two_namespaces_share_a_database() {
    let mut kept = Kept::of(vec![table("users", 10, 0)], |_| ()).await;
    let mut other = table("courses", 4, 0);
    other["namespace"] = "catalog".into();
    let world: DapWorld = serde_json::from_value(json!({ "tables": [other] })).unwrap();
    let at = DapSettings { epoch: kept.house.clock.epoch, ..DapSettings::default() };
    let platform = DapSimulator::new(at, world).unwrap();
    let north = settings(|of| {
        of.instance = "north".to_owned();
        of.namespaces = vec!["catalog".to_owned()];
    });
    kept.house.replicated.push(Replicated {
        source: Arc::new(source_of(&kept.house, &platform, &north)),
        settings: Arc::new(north),
        replica: Arc::new(kept.replica.clone()),
        messages: kept.told.clone(),
    });
    let _instance = kept.house.instance();
    kept.ask("first", json!({})).await;
    kept.ask("second", json!({ "instance": "north" })).await;
    kept.ask("third", json!({ "instance": "south" })).await;
    let [first, second] =
        [kept.answer("first", SOON).await.unwrap(), kept.answer("second", SOON).await.unwrap()];
    assert_eq!((&first["instance"], &first["complete"]), (&json!("main"), &json!(["users"])));
    assert_eq!((&second["instance"], &second["complete"]), (&json!("north"), &json!(["courses"])));
    assert_eq!((&second["namespace"], second["num_failed"].as_u64()), (&json!("catalog"), Some(0)));
    let (error, cause) = kept.answer("third", SOON).await.unwrap_err();
    assert_eq!(error, "InvalidRequest");
    assert!(cause["message"].as_str().unwrap().contains("no settings of `south`"), "{cause}");
    for (namespace, name, rows) in [("canvas", "users", 10), ("catalog", "courses", 4)] {
        assert_eq!(kept.replica.table(&TableName::new(namespace, name)).unwrap().rows.len(), rows);
    }
    assert!(kept.replica.table(&TableName::new("canvas", "courses")).is_none());
}
