//! The payload of a copy-out.

use super::{super::Object, unknown_in};
use crate::domain::copy_out::CopyOutRequest;

pub(in super::super) const FIELDS: [&str; 2] = ["destinationBucket", "destinationPrefix"];

pub(super) fn read(
    payload: &Object,
    place: &str,
    unknown: &mut Vec<String>,
) -> Result<CopyOutRequest, String> {
    *unknown = unknown_in(payload, place, &FIELDS);
    Ok(CopyOutRequest::default())
}
