//! The log of a push and its receipt. Both say what records say, so that they can be written again: a receipt always
//! as it was.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Failed, Push, packaged::Packaged, results::Results};
use crate::{
    domain::{
        copy_out::{Copied, CopyOutRequest, CopyStatus, Detail},
        outcome::Outcome,
        receipt::Receipt,
        share::{
            files::PackagedFile, ids::attempt_of, outcome::PushReport, places::push_log, request::PushOrder,
        },
    },
    engine::{
        lease::{Leased, RoundError, RoundResult, id_of},
        records::{attr, started_at},
    },
    events::share::shown::JobStatus,
    kinds::slices::Slices,
    papers::delivery::{
        log::{Fate, Head, Log, Row},
        receipt::{Compared, Line},
        sums,
    },
    ports::{
        Class, Error, Result,
        reports::{ReportWriter, Reports},
    },
    signals,
};

/// Rounds that may fail in a row before a push ends without its log: some minutes.
const TRIES: i64 = 8;

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(Class::Invalid, "write log", "the log of a push cannot be written").caused_by(error)
}

/// The log and the receipt of a push while they are written.
pub(super) struct Draft {
    log: Log,
    receipt: String,
    sum: Sha256,
    files: u64,
    /// Where the log goes, and where the receipt.
    at: [Box<dyn ReportWriter>; 2],
}

impl Draft {
    pub(super) async fn begin(
        place: &dyn Reports,
        held: &Leased,
        order: &PushOrder,
        ended: &Outcome,
    ) -> Result<Self> {
        let (push, attempt) = attempt_of(&id_of(held));
        let start_time = order.asked_at.unwrap_or_else(|| started_at(&held.item));
        let said = Head {
            push_id: push.as_str(),
            attempt,
            package_id: &order.package_id,
            package_name: &order.package_name,
            share_destination: &order.destination,
            requested_by: &order.requested_by,
            status: JobStatus::of(ended).as_str(),
            error_messages: ended.failure.as_ref().map(|failure| failure.message.as_str()),
            start_time,
            end_time: ended.finished_at,
            files: &ended.counters,
        };
        let log = Log::new(&said).map_err(unwritable)?;
        let log_at = place.begin(&push_log(&push, start_time, "json")).await?;
        let receipt_at = place.begin(&push_log(&push, start_time, "receipt.jsonl")).await?;
        let sum = Sha256::new();
        Ok(Self { log, receipt: String::new(), sum, files: 0, at: [log_at, receipt_at] })
    }

    /// Adds a file.
    pub(super) fn take(&mut self, row: &Row<'_>) -> Result<()> {
        self.log.take(row).map_err(unwritable)?;
        if !row.result.arrived() {
            return Ok(());
        }
        let line = Line {
            path: row.path.to_owned(),
            size: row.size,
            sum: Line::sum_of(row.md5, row.sha256),
            also: Line::also_of(row.md5, row.sha256),
            etag: row.etag.map(str::to_owned),
            compared: row.compared.unwrap_or(Compared::Size),
            at: row.at,
        };
        self.files += 1;
        line.push_to(&mut self.receipt).map_err(unwritable)
    }

    /// Writes what was added.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let receipt = std::mem::take(&mut self.receipt);
        self.sum.update(receipt.as_bytes());
        let [log_at, receipt_at] = &mut self.at;
        log_at.write(&self.log.drain()).await?;
        receipt_at.write(&receipt).await
    }

    pub(super) async fn finish(mut self) -> Result<(String, Receipt)> {
        self.flush().await?;
        let Self { log, sum, files, at: [mut log_at, receipt_at], .. } = self;
        // Where one cannot be ended, the other leaves nothing behind. The log leads to the receipt: it comes last.
        if let Err(error) = log_at.write(&log.finish()).await {
            log_at.abandon().await;
            receipt_at.abandon().await;
            return Err(error);
        }
        let uri = match receipt_at.finish().await {
            Ok(uri) => uri,
            Err(error) => {
                log_at.abandon().await;
                return Err(error);
            }
        };
        let log = log_at.finish().await?;
        Ok((log, Receipt { uri, sha256: hex::encode(sum.finalize()), files }))
    }

    pub(super) async fn abandon(self) {
        for writer in self.at {
            writer.abandon().await;
        }
    }
}

/// What is known of a file whose result is that one.
pub(super) fn row<'a>(file: &'a PackagedFile, copied: &'a Copied, at: Timestamp) -> Row<'a> {
    let result = match (copied.status, copied.detail) {
        (CopyStatus::Copied, _) => Fate::Copied,
        (CopyStatus::AlreadyCopied, Detail::Kept) | (CopyStatus::Superseded, _) => Fate::Kept,
        (CopyStatus::AlreadyCopied, _) => Fate::AlreadyCopied,
        (CopyStatus::Error, _) => Fate::Error,
    };
    // What is brought is brought on the condition of its tag, and what is there was compared by tag or checksum.
    let by_size = copied.detail == Detail::BySize || file.etag.is_none();
    let compared = if by_size { Compared::Size } else { Compared::Tag };
    row_of(file, result, compared, &copied.message, at)
}

/// A row of a file of a package.
pub(super) fn row_of<'a>(
    file: &'a PackagedFile,
    result: Fate,
    compared: Compared,
    message: &'a str,
    at: Timestamp,
) -> Row<'a> {
    Row {
        path: &file.path,
        source: &file.uri,
        size: file.size,
        md5: sums::md5(file.md5.as_deref()),
        sha256: sums::sha256(file.sha256.as_deref()),
        etag: file.etag.as_deref(),
        result,
        compared: result.arrived().then_some(compared),
        message,
        at,
    }
}

impl Push {
    /// Writes log and receipt of a push to a bucket, and notes in its outcome where they are.
    pub(super) async fn leave_log(
        &self,
        held: &mut Leased,
        order: &PushOrder,
        (slices, request): (&Slices<'_>, &CopyOutRequest),
        outcome: &mut Outcome,
    ) -> RoundResult<()> {
        let Some(mut draft) = self.begin_log(held, order, outcome).await? else { return Ok(()) };
        let filled = self.fill_log(held, order, (slices, request), &mut draft).await;
        self.end_log(held, draft, filled, outcome).await
    }

    /// Begins log and receipt; `None`: there is no place for them.
    pub(super) async fn begin_log(
        &self,
        held: &Leased,
        order: &PushOrder,
        outcome: &Outcome,
    ) -> RoundResult<Option<Draft>> {
        let Some(sharing) = &self.core.ports.sharing else { return Ok(None) };
        match Draft::begin(sharing.artifacts.as_ref(), held, order, outcome).await {
            Ok(draft) => Ok(Some(draft)),
            Err(error) => without(held, error.into()),
        }
    }

    /// Ends them, or does without.
    pub(super) async fn end_log(
        &self,
        held: &Leased,
        draft: Draft,
        filled: RoundResult<()>,
        outcome: &mut Outcome,
    ) -> RoundResult<()> {
        // A holder that has lost the record must not write over what the next one has told of.
        let finished = match filled.and_then(|()| held.lease.check()) {
            Ok(()) => draft.finish().await.map_err(RoundError::Port),
            Err(error) => {
                draft.abandon().await;
                Err(error)
            }
        };
        let Some((log, receipt)) = finished.map(Some).or_else(|error| without(held, error))? else {
            return Ok(());
        };
        outcome.receipt = Some(receipt);
        let report: PushReport = outcome.push.take().map(|report| *report).unwrap_or_default();
        outcome.push = Some(Box::new(PushReport { log: Some(log), ..report }));
        Ok(())
    }

    async fn fill_log(
        &self,
        held: &Leased,
        order: &PushOrder,
        of: (&Slices<'_>, &CopyOutRequest),
        draft: &mut Draft,
    ) -> RoundResult<()> {
        let packaged = self.files_of(order).await?;
        let mut results = Results::of(&self.core, &packaged, of);
        while let Some(some) = results.next(held).await? {
            for (file, copied, at) in &some {
                draft.take(&row(file, copied, *at))?;
            }
            draft.flush().await?;
        }
        Ok(())
    }

    /// The files of the package, as far as they are kept.
    pub(super) async fn files_of(&self, order: &PushOrder) -> Result<Packaged<'_>> {
        self.frozen(order).await.map_err(|failed| match failed {
            Failed::Port(error) => error,
            Failed::Failure(failure) => Error::new(Class::Invalid, "read package", failure.message),
        })
    }
}

/// An error on the way to a log: it is tried again some times, and then the push ends without.
fn without<T>(held: &Leased, error: RoundError) -> RoundResult<Option<T>> {
    let failures = held.item.number(attr::FAILURES).unwrap_or(0);
    match error {
        RoundError::Port(error) if !error.is_passing() || failures >= TRIES => {
            signals::share::log_failed(held.lease.key.id.as_str(), &error);
            Ok(None)
        }
        error => Err(error),
    }
}
