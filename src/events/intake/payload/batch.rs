//! The payload of a batch.

use super::{super::Object, unknown_in};
use crate::domain::batch::BatchRequest;

pub(in super::super) const FIELDS: [&str; 3] = ["manifest", "manifest_b64gz", "manifestS3Uri"];

pub(super) fn read(payload: &Object, place: &str, unknown: &mut Vec<String>) -> Result<BatchRequest, String> {
    *unknown = unknown_in(payload, place, &FIELDS);
    Ok(BatchRequest::default())
}
