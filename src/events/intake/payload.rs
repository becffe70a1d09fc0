//! The payloads of requests: their fields, one by one. This is that of a copy; the other kinds have
//! rooms of their own.

pub(super) mod batch;
mod copy_out;

use serde_json::Value;

pub(crate) use self::copy_out::thaw_params;
use super::{Object, TASK_TOKEN, join, missing, wrong_type};
use crate::domain::{
    location::Location,
    renaming::{RenameEntry, RenameSource, check_name},
    request::{Asked, CopyRequest, Kind, OnConflict},
};

pub(super) const SOURCES: &str = "sourceUriList";
pub(super) const EXTERNAL: &str = "externalSourceUriList";
pub(super) const DESTINATION: &str = "destinationUri";
const RENAMING: &str = "renamingMapList";
const ON_CONFLICT: &str = "onConflict";
const DRY_RUN: &str = "dryRun";
const RECEIPT: &str = "receipt";
const FIELDS: [&str; 7] = [SOURCES, EXTERNAL, DESTINATION, RENAMING, ON_CONFLICT, DRY_RUN, RECEIPT];

const SOURCE_URI: &str = "sourceUri";
const DATA_ID: &str = "dataId";
const NEW_NAME: &str = "outputFileName";

/// What a payload says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What is asked for.
    pub request: Asked,
    /// The payload as canonical JSON (keys sorted, unknown fields kept, without a token).
    pub canonical: String,
    /// Paths of the fields that were ignored.
    pub unknown: Vec<String>,
}

/// Whether the fields of a payload of that kind stand in an object themselves.
pub(super) fn stands_in(kind: Kind, detail: &Object) -> bool {
    let fields: &[&str] = match kind {
        Kind::Batch => &batch::CARRIERS,
        Kind::CopyOut => &copy_out::FIELDS,
        Kind::Copy | Kind::Folder | Kind::Slice => &[SOURCES, EXTERNAL, DESTINATION],
    };
    fields.iter().any(|name| detail.contains_key(*name))
}

/// Reads a payload of that kind; `place` is its path, for messages, and `most` how many bytes of JSON
/// what is packed in it may have.
pub(super) fn read(kind: Kind, mut payload: Object, place: &str, most: usize) -> Result<Payload, String> {
    let mut unknown = Vec::new();
    let request = match kind {
        Kind::Batch => {
            let carrier = batch::carrier(&payload, place)?;
            batch::unpack(&mut payload, carrier, place, most)?;
            Asked::Batch(batch::read(&payload, place, &join(place, carrier), &mut unknown)?)
        }
        Kind::CopyOut => Asked::CopyOut(Box::new(copy_out::read(&payload, place, &mut unknown)?)),
        Kind::Copy | Kind::Folder | Kind::Slice => Asked::Copy(read_copy(&payload, place, &mut unknown)?),
    };
    payload.remove(TASK_TOKEN);
    let mut payload = Value::Object(payload);
    payload.sort_all_objects();
    Ok(Payload { request, canonical: payload.to_string(), unknown })
}

/// Paths of the fields that are none of these.
pub(super) fn unknown_in(payload: &Object, place: &str, known: &[&str]) -> Vec<String> {
    payload.keys().filter(|name| !known.contains(&name.as_str())).map(|name| join(place, name)).collect()
}

fn read_copy(payload: &Object, place: &str, unknown: &mut Vec<String>) -> Result<CopyRequest, String> {
    *unknown = unknown_in(payload, place, &FIELDS);
    let (sources, external) = sources(payload, place)?;
    Ok(CopyRequest {
        sources,
        external,
        destination: destination(payload, place)?,
        renaming: renaming(payload, place, unknown)?,
        on_conflict: on_conflict(payload, place)?,
        dry_run: dry_run(payload, place)?,
        receipt: flag(payload, place, RECEIPT)?,
    })
}

/// What is copied. Both lists name data of projects or of none, as the caller likes; one of them may be empty or
/// absent.
fn sources(payload: &Object, place: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let (at, at_external) = (join(place, SOURCES), join(place, EXTERNAL));
    let (inside, external) = (list(payload, SOURCES, &at)?, list(payload, EXTERNAL, &at_external)?);
    if inside.is_none() && external.is_none() {
        return Err(missing(&at));
    }
    let inside = inside.map(|entries| uris(entries, &at)).transpose()?.unwrap_or_default();
    let external = external.map(|entries| uris(entries, &at_external)).transpose()?.unwrap_or_default();
    if inside.is_empty() && external.is_empty() {
        return Err(format!("`{at}` or `{EXTERNAL}` must name at least one source"));
    }
    Ok((inside, external))
}

fn uris(entries: &[Value], at: &str) -> Result<Vec<String>, String> {
    entries.iter().enumerate().map(|(index, entry)| uri(entry, &format!("{at}[{index}]"))).collect()
}

fn destination(payload: &Object, place: &str) -> Result<String, String> {
    let at = join(place, DESTINATION);
    let value = payload.get(DESTINATION).ok_or_else(|| missing(&at))?;
    let text = text(value, &at)?;
    let location =
        Location::parse_destination(text).map_err(|error| format!("`{at}` is not usable: {error}"))?;
    if text.ends_with('/') || location.is_root() {
        Ok(text.to_owned())
    } else {
        Err(format!("`{at}` must end with `/`: it names a folder"))
    }
}

fn renaming(payload: &Object, place: &str, unknown: &mut Vec<String>) -> Result<Vec<RenameEntry>, String> {
    let at = join(place, RENAMING);
    let entries = list(payload, RENAMING, &at)?.unwrap_or_default();
    let places = (0..).map(|index: usize| format!("{at}[{index}]"));
    entries.iter().zip(places).map(|(entry, at)| rename_entry(entry, &at, unknown)).collect()
}

fn rename_entry(entry: &Value, at: &str, unknown: &mut Vec<String>) -> Result<RenameEntry, String> {
    let fields = entry.as_object().ok_or_else(|| wrong_type(at, "an object", entry))?;
    let source = match (fields.get(SOURCE_URI), fields.get(DATA_ID)) {
        (Some(value), None) => RenameSource::Uri(file_uri(value, &join(at, SOURCE_URI))?),
        (None, Some(value)) => RenameSource::DataId(file_id(value, &join(at, DATA_ID))?),
        _ => return Err(format!("`{at}` must have either `{SOURCE_URI}` or `{DATA_ID}`")),
    };
    let at_name = join(at, NEW_NAME);
    let name = text(fields.get(NEW_NAME).ok_or_else(|| missing(&at_name))?, &at_name)?;
    check_name(name).map_err(|error| format!("`{at_name}` is not usable: {error}"))?;
    let known = [SOURCE_URI, DATA_ID, NEW_NAME];
    unknown.extend(fields.keys().filter(|name| !known.contains(&name.as_str())).map(|name| join(at, name)));
    Ok(RenameEntry { source, name: name.to_owned() })
}

fn file_uri(value: &Value, at: &str) -> Result<String, String> {
    let text = uri(value, at)?;
    match Location::parse(&text) {
        Ok(location) if !location.is_folder() => Ok(text),
        _ => Err(format!("`{at}` must name a file: folders are not renamed")),
    }
}

fn file_id(value: &Value, at: &str) -> Result<String, String> {
    let id = text(value, at)?;
    let digits = id.strip_prefix("fil.").unwrap_or_default();
    if digits.is_empty() || digits.len() > 64 || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!("`{at}` is not the data id of a file, such as `fil.0123456789abcdef…`"));
    }
    Ok(id.to_owned())
}

fn on_conflict(payload: &Object, place: &str) -> Result<Option<OnConflict>, String> {
    let Some(value) = given(payload, ON_CONFLICT) else { return Ok(None) };
    let at = join(place, ON_CONFLICT);
    let way = OnConflict::parse(text(value, &at)?);
    let words = OnConflict::ALL.map(|way| format!("`{}`", way.as_str())).join(", ");
    way.map(Some).ok_or_else(|| format!("`{at}` must be one of {words}"))
}

fn dry_run(payload: &Object, place: &str) -> Result<bool, String> {
    flag(payload, place, DRY_RUN)
}

fn flag(payload: &Object, place: &str, name: &str) -> Result<bool, String> {
    match given(payload, name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(wrong_type(&join(place, name), "a boolean", other)),
    }
}

/// A field that may be absent, which null is too.
fn given<'a>(payload: &'a Object, name: &str) -> Option<&'a Value> {
    payload.get(name).filter(|value| !value.is_null())
}

fn list<'a>(payload: &'a Object, name: &str, at: &str) -> Result<Option<&'a [Value]>, String> {
    match given(payload, name) {
        None => Ok(None),
        Some(Value::Array(entries)) => Ok(Some(entries)),
        Some(other) => Err(wrong_type(at, "a list", other)),
    }
}

fn text<'a>(value: &'a Value, at: &str) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| wrong_type(at, "a string", value))
}

fn uri(value: &Value, at: &str) -> Result<String, String> {
    let text = text(value, at)?;
    Location::parse(text).map_err(|error| format!("`{at}` is not usable: {error}"))?;
    Ok(text.to_owned())
}

/// The URI of something in S3, whatever project it may turn out to lie in.
pub(super) fn s3_uri(value: &Value, at: &str) -> Result<String, String> {
    let text = uri(value, at)?;
    if text.starts_with("s3://") { Ok(text) } else { Err(format!("`{at}` must be an s3:// URI")) }
}
