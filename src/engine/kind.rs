//! The traits by which the engine knows a kind of work, and a plane. The engine owns records, leases,
//! children, heartbeats and answers; a kind decides which children a request needs and how it ended, a plane
//! works them off.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    core::Core,
    lease::{Leased, RoundError, RoundResult, id_of},
    records::RootState,
    round::AfterRound,
    submit::Order,
    tree::Tree,
};
use crate::{
    domain::outcome::Failure,
    events::intake::OtherEvent,
    ports::{
        Error,
        blame::final_failure,
        store::{Item, Key},
    },
};

/// One kind of work that callers ask for.
///
/// # Guarantees
///
/// - All calls for one root come from the holder of its lease, one after the other.
/// - `plan` is called while the root has no plan, no outcome, and was not stopped. The first outcome that is
///   stored stands, whichever instance stores it.
/// - `tree` is called when the root has a plan, and when it has an outcome, with or without a plan.
/// - `abandon` is called before the outcome of a stopped root is stored.
///
/// # Assumptions
///
/// - Every method may be called again after it has had its effect (a crash, a lost answer, a lost lease),
///   and then comes to the same end, or to one as good.
/// - A method checks the lease before each effect, and returns an [`AfterRound`] with the time of the next
///   round instead of sleeping for longer than some seconds.
///
/// # Errors
///
/// [`RoundError::Port`] has the root tried again with growing pauses, [`RoundError::Lost`] and
/// [`RoundError::Stopping`] end the round at once.
#[async_trait]
pub(crate) trait Kind: fmt::Debug + Send + Sync {
    /// Its name in records, events and metrics: unique, never changed, never used again.
    fn name(&self) -> &'static str;

    /// Plans a root: stores the plan of its children, or its outcome (`Core::conclude`) where it needs none.
    /// `Some` when there is something to wait for before that.
    async fn plan(&self, held: &mut Leased) -> RoundResult<Option<AfterRound>>;

    /// The children of a root, as they are planned.
    fn tree<'a>(&'a self, state: &RootState) -> RoundResult<Box<dyn Tree + 'a>>;

    /// The types of events that ask for this kind, but for requests for copies, which the intake reads.
    fn detail_types(&self) -> &'static [&'static str] {
        &[]
    }

    /// The order that an event of one of these types asks for; `None` where it asks for another kind. Its id comes
    /// from the event alone, so that an event that comes again asks for the same.
    async fn order_of(&self, _event: &OtherEvent) -> Option<Result<Order, NoOrder>> {
        None
    }

    /// Clears away what a root that is to end early would leave behind. A failure that does not pass is
    /// logged, and does not hold up the root.
    async fn abandon(&self, _held: &mut Leased) -> RoundResult<()> {
        Ok(())
    }
}

/// Why an event is not taken that asks for a kind.
#[derive(Debug)]
pub(crate) enum NoOrder {
    /// It is wrong, and will be however often it comes: why, in one sentence.
    Refused(String),
    /// It is news of which nothing is made here, and nobody waits for an answer: why, in one sentence.
    Unwanted(String),
    /// A port failed; it is to come again.
    Port(Error),
}

impl From<String> for NoOrder {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

impl From<Error> for NoOrder {
    fn from(error: Error) -> Self {
        Self::Port(error)
    }
}

/// Works off the children of roots.
///
/// # Guarantees
///
/// - `reconcile` is called under the record's lease, at least once for each wake-up and each due time, and
///   never twice at once for one record.
/// - `give_up` is called instead once ten rounds in a row have ended their process, or with an error that
///   trying again cannot mend.
///
/// # Assumptions
///
/// - As for [`Kind`]: every round may be made again. A child ends by `Core::settle_as`, which tells its
///   root.
/// - A round reads the order to stop (`Core::stop_of`) before it begins anything for a root.
///
/// # Errors
///
/// As for [`Kind`].
#[async_trait]
pub(crate) trait Plane: fmt::Debug + Send + Sync {
    /// Its name: the kind in the records of its children.
    fn name(&self) -> &'static str;

    /// The type of records of its own, beside those of its children. Only the holder of such a record acts
    /// for all children that share it.
    fn record_type(&self) -> Option<&'static str> {
        None
    }

    /// The record of its own that a child shares with children of other requests.
    fn shared_record(&self, _child: &Item) -> Option<Key> {
        None
    }

    /// The record that says, as its root, which request something of that name was made for, such as a job.
    fn note_of(&self, _name: &str) -> Option<Key> {
        None
    }

    /// How many of its own records may begin to run now, of which so many have just begun.
    fn room(&self, _begun: usize) -> usize {
        usize::MAX
    }

    /// One round: looks, acts, and says when to be called next.
    async fn reconcile(&self, held: &mut Leased) -> RoundResult<AfterRound>;

    /// Ends a record without running it.
    async fn give_up(&self, held: &mut Leased, why: Failure) -> RoundResult<AfterRound>;
}

/// Why a plan could not be made.
#[derive(Debug)]
pub(crate) enum PlanError {
    /// The request cannot be done as it stands.
    Failed(Failure),
    /// Its sources are not there, or not ready, as far as ICAv2 shows them now.
    NotYet(Failure),
    /// A port failed; try again later.
    Port(Error),
}

impl From<Failure> for PlanError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Error> for PlanError {
    /// An error that passes has the request tried again; any other ends it.
    fn from(error: Error) -> Self {
        if error.is_passing() { Self::Port(error) } else { Self::Failed(final_failure(&error)) }
    }
}

/// What ends a step early, or what it gave.
pub(crate) type PlanResult<T> = Result<T, PlanError>;

/// How often a long planning asks whether it is still wanted.
const ASK: Duration = Duration::from_secs(15);

/// Asks, in the middle of a long planning, whether it is still wanted.
#[derive(Debug)]
pub(crate) struct CancellationCheck(Instant);

impl CancellationCheck {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// Why the request is to end, if it is; stops at once when the process does.
    pub(crate) async fn stopped(&mut self, core: &Core, held: &Leased) -> RoundResult<Option<Failure>> {
        held.lease.check()?;
        if core.stop.is_cancelled() {
            return Err(RoundError::Stopping);
        }
        if self.0.elapsed() < ASK {
            return Ok(None);
        }
        self.0 = Instant::now();
        Ok(core.stop_of(&id_of(held)).await?)
    }
}

/// Why a request is not begun.
pub(crate) enum NotBegun {
    Refused(Failure),
    /// As far as ICAv2 shows its sources now.
    NotYet(Failure),
    /// Not before then: its sources were fresh. Milliseconds since 1970.
    At(i64),
    RoundError(RoundError),
}

impl From<PlanError> for NotBegun {
    fn from(refused: PlanError) -> Self {
        match refused {
            PlanError::Failed(failure) => Self::Refused(failure),
            PlanError::NotYet(failure) => Self::NotYet(failure),
            PlanError::Port(error) => Self::RoundError(error.into()),
        }
    }
}

impl From<Failure> for NotBegun {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

impl From<RoundError> for NotBegun {
    fn from(halt: RoundError) -> Self {
        Self::RoundError(halt)
    }
}

impl From<Error> for NotBegun {
    fn from(error: Error) -> Self {
        Self::RoundError(error.into())
    }
}
