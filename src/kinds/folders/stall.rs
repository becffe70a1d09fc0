//! Whether a request that shows no sign of life is to end as `Stalled`.
//!
//! Silence alone proves nothing: it has its children woken, and their folders look at their
//! destinations. Only when each has completed a look since, and there is still no sign, nothing
//! moves. A look that cannot be completed, in an outage for example, decides nothing; but when nothing has
//! moved for as long as an outage is believed in (`heartbeat.outage_after`), the request ends all the same,
//! with the error that kept its folders from looking.

use std::{collections::BTreeMap, time::Duration};

use super::Folders;
use crate::{
    domain::{
        friendly,
        ids::FolderId,
        outcome::{Culprit, ErrorName, Failure},
        request::FolderRequest,
    },
    engine::{
        dispatch::Lane,
        evidence::{Party, Signs},
        lease::{Held, Step, id_of},
        records::{self, RootState, attr, millis},
        round::trouble_of,
        several::several,
        tree::stall::{AT_LEAST, Judgement, TICKS},
    },
    planes::folder::waiter,
    ports::store::{Item, Key},
    signals,
};

/// Children woken at a time.
const WIDTH: usize = 16;

impl Folders {
    /// Judges a root that shows no sign of life; the first time, it only has a look begun.
    pub(crate) async fn judge_silence(
        &self,
        held: &Held,
        state: &mut RootState,
        signs: &Signs,
    ) -> Step<Judgement> {
        let id = id_of(held);
        let now = millis(self.core.ports.clock.now());
        let open = self.open_children(held).await?;
        if state.look_since == 0 {
            state.look_since = now;
            signals::engine::silent(id.as_str(), open.len());
            // They wake their folders.
            let children = open.iter().map(|(child, _)| self.core.wake(child.key.clone(), Lane::Begun));
            for woken in several(WIDTH, children).await {
                woken?;
            }
            return Ok(Judgement::Open(records::after(self.core.ports.clock.now(), AT_LEAST)));
        }
        let folders = self.folders_of(&open).await?;
        if open
            .iter()
            .map(|(child, _)| child)
            .chain(folders.values())
            .any(|item| self.core.waits_for_a_place(item))
        {
            self.core.moved(&[Party { root: id, since: millis(records::started_at(&held.item)) }]);
        }
        let looked = |(_, spec): &(Item, FolderRequest)| {
            let folder = folders.get(&FolderId::of(&spec.project, spec.path.as_str()).to_string());
            folder.and_then(|folder| folder.number(attr::LOOKED_AT)).is_some_and(|at| at >= state.look_since)
        };
        // A root without open children is about to end by itself.
        if !open.is_empty() && open.iter().all(looked) {
            let told = records::as_millis(self.core.settings.service.tick * TICKS);
            if state.looked_at == 0 {
                state.looked_at = now;
            }
            let told_at = state.looked_at.saturating_add(told);
            if now < told_at {
                return Ok(Judgement::Open(told_at));
            }
            let silence = self.core.settings.heartbeat.stalled_after;
            return Ok(Judgement::Stalled(stalled(silence, None, state, &open, &folders)));
        }
        let ends_at = self.core.silence_ends(signs, state.look_since);
        if now >= ends_at {
            let silence = self.core.settings.heartbeat.outage_after;
            let trouble = folders.values().chain(open.iter().map(|(child, _)| child)).find_map(trouble_of);
            let trouble = trouble.unwrap_or("nobody has looked at its folders");
            return Ok(Judgement::Stalled(stalled(silence, Some(trouble), state, &open, &folders)));
        }
        // Seldom when it takes long: whoever cannot look now may not be able to for hours.
        let waited = Duration::from_millis(u64::try_from(now - state.look_since).unwrap_or(0));
        let wait = (waited / 2).clamp(AT_LEAST, self.core.settings.heartbeat.every().max(AT_LEAST));
        Ok(Judgement::Open(records::after(self.core.ports.clock.now(), wait).min(ends_at)))
    }

    async fn folders_of(&self, open: &[(Item, FolderRequest)]) -> Step<BTreeMap<String, Item>> {
        let keys: std::collections::BTreeSet<Key> = open
            .iter()
            .map(|(_, spec)| waiter::folder_key(&FolderId::of(&spec.project, spec.path.as_str())))
            .collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let items = self.core.ports.store.get_many(&keys).await?;
        Ok(items.into_iter().map(|item| (item.key.id.clone(), item)).collect())
    }
}

/// The failure of a root of which nothing has moved for that long, and what kept it from being looked
/// at, if anything did.
fn stalled(
    silence: Duration,
    trouble: Option<&str>,
    state: &RootState,
    open: &[(Item, FolderRequest)],
    folders: &BTreeMap<String, Item>,
) -> Failure {
    let culprits = open.iter().map(|(child, spec)| {
        let folder = folders.get(&FolderId::of(&spec.project, spec.path.as_str()).to_string());
        let why = folder.and_then(|folder| trouble_of(folder).or_else(|| folder.text(attr::WAITS_FOR)));
        let why = why.unwrap_or("nothing moves there");
        let what = child.text(attr::DESTINATION).unwrap_or_default();
        Culprit { what: what.to_owned(), why: why.to_owned() }
    });
    let silence = friendly::print(silence);
    let mut message =
        format!("nothing has moved for {silence} in {} of {} folders", open.len(), state.children);
    if let Some(trouble) = trouble {
        message.push_str(", and they cannot be looked at: ");
        message.push_str(trouble);
    }
    Failure::new(ErrorName::Stalled, message).naming(culprits)
}
