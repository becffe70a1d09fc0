//! The `replica` kind: a run over the tables of a namespace, each of which is a child.
//!
//! A run lists the tables, has those that are furthest behind begin, and tells what it has come to, whatever that is.

mod end;
mod events;
mod plan;
mod schedule;
mod tell;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::asked::asked;
use crate::{
    domain::{
        ids::RequestId,
        outcome::{ErrorName, Failure, Outcome},
        replica::{
            names::TableName,
            order::{ReplicaOrder, TableOrder},
            settings::CanvasSettings,
        },
    },
    engine::{
        Engine, Order,
        core::Core,
        kind::{Kind, NoOrder},
        lease::{Leased, RoundResult, id_of},
        records::{self, RootState},
        round::AfterRound,
        tree::{Child, End, Roster, Tree, Window},
    },
    events::{REPLICA_REQUEST, intake::OtherEvent},
    planes::table::{self, Replicated},
    ports::{self, replica::Standing},
};

/// Runs over the tables of replicas.
#[derive(Debug)]
pub struct Replicas {
    core: Arc<Core>,
    replicated: Arc<[Replicated]>,
}

/// What a run remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Own {
    /// Tables that were asked for by name, and are not in the namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<String>,
}

impl Replicas {
    pub(crate) fn new(core: Arc<Core>, replicated: Arc<[Replicated]>) -> Self {
        Self { core, replicated }
    }

    /// The replica of that instance.
    fn of(&self, instance: &str) -> Option<&Replicated> {
        self.replicated.iter().find(|replicated| replicated.settings.instance == instance)
    }

    /// What was asked for, and of which replica.
    async fn order(&self, held: &Leased) -> RoundResult<(ReplicaOrder, Result<&Replicated, Failure>)> {
        let order: ReplicaOrder = asked(&self.core, held).await?;
        let gone = || {
            let why =
                format!("there are no settings of an instance `{}` here (canvas.instance)", order.instance);
            Failure::new(ErrorName::InvalidRequest, why)
        };
        let replicated = self.of(&order.instance).ok_or_else(gone);
        Ok((order, replicated))
    }

    /// The tables that were loaded, of all replicas.
    pub async fn standing(&self) -> ports::Result<Vec<(Arc<CanvasSettings>, Standing)>> {
        let mut all = Vec::new();
        for of in &*self.replicated {
            for namespace in &of.settings.namespaces {
                let standing = of.replica.standing(namespace).await.map_err(plan::port)?;
                all.extend(standing.into_iter().map(|standing| (Arc::clone(&of.settings), standing)));
            }
        }
        Ok(all)
    }

    /// Has the runs of each replica made at their times; those that have none any more are
    /// made no longer. What the settings do not name any more ends with its next run.
    ///
    /// # Errors
    ///
    /// Those of the table; [`ports::Class::Invalid`] where settings say no times.
    pub async fn put_schedules(&self, engine: &Engine) -> ports::Result<()> {
        for of in &*self.replicated {
            for namespace in &of.settings.namespaces {
                let done = match schedule::of(&of.settings, namespace)? {
                    Some(schedule) => engine.put_schedule(&schedule).await,
                    None => engine.remove_schedule(&schedule::name(&of.settings.instance, namespace)).await,
                };
                match done {
                    // Instances of a newer version keep it, and the others are not kept from theirs.
                    Err(error) if error.is_newer() => {}
                    done => done?,
                }
            }
        }
        Ok(())
    }

    /// The order for a run, which a schedule, an API or a command gives.
    pub(crate) fn order_for(id: RequestId, order: &ReplicaOrder, source: String) -> ports::Result<Order> {
        let payload = serde_json::to_value(order).map_err(super::told::unwritable)?;
        let destination = format!("canvas://{}/{}", order.instance, order.namespace);
        Ok(Order { kind: "replica", id, destination, payload, source, token: None, also: Vec::new() })
    }
}

#[async_trait]
impl Kind for Replicas {
    fn name(&self) -> &'static str {
        "replica"
    }

    async fn plan(&self, held: &mut Leased) -> RoundResult<Option<AfterRound>> {
        plan::plan(self, held).await.map(|()| None)
    }

    fn detail_types(&self) -> &'static [&'static str] {
        &[REPLICA_REQUEST]
    }

    async fn order_of(&self, event: &OtherEvent) -> Option<Result<Order, NoOrder>> {
        Some(events::order_of(self, event))
    }

    fn tree<'a>(&'a self, state: &RootState) -> RoundResult<Box<dyn Tree + 'a>> {
        Ok(Box::new(Tables {
            of: self,
            generation: state.generation,
            count: state.children,
            own: state.own()?,
        }))
    }
}

/// The tables of a run.
#[derive(Debug)]
struct Tables<'a> {
    of: &'a Replicas,
    generation: u32,
    count: u64,
    own: Own,
}

impl Tables<'_> {
    /// The child of that number.
    fn id(&self, root: &RequestId, number: u64) -> RequestId {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        RequestId::child(root, self.generation, self.plane(), "table", number)
    }

    /// The names of the tables, in the order of their numbers.
    async fn names(&self, root: &RequestId) -> RoundResult<Vec<String>> {
        if self.count == 0 {
            return Ok(Vec::new());
        }
        Ok(self.of.core.chunk(root, self.generation, 0).await?.0)
    }
}

#[async_trait]
impl Tree for Tables<'_> {
    fn plane(&self) -> &'static str {
        table::NAME
    }

    fn noun(&self) -> &'static str {
        "tables"
    }

    fn window(&self) -> Window {
        // Each root has the settings of its own instance, but a window is asked for without its record: the widest.
        let most = self.of.replicated.iter().map(|replicated| replicated.settings.concurrency).max();
        Window::InFlight(most.unwrap_or(1).max(1))
    }

    async fn next(&self, held: &Leased, state: &mut RootState, most: u64) -> RoundResult<Vec<Child>> {
        let root = id_of(held);
        let order: ReplicaOrder = asked(&self.of.core, held).await?;
        let until = self.count.min(state.spread.saturating_add(most));
        let mut children = Vec::new();
        let first = usize::try_from(state.spread).unwrap_or(usize::MAX);
        for (name, number) in self.names(&root).await?.into_iter().skip(first).zip(state.spread..until) {
            let table = TableName::new(order.namespace.as_str(), name);
            let destination = format!("{}/{}", records_destination(&order), table.table);
            let ReplicaOrder { instance, mode, heal, dry_run, .. } = order.clone();
            let spec = records::text(&TableOrder { instance, table, mode, heal, dry_run, number })?;
            children.push(Child { id: self.id(&root, number), destination, spec });
        }
        state.spread = until;
        Ok(children)
    }

    async fn roster(&self, held: &Leased, state: &RootState) -> RoundResult<Roster<'_>> {
        let root = id_of(held);
        Ok(Roster::new(state.children, move |number| Some(self.id(&root, number))))
    }

    async fn end(&self, held: &mut Leased) -> RoundResult<End> {
        end::end(self, held).await
    }

    async fn clear_up(&self, held: &Leased, outcome: &Outcome) -> RoundResult<()> {
        tell::tell(self, held, outcome).await
    }
}

fn records_destination(order: &ReplicaOrder) -> String {
    format!("canvas://{}/{}", order.instance, order.namespace)
}
