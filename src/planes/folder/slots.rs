//! The places of a project's running jobs, shared fairly between roots over the fleet.
//!
//! The `SLOTS` item of a project holds the roots that run a job, `{root}:{id}` in `running` and in `express`,
//! and those that wait for one, `{root}@{half minute}` in `waiting`. Only the first two are a promise. An
//! entry in `waiting` is a hint that ages away: a root that does not repeat itself is forgotten, and one that
//! lets a free slot pass is passed over.
//!
//! Where no root waits, a slot costs one conditional write. Where one does, that write is refused and shows
//! the item, and whose turn it is follows from it. Where the project was full when it was last seen, the item
//! is read first. On one instance, folders that wait are called when a slot is given back; otherwise they
//! come again by themselves.

use std::{collections::BTreeSet, time::Duration};

use super::{
    FolderPlane,
    claims::{REPEAT, View},
    place::project_of,
    slot_request::{SlotClass, SlotRequest},
    state::FolderState,
    waiter::{self, Waiter},
};
use crate::{
    domain::ids::ProjectId,
    engine::{
        dispatch::Priority,
        lease::{Leased, RoundResult},
        records::{self, as_millis, attr, millis},
    },
    ports::{
        Error,
        store::{Change, Condition, Write, Written},
    },
    signals,
};

/// Roots that may be known to wait: the item must stay small. A root that is not among them only loses its
/// claim to be let in first.
const MOST_WAITING: usize = 500;

/// How long a free slot is left to a root with a better claim.
const FAIRNESS_GRACE: Duration = Duration::from_secs(3);

/// A folder asks again after this time at least, and after this time at the latest; in between, the
/// more of them wait on an instance, the later. Less than [`FAIRNESS_GRACE`], and less than a root is
/// believed to wait.
const SOONEST: Duration = Duration::from_secs(2);
const LATEST: Duration = Duration::from_secs(45);
const EACH: Duration = Duration::from_millis(500);

/// After this time no instance can still be on its way to a slot that was given up.
const LATE: Duration = Duration::from_mins(10);

impl FolderPlane {
    /// Asks for the slot that the folder waits for, when it is time or its turn; true when it was
    /// taken now.
    pub(super) async fn ask_again(
        &self,
        held: &Leased,
        state: &mut FolderState,
        waiters: &[Waiter],
    ) -> RoundResult<bool> {
        let Some(wish) = &mut state.wish else { return Ok(false) };
        let Some(project) = project_of(held, waiters) else { return Ok(false) };
        if waiters.is_empty() {
            return self.drop_wish(held, state, &project).await.map(|()| false);
        }
        let now = millis(self.core.ports.clock.now());
        let called = self.slots.is_called(&held.lease.key);
        if wish.taken.is_some() || !(called || now >= wish.try_at) {
            return Ok(false);
        }
        if self.take_slot(held, &project, wish, &mut state.refusals).await? {
            return Ok(true);
        }
        self.stood_in_line(state, &project);
        Ok(false)
    }

    /// Gives back, once more and for good, slots that were given up while another instance may have been on
    /// its way to them: one that took a slot so late may have died of what made it late.
    pub(super) async fn give_back_late(
        &self,
        held: &Leased,
        state: &mut FolderState,
        waiters: &[Waiter],
    ) -> RoundResult<()> {
        let now = millis(self.core.ports.clock.now());
        let over =
            |state: &FolderState| state.late.iter().find(|(_, at)| now >= **at).map(|(slot, _)| slot.clone());
        while let Some(slot) = over(state) {
            let Some(project) = project_of(held, waiters) else { return Ok(()) };
            self.give_back(&project, &slot).await?;
            state.late.remove(&slot);
        }
        Ok(())
    }

    /// Gives up the slot that the next job waited for or had.
    pub(super) async fn drop_wish(
        &self,
        held: &Leased,
        state: &mut FolderState,
        project: &ProjectId,
    ) -> RoundResult<()> {
        let Some(wish) = &state.wish else { return Ok(()) };
        self.slots.leave(project, &held.lease.key);
        self.give_back(project, &wish.member).await?;
        if wish.inherited || wish.by != self.core.instance.as_str() {
            let until = records::after(self.core.ports.clock.now(), LATE);
            state.late.insert(wish.member.clone(), until);
        }
        state.wish = None;
        Ok(())
    }

    /// Takes the slot of a wish; false when it has to wait, which is noted in it.
    pub(super) async fn take_slot(
        &self,
        held: &Leased,
        project: &ProjectId,
        wish: &mut SlotRequest,
        refusals: &mut u32,
    ) -> RoundResult<bool> {
        held.lease.check()?;
        wish.inherited |= !wish.by.is_empty() && wish.by != self.core.instance.as_str();
        self.core.instance.as_str().clone_into(&mut wish.by);
        let taken = self.try_slot(held, project, wish).await?;
        if taken.is_some() {
            if let Err(halt) = held.lease.check() {
                // This instance stood still and took it late: the next holder has given it up, and none would
                // give it back.
                self.give_back(project, &wish.member).await?;
                return Err(halt);
            }
            wish.taken = taken;
            *refusals = 0;
            self.slots.leave(project, &held.lease.key);
            return Ok(true);
        }
        *refusals += 1;
        signals::engine::no_slot(&held.lease.key.id, i64::from(self.core.settings.jobs.max_running_jobs));
        self.slots.wait(project, &held.lease.key, wish);
        Ok(false)
    }

    async fn try_slot(
        &self,
        held: &Leased,
        project: &ProjectId,
        wish: &mut SlotRequest,
    ) -> RoundResult<Option<SlotClass>> {
        let limit = i64::from(self.core.settings.jobs.max_running_jobs);
        let mut view = if self.slots.was_full(project, self.core.settings.jobs.max_running_jobs as usize) {
            // A write that is refused costs as much as the item is large, and it is large where many roots
            // wait.
            let item = self.core.ports.store.get(&waiter::slots_key(project)).await?;
            self.slots.see(project, item.as_ref())
        } else {
            let unclaimed = include(project, attr::RUNNING, wish, limit, BTreeSet::new())
                .when(Condition::Lacks(attr::WAITING.into()));
            match self.core.ports.store.write(unclaimed).await? {
                Written::Done(item) => {
                    self.slots.see(project, item.as_ref());
                    return Ok(Some(SlotClass::Regular));
                }
                Written::Refused(item) => self.slots.see(project, item.as_ref()),
            }
        };
        // A take whose answer was lost, or whose taker has died.
        if view.running.contains(&wish.member) || view.express.contains(&wish.member) {
            let usual = view.running.contains(&wish.member);
            return Ok(Some(if usual { SlotClass::Regular } else { SlotClass::Express }));
        }
        let now = millis(self.core.ports.clock.now());
        let room = i64::try_from(view.running.len()).is_ok_and(|running| running < limit);
        if !room {
            // The root that is let in first has to have a slot to take.
            wish.yielded = None;
        }
        if room && let Some(done_with) = self.turn(held, project, &view, wish, now) {
            let take = include(project, attr::RUNNING, wish, limit, done_with);
            view = match self.core.ports.store.write(take).await? {
                Written::Done(item) => {
                    self.slots.see(project, item.as_ref());
                    return Ok(Some(SlotClass::Regular));
                }
                Written::Refused(item) => self.slots.see(project, item.as_ref()),
            };
        }
        let express = i64::from(self.core.settings.jobs.express_slots);
        if wish.express && i64::try_from(view.express.len()).is_ok_and(|running| running < express) {
            let take = include(project, attr::EXPRESS, wish, express, BTreeSet::new());
            match self.core.ports.store.write(take).await? {
                Written::Done(item) => {
                    self.slots.see(project, item.as_ref());
                    return Ok(Some(SlotClass::Express));
                }
                Written::Refused(item) => view = self.slots.see(project, item.as_ref()),
            }
        }
        self.queue_up(held, project, &view, wish, now).await?;
        Ok(None)
    }

    /// Whether a free slot is this wish's to take, with the entries that are then dropped from `waiting`;
    /// `None` when a root with fewer running jobs comes first.
    fn turn(
        &self,
        held: &Leased,
        project: &ProjectId,
        view: &View,
        wish: &mut SlotRequest,
        now: i64,
    ) -> Option<BTreeSet<String>> {
        let mine = view.jobs_of(wish.root());
        let contenders = view.contenders(now);
        let further_below_share =
            contenders.into_iter().filter(|(root, jobs)| *root != wish.root() && *jobs < mine);
        let first = further_below_share.min_by_key(|(_, jobs)| *jobs).map(|(root, _)| root);
        let mut done_with = view.stale(now);
        if !self.slots.others_wait(project, &held.lease.key, wish.root()) {
            done_with.extend(view.entries_of(wish.root(), now));
        }
        let Some(first) = first else {
            wish.yielded = None;
            return Some(done_with);
        };
        let taken = view.running.len();
        match wish.yielded {
            // The others have let it pass: the root that was first is gone, or does not want it any more.
            Some((since, before)) if taken <= before => {
                done_with.extend(view.entries_of(first, now));
                (now >= since + as_millis(FAIRNESS_GRACE)).then_some(done_with)
            }
            Some(_) | None => {
                wish.yielded = Some((now, taken));
                None
            }
        }
    }

    /// Notes that this root waits, if that is not known, and when to ask again: soon while few wait or
    /// it has the best claim. A slot that this instance gives back is offered at once.
    async fn queue_up(
        &self,
        held: &Leased,
        project: &ProjectId,
        view: &View,
        wish: &mut SlotRequest,
        now: i64,
    ) -> RoundResult<()> {
        self.queue_seen(project, view);
        let entry = format!("{}@{}", wish.root(), now.div_euclid(REPEAT));
        if !view.waiting.contains(&entry) && view.waiting.len() < MOST_WAITING {
            let wait = Change::Include(attr::WAITING.into(), entry);
            let write = Write::update(waiter::slots_key(project), vec![wait]);
            self.core.ports.store.write(write).await?;
        }
        let (others, next) = self.slots.place(project, &held.lease.key, wish.root());
        let wait = match &wish.yielded {
            Some((since, _)) if *since == now => FAIRNESS_GRACE,
            // A slot is kept free for it only for so long.
            _ if next && view.is_below_fair_share(wish.root()) => SOONEST,
            _ => EACH.saturating_mul(u32::try_from(others).unwrap_or(u32::MAX)).clamp(SOONEST, LATEST),
        };
        wish.try_at = now + as_millis(wait.mul_f64(1.0 + 0.25 * self.core.ports.chance.unit()));
        Ok(())
    }

    /// Gives a slot back, of whichever kind it was, and calls the folder that may have it.
    pub(super) async fn give_back(&self, project: &ProjectId, slot: &str) -> Result<(), Error> {
        let sets = [attr::RUNNING, attr::EXPRESS];
        let free = sets.map(|set| Change::Exclude(set.into(), [slot.to_owned()].into()));
        let written =
            self.core.ports.store.write(Write::update(waiter::slots_key(project), free.into())).await?;
        if let Written::Done(item) = written {
            self.slots.see(project, item.as_ref());
        }
        let limit = self.core.settings.jobs.max_running_jobs as usize;
        if let Some(folder) = self.slots.call(project, limit) {
            self.core.inbox.offer(folder, Priority::Begun);
        }
        Ok(())
    }
}

fn include(
    project: &ProjectId,
    set: &str,
    wish: &SlotRequest,
    limit: i64,
    done_with: BTreeSet<String>,
) -> Write {
    let member = wish.member.clone();
    let mut changes = vec![Change::Include(set.into(), member.clone())];
    if !done_with.is_empty() {
        changes.push(Change::Exclude(attr::WAITING.into(), done_with));
    }
    let room = Condition::Room { set: set.into(), member, limit };
    Write::update(waiter::slots_key(project), changes).when(room)
}
