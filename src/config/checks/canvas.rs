//! A replica of Canvas Data 2: whatever is wrong is told before the first run.

use jiff::tz::TimeZone;

use super::Complaints;
use crate::{
    config::{Backend, Settings},
    domain::{
        recurrence::Recurrence,
        replica::{
            target::Target,
            treat::{OnChange, Tables, Treatments},
        },
    },
};

impl Complaints {
    /// What a replica needs, and what of it could not be followed.
    pub(super) fn canvas(&mut self, settings: &Settings) {
        let canvas = &settings.canvas;
        let mut wrong = |key: &'static str, why: String| self.add(key, why);
        let is_named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if canvas.instance.len() > 64 || !canvas.instance.chars().all(is_named) {
            wrong("canvas.instance", "must be at most 64 letters, digits, `-`, `_` and `.`".to_owned());
        }
        let zone = TimeZone::get(&canvas.zone);
        if zone.is_err() {
            wrong("canvas.zone", "must be a time zone, like \"America/New_York\"".to_owned());
        }
        if let (false, Ok(zone)) = (canvas.schedule.is_empty(), zone)
            && let Err(error) = Recurrence::parse(&canvas.schedule, zone)
        {
            wrong("canvas.schedule", error.to_string());
        }
        match Treatments::parse(&canvas.columns) {
            Ok(treatments) if treatments.hashes() && canvas.hash_key.is_none() => {
                wrong("canvas.hash_key", "must be set where canvas.columns hashes a column".to_owned());
            }
            Ok(_) => {}
            Err(error) => wrong("canvas.columns", error.to_string()),
        }
        if let Err(error) = OnChange::parse(&canvas.on_change) {
            wrong("canvas.on_change", error.to_string());
        }
        if let Err(error) = Tables::parse(&canvas.history) {
            wrong("canvas.history", error.to_string());
        }
        for target in &canvas.notify {
            if let Err(why) = Target::read(target) {
                // The address of a target may be a secret.
                wrong("canvas.notify", why);
            }
        }
        for (key, count) in [
            ("canvas.concurrency", usize::try_from(canvas.concurrency).unwrap_or(usize::MAX)),
            ("canvas.connections", canvas.connections),
            ("canvas.files_at_once", canvas.files_at_once),
            ("canvas.max_attempts", canvas.max_attempts as usize),
            ("canvas.namespaces", canvas.namespaces.len()),
        ] {
            if count == 0 {
                wrong(key, "must be at least 1".to_owned());
            }
        }
        if canvas.poll.is_zero() || canvas.poll > canvas.poll_cap {
            wrong("canvas.poll", "must be longer than 0s, and not longer than canvas.poll_cap".to_owned());
        }
        let is_on_aws = settings.backend == Backend::Aws;
        for (key, value) in [
            ("canvas.credentials_ssm_path", &canvas.credentials_ssm_path),
            ("canvas.database_secret_id", &canvas.database_secret_id),
        ] {
            if !value.is_empty() && !is_on_aws {
                wrong(key, "needs backend = \"aws\"".to_owned());
            }
        }
        if canvas.is_on() && !cfg!(feature = "canvas") {
            wrong("canvas.client_id", "needs a build with the feature `canvas`".to_owned());
        }
    }
}
