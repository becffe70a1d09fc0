//! What ends the planning of a request early: those that become lists plan for long.

use std::time::Duration;

use tokio::time::Instant;

use super::Refused;
use crate::{
    domain::outcome::Failure,
    engine::{
        Engine,
        lease::{Halt, Held, Step},
        request::id_of,
    },
};

/// What ends a step early, or what it gave.
pub(super) type Judged<T> = Result<T, Refused>;

/// How often a long planning asks whether it is still wanted.
const ASK: Duration = Duration::from_secs(15);

/// Asks, in the middle of a long planning, whether it is still wanted.
#[derive(Debug)]
pub(super) struct Watch(Instant);

impl Watch {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// Why the request is to end, if it is; stops at once when the process does.
    pub(super) async fn stopped(&mut self, engine: &Engine, held: &Held) -> Step<Option<Failure>> {
        held.lease.check()?;
        if engine.stop.is_cancelled() {
            return Err(Halt::Stopping);
        }
        if self.0.elapsed() < ASK {
            return Ok(None);
        }
        self.0 = Instant::now();
        Ok(engine.stop_of(&id_of(held)).await?)
    }
}

/// Why a request is not begun.
pub(super) enum NotBegun {
    Refused(Failure),
    /// As far as ICAv2 shows its sources now.
    NotYet(Failure),
    /// Not before then: its sources were fresh. Milliseconds since 1970.
    At(i64),
    Halt(Halt),
}

impl From<Refused> for NotBegun {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Failed(failure) => Self::Refused(failure),
            Refused::NotYet(failure) => Self::NotYet(failure),
            Refused::Port(error) => Self::Halt(error.into()),
        }
    }
}

impl From<Failure> for NotBegun {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

impl From<Halt> for NotBegun {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl From<crate::ports::Error> for NotBegun {
    fn from(error: crate::ports::Error) -> Self {
        Self::Halt(error.into())
    }
}
