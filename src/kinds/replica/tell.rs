//! The message after every run.

use super::{Tables, end};
use crate::{
    domain::{
        outcome::Outcome,
        replica::{run::RunReport, settings::NotifyWhen},
    },
    engine::{
        lease::{Leased, RoundError, RoundResult, id_of},
        liveness::RootRef,
    },
    events::replica::{in_words, listed, pivot},
    ports::messages::{Form, Target},
    signals,
};

/// Tells every target what a run has come to, also where it could not even list the tables.
pub(super) async fn tell(tables: &Tables<'_>, held: &Leased, outcome: &Outcome) -> RoundResult<()> {
    let (order, replicated) = tables.of.order(held).await?;
    let Ok(of) = replicated else { return Ok(()) };
    let now = tables.of.core.ports.clock.now();
    // Of a run that was stopped, not every table has ended.
    let results = end::results(tables, held).await?.unwrap_or_default();
    let is_listed = tables.count > 0 || outcome.failure.is_none() || !results.is_empty();
    let why = outcome.failure.as_ref().map(|failure| failure.message.clone());
    let error = why.filter(|_| !is_listed);
    let report = RunReport { error, ..end::report(held, &order, Some(of), results, now) };
    signals::replica::run_ended(id_of(held).as_str(), &report);
    let is_wanted = match of.settings.notify_when {
        NotifyWhen::Always => true,
        NotifyWhen::Trouble => report.has_trouble(),
        NotifyWhen::Change => report.has_change(),
    };
    if !is_wanted || order.dry_run {
        return Ok(());
    }
    let subject = format!("Canvas Data 2: {} {}", order.instance, order.namespace);
    for target in of.settings.notify.iter().filter_map(|target| Target::read(target).ok()) {
        held.lease.check()?;
        let message = match target.form {
            Form::Pivot => pivot(&report).to_string(),
            Form::Tables => listed(&report).to_string(),
            Form::Text => in_words(&report),
        };
        // The others are not told again and again because one cannot be reached.
        let root_refs = [RootRef::of(&held.item)];
        let send = || of.messages.send(&target, &subject, &message);
        if let Err(error) = tables.of.core.patiently(&root_refs, send).await {
            if tables.of.core.stop.is_cancelled() {
                // The next instance tells.
                return Err(RoundError::Stopping);
            }
            signals::replica::not_told(id_of(held).as_str(), &error);
        }
    }
    Ok(())
}
