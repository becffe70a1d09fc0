//! With whose rights a bucket is used, and where it is.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

use super::ObjectsPlane;
use crate::{
    domain::copy_out::{BucketDefinition, Rights, SliceOptions},
    ports::{
        Class, Error, Result,
        objects::{Access, Endpoint, EndpointKeys, WriteOptions},
    },
};

/// How long keys are used before they are read again.
const FRESH: Duration = Duration::from_mins(5);
/// Secrets that are kept.
const MOST: usize = 64;

/// Keys that were read from secrets.
#[derive(Debug, Default)]
pub(crate) struct Keys(Mutex<HashMap<String, (Instant, EndpointKeys)>>);

impl Keys {
    fn get(&self, id: &str) -> Option<EndpointKeys> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).filter(|(read_at, _)| read_at.elapsed() < FRESH).map(|(_, keys)| keys.clone())
    }

    /// They are not what they were: all are read again.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn put(&self, id: &str, keys: EndpointKeys) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(id.to_owned(), (Instant::now(), keys));
    }
}

/// The content of the secret of a bucket.
#[derive(Deserialize)]
struct CachedClient {
    access_key_id: String,
    secret_access_key: SecretText,
    #[serde(default)]
    session_token: Option<SecretText>,
}

/// Never kept as plain text.
#[derive(Deserialize)]
#[serde(from = "String")]
struct SecretText(SecretString);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl ObjectsPlane {
    /// How a bucket is used that is defined like this; `unsigned`: asked for without a signature.
    pub(crate) async fn bucket_access(
        &self,
        bucket: &str,
        unsigned: bool,
        options: &SliceOptions,
    ) -> Result<Access> {
        let Some(BucketDefinition { region, endpoint_url, rights }) = options.buckets.get(bucket) else {
            return Ok(if unsigned { Access::Unsigned } else { Access::Own });
        };
        let rights = if unsigned { &Rights::None } else { rights };
        let keys = match rights {
            Rights::Own | Rights::None if region.is_none() && endpoint_url.is_none() => {
                return Ok(if *rights == Rights::Own { Access::Own } else { Access::Unsigned });
            }
            Rights::Own => EndpointKeys::Own,
            Rights::None => EndpointKeys::None,
            Rights::Secret(id) => self.keys_of(id).await?,
        };
        Ok(Access::Endpoint(Arc::new(Endpoint { url: endpoint_url.clone(), region: region.clone(), keys })))
    }

    async fn keys_of(&self, id: &str) -> Result<EndpointKeys> {
        if let Some(keys) = self.keys.get(id) {
            return Ok(keys);
        }
        let text = self.core.ports.secrets.read(id).await?;
        // What is wrong with it is not said in serde's words, which quote.
        let held: CachedClient = serde_json::from_str(text.expose_secret()).map_err(|_| {
            let why = format!(
                "the secret `{id}` must hold JSON with access_key_id and secret_access_key, and maybe session_token"
            );
            Error::new(Class::Invalid, "read secret", why)
        })?;
        let keys = EndpointKeys::Static {
            access_key_id: held.access_key_id,
            secret_access_key: held.secret_access_key.0,
            session_token: held.session_token.map(|token| token.0),
        };
        self.keys.put(id, keys.clone());
        Ok(keys)
    }
}

/// Whether S3 can copy from the one to the other by itself: the same S3, and rights to both at once.
pub(crate) fn same_endpoint(options: &SliceOptions, from: &str, to: &str) -> bool {
    let none = BucketDefinition::default();
    let (from, to) = (options.buckets.get(from).unwrap_or(&none), options.buckets.get(to).unwrap_or(&none));
    let is_public = from.rights == Rights::None;
    from.endpoint_url == to.endpoint_url
        && (from.rights == to.rights || is_public)
        && to.rights != Rights::None
}

impl ObjectsPlane {
    /// How we write to buckets of other owners.
    pub(crate) fn write_options(&self, with_tags: bool) -> WriteOptions {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        WriteOptions {
            tags: with_tags.then(|| BTreeMap::from([("testtag".to_owned(), "ok".to_owned())])),
            acl: given(&self.core.settings.copy_out.acl),
            expected_owner: given(&self.core.settings.copy_out.expected_bucket_owner),
            streamed: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_one_house_and_one_right_are_copied_inside_s3() {
        let bucket = |url: Option<&str>, rights: Rights| BucketDefinition {
            region: None,
            endpoint_url: url.map(str::to_owned),
            rights,
        };
        let secret = || Rights::Secret("s".into());
        let buckets = [
            ("own", bucket(None, Rights::Own)),
            ("public", bucket(None, Rights::None)),
            ("theirs", bucket(None, secret())),
            ("ceph", bucket(Some("http://ceph"), secret())),
            ("ceph2", bucket(Some("http://ceph"), secret())),
        ];
        let buckets = buckets.into_iter().map(|(name, defined)| (name.to_owned(), defined)).collect();
        let options = SliceOptions { buckets, ..SliceOptions::default() };
        for (from, to, inside) in [
            ("a", "b", true),
            ("own", "b", true),
            ("public", "b", true),
            ("theirs", "b", false),
            ("theirs", "theirs", true),
            ("ceph", "b", false),
            ("ceph", "ceph2", true),
            ("a", "ceph", false),
            ("a", "public", false),
        ] {
            assert_eq!(same_endpoint(&options, from, to), inside, "{from} → {to}");
        }
    }
}
