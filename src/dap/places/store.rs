//! Places in the store, for all instances that use an account.
//!
//! Time is cut into stretches as long as a place is held. An item per endpoint and stretch holds the places that
//! were taken in it, each with when: at most as many as the limit says, less those of the stretch before that are
//! still held. A place so costs one conditional write. The item of a stretch vanishes by itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Place, Places, Rates, at};
use crate::{
    dap::settings::Endpoint,
    domain::ids::digest,
    ports::{
        Result,
        chance::Chance,
        clock::Clock,
        store::{Change, Condition, EXPIRE_AT, Item, Key, Store, Write, Written},
    },
};

/// Sort key of the items.
const PLACES: &str = "PLACES";
/// Set: `{when in the stretch}.{random}`, both in base 36, for the items to be small.
const TAKEN: &str = "taken";
/// Until when nobody takes a place, in milliseconds since 1970.
const SLOW_UNTIL: &str = "slow_until";
/// How much longer than it matters an item is kept, in seconds.
const KEPT: i64 = 600;
/// How long after its end a stretch may still change, in milliseconds.
const SETTLED: i64 = 2000;
/// Random digits of a member: two calls of one millisecond are not to be one.
const DIGITS: u32 = 5;
/// The most stretches that are marked. Only tests have such short ones.
const MOST_MARKED: i64 = 100;

/// Places that all instances share.
#[derive(Debug)]
pub struct InStore {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    account: String,
    rates: Rates,
    /// The places of the stretch before, once that is over: they do not change any more.
    before: Mutex<BTreeMap<Endpoint, (i64, Vec<i64>)>>,
}

impl InStore {
    /// Of the account that has that client id, which the store learns only as a hash.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        client_id: &str,
        rates: Rates,
    ) -> Self {
        Self { store, clock, chance, account: digest(&[client_id]), rates, before: Mutex::default() }
    }

    fn key(&self, endpoint: Endpoint, stretch: i64) -> Key {
        Key::new(format!("dap.{}.{}.{stretch}", self.account, endpoint.name()), PLACES)
    }

    fn expiry(&self, stretch: i64) -> Change {
        let over = (stretch + 2).saturating_mul(self.rates.held()) / 1000;
        Change::Set(EXPIRE_AT.to_owned(), (over + KEPT).into())
    }

    /// When the places of an item were taken, in order.
    fn taken(&self, item: Option<&Item>, stretch: i64) -> Vec<i64> {
        let start = stretch.saturating_mul(self.rates.held());
        let members = item.map(|item| item.members(TAKEN)).unwrap_or_default();
        let since = members.iter().filter_map(|member| {
            let (when, _) = member.split_once('.')?;
            i64::from_str_radix(when, 36).ok()
        });
        let mut taken: Vec<_> = since.map(|since| start.saturating_add(since)).collect();
        taken.sort_unstable();
        taken
    }

    /// The places of the stretch before.
    async fn before(&self, endpoint: Endpoint, stretch: i64, now: i64) -> Result<Vec<i64>> {
        let known = self.before.lock().unwrap_or_else(PoisonError::into_inner).get(&endpoint).cloned();
        if let Some((_, taken)) = known.filter(|(of, _)| *of == stretch) {
            return Ok(taken);
        }
        let item = self.store.get(&self.key(endpoint, stretch)).await?;
        let taken = self.taken(item.as_ref(), stretch);
        // One who took the last moment for it may still be on the way.
        if now - (stretch + 1).saturating_mul(self.rates.held()) > SETTLED {
            let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
            before.insert(endpoint, (stretch, taken.clone()));
        }
        Ok(taken)
    }
}

#[async_trait]
impl Places for InStore {
    async fn take(&self, endpoint: Endpoint) -> Result<Place> {
        let limit = self.rates.limits.of(endpoint) as usize;
        if limit == 0 {
            return Ok(Place::Taken);
        }
        let held = self.rates.held();
        let now = self.clock.now().as_millisecond();
        let stretch = now.div_euclid(held);
        let before = self.before(endpoint, stretch - 1, now).await?;
        let still: Vec<_> = before.into_iter().filter(|taken| taken + held > now).collect();
        let room = limit.saturating_sub(still.len());
        let first = |taken: &[i64]| taken.first().map_or(now + 1, |taken| taken + held);
        if room == 0 {
            return Ok(Place::NoneBefore(at(first(&still))));
        }
        let space = 36_u64.pow(DIGITS);
        let member = format!(
            "{}.{}",
            base36(now.rem_euclid(held).unsigned_abs()),
            base36(self.chance.number() % space)
        );
        let changes = vec![Change::Include(TAKEN.to_owned(), member.clone()), self.expiry(stretch)];
        let limit = i64::try_from(room).unwrap_or(i64::MAX);
        let write = Write::update(self.key(endpoint, stretch), changes)
            .when(Condition::Room { set: TAKEN.to_owned(), member, limit })
            .when(Condition::AtMost(SLOW_UNTIL.to_owned(), now));
        match self.store.write(write).await? {
            Written::Done(_) => Ok(Place::Taken),
            Written::Refused(item) => {
                let slow =
                    item.as_ref().and_then(|item| item.number(SLOW_UNTIL)).filter(|until| *until > now);
                let taken = [still, self.taken(item.as_ref(), stretch)].concat();
                let full = (taken.len() >= self.rates.limits.of(endpoint) as usize).then(|| first(&taken));
                Ok(Place::NoneBefore(at(slow.max(full).unwrap_or(now + 1))))
            }
        }
    }

    async fn slow(&self, endpoint: Endpoint, until: Timestamp) -> Result<()> {
        let held = self.rates.held();
        let now = self.clock.now().as_millisecond();
        let until = until.as_millisecond();
        let last = until.div_euclid(held).min(now.div_euclid(held).saturating_add(MOST_MARKED));
        for stretch in now.div_euclid(held)..=last {
            let changes = vec![Change::Set(SLOW_UNTIL.to_owned(), until.into()), self.expiry(stretch)];
            let write = Write::update(self.key(endpoint, stretch), changes);
            // Where somebody was told to wait longer, that stays.
            self.store.write(write.when(Condition::AtMost(SLOW_UNTIL.to_owned(), until))).await?;
        }
        Ok(())
    }
}

/// A number in base 36.
fn base36(mut number: u64) -> String {
    const DIGIT: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut text = Vec::new();
    loop {
        let digit = usize::try_from(number % 36).unwrap_or_default();
        text.extend(DIGIT.get(digit).map(|digit| char::from(*digit)));
        number /= 36;
        if number == 0 {
            return text.into_iter().rev().collect();
        }
    }
}
