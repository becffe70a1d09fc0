//! The table reconciler: brings one table of a replica up to date.
//!
//! The replica decides: what it says of a table's time is what is asked for from then on, and what it says of parts
//! that are loaded is not loaded again. The state only remembers what a look cannot show: the job that answers, and
//! what has gone wrong.
//!
//! A job that is waited for takes neither a session nor a file. Loading takes one of each, and goes on in one round,
//! however long: what arrives is a sign of life.

mod ask;
mod audit;
mod behind;
mod flow;
mod judge;
mod load;
mod parts;
mod shape;
mod state;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use self::{
    judge::{Halt, Step},
    state::{Done, TableState},
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{Counters, ErrorName, Failure, Outcome},
        replica::{
            order::TableOrder,
            run::{TableResult, TableState as Stands},
            settings::CanvasSettings,
        },
    },
    engine::{
        core::Core,
        kind::Plane,
        lease::{Leased, RoundError, RoundResult},
        liveness::RootRef,
        records::{self, Phase, attr, millis, set, started_at},
        round::AfterRound,
    },
    ports::{
        messages::Messages,
        replica::{Replica, Trouble},
        source::Source,
        store::Change,
    },
    signals,
};

/// The name of the plane.
pub(crate) const NAME: &str = "table";

/// A replica that is kept here.
#[derive(Debug, Clone)]
pub struct Replicated {
    /// How.
    pub settings: Arc<CanvasSettings>,
    /// Of what.
    pub source: Arc<dyn Source>,
    /// Where.
    pub replica: Arc<dyn Replica>,
    /// Who is told.
    pub messages: Arc<dyn Messages>,
}

/// Brings tables up to date.
#[derive(Debug)]
pub struct TablePlane {
    core: Arc<Core>,
    /// Each with the room that its loaders have on this instance.
    replicated: Vec<(Replicated, Room)>,
}

/// What loaders share.
#[derive(Debug)]
struct Room {
    /// One permit per session.
    sessions: Semaphore,
    /// One permit per file that is read.
    files: Arc<Semaphore>,
}

impl TablePlane {
    /// The plane of one instance.
    #[must_use]
    pub fn new(core: Arc<Core>, replicated: &[Replicated]) -> Arc<Self> {
        let room = |settings: &CanvasSettings| Room {
            sessions: Semaphore::new(settings.connections.max(1)),
            files: Arc::new(Semaphore::new(settings.files_at_once.max(1))),
        };
        let replicated = replicated.iter().map(|of| (of.clone(), room(&of.settings))).collect();
        Arc::new(Self { core, replicated })
    }
}

#[async_trait]
impl Plane for TablePlane {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, held: &mut Leased) -> RoundResult<AfterRound> {
        if Phase::of(&held.item) == Some(Phase::Settled) {
            return Ok(AfterRound::Settled { changes: Vec::new() });
        }
        let root = RequestId::new(held.item.text(attr::ROOT).unwrap_or_default());
        let order: TableOrder = self.core.read_document(&held.item, attr::SPEC).await?;
        let state: TableState = self.core.document_or_default(&held.item, attr::STATE).await?;
        let table = order.table.table.clone();
        let stopped = self.core.stop_of(&root).await?;
        let found = self.replicated.iter().find(|(of, _)| of.settings.instance == order.instance);
        let Some((of, permits)) = found else {
            if let Some(why) = stopped {
                let result = state.done.result(&table, Stands::Failed, Some(why.message.clone()));
                return self.settle(held, &root, &result, Some(why)).await;
            }
            let why = format!("there are no settings of an instance `{}` here", order.instance);
            return self.settle(held, &root, &TableResult::failed(table, why), None).await;
        };
        let root_refs = [RootRef::of(&held.item)];
        let mut run =
            TableRun { plane: self, of, permits, root: &root, order: &order, state, held, root_refs };
        if let Some(why) = stopped {
            run.forget_audit().await;
            let result = run.state.done.result(&table, Stands::Failed, Some(why.message.clone()));
            return self.settle(run.held, &root, &result, Some(why)).await;
        }
        let step = Box::pin(run.work()).await?;
        let (state, held) = (run.state, run.held);
        match step {
            Step::On => Ok(AfterRound::at(millis(self.core.ports.clock.now()))),
            Step::Done(result) => self.settle(held, &root, &result, None).await,
            Step::Wait { due_at, why } => {
                let mut changes = self.state_changes(held, &state).await?;
                changes.extend([
                    set(attr::LOOKED_AT, millis(self.core.ports.clock.now())),
                    set(attr::WAITS_FOR, why),
                ]);
                Ok(AfterRound::Due { changes, due_at })
            }
        }
    }

    async fn give_up(&self, held: &mut Leased, why: Failure) -> RoundResult<AfterRound> {
        let root = RequestId::new(held.item.text(attr::ROOT).unwrap_or_default());
        let order: TableOrder = self.core.read_document(&held.item, attr::SPEC).await?;
        let result = TableResult::failed(order.table.table, why.message.clone());
        self.settle(held, &root, &result, Some(why)).await
    }
}

impl TablePlane {
    /// Ends a table. `why`: it was ended by something else than itself.
    async fn settle(
        &self,
        held: &mut Leased,
        root: &RequestId,
        result: &TableResult,
        why: Option<Failure>,
    ) -> RoundResult<AfterRound> {
        let is_complete = result.state.is_complete();
        let own = || {
            let why = result.error.clone().unwrap_or_else(|| result.state.as_str().to_owned());
            Failure::new(ErrorName::ReplicaError, why)
        };
        let counters = Counters {
            files: 1,
            copied: u64::from(is_complete),
            failed: u64::from(!is_complete),
            bytes: result.counts.bytes,
            ..Counters::default()
        };
        signals::replica::table_ended(root.as_str(), result);
        let outcome = Outcome {
            failure: why.or_else(|| (!is_complete).then(own)),
            counters,
            answer: Some(records::text(result)?),
            ..Outcome::between(started_at(&held.item), self.core.ports.clock.now())
        };
        let tally = records::tally(&outcome.counters, None);
        self.core.settle_as(held, root, &outcome, Vec::new(), tally).await
    }

    async fn state_changes(&self, held: &Leased, state: &TableState) -> RoundResult<Vec<Change>> {
        let mut changes = self.core.replace_document(&held.lease.key, attr::STATE, state).await?;
        changes.push(set(attr::PHASE, Phase::Running.as_str()));
        Ok(changes)
    }
}

/// One round of one table.
struct TableRun<'a> {
    plane: &'a TablePlane,
    of: &'a Replicated,
    permits: &'a Room,
    root: &'a RequestId,
    order: &'a TableOrder,
    state: TableState,
    held: &'a mut Leased,
    root_refs: [RootRef; 1],
}

impl TableRun<'_> {
    /// Works on the table until it has ended, or there is something to wait for.
    async fn work(&mut self) -> RoundResult<Step> {
        loop {
            self.held.lease.check()?;
            if self.plane.core.stop.is_cancelled() {
                return Err(RoundError::Stopping);
            }
            let step = match self.state.asked.clone() {
                None => Box::pin(self.ask()).await,
                Some(asked) => Box::pin(self.go_on(asked)).await,
            };
            match step.or_else(|halt| self.judge(halt)) {
                Ok(Step::On) => {}
                Ok(step) => {
                    if matches!(&step, Step::Done(result) if !result.state.is_complete()) {
                        self.forget_audit().await;
                    }
                    return Ok(step);
                }
                Err(Halt::Round(RoundError::Stopping)) => {
                    // What was found out is worth keeping, and the next holder comes at once.
                    return Ok(Step::Wait { due_at: self.now(), why: "the next instance".to_owned() });
                }
                Err(Halt::Round(error)) => return Err(error),
                Err(Halt::Source(error) | Halt::Lines(error) | Halt::Trouble(Trouble::Port(error))) => {
                    return Err(RoundError::Port(error));
                }
                Err(Halt::Trouble(_) | Halt::Refused(_)) => return Err(RoundError::Lost),
            }
        }
    }

    /// Stores what is remembered.
    async fn store(&mut self) -> RoundResult<()> {
        let changes = self.plane.state_changes(self.held, &self.state).await?;
        self.plane.core.save(self.held, changes).await
    }

    fn now(&self) -> i64 {
        millis(self.plane.core.ports.clock.now())
    }

    /// Something has moved.
    fn record_progress(&self) {
        self.plane.core.record_progress(&self.root_refs);
    }

    fn done(&mut self) -> &mut Done {
        &mut self.state.done
    }
}
