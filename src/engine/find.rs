//! The request that something is said about, by any name that it, or a part of it, was ever given.

use super::{Engine, list::Wanted, records::attr};
use crate::{domain::ids::RequestId, ports::Result};

/// The longest name that a job, or a place, is looked for by.
const LONGEST_NAME: usize = 1024;

impl Engine {
    /// The id of the request that is called so.
    pub(super) async fn find(&self, name: &str, source: Option<&str>) -> Result<Option<RequestId>> {
        let id = self.core.id_of(name, source).await?;
        if id.is_some() || source.is_some() || name.is_empty() || name.len() > LONGEST_NAME {
            return Ok(id);
        }
        if name.contains("://") {
            let wanted = Wanted { text: Some(name.to_owned()), limit: 1, ..Wanted::default() };
            let newest = self.list(&wanted).await?.requests.into_iter().next();
            return Ok(newest.map(|view| RequestId::new(view.id)));
        }
        let notes = self.core.ports.store.get_many(&self.registry.notes_of(name)).await?;
        let roots = notes.iter().filter_map(|note| note.text(attr::ROOT)).filter(|root| !root.is_empty());
        Ok(roots.map(RequestId::new).next())
    }
}
