//! What a test sees of the house: answers, objects, trees, records, calls.

use std::time::Duration;

use copy_manager::{
    domain::ids::RequestId,
    embedded::store::SqliteStore,
    ports::{
        clock::Clock as _,
        store::{Item, Key, SHARDS, Store as _},
    },
    simulator::Entry,
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{doubles::Said, house::House};

impl House {
    /// Waits, in virtual time, until the token is answered.
    pub(crate) async fn answer(&self, token: &str, within: Duration) -> (Duration, Said) {
        let deadline = Instant::now() + within;
        loop {
            if let Some(answer) = self.callers.answer(token) {
                return answer;
            }
            assert!(Instant::now() < deadline, "`{token}` was not answered within {within:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The output of a request that must succeed.
    pub(crate) async fn success(&self, token: &str, within: Duration) -> Value {
        match self.answer(token, within).await.1 {
            Said::Success(output) => output,
            other => panic!("{other:?}"),
        }
    }

    /// The error and cause of a request that must fail.
    pub(crate) async fn failure(&self, token: &str, within: Duration) -> (String, Value) {
        match self.answer(token, within).await.1 {
            Said::Failure(error, cause) => (error, cause),
            other => panic!("{other:?}"),
        }
    }

    /// What is below a folder of a project: path inside it, status and MD5.
    pub(crate) async fn tree(&self, project: &str, folder: &str) -> Vec<(String, String, Option<String>)> {
        let entries: Vec<Entry> = self.simulator.tree(project, folder).await.unwrap();
        let relative = |entry: Entry| {
            let inside = entry.path.strip_prefix(folder).unwrap().to_owned();
            (inside, format!("{:?}", entry.status), entry.md5)
        };
        entries.into_iter().map(relative).collect()
    }

    /// Places among the running jobs of the destination project that are taken, express or not.
    pub(crate) async fn slots(&self) -> usize {
        self.slots_item()
            .await
            .map_or(0, |item| item.members("running").len() + item.members("express").len())
    }

    /// Who runs jobs in the destination project, and who waits to.
    pub(crate) async fn slots_item(&self) -> Option<Item> {
        let store = self.store();
        let key = Key::new("slots.22222222-2222-4222-8222-222222222222", "SLOTS");
        store.get(&key).await.unwrap()
    }

    /// What an object of the simulated S3 holds.
    pub(crate) async fn object(&self, bucket: &str, key: &str) -> String {
        let config = aws_sdk_s3::config::Builder::from(&self.s3);
        let config = config.endpoint_url("http://s3.simulated").force_path_style(true).build();
        let get = aws_sdk_s3::Client::from_conf(config).get_object().bucket(bucket).key(key);
        let body = get.send().await.unwrap().body.collect().await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// The table.
    pub(crate) fn store(&self) -> SqliteStore {
        SqliteStore::new(self.database.clone(), self.clock.clone())
    }

    /// The records of the slices of a request.
    pub(crate) async fn slices(&self, root: &str) -> Vec<Item> {
        let request = self.store().get(&Key::new(root, "REQUEST")).await.unwrap().unwrap();
        let state: Value = serde_json::from_str(request.text("state").unwrap()).unwrap();
        let number = |name: &str| u32::try_from(state[name].as_u64().unwrap()).unwrap();
        let bucket = state["slices"]["bucket"].as_str().unwrap();
        let id = |n| RequestId::child(&RequestId::new(root), number("generation"), "slice", bucket, n);
        let keys: Vec<_> = (0..number("children")).map(|n| Key::new(id(n).as_str(), "REQUEST")).collect();
        let mut slices = Vec::new();
        for keys in keys.chunks(100) {
            slices.extend(self.store().get_many(keys).await.unwrap());
        }
        slices
    }

    /// Wall time.
    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// Every record that anybody still has to do something about.
    pub(crate) async fn unsettled(&self) -> Vec<Key> {
        let store = self.store();
        let mut keys = Vec::new();
        for shard in 0..2 * SHARDS {
            keys.extend(store.due(shard, i64::MAX, 10_000).await.unwrap().into_iter().map(|due| due.key));
        }
        keys
    }

    /// API calls made so far, all or of one endpoint.
    pub(crate) fn calls(&self, name: Option<&str>) -> u64 {
        let stats = self.simulator.stats();
        name.map_or(stats.total, |name| stats.calls.get(name).copied().unwrap_or(0))
    }
}
