//! The receipt of a request whose children are folders: what is there is looked at once more, as a dry run of the
//! same request would.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Folders;
use crate::{
    domain::{
        ids::RequestId,
        outcome::Outcome,
        receipt::{Fate, Line, LineJob, Receipt},
        request::FolderRequest,
        route::Route,
    },
    engine::{
        lease::{Leased, RoundResult, id_of},
        records::started_at,
    },
    planes::folder::PreviewEntry,
    ports::Error,
    signals,
};

impl Folders {
    /// Writes the receipt of a root whose children have ended so. One that cannot be written holds nothing up
    /// for long: its caller is told of the copy all the same.
    pub(super) async fn receipt(
        &self,
        held: &mut Leased,
        children: &[(RequestId, FolderRequest)],
        outcomes: &[Outcome],
    ) -> RoundResult<Option<Receipt>> {
        match self.write_receipt(held, children, outcomes).await {
            Ok(receipt) => Ok(receipt),
            Err(error) if error.is_passing() && !self.core.lasts_too_long(held).await? => Err(error.into()),
            Err(error) => {
                signals::batch::receipt_failed(held.lease.key.id.as_str(), &error);
                Ok(None)
            }
        }
    }

    async fn write_receipt(
        &self,
        held: &Leased,
        children: &[(RequestId, FolderRequest)],
        outcomes: &[Outcome],
    ) -> Result<Option<Receipt>, Error> {
        let Some(mut draft) = self.core.begin_receipt(&id_of(held)).await? else { return Ok(None) };
        let began = started_at(&held.item);
        let mut jobs: HashMap<(&str, &str), Vec<LineJob>> = HashMap::new();
        for ((_, spec), outcome) in children.iter().zip(outcomes) {
            let of_folder = jobs.entry((spec.project.as_str(), spec.path.as_str())).or_default();
            of_folder.extend(outcome.jobs.iter().map(|job| LineJob {
                job_id: job.job_id.clone(),
                attempt: job.attempt,
                status: job.status.clone(),
            }));
        }
        let told = children.iter().map(|(_, spec)| spec).filter(|spec| !spec.staging && !spec.sends_trees());
        let told: Vec<_> = told.collect();
        for specs in told.chunk_by(|one, other| (&one.project, &one.path) == (&other.project, &other.path)) {
            let of_folder =
                specs.first().and_then(|spec| jobs.get(&(spec.project.as_str(), spec.path.as_str())));
            for (file, entry) in self.folder.preview_folder(specs).await?.files {
                let there = file.there.as_ref();
                let came = there.is_some_and(|there| there.made_at >= began);
                let result = match entry {
                    PreviewEntry::Skipped if came => Fate::Copied,
                    PreviewEntry::Skipped => Fate::Skipped,
                    PreviewEntry::Kept => Fate::Kept,
                    PreviewEntry::Brought | PreviewEntry::InFlight | PreviewEntry::Unready => Fate::Failed,
                };
                let arrived = entry == PreviewEntry::Skipped;
                let route = there.map(|there| there.route).filter(|_| result == Fate::Copied);
                let by_job = route == Some(Route::Job);
                draft
                    .add(&Line {
                        etag: there.filter(|_| arrived).and_then(|there| there.etag.clone()),
                        compared: there.map(|there| if there.by_size { "size" } else { "tag" }.to_owned()),
                        made_at: there.filter(|_| arrived).map(|there| at(there.made_at)),
                        route: route.map(|route| route.as_str().to_owned()),
                        jobs: of_folder.filter(|_| by_job).cloned().unwrap_or_default(),
                        why: (!arrived).then_some(file.reason),
                        took_ms: None,
                        source: file.source,
                        destination: file.destination,
                        size: Some(file.size),
                        result,
                    })
                    .await?;
            }
        }
        Ok(Some(draft.finish().await?))
    }
}

fn at(time: Timestamp) -> String {
    time.to_string()
}
