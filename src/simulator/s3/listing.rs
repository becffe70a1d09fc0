//! Listings, in both versions of the protocol.

use std::ops::Bound;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{
    S3ErrorCode, S3Response, S3Result,
    dto::{
        CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
        ListObjectsV2Output, Object as Listed, ObjectStorageClass,
    },
};

use super::{
    say::{etag, refuse, size, time},
    store::Object,
};
use crate::simulator::{Simulator, state::State};

const MOST_KEYS: i32 = 1000;

/// A page of a listing.
#[derive(Default)]
struct Page {
    objects: Vec<(String, Object)>,
    prefixes: Vec<String>,
    /// Where the next page starts.
    next: Option<String>,
}

/// What both versions ask for.
struct Asked<'a> {
    bucket: &'a str,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    from: Bound<String>,
    most: i32,
    encoding: Option<&'a EncodingType>,
}

/// What both versions tell.
struct Told {
    contents: Vec<Listed>,
    prefixes: Vec<CommonPrefix>,
    next: Option<String>,
    /// The last key or prefix that is told.
    last: Option<String>,
}

impl Asked<'_> {
    fn text(&self, text: String) -> String {
        let as_url = self.encoding.is_some_and(|encoding| encoding.as_str() == "url");
        if as_url { utf8_percent_encode(&text, URL).to_string().replace("%20", "+") } else { text }
    }

    async fn tell(&self, simulator: &Simulator) -> Told {
        let most = usize::try_from(self.most).unwrap_or_default();
        let (prefix, delimiter, from) = (self.prefix, self.delimiter, self.from.clone());
        let page = simulator.with(|state| page(state, self.bucket, prefix, delimiter, from, most));
        simulator.hash_tags(page.objects.iter().map(|(_, object)| (&object.content, &object.parts))).await;
        let last_key = page.objects.last().map(|(key, _)| key);
        let last = last_key.into_iter().chain(page.prefixes.last()).max().cloned();
        let contents = page.objects.into_iter().map(|(key, object)| listed(self.text(key), &object));
        let prefixes =
            page.prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(self.text(prefix)) });
        Told { contents: contents.collect(), prefixes: prefixes.collect(), next: page.next, last }
    }
}

fn most(asked: Option<i32>) -> i32 {
    asked.unwrap_or(MOST_KEYS).clamp(0, MOST_KEYS)
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

pub(super) async fn list(
    simulator: &Simulator,
    input: ListObjectsV2Input,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let prefix = input.prefix.clone().unwrap_or_default();
    let wrong = || refuse(S3ErrorCode::InvalidArgument, "The continuation token provided is incorrect");
    let token = given(input.continuation_token.as_ref()).map(|token| {
        let key = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        key.ok_or_else(wrong)
    });
    let from = match (token.transpose()?, &input.start_after) {
        (Some(next), _) => Bound::Included(next),
        (None, Some(after)) if *after >= prefix => Bound::Excluded(after.clone()),
        (None, _) => Bound::Included(prefix.clone()),
    };
    let asked = Asked {
        bucket: &input.bucket,
        prefix: &prefix,
        delimiter: given(input.delimiter.as_ref()),
        from,
        most: most(input.max_keys),
        encoding: input.encoding_type.as_ref(),
    };
    let Told { contents, prefixes, next, .. } = asked.tell(simulator).await;
    Ok(S3Response::new(ListObjectsV2Output {
        key_count: i32::try_from(contents.len() + prefixes.len()).ok(),
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        is_truncated: Some(next.is_some()),
        next_continuation_token: next.map(|next| URL_SAFE_NO_PAD.encode(next)),
        prefix: input.prefix.clone().map(|prefix| asked.text(prefix)),
        delimiter: input.delimiter.clone().map(|delimiter| asked.text(delimiter)),
        start_after: input.start_after.clone().map(|after| asked.text(after)),
        max_keys: Some(asked.most),
        name: Some(input.bucket.clone()),
        continuation_token: input.continuation_token,
        encoding_type: input.encoding_type.clone(),
        ..ListObjectsV2Output::default()
    }))
}

pub(super) async fn list_first_version(
    simulator: &Simulator,
    input: ListObjectsInput,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let prefix = input.prefix.clone().unwrap_or_default();
    let delimiter = given(input.delimiter.as_ref());
    let from = match given(input.marker.as_ref()).filter(|marker| **marker >= *prefix) {
        // All of a common prefix was told with it.
        Some(marker) if delimiter.is_some_and(|delimiter| marker.ends_with(delimiter)) => {
            after_all(marker).map_or(Bound::Excluded(marker.to_owned()), Bound::Included)
        }
        Some(marker) => Bound::Excluded(marker.to_owned()),
        None => Bound::Included(prefix.clone()),
    };
    let (bucket, most) = (input.bucket.as_str(), most(input.max_keys));
    let asked =
        Asked { bucket, prefix: &prefix, delimiter, from, most, encoding: input.encoding_type.as_ref() };
    let Told { contents, prefixes, next, last } = asked.tell(simulator).await;
    Ok(S3Response::new(ListObjectsOutput {
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        is_truncated: Some(next.is_some()),
        next_marker: last.filter(|_| next.is_some()).map(|last| asked.text(last)),
        prefix: input.prefix.clone().map(|prefix| asked.text(prefix)),
        delimiter: input.delimiter.clone().map(|delimiter| asked.text(delimiter)),
        marker: input.marker.clone().map(|marker| asked.text(marker)),
        max_keys: Some(most),
        name: Some(input.bucket.clone()),
        encoding_type: input.encoding_type.clone(),
        ..ListObjectsOutput::default()
    }))
}

/// What `encoding-type=url` leaves as it is.
const URL: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b'*');

fn listed(key: String, object: &Object) -> Listed {
    let class = object.about.class.name();
    Listed {
        key: Some(key),
        e_tag: Some(etag(&object.tag())),
        size: Some(size(object.content.size())),
        last_modified: Some(time(object.modified)),
        storage_class: Some(ObjectStorageClass::from_static(class)),
        ..Listed::default()
    }
}

fn page(
    state: &State,
    bucket: &str,
    prefix: &str,
    delimiter: Option<&str>,
    mut from: Bound<String>,
    most: usize,
) -> Page {
    let mut page = Page::default();
    while let Some(key) = state.next_key(bucket, from.as_ref().map(String::as_str)) {
        let Some(rest) = key.strip_prefix(prefix) else { break };
        let Some(object) = state.object(bucket, &key) else {
            from = Bound::Excluded(key);
            continue;
        };
        if page.objects.len() + page.prefixes.len() >= most {
            page.next = (most > 0).then_some(key);
            break;
        }
        let cut = delimiter.and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        if let Some(inside) = cut.and_then(|cut| rest.get(..cut)) {
            let common = format!("{prefix}{inside}");
            let after = after_all(&common);
            page.prefixes.push(common);
            let Some(after) = after else { break };
            from = Bound::Included(after);
        } else {
            from = Bound::Excluded(key.clone());
            page.objects.push((key, object));
        }
    }
    page
}

/// The first text after all that start like this one.
fn after_all(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            text.push(next);
            return Some(text);
        }
    }
    None
}
