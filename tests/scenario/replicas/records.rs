//! Records of runs that released versions have left in the midst of the work (`crate::records`): this version brings
//! them to their end.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::{Kept, table};
use crate::{
    kept,
    records::{all, put_all, unmarked},
};

/// When the records are taken.
const AT: Duration = Duration::from_mins(2);

const MOMENTS: [&str; 2] = ["replica-received", "replica-running"];

async fn world() -> Kept {
    Kept::of(vec![table("users", 4, 0), table("courses", 3, 0)], |_| ()).await
}

/// Every table is a child that waits for the platform.
async fn taken_at(moment: &str) -> Vec<copy_manager::ports::store::Item> {
    let mut kept = world().await;
    if moment == MOMENTS[0] {
        kept.house.settings.service.max_active = 0;
    }
    kept.control(json!({ "job_seconds": 1200 }));
    let instance = kept.house.instance();
    kept.ask("run", json!({})).await;
    sleep(AT / 2).await;
    drop(instance);
    all(&kept.house).await
}

async fn is_brought_to_its_end(items: Vec<copy_manager::ports::store::Item>) {
    let kept = world().await;
    sleep(AT).await;
    put_all(&kept.house, items).await;
    let _instance = kept.house.instance();
    let answer = kept.answer("run", Duration::from_mins(30)).await;
    assert!(answer.is_ok(), "{answer:?}");
    for name in ["users", "courses"] {
        kept.is_whole(name);
    }
    sleep(Duration::from_mins(20)).await;
    assert_eq!(kept.house.unsettled().await, []);
}

#[tokio::test(start_paused = true)]
async fn runs_of_every_released_version_are_brought_to_their_end() {
    for version in kept::versions() {
        for moment in MOMENTS {
            is_brought_to_its_end(kept::read(&version, moment)).await;
            is_brought_to_its_end(unmarked(kept::read(&version, moment))).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn writes_what_is_kept_of_runs_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    for moment in MOMENTS {
        let items = taken_at(moment).await;
        if std::env::var_os("UPDATE_DOCS").is_some() {
            kept::write(version, moment, &items);
        }
        assert_eq!(items.len(), kept::read(version, moment).len(), "{moment}");
    }
}
