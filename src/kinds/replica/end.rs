//! What a run has come to.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::Tables;
use crate::{
    domain::{
        outcome::{Counters, Culprit, ErrorName, Failure, Outcome},
        replica::{
            order::ReplicaOrder,
            run::{RunReport, TableResult, TableState},
            settings::FailsWhen,
        },
    },
    engine::{
        lease::{Leased, RoundResult, id_of},
        records::{self, Phase, after, attr, started_at},
        tree::End,
    },
    events::replica::pivot,
    planes::table::Replicated,
};

/// Records of children that are read at a time.
const SOME: usize = 50;
/// When children that have not settled after all are looked at again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Ends a run all of whose tables have ended.
pub(super) async fn end(tables: &Tables<'_>, held: &mut Leased) -> RoundResult<End> {
    let core = &tables.of.core;
    let Some(results) = results(tables, held).await? else {
        return Ok(End::NotBefore(after(core.ports.clock.now(), AGAIN)));
    };
    let (order, replicated) = tables.of.order(held).await?;
    let report = report(held, &order, replicated.ok(), results, core.ports.clock.now());
    let fails_when = tables.of.of(&order.instance).map(|of| of.settings.fails_when).unwrap_or_default();
    let outcome = Outcome {
        failure: failure(&report, fails_when),
        counters: counters(&report),
        answer: Some(pivot(&report).to_string()),
        ..Outcome::between(started_at(&held.item), core.ports.clock.now())
    };
    core.conclude(held, &outcome).await?;
    Ok(End::Reached)
}

/// How each table has ended; `None` where one has not.
pub(super) async fn results(tables: &Tables<'_>, held: &Leased) -> RoundResult<Option<Vec<TableResult>>> {
    let (core, root) = (&tables.of.core, id_of(held));
    let names = tables.names(&root).await?;
    let unknown = tables.own.unknown.iter();
    let mut results: Vec<TableResult> =
        unknown.map(|name| TableResult::failed(name.as_str(), "the source has no such table")).collect();
    let keys: Vec<_> = (0..tables.count).map(|n| records::request_key(&tables.id(&root, n))).collect();
    for (names, keys) in names.chunks(SOME).zip(keys.chunks(SOME)) {
        let children = core.ports.store.get_many(keys).await?;
        for (name, key) in names.iter().zip(keys) {
            let child = children.iter().find(|child| child.key == *key);
            let Some(child) = child else {
                results.push(TableResult::new(name.as_str(), TableState::NeedsSync));
                continue;
            };
            if Phase::of(child) != Some(Phase::Settled) {
                return Ok(None);
            }
            let outcome: Outcome = core.read_document(child, attr::OUTCOME).await?;
            let told = outcome.answer.as_deref().and_then(|told| serde_json::from_str(told).ok());
            results.push(told.unwrap_or_else(|| {
                let why = outcome.failure.map(|failure| failure.message);
                TableResult::failed(
                    name.as_str(),
                    why.unwrap_or_else(|| "nothing was heard of it".to_owned()),
                )
            }));
        }
    }
    Ok(Some(results))
}

pub(super) fn report(
    held: &Leased,
    order: &ReplicaOrder,
    of: Option<&Replicated>,
    tables: Vec<TableResult>,
    now: jiff::Timestamp,
) -> RunReport {
    let old = of.map(|of| of.settings.stale_after).and_then(|after| SignedDuration::try_from(after).ok());
    let oldest = old.map(|old| now.checked_sub(old).unwrap_or(jiff::Timestamp::MIN));
    let is_stale =
        |table: &&TableResult| matches!((table.data_of, oldest), (Some(of), Some(oldest)) if of < oldest);
    let stale: BTreeMap<_, _> = tables
        .iter()
        .filter(is_stale)
        .filter_map(|table| Some((table.table.clone(), table.data_of?)))
        .collect();
    RunReport {
        run: id_of(held).to_string(),
        instance: order.instance.clone(),
        namespace: order.namespace.clone(),
        mode: order.mode,
        tables,
        stale,
        error: None,
    }
}

fn counters(report: &RunReport) -> Counters {
    let files = report.tables.len() as u64;
    let copied = report.tables.iter().filter(|table| table.state.is_complete()).count() as u64;
    let bytes = report.tables.iter().map(|table| table.counts.bytes).sum();
    Counters { files, copied, failed: files - copied, bytes, ..Counters::default() }
}

/// Whether the run has failed, by what the settings say.
fn failure(report: &RunReport, fails_when: FailsWhen) -> Option<Failure> {
    let failed: Vec<_> = report.tables.iter().filter(|table| !table.state.is_complete()).collect();
    let has_failed = match fails_when {
        FailsWhen::Any => !failed.is_empty(),
        FailsWhen::All => !failed.is_empty() && failed.len() == report.tables.len(),
        FailsWhen::Never => false,
    };
    let message = format!(
        "{} of {} tables of {} are not complete",
        failed.len(),
        report.tables.len(),
        report.namespace
    );
    has_failed.then(|| {
        Failure::new(ErrorName::ReplicaError, message).naming(failed.into_iter().map(|table| Culprit {
            what: format!("{}.{}", report.namespace, table.table),
            why: table.error.clone().unwrap_or_else(|| table.state.as_str().to_owned()),
        }))
    })
}
