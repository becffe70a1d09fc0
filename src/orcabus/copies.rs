//! Copies of files, as the service for files keeps account of them.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use serde_json::json;
use url::form_urlencoded::byte_serialize;

use super::{ask::Ask, client::Client, wire::FileObject};
use crate::ports::{
    Class, Error, Result,
    inventory::{Copies, NewCopy},
};

/// Objects of a question.
const KEYS: usize = 50;
/// Bytes of their keys in its address, unless one alone has more.
const KEY_BYTES: usize = 4096;
/// Records that are changed at a time.
const WIDTH: usize = 8;

/// The accounts that the service for files keeps.
#[derive(Debug)]
pub struct Accounts(Arc<Client>);

impl Accounts {
    /// Those of that service.
    #[must_use]
    pub fn new(client: Arc<Client>) -> Self {
        Self(client)
    }

    /// What is known of some objects.
    async fn of(&self, bucket: &str, copies: &[NewCopy]) -> Result<Vec<FileObject>> {
        let keys: Vec<String> = copies.iter().map(|copy| verbatim(&copy.key)).collect();
        let ask =
            Ask::list("file", "GET file /s3", &["s3"]).with("bucket", bucket).with("currentState", "true");
        self.0.all(ask.with_each("key[]", &keys)).await
    }

    /// Gives a record the id of the file that it is a copy of; whether the record is still there.
    async fn rename(&self, record: &str, ingest_id: &str) -> Result<bool> {
        let body = json!({ "ingestId": [{ "op": "add", "path": "/", "value": ingest_id }] });
        let order = Ask::order((Method::PATCH, "file"), "PATCH file /s3/{id}", &["s3", record], body);
        match self.0.tell(&order.with("updateTag", "true")).await {
            Err(error) if error.class == Class::NotFound => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Does it for a few.
    async fn adopt_some(&self, bucket: &str, copies: Vec<NewCopy>) -> Result<Vec<NewCopy>> {
        let mut records: BTreeMap<String, Vec<FileObject>> = BTreeMap::new();
        for file in self.of(bucket, &copies).await? {
            if file.is_there() && file.bucket == bucket {
                records.entry(file.key.clone()).or_default().push(file);
            }
        }
        let mut unknown = Vec::new();
        let mut renames = Vec::new();
        for copy in copies {
            let Some(of) = records.remove(&copy.key) else {
                unknown.push(copy);
                continue;
            };
            for file in of.into_iter().filter(|file| file.ingest_id.as_ref() != Some(&copy.ingest_id)) {
                let record = file.s3_object_id.ok_or_else(|| {
                    Error::new(Class::Invalid, "GET file /s3", "the record of an object has no id")
                })?;
                renames.push((record, copy.clone()));
            }
        }
        let renames = renames.into_iter().map(|(record, copy)| async move {
            let is_there = self.rename(&record, &copy.ingest_id).await?;
            Ok::<_, Error>((!is_there).then_some(copy))
        });
        let gone: Vec<_> = stream::iter(renames).buffer_unordered(WIDTH).try_collect().await?;
        unknown.extend(gone.into_iter().flatten());
        Ok(unknown)
    }
}

/// A text that stands for itself alone: the service takes `*` and `?` for any text.
fn verbatim(text: &str) -> String {
    let mut verbatim = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '*' | '?' | '\\') {
            verbatim.push('\\');
        }
        verbatim.push(letter);
    }
    verbatim
}

/// Objects, as many at a time as fit into a question.
fn batches(copies: Vec<NewCopy>) -> Vec<Vec<NewCopy>> {
    let mut batches: Vec<Vec<NewCopy>> = Vec::new();
    let mut bytes = 0;
    for copy in copies {
        let more = byte_serialize(verbatim(&copy.key).as_bytes()).map(str::len).sum::<usize>();
        match batches.last_mut() {
            Some(last) if last.len() < KEYS && bytes + more <= KEY_BYTES => {
                bytes += more;
                last.push(copy);
            }
            _ => {
                bytes = more;
                batches.push(vec![copy]);
            }
        }
    }
    batches
}

#[async_trait]
impl Copies for Accounts {
    async fn knows(&self, bucket: &str) -> Result<bool> {
        let ask = Ask::list("file", "GET file /s3", &["s3"]).at_most(1);
        let ask = ask.with("bucket", bucket).with("currentState", "true");
        Ok(!self.0.page::<FileObject>(&ask).await?.0.is_empty())
    }

    async fn look_again(&self, bucket: &str, prefix: &str) -> Result<()> {
        let body = json!({ "bucket": bucket, "prefix": prefix });
        let path = ["s3", "crawl", "sync"];
        self.0.tell(&Ask::order((Method::POST, "file"), "POST file /s3/crawl/sync", &path, body)).await
    }

    async fn adopt(&self, bucket: &str, copies: Vec<NewCopy>) -> Result<Vec<NewCopy>> {
        let mut unknown = Vec::new();
        for some in batches(copies) {
            unknown.extend(self.adopt_some(bucket, some).await?);
        }
        Ok(unknown)
    }
}
