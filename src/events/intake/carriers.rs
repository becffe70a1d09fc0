//! How a payload travels: as it is, packed for messages that are too small for it, or in S3.

use std::io::Read as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::{
    Object, PAYLOAD, join,
    payload::{self, Payload, batch, s3_uri},
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
        let payload = unpacked(detail.get(PACKED).unwrap_or(&Value::Null), &at, most)?;
        detail.remove(PACKED);
        detail.insert(PAYLOAD.to_owned(), Value::Object(payload));
    }
    Ok(carrier)
}

/// The URI of the object that holds the payload.
pub(super) fn elsewhere(detail: &mut Object, place: &str) -> Result<String, String> {
    one_object(&detail.remove(ELSEWHERE).unwrap_or_default(), &join(place, ELSEWHERE))
}

/// The URI of one object in S3.
pub(super) fn one_object(value: &Value, at: &str) -> Result<String, String> {
    let uri = s3_uri(value, at)?;
    let key = uri.splitn(4, '/').nth(3).unwrap_or_default();
    if key.is_empty() || key.ends_with('/') {
        return Err(format!("`{at}` must name one object"));
    }
    Ok(uri)
}

/// The object that stands as base64 of gzip of its JSON.
pub(super) fn unpacked(packed: &Value, at: &str, most: usize) -> Result<Object, String> {
    let text = packed.as_str().ok_or_else(|| wrong_type(at, "a string", packed))?;
    object(&inflate(&decode(text, at)?, at, most)?, at)
}

/// Reads what an object named by `payloadS3Uri` holds: a payload of that kind as JSON of at most so many bytes,
/// plain or gzipped.
///
/// A task token in it is dropped: it belongs beside the URI.
pub fn read_payload(kind: Kind, content: &[u8], most: usize) -> Result<Payload, String> {
    payload::read(kind, held(content, ELSEWHERE, most)?, ELSEWHERE, most)
}

/// Reads what an object named by `manifestS3Uri` holds, for the payload that names it: a manifest as
/// JSON of at most so many bytes, plain or gzipped.
pub fn read_manifest(payload: &str, content: &[u8], most: usize) -> Result<Payload, String> {
    let mut fields = object(payload.as_bytes(), PAYLOAD)?;
    batch::put_manifest(&mut fields, held(content, batch::ELSEWHERE, most)?);
    payload::read(Kind::Batch, fields, batch::ELSEWHERE, most)
}

/// The JSON object that an object in S3 holds, plain or gzipped.
fn held(content: &[u8], at: &str, most: usize) -> Result<Object, String> {
    if content.starts_with(&GZIP) {
        object(&inflate(content, at, most)?, at)
    } else if content.len() > most {
        Err(too_large(at, most))
    } else {
        object(content, at)
    }
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
