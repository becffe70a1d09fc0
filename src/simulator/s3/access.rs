//! Who may do what: the gate that every S3 call passes, where it is counted and can be made to fail.

use std::sync::{Arc, OnceLock};

use s3s::{
    S3Error, S3ErrorCode, S3Result,
    access::{S3Access, S3AccessContext},
    path::S3Path,
};
use tokio::time::{Instant, sleep};

use crate::simulator::{Simulator, faults::Instead, state::State};

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
}

/// What is to come instead of the answer, however the call ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict(pub(super) Arc<OnceLock<Instead>>);

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
            return match (self.is_plain(bucket), &caller.key) {
                (true, Some(_)) => Ok(()),
                (true, None) if want == Want::Read => Ok(()),
                (true, None) => denied("Nobody may write without credentials"),
                (false, _) => denied("The bucket of a project opens to its temporary credentials alone"),
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

/// The gate.
#[derive(Debug)]
pub(super) struct Gate(pub(super) Arc<Simulator>);

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = cx.s3_op().name().to_owned();
        let call = format!("S3 {operation}");
        let prefix = url::form_urlencoded::parse(cx.uri().query().unwrap_or_default().as_bytes())
            .find_map(|(name, value)| (name == "prefix").then(|| value.into_owned()));
        let (bucket, key) = match cx.s3_path() {
            S3Path::Root => return Err(S3ErrorCode::AccessDenied.into()),
            S3Path::Bucket { bucket } => (bucket.to_string(), prefix.unwrap_or_default()),
            S3Path::Object { bucket, key } => (bucket.to_string(), key.to_string()),
        };
        let extensions = cx.extensions_mut();
        let caller = extensions.get::<Caller>().cloned().unwrap_or_default();
        let verdict = extensions.get::<Verdict>().cloned().unwrap_or_default();
        // Sleeping for no time takes up to a millisecond.
        if !self.0.latency().is_zero() {
            sleep(self.0.latency()).await;
        }
        self.0.with(|state| {
            *state.stats.calls.entry(call.clone()).or_default() += 1;
            if let Some((instead, after)) = state.faults.scripted(&call) {
                verdict.0.get_or_init(|| instead);
                if !after {
                    // It is not said, because the verdict is.
                    return Err(S3ErrorCode::InternalError.into());
                }
            }
            state.permit(&caller, &bucket, &key, Want::of(&operation))
        })
    }
}

/// The refusal that was asked for. A success is one that turns out not to be in its body.
pub(super) fn scripted(status: http::StatusCode) -> S3Error {
    let code = match status.as_u16() {
        301 => S3ErrorCode::PermanentRedirect,
        403 => S3ErrorCode::AccessDenied,
        404 => S3ErrorCode::NoSuchKey,
        412 => S3ErrorCode::PreconditionFailed,
        503 => S3ErrorCode::SlowDown,
        _ => S3ErrorCode::InternalError,
    };
    let mut error = S3Error::with_message(code, "This answer was asked for through /sim/faults");
    error.set_status_code(status);
    error
}
