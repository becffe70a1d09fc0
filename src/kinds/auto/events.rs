//! Events that ask for what goes by itself.

use serde_json::Value;

use super::{Auto, ordered};
use crate::{
    domain::{
        ids::RequestId,
        share::{
            auto::{AutoOrder, RunOrder, ShareOrder},
            destination::Destination,
            jobs::Approval,
            request::{PackageOrder, is_run},
            settings::WorkflowNames,
        },
    },
    engine::{Order, kind::NoOrder},
    events::{
        PACKAGE_REQUEST,
        intake::OtherEvent,
        share::{asked, in_words},
    },
};

/// The order that an event asks for; `None` where a package is asked for that is not to go anywhere.
pub(super) fn order_of(auto: &Auto, event: &OtherEvent) -> Option<Result<Order, NoOrder>> {
    if event.detail_type == PACKAGE_REQUEST {
        let to = asked::destination_of(event.payload.as_ref().ok()?)?;
        return Some(to.map_err(NoOrder::from).and_then(|to| package(auto, event, to)));
    }
    Some(run(auto, event))
}

/// A package that is pushed once it is made.
fn package(auto: &Auto, event: &OtherEvent, to: &str) -> Result<Order, NoOrder> {
    let any_workflow = auto.settings.workflow_names == WorkflowNames::Any;
    let payload = event.payload.as_ref().map_err(Clone::clone)?;
    let (name, request) = asked::package(payload, any_workflow).map_err(|wrong| in_words(&wrong))?;
    let destination = Destination::read(to)?.uri();
    let package = PackageOrder {
        name,
        request,
        requested_by: String::new(),
        asked_at: None,
        public_url: String::new(),
        by_event: true,
    };
    let share = ShareOrder {
        package,
        destination: destination.clone(),
        approval: Approval::None,
        job_name: None,
        after: None,
    };
    let id = RequestId::new(format!("auto.{}", event.seed()));
    Ok(ordered(&AutoOrder::Share(Box::new(share)), id, event, destination)?)
}

/// A sequencing run that is ready.
fn run(auto: &Auto, event: &OtherEvent) -> Result<Order, NoOrder> {
    if auto.settings.auto_jobs.is_empty() {
        // The rule that brings it is there wherever the queues are.
        let why = "nothing is shared by itself here (share.auto_jobs)".to_owned();
        return Err(if event.token.is_some() { NoOrder::Refused(why) } else { NoOrder::Unwanted(why) });
    }
    let detail = event.payload.as_ref().map_err(Clone::clone)?;
    let run = read_run(detail)?;
    let order = RunOrder {
        instrument_run_id: run.clone(),
        job_name: None,
        requested_by: String::new(),
        by_hand: false,
        public_url: String::new(),
    };
    let id = RequestId::new(format!("auto.{}", event.seed()));
    Ok(ordered(&AutoOrder::Run(order), id, event, format!("run {run}"))?)
}

/// The run that an event tells of.
fn read_run(detail: &Value) -> Result<String, String> {
    let run = detail.get("instrumentRunId").and_then(Value::as_str).unwrap_or_default();
    if is_run(run) {
        return Ok(run.to_owned());
    }
    Err("`detail.instrumentRunId` must be the name of a sequencing run".to_owned())
}
