//! Schedules: roots that are made again and again, each at its time, without a caller.
//!
//! A schedule is a record under lease like any other, due when its next root is. The id of that root comes from
//! the schedule and the time that it is for, so that a round which is repeated makes none twice. Where no
//! instance ran while times passed, one root is made for all of them. There is no leader: whoever finds the record
//! due makes the root.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{
    Engine,
    core::Core,
    dispatch::Priority,
    lease::{LONGEST_SLEEP, Leased, RoundResult},
    records::{self, Phase, after, as_millis, attr, millis, set},
    round::AfterRound,
    submit::Order,
};
use crate::{
    domain::{
        ids::RequestId,
        recurrence::{Recurrence, jitter},
    },
    ports::{
        Class, Error, Result,
        store::{Change, DUE_AT, DUE_SHARD, Item, Key, Value, Write},
    },
    signals,
};

/// What begins the id of a schedule's record.
const PREFIX: &str = "schedule.";

/// Times further back are not looked at one by one.
const LONG_AGO: SignedDuration = SignedDuration::from_hours(24);

/// What is to be asked for again and again.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Unique; a schedule that is put under a name that there is takes its place.
    pub name: String,
    /// When.
    pub when: Recurrence,
    /// The zone of the clock that says so, as its database names it.
    pub zone: String,
    /// Within which time from then on its root is made.
    pub window: Duration,
    /// Whether a time is left out while the root of the one before has not settled.
    pub alone: bool,
    /// What is asked for each time. Its id stands for nothing: each root has one of its own.
    pub order: Order,
}

impl Schedule {
    /// The root for that time, milliseconds since 1970.
    #[must_use]
    pub fn root_at(&self, at: i64) -> RequestId {
        root_at(&self.name, at)
    }
}

fn root_at(name: &str, at: i64) -> RequestId {
    RequestId::of_caller("copy-manager.schedule", &format!("{name}@{at}"))
}

fn key(name: &str) -> Key {
    Key::new(format!("{PREFIX}{name}"), records::SCHEDULE)
}

/// A schedule as its record has it.
struct Stored<'a> {
    item: &'a Item,
    name: &'a str,
    when: Recurrence,
}

impl<'a> Stored<'a> {
    fn read(item: &'a Item) -> Result<Self> {
        let wrong = |why: String| Error::new(Class::Invalid, "schedule", why);
        let text = |name: &str| item.text(name).unwrap_or_default();
        let zone = zone(text(attr::ZONE)).map_err(wrong)?;
        let when = Recurrence::parse(text(attr::WHEN), zone).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { item, name: item.key.id.strip_prefix(PREFIX).unwrap_or_default(), when })
    }

    fn text(&self, name: &str) -> String {
        self.item.text(name).unwrap_or_default().to_owned()
    }

    /// What its times follow from.
    fn rule(&self) -> String {
        rule(&self.text(attr::WHEN), &self.text(attr::ZONE), self.item.number(attr::WINDOW).unwrap_or(0))
    }

    /// Changes that write down the next time.
    fn ticks(&self, tick: i64, begins: i64) -> Vec<Change> {
        ticks(tick, begins, &self.rule())
    }

    /// The last of the times from that one on that have come.
    fn last(&self, mut at: Timestamp, now: Timestamp) -> Timestamp {
        if now.duration_since(at) > LONG_AGO
            && let Some(later) = self.when.next(now - LONG_AGO).filter(|later| *later <= now)
        {
            at = at.max(later);
        }
        while let Some(next) = self.when.next(at).filter(|next| *next <= now) {
            at = next;
        }
        at
    }

    /// The first time after that, and when its root is made; none where there is no more.
    fn next(&self, at: Timestamp) -> (i64, i64) {
        let window = self.item.number(attr::WINDOW).and_then(|window| u64::try_from(window).ok());
        begins(&self.when, self.name, Duration::from_millis(window.unwrap_or(0)), at)
    }
}

fn rule(when: &str, zone: &str, window: i64) -> String {
    format!("{when} {zone} {window}")
}

fn ticks(tick: i64, begins: i64, rule: &str) -> Vec<Change> {
    vec![set(attr::TICK, tick), set(attr::NEXT_AT, begins), set(attr::TICKED_BY, rule)]
}

fn begins(when: &Recurrence, name: &str, window: Duration, at: Timestamp) -> (i64, i64) {
    when.next(at).map_or((i64::MAX, i64::MAX), |next| (millis(next), after(next, jitter(name, next, window))))
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("there is no time zone {name:?}"))
}

impl Engine {
    /// Puts a schedule, or leaves it as it is where the same is there.
    ///
    /// # Errors
    ///
    /// Those of the table; [`Class::Invalid`] where there is no such zone.
    pub async fn put_schedule(&self, schedule: &Schedule) -> Result<()> {
        self.core.put_schedule(schedule).await
    }

    /// Takes a schedule away. What it has asked for goes on.
    ///
    /// # Errors
    ///
    /// Those of the table.
    pub async fn remove_schedule(&self, name: &str) -> Result<()> {
        self.core.remove_schedule(name).await
    }

    /// One round of a schedule.
    pub(crate) async fn schedule_round(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        let clock = self.core.ports.clock.now();
        let now = millis(clock);
        let next = held.item.number(attr::NEXT_AT).unwrap_or(i64::MAX);
        let stored = Stored::read(&held.item)?;
        if stored.text(attr::TICKED_BY) != stored.rule() {
            // Another rule was put while a holder wrote down the next time of the one before.
            let (tick, begins) = stored.next(clock);
            return Ok(AfterRound::Due { changes: stored.ticks(tick, begins), due_at: begins });
        }
        if next > now {
            return Ok(AfterRound::at(next));
        }
        let Some(kind) = self.registry.kind(&stored.text(attr::KIND)) else {
            // A newer version has put it, and an instance of that version makes its roots.
            return Ok(AfterRound::at(after(clock, LONGEST_SLEEP)));
        };
        let tick = held.item.number(attr::TICK).and_then(|at| Timestamp::from_millisecond(at).ok());
        let tick = stored.last(tick.unwrap_or(clock), clock);
        let (name, (following, begins)) = (stored.name, stored.next(clock));
        let mut changes = stored.ticks(following, begins);
        let root = root_at(name, millis(tick));
        let before = stored.text(attr::LAST);
        let is_alone = stored.item.number(attr::ALONE) == Some(1) && before != root.as_str();
        if is_alone && self.core.is_under_way(&RequestId::new(before.as_str())).await? {
            signals::engine::schedule_skipped(name, &before, &tick);
            return Ok(AfterRound::Due { changes, due_at: begins });
        }
        let payload = serde_json::from_str(&stored.text(attr::SPEC))
            .map_err(|error| Error::new(Class::Invalid, "schedule", error.to_string()))?;
        let order = Order {
            kind: kind.name(),
            id: root.clone(),
            destination: stored.text(attr::DESTINATION),
            payload,
            source: stored.text(attr::SOURCE),
            token: None,
            also: Vec::new(),
        };
        held.lease.check()?;
        self.core.submit(&order).await?;
        changes.push(set(attr::LAST, root.as_str()));
        Ok(AfterRound::Due { changes, due_at: begins })
    }
}

impl Core {
    /// Takes a schedule away.
    pub(crate) async fn remove_schedule(&self, name: &str) -> Result<()> {
        self.ports.store.write(Write::delete(key(name))).await.map(drop)
    }

    /// Whether a root is there that has not settled.
    async fn is_under_way(&self, root: &RequestId) -> Result<bool> {
        if root.as_str().is_empty() {
            return Ok(false);
        }
        let there = self.ports.store.get(&records::request_key(root)).await?;
        // One that only has to tell its end does nothing any more.
        let has_ended = |there: &Item| matches!(Phase::of(there), Some(Phase::Finishing | Phase::Settled));
        Ok(there.is_some_and(|there| !has_ended(&there)))
    }

    async fn put_schedule(&self, schedule: &Schedule) -> Result<()> {
        let Schedule { name, when, zone: of_zone, window, alone, order } = schedule;
        zone(of_zone).map_err(|why| Error::new(Class::Invalid, "schedule", why))?;
        let (key, now) = (key(name), self.ports.clock.now());
        let wanted = [
            (attr::KIND, Value::from(order.kind)),
            (attr::DESTINATION, order.destination.as_str().into()),
            (attr::SPEC, order.payload.to_string().into()),
            (attr::SOURCE, order.source.as_str().into()),
            (attr::WHEN, when.to_string().into()),
            (attr::ZONE, of_zone.as_str().into()),
            (attr::WINDOW, as_millis(*window).into()),
            (attr::ALONE, i64::from(*alone).into()),
        ];
        let there = self.ports.store.get(&key).await?;
        let is_same =
            |item: &Item| wanted.iter().all(|(name, value)| item.attributes.get(*name) == Some(value));
        // One that was given up is due no more.
        let is_same = |item: &Item| is_same(item) && item.number(DUE_AT).is_some();
        if there.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        let (tick, begins) = begins(when, name, *window, now);
        let mut changes: Vec<_> = wanted.into_iter().map(|(name, value)| set(name, value)).collect();
        changes.extend(ticks(tick, begins, &rule(&when.to_string(), of_zone, as_millis(*window))));
        changes.extend([set(DUE_SHARD, records::shard(&key)), set(DUE_AT, millis(now))]);
        // A holder does not give the record back before it has seen that it was changed.
        changes.push(Change::Add(attr::WAKES.into(), 1));
        self.ports.store.write(Write::update(key.clone(), changes)).await?;
        self.inbox.offer(key, Priority::Root);
        Ok(())
    }
}
