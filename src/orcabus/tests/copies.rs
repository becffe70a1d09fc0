//! Copies, as the service for files keeps account of them.

use pretty_assertions::assert_eq;
use serde_json::Value;

use super::world::{Served, World, file, serve};
use crate::{
    orcabus::Accounts,
    ports::{
        Class,
        inventory::{Copies as _, NewCopy},
    },
};

/// The record of an object of `dest`.
fn record(key: &str, ingest: &str) -> Value {
    let mut record = file(key, ingest, "Standard", true, "");
    record["bucket"] = "dest".into();
    record["s3ObjectId"] = hex::encode(key).into();
    record
}

fn copies(all: &[(&str, &str)]) -> Vec<NewCopy> {
    let copy = |&(key, id): &(&str, &str)| NewCopy { key: key.to_owned(), ingest_id: id.to_owned() };
    all.iter().map(copy).collect()
}

async fn served(known: Vec<Value>, unseen: Vec<Value>) -> (Served, Accounts) {
    let world = World { records: known.into(), unseen: unseen.into(), ..super::world::world() };
    let served = serve(world, &["good"]).await;
    let accounts = Accounts::new(served.client.clone());
    (served, accounts)
}

/// The ids of the records, by their keys.
fn ids(served: &Served) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let records = served.world.records.lock().unwrap();
    records.iter().map(|record| (text(&record["key"]), text(&record["ingestId"]))).collect()
}

#[tokio::test]
async fn copies_get_the_ids_of_their_files_and_others_keep_theirs() {
    let known = ["in/a.fastq.gz", "in/b*.fastq.gz", "in/bx.fastq.gz", "in/c.fastq.gz", "in/d.fastq.gz"];
    let (served, accounts) = served(known.iter().map(|key| record(key, "own")).collect(), Vec::new()).await;
    assert!(accounts.knows("dest").await.unwrap());
    assert!(!accounts.knows("elsewhere").await.unwrap());
    assert!(served.asked("file/s3").iter().all(|asked| asked.contains("rowsPerPage=1&")), "one is enough");
    let new =
        copies(&[("in/a.fastq.gz", "A"), ("in/b*.fastq.gz", "B"), ("in/c.fastq.gz", "own"), ("in/x", "X")]);
    let unknown = accounts.adopt("dest", new.clone()).await.unwrap();
    assert_eq!(unknown, copies(&[("in/x", "X")]));
    let own = |key: &str, id: &str| (key.to_owned(), id.to_owned());
    let expected = [
        own("in/a.fastq.gz", "A"),
        own("in/b*.fastq.gz", "B"),
        own("in/bx.fastq.gz", "own"),
        own("in/c.fastq.gz", "own"),
        own("in/d.fastq.gz", "own"),
    ];
    assert_eq!(ids(&served), expected, "`*` in a key is no other key");
    let orders =
        || served.world.asked.lock().unwrap().iter().filter(|asked| asked.contains("updateTag")).count();
    assert_eq!(orders(), 2, "what is right stays");
    accounts.adopt("dest", new).await.unwrap();
    assert_eq!(orders(), 2, "and nothing is done twice");
}

#[tokio::test]
async fn long_keys_are_asked_for_a_few_at_a_time() {
    let keys: Vec<String> = (0..120).map(|n| format!("in/{}/{n}", "ü".repeat(100))).collect();
    let (served, accounts) = served(keys.iter().map(|key| record(key, "own")).collect(), Vec::new()).await;
    let new = keys.iter().map(|key| NewCopy { key: key.clone(), ingest_id: "new".into() }).collect();
    assert_eq!(accounts.adopt("dest", new).await.unwrap(), []);
    assert!(ids(&served).iter().all(|(_, id)| id == "new"));
    let longest = served.asked("file/s3").iter().map(|asked| asked.matches("key[]").count()).max();
    assert_eq!(longest, Some(6), "of 600 bytes each");
}

#[tokio::test]
async fn a_prefix_is_looked_at_anew_once_at_a_time() {
    let (served, accounts) = served(Vec::new(), vec![record("in/a", "own"), record("other/b", "own")]).await;
    accounts.look_again("dest", "in/").await.unwrap();
    assert_eq!(ids(&served).len(), 1, "below that prefix alone");
    let error = accounts.look_again("dest", "in/").await.unwrap_err();
    assert_eq!((error.class, error.status), (Class::Conflict, Some(409)));
    assert!(error.message.contains("another crawl on dest is already in progress"), "{error}");
    // A look that is cut off goes on, and is not asked for twice.
    served.world.asked.lock().unwrap().clear();
    *served.world.trouble.lock().unwrap() = [504, 200].into();
    assert_eq!(accounts.look_again("dest", "other/").await.unwrap_err().class, Class::Transient);
    assert_eq!(served.asked("file/s3/crawl/sync").len(), 1);
}

#[tokio::test]
async fn a_record_that_is_gone_meanwhile_is_not_known_and_other_trouble_is_told() {
    let mut gone = record("in/a", "own");
    let (served, accounts) = served(vec![gone.clone()], Vec::new()).await;
    *served.world.trouble.lock().unwrap() = [503, 500].into();
    assert_eq!(accounts.adopt("dest", copies(&[("in/a", "A")])).await.unwrap(), [], "it is tried again");
    gone["s3ObjectId"] = Value::Null;
    *served.world.records.lock().unwrap() = vec![gone];
    let error = accounts.adopt("dest", copies(&[("in/a", "B")])).await.unwrap_err();
    assert_eq!(error.class, Class::Invalid);
    *served.world.trouble.lock().unwrap() = [403].into();
    assert_eq!(accounts.adopt("dest", copies(&[("in/a", "B")])).await.unwrap_err().class, Class::Forbidden);
}
