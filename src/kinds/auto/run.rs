//! A sequencing run that is ready: an order for each job that is for it.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Auto, claims, claims::Claim, done};
use crate::{
    domain::{
        outcome::{ErrorName, Failure},
        share::{
            auto::{AutoOrder, RunOrder, ShareOrder},
            files::DataType,
            jobs::{self, AutoJob},
            lims,
            request::{PackageOrder, PackageRequest},
        },
    },
    engine::{
        Order,
        kind::PlanError,
        lease::{Leased, RoundResult, id_of},
        records::attr,
    },
    kinds::told::unwritable,
    ports::{
        Class, Error, Sharing,
        inventory::{RowQuery, Whose},
    },
    signals,
};

/// Gives the orders, and ends.
pub(super) async fn plan(auto: &Auto, held: &mut Leased, order: &RunOrder) -> RoundResult<()> {
    let source = held.item.text(attr::SOURCE).unwrap_or_default().to_owned();
    let meant = match wanted(auto, order, &source).await {
        Ok(meant) => meant,
        Err(PlanError::Failed(failure) | PlanError::NotYet(failure)) => {
            signals::share::nothing_shared(&order.instrument_run_id, &failure);
            return auto.core.fail(held, failure).await;
        }
        Err(PlanError::Port(error)) => return auto.core.not_yet_begun(held, error).await,
    };
    let mut given = Vec::new();
    for job in meant {
        let (name, run) = (job.job_name.clone(), order.instrument_run_id.as_str());
        let names = (name.as_str(), run);
        let (root, is_new) = match claims::claim(auto, names, &id_of(held), job.incremental).await? {
            Claim::Mine { root, after } => {
                held.lease.check()?;
                let share = share(auto, job, order, after);
                let destination = share.destination.clone();
                let payload = serde_json::to_value(AutoOrder::Share(Box::new(share))).map_err(unwritable)?;
                let source = source.clone();
                let (id, token, also) = (root.clone(), None, Vec::new());
                let ordered = Order { kind: "auto", id, destination, payload, source, token, also };
                auto.core.submit(&ordered).await?;
                (root, true)
            }
            Claim::Known(root) => (root, false),
        };
        signals::share::job_matched(run, &name, root.as_str(), is_new);
        let (package, _) = super::made_by(&root);
        given.push(json!({ "jobName": name, "requestId": root, "packageId": package, "isNew": is_new }));
    }
    let mut outcome = done(auto, held);
    outcome.answer = Some(json!({ "instrumentRunId": order.instrument_run_id, "jobs": given }).to_string());
    auto.core.conclude(held, &outcome).await
}

/// The jobs that are for the run.
async fn wanted(auto: &Auto, order: &RunOrder, source: &str) -> Result<Vec<AutoJob>, PlanError> {
    let refused = |why: String| PlanError::Failed(Failure::new(ErrorName::InvalidRequest, why));
    if !order.by_hand {
        auto.core.settings.policy.check_event_source(source)?;
    }
    let Some(sharing) = &auto.core.ports.sharing else {
        let why = "nothing is shared here (share.artifacts)";
        return Err(Failure::new(ErrorName::PolicyDenied, why).into());
    };
    let Some(file) = &sharing.jobs else {
        return Err(refused("nothing is shared by itself here (share.auto_jobs)".to_owned()));
    };
    let text = file.read().await.map_err(|error| match error.class {
        Class::Invalid | Class::NotFound => refused(format!("share.auto_jobs: {}", error.message)),
        _ => PlanError::from(error),
    })?;
    let all = jobs::read(&text, &order.instrument_run_id)
        .map_err(|why| refused(format!("share.auto_jobs cannot be read, nothing was shared: {why}")))?;
    let projects = projects_of(sharing, &order.instrument_run_id).await?;
    let Some(name) = &order.job_name else {
        return Ok(all.into_iter().filter(|job| job.is_for(&projects)).collect());
    };
    let named = all.into_iter().find(|job| job.job_name == *name && job.is_for(&projects));
    let why = format!("job `{name}` is not there, not enabled, or not for {}", order.instrument_run_id);
    Ok(vec![named.ok_or_else(|| refused(why))?])
}

/// The projects of the libraries that were sequenced in a run.
async fn projects_of(sharing: &Sharing, run: &str) -> Result<BTreeSet<String>, Error> {
    let libraries = match sharing.inventory.sequenced(run).await? {
        Some(libraries) => libraries,
        None => libraries_with_reads(sharing, run).await?,
    };
    let libraries: BTreeSet<String> =
        libraries.iter().map(|library| lims::library_id(library).to_owned()).collect();
    if libraries.is_empty() {
        return Ok(BTreeSet::new());
    }
    let known = sharing.metadata.libraries(Whose::Libraries, &libraries).await?;
    Ok(known.into_iter().flat_map(|library| library.project_ids).collect())
}

/// The libraries that have reads in a run. Where these lie does not matter, nor what was made of them.
async fn libraries_with_reads(sharing: &Sharing, run: &str) -> Result<BTreeSet<String>, Error> {
    let reads = BTreeSet::from([DataType::Fastq]);
    let query = RowQuery {
        instrument_runs: Some(BTreeSet::from([run.to_owned()])),
        data_types: Some(reads.clone()),
        surveyed: reads,
        ..RowQuery::default()
    };
    let (mut pages, mut libraries) = (sharing.inventory.rows(&query).await?, BTreeSet::new());
    while let Some(page) = pages.next().await? {
        for row in page.iter().filter(|row| row.instrument_run_id == run) {
            libraries.extend(row.libraries().map(str::to_owned));
        }
    }
    Ok(libraries)
}

/// What a job asks for.
fn share(auto: &Auto, job: AutoJob, order: &RunOrder, after: Option<String>) -> ShareOrder {
    let request = PackageRequest {
        project_id_list: Some(job.project_id_list.clone()),
        instrument_run_id_list: Some(vec![order.instrument_run_id.clone()]),
        data_type_list: job.data_type_list.clone(),
        labels: job.labels.clone(),
        ..PackageRequest::default()
    };
    let package = PackageOrder {
        name: job.package_name(&order.instrument_run_id),
        request,
        requested_by: format!("job {}", job.job_name),
        asked_at: None,
        public_url: order.public_url.clone(),
        by_event: true,
    };
    ShareOrder {
        package,
        destination: job.share_destination,
        approval: job.approval.unwrap_or(auto.settings.auto_approval),
        job_name: Some(job.job_name),
        after,
    }
}
