//! How a manifest ends: piece by piece, and as a report where that is more than a task takes.

use super::Batch;
use crate::{
    domain::{
        batch::{BatchRequest, Deliveries, Delivery, Undelivered},
        outcome::{Failure, JobSummary, Outcome},
        request::FolderRequest,
    },
    engine::{
        large::spawn_blocking_if_large,
        lease::{Leased, RoundResult, id_of},
        records::{self, attr},
    },
    events::outgoing::{self, Room},
    ports::store::Key,
    signals,
};

/// The report on one piece while its children are gone through.
#[derive(Debug, Default)]
struct ReportPart<'a> {
    jobs: Vec<JobSummary>,
    failures: Vec<&'a Failure>,
}

impl Batch {
    /// The outcome of a manifest that was cut into pieces of `most` sources, from its children and how they
    /// ended; `merged` is the outcome without that.
    pub(crate) async fn outcome_of_batch<'a>(
        &self,
        held: &mut Leased,
        most: usize,
        children: impl Iterator<Item = (&'a FolderRequest, &'a Outcome)>,
        merged: Outcome,
    ) -> RoundResult<Outcome> {
        let payload = Key::new(id_of(held).as_str(), records::PAYLOAD);
        let Some(payload) = self.core.ports.store.get(&payload).await? else { return Ok(merged) };
        let request: BatchRequest = self.core.read_document(&payload, attr::SPEC).await?;
        let outcome = with_deliveries(&request, most, children, merged);
        self.reported(held, outcome).await
    }

    /// Writes the whole output where reports are kept, if there is such a place and the output is too
    /// long to be told everywhere.
    async fn reported(&self, held: &mut Leased, mut outcome: Outcome) -> RoundResult<Outcome> {
        let Some(mut deliveries) = outcome.deliveries.take() else { return Ok(outcome) };
        let sources = deliveries.pieces.iter().flat_map(|piece| &piece.sources);
        let bytes = sources.map(String::len).sum();
        let measured = spawn_blocking_if_large(bytes, move || {
            let (whole, room) = outgoing::whole_deliveries(&deliveries);
            if room == Room::Nowhere {
                deliveries.without_sources = true;
                deliveries.pieces.iter_mut().for_each(|piece| piece.sources = Vec::new());
            }
            (deliveries, whole, room)
        });
        let (mut deliveries, whole, room) = measured.await?;
        if room != Room::Everywhere {
            deliveries.report = self.put_report(held, whole).await?;
        }
        outcome.deliveries = Some(deliveries);
        Ok(outcome)
    }

    /// Where the whole output now is, if there is a place for such things that can be written to.
    async fn put_report(&self, held: &mut Leased, whole: String) -> RoundResult<Option<String>> {
        let Some(reports) = &self.core.ports.reports else { return Ok(None) };
        let id = id_of(held);
        let written = async {
            let mut writer = reports.begin(&format!("{id}/output.json")).await?;
            match writer.write(&whole).await {
                Ok(()) => writer.finish().await,
                Err(error) => {
                    writer.abandon().await;
                    Err(error)
                }
            }
        };
        match written.await {
            Ok(place) => Ok(Some(place)),
            Err(error) if error.is_passing() && !self.core.lasts_too_long(held).await? => Err(error.into()),
            Err(error) => {
                // The copies are made: the caller is told so, if not in full.
                signals::batch::report_failed(id.as_str(), &error);
                Ok(None)
            }
        }
    }
}

fn with_deliveries<'a>(
    request: &BatchRequest,
    most: usize,
    children: impl Iterator<Item = (&'a FolderRequest, &'a Outcome)>,
    merged: Outcome,
) -> Outcome {
    let mut pieces: Vec<ReportPart<'_>> = Vec::new();
    for (spec, outcome) in children {
        let n = spec.piece.unwrap_or_default();
        if pieces.len() <= n {
            pieces.resize_with(n + 1, ReportPart::default);
        }
        let Some(piece) = pieces.get_mut(n) else { continue };
        let is_new = |job: &&JobSummary| !piece.jobs.iter().any(|known| known.job_id == job.job_id);
        let new: Vec<_> = outcome.jobs.iter().filter(is_new).cloned().collect();
        piece.jobs.extend(new);
        piece.failures.extend(&outcome.failure);
    }
    pieces.resize_with(request.pieces(most).count(), ReportPart::default);
    let pieces: Vec<_> = request
        .pieces(most)
        .zip(pieces)
        .map(|(cut, piece)| {
            let sources = cut.sources.iter().map(|place| request.source_at(*place).to_owned()).collect();
            let failure = piece.failures.first().map(|failure| undelivered(failure));
            Delivery::new(request.destination_at(cut.destination), sources, &piece.jobs, failure)
        })
        .collect();
    let mut outcome = merged;
    if let Some(failure) = &mut outcome.failure {
        let mut failed: Vec<_> =
            pieces.iter().filter(|piece| piece.failure.is_some()).map(|piece| &piece.destination).collect();
        failed.dedup();
        let (failed, all) = (failed.len(), request.destinations.len());
        let first = pieces.iter().find_map(|piece| piece.failure.as_ref());
        let why = first.map_or("", |first| &first.why);
        failure.message = format!("{failed} of {all} destinations were not delivered; the first: {why}");
    }
    outcome.deliveries = Some(Box::new(Deliveries { pieces, ..Deliveries::default() }));
    outcome
}

fn undelivered(failure: &Failure) -> Undelivered {
    let first = failure.culprits.first();
    let first = first.map_or_else(String::new, |first| format!("; {}: {}", first.what, first.why));
    Undelivered { error: failure.error, why: format!("{}{first}", failure.message) }
}
