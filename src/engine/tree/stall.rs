//! Whether a root that shows no sign of life is to end as `Stalled`.
//!
//! Silence alone proves nothing: it has the children woken. Only when for each a look has been completed
//! since, and there is still no sign, nothing moves. A look that cannot be completed, in an outage for
//! example, decides nothing; but when nothing has moved for as long as an outage is believed in
//! (`heartbeat.outage_after`), the root ends all the same, with the error that kept its children from being
//! looked at.

use std::time::Duration;

use super::{Observed, Tree, Window};
use crate::{
    domain::{
        duration_text,
        outcome::{Culprit, ErrorName, Failure},
    },
    engine::{
        core::Core,
        lease::{Leased, RoundResult, id_of},
        liveness::RootRef,
        records::{self, RootState, millis, started_at},
    },
    ports::store::Item,
    signals,
};

/// The signs that a look has found are written down within that many ticks.
const TICKS: u32 = 4;

/// The shortest wait between two judgements.
const AT_LEAST: Duration = Duration::from_secs(10);

/// The judgement on a root without a sign of life.
#[derive(Debug)]
pub(super) enum Judgement {
    /// It does not move.
    Stalled(Failure),
    /// Not known yet; to be asked again then, milliseconds since 1970.
    Open(i64),
}

/// The children that were put and have not settled.
#[derive(Debug, Default)]
struct Open {
    count: u64,
    /// Those that no holder has looked at since.
    unlooked: u64,
    waits_for_a_place: bool,
    culprits: Vec<Culprit>,
    trouble: Option<String>,
}

impl Open {
    fn take(&mut self, seen: Observed, look_since: i64) {
        self.unlooked += u64::from(seen.looked_at < look_since);
        self.waits_for_a_place |= seen.waits_for_a_place;
        self.trouble = self.trouble.take().or(seen.trouble);
        if self.culprits.len() < Failure::MOST_CULPRITS {
            self.culprits.push(Culprit { what: seen.what, why: seen.why });
        }
    }

    /// The failure of a root of which nothing has moved for that long.
    fn stalled(self, silence: Duration, state: &RootState, tree: &dyn Tree, more: &str) -> Judgement {
        let (count, total, noun) = (self.count, state.children, tree.noun());
        let silence = duration_text::print(silence);
        let message = format!("nothing has moved for {silence} in {count} of {total} {noun}{more}");
        let mut failure = Failure::new(ErrorName::Stalled, message).naming(self.culprits);
        failure.culprits_total = count;
        Judgement::Stalled(failure)
    }
}

impl Core {
    /// Judges a root by its signs; the first time that there are none, it only has a look begun. The times of
    /// a silence are noted in `state`.
    pub(super) async fn judge(
        &self,
        held: &Leased,
        state: &mut RootState,
        tree: &dyn Tree,
        tallies: &[Item],
    ) -> RoundResult<Judgement> {
        let made_at = millis(started_at(&held.item));
        let signs = self.signs(id_of(held).as_str(), tallies, Some(made_at));
        let seen_at = millis(self.ports.clock.now());
        signals::ages::request_seen(seen_at - made_at, seen_at - signs.moved.unwrap_or(made_at));
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
        let open = self.open_children(held, state, tree, first).await?;
        if first {
            signals::engine::silent(id_of(held).as_str(), usize::try_from(open.count).unwrap_or(usize::MAX));
            return Ok(Judgement::Open(records::after(clock, AT_LEAST)));
        }
        if open.waits_for_a_place {
            self.record_progress(&[RootRef::of(&held.item)]);
        }
        // A root all of whose children have settled is about to go on by itself.
        let is_full = tree.window() != Window::All && state.spread < state.children;
        if (open.count > 0 || is_full) && open.unlooked == 0 {
            if state.looked_at == 0 {
                state.looked_at = now;
            }
            let told_at =
                state.looked_at.saturating_add(records::as_millis(self.settings.service.tick * TICKS));
            if now < told_at {
                return Ok(Judgement::Open(told_at));
            }
            return Ok(open.stalled(self.settings.heartbeat.stalled_after, state, tree, ""));
        }
        let ends_at = self.silence_ends(&signs, state.look_since);
        if now >= ends_at {
            let trouble = open.trouble.as_deref().or(tree.unlooked());
            let trouble = trouble.map(|trouble| format!(": {trouble}")).unwrap_or_default();
            let more = format!(", and they cannot be looked at{trouble}");
            return Ok(open.stalled(self.settings.heartbeat.outage_after, state, tree, &more));
        }
        // Seldom when it takes long: a holder that cannot look now may not be able to for hours.
        let waited = Duration::from_millis(u64::try_from(now - state.look_since).unwrap_or(0));
        let wait = (waited / 2).clamp(AT_LEAST, self.settings.heartbeat.every().max(AT_LEAST));
        Ok(Judgement::Open(records::after(clock, wait).min(ends_at)))
    }

    /// Looks at the children that have not settled, or wakes them when a look begins.
    async fn open_children(
        &self,
        held: &Leased,
        state: &RootState,
        tree: &dyn Tree,
        wakes: bool,
    ) -> RoundResult<Open> {
        let mut seen = Open::default();
        let roster = tree.roster(held, state).await?;
        for ids in roster.blocks() {
            let keys: Vec<_> = ids.iter().map(records::request_key).collect();
            let open = self.open_among(&keys).await?;
            seen.count += open.len() as u64;
            if wakes {
                self.wake_children(&open).await?;
            } else {
                for child in tree.observe(self, held, &open).await? {
                    seen.take(child, state.look_since);
                }
            }
            held.lease.check()?;
        }
        Ok(seen)
    }
}
