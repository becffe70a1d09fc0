//! How a payload travels: as it is, packed for messages that are too small for it, or in S3.

use std::io::Read as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::{
    Object, PAYLOAD, join,
    payload::{self, Payload, s3_uri},
    type_of, wrong_type,
};
use crate::domain::request::Kind;

/// A payload as base64 of gzip of its JSON.
pub(super) const PACKED: &str = "payloadB64Gz";
/// The URI of an object that holds the payload.
pub(super) const ELSEWHERE: &str = "payloadS3Uri";

/// The first bytes of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Finds out how a `detail` carries its payload, and puts a packed one where a plain one stands.
/// Gives the field that the payload came in. `most` is how many bytes of JSON a payload may have.
pub(super) fn unpack(detail: &mut Object, place: &str, most: usize) -> Result<&'static str, String> {
    let mut carriers = [PAYLOAD, PACKED, ELSEWHERE].into_iter().filter(|name| detail.contains_key(*name));
    let carrier = carriers.next().unwrap_or(PAYLOAD);
    if let Some(other) = carriers.next() {
        let at = join(place, carrier);
        return Err(format!("`{at}` and `{other}` say the same thing twice: only one of them may be given"));
    }
    if carrier == PACKED {
        let at = join(place, PACKED);
        let payload = match detail.get(PACKED) {
            Some(Value::String(text)) => object(&inflate(&decode(text, &at)?, &at, most)?, &at)?,
            other => return Err(wrong_type(&at, "a string", other.unwrap_or(&Value::Null))),
        };
        detail.remove(PACKED);
        detail.insert(PAYLOAD.to_owned(), Value::Object(payload));
    }
    Ok(carrier)
}

/// The URI of the object that holds the payload.
pub(super) fn elsewhere(detail: &mut Object, place: &str) -> Result<String, String> {
    let at = join(place, ELSEWHERE);
    let uri = s3_uri(&detail.remove(ELSEWHERE).unwrap_or_default(), &at)?;
    let key = uri.splitn(4, '/').nth(3).unwrap_or_default();
    if key.is_empty() || key.ends_with('/') {
        return Err(format!("`{at}` must name one object"));
    }
    Ok(uri)
}

/// Reads what an object named by `payloadS3Uri` holds: a payload of that kind as JSON of at most so many bytes,
/// plain or gzipped.
///
/// A task token in it is dropped: it belongs beside the URI.
pub fn read_payload(kind: Kind, content: &[u8], most: usize) -> Result<Payload, String> {
    let inflated;
    let json = if content.starts_with(&GZIP) {
        inflated = inflate(content, ELSEWHERE, most)?;
        &inflated
    } else if content.len() > most {
        return Err(too_large(ELSEWHERE, most));
    } else {
        content
    };
    payload::read(kind, object(json, ELSEWHERE)?, ELSEWHERE)
}

fn decode(text: &str, at: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD.decode(text).map_err(|error| format!("`{at}` is not base64: {error}"))
}

/// Unpacks gzip, but never more than a payload may have: what is small in a message can be endless.
fn inflate(packed: &[u8], at: &str, most: usize) -> Result<Vec<u8>, String> {
    let mut json = Vec::new();
    let one_more = most as u64 + 1;
    MultiGzDecoder::new(packed)
        .take(one_more)
        .read_to_end(&mut json)
        .map_err(|error| format!("`{at}` is not gzip: {error}"))?;
    if json.len() > most { Err(too_large(at, most)) } else { Ok(json) }
}

fn object(json: &[u8], at: &str) -> Result<Object, String> {
    match serde_json::from_slice(json) {
        Ok(Value::Object(payload)) => Ok(payload),
        Ok(other) => Err(format!("`{at}` must hold an object, not {}", type_of(&other))),
        Err(error) => Err(format!("`{at}` does not hold JSON: {error}")),
    }
}

fn too_large(at: &str, most: usize) -> String {
    format!("`{at}` holds more than {most} bytes (service.max_payload)")
}

#[cfg(test)]
mod tests;
