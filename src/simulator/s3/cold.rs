//! Objects whose bytes are out of reach, and how they come back.

use std::time::Duration;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimePrinter};
use s3s::{
    S3ErrorCode, S3Response, S3Result,
    dto::{RestoreObjectInput, RestoreObjectOutput, Tier},
};

use super::{
    say::{no_such_key, refuse},
    store::About,
};
use crate::simulator::{
    Simulator,
    world::{ArchiveTier, StorageClass},
};

const HOUR: Duration = Duration::from_hours(1);
const DATES: DateTimePrinter = DateTimePrinter::new();

/// A restore that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Restored {
    pub(super) tier: String,
    pub(super) days: Option<i32>,
    /// From then on the object can be read.
    ready: Timestamp,
    /// Until then; none: for good.
    until: Option<Timestamp>,
}

impl About {
    /// Whether the bytes come back only by a restore.
    const fn is_archived(&self) -> bool {
        match self.class {
            StorageClass::Glacier | StorageClass::DeepArchive => true,
            StorageClass::IntelligentTiering => self.tier.is_some(),
            StorageClass::Standard
            | StorageClass::StandardIa
            | StorageClass::OnezoneIa
            | StorageClass::GlacierIr => false,
        }
    }

    fn restored(&self, now: Timestamp) -> Option<&Restored> {
        self.restored.as_ref().filter(|restored| restored.until.is_none_or(|until| now < until))
    }

    /// Whether the bytes are out of reach.
    pub(super) fn is_cold(&self, now: Timestamp) -> bool {
        self.is_archived() && self.restored(now).is_none_or(|restored| now < restored.ready)
    }

    /// `x-amz-restore`.
    pub(super) fn restore_header(&self, now: Timestamp) -> Option<String> {
        let restored = self.restored(now)?;
        if now < restored.ready {
            return Some("ongoing-request=\"true\"".to_owned());
        }
        let until = restored.until.and_then(|until| DATES.timestamp_to_rfc9110_string(&until).ok());
        let until = until.map(|until| format!(", expiry-date=\"{until}\"")).unwrap_or_default();
        Some(format!("ongoing-request=\"false\"{until}"))
    }

    /// `x-amz-archive-status`: what was restored from there is there no more.
    pub(super) fn archive_status(&self, now: Timestamp) -> Option<&'static str> {
        let back = self.restored(now).is_some_and(|restored| restored.ready <= now);
        self.tier.filter(|_| !back).map(ArchiveTier::name)
    }

    /// How long a restore takes at most, as AWS says; none when that speed is not to be had.
    fn takes(&self, tier: &str) -> Option<Duration> {
        let deep =
            self.class == StorageClass::DeepArchive || self.tier == Some(ArchiveTier::DeepArchiveAccess);
        match (deep, tier) {
            (false, "Expedited") => Some(HOUR / 12),
            (false, "Standard") => Some(5 * HOUR),
            (false, "Bulk") | (true, "Standard") => Some(12 * HOUR),
            (true, "Bulk") => Some(48 * HOUR),
            _ => None,
        }
    }
}

pub(super) fn restore(
    simulator: &Simulator,
    input: RestoreObjectInput,
) -> S3Result<S3Response<RestoreObjectOutput>> {
    let asked = input.restore_request.unwrap_or_default();
    let tier = asked.glacier_job_parameters.map(|parameters| parameters.tier).or(asked.tier);
    let tier = tier.as_ref().map_or("Standard", Tier::as_str).to_owned();
    let (bucket, key) = (&input.bucket, &input.key);
    let malformed = |why: &'static str| Err(refuse(S3ErrorCode::MalformedXML, why));
    simulator.with(|state| {
        let object = state.object(bucket, key).ok_or_else(no_such_key)?;
        let (about, now) = (object.about.as_ref(), state.now());
        if !about.is_archived() {
            let why = "Restore is not allowed for the object's current storage class";
            let mut error = refuse(S3ErrorCode::InvalidObjectState, why);
            error.set_status_code(StatusCode::FORBIDDEN);
            return Err(error);
        }
        let Some(takes) = about.takes(&tier) else {
            let why = "The retrieval option is not to be had for the object's storage class";
            return Err(refuse(S3ErrorCode::InvalidArgument, why));
        };
        match (about.class, asked.days) {
            (StorageClass::IntelligentTiering, Some(_)) => return malformed("Days are not for this class"),
            (StorageClass::IntelligentTiering, None) | (_, Some(1..)) => {}
            (_, _) => return malformed("Days must be 1 or more"),
        }
        let before = about.restored(now);
        if before.is_some_and(|before| now < before.ready) {
            let why = "Object restore is already in progress";
            return Err(refuse(S3ErrorCode::RestoreAlreadyInProgress, why));
        }
        let again = before.is_some();
        let takes = if again { Duration::ZERO } else { state.faults.restore_delay.unwrap_or(takes) };
        let ready = now.checked_add(SignedDuration::try_from(takes).unwrap_or_default()).unwrap_or(now);
        let until = asked
            .days
            .and_then(|days| ready.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok());
        let restored = Restored { tier, days: asked.days, ready, until };
        state.say(bucket, key, About { restored: Some(restored), ..about.clone() });
        let status = if again { StatusCode::OK } else { StatusCode::ACCEPTED };
        Ok(S3Response::with_status(RestoreObjectOutput::default(), status))
    })
}
