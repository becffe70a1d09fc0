//! The end of a slice: one row for each object, and the root told.

use super::{ObjectsPlane, object::failed, slice_run::SliceRun, state::SliceState};
use crate::{
    domain::{
        copy_out::SliceRequest,
        ids::RequestId,
        outcome::{Counters, ErrorName, Failure, Outcome},
    },
    engine::{
        concurrent::join_unordered,
        large,
        lease::{Leased, RoundResult},
        records::{self, attr, started_at},
        round::AfterRound,
        tree::turns::is_parked,
    },
    ports::{Error, store::Change},
    signals,
};

/// Uploads aborted at a time.
const WIDTH: usize = 8;

/// How often in a row what a slice has begun may fail to be aborted before that is given up.
const MOST_FAILURES: i64 = 100;

impl ObjectsPlane {
    /// Settles a slice: whatever has no result by now failed for the reason given.
    pub(super) async fn settle_slice(
        &self,
        held: &mut Leased,
        spec: &SliceRequest,
        state: &SliceState,
        failure: Option<Failure>,
    ) -> RoundResult<AfterRound> {
        let undone = failure.as_ref().map_or("it was not tried", |failure| failure.message.as_str());
        let objects: Vec<_> = (0..spec.items.len())
            .map(|index| state.done.get(&index).cloned().unwrap_or_else(|| failed(undone.to_owned())))
            .collect();
        let mut counters = Counters::default();
        for (item, object) in spec.items.iter().zip(&objects) {
            object.count(item, &mut counters);
        }
        let outcome = Outcome {
            failure,
            counters,
            objects,
            ..Outcome::between(started_at(&held.item), self.core.ports.clock.now())
        };
        let root = RequestId::new(held.item.text(attr::ROOT).unwrap_or_default());
        let mut tally = records::tally(&outcome.counters, None);
        let mut changes = large::removal(attr::STATE).to_vec();
        if is_parked(&held.item) {
            // Of a list that goes on, the queue is left first: what is settled takes no turn.
            if outcome.failure.as_ref().is_none_or(|failure| failure.error != ErrorName::Cancelled) {
                self.core.leave_queue(&root, spec.number).await?;
            }
            tally.push(Change::Add(attr::PARKED.to_owned(), -1));
            changes.push(Change::Remove(attr::PARKED.to_owned()));
        }
        self.core.settle_as(held, &root, &outcome, changes, tally).await
    }

    /// Settles a slice whose root was stopped. What it has begun is aborted first.
    pub(super) async fn stop_slice(
        &self,
        held: &mut Leased,
        spec: &SliceRequest,
        state: SliceState,
        why: Failure,
    ) -> RoundResult<AfterRound> {
        // With pauses of `retry_cap` between, some hours: an upload that was begun costs room, but no request
        // waits for it.
        let gives_up = held.item.number(attr::FAILURES).unwrap_or(0) >= MOST_FAILURES;
        let slice_run = SliceRun::new(self, held, spec, state);
        for (index, aborted) in slice_run.discard_all().await? {
            match aborted {
                Err(error) if error.is_passing() && !gives_up => return Err(error.into()),
                Err(error) => slice_run.upload_left(index, &error),
                Ok(()) => {}
            }
        }
        let state = slice_run.into_state();
        let failure = Failure::new(ErrorName::Cancelled, why.message);
        self.settle_slice(held, spec, &state, Some(failure)).await
    }

    /// Settles a slice that broke every process that worked on it. What it has begun is aborted.
    pub(crate) async fn give_up_slice(&self, held: &mut Leased, failure: Failure) -> RoundResult<AfterRound> {
        let spec: SliceRequest = self.core.read_document(&held.item, attr::SPEC).await?;
        let state: SliceState = self.core.document_or_default(&held.item, attr::STATE).await?;
        let slice_run = SliceRun::new(self, held, &spec, state);
        for (index, aborted) in slice_run.discard_all().await? {
            if let Err(error) = aborted {
                slice_run.upload_left(index, &error);
            }
        }
        let state = slice_run.into_state();
        self.settle_slice(held, &spec, &state, Some(failure)).await
    }
}

impl SliceRun<'_> {
    /// Aborts all that was begun and has not ended.
    async fn discard_all(&self) -> RoundResult<Vec<(usize, Result<(), Error>)>> {
        let begun: Vec<usize> = self.read(|state| state.uploads.keys().copied().collect());
        let mut aborted = Vec::with_capacity(begun.len());
        for chunk in begun.chunks(WIDTH) {
            self.lease.check()?;
            let each = chunk.iter().map(|index| async move { (*index, self.discard(*index).await) });
            aborted.extend(join_unordered(WIDTH, each).await);
        }
        Ok(aborted)
    }

    fn upload_left(&self, index: usize, error: &Error) {
        let key = self.spec.items.get(index).map_or("", |item| item.to.as_str());
        signals::slice::upload_left(&key, error);
    }
}
