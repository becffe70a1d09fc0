//! Whether a list that shows no sign of life is to end as `Stalled`, as other requests do: its slices are woken, and only when each has completed a round since, and there is
//! still no sign, nothing moves.

use std::time::Duration;

use super::children::{Common, slice_id};
use crate::{
    domain::{
        friendly,
        outcome::{Culprit, ErrorName, Failure},
    },
    engine::{
        core::Core,
        dispatch::Lane,
        evidence::Party,
        lease::{Held, Step, id_of},
        records::{self, Phase, RootState, attr, millis, started_at},
        round::{Next, trouble_of},
        several::several,
    },
    ports::store::Item,
    signals,
};

/// What a look has brought to light is written down within that many ticks.
pub(crate) const TICKS: u32 = 4;

/// The shortest wait between two judgements.
pub(crate) const AT_LEAST: Duration = Duration::from_secs(10);

/// What is known about a root without a sign of life.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// It does not move.
    Stalled(Failure),
    /// Not known yet; to be asked again then, milliseconds since 1970.
    Open(i64),
}

/// Slices woken at a time.
const WIDTH: usize = 16;

/// What has become of the slices.
#[derive(Debug)]
pub(crate) enum Driven {
    /// They are at work, or wait.
    On(Next),
    /// Nothing moves: the root is to end without them.
    Stalled(Failure),
    /// All have settled.
    Settled,
}

/// Slices looked at together.
const BLOCK: usize = 100;

/// The slices that were put and have not settled.
#[derive(Debug, Default)]
struct Open {
    count: u64,
    /// Those that have not completed a round since.
    unlooked: u64,
    waits_for_a_place: bool,
    culprits: Vec<Culprit>,
}

impl Open {
    /// The failure of a list of which nothing has moved for that long.
    fn stalled(self, silence: Duration, state: &RootState) -> Failure {
        let silence = friendly::print(silence);
        let message =
            format!("nothing has moved for {silence} in {} of {} slices", self.count, state.children);
        Failure::new(ErrorName::Stalled, message).naming(self.culprits)
    }
}

impl Core {
    /// Judges a list by its signs; what is known of a silence is noted in `state`.
    pub(crate) async fn watch_slices(
        &self,
        held: &Held,
        state: &mut RootState,
        common: &Common,
        tallies: &[Item],
    ) -> Step<Judgement> {
        let made = Some(millis(started_at(&held.item)));
        let signs = self.signs(id_of(held).as_str(), tallies, made);
        if self.is_alive(&signs) {
            (state.look_since, state.looked_at) = (0, 0);
            return Ok(Judgement::Open(i64::MAX));
        }
        let clock = self.ports.clock.now();
        let now = millis(clock);
        let first = state.look_since == 0;
        if first {
            state.look_since = now;
        }
        let open = self.open_slices(held, state, common, first).await?;
        if first {
            signals::engine::silent(id_of(held).as_str(), usize::try_from(open.count).unwrap_or(usize::MAX));
            return Ok(Judgement::Open(records::after(clock, AT_LEAST)));
        }
        if open.waits_for_a_place {
            self.moved(&[Party::of(&held.item)]);
        }
        // A list of which all slices have settled is about to end by itself.
        if (open.count > 0 || state.spread < state.children) && open.unlooked == 0 {
            if state.looked_at == 0 {
                state.looked_at = now;
            }
            let told_at =
                state.looked_at.saturating_add(records::as_millis(self.settings.service.tick * TICKS));
            if now < told_at {
                return Ok(Judgement::Open(told_at));
            }
            let silence = self.settings.heartbeat.stalled_after;
            return Ok(Judgement::Stalled(open.stalled(silence, state)));
        }
        let ends_at = self.silence_ends(&signs, state.look_since);
        if now >= ends_at {
            let silence = self.settings.heartbeat.outage_after;
            let mut failure = open.stalled(silence, state);
            failure.message.push_str(", and they cannot be looked at");
            return Ok(Judgement::Stalled(failure));
        }
        // Seldom when it takes long: whoever cannot look now may not be able to for hours.
        let waited = Duration::from_millis(u64::try_from(now - state.look_since).unwrap_or(0));
        let wait = (waited / 2).clamp(AT_LEAST, self.settings.heartbeat.every().max(AT_LEAST));
        Ok(Judgement::Open(records::after(clock, wait).min(ends_at)))
    }

    async fn open_slices(&self, held: &Held, state: &RootState, common: &Common, wakes: bool) -> Step<Open> {
        let mut seen = Open::default();
        let root = id_of(held);
        let id = |number| slice_id(&root, state.generation, &common.bucket, number);
        for first in (0..state.spread).step_by(BLOCK) {
            let numbers = (first..state.spread).take(BLOCK);
            let keys: Vec<_> = numbers.map(|number| records::request_key(&id(number))).collect();
            let items = self.ports.store.get_many(&keys).await?;
            let open: Vec<_> =
                items.into_iter().filter(|item| Phase::of(item) != Some(Phase::Settled)).collect();
            for item in &open {
                seen.count += 1;
                let looked_at = item.number(attr::LOOKED_AT).unwrap_or(0);
                seen.unlooked += u64::from(looked_at < state.look_since);
                seen.waits_for_a_place |= self.waits_for_a_place(item);
                if seen.culprits.len() < Failure::MOST_CULPRITS {
                    let why = trouble_of(item).or_else(|| item.text(attr::WAITS_FOR));
                    let why = why.unwrap_or("nothing is known of it").to_owned();
                    seen.culprits.push(Culprit { what: item.key.id.clone(), why });
                }
            }
            if wakes {
                let woken = open.iter().map(|item| self.wake(item.key.clone(), Lane::Begun));
                for woken in several(WIDTH, woken).await {
                    woken?;
                }
            }
            held.lease.check()?;
        }
        Ok(seen)
    }
}
