//! What lies in a bucket: objects by key, and series of them that are made when they are looked at.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use jiff::Timestamp;

use super::store::{About, Object};
use crate::simulator::{
    content::{Content, Library},
    parts::Parts,
    world::{Encryption, NUMBER, WorldBucket, WorldObject, account},
};

/// Contents of a series that are kept, so that a second look at an object does not hash it again.
const RECENT: usize = 8192;

/// A bucket that belongs to no project, or what lies in a project's beside the project.
#[derive(Debug)]
pub(in crate::simulator) struct Bucket {
    pub(super) region: Option<String>,
    pub(super) owner: String,
    pub(super) public: bool,
    pub(super) keys: Vec<String>,
    pub(super) requester_pays: bool,
    pub(super) object_lock: bool,
    pub(super) encryption: Encryption,
    /// Nothing is an object of a series that was deleted.
    objects: BTreeMap<Box<str>, Option<Object>>,
    series: Vec<Series>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            region: None,
            owner: account(),
            public: true,
            keys: Vec::new(),
            requester_pays: false,
            object_lock: false,
            encryption: Encryption::default(),
            objects: BTreeMap::new(),
            series: Vec::new(),
        }
    }
}

impl Bucket {
    /// A bucket of the world file.
    pub(super) fn of(world: &WorldBucket, modified: Timestamp, library: &mut Library) -> Self {
        let mut bucket = Self {
            region: world.region.clone(),
            owner: world.owner.clone(),
            public: world.public,
            keys: world.keys.clone(),
            requester_pays: world.requester_pays,
            object_lock: world.object_lock,
            encryption: world.encryption,
            ..Self::default()
        };
        // Most objects are nothing special, and say so together.
        let mut plain: Arc<About> = Arc::default();
        for object in &world.objects {
            let about = About::of(object);
            if about != *plain {
                plain = Arc::new(about);
            }
            let about = Arc::clone(&plain);
            if object.count.is_some() {
                bucket.series.extend(Series::of(object, &world.name, modified, about));
                continue;
            }
            let place = || format!("{}/{}", world.name, object.key);
            let content = library.made(&object.same_as.clone().unwrap_or_else(place), object.size);
            let object_made = Object { content, parts: parts(object), modified, about };
            bucket.objects.insert(object.key.as_str().into(), Some(object_made));
        }
        bucket
    }

    /// Encrypts its objects as the world file says.
    pub(super) fn seal(&mut self, world: &WorldBucket, mut written: impl FnMut(Encryption, &Parts) -> Parts) {
        for object in &world.objects {
            let encryption = object.encryption.unwrap_or(world.encryption);
            if let Some(Some(known)) = self.objects.get_mut(object.key.as_str()) {
                known.parts = written(encryption, &known.parts);
            }
            for series in self.series.iter_mut().filter(|series| series.is_of(&object.key)) {
                series.parts = written(encryption, &series.parts);
            }
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Object> {
        match self.objects.get(key) {
            Some(known) => known.clone(),
            None => self.series.iter().find_map(|series| series.get(key)),
        }
    }

    pub(super) fn put(&mut self, key: &str, object: Option<Object>) {
        if object.is_none() && !self.series.iter().any(|series| series.number(key).is_some()) {
            self.objects.remove(key);
            return;
        }
        match self.objects.get_mut(key) {
            Some(known) => *known = object,
            None => drop(self.objects.insert(key.into(), object)),
        }
    }

    /// The first key from there on that may be an object's.
    pub(super) fn next(&self, from: Bound<&str>) -> Option<String> {
        let known = self.objects.range::<str, _>((from, Bound::Unbounded)).next().map(|(key, _)| &**key);
        let made = self.series.iter().filter_map(|series| series.next(from)).min();
        match (known, made) {
            (Some(known), Some(made)) => Some(if known < made.as_str() { known.to_owned() } else { made }),
            (known, made) => made.or_else(|| known.map(str::to_owned)),
        }
    }
}

fn parts(object: &WorldObject) -> Parts {
    let sizes = object.part_sizes.clone();
    sizes.map_or(Parts::Equal(object.parts), Parts::uploaded)
}

/// Many objects that differ in their number alone.
#[derive(Debug)]
struct Series {
    before: String,
    after: String,
    digits: usize,
    count: u64,
    size: u64,
    /// What the bytes are made from, before and after the number.
    seed: (String, String),
    parts: Parts,
    modified: Timestamp,
    about: Arc<About>,
    recent: RefCell<HashMap<u64, Arc<Content>>>,
}

impl Series {
    fn of(object: &WorldObject, bucket: &str, modified: Timestamp, about: Arc<About>) -> Option<Self> {
        let count = object.count?;
        let (before, after) = object.key.split_once(NUMBER)?;
        let seed = object.same_as.clone().unwrap_or_else(|| format!("{bucket}/{}", object.key));
        let seed = seed.split_once(NUMBER).map(|(before, after)| (before.to_owned(), after.to_owned()));
        Some(Self {
            before: before.to_owned(),
            after: after.to_owned(),
            digits: count.saturating_sub(1).to_string().len().max(6),
            count,
            size: object.size,
            seed: seed.unwrap_or_else(|| (object.same_as.clone().unwrap_or_default(), String::new())),
            parts: parts(object),
            modified,
            about,
            recent: RefCell::default(),
        })
    }

    fn is_of(&self, key: &str) -> bool {
        key.split_once(NUMBER) == Some((self.before.as_str(), self.after.as_str()))
    }

    fn number(&self, key: &str) -> Option<u64> {
        let digits = key.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        let plain = digits.len() == self.digits && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|number| plain && *number < self.count)
    }

    fn key(&self, number: u64) -> String {
        format!("{}{number:0digits$}{}", self.before, self.after, digits = self.digits)
    }

    fn get(&self, key: &str) -> Option<Object> {
        let number = self.number(key)?;
        let mut recent = self.recent.borrow_mut();
        if recent.len() >= RECENT {
            recent.clear();
        }
        let content = recent.entry(number).or_insert_with(|| {
            let (before, after) = &self.seed;
            let seed = format!("{before}{number:0digits$}{after}", digits = self.digits);
            Arc::new(Content::made(&seed, self.size))
        });
        let content = Arc::clone(content);
        let (parts, about) = (self.parts.clone(), Arc::clone(&self.about));
        Some(Object { content, parts, modified: self.modified, about })
    }

    fn next(&self, from: Bound<&str>) -> Option<String> {
        let is_before = |number: u64| match from {
            Bound::Included(from) => self.key(number).as_str() < from,
            Bound::Excluded(from) => self.key(number).as_str() <= from,
            Bound::Unbounded => false,
        };
        let (mut first, mut end) = (0, self.count);
        while first < end {
            let middle = first + (end - first) / 2;
            if is_before(middle) {
                first = middle + 1;
            } else {
                end = middle;
            }
        }
        (first < self.count).then(|| self.key(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(objects: &str) -> Bucket {
        let world = format!(r#"{{"name":"b","objects":[{objects}]}}"#);
        let world: WorldBucket = serde_json::from_str(&world).unwrap();
        Bucket::of(&world, Timestamp::UNIX_EPOCH, &mut Library::default())
    }

    fn keys(bucket: &Bucket, mut from: Bound<String>) -> Vec<String> {
        let mut keys = Vec::new();
        while let Some(key) = bucket.next(from.as_ref().map(String::as_str)) {
            if bucket.get(&key).is_some() {
                keys.push(key.clone());
            }
            from = Bound::Excluded(key);
        }
        keys
    }

    #[test]
    fn a_series_is_there_without_being_kept() {
        let many =
            r#"{"key":"m/{n}.txt","size":9,"count":3},{"key":"m/000001","size":1},{"key":"z","size":1}"#;
        let mut bucket = bucket(many);
        assert_eq!(
            keys(&bucket, Bound::Unbounded),
            ["m/000000.txt", "m/000001", "m/000001.txt", "m/000002.txt", "z"]
        );
        assert_eq!(keys(&bucket, Bound::Excluded("m/000001.txt".into())), ["m/000002.txt", "z"]);
        for gone in ["m/000003.txt", "m/1.txt", "m/+00001.txt", "m/000001.txt.txt"] {
            assert!(bucket.get(gone).is_none(), "{gone}");
        }
        bucket.put("m/000001.txt", None);
        bucket.put("z", None);
        assert_eq!(keys(&bucket, Bound::Unbounded), ["m/000000.txt", "m/000001", "m/000002.txt"]);
        let other = bucket.get("m/000000.txt");
        bucket.put("m/000001.txt", other);
        assert_eq!(bucket.get("m/000001.txt").unwrap().content.size(), 9);
    }

    #[test]
    fn bytes_can_be_those_of_another() {
        let bucket = bucket(
            r#"{"key":"a{n}","size":9,"count":3,"sameAs":"other/x{n}"},{"key":"b","size":9,"sameAs":"other/x000001"}"#,
        );
        let md5 = |key: &str| bucket.get(key).unwrap().content.md5();
        assert_eq!(md5("a000001"), md5("b"));
        assert_ne!(md5("a000002"), md5("b"));
        assert_eq!(md5("b"), Content::made("other/x000001", 9).md5());
    }
}
