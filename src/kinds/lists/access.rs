//! Whether the destination may be written to: the start marker, and whether tags can be written.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Lists, PlanResult, named};
use crate::{
    domain::{
        copy_out::CopyOutRequest,
        duration_text,
        outcome::{Counters, ErrorName},
    },
    engine::{
        lease::{Leased, RoundResult},
        liveness::RootRef,
        records::{self, RootState, attr, millis, set, started_at},
        round::AfterRound,
        settings::Tags,
    },
    events::outgoing::Status,
    ports::{Class, Error, Result, objects::ObjectLocation},
    signals,
};

/// The text of the start marker; its readers know it so.
const MARKER: &str =
    "A file created by copy out to ensure correct permissions and to indicate that start of the copy process";

/// The mark in the record of a request that waits for its destination to let it in.
pub(super) const WAITING: &str = "waiting_for_access";

/// The state that a root keeps of a destination that does not let us in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Waited {
    /// How often it has refused to be written to.
    pub refusals: u32,
    /// When it is asked again, milliseconds since 1970.
    pub access_at: i64,
}

/// Whether the destination lets us in.
#[derive(Debug)]
pub(super) enum Entry {
    Open { without_tags: bool },
    Closed(String),
}

impl Lists {
    /// Writes the start marker.
    pub(super) async fn enter(&self, request: &CopyOutRequest) -> PlanResult<Entry> {
        let tags = self.core.settings.copy_out.tags;
        let uri = request.destination();
        let with_tags = tags != Tags::Suppress;
        match self.objects.bucket_access(&request.destination_bucket, false, &request.options).await {
            Err(error) if !error.is_passing() && error.class != Class::Forbidden => {
                let message = format!("the keys of the destination bucket cannot be read: {error}");
                return Err(named(ErrorName::InvalidRequest, &message, &uri).into());
            }
            Ok(_) | Err(_) => {}
        }
        let mut written = self.mark(request, with_tags).await;
        if matches!(&written, Err(error) if error.class == Class::Unauthorized) {
            // They may have been changed since they were read.
            self.objects.keys.forget();
            written = self.mark(request, with_tags).await;
        }
        let mut without_tags = false;
        if with_tags && is_denied(&written) {
            // The right to tag is one of its own.
            written = self.mark(request, false).await;
            without_tags = written.is_ok();
        }
        match written {
            Ok(()) if without_tags && tags == Tags::Copy => {
                let message = "the destination does not permit tags (copy_out.tags = copy)";
                Err(named(ErrorName::PolicyDenied, message, &uri).into())
            }
            Ok(()) => {
                if without_tags {
                    signals::copy_out::without_tags(&uri, "the destination does not permit them");
                }
                Ok(Entry::Open { without_tags })
            }
            Err(error) if is_elsewhere(&error) => {
                let message = "the destination bucket is in another region";
                Err(named(ErrorName::WrongRegionError, message, &uri).into())
            }
            // Keys that are not known there are a matter between people too.
            Err(error) if matches!(error.class, Class::Forbidden | Class::Unauthorized) => {
                Ok(Entry::Closed(error.to_string()))
            }
            Err(error) if error.class == Class::NotFound => {
                let message = "the destination bucket does not exist";
                Err(named(ErrorName::InvalidRequest, message, &uri).into())
            }
            Err(error) if error.is_passing() => Err(error.into()),
            Err(error) => {
                let message = format!("the destination cannot be written to: {error}");
                Err(named(ErrorName::CopyError, &message, &uri).into())
            }
        }
    }

    /// Why the destination may not be written to, if it may not: asked with an upload that is begun and dropped, of
    /// which nothing can be seen there.
    pub(super) async fn closed(&self, request: &CopyOutRequest) -> Result<Option<String>> {
        let bucket = &request.destination_bucket;
        let at =
            ObjectLocation::new(bucket, format!("{}{}", request.destination_prefix, request.start_marker));
        let access = self.objects.bucket_access(bucket, false, &request.options).await?;
        let objects = &self.core.ports.objects;
        match objects.begin(&at, None, &self.objects.write_options(false), &access).await {
            Ok(upload) => {
                // One without parts costs nothing where it cannot be dropped.
                if let Err(error) = objects.abort(&at, &upload, &access).await {
                    signals::slice::upload_left(&at, &error);
                }
                Ok(None)
            }
            Err(error) if error.is_passing() && error.class != Class::Unauthorized => Err(error),
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    /// Whether nothing is there yet but our own marker, as far as one look at the bucket shows. An S3 that
    /// is not AWS's may not know the conditions that a copy must then go with.
    pub(super) async fn is_unwritten(&self, request: &CopyOutRequest) -> bool {
        let (bucket, options) = (&request.destination_bucket, &request.options);
        if options.buckets.get(bucket).is_some_and(|bucket| bucket.endpoint_url.is_some()) {
            return false;
        }
        let Ok(access) = self.objects.bucket_access(bucket, false, options).await else { return false };
        let prefix = request.destination_prefix.as_str();
        let is_marker = |key: &str| key.strip_prefix(prefix) == Some(request.start_marker.as_str());
        match self.core.ports.objects.list(bucket, prefix, None, &access).await {
            Ok(page) => page.next.is_none() && page.items.iter().all(|found| is_marker(&found.key)),
            Err(_) => false,
        }
    }

    async fn mark(&self, request: &CopyOutRequest, with_tags: bool) -> Result<()> {
        let bucket = &request.destination_bucket;
        let key = format!("{}{}", request.destination_prefix, request.start_marker);
        let access = self.objects.bucket_access(bucket, false, &request.options).await?;
        let options = self.objects.write_options(with_tags);
        let marker = Bytes::from_static(MARKER.as_bytes());
        let at = ObjectLocation::new(bucket, key);
        self.core.ports.objects.put(&at, marker, Some("text/plain"), &options, &access).await.map(drop)
    }

    /// The destination is tried again in a while: its owner may not have allowed it yet. `None` when that has
    /// taken too long, and the request has ended.
    pub(super) async fn wait_for_access(
        &self,
        held: &mut Leased,
        request: &CopyOutRequest,
        why: &str,
    ) -> RoundResult<Option<AfterRound>> {
        let mut state: RootState = records::document(&held.item, attr::STATE)?;
        let mut waited: Waited = state.own()?;
        let patience = self.core.settings.copy_out.access_deadline;
        if millis(self.core.ports.clock.now()) >= records::after(started_at(&held.item), patience) {
            let patience = duration_text::print(patience);
            let message =
                format!("the destination has let nobody in for {patience} (copy_out.access_deadline): {why}");
            let failure = named(ErrorName::PolicyDenied, &message, &request.destination());
            return self.core.fail(held, failure).await.map(|()| None);
        }
        waited.refusals = waited.refusals.saturating_add(1);
        state.trouble_since = 0;
        waited.access_at =
            records::after(self.core.ports.clock.now(), self.core.settings.copy_out.access_retry);
        state.set_own(&waited)?;
        // To have asked is a sign of life.
        self.core.record_progress(&[RootRef::of(&held.item)]);
        let changes = vec![
            set(attr::WAITING_FOR, WAITING),
            set(attr::WAITS_FOR, why),
            set(attr::STATE, records::text(&state)?),
        ];
        self.core.save(held, changes).await?;
        signals::copy_out::waits_for_access(&held.lease.key.id, waited.refusals, why, waited.access_at);
        self.core.tell_if_possible(held, Status::Running, Counters::default()).await;
        Ok(Some(AfterRound::at(waited.access_at)))
    }

    /// Whether tags are left out, having asked for those of one object of each source bucket.
    pub(super) async fn try_tags(
        &self,
        held: &Leased,
        request: &CopyOutRequest,
        buckets: &BTreeMap<String, (String, bool)>,
    ) -> PlanResult<bool> {
        let tags = self.core.settings.copy_out.tags;
        if tags == Tags::Suppress || request.options.without_tags {
            return Ok(tags != Tags::Suppress && request.options.without_tags);
        }
        for (bucket, (key, unsigned)) in buckets {
            let access = self.objects.bucket_access(bucket, *unsigned, &request.options).await?;
            let at = ObjectLocation::new(bucket, key);
            let ask = || self.core.ports.objects.tags(&at, &access);
            match self.core.patiently(&[RootRef::of(&held.item)], ask).await {
                Err(error) if error.is_passing() && error.class != Class::Unauthorized => {
                    return Err(error.into());
                }
                Err(error) if matches!(error.class, Class::Forbidden | Class::Unauthorized) => {
                    let uri = at.to_string();
                    if tags == Tags::Copy {
                        let message = "the source does not permit tags to be read (copy_out.tags = copy)";
                        return Err(named(ErrorName::PolicyDenied, message, &uri).into());
                    }
                    signals::copy_out::without_tags(&uri, "the source does not permit them to be read");
                    return Ok(true);
                }
                // An object that is not there is told in its own row.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(false)
    }
}

fn is_denied(written: &Result<()>) -> bool {
    matches!(written, Err(error) if error.class == Class::Forbidden)
}

/// Whether the bucket is in another region.
fn is_elsewhere(error: &Error) -> bool {
    error.status == Some(301) || error.code.as_deref() == Some("PermanentRedirect")
}
