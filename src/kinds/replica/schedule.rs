//! When runs begin by themselves.

use jiff::tz::TimeZone;

use super::Replicas;
use crate::{
    domain::{
        ids::RequestId,
        recurrence::Recurrence,
        replica::{
            order::{Mode, ReplicaOrder},
            settings::CanvasSettings,
        },
    },
    engine::{records::attr, schedule::Schedule},
    ports::{Class, Error, Result, store::Item},
};

/// The source of runs that nobody has asked for.
const SOURCE: &str = "copy-manager.schedule";

/// The name of the schedule of a namespace.
pub(super) fn name(instance: &str, namespace: &str) -> String {
    format!("canvas.{instance}.{namespace}")
}

/// Whether a run was made by a schedule.
pub(super) fn is_of_one(run: &Item) -> bool {
    run.text(attr::SOURCE) == Some(SOURCE)
}

/// The schedule of a namespace; `None` where it has none.
pub(super) fn of(settings: &CanvasSettings, namespace: &str) -> Result<Option<Schedule>> {
    let name = name(&settings.instance, namespace);
    if settings.schedule.is_empty() {
        return Ok(None);
    }
    let wrong = |why: String| Error::new(Class::Invalid, "canvas.schedule", why);
    let zone = TimeZone::get(&settings.zone)
        .map_err(|_| wrong(format!("canvas.zone: there is no time zone {:?}", settings.zone)))?;
    let when = Recurrence::parse(&settings.schedule, zone).map_err(|error| wrong(error.to_string()))?;
    let order = ReplicaOrder {
        instance: settings.instance.clone(),
        namespace: namespace.to_owned(),
        tables: Vec::new(),
        mode: Mode::Sync,
        heal: false,
        dry_run: false,
    };
    // The id stands for nothing: each run has one of its own.
    let order = Replicas::order_for(RequestId::new(name.as_str()), &order, SOURCE.to_owned())?;
    Ok(Some(Schedule {
        name,
        when,
        zone: settings.zone.clone(),
        window: settings.window,
        alone: true,
        order,
    }))
}
