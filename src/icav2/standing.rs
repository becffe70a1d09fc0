//! What stands at exact paths, several of them in one call.

use super::{
    call::{Call, MOST_ASKED, encoded},
    client::Client,
    linked::LIST,
};
use crate::{
    domain::{file::Data, ids::ProjectId, location::DataPath},
    ports::{Class, Result},
};

impl Client {
    /// The files and folders at those paths. The filter knows no case, so it may show others besides.
    pub(super) async fn standing_at(&self, project: &ProjectId, paths: &[DataPath]) -> Result<Vec<Data>> {
        let mut found = Vec::new();
        let mut rest = paths;
        while !rest.is_empty() {
            let mut call = Call::read(LIST, &[project.as_str()]);
            let (mut taken, mut bytes) = (0, 0);
            for path in rest {
                bytes += encoded(path.as_str()) + "&filePath=".len();
                if taken > 0 && bytes > MOST_ASKED {
                    break;
                }
                call = call.with("filePath", path.as_str());
                taken += 1;
            }
            rest = rest.get(taken..).unwrap_or_default();
            call = call.with("filePathMatchMode", "FULL_CASE_INSENSITIVE");
            let mut from = None;
            loop {
                let page = match self.list(call.clone(), &DataPath::root(), from.as_deref()).await {
                    Err(error) if error.class == Class::NotFound => break,
                    other => other?,
                };
                found.extend(page.items.into_iter().filter(|data| paths.contains(&data.path)));
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }
}
