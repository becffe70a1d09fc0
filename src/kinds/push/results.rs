//! What became of each file of a package on its way to a bucket.

use jiff::Timestamp;

use super::packaged::{InOrder, Packaged};
use crate::{
    domain::{
        copy_out::{Copied, CopyOutRequest},
        share::files::PackagedFile,
    },
    engine::{
        core::Core,
        lease::{Leased, RoundError, RoundResult},
    },
    kinds::slices::Slices,
    ports::{Class, Error},
};

/// A file, what became of it, and when.
pub(super) type Result = (PackagedFile, Copied, Timestamp);

/// The files of a package that were the items of a list, a chunk of these at a time.
pub(super) struct Results<'a> {
    core: &'a Core,
    slices: &'a Slices<'a>,
    request: &'a CopyOutRequest,
    files: InOrder<'a>,
    chunk: u32,
}

impl<'a> Results<'a> {
    pub(super) fn of(
        core: &'a Core,
        packaged: &'a Packaged<'a>,
        (slices, request): (&'a Slices<'a>, &'a CopyOutRequest),
    ) -> Self {
        Self { core, slices, request, files: packaged.in_order(), chunk: 0 }
    }

    /// The next ones; `None` after the last.
    pub(super) async fn next(&mut self, held: &Leased) -> RoundResult<Option<Vec<Result>>> {
        let wrong = |class, why: &str| Error::new(class, "read results", why.to_owned());
        let changed = || wrong(Class::Invalid, "the files of the package have changed");
        held.lease.check()?;
        if self.core.stop.is_cancelled() {
            return Err(RoundError::Stopping);
        }
        if self.chunk >= self.slices.chunks {
            return Ok(None);
        }
        let Some(settled) = self.slices.settled_outcomes(held, self.chunk).await? else {
            return Err(wrong(Class::Transient, "a slice has not settled").into());
        };
        self.chunk += 1;
        let mut results = Vec::new();
        for (items, ended) in settled {
            for (item, copied) in items.iter().zip(ended.objects) {
                let file = self.files.next().await?.ok_or_else(changed)?;
                if item.to.strip_prefix(&self.request.destination_prefix) != Some(file.path.as_str()) {
                    return Err(changed().into());
                }
                results.push((file, copied, ended.finished_at));
            }
        }
        Ok(Some(results))
    }
}
