//! The objects: the files of the projects, and what else is in buckets.
//!
//! A project's file *is* the object, so nothing is kept twice. What is written through S3 is an
//! object at once and a file when it has been indexed; until then it is pending here.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{access::Key, cold::Restored, shelves::Bucket, uploads::Uploads};
use crate::{
    domain::file::{DataKind, DataStatus},
    simulator::{
        content::Content,
        parts::Parts,
        state::{Action, State},
        tree::{Node, ProjectKey},
        world::{ArchiveTier, Encryption, StorageClass, WorldBucket, WorldObject},
    },
};

/// One object.
#[derive(Debug, Clone)]
pub(in crate::simulator) struct Object {
    pub(super) content: Arc<Content>,
    pub(super) parts: Parts,
    pub(super) modified: Timestamp,
    pub(super) about: Arc<About>,
}

/// What is said of an object besides its bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::simulator) struct About {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) expires: Option<s3s::dto::Timestamp>,
    pub(super) metadata: HashMap<String, String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) class: StorageClass,
    /// Where an object of `INTELLIGENT_TIERING` went.
    pub(super) tier: Option<ArchiveTier>,
    pub(super) restored: Option<Restored>,
    /// The canned ACL that it was written with.
    pub(super) acl: Option<String>,
    /// Whether its SHA-256 is told.
    pub(super) sha256: bool,
}

impl About {
    /// What the world file says.
    pub(super) fn of(object: &WorldObject) -> Self {
        let pairs = |map: &BTreeMap<String, String>| map.clone().into_iter();
        Self {
            content_type: object.content_type.clone(),
            metadata: pairs(&object.metadata).collect(),
            tags: pairs(&object.tags).collect(),
            class: object.storage_class,
            tier: object.archive_tier,
            sha256: object.sha256,
            ..Self::default()
        }
    }
}

/// A write to a project that has not been indexed.
#[derive(Debug)]
struct Pending {
    serial: u64,
    /// None is a deletion.
    object: Option<Object>,
}

/// Bucket and key.
pub(in crate::simulator) type Place = (String, String);

/// What S3 knows besides the trees of the projects.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Store {
    /// Buckets that belong to no project.
    pub(super) plain: HashMap<String, Bucket>,
    /// What lies in a project's bucket beside the project.
    beside: HashMap<String, Bucket>,
    pending: HashMap<String, BTreeMap<String, Pending>>,
    /// What was said of objects that are files.
    about: HashMap<Place, Arc<About>>,
    /// Access keys that were given out.
    pub(in crate::simulator) keys: HashMap<String, Key>,
    pub(super) uploads: Uploads,
    last: u64,
}

impl Store {
    fn outside(&self, bucket: &str) -> Option<&Bucket> {
        self.plain.get(bucket).or_else(|| self.beside.get(bucket))
    }
}

impl State {
    /// The buckets of the world file.
    pub(in crate::simulator) fn fill_buckets(&mut self, buckets: &[WorldBucket]) {
        let modified = self.now();
        for bucket in buckets {
            let encrypted = bucket.encryption == Encryption::Kms
                || bucket.objects.iter().any(|object| object.encryption == Some(Encryption::Kms));
            let mut made = Bucket::of(bucket, modified, &mut self.library);
            if encrypted {
                made.seal(bucket, |encryption, parts| self.written(encryption, parts));
            }
            self.s3.plain.insert(bucket.name.clone(), made);
            if !bucket.deny.is_empty() {
                self.faults.deny.insert(bucket.name.clone(), bucket.deny.clone());
            }
        }
    }

    /// Whether the bucket belongs to no project.
    pub(super) fn is_plain(&self, bucket: &str) -> bool {
        self.s3.plain.contains_key(bucket)
    }

    /// Whether there is such a bucket.
    pub(super) fn has_bucket(&self, bucket: &str) -> bool {
        self.is_plain(bucket) || self.tree.projects.iter().any(|project| project.home.bucket == bucket)
    }

    /// The project that a key belongs to, and the path there.
    fn locate(&self, bucket: &str, key: &str) -> Option<(ProjectKey, String)> {
        let homes = self.tree.projects.iter().enumerate();
        let inside = homes.filter(|(_, it)| it.home.bucket == bucket && key.starts_with(&it.home.prefix));
        let (project, it) = inside.max_by_key(|(_, it)| it.home.prefix.len())?;
        Some((project, format!("/{}", key.strip_prefix(&it.home.prefix)?)))
    }

    /// The object at a key.
    pub(super) fn object(&self, bucket: &str, key: &str) -> Option<Object> {
        let Some((project, path)) = self.locate(bucket, key) else {
            return self.s3.outside(bucket)?.get(key);
        };
        if let Some(pending) = self.s3.pending.get(bucket).and_then(|pending| pending.get(key)) {
            return pending.object.clone();
        }
        let (_, node) = self.tree.at(project, &path)?;
        self.file(node, bucket, key)
    }

    /// A file as an object: there as long as its bytes are, also while the platform deletes it.
    fn file(&self, node: &Node, bucket: &str, key: &str) -> Option<Object> {
        let content = node.content.clone().filter(|_| node.kind == DataKind::File)?;
        let mut about = self.s3.about.get(&(bucket.to_owned(), key.to_owned())).cloned().unwrap_or_default();
        if node.status == DataStatus::Archived {
            Arc::make_mut(&mut about).class = StorageClass::Glacier;
        }
        Some(Object { content, parts: node.parts.clone(), modified: node.modified, about })
    }

    /// The parts of what is written to a key, as it is encrypted there.
    pub(super) fn written_at(&mut self, bucket: &str, key: &str, parts: &Parts) -> Parts {
        let home = self.locate(bucket, key).and_then(|(project, _)| self.tree.project(project));
        let plain = || self.s3.plain.get(bucket).map(|bucket| bucket.encryption);
        let encryption = home.map(|project| project.encryption).or_else(plain).unwrap_or_default();
        self.written(encryption, parts)
    }

    /// The first key of a bucket from there on that may be an object's.
    pub(super) fn next_key(&self, bucket: &str, from: Bound<&str>) -> Option<String> {
        let all = (from, Bound::Unbounded);
        let outside = self.s3.outside(bucket).and_then(|objects| objects.next(from));
        let pending = self.s3.pending.get(bucket).and_then(|pending| pending.range::<str, _>(all).next());
        let files = self.tree.projects.iter().enumerate().filter(|(_, it)| it.home.bucket == bucket);
        let files = files.filter_map(|(project, it)| {
            let prefix = it.home.prefix.as_str();
            let inside = |key: &str| key.strip_prefix(prefix).map(|rest| format!("/{rest}"));
            let path = match from {
                Bound::Included(key) | Bound::Excluded(key) if inside(key).is_none() && key > prefix => {
                    return None;
                }
                Bound::Included(key) => inside(key).map_or(Bound::Unbounded, Bound::Included),
                Bound::Excluded(key) => inside(key).map_or(Bound::Unbounded, Bound::Excluded),
                Bound::Unbounded => Bound::Unbounded,
            };
            let next = self.tree.next_path(project, path.as_ref().map(String::as_str))?;
            Some(format!("{prefix}{}", next.trim_start_matches('/')))
        });
        files.chain(outside).chain(pending.map(|(key, _)| key.clone())).min()
    }

    /// Whether a project could show an object of that key as a file.
    pub(super) fn fits(&self, bucket: &str, key: &str) -> bool {
        self.locate(bucket, key).is_none_or(|(_, path)| !path.contains("//") && path != "/")
    }

    /// Writes an object, or deletes it.
    pub(super) fn write(&mut self, bucket: &str, key: &str, object: Option<Object>) {
        if self.locate(bucket, key).is_none() {
            let shelves = if self.is_plain(bucket) { &mut self.s3.plain } else { &mut self.s3.beside };
            match shelves.get_mut(bucket) {
                Some(objects) => objects.put(key, object),
                None => shelves.entry(bucket.to_owned()).or_default().put(key, object),
            }
            return;
        }
        self.s3.last += 1;
        let serial = self.s3.last;
        let pending = self.s3.pending.entry(bucket.to_owned()).or_default();
        pending.insert(key.to_owned(), Pending { serial, object });
        let place = (bucket.to_owned(), key.to_owned());
        let (now, delay) = (Instant::now(), self.faults.index_delay);
        if delay.is_zero() {
            self.index(place, serial, now);
        } else {
            self.later(now + delay, Action::Index { place, serial });
        }
    }

    /// The platform notices what was written to a project's bucket.
    pub(in crate::simulator) fn index(&mut self, place: Place, serial: u64, at: Instant) {
        let (bucket, key) = &place;
        let Some(pending) = self.s3.pending.get_mut(bucket) else { return };
        if pending.get(key).is_none_or(|pending| pending.serial != serial) {
            // Written again since; that write will be noticed in its own time.
            return;
        }
        let object = pending.remove(key).and_then(|pending| pending.object);
        let Some((project, path)) = self.locate(bucket, key) else { return };
        let known = self.tree.at(project, &path).map(|(key, node)| (key, node.status));
        let Some(object) = object else {
            self.s3.about.remove(&place);
            if let Some((node, _)) = known {
                self.tree.remove(node);
            }
            return;
        };
        let node = match known {
            Some((node, DataStatus::Deleting)) => {
                self.tree.remove(node);
                None
            }
            known => known.map(|(node, _)| node),
        };
        let now = self.wall(at);
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        let rng = &mut self.rng;
        let folder = self.tree.ensure_folder(project, folder, now, rng);
        let made = match (node, folder) {
            (Some(node), _) => Ok(Some(node)),
            // The marker of a folder is the folder.
            (None, Ok(_)) if name.is_empty() => Ok(None),
            (None, Ok(folder)) => self.tree.create(folder, name, DataKind::File, now, rng).map(Some),
            (None, Err(refused)) => Err(refused),
        };
        let Ok(node) = made else {
            // A file is where a folder should be: an object that no project can show.
            let pending = self.s3.pending.entry(bucket.clone()).or_default();
            pending.insert(key.clone(), Pending { serial, object: Some(object) });
            return;
        };
        if *object.about == About::default() {
            self.s3.about.remove(&place);
        } else {
            self.s3.about.insert(place, object.about);
        }
        if let Some(node) = node {
            self.arrive(node, object.content, object.parts, at);
        }
    }

    /// Changes what is said of an object, which takes effect at once.
    pub(super) fn say(&mut self, bucket: &str, key: &str, about: About) -> bool {
        let about = Arc::new(about);
        let pending = self.s3.pending.get_mut(bucket).and_then(|pending| pending.get_mut(key));
        if let Some(pending) = pending {
            return pending.object.as_mut().map(|object| object.about = about).is_some();
        }
        if self.locate(bucket, key).is_some() {
            self.s3.about.insert((bucket.to_owned(), key.to_owned()), about);
            return true;
        }
        let shelves = if self.is_plain(bucket) { &mut self.s3.plain } else { &mut self.s3.beside };
        let Some(objects) = shelves.get_mut(bucket) else { return false };
        let changed = objects.get(key).map(|object| Object { about, ..object });
        let is_there = changed.is_some();
        if is_there {
            objects.put(key, changed);
        }
        is_there
    }
}
