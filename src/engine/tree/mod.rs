//! A root and its children: put as their window has room, parked while they only wait, watched, and settled;
//! waited for where the root was stopped, and cleared away at its end. A kind says which children there are
//! ([`Tree`]).

pub(crate) mod children;
pub(crate) mod plan;
mod settle;
mod stall;
pub(crate) mod turns;

pub(crate) use settle::ChildEnd;

use std::fmt;

use async_trait::async_trait;

use super::{
    core::Core,
    lease::{Leased, RoundResult},
    records::{self, RootState, attr},
    round::{AfterRound, trouble_of},
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{Failure, Outcome},
    },
    ports::store::{Item, Key},
};

/// How many children of a root are under way at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// All of a step, which are put when it begins.
    All,
    /// So many; one that only waits may be parked, and counts for nothing.
    InFlight(u64),
}

/// A child that is to be put.
#[derive(Debug)]
pub(crate) struct Child {
    pub id: RequestId,
    /// Where it goes, as it is shown.
    pub destination: String,
    /// What it is to do, as it is stored.
    pub spec: String,
}

/// The children of a root that may have been put, by their numbers.
pub(crate) struct Roster<'a> {
    count: u64,
    id: Box<dyn Fn(u64) -> Option<RequestId> + Send + Sync + 'a>,
}

impl<'a> Roster<'a> {
    pub(crate) fn new(count: u64, id: impl Fn(u64) -> Option<RequestId> + Send + Sync + 'a) -> Self {
        Self { count, id: Box::new(id) }
    }

    /// The id of a child.
    fn id(&self, number: u64) -> Option<RequestId> {
        (self.id)(number)
    }

    /// The ids of the first ones.
    pub(in crate::engine) fn first(&self, most: usize) -> Vec<RequestId> {
        (0..self.count).filter_map(|number| self.id(number)).take(most).collect()
    }

    /// The ids of all, some at a time.
    fn blocks(&self) -> impl Iterator<Item = Vec<RequestId>> {
        (0..self.count)
            .step_by(BLOCK)
            .map(|first| (first..self.count).take(BLOCK).filter_map(|number| self.id(number)).collect())
    }
}

impl fmt::Debug for Roster<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Children that are asked for together.
const BLOCK: usize = 100;

/// A child that has not settled, as far as it can be seen.
#[derive(Debug)]
pub(crate) struct Observed {
    /// When a holder last completed a look for it, milliseconds since 1970; 0: never.
    pub looked_at: i64,
    /// Whether it waits for nothing but a place on an instance, while places are given.
    pub waits_for_a_place: bool,
    /// What it is called in a failure, and what it waits for.
    pub what: String,
    pub why: String,
    /// The error that keeps it from being looked at, where that is to be told.
    pub trouble: Option<String>,
}

/// The next state of a root all of whose children seem to have settled.
#[derive(Debug)]
pub(crate) enum End {
    /// Its phase has changed: the next step begins, or its outcome is stored.
    Reached,
    /// There is something to wait for; it is asked again then, milliseconds since 1970.
    NotBefore(i64),
}

/// How far a round has brought a root.
#[derive(Debug)]
pub(super) enum Advance {
    /// The root's phase has changed: it is looked at again at once.
    On,
    /// There is something to wait for.
    Wait(AfterRound),
    /// Nothing moves: the root ends with this failure, and its children are stopped.
    Stalled(Failure),
}

/// The children of one root, as they are planned.
///
/// # Guarantees
///
/// - It is made for one run of the root's record, and all calls come from the holder of its lease.
/// - `end` is called when all children of the step have settled, as far as the tallies show, which are
///   hints; `clear_up` once the root has an outcome.
///
/// # Assumptions
///
/// - The ids of children come from the plan alone: an instance that puts them again puts the same.
/// - The roster holds every child that may have been put, also those whose putting was not counted.
/// - `end` looks at the records of the children before it believes that they have settled.
///
/// # Errors
///
/// As for [`Kind`](super::kind::Kind).
#[async_trait]
pub(crate) trait Tree: fmt::Debug + Send + Sync {
    /// The name of the plane that works its children off.
    fn plane(&self) -> &'static str;

    /// The word for its children in a failure.
    fn noun(&self) -> &'static str;

    /// The words for children that no holder could look at, where nothing is known of why.
    fn unlooked(&self) -> Option<&'static str> {
        None
    }

    /// How many are under way at a time.
    fn window(&self) -> Window;

    /// The children that are put next, at most `room`; notes in `state` how far that gets.
    async fn next(&self, held: &Leased, state: &mut RootState, room: u64) -> RoundResult<Vec<Child>>;

    /// The children that may have been put.
    async fn roster(&self, held: &Leased, state: &RootState) -> RoundResult<Roster<'_>>;

    /// The records that a child has.
    fn records_of(&self, child: &RequestId) -> Vec<Key> {
        vec![records::request_key(child)]
    }

    /// The children among these that have not settled, as far as they can be seen.
    async fn observe(&self, core: &Core, _held: &Leased, open: &[Item]) -> RoundResult<Vec<Observed>> {
        let seen = |child: &Item| Observed {
            looked_at: child.number(attr::LOOKED_AT).unwrap_or(0),
            waits_for_a_place: core.waits_for_a_place(child),
            what: child.key.id.clone(),
            why: why(child).unwrap_or("nothing is known of it").to_owned(),
            trouble: None,
        };
        Ok(open.iter().map(seen).collect())
    }

    /// Begins the next step, or stores the outcome.
    async fn end(&self, held: &mut Leased) -> RoundResult<End>;

    /// Clears away the things that the root leaves beside its records.
    async fn clear_up(&self, _held: &Leased, _outcome: &Outcome) -> RoundResult<()> {
        Ok(())
    }
}

/// What a record waits for, or the error with which its last rounds have ended.
pub(crate) fn why(record: &Item) -> Option<&str> {
    trouble_of(record).or_else(|| record.text(attr::WAITS_FOR))
}
