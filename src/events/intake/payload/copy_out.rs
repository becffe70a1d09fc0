//! The payload of a copy-out, in the spellings of those that it stands in for: the first form and its
//! documentation (`sourceFilesCsvBucket` …), the second (`copyInstructionsKey` …) and the third
//! (`instructionsPrefix` …).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Object, given, join, missing, text, unknown_in, wrong_type};
use crate::domain::{
    bucket,
    copy_out::{BucketDefinition, CopyOutRequest, Rights, SliceOptions, Thaw, ThawParams, ThawSpeed},
    instruction::{folder, refused},
    location::shown,
    outcome::{ErrorName, Failure},
};

pub(super) const FIELDS: [&str; 24] = [
    CSV_BUCKET,
    CSV_KEY,
    INSTRUCTIONS_PREFIX,
    INSTRUCTIONS_KEY,
    COPY_INSTRUCTIONS_KEY,
    DESTINATION_BUCKET,
    PREFIXES[0],
    PREFIXES[1],
    PREFIXES[2],
    MARKERS[0],
    MARKERS[1],
    SUMMARIES[0],
    SUMMARIES[1],
    MAX_ITEMS,
    CONCURRENCY,
    CONTINUE,
    DRY_RUN,
    COLLISIONS,
    REGIONS[0],
    REGIONS[1],
    THAW,
    BUCKETS,
    // Of the state machine that this stands in for, and of no use here.
    "performance",
    "sourceRequiredRegion",
];

const CSV_BUCKET: &str = "sourceFilesCsvBucket";
const CSV_KEY: &str = "sourceFilesCsvKey";
const INSTRUCTIONS_PREFIX: &str = "instructionsPrefix";
const INSTRUCTIONS_KEY: &str = "instructionsKey";
const COPY_INSTRUCTIONS_KEY: &str = "copyInstructionsKey";
const DESTINATION_BUCKET: &str = "destinationBucket";
/// The prefix in the three spellings, the first form first.
const PREFIXES: [&str; 3] = ["destinationPrefixKey", "destinationFolderKey", "destinationPrefix"];
const MARKERS: [&str; 2] = ["destinationStartCopyRelativeKey", "startMarkerKey"];
const SUMMARIES: [&str; 2] = ["destinationEndCopyRelativeKey", "summaryCsvKey"];
const MAX_ITEMS: &str = "maxItemsPerBatch";
const CONCURRENCY: &str = "copyConcurrency";
const CONTINUE: &str = "continueOnError";
const DRY_RUN: &str = "dryRun";
const COLLISIONS: &str = "allowCollisions";
const REGIONS: [&str; 2] = ["requiredRegion", "destinationRequiredRegion"];
const THAW: &str = "thawParams";
const BUCKETS: &str = "bucketDefinitions";

const INSTRUCTIONS: &str = "INSTRUCTIONS.jsonl";
const MARKER: &str = "STARTED_COPY.txt";
const SUMMARY: &str = "ENDED_COPY.csv";
/// Objects in one child at most: a child's record holds them all. Where nothing is said, as suits their number; an
/// older version takes ten.
const ITEMS: u32 = 10;
const MOST_ITEMS: u32 = 1000;
/// Objects in flight where nothing is said, and at most.
const IN_FLIGHT: u32 = 100;
const MOST_IN_FLIGHT: u32 = 10_000;
/// The longest a restored copy may be asked to stay, days.
const MOST_DAYS: u32 = 365;
/// The longest key of an object in S3, bytes.
const LONGEST_KEY: usize = 1024;

/// Reads a payload. What is wrong in a way that has a name of its own is noted in the request, which
/// then fails with that name; everything else is refused.
pub(super) fn read(
    payload: &Object,
    place: &str,
    unknown: &mut Vec<String>,
) -> Result<CopyOutRequest, String> {
    *unknown = unknown_in(payload, place, &FIELDS);
    let form = Reader { payload, place };
    let (list_bucket, list_key) = form.list()?;
    let destination_bucket =
        form.bucket(DESTINATION_BUCKET)?.ok_or_else(|| missing(&form.at(DESTINATION_BUCKET)))?;
    let mut request = CopyOutRequest {
        list_bucket,
        list_key,
        destination_bucket,
        destination_prefix: String::new(),
        start_marker: form.key(&MARKERS)?.unwrap_or_else(|| MARKER.to_owned()),
        summary: form.key(&SUMMARIES)?.unwrap_or_else(|| SUMMARY.to_owned()),
        brief_summary: payload.contains_key(CSV_KEY),
        max_items_per_batch: form.count(MAX_ITEMS, ITEMS, MOST_ITEMS)?,
        fitting_batches: given(payload, MAX_ITEMS).is_none(),
        copy_concurrency: form.count(CONCURRENCY, IN_FLIGHT, MOST_IN_FLIGHT)?,
        continue_on_error: form.flag(CONTINUE)?,
        dry_run: form.flag(DRY_RUN)?,
        probe: false,
        allow_collisions: form.flag(COLLISIONS)?,
        required_region: form.first(&REGIONS)?.map(|(_, region)| region.to_owned()),
        options: SliceOptions { buckets: form.buckets()?, ..SliceOptions::default() },
        refused: None,
    };
    if let Some((name, prefix)) = form.first(&PREFIXES)? {
        match destination_prefix(name, prefix) {
            Ok(prefix) => request.destination_prefix = prefix,
            Err(failure) => request.refused = Some(failure),
        }
    }
    match form.thaw()? {
        Ok(thaw) => request.options.thaw = thaw,
        Err(failure) => request.refused = request.refused.or(Some(failure)),
    }
    Ok(request)
}

/// The prefix at the destination: empty, or a folder.
fn destination_prefix(name: &str, prefix: &str) -> Result<String, Failure> {
    let error = if name == PREFIXES[0] && !prefix.is_empty() && !prefix.ends_with('/') {
        ErrorName::DestinationPrefixKeyNoTrailingSlashError
    } else {
        ErrorName::DestinationPrefixFieldInvalid
    };
    if prefix.is_empty() {
        return Ok(String::new());
    }
    if !prefix.ends_with('/') {
        return Err(refused(error, name, "must be a slash terminated string or the empty string", prefix));
    }
    folder(error, name, prefix)
}

struct Reader<'a> {
    payload: &'a Object,
    place: &'a str,
}

impl<'a> Reader<'a> {
    fn at(&self, name: &str) -> String {
        join(self.place, name)
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        given(self.payload, name).map(|value| text(value, &self.at(name))).transpose()
    }

    /// The first of several spellings that is given; two of them say the same thing twice.
    fn first(&self, names: &[&'static str]) -> Result<Option<(&'static str, &'a str)>, String> {
        let mut found = None;
        for name in names {
            let Some(value) = self.text(name)? else { continue };
            if let Some((other, _)) = found {
                return Err(format!("`{}` and `{name}` say the same thing twice", self.at(other)));
            }
            found = Some((*name, value));
        }
        Ok(found)
    }

    fn list(&self) -> Result<(Option<String>, String), String> {
        let csv = self.text(CSV_KEY)?;
        let bucket = self.bucket(CSV_BUCKET)?;
        let prefix = self.text(INSTRUCTIONS_PREFIX)?;
        let second = self.text(COPY_INSTRUCTIONS_KEY)?;
        let third = self.text(INSTRUCTIONS_KEY)?;
        if csv.is_some() && (prefix.or(second).or(third).is_some()) {
            return Err(format!("`{}` and other instructions say the same thing twice", self.at(CSV_KEY)));
        }
        if bucket.is_some() && csv.is_none() {
            return Err(missing(&self.at(CSV_KEY)));
        }
        let key = match (csv.or(second), prefix) {
            (Some(key), _) => key.to_owned(),
            (None, Some(prefix)) if prefix.is_empty() || prefix.ends_with('/') => {
                format!("{prefix}{}", third.unwrap_or(INSTRUCTIONS))
            }
            (None, Some(_)) => return Err(format!("`{}` must end with `/`", self.at(INSTRUCTIONS_PREFIX))),
            (None, None) => match third {
                Some(key) => key.to_owned(),
                None => return Err(missing(&self.at(CSV_KEY))),
            },
        };
        if key.is_empty() || key.ends_with('/') || key.len() > LONGEST_KEY {
            return Err(format!("`{}` must name one object", self.at(CSV_KEY)));
        }
        Ok((bucket, key))
    }

    fn bucket(&self, name: &str) -> Result<Option<String>, String> {
        let Some(bucket) = self.text(name)? else { return Ok(None) };
        match bucket::check(bucket) {
            Ok(()) => Ok(Some(bucket.to_owned())),
            Err(why) => Err(format!("`{}` is no name of a bucket: {why}", self.at(name))),
        }
    }

    /// A key below the destination's prefix.
    fn key(&self, names: &[&'static str]) -> Result<Option<String>, String> {
        let Some((name, key)) = self.first(names)? else { return Ok(None) };
        let goes_up = key.split('/').any(|segment| segment == "..");
        if key.is_empty() || key.starts_with('/') || key.ends_with('/') || goes_up || key.len() > LONGEST_KEY
        {
            return Err(format!("`{}` must be a key below the destination's prefix", self.at(name)));
        }
        Ok(Some(key.to_owned()))
    }

    fn count(&self, name: &str, usual: u32, most: u32) -> Result<u32, String> {
        let Some(value) = given(self.payload, name) else { return Ok(usual) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| format!("`{}` must be a whole number from 1 to {most}", self.at(name)))
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        match given(self.payload, name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong_type(&self.at(name), "a boolean", other)),
        }
    }

    fn thaw(&self) -> Result<Result<ThawParams, Failure>, String> {
        let Some(value) = given(self.payload, THAW) else { return Ok(Ok(ThawParams::default())) };
        let fields = value.as_object().ok_or_else(|| wrong_type(&self.at(THAW), "an object", value))?;
        Ok(thaw_params(fields))
    }

    fn buckets(&self) -> Result<BTreeMap<String, BucketDefinition>, String> {
        let Some(value) = given(self.payload, BUCKETS) else { return Ok(BTreeMap::new()) };
        let at = self.at(BUCKETS);
        let buckets = value.as_object().ok_or_else(|| wrong_type(&at, "an object", value))?;
        let definitions = buckets.iter().map(|(name, value)| {
            if let Err(why) = bucket::check(name) {
                return Err(format!("`{at}` holds `{}`, which is no name of a bucket: {why}", shown(name)));
            }
            let at = join(&at, name);
            let fields = value.as_object().ok_or_else(|| wrong_type(&at, "an object", value))?;
            Ok((name.clone(), definition(fields, &at)?))
        });
        definitions.collect()
    }
}

/// How archived objects are restored, as a caller says it (`thawParams`).
pub(crate) fn thaw_params(fields: &Object) -> Result<ThawParams, Failure> {
    let shallow = [ThawSpeed::Bulk, ThawSpeed::Standard, ThawSpeed::Expedited];
    let deep = [ThawSpeed::Bulk, ThawSpeed::Standard];
    Ok(ThawParams {
        glacier: thaw(fields, "glacierFlexibleRetrieval", &shallow)?,
        deep_archive: thaw(fields, "glacierDeepArchive", &deep)?,
        tiering_archive: thaw(fields, "intelligentTieringArchive", &shallow)?,
        tiering_deep_archive: thaw(fields, "intelligentTieringDeepArchive", &deep)?,
    })
}

/// How objects of one class are restored.
fn thaw(fields: &Object, class: &str, speeds: &[ThawSpeed]) -> Result<Thaw, Failure> {
    let wrong = |name: &str, why: String| {
        Failure::new(ErrorName::InvalidThawParamsError, format!("`{THAW}.{name}` {why}"))
    };
    let mut thaw = Thaw::default();
    let name = format!("{class}ThawDays");
    if let Some(value) = given(fields, &name) {
        let days = value.as_u64().and_then(|days| u32::try_from(days).ok());
        let days = days.filter(|days| (1..=MOST_DAYS).contains(days));
        thaw.days =
            days.ok_or_else(|| wrong(&name, format!("must be a whole number from 1 to {MOST_DAYS}")))?;
    }
    let name = format!("{class}ThawSpeed");
    if let Some(value) = given(fields, &name) {
        let word = value.as_str().unwrap_or_default();
        let words = speeds.iter().map(|speed| format!("`{}`", speed.as_str())).collect::<Vec<_>>().join(", ");
        let speed = speeds.iter().find(|speed| speed.as_str() == word);
        thaw.speed = *speed.ok_or_else(|| wrong(&name, format!("must be one of {words}")))?;
    }
    Ok(thaw)
}

fn definition(fields: &Object, at: &str) -> Result<BucketDefinition, String> {
    let text = |name: &str| {
        let value = given(fields, name);
        value.map(|value| text(value, &join(at, name)).map(str::to_owned)).transpose()
    };
    let endpoint_url = text("endpointUrl")?;
    if let Some(url) = &endpoint_url
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        return Err(format!("`{}` must be an http(s) URL", join(at, "endpointUrl")));
    }
    let provider = text("credentialProvider")?;
    let rights = match (provider.as_deref(), text("secret")?) {
        (None | Some("default-environment"), _) => Rights::Own,
        (Some("no-credentials"), _) => Rights::None,
        (Some("aws-secret"), Some(secret)) => Rights::Secret(secret),
        (Some("aws-secret"), None) => return Err(missing(&join(at, "secret"))),
        (Some(_), _) => {
            let at = join(at, "credentialProvider");
            return Err(format!(
                "`{at}` must be one of `default-environment`, `no-credentials`, `aws-secret`"
            ));
        }
    };
    Ok(BucketDefinition { region: text("region")?, endpoint_url, rights })
}

#[cfg(test)]
mod tests;
