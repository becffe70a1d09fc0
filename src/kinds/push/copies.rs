//! The ids that reads keep wherever they lie: who keeps account of them is told of the copies that a push has made, in
//! the buckets that it keeps account of.
//!
//! A push whose files have arrived is whole whatever comes of this: what is amiss is told beside its end, and can be
//! mended by the same push again.

use super::{Push, results::Results};
use crate::{
    domain::{
        copy_out::{Copied, CopyOutRequest, CopyStatus, Detail},
        share::{
            files::{DataType, PackagedFile},
            outcome::IngestIds,
            request::PushOrder,
        },
    },
    engine::lease::{Leased, RoundResult, id_of},
    kinds::slices::Slices,
    ports::{
        Error,
        inventory::{Copies, NewCopy},
    },
    signals,
};

/// Whether a file is where it has to be. One that was kept there is another.
fn has_arrived(copied: &Copied) -> bool {
    match copied.status {
        CopyStatus::Copied => true,
        CopyStatus::AlreadyCopied => copied.detail != Detail::Kept,
        CopyStatus::Superseded | CopyStatus::Error => false,
    }
}

/// The copy of a read, if it has such an id.
fn copy_of(file: PackagedFile, prefix: &str) -> Option<NewCopy> {
    let ingest_id = file.ingest_id.filter(|_| file.data_type == DataType::Fastq)?;
    Some(NewCopy { key: format!("{prefix}{}", file.path), ingest_id })
}

/// The account of a bucket.
struct Account<'a> {
    copies: &'a dyn Copies,
    bucket: &'a str,
    prefix: &'a str,
    /// Whether what was written was looked at anew; how that ended.
    looked: Option<Result<(), Error>>,
    told: IngestIds,
}

impl Account<'_> {
    /// Tells of some copies.
    async fn tell(&mut self, copies: Vec<NewCopy>) -> Result<(), Error> {
        if copies.is_empty() {
            return Ok(());
        }
        let many = copies.len();
        let mut unknown = self.copies.adopt(self.bucket, copies).await?;
        // Events that tell of new objects may be late, or lost. A push to the root of a bucket would have all of it
        // looked at.
        if !unknown.is_empty() && self.looked.is_none() && !self.prefix.is_empty() {
            self.looked = Some(self.copies.look_again(self.bucket, self.prefix).await);
            unknown = self.copies.adopt(self.bucket, unknown).await?;
        }
        self.told.without += unknown.len() as u64;
        self.told.files += (many - unknown.len()) as u64;
        Ok(())
    }

    /// What is told of it in the end.
    fn end(mut self, push: &str, failed: Option<Error>) -> IngestIds {
        let looked = self.looked.and_then(Result::err).filter(|_| self.told.without > 0);
        if let Some(error) = failed.or(looked) {
            self.told.why = Some(error.to_string());
            signals::share::ids_not_told(push, self.told.without, &error);
        } else if self.told.without > 0 {
            let why = "the service for files does not know of these objects yet";
            self.told.why = Some(why.to_owned());
            signals::share::ids_not_told(push, self.told.without, &std::io::Error::other(why));
        }
        self.told
    }
}

impl Push {
    /// Tells of the copies of reads, where somebody keeps account of them; `None` where nobody does.
    pub(super) async fn tell_of_copies(
        &self,
        held: &Leased,
        order: &PushOrder,
        of: (&Slices<'_>, &CopyOutRequest),
    ) -> RoundResult<Option<IngestIds>> {
        let copies = self.core.ports.sharing.as_ref().and_then(|sharing| sharing.copies.as_deref());
        let Some(copies) = copies.filter(|_| !order.dry_run) else { return Ok(None) };
        let (_, request) = of;
        let (bucket, prefix) = (request.destination_bucket.as_str(), request.destination_prefix.as_str());
        let mut account = Account { copies, bucket, prefix, looked: None, told: IngestIds::default() };
        let id = id_of(held);
        let packaged = self.files_of(order).await?;
        let mut results = Results::of(&self.core, &packaged, of);
        let (mut is_known, mut failed) = (false, None);
        while let Some(some) = results.next(held).await? {
            let arrived = some.into_iter().filter(|(_, copied, _)| has_arrived(copied));
            let reads: Vec<NewCopy> = arrived.filter_map(|(file, ..)| copy_of(file, prefix)).collect();
            if reads.is_empty() {
                continue;
            }
            let many = reads.len() as u64;
            if failed.is_none() && !is_known {
                match copies.knows(bucket).await {
                    Ok(true) => is_known = true,
                    Ok(false) => return Ok(None),
                    Err(error) => failed = Some(error),
                }
            }
            // Who does not answer is not asked again and again.
            if failed.is_some() {
                account.told.without += many;
            } else if let Err(error) = account.tell(reads).await {
                account.told.without += many;
                failed = Some(error);
            }
        }
        let has_any = is_known || failed.is_some();
        Ok(has_any.then(|| account.end(id.as_str(), failed)))
    }
}
