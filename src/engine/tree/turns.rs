//! Children that only wait, and how they come back to work (decision 0010).
//!
//! Such a child is parked: it does not count against the window of its root, so that other children begin
//! meanwhile. Its own record says so, and the tally of its root counts it; both change in one transaction, so
//! a repeated write counts no child twice. When what they wait for has come, maybe for all children at once,
//! each asks for a turn, and its root gives turns out of the same window that new children are put from:
//! never more is in flight than the caller asked for.
//!
//! The children that ask stand in a set of a bounded size; one that finds it full comes again. A turn that
//! was given counts as in flight until the child has taken it.

use std::{collections::BTreeSet, sync::Arc};

use super::Tree;
use crate::{
    domain::ids::RequestId,
    engine::{
        core::Core,
        dispatch::Priority,
        lease::{Lease, Leased, RoundError, RoundResult, id_of},
        records::{self, RootState, attr, set},
    },
    ports::store::{Change, Condition, Item, Key, Value, Write, Written},
};

/// Children that stand in the queue for a turn at a time.
const MOST_ASKING: i64 = 256;

/// How often turns are given anew when another task has written meanwhile.
const TRIES: usize = 4;

const ASKING: &str = "asking";
const GIVEN: &str = "given";
/// +1 with each change.
const VERSION: &str = "version";

/// How a child stands in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Not at all.
    None,
    Asked,
    Given,
}

/// Whether a child is parked.
pub(crate) fn is_parked(record: &Item) -> bool {
    record.number(attr::PARKED).is_some()
}

/// Whether a child is one that is parked when it only waits.
pub(crate) fn is_in_turns(record: &Item) -> bool {
    record.number(attr::IN_TURNS).is_some()
}

/// Children of a root that are parked, by its tallies.
pub(crate) fn parked(tallies: &[Item]) -> u64 {
    let parked = tallies.iter().filter_map(|tally| tally.number(attr::PARKED)).sum::<i64>();
    u64::try_from(parked).unwrap_or(0)
}

/// Turns of a root that were given and not taken yet.
pub(crate) fn given(tallies: &[Item]) -> u64 {
    turns(tallies).map_or(0, |turns| turns.members(GIVEN).len() as u64)
}

fn turns(tallies: &[Item]) -> Option<&Item> {
    tallies.iter().find(|item| item.key.id_type == records::TURNS)
}

impl Core {
    /// Parks a child. The call may be repeated.
    pub(crate) async fn park(&self, lease: &Arc<Lease>, root: &RequestId) -> RoundResult<()> {
        self.change_place(lease, root, true, None).await
    }

    /// Takes the turn that a child was given.
    pub(crate) async fn take_turn(
        &self,
        held: &mut Leased,
        root: &RequestId,
        number: u64,
    ) -> RoundResult<()> {
        let lease = Arc::clone(&held.lease);
        self.change_place(&lease, root, false, Some(leave_queue(root, number))).await?;
        held.item.attributes.remove(attr::PARKED);
        Ok(())
    }

    async fn change_place(
        &self,
        lease: &Lease,
        root: &RequestId,
        parks: bool,
        more: Option<Write>,
    ) -> RoundResult<()> {
        lease.check()?;
        let name = attr::PARKED.to_owned();
        let (change, condition, count) = if parks {
            (set(attr::PARKED, 1), Condition::Lacks(name), 1)
        } else {
            (Change::Remove(name.clone()), Condition::Has(name), -1)
        };
        let own = lease.guarded(vec![change]).when(condition);
        let tally = records::tally_key(root, &RequestId::new(lease.key.id.as_str()));
        let counted = Write::update(tally, vec![Change::Add(attr::PARKED.into(), count)]);
        let writes = [own, counted].into_iter().chain(more).collect();
        match self.ports.store.transact(writes).await? {
            crate::ports::store::Transacted::Done => Ok(()),
            crate::ports::store::Transacted::Refused(_) => {
                // Repeated below us, maybe, after an answer that was lost.
                let record = self.ports.store.get(&lease.key).await?;
                let is_done = record.is_some_and(|record| {
                    record.number(attr::EPOCH) == Some(lease.epoch) && is_parked(&record) == parks
                });
                if is_done {
                    return Ok(());
                }
                lease.lost.cancel();
                Err(RoundError::Lost)
            }
        }
    }

    /// How a child stands in the queue of its root.
    pub(crate) async fn turn_of(&self, root: &RequestId, number: u64) -> RoundResult<Turn> {
        let Some(turns) = self.ports.store.get(&records::turns_key(root)).await? else {
            return Ok(Turn::None);
        };
        let number = number.to_string();
        Ok(if turns.members(GIVEN).contains(&number) {
            Turn::Given
        } else if turns.members(ASKING).contains(&number) {
            Turn::Asked
        } else {
            Turn::None
        })
    }

    /// Asks for a turn, if there is room in the queue.
    pub(crate) async fn ask_for_turn(&self, root: &RequestId, number: u64) -> RoundResult<()> {
        let (set, member) = (ASKING.to_owned(), number.to_string());
        let changes = vec![Change::Include(set.clone(), member.clone()), Change::Add(VERSION.to_owned(), 1)];
        let write = Write::update(records::turns_key(root), changes);
        let asked =
            self.ports.store.write(write.when(Condition::Room { set, member, limit: MOST_ASKING })).await?;
        if matches!(asked, Written::Done(_)) {
            self.wake(records::request_key(root), Priority::Root).await?;
        }
        Ok(())
    }

    /// Takes a child out of the queue that has no more to do.
    pub(crate) async fn leave_queue(&self, root: &RequestId, number: u64) -> RoundResult<()> {
        self.ports.store.write(leave_queue(root, number)).await?;
        Ok(())
    }

    /// Gives at most `room` turns, and says how many it gave.
    pub(crate) async fn give_turns(
        &self,
        held: &Leased,
        tree: &dyn Tree,
        state: &RootState,
        tallies: &[Item],
        room: u64,
    ) -> RoundResult<u64> {
        let id = id_of(held);
        let most = usize::try_from(room).unwrap_or(usize::MAX);
        let mut seen = turns(tallies).cloned();
        for _ in 0..TRIES {
            let Some(turns) = seen else { return Ok(0) };
            // Those that were put first have come back first, and would expire first.
            let mut asking: Vec<u64> =
                turns.members(ASKING).iter().filter_map(|number| number.parse().ok()).collect();
            asking.sort_unstable();
            let chosen: BTreeSet<String> = asking.iter().take(most).map(u64::to_string).collect();
            if chosen.is_empty() {
                return Ok(0);
            }
            held.lease.check()?;
            let given = turns.members(GIVEN).union(&chosen).cloned().collect();
            let changes = vec![
                Change::Set(GIVEN.to_owned(), Value::TextSet(given)),
                Change::Exclude(ASKING.to_owned(), chosen.clone()),
                Change::Add(VERSION.to_owned(), 1),
            ];
            let version = Value::Number(turns.number(VERSION).unwrap_or(0));
            let write = Write::update(records::turns_key(&id), changes)
                .when(Condition::Equals(VERSION.to_owned(), version));
            match self.ports.store.write(write).await? {
                Written::Done(_) => {
                    let roster = tree.roster(held, state).await?;
                    let numbers = chosen.iter().filter_map(|number| number.parse().ok());
                    for child in numbers.filter_map(|number| roster.id(number)) {
                        self.wake(records::request_key(&child), Priority::Begun).await?;
                    }
                    return Ok(chosen.len() as u64);
                }
                Written::Refused(current) => seen = current,
            }
        }
        Ok(0)
    }
}

fn leave_queue(root: &RequestId, number: u64) -> Write {
    let number = BTreeSet::from([number.to_string()]);
    let key: Key = records::turns_key(root);
    Write::update(
        key,
        vec![
            Change::Exclude(ASKING.to_owned(), number.clone()),
            Change::Exclude(GIVEN.to_owned(), number),
            Change::Add(VERSION.to_owned(), 1),
        ],
    )
}
