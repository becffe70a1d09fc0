//! Schedules: roots that are made again and again, each at its time, without a caller.
//!
//! A schedule is a record under lease like any other, due when its next root is. The id of that root comes from
//! the schedule and the time that it is for, so that a round which is repeated makes none twice. Where no
//! instance ran for longer than the interval, one root is made for all the times that have passed.

use std::time::Duration;

use super::{
    Engine,
    core::Core,
    dispatch::Priority,
    lease::{LONGEST_SLEEP, Leased, RoundResult},
    records::{self, as_millis, attr, millis, set},
    round::AfterRound,
    submit::Order,
};
use crate::{
    domain::ids::RequestId,
    ports::{
        Class, Error, Result,
        store::{Change, DUE_AT, DUE_SHARD, Item, Key, Value, Write},
    },
};

/// What begins the id of a schedule's record.
const PREFIX: &str = "schedule.";

/// Between two roots of a schedule there is at least that.
const SHORTEST: Duration = Duration::from_secs(10);

/// What is to be asked for again and again.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Unique; a schedule that is put under a name that there is takes its place.
    pub name: String,
    /// The time between two of its roots, at least ten seconds.
    pub every: Duration,
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

impl Engine {
    /// Puts a schedule, whose first root is made at once, or leaves it as it is where the same is there.
    ///
    /// # Errors
    ///
    /// Those of the table; [`Class::Invalid`] where it would come too often.
    pub async fn put_schedule(&self, schedule: &Schedule) -> Result<()> {
        self.core.put_schedule(schedule).await
    }

    /// Takes a schedule away. What it has asked for goes on.
    ///
    /// # Errors
    ///
    /// Those of the table.
    pub async fn remove_schedule(&self, name: &str) -> Result<()> {
        self.core.ports.store.write(Write::delete(key(name))).await.map(drop)
    }

    /// One round of a schedule.
    pub(crate) async fn schedule_round(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        let now = millis(self.core.ports.clock.now());
        let item = &held.item;
        let text = |name: &str| item.text(name).unwrap_or_default().to_owned();
        let (every, next) =
            (item.number(attr::EVERY).unwrap_or(0), item.number(attr::NEXT_AT).unwrap_or(now));
        let every = every.max(as_millis(SHORTEST));
        if next > now {
            return Ok(AfterRound::at(next));
        }
        let passed = (now - next) / every;
        let at = next + passed * every;
        let Some(kind) = self.registry.kind(&text(attr::KIND)) else {
            // A newer version has put it, and an instance of that version makes its roots.
            return Ok(AfterRound::at(records::after(self.core.ports.clock.now(), LONGEST_SLEEP)));
        };
        let payload = serde_json::from_str(&text(attr::SPEC))
            .map_err(|error| Error::new(Class::Invalid, "schedule", error.to_string()))?;
        let order = Order {
            kind: kind.name(),
            id: root_at(held.lease.key.id.strip_prefix(PREFIX).unwrap_or_default(), at),
            destination: text(attr::DESTINATION),
            payload,
            source: text(attr::SOURCE),
            token: None,
            also: Vec::new(),
        };
        held.lease.check()?;
        self.core.submit(&order).await?;
        Ok(AfterRound::Due { changes: vec![set(attr::NEXT_AT, at + every)], due_at: at + every })
    }
}

impl Core {
    async fn put_schedule(&self, schedule: &Schedule) -> Result<()> {
        let Schedule { name, every, order } = schedule;
        if *every < SHORTEST {
            let message = format!("{every:?} is less than {SHORTEST:?}");
            return Err(Error::new(Class::Invalid, "schedule", message));
        }
        let (key, now) = (key(name), millis(self.ports.clock.now()));
        let wanted = [
            (attr::KIND, Value::from(order.kind)),
            (attr::DESTINATION, order.destination.as_str().into()),
            (attr::SPEC, order.payload.to_string().into()),
            (attr::SOURCE, order.source.as_str().into()),
            (attr::EVERY, as_millis(*every).into()),
        ];
        let there = self.ports.store.get(&key).await?;
        let is_same =
            |item: &Item| wanted.iter().all(|(name, value)| item.attributes.get(*name) == Some(value));
        if there.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        let mut changes: Vec<_> = wanted.into_iter().map(|(name, value)| set(name, value)).collect();
        changes.extend([
            set(attr::SCHEMA, records::SCHEMA),
            set(attr::NEXT_AT, now),
            set(DUE_SHARD, records::shard(&key)),
            set(DUE_AT, now),
        ]);
        // A holder does not give the record back before it has seen that it was changed.
        changes.push(Change::Add(attr::WAKES.into(), 1));
        self.ports.store.write(Write::update(key.clone(), changes)).await?;
        self.inbox.offer(key, Priority::Root);
        Ok(())
    }
}
