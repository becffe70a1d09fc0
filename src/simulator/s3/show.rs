//! What lies in a bucket, for those who test with it.

use std::{collections::BTreeMap, ops::Bound};

use serde::Serialize;

use super::store::Object;
use crate::simulator::{HASHED_AT_ONCE, Simulator};

/// An object as `/sim/objects` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectEntry {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Its `ETag`, without quotes.
    pub etag: String,
    /// MD5 of the content, for multi-part objects too.
    pub md5: String,
    /// Its storage class.
    pub storage_class: &'static str,
    /// Its content headers, by the names they have.
    pub headers: BTreeMap<&'static str, String>,
    /// Its own metadata.
    pub metadata: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The canned ACL that it was written with.
    pub acl: Option<String>,
    /// The restore that was asked for last.
    pub restore: Option<RestoreEntry>,
}

/// A restore that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreEntry {
    /// How fast.
    pub tier: String,
    /// For how many days.
    pub days: Option<i32>,
}

/// An upload in parts that has not ended, as `/sim/uploads` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadEntry {
    /// The key it is for.
    pub key: String,
    /// Its id.
    pub upload_id: String,
    /// The numbers of the parts that are there.
    pub parts: Vec<i32>,
}

impl Simulator {
    /// The objects of a bucket whose keys start with `prefix`, in order; none of a bucket that is not
    /// there. Hashes all content it shows that was not hashed before.
    pub async fn objects(&self, bucket: &str, prefix: &str) -> Vec<ObjectEntry> {
        let found = self.with(|state| {
            let (mut found, mut from) = (Vec::new(), Bound::Included(prefix.to_owned()));
            while let Some(key) = state.next_key(bucket, from.as_ref().map(String::as_str)) {
                if !key.starts_with(prefix) {
                    break;
                }
                found.extend(state.object(bucket, &key).map(|object| (key.clone(), object)));
                from = Bound::Excluded(key);
            }
            found
        });
        let bytes: u64 = found.iter().map(|(_, object)| object.content.size()).sum();
        let show = move || found.into_iter().map(entry).collect();
        if bytes <= HASHED_AT_ONCE {
            show()
        } else {
            tokio::task::spawn_blocking(show).await.unwrap_or_default()
        }
    }

    /// The uploads to a bucket that were begun and not ended, by key.
    pub fn uploads(&self, bucket: &str) -> Vec<UploadEntry> {
        let mut found: Vec<_> = self.with(|state| {
            let uploads = state.s3.uploads.iter().filter(|(_, upload)| upload.bucket == bucket);
            let entries = uploads.map(|(id, upload)| UploadEntry {
                key: upload.key.clone(),
                upload_id: id.clone(),
                parts: upload.parts.keys().copied().collect(),
            });
            entries.collect()
        });
        found.sort();
        found
    }
}

fn entry((key, object): (String, Object)) -> ObjectEntry {
    let (etag, about) = (object.tag(), object.about);
    let headers = [
        ("content-type", &about.content_type),
        ("content-encoding", &about.content_encoding),
        ("content-language", &about.content_language),
        ("content-disposition", &about.content_disposition),
        ("cache-control", &about.cache_control),
    ];
    ObjectEntry {
        key,
        size: object.content.size(),
        etag,
        md5: object.content.md5_text(),
        storage_class: about.class.name(),
        headers: headers.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect(),
        metadata: about.metadata.clone().into_iter().collect(),
        tags: about.tags.iter().cloned().collect(),
        acl: about.acl.clone(),
        restore: about.restored.as_ref().map(|it| RestoreEntry { tier: it.tier.clone(), days: it.days }),
    }
}
