//! Leases: the right of one instance to advance a record for a short time.
//!
//! Promises: at most one holder whose [`Lease::check`] passes; every write of a holder is
//! conditional on owner and epoch; news that arrive during a round are never slept through, because
//! a release is conditional on `wakes`. A holder that dies is followed by another when the lease has
//! run out; a holder that only believes to be alive stops itself earlier, on its own clock.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    core::Core,
    quarantine::{Alone, SUSPECT},
    records::{self, as_millis, attr, millis, set},
};
use crate::{
    domain::ids::RequestId,
    ports::{
        Class, Error,
        store::{Action, Change, Condition, DUE_AT, DUE_SHARD, Item, Key, Value, Write, Written},
    },
    signals::{self, journal::Notes},
};

/// By how much the clocks of two instances, or of one and the platform, may differ: who goes by a time that
/// another has noted waits so much longer.
pub(crate) const SKEW: Duration = Duration::from_secs(5);

/// Holders stop this much before their lease ends, for steps that are under way.
const MARGIN: Duration = Duration::from_secs(10);

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoundError {
    /// A port failed; try again later.
    #[error(transparent)]
    Port(#[from] Error),
    /// The lease is gone: another instance acts now, or may.
    #[error("the lease is lost")]
    Lost,
    /// The process is stopping.
    #[error("stopping")]
    Stopping,
}

/// Result of a step of a round.
pub(crate) type RoundResult<T> = Result<T, RoundError>;

/// A lease on one record.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) key: Key,
    pub(crate) epoch: i64,
    owner: String,
    length: Duration,
    good_until: Mutex<Instant>,
    /// Cancelled when the lease is known to be lost.
    pub(crate) lost: CancellationToken,
}

/// A record that this instance holds, as it last read it.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) lease: Arc<Lease>,
    pub(crate) item: Item,
    /// The latest revision of the record that was tried to be written.
    tried: i64,
    /// Where it is run alone: the right to.
    pub(crate) alone: Option<Alone>,
    /// What its work has told and its journal does not hold yet.
    pub(super) notes: Arc<Notes>,
}

impl Leased {
    /// That nobody has woken the record since it was read: news is not slept through.
    pub(crate) fn no_news(&self) -> Condition {
        is_still(attr::WAKES, self.item.number(attr::WAKES))
    }

    /// The journal with what was noted since, as a change of the record, and how many notes that are. It goes
    /// with a write that is made anyway.
    fn journal(&self) -> Option<(Change, usize)> {
        let (journal, noted) = self.notes.appended_to(self.item.text(attr::JOURNAL))?;
        Some((set(attr::JOURNAL, journal), noted))
    }
}

/// The result of a release.
#[derive(Debug)]
pub(crate) enum Released {
    /// Done; the record is free.
    Yes,
    /// There is news; still held.
    News,
}

impl Lease {
    /// Passes while the lease surely holds. To be called before each effect.
    pub(crate) fn check(&self) -> RoundResult<()> {
        let good_until = *self.good_until.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lost.is_cancelled() || Instant::now() >= good_until {
            return Err(RoundError::Lost);
        }
        Ok(())
    }

    fn extend(&self, asked_at: Instant) {
        let margin = MARGIN.min(self.length / 4);
        *self.good_until.lock().unwrap_or_else(PoisonError::into_inner) =
            asked_at + self.length.saturating_sub(margin);
    }

    fn conditions(&self) -> [Condition; 2] {
        [
            Condition::Equals(attr::OWNER.into(), Value::from(self.owner.as_str())),
            Condition::Equals(attr::EPOCH.into(), Value::Number(self.epoch)),
        ]
    }

    /// Whether a record is held by this lease.
    fn holds(&self, item: &Item) -> bool {
        item.text(attr::OWNER) == Some(self.owner.as_str()) && item.number(attr::EPOCH) == Some(self.epoch)
    }

    /// A write that happens only while this lease is the latest.
    pub(crate) fn guarded(&self, changes: Vec<Change>) -> Write {
        self.conditions().into_iter().fold(Write::update(self.key.clone(), changes), Write::when)
    }

    /// The part of a transaction that lets it happen only while this lease is the latest.
    pub(crate) fn still_held(&self) -> Write {
        Write { key: self.key.clone(), action: Action::Check, conditions: self.conditions().to_vec() }
    }
}

impl Core {
    /// Takes the lease of a record, if it is there, unsettled and free: in one call, where no
    /// instance holds it.
    pub(crate) async fn acquire(&self, key: &Key) -> Result<Option<Leased>, Error> {
        // Tells our write from another of this instance, where its answer is lost and it is repeated below us.
        let grip = Value::Number(i64::from_ne_bytes(self.ports.chance.number().to_ne_bytes()));
        let asked_at = Instant::now();
        let lease_until = records::after(self.ports.clock.now(), self.settings.service.lease);
        let take = Write::update(
            key.clone(),
            vec![
                set(attr::OWNER, self.instance.as_str()),
                Change::Add(attr::EPOCH.into(), 1),
                set(attr::LEASE_UNTIL, lease_until),
                set(DUE_AT, lease_until),
                Change::Add(attr::STARTS.into(), 1),
                Change::Set(attr::GRIP.into(), grip.clone()),
            ],
        );
        let is_free = [Condition::Has(DUE_AT.into()), Condition::Free(attr::OWNER.into())];
        let found = match self.ports.store.write(is_free.into_iter().fold(take, Write::when)).await {
            Ok(Written::Done(item) | Written::Refused(item)) => item,
            Err(error) if error.may_have_happened => self.ports.store.get(key).await?,
            Err(error) => return Err(error),
        };
        let Some(item) = found else { return Ok(None) };
        let is_ours = item.text(attr::OWNER) == Some(self.instance.as_str());
        if is_ours && item.attributes.get(attr::GRIP) == Some(&grip) {
            return Ok(Some(self.leased(item, asked_at, None)));
        }
        self.take_over(key, &item, asked_at).await
    }

    /// Takes the lease of a record that its holder has not given back, if its lease is over. `first`: when it was
    /// first asked for.
    async fn take_over(&self, key: &Key, item: &Item, first: Instant) -> Result<Option<Leased>, Error> {
        if item.number(DUE_AT).is_none() {
            return Ok(None);
        }
        let now = self.ports.clock.now();
        let until = item.number(attr::LEASE_UNTIL).unwrap_or(0);
        let owner = item.text(attr::OWNER).unwrap_or_default();
        if !owner.is_empty() && records::after(now, Duration::ZERO) < until + as_millis(SKEW) {
            return Ok(None);
        }
        let starts = item.number(attr::STARTS).unwrap_or(0);
        let is_suspect = !owner.is_empty() && owner != self.instance.as_str() && starts >= SUSPECT;
        let alone = if is_suspect {
            // It is another suspect's turn: this one stays due.
            let Some(alone) = self.quarantine.enter() else { return Ok(None) };
            Some(alone)
        } else {
            None
        };
        // This very process did not give it back, and so has not died of it; that the round did not come to
        // an end can be seen all the same.
        let start = if owner == self.instance.as_str() {
            set(attr::STARTS, 2)
        } else {
            Change::Add(attr::STARTS.into(), 1)
        };
        let from = (!owner.is_empty()).then_some(owner);
        if let Some(owner) = from {
            signals::engine::taken_over(key, owner, starts);
        }
        let epoch = item.number(attr::EPOCH).unwrap_or(0);
        let asked_at = Instant::now();
        let lease_until = records::after(now, self.settings.service.lease);
        let mut write = Write::update(
            key.clone(),
            vec![
                set(attr::OWNER, self.instance.as_str()),
                set(attr::EPOCH, epoch + 1),
                set(attr::LEASE_UNTIL, lease_until),
                set(DUE_AT, lease_until),
                start,
            ],
        )
        .when(Condition::Has(DUE_AT.into()));
        // The expiry too: a holder that has just renewed, late as it may be, still holds.
        for name in [attr::EPOCH, attr::LEASE_UNTIL] {
            write = write.when(is_still(name, item.number(name)));
        }
        let (taken, asked_at) = match self.ports.store.write(write).await {
            Ok(Written::Done(item)) => (item, asked_at),
            // Refused because the first write has happened after all: the lease is as long as that made it.
            Ok(Written::Refused(item)) => (item, first),
            Err(error) if error.may_have_happened => (self.ports.store.get(key).await?, first),
            Err(error) => return Err(error),
        };
        // The answer of the write that took it may have been lost and the write repeated below us:
        // owner and epoch tell whether it was ours.
        let Some(item) = taken.filter(|item| {
            item.text(attr::OWNER) == Some(self.instance.as_str())
                && item.number(attr::EPOCH) == Some(epoch + 1)
        }) else {
            return Ok(None);
        };
        if alone.is_some() {
            signals::ends::suspected(key, starts);
            self.liveness.run_began(millis(self.ports.clock.now()));
        }
        let held = self.leased(item, asked_at, alone);
        if let Some(owner) = from {
            held.notes
                .add("record.taken_over", &format!("from instance {owner}, which did not give it back"));
        }
        Ok(Some(held))
    }

    /// A record that this instance has just taken.
    pub(super) fn leased(&self, item: Item, asked_at: Instant, alone: Option<Alone>) -> Leased {
        let lease = Lease {
            key: item.key.clone(),
            epoch: item.number(attr::EPOCH).unwrap_or(0),
            owner: self.instance.as_str().to_owned(),
            length: self.settings.service.lease,
            good_until: Mutex::new(asked_at),
            lost: CancellationToken::new(),
        };
        lease.extend(asked_at);
        let tried = item.number(attr::REVISION).unwrap_or(0);
        let clock = Arc::clone(&self.ports.clock);
        let notes = Arc::new(Notes::new(move || millis(clock.now())));
        Leased { lease: Arc::new(lease), item, tried, alone, notes }
    }

    /// Renews the lease for ever; marks it lost when it is. Never returns.
    pub(crate) async fn keep(&self, lease: &Lease) {
        loop {
            sleep(lease.length / 3).await;
            let asked_at = Instant::now();
            let until = records::after(self.ports.clock.now(), lease.length);
            let write = lease.guarded(vec![set(attr::LEASE_UNTIL, until), set(DUE_AT, until)]);
            match self.ports.store.write(write).await {
                Ok(Written::Done(_)) => lease.extend(asked_at),
                Ok(Written::Refused(_)) => break,
                Err(error) if error.is_newer() => break,
                Err(error) => signals::engine::renewal_failed(&lease.key, &error),
            }
        }
        signals::engine::lease_lost(&lease.key);
        lease.lost.cancel();
        std::future::pending::<()>().await;
    }

    /// Writes attributes of a held record. Each such write has a revision of its own and follows the one
    /// before: an attempt that lands late changes nothing, and one whose answer was lost recognises itself.
    /// Where an earlier one turns out to have happened of which we had not heard, nothing is written over it:
    /// the new attributes were made without knowing of it, and the round begins anew.
    pub(crate) async fn save(&self, held: &mut Leased, mut changes: Vec<Change>) -> RoundResult<()> {
        held.lease.check()?;
        let seen = held.item.number(attr::REVISION);
        held.tried = held.tried.max(seen.unwrap_or(0)) + 1;
        changes.push(set(attr::REVISION, held.tried));
        let journal = held.journal();
        let noted = journal.as_ref().map_or(0, |(_, noted)| *noted);
        changes.extend(journal.map(|(change, _)| change));
        let write = held.lease.guarded(changes).when(is_still(attr::REVISION, seen));
        let item = match self.ports.store.write(write).await? {
            Written::Done(Some(item)) => item,
            Written::Refused(Some(item)) if held.lease.holds(&item) => item,
            Written::Done(None) | Written::Refused(_) => {
                held.lease.lost.cancel();
                return Err(RoundError::Lost);
            }
        };
        let is_ours = item.number(attr::REVISION) == Some(held.tried);
        // `wakes` as of the round's start must survive: a wake that came since is news.
        let wakes = held.item.attributes.get(attr::WAKES).cloned();
        held.item = item;
        match wakes {
            Some(wakes) => held.item.attributes.insert(attr::WAKES.into(), wakes),
            None => held.item.attributes.remove(attr::WAKES),
        };
        if is_ours {
            held.notes.stored(noted);
            return Ok(());
        }
        Err(Error::new(Class::Transient, "save", "an earlier write has happened after all").into())
    }

    /// The write that gives the record back, due at `due_at` (`None`: never again).
    pub(crate) fn giving_back(&self, held: &Leased, mut changes: Vec<Change>, due_at: Option<i64>) -> Write {
        let latest = records::after(self.ports.clock.now(), LONGEST_SLEEP);
        match due_at {
            Some(due_at) => {
                changes.push(set(DUE_AT, due_at.min(latest)));
                changes.push(set(DUE_SHARD, records::shard(&held.lease.key)));
            }
            None => changes.extend(records::retire(self.ports.clock.now(), self.settings.service.keep)),
        }
        if held.item.number(attr::SURVIVED).is_some() {
            changes.push(Change::Remove(attr::SURVIVED.into()));
        }
        changes.extend([
            set(attr::OWNER, ""),
            set(attr::LEASE_UNTIL, 0),
            set(attr::STARTS, 0),
            set(attr::UPDATED_AT, millis(self.ports.clock.now())),
        ]);
        changes.extend(held.journal().map(|(change, _)| change));
        held.lease.guarded(changes)
    }

    /// Gives the record back; with `news_can_wait`, even if there is news.
    pub(crate) async fn release(
        &self,
        held: &mut Leased,
        changes: Vec<Change>,
        due_at: Option<i64>,
        news_can_wait: bool,
    ) -> RoundResult<Released> {
        let mut write = self.giving_back(held, changes, due_at);
        if !news_can_wait {
            write = write.when(held.no_news());
        }
        let current = match self.ports.store.write(write).await {
            Ok(Written::Done(_)) => return Ok(Released::Yes),
            Ok(Written::Refused(current)) => current,
            Err(error) if error.may_have_happened => self.ports.store.get(&held.lease.key).await?,
            Err(error) => return Err(error.into()),
        };
        match current {
            Some(item) if item.number(attr::EPOCH) == Some(held.lease.epoch) => {
                if item.text(attr::OWNER) == Some(held.lease.owner.as_str()) {
                    held.item = item;
                    return Ok(Released::News);
                }
                // The record is free, and no instance has taken it since: our own release did it, whose
                // answer was lost.
                Ok(Released::Yes)
            }
            _ => {
                held.lease.lost.cancel();
                Err(RoundError::Lost)
            }
        }
    }
}

/// That a number is what it was when it was read.
fn is_still(name: &str, seen: Option<i64>) -> Condition {
    match seen {
        Some(seen) => Condition::Equals(name.into(), Value::Number(seen)),
        None => Condition::Lacks(name.into()),
    }
}

pub(crate) fn id_of(held: &Leased) -> RequestId {
    RequestId::new(held.lease.key.id.as_str())
}

/// Every unsettled record is looked at again after this time at the latest.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_mins(10);
