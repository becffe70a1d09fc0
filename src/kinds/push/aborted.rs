//! What a push leaves that is ended before it is through: log and receipt of what has arrived until then.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Push,
    log::{Draft, row, row_of},
};
use crate::{
    domain::{
        copy_out::CopyStatus,
        file::ETag,
        outcome::{ErrorName, Outcome},
        share::{destination::Destination, files::PackagedFile, outcome::PushReport, request::PushOrder},
    },
    engine::{
        concurrent::join_unordered,
        lease::{Leased, RoundError, RoundResult, id_of},
        records::{self, RootState, attr, started_at},
    },
    kinds::slices::{Slices, Standing},
    papers::delivery::{log::Fate, receipt::Compared},
    planes::objects::compare::are_equal,
    ports::{
        Class, Error, Result,
        objects::{Access, ObjectInfo, ObjectLocation},
    },
    signals,
};

/// Objects looked at at a time.
const WIDTH: usize = 32;

const NOT_BROUGHT: &str = "the push was ended before it was brought";

impl Push {
    /// Ends a push that somebody has ended with a receipt of what has arrived. Where that cannot be written it ends
    /// without: nobody is to wait for it.
    pub(super) async fn leave_what_has_arrived(
        &self,
        held: &mut Leased,
        order: &PushOrder,
    ) -> RoundResult<()> {
        let id = id_of(held);
        let stop = self.core.stop_of(&id).await?.filter(|failure| failure.error == ErrorName::Cancelled);
        let Some(failure) = stop.filter(|_| !order.dry_run) else { return Ok(()) };
        let tallies = self.core.ports.store.query(id.as_str(), records::TALLY).await?;
        let mut outcome = self.core.failed_outcome(&held.item, failure);
        (_, outcome.counters) = records::sum_tallies(&tallies);
        match self.tell_what_has_arrived(held, order, &mut outcome).await {
            // The first outcome that is stored stands.
            Ok(true) => self.core.conclude(held, &outcome).await,
            Ok(false) => Ok(()),
            Err(RoundError::Port(error)) => {
                signals::share::log_failed(id.as_str(), &error);
                Ok(())
            }
            Err(halt) => Err(halt),
        }
    }

    /// Writes log and receipt; false where nothing was begun.
    async fn tell_what_has_arrived(
        &self,
        held: &Leased,
        order: &PushOrder,
        outcome: &mut Outcome,
    ) -> RoundResult<bool> {
        let state: RootState = records::document(&held.item, attr::STATE)?;
        let Some(sharing) = self.core.ports.sharing.as_ref().filter(|_| state.chunks > 0) else {
            return Ok(false);
        };
        let mut draft = Draft::begin(sharing.artifacts.as_ref(), held, order, outcome).await?;
        let filled = match Destination::read(&order.destination) {
            Ok(Destination::Bucket { bucket, prefix }) => {
                self.fill_from_slices(held, order, &state, (&bucket, &prefix), &mut draft).await
            }
            Ok(Destination::Project(_)) => {
                self.fill_from_folders(held, order, &state, outcome, &mut draft).await
            }
            Err(_) => Ok(()),
        };
        // Only the holder of the record writes over what another has told of.
        if let Err(halt) = filled.and_then(|()| held.lease.check()) {
            draft.abandon().await;
            return Err(halt);
        }
        let (log, receipt) = draft.finish().await?;
        outcome.receipt = Some(receipt);
        outcome.push = Some(Box::new(PushReport { log: Some(log), ..PushReport::default() }));
        Ok(true)
    }

    async fn fill_from_slices(
        &self,
        held: &Leased,
        order: &PushOrder,
        state: &RootState,
        (bucket, prefix): (&str, &str),
        draft: &mut Draft,
    ) -> RoundResult<()> {
        let Some(slices) = Slices::of(&self.core, self, state)? else { return Ok(()) };
        let packaged = self.files_of(order).await?;
        let (mut files, now, began) =
            (packaged.in_order(), self.core.ports.clock.now(), started_at(&held.item));
        let changed = || Error::new(Class::Invalid, "write log", "the files of the package have changed");
        for chunk in 0..slices.chunks {
            for (items, standing) in slices.standings(held, chunk).await? {
                let mut some = Vec::with_capacity(items.len());
                for item in &items {
                    let file = files.next().await?.ok_or_else(changed)?;
                    if item.to.strip_prefix(prefix) != Some(file.path.as_str()) {
                        return Err(changed().into());
                    }
                    some.push(file);
                }
                // A copy that was cut off may have come to its end all the same.
                let there = match &standing {
                    Standing::NotPut => BTreeMap::new(),
                    Standing::UnderWay => self.look_for(bucket, prefix, &some, |_| true).await?,
                    Standing::Settled(ended) => {
                        let is_open = |n: usize| {
                            ended.objects.get(n).is_none_or(|object| object.status == CopyStatus::Error)
                        };
                        self.look_for(bucket, prefix, &some, is_open).await?
                    }
                };
                for (n, file) in some.iter().enumerate() {
                    let told = match (&standing, there.get(&n)) {
                        (_, Some(there)) => arrived(file, there, began, now),
                        (Standing::Settled(ended), None) => {
                            ended.objects.get(n).map(|copied| row(file, copied, ended.finished_at))
                        }
                        (Standing::NotPut | Standing::UnderWay, None) => None,
                    };
                    let not_brought = || row_of(file, Fate::Error, Compared::Size, NOT_BROUGHT, now);
                    draft.take(&told.unwrap_or_else(not_brought))?;
                }
            }
            held.lease.check()?;
            if self.core.stop.is_cancelled() {
                return Err(RoundError::Stopping);
            }
            draft.flush().await?;
        }
        Ok(())
    }

    /// What is at the destination of those of some files, by their places.
    async fn look_for(
        &self,
        bucket: &str,
        prefix: &str,
        some: &[PackagedFile],
        is_meant: impl Fn(usize) -> bool,
    ) -> Result<BTreeMap<usize, ObjectInfo>> {
        let objects = &self.core.ports.objects;
        let looks = some.iter().enumerate().filter(|(n, _)| is_meant(*n)).map(|(n, file)| async move {
            let at = ObjectLocation::new(bucket, format!("{prefix}{}", file.path));
            match objects.look(&at, &Access::Own).await {
                Err(error) if !error.is_passing() => Ok((n, None)),
                looked => looked.map(|there| (n, there)),
            }
        });
        let found: Result<Vec<_>> = join_unordered(WIDTH, looks).await.into_iter().collect();
        Ok(found?.into_iter().filter_map(|(n, there)| Some((n, there?))).collect())
    }

    async fn fill_from_folders(
        &self,
        held: &Leased,
        order: &PushOrder,
        state: &RootState,
        outcome: &Outcome,
        draft: &mut Draft,
    ) -> RoundResult<()> {
        let plan = self.folders.planned(held, state.generation, state.chunks).await?;
        // None of them is told to be whole: what is not there has not arrived.
        let outcomes = vec![outcome.clone(); plan.len()];
        self.fill_log_of_folders(held, order, (&plan, &outcomes), draft).await.map(drop)
    }
}

/// What is told of a file whose place at the destination is taken; `None`: by another one.
fn arrived<'a>(
    file: &'a PackagedFile,
    there: &ObjectInfo,
    began: Timestamp,
    now: Timestamp,
) -> Option<crate::papers::delivery::log::Row<'a>> {
    let etag = file.etag.as_deref().map(ETag::new);
    let source = ObjectInfo { size: file.size, etag, ..ObjectInfo::default() };
    let is_new = there.modified.is_some_and(|at| at >= began);
    let compared = if are_equal(&source, there) {
        Compared::Tag
    } else if there.size == file.size && is_new {
        // Under keys of KMS, and cut otherwise, it has another tag.
        Compared::Size
    } else {
        return None;
    };
    let fate = if is_new { Fate::Copied } else { Fate::AlreadyCopied };
    Some(row_of(file, fate, compared, "", now))
}
