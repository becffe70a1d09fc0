//! What a refusal of S3 means for an object.

use crate::ports::{Class, Error};

/// Whether an upload could not be completed because it is not there any more.
pub(super) fn is_upload_gone(error: &Error) -> bool {
    error.code.as_deref() == Some("NoSuchUpload")
}

/// Whether the two ends are not what they were a moment ago: of a condition on an object that is gone S3
/// says that there is no such key, a restored object may be archived again, and an upload may have been
/// cleared away by another writer that took it for a leftover of its own.
pub(super) fn has_changed(error: &Error) -> bool {
    let code = error.code.as_deref();
    error.class == Class::Conflict
        || matches!(code, Some("NoSuchKey" | "NoSuchUpload" | "InvalidObjectState"))
}

/// What a person can do about an error that does not pass.
pub(super) fn advice(error: &Error) -> &'static str {
    match error.class {
        Class::Forbidden => {
            "; check that our role may read the source, and that the bucket's policy lets it write there"
        }
        Class::NotFound => "; check that both buckets exist",
        Class::Unauthorized => "; check the keys with which the two buckets are used",
        Class::Transient | Class::Throttled | Class::Conflict | Class::Invalid => "",
    }
}
