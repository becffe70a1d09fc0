//! The seam below streams: reading and writing presigned URLs. Implemented over the network by
//! reqwest; tests put the simulator's router behind it.

use std::{fmt, ops::Range};

use async_trait::async_trait;
use http::{
    HeaderMap,
    header::{ETAG, SERVER},
};

use crate::{
    domain::file::ETag,
    ports::{
        Class, Error, Result,
        objects::ByteStream,
        transfers::{PresignedUrl, Tagged},
    },
};

/// Chunks of a body. An error ends it; a PUT whose body ends so must not be completed.
pub type Body = ByteStream;

/// What errors about a presigned URL call it.
pub(super) const GET: &str = "GET presigned URL";
/// The same, for writing.
pub(super) const PUT: &str = "PUT presigned URL";

/// A body that is being read.
pub struct Opened {
    /// The length that was announced.
    pub length: Option<u64>,
    /// What the answer says of the whole object.
    pub tagged: Tagged,
    /// The bytes.
    pub body: Body,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("length", &self.length).finish_non_exhaustive()
    }
}

/// Reads and writes presigned URLs.
#[async_trait]
pub trait Wire: Send + Sync + fmt::Debug {
    /// Opens a GET.
    async fn get(&self, url: &PresignedUrl) -> Result<Opened>;

    /// Opens a GET of a range that is not empty. A wire that cannot is of no use to large files.
    async fn get_range(&self, _url: &PresignedUrl, _range: Range<u64>) -> Result<Opened> {
        Err(Error::new(Class::Invalid, GET, "ranges cannot be read here"))
    }

    /// Whether a PUT to this URL carries an MD5 that is known before, so that S3 itself refuses other bytes.
    fn carries_md5(&self, url: &PresignedUrl) -> bool;

    /// PUTs a body of exactly `length` bytes (`Content-Type: application/octet-stream`), with its MD5
    /// (hex) where that is known before and the URL [carries](Wire::carries_md5) it. The answer is what is said of
    /// what was stored. An error says whether the file may be there nevertheless, supposing that the whole
    /// body was sent.
    async fn put(&self, url: &PresignedUrl, length: u64, md5: Option<&str>, body: Body) -> Result<Tagged>;
}

/// What the headers of an answer say of its object.
///
/// S3 names the encryption of everything that is encrypted. With its own keys (`AES256`), or with none,
/// the tag of what was written with one call is the MD5 of its bytes; with KMS, two layers of it, or a
/// customer's key it is not. That no encryption is named proves something only where it is S3 that
/// answers: another server may encrypt and not say so.
#[must_use]
pub fn tagged(headers: &HeaderMap) -> Tagged {
    let mut ways = headers.get_all("x-amz-server-side-encryption").iter().peekable();
    let is_told = ways.peek().is_some();
    let is_plain = ways.all(|way| way == "AES256")
        && !headers.contains_key("x-amz-server-side-encryption-customer-algorithm");
    let is_s3 = headers.get(SERVER).is_some_and(|server| server == "AmazonS3");
    let etag = headers.get(ETAG).and_then(|etag| etag.to_str().ok()).map(ETag::new);
    Tagged { etag, is_md5: is_plain && (is_told || is_s3) }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_tag_is_an_md5_where_the_answer_shows_it() {
        const SSE: &str = "x-amz-server-side-encryption";
        const CUSTOMER: &str = "x-amz-server-side-encryption-customer-algorithm";
        for (headers, is_md5) in [
            (&[(SSE, "AES256")][..], true),
            (&[(SSE, "aws:kms")], false),
            (&[(SSE, "aws:kms:dsse")], false),
            (&[(SSE, "aws:fsx")], false),
            (&[(SSE, "AES256"), (SSE, "aws:kms")], false),
            (&[(CUSTOMER, "AES256")], false),
            (&[(CUSTOMER, "AES256"), ("server", "AmazonS3")], false),
            (&[("server", "AmazonS3")], true),
            (&[("server", "MinIO")], false),
            (&[], false),
        ] {
            let mut all: HeaderMap = HeaderMap::new();
            for (name, value) in headers {
                all.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            all.insert(ETAG, HeaderValue::from_static("\"d41d8cd98f00b204e9800998ecf8427e\""));
            assert_eq!(tagged(&all).md5().is_some(), is_md5, "{headers:?}");
            all.insert(ETAG, HeaderValue::from_static("\"d41d8cd98f00b204e9800998ecf8427e-1\""));
            assert_eq!(tagged(&all).md5(), None, "{headers:?}");
        }
    }
}
