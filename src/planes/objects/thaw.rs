//! Archived objects: asked back once, and waited for on a timer of their own.

use super::{
    object::{Brought, Found, Try},
    slice_run::{End, ObjectError, ObjectResult, SliceRun},
    state::Thawing,
};
use crate::{
    domain::{
        copy_out::{Archive, Copied, CopyStatus, Detail, SliceItem, ThawParams},
        duration_text,
    },
    engine::{
        records::{as_millis, millis},
        settings::CopyOutSettings,
    },
    ports::objects::{ObjectInfo, Restore, RestoreRequest},
    signals,
};

impl SliceRun<'_> {
    /// What could not be done for an object, in words.
    pub(super) fn undone(&self, item: &SliceItem) -> String {
        if self.spec.options.only_restore {
            return format!("{} could not be restored", item.from);
        }
        format!("{} could not be copied to s3://{}/{}", item.from, self.spec.bucket, item.to)
    }
}

impl Try<'_, '_> {
    /// Sees to it that the object can be read where it is. Such a slice brings nothing, so that it waits for no
    /// turn when its objects are back.
    pub(super) async fn make_readable(&self) -> ObjectResult<Brought> {
        let Some(found) = self.find(false).await? else { return Ok(Brought::Left(self.no_source())) };
        if let Some(why) = self.contradiction(&found.info) {
            return Err(ObjectError::Refused(why));
        }
        if found.info.archived {
            self.thaw(&found).await?;
            return Ok(Brought::Thawing);
        }
        let (status, detail) = (CopyStatus::AlreadyCopied, Detail::Plain);
        let message = "it can be read".to_owned();
        Ok(Brought::Left(Copied { status, bytes: 0, elapsed: 0, message, detail }))
    }

    /// Sees to it that the object comes back, and notes when to look again.
    pub(super) async fn thaw(&self, found: &Found) -> ObjectResult<()> {
        let engine = self.slice_run.engine;
        let settings = &engine.core.settings.copy_out;
        let now = millis(engine.core.ports.clock.now());
        let under_way = found.info.restore == Some(Restore::Ongoing);
        let known = self.slice_run.read(|state| state.thawing.get(&self.index).cloned());
        let first = known.is_none();
        let mut thawing =
            known.unwrap_or(Thawing { since: now, check_at: 0, checks: 0, asked: under_way, is_back: false });
        thawing.asked |= under_way;
        thawing.is_back = false;
        let deadline = thawing.since.saturating_add(as_millis(settings.thaw_deadline));
        if !first && now >= deadline {
            self.slice_run.change(|state| state.thawing.remove(&self.index));
            let (from, limit) = (&self.item.from, duration_text::print(settings.thaw_deadline));
            let why = format!("{from} was not restored within {limit} (copy_out.thaw_deadline)");
            return Err(ObjectError::Refused(why));
        }
        thawing.check_at = now.saturating_add(wait(settings, thawing.checks)).min(deadline);
        thawing.checks += u32::from(thawing.asked);
        let ask = !thawing.asked;
        self.slice_run.change(|state| state.thawing.insert(self.index, thawing));
        if ask {
            self.ask(found).await?;
        }
        // That it was looked at is a sign: a restore takes hours.
        self.slice_run.record_progress();
        Ok(())
    }

    async fn ask(&self, found: &Found) -> ObjectResult<()> {
        let Some((at, access)) = &found.at else { return Err(super::inside::nowhere().into()) };
        let request = request(&found.info, &self.slice_run.spec.options.thaw);
        // The next holder then knows that it was asked for, and since when it is waited for.
        self.slice_run.store().await?;
        self.effect(End::Source, self.slice_run.engine.core.ports.objects.restore(at, &request, access))
            .await?;
        self.slice_run.change(|state| {
            if let Some(thawing) = state.thawing.get_mut(&self.index) {
                thawing.asked = true;
                thawing.checks = 1;
            }
        });
        signals::slice::restore_asked(&self.slice_run.lease.key.id, &request.tier);
        Ok(())
    }
}

/// The wait after so many looks, milliseconds.
fn wait(settings: &CopyOutSettings, checks: u32) -> i64 {
    let doubled = settings.thaw_check.saturating_mul(2_u32.saturating_pow(checks.min(20)));
    as_millis(doubled.min(settings.thaw_check_cap).max(std::time::Duration::from_secs(1)))
}

/// How an object of that class is asked back.
fn request(info: &ObjectInfo, params: &ThawParams) -> RestoreRequest {
    let archive = Archive::of(info.storage_class.as_deref(), info.archive_status.as_deref());
    let thaw = params.of(archive);
    let days = archive.gives_copies().then_some(thaw.days);
    RestoreRequest { days, tier: thaw.speed.as_str().to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::copy_out::{Thaw, ThawSpeed};

    #[test]
    fn each_class_is_asked_back_in_its_own_way() {
        let thaw = |days, speed| Thaw { days, speed };
        let params = ThawParams {
            glacier: thaw(1, ThawSpeed::Expedited),
            deep_archive: thaw(2, ThawSpeed::Bulk),
            tiering_archive: thaw(3, ThawSpeed::Standard),
            tiering_deep_archive: thaw(4, ThawSpeed::Bulk),
        };
        for (class, status, days, tier) in [
            ("GLACIER", None, Some(1), "Expedited"),
            ("DEEP_ARCHIVE", None, Some(2), "Bulk"),
            ("INTELLIGENT_TIERING", Some("ARCHIVE_ACCESS"), None, "Standard"),
            ("INTELLIGENT_TIERING", Some("DEEP_ARCHIVE_ACCESS"), None, "Bulk"),
        ] {
            let info = ObjectInfo {
                storage_class: Some(class.to_owned()),
                archive_status: status.map(str::to_owned),
                ..ObjectInfo::default()
            };
            assert_eq!(request(&info, &params), RestoreRequest { days, tier: tier.to_owned() }, "{class}");
        }
    }

    #[test]
    fn looks_grow_rare() {
        let settings = CopyOutSettings::default();
        let minutes: Vec<_> = (0..5).map(|checks| wait(&settings, checks) / 60_000).collect();
        assert_eq!(minutes, [5, 10, 20, 30, 30]);
        assert_eq!(settings.thaw_check, Duration::from_mins(5));
    }
}
