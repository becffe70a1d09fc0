//! What the objects of a slice share while they are worked on at the same time: the record, the state,
//! and what S3 has answered.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use jiff::Timestamp;

use super::{ObjectsPlane, state::SliceState};
use crate::{
    domain::copy_out::SliceRequest,
    engine::{
        lease::{Lease, Leased, RoundError, RoundResult},
        liveness::RootRef,
        records::{Phase, attr, set, started_at},
        tree::turns::{is_in_turns, is_parked},
    },
    policy::limit::Limit,
    ports::{Error, store::Change},
};

/// Why an object was not brought.
#[derive(Debug)]
pub(super) enum ObjectError {
    /// A port failed.
    Port(Error),
    /// It cannot be brought, for this reason.
    Refused(String),
    /// The whole round ends.
    RoundError(RoundError),
}

/// Result of a step for one object.
pub(super) type ObjectResult<T> = Result<T, ObjectError>;

impl From<Error> for ObjectError {
    fn from(error: Error) -> Self {
        Self::Port(error)
    }
}

impl From<RoundError> for ObjectError {
    fn from(halt: RoundError) -> Self {
        Self::RoundError(halt)
    }
}

/// Where a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Destination,
}

/// One round of one slice.
#[derive(Debug)]
pub(super) struct SliceRun<'a> {
    pub engine: &'a ObjectsPlane,
    pub spec: &'a SliceRequest,
    pub lease: Arc<Lease>,
    pub root_refs: [RootRef; 1],
    /// How many calls the destination bucket takes.
    pub limit: Arc<Limit>,
    /// Nothing of ours at the destination is older.
    pub since: Timestamp,
    /// Whether the slice is parked when it only waits, and whether it is: then nothing is copied.
    pub is_in_turns: bool,
    pub is_parked: bool,
    /// Whether something has come back that waits for the slice's turn.
    pub wants_turn: AtomicBool,
    held: tokio::sync::Mutex<&'a mut Leased>,
    state: Mutex<Versioned>,
    /// Answers of source and destination so far.
    answers: [AtomicU64; 2],
}

#[derive(Debug)]
struct Versioned {
    state: SliceState,
    /// +1 with each change.
    version: u64,
    stored: u64,
}

impl<'a> SliceRun<'a> {
    pub(super) fn new(
        engine: &'a ObjectsPlane,
        held: &'a mut Leased,
        spec: &'a SliceRequest,
        state: SliceState,
    ) -> Self {
        Self {
            engine,
            spec,
            lease: Arc::clone(&held.lease),
            root_refs: [RootRef::of(&held.item)],
            limit: engine.limits.of(&spec.bucket),
            since: started_at(&held.item),
            is_in_turns: is_in_turns(&held.item),
            is_parked: is_parked(&held.item),
            wants_turn: AtomicBool::new(false),
            held: tokio::sync::Mutex::new(held),
            state: Mutex::new(Versioned { state, version: 0, stored: 0 }),
            answers: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }

    /// Reads the state.
    pub(super) fn read<T>(&self, read: impl FnOnce(&SliceState) -> T) -> T {
        read(&self.state.lock().unwrap_or_else(PoisonError::into_inner).state)
    }

    /// Changes the state. It is stored when a caller needs it to be, or with the next occasion.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut SliceState) -> T) -> T {
        let mut versioned = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        versioned.version += 1;
        change(&mut versioned.state)
    }

    /// Stores the state, if it has changed since. Calls made at the same time share a write.
    pub(super) async fn store(&self) -> RoundResult<()> {
        let wanted = self.versions().0;
        let mut held = self.held.lock().await;
        if self.versions().1 >= wanted {
            return Ok(());
        }
        let (version, changes) = self.changes().await?;
        self.engine.core.save(&mut held, changes).await?;
        self.stored(version);
        Ok(())
    }

    /// The changes that store the state, to be written with something else; none where it is stored.
    pub(super) async fn unstored(&self) -> RoundResult<Vec<Change>> {
        let (version, stored) = self.versions();
        if version == stored {
            return Ok(Vec::new());
        }
        Ok(self.changes().await?.1)
    }

    async fn changes(&self) -> RoundResult<(u64, Vec<Change>)> {
        let (version, state) = {
            let versioned = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (versioned.version, versioned.state.clone())
        };
        let mut changes = self.engine.core.replace_document(&self.lease.key, attr::STATE, &state).await?;
        changes.push(set(attr::PHASE, Phase::Running.as_str()));
        Ok((version, changes))
    }

    fn versions(&self) -> (u64, u64) {
        let versioned = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (versioned.version, versioned.stored)
    }

    fn stored(&self, version: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stored = version;
    }

    /// An end has answered, whatever it said.
    pub(super) fn answered(&self, end: End) {
        let [source, destination] = &self.answers;
        let count = if end == End::Source { source } else { destination };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// How often source and destination have answered.
    pub(super) fn answers(&self) -> [u64; 2] {
        self.answers.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Whether this is the first try for an object of which nothing can be there, unless another writer has
    /// put it there since the request began.
    pub(super) fn is_first(&self, index: usize) -> bool {
        let tried = |state: &SliceState| {
            let begun = state.sent.contains(&index) || state.uploads.contains_key(&index);
            state.interrupted || begun || state.tries.contains_key(&index)
        };
        self.spec.options.unwritten && !self.read(tried)
    }

    /// Something was done.
    pub(super) fn record_progress(&self) {
        self.engine.core.record_progress(&self.root_refs);
    }

    /// The state, when no task works on it any more.
    pub(super) fn into_state(self) -> SliceState {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).state
    }
}

/// Failures in a row that no object is charged for, by object; only in memory.
pub(super) type Streaks = BTreeMap<usize, u32>;
