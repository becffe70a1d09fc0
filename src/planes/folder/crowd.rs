//! The waiters of a folder: read, served some at a time, marked when first seen, and told.
//!
//! Thousands of children may wait for one folder. What is known of each is stored with its waiter, and not in
//! the folder's own record, which would have no room for all; and a round works for no more than
//! `service.max_waiters` of them, those that were seen first.

use super::{
    FolderPlane,
    place::project_of,
    state::{Before, FolderState},
    waiter::{self, Waiter},
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{Failure, Outcome},
    },
    engine::{
        concurrent::join_unordered,
        lease::{Leased, RoundResult},
        liveness::RootRef,
        records::{self, attr, millis, set},
    },
    ports::{
        Error,
        store::{Condition, Item, Key, Write},
    },
};

/// Waiters that are read or marked at a time.
const WIDTH: usize = 16;

/// Waiters that are told with one call; three records each, of which a transaction may hold 100 (DynamoDB), and
/// of which one may have 350 KB where 4 MB are the most.
const TOGETHER: usize = 10;

impl FolderPlane {
    /// The waiters that are served now: those that were seen before, and then the oldest of the others.
    pub(super) async fn waiters(&self, held: &Leased, state: &mut FolderState) -> Result<Vec<Waiter>, Error> {
        let mut items = self.core.ports.store.query(&held.lease.key.id, waiter::WAITER).await?;
        for item in items.iter().filter(|item| item.text(attr::SEEN).is_some()) {
            let request = request_of(item).to_owned();
            let before: Before = records::document(item, attr::SEEN)?;
            state.seen.entry(request.clone()).or_insert(before);
            state.marked.insert(request);
        }
        let order = |item: &Item| (!state.seen.contains_key(request_of(item)), item.number(attr::CREATED_AT));
        items.sort_by_cached_key(|item| (order(item), item.key.id_type.clone()));
        let later = items.split_off(items.len().min(self.core.settings.service.max_waiters));
        state.crowd = root_refs(&later);
        state.unserved = later.len();
        let reads = items.iter().map(|item| async move {
            Ok::<_, Error>(Waiter::read(item, self.core.read_document(item, attr::SPEC).await?))
        });
        let waiters: Result<Vec<_>, _> = join_unordered(WIDTH, reads).await.into_iter().collect();
        let mut waiters = waiters?;
        // First come, first served, where two want the same name.
        waiters.sort_by(|a, b| (a.since, &a.request).cmp(&(b.since, &b.request)));
        // Waiters that stand in line move as those do that are served.
        let moved = self.core.liveness.last_moved(&waiter::root_refs(&waiters));
        self.core.liveness.record_progress(&state.crowd, moved);
        Ok(waiters)
    }

    /// Stores what each waiter that is seen for the first time has found there.
    pub(super) async fn mark_seen(&self, held: &Leased, state: &mut FolderState) -> RoundResult<()> {
        let new = state.seen.iter().filter(|(request, _)| !state.marked.contains(*request));
        let new: Vec<(String, Before)> = new.map(|(request, before)| (request.clone(), *before)).collect();
        if new.is_empty() {
            return Ok(());
        }
        held.lease.check()?;
        let marks = new.iter().map(|(request, before)| async move {
            let key = Key::new(held.lease.key.id.as_str(), format!("{}{request}", waiter::WAITER));
            let mark = Write::update(key, vec![set(attr::SEEN, records::text(before)?)]);
            // Once, and not for a waiter that is gone.
            let mark =
                mark.when(Condition::Has(attr::CREATED_AT.into())).when(Condition::Lacks(attr::SEEN.into()));
            self.core.ports.store.write(mark).await
        });
        let marked: Result<Vec<_>, Error> = join_unordered(WIDTH, marks).await.into_iter().collect();
        marked?;
        state.marked.extend(new.into_iter().map(|(request, _)| request));
        Ok(())
    }

    /// Gives waiters their outcomes.
    pub(super) async fn tell_waiters(
        &self,
        held: &Leased,
        state: &mut FolderState,
        outcomes: Vec<(&Waiter, Outcome)>,
    ) -> RoundResult<()> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let mut failed = None;
        for some in outcomes.chunks(TOGETHER) {
            // One after another: two transactions of one record would be in each other's way.
            let told = self.tell_together(held, some).await;
            match told {
                Ok(()) => {
                    for (waiter, _) in some {
                        state.seen.remove(waiter.request.as_str());
                        state.moved = true;
                    }
                }
                Err(halt) => failed = Some(halt),
            }
        }
        self.core.record_progress(&state.crowd);
        failed.map_or(Ok(()), Err)
    }

    /// Fails all waiters.
    pub(super) async fn fail_waiters(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        failure: &Failure,
    ) -> RoundResult<()> {
        loop {
            let waiters = self.waiters(held, state).await?;
            if waiters.is_empty() {
                break;
            }
            let outcomes =
                waiters.iter().map(|waiter| (waiter, self.failed(waiter, state, failure.clone()))).collect();
            self.tell_waiters(held, state, outcomes).await?;
        }
        if let Some(project) = project_of(held, &[]) {
            self.drop_wish(held, state, &project).await?;
        }
        state.forget_all_but(&[], millis(self.core.ports.clock.now()));
        Ok(())
    }
}

fn request_of(waiter: &Item) -> &str {
    waiter.key.id_type.strip_prefix(waiter::WAITER).unwrap_or_default()
}

/// The roots of the waiters whose turn has not come.
fn root_refs(items: &[Item]) -> Vec<RootRef> {
    let mut root_refs: Vec<_> = items
        .iter()
        .map(|item| RootRef {
            root: RequestId::new(item.text(attr::ROOT).unwrap_or_default()),
            since: item.number(attr::CREATED_AT).unwrap_or(0),
        })
        .collect();
    root_refs.sort_by(|a, b| (&a.root, a.since).cmp(&(&b.root, b.since)));
    root_refs.dedup_by(|later, first| later.root == first.root);
    root_refs
}
