//! The uploads of a long summary: none of them is left behind, also when an instance dies while it writes it.
//!
//! Their ids are stored before the first part is sent, and the next holder aborts those. One whose id was
//! lost holds no part and costs nothing.

use serde::{Deserialize, Serialize};

use super::{Lists, summary::Sink};
use crate::{
    domain::copy_out::CopyOutRequest,
    engine::{
        lease::{Leased, RoundResult},
        records::{self, RootState, attr, set},
    },
    ports::{
        Error,
        objects::{ObjectLocation, UploadId},
    },
    signals,
};

/// The state that a root keeps of its summary.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Own {
    /// The uploads of a long one that is being written.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<OwnUploads>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct OwnUploads {
    /// Bucket, key and id of each.
    begun: Vec<(String, String, String)>,
}

impl Lists {
    /// Begins the uploads of a summary, unless they are begun.
    pub(super) async fn begin_summary(&self, held: &mut Leased, sinks: &mut [Sink]) -> RoundResult<()> {
        let state: RootState = records::document(&held.item, attr::STATE)?;
        if state.own::<Own>()?.summary.is_some() {
            return Ok(());
        }
        let mut begun = Vec::new();
        for sink in &mut *sinks {
            held.lease.check()?;
            sink.begin(self).await;
            if let Some(id) = &sink.upload {
                begun.push((sink.to.bucket.clone(), sink.to.key.clone(), id.0.clone()));
            }
            self.note_summary(held, Some(OwnUploads { begun: begun.clone() })).await?;
        }
        Ok(())
    }

    /// Begins the upload of a long paper: like those of the summary it is noted, and aborted with them.
    pub(super) async fn begin_upload(&self, held: &mut Leased, sink: &mut Sink) -> RoundResult<()> {
        held.lease.check()?;
        let state: RootState = records::document(&held.item, attr::STATE)?;
        let mut uploads = state.own::<Own>()?.summary.unwrap_or_default();
        sink.begin(self).await;
        if let Some(id) = &sink.upload {
            uploads.begun.push((sink.to.bucket.clone(), sink.to.key.clone(), id.0.clone()));
        }
        self.note_summary(held, Some(uploads)).await
    }

    /// Aborts the uploads of the summary that an earlier run has begun.
    pub(super) async fn drop_summary(&self, held: &mut Leased, request: &CopyOutRequest) -> RoundResult<()> {
        let state: RootState = records::document(&held.item, attr::STATE)?;
        let Some(uploads) = state.own::<Own>()?.summary else { return Ok(()) };
        for (bucket, key, id) in &uploads.begun {
            self.abort(request, &ObjectLocation::new(bucket, key), &UploadId(id.clone())).await?;
        }
        self.note_summary(held, None).await
    }

    /// The same for a root that ends before its summary is written: that S3 is away must not hold up its
    /// end.
    pub(crate) async fn drop_summary_if_possible(
        &self,
        held: &mut Leased,
        request: &CopyOutRequest,
    ) -> RoundResult<()> {
        let state = records::document::<RootState>(&held.item, attr::STATE);
        if state.and_then(|state| state.own::<Own>()).is_ok_and(|own| own.summary.is_some()) {
            let dropped = self.drop_summary(held, request).await;
            held.lease.check()?;
            if let Err(error) = dropped {
                signals::slice::upload_left(&held.lease.key, &error);
            }
        }
        Ok(())
    }

    async fn abort(&self, request: &CopyOutRequest, to: &ObjectLocation, id: &UploadId) -> RoundResult<()> {
        let access = self.objects.bucket_access(&to.bucket, false, &request.options).await?;
        passing(to, self.core.ports.objects.abort(to, id, &access).await)?;
        Ok(())
    }

    async fn note_summary(&self, held: &mut Leased, summary: Option<OwnUploads>) -> RoundResult<()> {
        let mut state: RootState = records::document(&held.item, attr::STATE)?;
        state.set_own(&Own { summary })?;
        self.core.save(held, vec![set(attr::STATE, records::text(&state)?)]).await
    }
}

/// An error that does not pass is told, and not waited for.
fn passing<T>(to: &ObjectLocation, done: Result<T, Error>) -> Result<Option<T>, Error> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.is_passing() => Err(error),
        Err(error) => {
            signals::slice::upload_left(to, &error);
            Ok(None)
        }
    }
}
