//! One run of one record: take its lease, work in rounds until there is no news, give it back.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::sleep;
use tracing::{Instrument as _, Span};

use super::{
    Engine,
    backoff::jittered,
    core::Core,
    dispatch::lane,
    lease::{LONGEST_SLEEP, Leased, Released, RoundError, RoundResult},
    records::{self, attr, millis, set},
};
use crate::{
    domain::outcome::{ErrorName, Failure},
    ports::{
        Class, Error,
        store::{Change, Item, Key},
    },
    signals::{self, engine::Work},
};

/// After how many acquisitions without a clean release a record is given up: every instance that runs it
/// dies. High enough for a bad hour in which instances die, or lose the table, of something else.
const MAX_UNFINISHED_ROUNDS: i64 = 10;

/// After how many rounds in a row with an error that trying again cannot mend a record is given up.
const HOPELESS: i64 = 10;

/// Characters of an error that are kept with a record.
const MOST_TROUBLE: usize = 1000;

/// How soon a release is tried again that failed, at first and at most.
const RELEASE_AGAIN: Duration = Duration::from_millis(500);
const RELEASE_CAP: Duration = Duration::from_secs(5);

/// What a round leaves behind.
#[derive(Debug)]
pub(crate) enum AfterRound {
    /// Changes to write with the release, and when to look again, milliseconds since 1970.
    Due { changes: Vec<Change>, due_at: i64 },
    /// Changes to write with the release; no round has to look again.
    Settled { changes: Vec<Change> },
    /// The round has given the record back itself.
    Released,
}

/// How a record is given back.
struct Release {
    changes: Vec<Change>,
    due_at: Option<i64>,
    /// After an error the pause comes first.
    news_can_wait: bool,
}

impl AfterRound {
    pub(crate) fn at(due_at: i64) -> Self {
        Self::Due { changes: Vec::new(), due_at }
    }
}

/// The meaning of an error, in the words that a caller is told.
pub(crate) fn in_words(error: &Error) -> String {
    if error.class == Class::Unauthorized {
        return format!("the access token, or the keys, of this service are not accepted: {error}");
    }
    error.to_string()
}

/// The error with which the last rounds of a record have ended, if they have.
pub(crate) fn trouble_of(record: &Item) -> Option<&str> {
    record.text(attr::TROUBLE).filter(|_| record.number(attr::FAILURES).unwrap_or(0) > 0)
}

/// What the lines of the work on a record say besides.
fn work_on(record: &Item) -> Span {
    let is_request = record.key.id_type == records::REQUEST;
    let own = |name: &str| record.text(name).filter(|_| is_request);
    let work = Work {
        request: own(attr::ROOT).or(is_request.then_some(record.key.id.as_str())),
        destination: record.text(attr::DESTINATION).unwrap_or_default(),
        name: own(attr::NAME),
        kind: own(attr::KIND),
        source: own(attr::SOURCE),
        event: own(attr::EVENT),
        caller: own(attr::CALLER),
    };
    work.span()
}

impl Engine {
    /// Runs one record. Errors are told here and nowhere above.
    pub(crate) async fn run(self: Arc<Self>, key: Key) {
        if self.core.left.has(&key) {
            return;
        }
        match self.core.acquire(&key).await {
            Ok(Some(mut held)) => {
                let (lease, alone) = (Arc::clone(&held.lease), held.alone.take());
                let survived = held.item.number(attr::SURVIVED).unwrap_or(0);
                let (work, notes) = (work_on(&held.item), Arc::clone(&held.notes));
                let rounds = async {
                    tokio::select! {
                        biased;
                        () = Box::pin(self.rounds(&mut held)) => {}
                        () = self.core.keep(&lease) => {}
                        () = self.core.clear_in_time(&lease, survived, alone) => {}
                    }
                };
                signals::journal::scope(notes, rounds.instrument(work)).await;
            }
            Ok(None) => {}
            Err(error) if error.is_newer() => self.core.left.leave(&key),
            Err(error) => signals::engine::acquire_failed(&key, &error),
        }
    }

    async fn rounds(&self, held: &mut Leased) {
        loop {
            let key = held.lease.key.clone();
            let parting = match self.round(held).await {
                Ok(AfterRound::Released) => return,
                Ok(AfterRound::Due { mut changes, due_at }) => {
                    changes.extend([set(attr::FAILURES, 0), set(attr::DEFECTS, 0)]);
                    Release { changes, due_at: Some(due_at), news_can_wait: false }
                }
                Ok(AfterRound::Settled { changes }) => {
                    Release { changes, due_at: None, news_can_wait: false }
                }
                Err(RoundError::Lost) => return signals::engine::lease_lost(&key),
                Err(RoundError::Stopping) => {
                    let due_at = Some(millis(self.core.ports.clock.now()));
                    Release { changes: Vec::new(), due_at, news_can_wait: true }
                }
                Err(RoundError::Port(error)) => self.after_error(held, &error),
            };
            match self.give_back_record(held, &parting).await {
                Ok(Released::Yes) => {
                    if let Some(due_at) = parting.due_at {
                        let wait = due_at.saturating_sub(millis(self.core.ports.clock.now()));
                        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(LONGEST_SLEEP);
                        self.core.inbox.later(key.clone(), lane(&key), wait);
                    }
                    return;
                }
                Ok(Released::News) => {
                    // The findings of the round are stored, so that it need not make them again.
                    if let Err(halt) = self.core.save(held, parting.changes).await {
                        return signals::engine::release_failed(&key, &halt);
                    }
                }
                Err(halt) => return signals::engine::release_failed(&key, &halt),
            }
        }
    }

    /// Releases a record, again and again while the lease holds: a record that is not given back waits for
    /// the lease to run out, and looks as if an instance had died of it.
    async fn give_back_record(&self, held: &mut Leased, parting: &Release) -> RoundResult<Released> {
        let mut tries = 0;
        loop {
            let changes = parting.changes.clone();
            match self.core.release(held, changes, parting.due_at, parting.news_can_wait).await {
                Err(RoundError::Port(error))
                    if error.is_passing() && !error.is_newer() && held.lease.check().is_ok() =>
                {
                    signals::engine::release_failed(&held.lease.key, &error);
                    let wait = jittered(RELEASE_AGAIN, RELEASE_CAP, tries, self.core.ports.chance.as_ref());
                    tokio::select! {
                        biased;
                        () = self.core.cut.cancelled() => return Err(error.into()),
                        () = sleep(wait) => tries += 1,
                    }
                }
                other => return other,
            }
        }
    }

    fn after_error(&self, held: &Leased, error: &Error) -> Release {
        let failures = held.item.number(attr::FAILURES).unwrap_or(0);
        let mut due_at = records::after(self.core.ports.clock.now(), self.core.pause(error, failures));
        if error.is_newer() {
            // A newer instance may go on at once, and this one does not stand in its way.
            due_at = millis(self.core.ports.clock.now());
            self.core.left.leave(&held.lease.key);
        }
        signals::engine::round_failed(
            &held.lease.key,
            error,
            failures + 1,
            Timestamp::from_millisecond(due_at).ok(),
        );
        self.core.note_outage_of(held, error);
        let trouble: String = in_words(error).chars().take(MOST_TROUBLE).collect();
        let mut changes = vec![set(attr::FAILURES, failures + 1), set(attr::TROUBLE, trouble)];
        if !error.is_passing() {
            let defects = held.item.number(attr::DEFECTS).unwrap_or(0) + 1;
            changes.push(set(attr::DEFECTS, defects));
            if defects >= 2 * HOPELESS {
                signals::ends::record_given_up(&held.lease.key, error);
                return Release { changes, due_at: None, news_can_wait: true };
            }
        }
        Release { changes, due_at: Some(due_at), news_can_wait: true }
    }

    async fn round(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        if self.core.stop.is_cancelled() {
            return Err(RoundError::Stopping);
        }
        let poisoned = held.item.number(attr::STARTS).unwrap_or(0) >= MAX_UNFINISHED_ROUNDS
            || held.item.number(attr::DEFECTS).unwrap_or(0) >= HOPELESS;
        let record_type = held.lease.key.id_type.as_str();
        if record_type == records::REQUEST {
            return if poisoned {
                Box::pin(self.give_up_request(held)).await
            } else {
                Box::pin(self.request_round(held)).await
            };
        }
        if record_type == records::SCHEDULE {
            return Box::pin(self.schedule_round(held)).await;
        }
        match self.registry.owner_of(record_type) {
            Some(plane) if poisoned => plane.give_up(held, broken()).await,
            Some(plane) => plane.reconcile(held).await,
            None => Ok(AfterRound::at(records::after(self.core.ports.clock.now(), Duration::from_mins(10)))),
        }
    }
}

impl Core {
    /// How long to wait after an error.
    pub(crate) fn pause(&self, error: &Error, failures: i64) -> Duration {
        let service = &self.settings.service;
        let tries = u32::try_from(failures).unwrap_or(0);
        let wait = jittered(service.retry_base, service.retry_cap, tries, self.ports.chance.as_ref());
        error.retry_after.map_or(wait, |hint| hint.min(service.retry_cap).max(wait))
    }
}

/// Why a record is given up that no instance survives, or can work on.
pub(super) fn broken() -> Failure {
    Failure::new(ErrorName::Internal, "the request broke every process that worked on it")
}
