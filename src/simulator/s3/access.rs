//! Who may do what: the gate that every S3 call passes, where it is counted and can be made to fail.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    access::{S3Access, S3AccessContext},
    path::S3Path,
};
use tokio::time::{Instant, sleep};

use super::rules::{Ruling, judge, usual_code};
use crate::simulator::{BucketStats, Simulator, state::State};

/// What temporary credentials allow.
#[derive(Debug, Clone)]
pub(in crate::simulator) struct Key {
    /// The session token that belongs to it.
    pub(in crate::simulator) token: String,
    pub(in crate::simulator) bucket: String,
    /// What the keys of objects must start with.
    pub(in crate::simulator) prefix: String,
    pub(in crate::simulator) read_only: bool,
    pub(in crate::simulator) until: Instant,
}

/// Who calls: the access key and the session token, as far as the request has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Caller {
    pub(super) key: Option<String>,
    pub(super) token: Option<String>,
    /// The region that the request is signed for.
    pub(super) region: Option<String>,
}

/// What becomes of a call, besides its own doing.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// What is to come instead of the answer, however the call ended.
    pub(super) ruling: OnceLock<Ruling>,
    /// After how many bytes the body of the answer breaks off.
    pub(super) cut: OnceLock<u64>,
    present: OnceLock<Present>,
}

/// A call that is under way.
#[derive(Debug)]
struct Present {
    simulator: Arc<Simulator>,
    bucket: String,
}

impl Drop for Present {
    fn drop(&mut self) {
        self.simulator.with(|state| {
            if let Some(bucket) = state.stats.buckets.get_mut(&self.bucket) {
                bucket.at_once = bucket.at_once.saturating_sub(1);
            }
        });
    }
}

/// What a call wants of an object or of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Read,
    Write,
}

impl Want {
    fn of(operation: &str) -> Self {
        const WRITES: [&str; 6] = ["Put", "Copy", "Create", "Upload", "Complete", "Abort"];
        let writes = operation.starts_with("Delete") || WRITES.iter().any(|verb| operation.starts_with(verb));
        if writes { Self::Write } else { Self::Read }
    }
}

impl State {
    /// Whether the caller may; `key` is that of an object, or what the keys of a listing start with.
    pub(super) fn permit(&self, caller: &Caller, bucket: &str, key: &str, want: Want) -> S3Result<()> {
        if !self.has_bucket(bucket) {
            return Err(S3Error::with_message(S3ErrorCode::NoSuchBucket, "The bucket does not exist"));
        }
        let denied = |why: &'static str| Err(S3Error::with_message(S3ErrorCode::AccessDenied, why));
        let issued = caller.key.as_ref().and_then(|key| self.s3.keys.get(key));
        let Some(issued) = issued else {
            return match (self.s3.plain.get(bucket), &caller.key) {
                (Some(plain), Some(key)) if plain.keys.is_empty() || plain.keys.contains(key) => Ok(()),
                (Some(_), Some(_)) => denied("The access key does not open the bucket"),
                (Some(plain), None) if want == Want::Read && plain.public => Ok(()),
                (Some(_), None) => denied("No caller may do that without credentials"),
                (None, _) => denied("The bucket of a project opens to its temporary credentials alone"),
            };
        };
        if caller.token.as_deref() != Some(&issued.token) {
            let why = "The access key goes with another session token, or with one at all";
            return Err(S3Error::with_message(S3ErrorCode::InvalidAccessKeyId, why));
        }
        if issued.until <= Instant::now() {
            return Err(S3Error::with_message(S3ErrorCode::ExpiredToken, "The provided token has expired."));
        }
        match () {
            () if issued.bucket != bucket => denied("The credentials are for another bucket"),
            () if !key.starts_with(&issued.prefix) => denied("The credentials are for another prefix"),
            () if issued.read_only && want == Want::Write => denied("The credentials are for reading"),
            () => Ok(()),
        }
    }
}

/// The actions of IAM that a call needs in the bucket it is sent to.
fn actions(operation: &str, headers: &HeaderMap) -> impl Iterator<Item = &'static str> {
    let main = match operation {
        "HeadObject" | "GetObject" => "GetObject",
        "ListObjects" | "ListObjectsV2" | "HeadBucket" => "ListBucket",
        "ListParts" => "ListMultipartUploadParts",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        "AbortMultipartUpload" => "AbortMultipartUpload",
        "GetObjectTagging" => "GetObjectTagging",
        "PutObjectTagging" => "PutObjectTagging",
        "DeleteObject" | "DeleteObjects" => "DeleteObject",
        "RestoreObject" => "RestoreObject",
        "GetBucketLocation" => "GetBucketLocation",
        _ => "PutObject",
    };
    let with = |name: &str, action| {
        let there = headers.get(name).is_some_and(|value| !value.is_empty());
        there.then_some(action)
    };
    let (tags, acl) = (with("x-amz-tagging", "PutObjectTagging"), with("x-amz-acl", "PutObjectAcl"));
    [Some(main), tags, acl].into_iter().flatten()
}

/// A call as the gate sees it.
struct Asked<'a> {
    operation: &'a str,
    bucket: &'a str,
    key: &'a str,
    caller: &'a Caller,
    headers: &'a HeaderMap,
}

impl State {
    fn count_s3(&mut self, asked: &Asked<'_>) {
        let call = format!("S3 {}", asked.operation);
        match self.stats.calls.get_mut(&call) {
            Some(count) => *count += 1,
            None => drop(self.stats.calls.insert(call, 1)),
        }
        if !self.stats.buckets.contains_key(asked.bucket) {
            self.stats.buckets.insert(asked.bucket.to_owned(), BucketStats::default());
        }
        let Some(bucket) = self.stats.buckets.get_mut(asked.bucket) else { return };
        match bucket.calls.get_mut(asked.operation) {
            Some(count) => *count += 1,
            None => drop(bucket.calls.insert(asked.operation.to_owned(), 1)),
        }
        bucket.unsigned += u64::from(asked.caller.key.is_none());
        bucket.at_once += 1;
        bucket.most_at_once = bucket.most_at_once.max(bucket.at_once);
    }

    /// Whether the call may be made: in the right region, to the owner it expects, with the rights it needs.
    fn admit_s3(&self, asked: &Asked<'_>) -> S3Result<()> {
        let Asked { operation, bucket, key, caller, headers } = *asked;
        if let Some(there) = self.s3.plain.get(bucket) {
            if let (Some(region), Some(signed_for)) = (&there.region, &caller.region)
                && region != signed_for
            {
                return Err(elsewhere(region));
            }
            let expected = headers.get("x-amz-expected-bucket-owner");
            if expected.is_some_and(|expected| expected.as_bytes() != there.owner.as_bytes()) {
                let why = "The bucket belongs to another account than the one expected";
                return Err(S3Error::with_message(S3ErrorCode::AccessDenied, why));
            }
        } else if operation == "CreateBucket" && !self.has_bucket(bucket) {
            return Ok(());
        }
        self.permit(caller, bucket, key, Want::of(operation))?;
        self.check_payer(bucket, headers)?;
        if self.s3.plain.get(bucket).is_some_and(|there| there.object_lock) {
            check_sums(operation, headers)?;
        }
        actions(operation, headers).try_for_each(|action| self.allow(bucket, action))
    }

    /// Refuses a call that does not say that it pays, if its bucket or that of a copy's source requires it.
    fn check_payer(&self, bucket: &str, headers: &HeaderMap) -> S3Result<()> {
        let source = headers.get("x-amz-copy-source").and_then(|from| from.to_str().ok());
        let source = source.and_then(|from| from.trim_start_matches('/').split('/').next());
        let wants = |bucket: &str| self.s3.plain.get(bucket).is_some_and(|there| there.requester_pays);
        let pays = headers.get("x-amz-request-payer").is_some_and(|payer| payer.as_bytes() == b"requester");
        if pays || !(wants(bucket) || source.is_some_and(wants)) {
            return Ok(());
        }
        Err(S3Error::with_message(S3ErrorCode::AccessDenied, "Access Denied"))
    }

    /// Refuses what no caller may do in the bucket.
    pub(super) fn allow(&self, bucket: &str, action: &str) -> S3Result<()> {
        if !self.faults.denies(bucket, action) {
            return Ok(());
        }
        let why = format!("No caller may s3:{action} in {bucket}");
        Err(S3Error::with_message(S3ErrorCode::AccessDenied, why))
    }
}

/// Refuses bytes that come without a checksum.
fn check_sums(operation: &str, headers: &HeaderMap) -> S3Result<()> {
    let what = match operation {
        "PutObject" => "Put Object",
        "UploadPart" => "Put Part",
        _ => return Ok(()),
    };
    let trailer = headers.get("x-amz-trailer").and_then(|names| names.to_str().ok()).unwrap_or_default();
    let is_sum = |name: &HeaderName| name == "content-md5" || name.as_str().starts_with("x-amz-checksum-");
    if headers.keys().any(is_sum) || trailer.contains("x-amz-checksum-") {
        return Ok(());
    }
    let why = format!(
        "Content-MD5 OR x-amz-checksum- HTTP header is required for {what} requests with Object Lock parameters"
    );
    Err(S3Error::with_message(S3ErrorCode::InvalidRequest, why))
}

/// The bucket is in another region.
fn elsewhere(region: &str) -> S3Error {
    let why = "The bucket you are attempting to access must be addressed using the specified endpoint";
    let mut error = S3Error::with_message(S3ErrorCode::PermanentRedirect, why);
    error.set_status_code(StatusCode::MOVED_PERMANENTLY);
    let region = HeaderValue::from_str(region).ok();
    let name = HeaderName::from_static("x-amz-bucket-region");
    error.set_headers(region.into_iter().map(|region| (name.clone(), region)).collect());
    error
}

/// The gate.
#[derive(Debug)]
pub(super) struct Gate(pub(super) Arc<Simulator>);

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let (caller, course) = {
            let extensions = cx.extensions_mut();
            let caller = extensions.get::<Arc<Caller>>().cloned().unwrap_or_default();
            (caller, extensions.get::<Arc<Course>>().cloned().unwrap_or_default())
        };
        let operation = cx.s3_op().name();
        let prefix;
        let (bucket, key) = match cx.s3_path() {
            S3Path::Root => {
                return if operation == "ListBuckets" {
                    Ok(())
                } else {
                    Err(S3ErrorCode::AccessDenied.into())
                };
            }
            S3Path::Bucket { bucket } => {
                prefix = url::form_urlencoded::parse(cx.uri().query().unwrap_or_default().as_bytes())
                    .find_map(|(name, value)| (name == "prefix").then(|| value.into_owned()))
                    .unwrap_or_default();
                (&**bucket, prefix.as_str())
            }
            S3Path::Object { bucket, key } => (&**bucket, &**key),
        };
        let asked = Asked { operation, bucket, key, caller: &caller, headers: cx.headers() };
        let (delay, admitted) = self.0.with(|state| {
            state.count_s3(&asked);
            let (delay, ruling, cut) = judge(&mut state.faults.s3, &mut state.rng, operation, bucket, key);
            if let Some(cut) = cut {
                course.cut.get_or_init(|| cut);
            }
            let scripted = || {
                let (instead, after) = state.faults.scripted(&format!("S3 {operation}"))?;
                Some(Ruling { instead, code: None, after })
            };
            if let Some(ruling) = ruling.or_else(scripted) {
                let after = ruling.after;
                course.ruling.get_or_init(|| ruling);
                if !after {
                    // It is not said, because the ruling is.
                    return (delay, Err(S3ErrorCode::InternalError.into()));
                }
            }
            (delay, state.admit_s3(&asked))
        });
        let (simulator, bucket) = (Arc::clone(&self.0), bucket.to_owned());
        course.present.get_or_init(|| Present { simulator, bucket });
        // Sleeping for no time takes up to a millisecond.
        let delay = delay + self.0.latency();
        if !delay.is_zero() {
            sleep(delay).await;
        }
        admitted
    }
}

/// The refusal that was asked for. A success is one that turns out not to be in its body.
pub(super) fn scripted(status: StatusCode, code: Option<&str>) -> S3Error {
    let code = code.unwrap_or_else(|| usual_code(status));
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or_else(|| S3ErrorCode::Custom(code.into()));
    let mut error = S3Error::with_message(code, "This answer was asked for through /sim/faults");
    error.set_status_code(status);
    error
}
