//! The ids that reads keep wherever they lie: told of the copies that pushes make, where account is kept of them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use copy_manager::{
    domain::share::{outcome::IngestIds, rows::Row},
    events::share::{asked, shown::JobStatus},
    ports::{
        Class, Error, Result,
        inventory::{Copies, Inventory, NewCopy, Pages, RowQuery},
    },
    share::Backend as _,
};
use pretty_assertions::assert_eq;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    house::{House, Instance},
    sharing::{MINUTE, RUN, desk, fastq, house, made, push_ended, pushed},
};

/// A catalogue whose files have ids: their own names.
#[derive(Debug)]
struct WithIds(Arc<dyn Inventory>);

struct Given(Box<dyn Pages<Row>>);

#[async_trait]
impl Pages<Row> for Given {
    async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        let page = self.0.next().await?;
        let given = |row: Row| Row { ingest_id: row.key().rsplit('/').next().unwrap().to_owned(), ..row };
        Ok(page.map(|page| page.into_iter().map(given).collect()))
    }
}

#[async_trait]
impl Inventory for WithIds {
    async fn rows(&self, query: &RowQuery) -> Result<Box<dyn Pages<Row>>> {
        Ok(Box::new(Given(self.0.rows(query).await?)))
    }

    async fn manifest(&self, uri: &str) -> Result<Box<dyn Pages<Row>>> {
        self.0.manifest(uri).await
    }
}

/// The accounts of the bucket `dest`.
#[derive(Debug, Default)]
struct Accounts {
    /// The ids of objects, by their keys; of others nothing is known.
    ids: Mutex<BTreeMap<String, String>>,
    /// Keys that are seen when it is looked anew.
    unseen: Mutex<BTreeSet<String>>,
    asked: Mutex<Vec<String>>,
    /// What comes of the next calls.
    trouble: Mutex<VecDeque<Option<Class>>>,
}

impl Accounts {
    fn note(&self, what: String) -> Result<()> {
        self.asked.lock().unwrap().push(what);
        match self.trouble.lock().unwrap().pop_front() {
            Some(Some(class)) => Err(Error::new(class, "PATCH file /s3/{id}", "file.zone answered 502")),
            Some(None) | None => Ok(()),
        }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Copies for Accounts {
    async fn knows(&self, bucket: &str) -> Result<bool> {
        self.note(format!("knows {bucket}"))?;
        Ok(bucket == "dest")
    }

    async fn look_again(&self, bucket: &str, prefix: &str) -> Result<()> {
        self.note(format!("look {bucket} {prefix}"))?;
        let seen = std::mem::take(&mut *self.unseen.lock().unwrap());
        self.ids.lock().unwrap().extend(seen.into_iter().map(|key| (key, "own".to_owned())));
        Ok(())
    }

    async fn adopt(&self, bucket: &str, copies: Vec<NewCopy>) -> Result<Vec<NewCopy>> {
        self.note(format!("adopt {bucket} {}", copies.len()))?;
        let mut ids = self.ids.lock().unwrap();
        Ok(copies
            .into_iter()
            .filter(|copy| match ids.get_mut(&copy.key) {
                Some(id) => {
                    id.clone_from(&copy.ingest_id);
                    false
                }
                None => true,
            })
            .collect())
    }
}

async fn with_accounts() -> (House, Arc<Accounts>) {
    let mut house = house().await;
    let accounts = Arc::new(Accounts::default());
    let sharing = house.sharing.as_mut().unwrap();
    sharing.inventory = Arc::new(WithIds(sharing.inventory.clone()));
    sharing.copies = Some(accounts.clone());
    (house, accounts)
}

/// The keys of the reads of a library below `in/`, in their order.
fn keys_of(library: &str) -> Vec<String> {
    [(1, 1), (1, 2), (2, 1), (2, 2)].map(|(lane, read)| format!("in/{}", fastq(library, lane, read))).to_vec()
}

async fn packaged(house: &House, instance: &Instance) -> String {
    let both = json!({ "libraryIdList": ["L2400001"], "dataTypeList": ["fastq", "secondaryAnalysis"] });
    let package = made(&desk(house, instance), both).await;
    assert_eq!(package.status, JobStatus::Succeeded);
    package.id
}

#[tokio::test(start_paused = true)]
async fn copies_of_reads_get_the_ids_of_their_files_where_account_is_kept() {
    let (house, accounts) = with_accounts().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = packaged(&house, &instance).await;
    // One object is known by its event; the others are only seen when it is looked anew.
    let keys = keys_of("L2400001");
    accounts.ids.lock().unwrap().insert(keys[0].clone(), "own".into());
    accounts.unseen.lock().unwrap().extend(keys[1..].iter().cloned());
    let push = pushed(&desk, &package, "s3://dest/in/").await;
    assert_eq!(push.status, JobStatus::Succeeded);
    assert_eq!(push.ingest_ids, Some(IngestIds { files: 4, without: 0, why: None }));
    assert_eq!(accounts.asked(), ["knows dest", "adopt dest 4", "look dest in/", "adopt dest 3"]);
    let named: BTreeMap<String, String> =
        keys.iter().map(|key| (key.clone(), key.rsplit('/').next().unwrap().to_owned())).collect();
    assert_eq!(*accounts.ids.lock().unwrap(), named, "of analyses nothing is told");
    sleep(MINUTE).await;
    let told = house.buses.told.lock().unwrap().clone();
    let last = told.iter().rev().find(|told| told["id"] == push.id.as_str()).unwrap();
    assert_eq!(last["ingestIds"], json!({ "files": 4, "without": 0 }));

    // Where no account is kept, nothing is told, and nothing is said of it.
    let push = pushed(&desk, &package, "s3://tables/in/").await;
    assert_eq!((push.status, push.ingest_ids), (JobStatus::Succeeded, None));
    assert_eq!(accounts.asked(), ["knows tables"]);
    // Nor for what is only tried.
    let dry = asked::push(&json!({ "shareDestination": "s3://dest/new/", "dryRun": true })).unwrap();
    let dry =
        desk.push("bob", &copy_manager::domain::ids::RequestId::new(package.as_str()), dry).await.unwrap();
    assert_eq!(push_ended(&desk, &dry.id).await.status, JobStatus::Succeeded);
    assert_eq!(accounts.asked(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_push_is_whole_whatever_becomes_of_the_ids() {
    let (house, accounts) = with_accounts().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let package = packaged(&house, &instance).await;
    let ids = |without, why: &str| {
        let why = (!why.is_empty()).then(|| why.to_owned());
        Some(IngestIds { files: 4 - without, without, why })
    };
    let down = "PATCH file /s3/{id}: file.zone answered 502";
    for (before, trouble, expected) in [
        (0, Class::Transient, vec!["knows dest"]),
        (1, Class::Forbidden, vec!["knows dest", "adopt dest 4"]),
        // What cannot be looked at anew now may be known all the same.
        (2, Class::Conflict, vec!["knows dest", "adopt dest 4", "look dest in/", "adopt dest 4"]),
    ] {
        // What comes before goes well.
        *accounts.trouble.lock().unwrap() =
            std::iter::repeat_n(None, before).chain([Some(trouble)]).collect();
        let push = pushed(&desk, &package, "s3://dest/in/").await;
        assert_eq!((push.status, push.error_messages), (JobStatus::Succeeded, None));
        assert_eq!(push.ingest_ids, ids(4, down), "{trouble:?}");
        assert_eq!(accounts.asked(), expected);
        assert!(push.receipt.is_some_and(|receipt| receipt.files == 6), "and its papers are there");
    }
    // The same push again tells of them once more.
    accounts.ids.lock().unwrap().extend(keys_of("L2400001").into_iter().map(|key| (key, "own".to_owned())));
    let push = pushed(&desk, &package, "s3://dest/in/").await;
    assert_eq!((push.status, push.ingest_ids), (JobStatus::Succeeded, ids(0, "")));
    assert_eq!(accounts.asked(), ["knows dest", "adopt dest 4"]);
    // Of what is not there nothing is told.
    let lost = format!("primary/{RUN}/L2400001_S1_L001_R1_001.fastq.gz");
    house.put_object("src", &lost, b"another".to_vec()).await;
    let push = pushed(&desk, &package, "s3://dest/new/").await;
    assert_eq!(push.status, JobStatus::Failed);
    assert_eq!(push.ingest_ids.map(|ids| ids.files + ids.without), Some(3));
}

#[tokio::test(start_paused = true)]
async fn callers_cannot_say_which_ids_files_have() {
    let (house, accounts) = with_accounts().await;
    let instance = house.instance();
    let desk = desk(&house, &instance);
    let key = format!("primary/{RUN}/L2400001_S1_L001_R1_001.fastq.gz");
    let row = json!({ "uri": format!("s3://src/{key}"), "libraryId": "L2400001", "library_id": "L2400001",
        "instrument_run_id": RUN, "lane": 1, "ingest_id": "stolen", "ingestId": "stolen" });
    let package = made(&desk, json!({ "dataTypeList": ["fastq"], "manifest": [row] })).await;
    assert_eq!((package.status, package.error_message.as_deref()), (JobStatus::Succeeded, None));
    let push = pushed(&desk, &package.id, "s3://dest/in/").await;
    assert_eq!((push.status, push.ingest_ids), (JobStatus::Succeeded, None));
    assert_eq!(accounts.asked(), Vec::<String>::new());
}
