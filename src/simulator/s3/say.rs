//! What the calls have in common: conditions, headers, refusals.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    dto::{ETag, ETagCondition, ServerSideEncryption, StorageClass},
};

use super::store::Object;

/// S3 takes no more in one PUT, one part or one copy.
pub(super) const LARGEST: u64 = 5 * 1024 * 1024 * 1024;

pub(super) fn refuse(code: S3ErrorCode, why: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(code, why)
}

pub(super) fn no_such_key() -> S3Error {
    refuse(S3ErrorCode::NoSuchKey, "The specified key does not exist.")
}

pub(super) fn precondition() -> S3Error {
    refuse(S3ErrorCode::PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

/// The bytes were too many to be kept.
pub(super) fn not_kept() -> S3Error {
    let why = "The simulator keeps uploads of unknown content up to 64 MiB; of this one only the MD5 is left";
    let mut error = refuse(S3ErrorCode::Custom("NotKept".into()), why);
    error.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
    error
}

pub(super) fn etag(tag: &str) -> ETag {
    ETag::Strong(tag.to_owned())
}

pub(super) fn time(at: Timestamp) -> s3s::dto::Timestamp {
    SystemTime::from(at).into()
}

/// A size as the protocol has them.
pub(super) fn size(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

impl Object {
    pub(super) fn tag(&self) -> String {
        self.content.etag(&self.parts)
    }

    /// How it is encrypted.
    pub(super) fn encryption(&self) -> ServerSideEncryption {
        ServerSideEncryption::from_static(self.parts.encryption())
    }
}

/// Conditions on an object by its `ETag`.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    pub(super) matches: Option<ETagCondition>,
    pub(super) none_matches: Option<ETagCondition>,
}

impl Conditions {
    /// Those of the headers, where the protocol's own input has none.
    pub(super) fn of(headers: &HeaderMap) -> S3Result<Self> {
        let read = |name: &str| {
            let value = headers.get(name).map(|value| ETagCondition::parse_http_header(value.as_bytes()));
            value.transpose().map_err(|_| refuse(S3ErrorCode::InvalidArgument, format!("{name} is no ETag")))
        };
        Ok(Self { matches: read("if-match")?, none_matches: read("if-none-match")? })
    }

    pub(super) const fn any(&self) -> bool {
        self.matches.is_some() || self.none_matches.is_some()
    }

    fn matched(&self, tag: Option<&str>) -> bool {
        self.matches.as_ref().is_none_or(|wanted| is(wanted, tag))
    }

    fn none_matched(&self, tag: Option<&str>) -> bool {
        self.none_matches.as_ref().is_none_or(|unwanted| !is(unwanted, tag))
    }

    /// Whether an object may be read.
    pub(super) fn read(&self, tag: &str) -> S3Result<()> {
        if !self.matched(Some(tag)) {
            return Err(precondition());
        }
        if self.none_matched(Some(tag)) {
            return Ok(());
        }
        let mut error = refuse(S3ErrorCode::NotModified, "Not Modified");
        error.set_status_code(StatusCode::NOT_MODIFIED);
        Err(error)
    }

    /// Whether what is there, if anything, may be copied from.
    pub(super) fn copy(&self, tag: &str) -> S3Result<()> {
        let holds = self.matched(Some(tag)) && self.none_matched(Some(tag));
        if holds { Ok(()) } else { Err(precondition()) }
    }

    /// Whether what is there, if anything, may be written over.
    pub(super) fn write(&self, there: Option<&Object>) -> S3Result<()> {
        if !self.any() {
            return Ok(());
        }
        if there.is_none() && self.matches.is_some() {
            return Err(no_such_key());
        }
        let tag = there.map(Object::tag);
        let holds = self.matched(tag.as_deref()) && self.none_matched(tag.as_deref());
        if holds { Ok(()) } else { Err(precondition()) }
    }
}

fn is(condition: &ETagCondition, tag: Option<&str>) -> bool {
    match condition {
        ETagCondition::Any => tag.is_some(),
        ETagCondition::ETag(wanted) => tag == Some(wanted.value()),
    }
}

/// Fills the fields of `About` from those of the same names in an input.
macro_rules! about {
    ($input:expr) => {
        About {
            content_type: $input.content_type.take(),
            content_encoding: $input.content_encoding.take(),
            content_language: $input.content_language.take(),
            content_disposition: $input.content_disposition.take(),
            cache_control: $input.cache_control.take(),
            expires: $input.expires.take(),
            metadata: $input.metadata.take().unwrap_or_default().into_iter().collect(),
            tags: $crate::simulator::s3::say::tags($input.tagging.as_deref().unwrap_or_default()),
            class: $crate::simulator::s3::say::class($input.storage_class.as_ref()),
            acl: $input.acl.take().map(|acl| acl.as_str().to_owned()),
            sha256: $input.checksum_algorithm.take().is_some_and(|algorithm| algorithm.as_str() == "SHA256"),
            ..About::default()
        }
    };
}
pub(super) use about;

/// The storage class that is asked for.
pub(super) fn class(asked: Option<&StorageClass>) -> crate::simulator::world::StorageClass {
    asked.and_then(|class| crate::simulator::world::StorageClass::named(class.as_str())).unwrap_or_default()
}

/// The tags of the header.
pub(super) fn tags(header: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(header.as_bytes()).into_owned().collect()
}
