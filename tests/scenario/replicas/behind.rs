//! Tables that are loaded anew, or audited, within a day: the platform answers with the snapshot that it gave before.

use std::time::Duration;

use copy_manager::domain::replica::names::TableName;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Kept, table};
use crate::replicas::memory::Wrong;

const SOON: Duration = Duration::from_mins(30);

/// A table that was loaded, and has had two syncs since; all within an hour.
async fn synced() -> Kept {
    let kept = Kept::of(vec![table("users", 10, 3)], |_| ()).await;
    kept.control(json!({ "outdated": true }));
    for commit in 0..3 {
        kept.control(json!({ "commit": commit }));
        let instance = kept.house.instance();
        kept.ask(&format!("sync {commit}"), json!({})).await;
        kept.answer(&format!("sync {commit}"), SOON).await.unwrap();
        drop(instance);
    }
    kept
}

fn jobs(kept: &Kept) -> usize {
    kept.platform.log(false).iter().filter(|call| call.path.ends_with("/data")).count()
}

/// What a run says of the only table.
fn of_users(output: &Value) -> &Value {
    &output["tables"][0]
}

#[tokio::test(start_paused = true)]
async fn a_table_is_loaded_anew_also_where_the_platform_has_only_an_older_snapshot() {
    let kept = synced().await;
    let users = TableName::new("canvas", "users");
    // What nobody at the platform has said.
    kept.replica.change(&users, |table| drop(table.rows.pop_first()));
    let before = kept.replica.table(&users).unwrap().meta.unwrap();
    let asked = jobs(&kept);
    let _instance = kept.house.instance();
    kept.ask("init", json!({ "mode": "init" })).await;
    let output = kept.answer("init", SOON).await.unwrap();
    kept.is_whole("users");
    let after = kept.replica.table(&users).unwrap().meta.unwrap();
    assert_eq!(after, before, "the table is of the same time as before");
    let notes = of_users(&output)["notes"].to_string();
    assert!(
        notes.contains("the source gave a snapshot of") && notes.contains("was brought forward"),
        "{output}"
    );
    assert_eq!(of_users(&output)["initialised"], true);
    assert_eq!(of_users(&output)["rows"]["inserted"], 1, "{output}");
    assert_eq!(jobs(&kept) - asked, 4, "the snapshot, the two changes since, and whether there are more");
}

/// The platform gives the snapshot that the table had, as it does within a day.
#[tokio::test(start_paused = true)]
async fn a_table_that_somebody_has_dropped_is_made_again_also_from_the_snapshot_that_it_had() {
    let kept = Kept::of(vec![table("users", 10, 1)], |_| ()).await;
    let _instance = kept.house.instance();
    kept.ask("first", json!({})).await;
    kept.answer("first", SOON).await.unwrap();
    let users = TableName::new("canvas", "users");
    kept.replica.change(&users, |table| {
        table.is_dropped = true;
        table.rows.clear();
    });
    kept.ask("again", json!({})).await;
    let output = kept.answer("again", SOON).await.unwrap();
    kept.is_whole("users");
    assert!(!kept.replica.table(&users).unwrap().is_dropped, "{output}");
    assert_eq!(of_users(&output)["rows"]["inserted"], 10, "{output}");
}

#[tokio::test(start_paused = true)]
async fn whatever_call_goes_wrong_meanwhile_the_end_is_the_same() {
    let whole = async |wrong: Option<(u64, Wrong)>| {
        let kept = synced().await;
        kept.control(json!({ "commit": 3 }));
        let before = kept.replica.calls();
        if let Some((at, how)) = wrong {
            kept.replica.goes_wrong(before + at, how);
        }
        let mut instance = Some(kept.house.instance());
        kept.ask("init", json!({ "mode": "init" })).await;
        if matches!(wrong, Some((_, Wrong::Never))) {
            sleep(Duration::from_secs(20)).await;
            drop(instance.take());
            instance = Some(kept.house.instance());
        }
        let answer = kept.answer("init", SOON).await;
        assert!(answer.is_ok(), "{wrong:?}: {answer:?}");
        kept.is_whole("users");
        // Once more than without trouble, where it became the table and the answer was lost.
        assert!(kept.replica.most_loads() <= 3, "{wrong:?}");
        drop(instance);
        kept.replica.calls() - before
    };
    let calls = Box::pin(whole(None)).await;
    assert!(calls > 8, "{calls}");
    for at in 1..=calls {
        for how in [Wrong::Before, Wrong::After, Wrong::Never] {
            Box::pin(whole(Some((at, how)))).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_audit_on_the_day_of_the_load_finds_what_differs_and_mends_it() {
    let kept = synced().await;
    let users = TableName::new("canvas", "users");
    kept.replica.change(&users, |table| {
        for row in table.rows.values_mut().take(1) {
            row.insert("size".to_owned(), "77".to_owned());
        }
    });
    let _instance = kept.house.instance();
    kept.ask("audit", json!({ "mode": "audit", "heal": true })).await;
    let output = kept.answer("audit", SOON).await.unwrap();
    let audit = &of_users(&output)["audit"];
    assert_eq!((&audit["different"], &audit["missing"], &audit["extra"]), (&json!(1), &json!(0), &json!(0)));
    assert_eq!(audit["healed"], true, "{output}");
    kept.is_whole("users");
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_changes_meanwhile_has_the_snapshot_loaded_once_more_by_it() {
    let mut users = table("users", 10, 2);
    let mut value = users["schemas"][0]["value"].clone();
    value["born"] = json!({ "type": "string" });
    users["schemas"].as_array_mut().unwrap().push(json!({ "version": 2, "value": value }));
    users["commits"][2]["version"] = json!(2);
    users["commits"][2]["changes"][0]["value"]["born"] = json!("in spring");
    let kept = Kept::of(vec![users], |_| ()).await;
    kept.control(json!({ "outdated": true }));
    let _instance = kept.house.instance();
    for (commit, token, payload) in
        [(0, "one", json!({})), (1, "two", json!({})), (2, "init", json!({ "mode": "init" }))]
    {
        kept.control(json!({ "commit": commit }));
        kept.ask(token, payload).await;
        kept.answer(token, SOON).await.unwrap();
    }
    kept.is_whole("users");
    let found = kept.replica.table(&TableName::new("canvas", "users")).unwrap().found;
    assert!(found.columns.iter().any(|column| column.name == "born"), "{found:?}");
    assert_eq!(kept.replica.most_loads(), 3, "by the first schema, and once more by the second");
}
