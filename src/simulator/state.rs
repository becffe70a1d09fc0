//! Everything that changes: data, jobs, promises about the future, faults in force, counters.
//!
//! Nothing here waits. What is to happen later is scheduled, and [`State::advance`] makes happen
//! what is due; every call does so before it looks, so that no call sees an outdated state.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tokio::time::Instant;
use uuid::{Builder, Uuid};

use super::{
    content::{Content, Library},
    copies::Copies,
    faults::Faults,
    jobs::Step,
    moves::MoveBatch,
    others::{Done, Strangers},
    parts::Parts,
    s3::{Place, Store},
    settings::Settings,
    tree::{NodeKey, ProjectKey, Tree, TreeError},
    world::{Encryption, WorldAccount, WorldError, WorldFile, WorldStatus},
};
use crate::domain::file::{DataKind, DataStatus};

/// What is to happen.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// A copy job goes on.
    Job { number: usize, step: Step },
    /// A move job goes on.
    Move { number: usize, step: Step },
    /// Another user has uploaded a file.
    Uploaded { node: NodeKey, content: Arc<Content>, parts: Parts },
    /// A file becomes AVAILABLE.
    Arrive { node: NodeKey, content: Arc<Content>, parts: Parts },
    /// Deleted data goes away.
    Remove { node: NodeKey },
    /// What was written through S3 is noticed.
    Index { place: Place, serial: u64 },
}

/// What a presigned URL allows.
#[derive(Debug, Clone)]
pub(super) enum Grant {
    /// To read a file.
    Read(NodeKey),
    /// To write one.
    Write(NodeKey),
}

/// What is known of a call with an idempotency key.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    /// What was asked, as text.
    pub(super) asked: Vec<u8>,
    /// The status and body of its answer; absent while it runs.
    pub(super) answer: Option<(http::StatusCode, String)>,
    pub(super) until: Instant,
}

/// What was asked of the simulator since it was made or reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// API calls.
    pub total: u64,
    /// API calls by method and path template; S3 calls, which `total` does not count, as
    /// `S3 PutObject`.
    pub calls: BTreeMap<String, u64>,
    /// Bytes that were put.
    pub bytes_in: u64,
    /// Bytes that were got.
    pub bytes_out: u64,
    /// S3 calls by the bucket they were sent to.
    pub buckets: BTreeMap<String, BucketStats>,
}

/// What was asked of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct BucketStats {
    /// By operation, as `PutObject`.
    pub calls: BTreeMap<String, u64>,
    /// How many were not signed.
    pub unsigned: u64,
    /// How many are under way.
    pub at_once: u64,
    /// The most that were under way.
    pub most_at_once: u64,
}

/// Everything that changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) tree: Tree,
    pub(super) accounts: Vec<WorldAccount>,
    pub(super) library: Library,
    pub(super) copies: Copies,
    /// Oldest first.
    pub(super) moves: Vec<MoveBatch>,
    /// Notification channels, as they are shown.
    pub(super) channels: Vec<Value>,
    /// Subscriptions, each with its project.
    pub(super) subscriptions: Vec<(ProjectKey, Value)>,
    pub(super) strangers: Strangers,
    pub(super) faults: Faults,
    pub(super) stats: Stats,
    pub(super) grants: HashMap<String, Grant>,
    pub(super) s3: Store,
    /// By path and key.
    pub(super) remembered: HashMap<[String; 2], Remembered>,
    /// Events that have not been sent to the sink yet.
    pub(super) events: Vec<Value>,
    pub(super) rng: StdRng,
    pub(super) seed: u64,
    pub(super) job_duration: Duration,
    started: Instant,
    epoch: Timestamp,
    schedule: BTreeMap<(Instant, u64), Action>,
    scheduled: u64,
    /// How much was written that is encrypted with KMS.
    writes: u64,
    /// Calls that may still be made at `tokens_at`, for the rate limit.
    tokens: f64,
    tokens_at: Instant,
}

impl State {
    /// The world at its start. The clock starts at `started`.
    pub(super) fn new(settings: &Settings, world: &WorldFile, started: Instant) -> Result<Self, WorldError> {
        let now = Instant::now();
        let mut state = Self {
            tree: Tree::default(),
            accounts: world.accounts.clone(),
            library: Library::default(),
            copies: Copies::default(),
            moves: Vec::new(),
            channels: Vec::new(),
            subscriptions: Vec::new(),
            strangers: Strangers::default(),
            faults: Faults::new(settings),
            stats: Stats::default(),
            grants: HashMap::new(),
            s3: Store::default(),
            remembered: HashMap::new(),
            events: Vec::new(),
            rng: StdRng::seed_from_u64(settings.seed),
            seed: settings.seed,
            job_duration: settings.job_duration,
            started,
            epoch: settings.epoch,
            schedule: BTreeMap::new(),
            scheduled: 0,
            writes: 0,
            tokens: settings.rate_limit.map_or(0.0, f64::from),
            tokens_at: now,
        };
        state.fill(world)?;
        Ok(state)
    }

    fn fill(&mut self, world: &WorldFile) -> Result<(), WorldError> {
        world.check()?;
        self.fill_buckets(&world.buckets);
        for project in &world.projects {
            let age = SignedDuration::try_from(project.age.0).unwrap_or_default();
            let now = self.epoch.checked_sub(age).unwrap_or(self.epoch);
            let wrong = |path: &str, refused: &TreeError| WorldError::Path {
                project: project.name.clone(),
                path: path.to_owned(),
                why: match refused {
                    TreeError::Exists(_) => "is there twice".to_owned(),
                    TreeError::NoFolder(other) => format!("lies below `{other}`, which is a file"),
                },
            };
            let key = self.tree.add_project(project, now);
            for folder in &project.folders {
                let made = self.tree.ensure_folder(key, folder, now, &mut self.rng);
                made.map_err(|refused| wrong(folder, &refused))?;
            }
            for folder in &project.non_indexed {
                let made = self.tree.ensure_folder(key, folder, now, &mut self.rng);
                let made = made.map_err(|refused| wrong(folder, &refused))?;
                let id = self.tree.node(made).map(|node| node.id.clone()).unwrap_or_default();
                self.tree.non_indexed.insert(id);
            }
            for file in &project.files {
                let (folder, name) = file.path.rsplit_once('/').unwrap_or_default();
                let made = self
                    .tree
                    .ensure_folder(key, folder, now, &mut self.rng)
                    .and_then(|folder| self.tree.create(folder, name, DataKind::File, now, &mut self.rng))
                    .map_err(|refused| wrong(&file.path, &refused))?;
                let content = self.library.made(&file.path, file.size);
                let parts =
                    self.written(file.encryption.unwrap_or(project.encryption), &Parts::Equal(file.parts));
                if let Some(node) = self.tree.node_mut(made) {
                    node.status = match file.status {
                        WorldStatus::Available => DataStatus::Available,
                        WorldStatus::Partial => DataStatus::Partial,
                        WorldStatus::Archived => DataStatus::Archived,
                    };
                    node.content = Some(content).filter(|_| file.status != WorldStatus::Partial);
                    node.parts = parts;
                }
            }
        }
        self.fill_links(world)
    }

    fn fill_links(&mut self, world: &WorldFile) -> Result<(), WorldError> {
        let now = self.epoch;
        for (key, project) in world.projects.iter().enumerate() {
            for link in &project.links {
                let wrong = |why: &str| WorldError::Path {
                    project: project.name.clone(),
                    path: link.path.clone(),
                    why: why.to_owned(),
                };
                let owner = world.projects.iter().position(|owner| owner.name == link.project);
                let from = owner.and_then(|owner| self.tree.at(owner, &link.path));
                let from = from.map(|(key, _)| key).ok_or_else(|| wrong("is linked, and is not there"))?;
                let to = self.tree.ensure_folder(key, &link.to, now, &mut self.rng);
                to.and_then(|to| self.tree.link(key, to, from))
                    .map_err(|_| wrong("cannot be linked to where something else is"))?;
            }
        }
        Ok(())
    }

    /// Wall time at an instant.
    pub(super) fn wall(&self, at: Instant) -> Timestamp {
        let elapsed = at.saturating_duration_since(self.started);
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or_default();
        self.epoch.checked_add(elapsed).unwrap_or(self.epoch)
    }

    /// Wall time now.
    pub(super) fn now(&self) -> Timestamp {
        self.wall(Instant::now())
    }

    /// A fresh UUID of this seed.
    pub(super) fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        Builder::from_random_bytes(bytes).into_uuid()
    }

    /// Remembers to do something.
    pub(super) fn later(&mut self, at: Instant, action: Action) {
        self.scheduled += 1;
        self.schedule.insert((at, self.scheduled), action);
    }

    /// When the next thing is to happen.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.schedule.first_key_value().map(|((at, _), _)| *at)
    }

    /// Makes happen what is due, in order.
    pub(super) fn advance(&mut self) {
        let now = Instant::now();
        while let Some(first) = self.schedule.first_entry().filter(|first| first.key().0 <= now) {
            let ((at, _), action) = first.remove_entry();
            match action {
                Action::Job { number, step } => self.job_step(number, step, at),
                Action::Move { number, step } => self.move_step(number, step, at),
                Action::Uploaded { node, content, parts } => self.uploaded(node, content, parts, at),
                Action::Arrive { node, content, parts } => self.arrive(node, content, parts, at),
                Action::Remove { node } => self.tree.remove(node),
                Action::Index { place, serial } => self.index(place, serial, at),
            }
        }
    }

    pub(super) fn arrive(&mut self, node: NodeKey, content: Arc<Content>, parts: Parts, at: Instant) {
        let now = self.wall(at);
        // A file deleted in the meantime stays deleted.
        if let Some(node) = self.tree.node_mut(node).filter(|node| node.status != DataStatus::Deleting) {
            node.turn(DataStatus::Available, now);
            node.content = Some(content);
            node.parts = parts;
            node.modified = now;
        }
    }

    /// The parts of something new, as it is encrypted.
    pub(super) fn written(&mut self, encryption: Encryption, parts: &Parts) -> Parts {
        match encryption {
            Encryption::S3 => parts.open().clone(),
            Encryption::Kms => {
                self.writes += 1;
                Parts::Sealed(self.writes, Arc::new(parts.open().clone()))
            }
        }
    }

    /// The parts of what is written to a file.
    pub(super) fn written_to(&mut self, node: NodeKey, parts: &Parts) -> Parts {
        let project = self.tree.node(node).and_then(|node| self.tree.project(node.project));
        let encryption = project.map(|project| project.encryption).unwrap_or_default();
        self.written(encryption, parts)
    }

    /// The bytes of a file are in.
    pub(super) fn bytes_are_in(&mut self, node: NodeKey, content: Arc<Content>, parts: Parts, at: Instant) {
        let delay = self.faults.index_delay;
        if delay.is_zero() {
            self.arrive(node, content, parts, at);
        } else {
            self.later(at + delay, Action::Arrive { node, content, parts });
        }
    }

    /// Marks data and all below it as DELETING, and takes it away later.
    pub(super) fn delete(&mut self, key: NodeKey) {
        let now = self.now();
        for key in self.tree.with_descendants(key) {
            self.done_to(key, Done::Deleted);
            if let Some(node) = self.tree.node_mut(key) {
                node.turn(DataStatus::Deleting, now);
                node.modified = now;
            }
        }
        self.later(Instant::now() + self.faults.delete_delay, Action::Remove { node: key });
    }

    /// Counts a call; tells whether the rate limit lets it pass.
    pub(super) fn admit(&mut self, call: String) -> bool {
        self.stats.total += 1;
        *self.stats.calls.entry(call).or_default() += 1;
        let Some(limit) = self.faults.rate_limit.map(f64::from) else { return true };
        let now = Instant::now();
        let gained = now.saturating_duration_since(self.tokens_at).as_secs_f64() * limit;
        self.tokens = (self.tokens + gained).min(limit);
        self.tokens_at = now;
        let passes = self.tokens >= 1.0;
        if passes {
            self.tokens -= 1.0;
        }
        passes
    }

    /// A token for a presigned URL, which no client can guess.
    pub(super) fn grant(&mut self, grant: Grant) -> String {
        let token = self.uuid().simple().to_string();
        self.grants.insert(token.clone(), grant);
        token
    }
}
