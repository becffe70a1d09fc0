//! The debts of a root that has an outcome: an answer to each token, the news to the bus, and to the table
//! that nothing of it stays behind.
//!
//! These are debts of their own: each is paid when it can be, tried again at a time of its own, and none
//! waits for another. None is owed for ever either: after `service.keep` it is given up, loudly, and so is a
//! debt that can never be paid. Then the root settles.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Engine,
    backoff::jittered,
    beat::{UNANSWERED, token_of},
    core::Core,
    lease::{Leased, RoundError, RoundResult, id_of},
    outbox,
    records::{self, Phase, RootState, as_millis, attr, millis, set},
    round::AfterRound,
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{ErrorName, Failure, Outcome},
        token::TaskToken,
    },
    events::outgoing::Status,
    ports::{
        Class, Error,
        callbacks::Delivery,
        store::{Condition, DUE_AT, Item, Key, Write},
    },
    signals,
};

/// The longest wait before something that is owed to nobody who waits for it is tried again.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// How much longer than other records the outcome of a request is kept.
const GRACE: Duration = Duration::from_hours(24);

/// How much later than a token itself its root looks whether it was answered.
const AFTER_TOKEN: Duration = Duration::from_secs(10);

/// The debts of a root other than to tokens, whose records say it themselves.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Debts {
    /// How it ended, on the bus.
    news: Debt,
    /// Children settled, staging cleared, everything given its expiry.
    estate: Debt,
}

/// Something that is owed.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
struct Debt {
    /// Paid, or given up.
    over: bool,
    tries: u32,
    /// When it is tried again, milliseconds since 1970.
    due_at: i64,
}

impl Debt {
    const fn is_due(&self, now: i64) -> bool {
        !self.over && now >= self.due_at
    }

    /// When to come back for it.
    fn next(&self) -> Option<i64> {
        (!self.over).then_some(self.due_at)
    }
}

impl Engine {
    /// Pays the debts of a root, as far as that can be done now.
    pub(crate) async fn deliver(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        let id = id_of(held);
        let mut state: RootState = records::document(&held.item, attr::STATE)?;
        // By name: the plan of a long list is below the same id.
        let outcome = Key::new(id.as_str(), records::OUTCOME);
        let ends = self.core.ports.store.get_many(&[outcome.clone(), records::stop_key(&id)]).await?;
        let stored = ends.iter().find(|item| item.key == outcome);
        let outcome = self.core.outcome_to_tell(&held.item, stored).await?;
        if stored.is_none() {
            // It is stored so that it stays the same from now on, and the time of the debts comes.
            self.core.store_outcome(held, &id, &outcome).await?;
        }
        let tokens_at = self.core.pay_tokens(held, &outcome).await?;
        self.core.pay_news(held, &mut state.debts.news, &outcome).await;
        self.pay_estate(held, &mut state, &outcome, ends).await?;
        let due = [tokens_at, state.debts.news.next(), state.debts.estate.next()];
        let Some(due_at) = due.into_iter().flatten().min() else {
            self.core.wake_those_who_wait(held).await?;
            let ended = set(attr::ENDED, Status::of(&outcome).as_str());
            return Ok(AfterRound::Settled {
                changes: vec![set(attr::PHASE, Phase::Settled.as_str()), ended],
            });
        };
        let changes = vec![set(attr::STATE, records::text(&state)?)];
        Ok(AfterRound::Due { changes, due_at: due_at.max(millis(self.core.ports.clock.now()) + 1) })
    }

    /// Leaves nothing behind.
    async fn pay_estate(
        &self,
        held: &Leased,
        state: &mut RootState,
        outcome: &Outcome,
        ends: Vec<Item>,
    ) -> RoundResult<()> {
        let now = self.core.ports.clock.now();
        if !state.debts.estate.is_due(millis(now)) {
            return Ok(());
        }
        let is_forfeit = self.core.is_forfeit(outcome);
        let id = &held.lease.key.id;
        match self.clear_up(held, state, outcome, ends, is_forfeit).await {
            Ok(None) => state.debts.estate.over = true,
            Ok(Some(due_at)) => state.debts.estate.due_at = due_at,
            Err(RoundError::Port(error)) if is_forfeit || !error.is_passing() => {
                signals::ends::estate_given_up(id, &error);
                state.debts.estate.over = true;
            }
            Err(RoundError::Port(error)) => {
                let debt = &mut state.debts.estate;
                debt.tries = debt.tries.saturating_add(1);
                signals::ends::debt_unpaid(id, "clearing up", &error, debt.tries);
                debt.due_at = records::after(now, self.core.wait(debt.tries, LONGEST_WAIT));
            }
            Err(halt) => return Err(halt),
        }
        Ok(())
    }

    /// Has the children of a root that was stopped settle, and gives all its records their expiry. When to
    /// look again, where some have not settled and are still waited for.
    async fn clear_up(
        &self,
        held: &Leased,
        state: &mut RootState,
        outcome: &Outcome,
        ends: Vec<Item>,
        is_forfeit: bool,
    ) -> RoundResult<Option<i64>> {
        let id = id_of(held);
        let stopped = ends.iter().any(|item| item.key.id_type == records::STOP);
        let tree = self.kind_of(held).map(|kind| kind.tree(state)).transpose()?;
        if stopped
            && let Some(tree) = &tree
            && let Some(due_at) = self.core.await_children(held, state, tree.as_ref()).await?
        {
            if !is_forfeit {
                return Ok(Some(due_at));
            }
            signals::ends::estate_given_up(id.as_str(), &"children have not settled");
        }
        let tallies = self.core.ports.store.query(id.as_str(), records::TALLY).await?;
        let own = tallies.into_iter().chain(ends).map(|item| item.key);
        let own = own.chain([Key::new(id.as_str(), records::PAYLOAD)]).collect();
        // As long as something is owed, the outcome that is to be told must be there.
        self.core.expire(own, self.core.settings.service.keep.saturating_add(GRACE)).await?;
        if let Some(tree) = tree {
            tree.clear_up(held, outcome).await?;
            self.core.expire_tree(held, state, tree.as_ref()).await?;
        }
        Ok(None)
    }
}

impl Core {
    /// The outcome of a root, as it is told. One that is gone or cannot be read is told as a defect: a caller
    /// is not to wait for ever.
    pub(crate) async fn outcome_to_tell(
        &self,
        request: &Item,
        stored: Option<&Item>,
    ) -> Result<Outcome, Error> {
        let read = match stored {
            Some(stored) => self.read_document(stored, attr::OUTCOME).await,
            None => Err(Error::new(Class::Invalid, "deliver", "the outcome is not there")),
        };
        match read {
            Err(error) if !error.is_passing() => {
                signals::engine::callback_failed(signals::engine::Callback::Answer, &request.key.id, &error);
                let failure =
                    Failure::new(ErrorName::Internal, "how the request ended cannot be read any more");
                Ok(self.failed_outcome(request, failure))
            }
            read => read,
        }
    }

    /// Whether the debts of a request that has ended are given up.
    fn is_forfeit(&self, outcome: &Outcome) -> bool {
        let until = records::after(outcome.finished_at, self.settings.service.keep);
        millis(self.ports.clock.now()) >= until
    }

    fn wait(&self, tries: u32, longest: Duration) -> Duration {
        jittered(self.settings.service.retry_base, longest, tries, self.ports.chance.as_ref())
    }

    /// Answers the tokens that were not tried yet, or whose time has come; when to look again.
    async fn pay_tokens(&self, held: &Leased, outcome: &Outcome) -> RoundResult<Option<i64>> {
        let mut soonest: Option<i64> = None;
        for item in &self.ports.store.query(&held.lease.key.id, records::TOKEN).await? {
            let Some(token) = token_of(item) else { continue };
            held.lease.check()?;
            let due_at = item.number(DUE_AT).unwrap_or(0);
            let waits = item.number(attr::TRIES).is_some() && due_at > millis(self.ports.clock.now());
            let next = if waits { Some(due_at) } else { self.pay_token(item, &token, outcome).await? };
            let next = next.map(|at| at.saturating_add(as_millis(AFTER_TOKEN)));
            soonest = [soonest, next].into_iter().flatten().min();
        }
        Ok(soonest)
    }

    /// Answers one token, or gives it up when its time is over; when to try again.
    pub(crate) async fn pay_token(
        &self,
        item: &Item,
        token: &TaskToken,
        outcome: &Outcome,
    ) -> Result<Option<i64>, Error> {
        if self.is_forfeit(outcome) {
            self.give_up_token(item, token, outcome).await?;
            return Ok(None);
        }
        let Err(error) = self.answer(item, token, outcome).await else { return Ok(None) };
        if error.is_newer() {
            return Err(error);
        }
        signals::engine::callback_failed(signals::engine::Callback::Answer, &item.key.id, &error);
        let tries = item.number(attr::TRIES).unwrap_or(0);
        // No heartbeats are sent any more, so the caller's time runs while it waits for the answer.
        let longest = self.settings.heartbeat.promise / 10;
        let wait = self.wait(u32::try_from(tries).unwrap_or(u32::MAX), longest);
        let wait = wait.max(error.retry_after.unwrap_or_default().min(longest));
        let due_at = records::after(self.ports.clock.now(), wait);
        let changes = vec![set(DUE_AT, due_at), set(attr::TRIES, tries.saturating_add(1))];
        let put_off = Write::update(item.key.clone(), changes).when(Condition::Has(attr::TOKEN.into()));
        self.ports.store.write(put_off).await?;
        Ok(Some(due_at))
    }

    /// Owes a token nothing more. The caller of one whose success cannot be told, its output being what
    /// stands in the way, at least hears of an end.
    pub(crate) async fn give_up_token(
        &self,
        item: &Item,
        token: &TaskToken,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let root = RequestId::new(item.key.id.as_str());
        let message = "the request has ended, but how could not be told";
        let failure = outcome.failure.clone();
        let failure = failure.unwrap_or_else(|| Failure::new(ErrorName::Internal, message));
        let last = Outcome { failure: Some(failure), ..outcome.clone() };
        let heard = outbox::answer(self.ports.callbacks.as_ref(), &root, "", token, &last).await;
        match heard {
            Ok(delivery) => {
                let gone = delivery == Delivery::Gone;
                signals::engine::answered(root.as_str(), last.failure.as_ref(), gone);
            }
            Err(error) => {
                signals::engine::callback_failed(signals::engine::Callback::Answer, root.as_str(), &error);
                signals::ends::token_given_up(root.as_str());
            }
        }
        self.drop_token(item, UNANSWERED).await
    }

    /// Tells the bus how a root has ended.
    async fn pay_news(&self, held: &Leased, debt: &mut Debt, outcome: &Outcome) {
        let now = self.ports.clock.now();
        if !debt.is_due(millis(now)) {
            return;
        }
        let status = Status::of(outcome);
        match self.tell(held, status, outcome.counters, Some(outcome)).await {
            Ok(()) => debt.over = true,
            Err(_) if self.is_forfeit(outcome) => {
                signals::ends::news_given_up(&held.lease.key.id);
                debt.over = true;
            }
            Err(error) => {
                debt.tries = debt.tries.saturating_add(1);
                signals::ends::debt_unpaid(&held.lease.key.id, "event", &error, debt.tries);
                debt.due_at = records::after(now, self.wait(debt.tries, LONGEST_WAIT));
            }
        }
    }
}
