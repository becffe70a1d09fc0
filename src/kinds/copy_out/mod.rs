//! The `copy_out` kind: the objects of a list to one bucket (`S3CopyOutSync`).

mod list;
mod reading;

use std::sync::Arc;

use async_trait::async_trait;

use self::list::InObject;
use super::{
    asked::asked,
    lists::Lists,
    slices::{SliceKind, Slices},
};
use crate::{
    domain::copy_out::{BucketDefinition, CopyOutRequest},
    engine::{
        kind::Kind,
        lease::{Leased, RoundResult},
        records::RootState,
        round::AfterRound,
        tree::Tree,
    },
};

/// Lists in objects of S3.
#[derive(Debug)]
pub struct CopyOut {
    lists: Arc<Lists>,
}

impl CopyOut {
    pub(crate) fn new(lists: Arc<Lists>) -> Self {
        Self { lists }
    }

    /// The request of the caller, as it is meant here.
    async fn request(&self, held: &Leased) -> RoundResult<CopyOutRequest> {
        Ok(self.completed(asked(&self.lists.core, held).await?))
    }

    /// A request with the settings of this installation filled in.
    fn completed(&self, mut request: CopyOutRequest) -> CopyOutRequest {
        let settings = &self.lists.core.settings.copy_out;
        if request.list_bucket.is_none() && !settings.working_bucket.is_empty() {
            request.list_bucket = Some(settings.working_bucket.clone());
            request.list_key.insert_str(0, &settings.working_prefix);
        }
        if let Some(region) = &request.required_region {
            let definition: &mut BucketDefinition =
                request.options.buckets.entry(request.destination_bucket.clone()).or_default();
            definition.region.get_or_insert_with(|| region.clone());
        }
        request
    }
}

#[async_trait]
impl Kind for CopyOut {
    fn name(&self) -> &'static str {
        "copy_out"
    }

    async fn plan(&self, held: &mut Leased) -> RoundResult<Option<AfterRound>> {
        let request = self.request(held).await?;
        self.lists.begin_list(held, request, &InObject(&self.lists)).await
    }

    fn tree<'a>(&'a self, state: &RootState) -> RoundResult<Box<dyn Tree + 'a>> {
        let core = &self.lists.core;
        let slices = Slices::of(core, self, state)?;
        Ok(Box::new(slices.unwrap_or_else(|| Slices::none(core, self))))
    }

    async fn abandon(&self, held: &mut Leased) -> RoundResult<()> {
        let request = self.request(held).await?;
        self.lists.drop_summary_if_possible(held, &request).await
    }
}

#[async_trait]
impl SliceKind for CopyOut {
    async fn end(&self, held: &mut Leased, slices: &Slices<'_>) -> RoundResult<bool> {
        let request = self.request(held).await?;
        let Some(outcome) = self.lists.end_list(held, slices, &request).await? else { return Ok(false) };
        self.lists.core.conclude(held, &outcome).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stored::{are_kept, documents};

    #[test]
    fn reads_what_earlier_versions_wrote() {
        let specs = documents("PAYLOAD", "spec");
        let specs: Vec<_> = specs.into_iter().filter(|text| text.contains("\"list_bucket\"")).collect();
        assert!(are_kept::<CopyOutRequest>(&specs) >= 1);
    }
}
