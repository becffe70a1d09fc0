//! The end of a slice: one row for each object, and the root told.

use std::collections::BTreeSet;

use super::{PARKED, desk::Desk, object::failed, state::SliceState};
use crate::{
    domain::{
        copy_out::SliceRequest,
        ids::RequestId,
        outcome::{Counters, ErrorName, Failure, Outcome},
    },
    engine::{
        Engine, large,
        lease::{Held, Step},
        records::{self, attr},
        request::started_at,
        round::Next,
    },
    ports::store::Change,
    signals,
};

impl Engine {
    /// Settles a slice: whatever has no result by now failed for the reason given.
    pub(super) async fn settle_slice(
        &self,
        held: &mut Held,
        spec: &SliceRequest,
        state: &SliceState,
        failure: Option<Failure>,
    ) -> Step<Next> {
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
            ..Outcome::between(started_at(&held.item), self.ports.clock.now())
        };
        let root = RequestId::new(held.item.text(attr::ROOT).unwrap_or_default());
        let mut tally = records::tally(&outcome.counters);
        tally.push(Change::Exclude(PARKED.to_owned(), BTreeSet::from([spec.number.to_string()])));
        let changes = large::removal(attr::STATE).to_vec();
        self.settle_as(held, &root, &outcome, changes, tally).await
    }

    /// Settles a slice whose root was stopped. What it has begun is aborted first.
    pub(super) async fn stop_slice(
        &self,
        held: &mut Held,
        spec: &SliceRequest,
        state: SliceState,
        why: Failure,
    ) -> Step<Next> {
        let desk = Desk::new(self, held, spec, state);
        let begun = desk.read(|state| {
            let mut begun: BTreeSet<usize> = state.uploads.keys().copied().collect();
            begun.extend(&state.doubtful);
            begun
        });
        for index in begun {
            desk.lease.check()?;
            match desk.discard(index).await {
                Err(error) if error.is_passing() => return Err(error.into()),
                Err(error) => signals::slice::upload_left(&desk.lease.key, &error),
                Ok(()) => {}
            }
        }
        let state = desk.into_state();
        let failure = Failure::new(ErrorName::Cancelled, why.message);
        self.settle_slice(held, spec, &state, Some(failure)).await
    }

    /// Settles a slice that broke every process that worked on it. What it has begun is aborted.
    pub(crate) async fn give_up_slice(&self, held: &mut Held, failure: Failure) -> Step<Next> {
        let spec: SliceRequest = self.read_document(&held.item, attr::SPEC).await?;
        let state: SliceState = self.document_or_default(&held.item, attr::STATE).await?;
        let desk = Desk::new(self, held, &spec, state);
        let begun: Vec<_> = desk.read(|state| state.uploads.keys().copied().collect());
        for index in begun {
            if let Err(error) = desk.discard(index).await {
                signals::slice::upload_left(&desk.lease.key, &error);
            }
        }
        let state = desk.into_state();
        self.settle_slice(held, &spec, &state, Some(failure)).await
    }
}
