//! The slice reconciler: brings some of the objects of a list into one bucket.
//!
//! The two ends decide: each object is looked at, and copied unless the destination has its equal. The state
//! only remembers what a look cannot show: results, uploads begun, restores asked for. So it is stored when
//! one of these must survive, and else only every few seconds: a slice of small objects is taken and settled,
//! and nothing between.
//!
//! The failure of an object stands in its own row of the outcome and in no other. A failure that passes is
//! tried again, and counts as a try only if both ends have answered something meanwhile: an S3 that is away
//! altogether ends the round as an error, and is waited for like any other port.

pub(crate) mod access;
mod charge;
pub(crate) mod compare;
pub(crate) mod conflict;
mod inside;
mod listing_cache;
mod object;
mod parts;
mod refusals;
mod settle;
mod slice_run;
mod state;
mod stream;
mod thaw;
mod turn;
mod work;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use self::{access::Keys, listing_cache::ListingCache, slice_run::SliceRun, state::SliceState, work::Left};
use crate::{
    domain::{copy_out::SliceRequest, ids::RequestId, outcome::Failure},
    engine::{
        core::Core,
        kind::Plane,
        lease::{Leased, RoundError, RoundResult},
        records::{Phase, attr, millis, set},
        round::AfterRound,
    },
    policy::limit::Limits,
};

/// Brings objects into buckets.
#[derive(Debug)]
pub struct ObjectsPlane {
    core: Arc<Core>,
    /// How many calls buckets take.
    limits: Limits,
    pub(crate) keys: Keys,
    listing_cache: ListingCache,
}

impl ObjectsPlane {
    /// The plane of one instance.
    #[must_use]
    pub fn new(core: Arc<Core>) -> Arc<Self> {
        Arc::new(Self {
            limits: Limits::new(core.settings.copy_out.max_concurrency),
            core,
            keys: Keys::default(),
            listing_cache: ListingCache::default(),
        })
    }
}

#[async_trait]
impl Plane for ObjectsPlane {
    fn name(&self) -> &'static str {
        "slice"
    }

    async fn reconcile(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        self.slice_round(held).await
    }

    async fn give_up(&self, held: &mut Leased, why: Failure) -> RoundResult<AfterRound> {
        self.give_up_slice(held, why).await
    }
}

impl ObjectsPlane {
    /// One round of a slice: works on its objects until all have ended, or those that are left wait for
    /// a time that is not near.
    pub(crate) async fn slice_round(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        if Phase::of(&held.item) == Some(Phase::Settled) {
            return Ok(AfterRound::Settled { changes: Vec::new() });
        }
        let root = RequestId::new(held.item.text(attr::ROOT).unwrap_or_default());
        let spec: SliceRequest = self.core.read_document(&held.item, attr::SPEC).await?;
        let mut state: SliceState = self.core.document_or_default(&held.item, attr::STATE).await?;
        let began = millis(self.core.ports.clock.now());
        // A run that was not given back, or ended in an error, may have copied objects and begun uploads of
        // which the state says nothing.
        let number = |name: &str| held.item.number(name).unwrap_or(0);
        let interrupted = number(attr::STARTS) > 1 || number(attr::FAILURES) > 0;
        let news = interrupted && !state.interrupted;
        state.interrupted |= interrupted;
        if let Some(why) = self.core.stop_of(&root).await? {
            return self.stop_slice(held, &spec, state, why).await;
        }
        let turn = self.join_in(held, &root, &spec, &mut state).await?;
        let slice_run = SliceRun::new(self, held, &spec, state);
        if news {
            slice_run.change(|_| ());
        }
        let left = Box::pin(slice_run.work(&root)).await;
        match left {
            Ok(Left::Nothing) => {
                let state = slice_run.into_state();
                self.settle_slice(held, &spec, &state, None).await
            }
            Ok(Left::Stopped(why)) => {
                let state = slice_run.into_state();
                self.stop_slice(held, &spec, state, why).await
            }
            Ok(Left::Waits(due_at)) => {
                if let Err(halt) = self.wait_in_turn(&root, &slice_run, turn).await {
                    if matches!(halt, RoundError::Port(_)) {
                        drop(slice_run.store().await);
                    }
                    return Err(halt);
                }
                let mut changes = slice_run.unstored().await?;
                changes.extend([set(attr::LOOKED_AT, began), set(attr::WAITS_FOR, slice_run.waits_for())]);
                Ok(AfterRound::Due { changes, due_at })
            }
            Err(RoundError::Stopping) => {
                let due_at = millis(self.core.ports.clock.now());
                Ok(AfterRound::Due { changes: slice_run.unstored().await?, due_at })
            }
            Err(RoundError::Port(error)) => {
                // Results must not be lost to an error of something else.
                drop(slice_run.store().await);
                Err(RoundError::Port(error))
            }
            Err(RoundError::Lost) => Err(RoundError::Lost),
        }
    }
}

/// How long a round waits for an object that will soon be tried again.
const NEAR: Duration = Duration::from_secs(30);
