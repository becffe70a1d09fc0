//! Sources that a listing has shown, so that not each of them is looked at.
//!
//! To copy a small object to where nothing is takes its size and its `ETag`, and these a page of a listing
//! tells of a thousand at once. A page is a hint: the copy goes on the condition that the source still has
//! that `ETag`, and where that does not hold both ends are looked at as ever. An object that a listing does
//! not show, or not well enough, is looked at by itself.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    object::{Found, Try},
    slice_run::{End, SliceRun},
};
use crate::{
    domain::{copy_out::Origin, file::ETag},
    ports::{
        Class, Error,
        objects::{Access, ObjectInfo, ObjectLocation},
        parts,
        store::Page,
    },
};

/// How long a page is believed, and for how long a place that cannot be listed well is not listed again.
const FRESH: Duration = Duration::from_mins(1);
/// So many objects of a slice in one folder are worth a listing.
const WORTH: usize = 4;
/// The most that a page holds.
const MOST: usize = 1000;
/// Pages kept of a folder: slices begin in any order, some far behind others.
const PAGES: usize = 8;
/// Folders and buckets kept.
const PLACES: usize = 8;
/// Classes that are read as they are; one of `INTELLIGENT_TIERING` may be archived, which no listing tells.
const READY: [&str; 5] = ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "REDUCED_REDUNDANCY"];

/// What listings have shown, by folder; only of buckets that are used with our own rights.
#[derive(Debug, Default)]
pub(crate) struct ListingCache(Mutex<Places>);

#[derive(Default)]
struct Places {
    /// The last used at the end.
    folders: VecDeque<((String, String), Arc<Folder>)>,
    /// Buckets that do not let us list, and since when that is known.
    closed: BTreeMap<String, Instant>,
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Places({} folders)", self.folders.len())
    }
}

/// The task that lists it holds the lock, so that the others find its page.
type Folder = tokio::sync::Mutex<Shown>;

#[derive(Default)]
struct Shown {
    pages: VecDeque<Seen>,
    /// Since when it is known that listings show little of what is asked for.
    sparse: Option<Instant>,
}

/// A page of a listing.
struct Seen {
    read_at: Instant,
    /// It shows what comes after this one …
    after: String,
    /// … up to this one; `None`: all the rest.
    upto: Option<String>,
    /// Size and `ETag`, in order of the keys.
    objects: Vec<(Box<str>, u64, ETag)>,
}

impl Seen {
    fn new(page: Page<ObjectInfo>, after: String, largest: u64) -> Self {
        let upto = page.next.and_then(|_| page.items.last().map(|last| last.key.clone()));
        let plain = page.items.into_iter().filter(|info| info.size <= largest).filter_map(plain);
        let mut objects: Vec<_> = plain.collect();
        objects.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
        Self { read_at: Instant::now(), after, upto, objects }
    }

    fn covers(&self, key: &str) -> bool {
        self.after.as_str() < key && self.upto.as_deref().is_none_or(|upto| key <= upto)
    }

    fn get(&self, key: &str) -> Option<ObjectInfo> {
        let at = self.objects.binary_search_by(|(known, ..)| (**known).cmp(key)).ok()?;
        let (_, size, etag) = self.objects.get(at)?;
        let etag = Some(etag.clone());
        Some(ObjectInfo { key: key.to_owned(), size: *size, etag, ..ObjectInfo::default() })
    }
}

impl ListingCache {
    fn folder(&self, bucket: &str, folder: &str) -> Option<Arc<Folder>> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.closed.get(bucket).is_some_and(|at| at.elapsed() < FRESH) {
            return None;
        }
        let known = places.folders.iter().position(|((a, b), _)| a == bucket && b == folder);
        let place = known.and_then(|at| places.folders.remove(at));
        let place = place.unwrap_or_else(|| ((bucket.to_owned(), folder.to_owned()), Arc::default()));
        let shown = Arc::clone(&place.1);
        places.folders.push_back(place);
        if places.folders.len() > PLACES {
            places.folders.pop_front();
        }
        Some(shown)
    }

    fn close(&self, bucket: &str) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.closed.retain(|_, at| at.elapsed() < FRESH);
        if places.closed.len() >= PLACES {
            places.closed.clear();
        }
        places.closed.insert(bucket.to_owned(), Instant::now());
    }
}

impl Try<'_, '_> {
    /// What a listing tells of the source, if that is enough to copy it; it may have changed since.
    pub(super) async fn listing_cache(&self, at: &ObjectLocation, access: &Access) -> Option<ObjectInfo> {
        if !matches!((access, &self.item.from), (Access::Own, Origin::Object { sums: None, .. })) {
            return None;
        }
        let engine = self.slice_run.engine;
        let (bucket, key) = (at.bucket.as_str(), at.key.as_str());
        let folder = folder_of(key);
        let shown = engine.listing_cache.folder(bucket, folder)?;
        let mut shown = shown.lock().await;
        shown.pages.retain(|page| page.read_at.elapsed() < FRESH);
        if let Some(page) = shown.pages.iter().find(|page| page.covers(key)) {
            return page.get(key);
        }
        let asked = self.slice_run.neighbours(self.index, bucket, folder);
        let is_sparse = shown.sparse.is_some_and(|at| at.elapsed() < FRESH);
        // A task that waited for the lock may have waited for a refusal.
        if is_sparse || asked.len() < WORTH || engine.listing_cache.folder(bucket, folder).is_none() {
            return None;
        }
        // A short list costs little, and a long one goes on.
        let most = if shown.pages.is_empty() { MOST.min(2 * asked.len()) } else { MOST };
        let after = before(key);
        let list = engine.core.ports.objects.list_after(bucket, folder, &after, most, access);
        let Ok(page) = self.call(End::Source, list).await else {
            engine.listing_cache.close(bucket);
            return None;
        };
        let largest = engine.core.settings.copy_out.multipart_threshold.min(parts::MOST_BYTES);
        let page = Seen::new(page, after, largest);
        if 2 * asked.iter().filter(|key| page.get(key).is_some()).count() < asked.len() {
            shown.sparse = Some(Instant::now());
        }
        let info = page.get(key);
        shown.pages.truncate(PAGES - 1);
        shown.pages.push_front(page);
        info
    }
}

impl Found {
    /// Whether the source may not be for us after all: to list it and to read it are two rights.
    pub(super) fn is_doubted(&self, error: &Error) -> bool {
        self.listed && error.class == Class::Forbidden
    }
}

impl SliceRun<'_> {
    /// The keys of that object and those after it, as long as they are in that folder and in order.
    fn neighbours(&self, index: usize, bucket: &str, folder: &str) -> Vec<&str> {
        let mut keys: Vec<&str> = Vec::new();
        for item in self.spec.items.iter().skip(index) {
            match &item.from {
                Origin::Object { bucket: from, key, .. }
                    if from == bucket
                        && folder_of(key) == folder
                        && keys.last().is_none_or(|last| *last < key.as_str()) =>
                {
                    keys.push(key);
                }
                _ => break,
            }
        }
        keys
    }
}

/// What is to be known of an object, if it can be copied with one call.
fn plain(info: ObjectInfo) -> Option<(Box<str>, u64, ETag)> {
    let is_ready = info.storage_class.as_deref().is_none_or(|class| READY.contains(&class));
    let etag = info.etag.filter(|etag| is_ready && !info.archived && parts::count(etag).is_none())?;
    Some((info.key.into(), info.size, etag))
}

fn folder_of(key: &str) -> &str {
    key.rsplit_once('/').and_then(|(folder, _)| key.get(..=folder.len())).unwrap_or_default()
}

/// A text before that key, with as few keys between as can be: S3 lists what comes after one.
fn before(key: &str) -> String {
    let mut text = key.to_owned();
    if let Some(last @ '"'..='~') = text.pop() {
        text.extend(char::from_u32(u32::from(last) - 1));
        text.push('~');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_end_with_their_last_slash() {
        for (key, folder) in [("a", ""), ("a/b", "a/"), ("a//b", "a//"), ("/b", "/"), ("é/ü/", "é/ü/")] {
            assert_eq!(folder_of(key), folder, "{key}");
        }
    }

    #[test]
    fn a_listing_begins_just_before_a_key() {
        for key in ["a", "run/a", "run/!", "run/ ", "run/~", "run/é", "run//", "run/a~", "run/0001", "run/\""]
        {
            let text = before(key);
            assert!(text.as_str() < key, "{text} is not before {key}");
            // Its neighbour is not listed again.
            assert!(key != "run/0001" || "run/0000" < text.as_str());
        }
    }

    #[test]
    fn only_what_can_be_copied_as_it_is_is_taken_from_a_listing() {
        let object = |etag: &str, class: Option<&str>, archived: bool| ObjectInfo {
            etag: Some(ETag::new(etag)),
            storage_class: class.map(str::to_owned),
            archived,
            ..ObjectInfo::default()
        };
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        for (info, expected) in [
            (object(md5, None, false), true),
            (object(md5, Some("GLACIER_IR"), false), true),
            (object(md5, Some("INTELLIGENT_TIERING"), false), false),
            (object(md5, Some("GLACIER"), true), false),
            (object(md5, Some("of tomorrow"), false), false),
            (object("d41d8cd98f00b204e9800998ecf8427e-2", None, false), false),
            (ObjectInfo::default(), false),
        ] {
            assert_eq!(plain(info.clone()).is_some(), expected, "{info:?}");
        }
    }
}
