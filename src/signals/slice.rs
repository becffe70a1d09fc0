//! What slices of copy-outs have to tell.

use std::{error::Error, fmt::Display};

use metrics::{counter, gauge};
use tracing::{debug, info, warn};

use super::{chain, journal::note};

/// Metrics of slices: name and meaning.
pub const METRICS: &[(&str, &str)] = &[
    (SLOWED, "Calls that S3 answered with SlowDown, by bucket"),
    (PLACES, "Calls to a bucket that this instance makes at a time at most"),
    (ADOPTED, "Uploads in parts that were taken over after a run had ended"),
    (LEFT, "Uploads in parts that could not be aborted, or not looked for"),
    (RESTORES, "Restores of archived objects asked for, by speed"),
    (TRIES, "Tries for one object that failed, and are made again"),
];

const SLOWED: &str = "copy_manager_s3_slow_downs_total";
const PLACES: &str = "copy_manager_s3_concurrency";
const ADOPTED: &str = "copy_manager_uploads_adopted_total";
const LEFT: &str = "copy_manager_uploads_left_total";
const RESTORES: &str = "copy_manager_restores_total";
const TRIES: &str = "copy_manager_object_tries_failed_total";

/// A bucket asked us to slow down; so many calls it is given at a time now.
pub fn slowed_down(bucket: &str, places: usize) {
    counter!(SLOWED, "bucket" => bucket.to_owned()).increment(1);
    #[expect(clippy::cast_precision_loss, reason = "hundreds")]
    gauge!(PLACES, "bucket" => bucket.to_owned()).set(places as f64);
    debug!(code = "s3.slow_down", bucket, concurrency = places, "S3 asked us to slow down");
}

/// A try for one object failed, and another follows.
pub fn try_failed(slice: &str, why: &dyn Error, counts: bool) {
    note("object.try_failed", || chain(why));
    counter!(TRIES).increment(1);
    warn!(
        code = "object.try_failed",
        child_id = slice,
        error = chain(why),
        counts_as_attempt = counts,
        "object not copied, to be tried again"
    );
}

/// An upload that was begun earlier goes on.
pub fn upload_adopted(slice: &str) {
    note("object.upload_resumed", String::new);
    counter!(ADOPTED).increment(1);
    info!(code = "object.upload_resumed", child_id = slice, "multipart upload resumed");
}

/// An upload may have been left behind.
pub fn upload_left(object: &dyn Display, why: &dyn Error) {
    note("object.upload_left", || chain(why));
    counter!(LEFT).increment(1);
    warn!(code = "object.upload_left", object = %object, error = chain(why), "an upload in parts may have been left behind");
}

/// An archived object was asked for.
pub fn restore_asked(slice: &str, tier: &str) {
    note("object.restore_requested", || tier.to_owned());
    counter!(RESTORES, "tier" => tier.to_owned()).increment(1);
    info!(code = "object.restore_requested", child_id = slice, tier, "restore requested");
}
