//! With whose rights S3 is called, and where.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use secrecy::SecretString;

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectLocation {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

impl ObjectLocation {
    /// A location.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into() }
    }
}

impl fmt::Display for ObjectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// A link by which whoever has it can read an object.
#[derive(Clone, PartialEq, Eq)]
pub struct Presigned {
    /// The link. A capability: it is in no log.
    pub url: String,
    /// How long it is good.
    pub until: Timestamp,
}

impl fmt::Debug for Presigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presigned").field("until", &self.until).finish_non_exhaustive()
    }
}

/// How objects that are written with temporary credentials are to be encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// `AES256`, or something with KMS in it.
    pub algorithm: String,
    /// The KMS key; none: the bucket's.
    pub key: Option<String>,
}

/// Temporary credentials for a part of a bucket. Not shown, but for where they lead.
#[derive(Clone)]
pub struct BucketAccess {
    /// The bucket.
    pub bucket: String,
    /// What keys start with; of a folder with `/` at its end, of a file the whole key.
    pub prefix: String,
    /// The bucket's region.
    pub region: String,
    /// The key's id.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: SecretString,
    /// The token that goes with it.
    pub session_token: SecretString,
    /// When they end.
    pub expires: Timestamp,
    /// How to encrypt what is written.
    pub encryption: Option<Encryption>,
}

impl BucketAccess {
    /// Where a file of that path below the prefix is.
    #[must_use]
    pub fn below(&self, path: &str) -> ObjectLocation {
        ObjectLocation { bucket: self.bucket.clone(), key: format!("{}{path}", self.prefix) }
    }
}

impl fmt::Debug for BucketAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, prefix, expires, .. } = self;
        write!(f, "BucketAccess(s3://{bucket}/{prefix} until {expires})")
    }
}

/// With whose rights a call is made.
#[derive(Debug, Clone)]
pub enum Access {
    /// Those of our own role.
    Own,
    /// Those that ICAv2 gave us.
    Temporary(BucketAccess),
    /// No account's: a public bucket. What is sent is not signed, and no credentials are looked for.
    Unsigned,
    /// Those for a bucket that is not simply ours.
    Endpoint(Arc<Endpoint>),
}

/// Where a bucket is that is not simply ours, and with which keys it opens.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where its S3 is; none: where ours is. With one, buckets stand in the path.
    pub url: Option<String>,
    /// The bucket's region; none: found out at AWS, and whatever elsewhere.
    pub region: Option<String>,
    /// The keys.
    pub keys: EndpointKeys,
}

/// The keys of an [`Endpoint`]. Not shown.
#[derive(Clone)]
pub enum EndpointKeys {
    /// Those of our own role.
    Own,
    /// None: what is sent is not signed.
    None,
    /// These.
    Static {
        /// The key's id.
        access_key_id: String,
        /// The key.
        secret_access_key: SecretString,
        /// The token that goes with it, if it is a temporary one.
        session_token: Option<SecretString>,
    },
}

impl fmt::Debug for EndpointKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "Own",
            Self::None => "None",
            Self::Static { .. } => "Static",
        })
    }
}
