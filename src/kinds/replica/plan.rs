//! Which tables a run is over, and in which order they begin.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Own, Replicas, schedule};
use crate::{
    domain::{
        outcome::{ErrorName, Failure},
        replica::{
            order::{Mode, ReplicaOrder},
            settings::CanvasSettings,
        },
    },
    engine::{
        lease::{Leased, RoundResult},
        records::{self, Phase, RootState, attr, set},
    },
    planes::table::Replicated,
    ports::{self, Class},
};

/// Tables of a namespace that one run is over; the source has some hundred.
const MOST_TABLES: usize = 5_000;

/// Plans a run, or ends it where that cannot be done.
pub(super) async fn plan(of: &Replicas, held: &mut Leased) -> RoundResult<()> {
    let (order, replicated) = of.order(held).await?;
    let replicated = match replicated {
        Ok(replicated) => replicated,
        Err(_) if schedule::is_of_one(&held.item) => return no_more(of, held, &order).await,
        Err(failure) => return of.core.fail(held, failure).await,
    };
    if !replicated.settings.namespaces.contains(&order.namespace) {
        return no_more(of, held, &order).await;
    }
    let (tables, unknown) = match chosen(replicated, &order).await {
        Ok(chosen) => chosen,
        Err(error) if error.is_passing() => return of.core.not_yet_begun(held, error).await,
        Err(error) => {
            let why = format!("the tables of {} could not be listed: {}", order.namespace, error.message);
            return of.core.fail(held, Failure::new(ErrorName::ReplicaError, why)).await;
        }
    };
    let generation = u32::try_from(held.lease.epoch).unwrap_or(u32::MAX);
    let children = u64::try_from(tables.len()).unwrap_or(u64::MAX);
    let mut state =
        RootState { generation, children, chunks: u32::from(children > 0), ..RootState::default() };
    state.set_own(&Own { unknown })?;
    if children > 0 {
        of.core.put_chunk(held, (generation, 0), &tables, None).await?;
    }
    let phase = set(attr::PHASE, Phase::Planned.as_str());
    of.core.save(held, vec![phase, set(attr::STATE, records::text(&state)?)]).await
}

/// Ends a run of what the settings do not name any more; its schedule ends with it.
async fn no_more(of: &Replicas, held: &mut Leased, order: &ReplicaOrder) -> RoundResult<()> {
    let why = format!("canvas.namespaces of `{}` has no `{}`", order.instance, order.namespace);
    if schedule::is_of_one(&held.item) {
        of.core.remove_schedule(&schedule::name(&order.instance, &order.namespace)).await?;
    }
    of.core.fail(held, Failure::new(ErrorName::InvalidRequest, why)).await
}

/// The tables of a run in the order in which they begin, and those that were asked for and are not there.
async fn chosen(of: &Replicated, order: &ReplicaOrder) -> ports::Result<(Vec<String>, Vec<String>)> {
    let settings = &of.settings;
    let standing: BTreeMap<String, Timestamp> = of
        .replica
        .standing(&order.namespace)
        .await
        .map_err(port)?
        .into_iter()
        .map(|standing| (standing.table.table, standing.meta.timestamp))
        .collect();
    let there: BTreeSet<String> = match order.mode {
        // What is to be dropped need not be at the source any more.
        Mode::Drop => standing.keys().cloned().chain(order.tables.iter().cloned()).collect(),
        Mode::Sync | Mode::Init | Mode::Audit => {
            of.source.tables(&order.namespace).await?.into_iter().collect()
        }
    };
    if there.len() > MOST_TABLES {
        let why = format!("{} has {} tables, more than {MOST_TABLES}", order.namespace, there.len());
        return Err(ports::Error::new(Class::Invalid, "list tables", why));
    }
    let wanted: Vec<&String> = match (order.tables.is_empty(), settings.tables.is_empty()) {
        (false, _) => order.tables.iter().collect(),
        (true, false) => settings.tables.iter().filter(|name| !settings.skip.contains(name)).collect(),
        (true, true) => there.iter().filter(|name| !settings.skip.contains(name)).collect(),
    };
    let (known, unknown): (Vec<&String>, Vec<&String>) =
        wanted.into_iter().partition(|name| there.contains(*name));
    let mut tables: Vec<String> = known.into_iter().cloned().collect();
    tables.sort_by_cached_key(|name| rank(name, settings, &standing));
    Ok((tables, unknown.into_iter().cloned().collect()))
}

/// Those that are to be first, in their order; then those that were never loaded, then the oldest.
fn rank(
    name: &str,
    settings: &CanvasSettings,
    standing: &BTreeMap<String, Timestamp>,
) -> (usize, Option<Timestamp>, String) {
    let first = settings.first.iter().position(|first| first == name).unwrap_or(usize::MAX);
    (first, standing.get(name).copied(), name.to_owned())
}

/// A replica's trouble where only its ports can be to blame.
pub(super) fn port(trouble: ports::replica::Trouble) -> ports::Error {
    match trouble {
        ports::replica::Trouble::Port(error) => error,
        other => ports::Error::new(Class::Invalid, "look at the replica", other.to_string()),
    }
}
