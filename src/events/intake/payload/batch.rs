//! The payload of a batch: a manifest, which says where each source goes. It stands there as it is,
//! packed, or is an object in S3.

use serde_json::{Map, Value};

use super::{
    DRY_RUN, ON_CONFLICT, Object, RECEIPT, dry_run, flag, given, join, on_conflict, text, unknown_in,
    wrong_type,
};
use crate::{
    domain::{
        batch::BatchRequest,
        location::{Location, shown},
    },
    events::intake::carriers::{one_object, unpacked},
};

const MANIFEST: &str = "manifest";
/// The same as base64 of gzip.
const PACKED: &str = "manifest_b64gz";
/// The URI of an object that holds it.
pub(in crate::events::intake) const ELSEWHERE: &str = "manifestS3Uri";
pub(super) const CARRIERS: [&str; 3] = [MANIFEST, PACKED, ELSEWHERE];

const FIELDS: [&str; 6] = [MANIFEST, PACKED, ELSEWHERE, ON_CONFLICT, DRY_RUN, RECEIPT];

/// Which of its fields carries the manifest. Exactly one does.
pub(super) fn carrier(payload: &Object, place: &str) -> Result<&'static str, String> {
    let mut carriers = CARRIERS.into_iter().filter(|name| given(payload, name).is_some());
    let Some(carrier) = carriers.next() else {
        return Err(format!(
            "`{}` is missing: a batch needs it, or `{PACKED}`, or `{ELSEWHERE}`",
            join(place, MANIFEST)
        ));
    };
    match carriers.next() {
        None => Ok(carrier),
        Some(other) => Err(format!(
            "`{}` and `{other}` say the same thing twice: only one of them may be given",
            join(place, carrier)
        )),
    }
}

/// Puts a packed manifest where a plain one stands: what is stored and compared is what it says.
pub(super) fn unpack(payload: &mut Object, carrier: &str, place: &str, most: usize) -> Result<(), String> {
    if carrier == PACKED {
        let at = join(place, PACKED);
        let packed = payload.get(PACKED).unwrap_or(&Value::Null);
        let manifest = unpacked(packed, &at, most)?;
        payload.remove(PACKED);
        payload.insert(MANIFEST.to_owned(), Value::Object(manifest));
    }
    Ok(())
}

/// Puts a manifest in the place of the URI of the object that held it.
pub(in crate::events::intake) fn put_manifest(payload: &mut Object, manifest: Object) {
    payload.remove(ELSEWHERE);
    payload.insert(MANIFEST.to_owned(), Value::Object(manifest));
}

/// Reads an unpacked payload; `at` is where its manifest came from.
pub(super) fn read(
    payload: &Object,
    place: &str,
    at: &str,
    unknown: &mut Vec<String>,
) -> Result<BatchRequest, String> {
    *unknown = unknown_in(payload, place, &FIELDS);
    let request = match (given(payload, MANIFEST), given(payload, ELSEWHERE)) {
        (None, Some(uri)) => {
            BatchRequest { manifest_uri: Some(one_object(uri, at)?), ..BatchRequest::default() }
        }
        (Some(Value::Object(manifest)), _) => read_manifest(manifest, at)?,
        (other, _) => return Err(wrong_type(at, "an object", other.unwrap_or(&Value::Null))),
    };
    Ok(BatchRequest {
        on_conflict: on_conflict(payload, place)?,
        dry_run: dry_run(payload, place)?,
        receipt: flag(payload, place, RECEIPT)?,
        ..request
    })
}

fn read_manifest(manifest: &Map<String, Value>, at: &str) -> Result<BatchRequest, String> {
    if manifest.is_empty() {
        return Err(format!("`{at}` is empty: it must name at least one source"));
    }
    let mut entries = Vec::with_capacity(manifest.len());
    for (source, destinations) in manifest {
        if let Err(error) = Location::parse(source) {
            return Err(format!("`{at}` has a source that is not usable: {error}"));
        }
        let entry = format!("{at}[\"{}\"]", shown(source));
        let Value::Array(list) = destinations else {
            return Err(wrong_type(&entry, "a list of destination folders", destinations));
        };
        if list.is_empty() {
            return Err(format!("`{entry}` is empty: it must name at least one destination"));
        }
        let destinations = list.iter().map(|uri| destination(uri, &entry)).collect::<Result<_, _>>()?;
        entries.push((source.clone(), destinations));
    }
    Ok(BatchRequest::of_manifest(entries))
}

fn destination(value: &Value, entry: &str) -> Result<String, String> {
    let uri = text(value, entry)?;
    match Location::parse_destination(uri) {
        Err(error) => Err(format!("`{entry}` has a destination that is not usable: {error}")),
        Ok(location) if uri.ends_with('/') || location.is_root() => Ok(uri.to_owned()),
        Ok(_) => Err(format!(
            "`{entry}` has the destination `{}`, which must end with `/`: it names a folder",
            shown(uri)
        )),
    }
}
