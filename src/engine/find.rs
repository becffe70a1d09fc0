//! The request that something is said about, by any name that it, or a part of it, was ever given.

use super::{Engine, list::Wanted, records::attr};
use crate::{
    domain::ids::RequestId,
    ports::{Class, Error, Result},
};

/// The longest name that a job, or a place, is looked for by.
const LONGEST_NAME: usize = 1024;
/// Pages of a list that are looked through for a place, and requests on each.
const MOST_PAGES: usize = 5;
const PAGE: usize = 50;

impl Engine {
    /// The request that is called so, to be looked at: by its own names, a job of it, or, the newest, exactly the
    /// place that it copies from or to.
    pub(super) async fn find(&self, name: &str, source: Option<&str>) -> Result<Option<RequestId>> {
        let id = self.core.id_of(name, source).await?;
        if id.is_some() || source.is_some() || name.is_empty() || name.len() > LONGEST_NAME {
            return Ok(id);
        }
        if name.contains("://") {
            return self.newest_at(name).await;
        }
        let notes = self.core.ports.store.get_many(&self.registry.notes_of(name)).await?;
        let roots = notes.iter().filter_map(|note| note.text(attr::ROOT)).filter(|root| !root.is_empty());
        Ok(roots.map(RequestId::new).next())
    }

    /// The request that is called so by a name of its own: its id, event, name or caller. What is to be changed is
    /// not guessed from a place or a job, which it may share with others.
    pub async fn own_id(&self, name: &str, source: Option<&str>) -> Result<Option<RequestId>> {
        self.core.id_of(name, source).await
    }

    async fn newest_at(&self, place: &str) -> Result<Option<RequestId>> {
        let bare = |uri: &str| uri.trim_end_matches('/').to_owned();
        let wanted = bare(place);
        let mut cursor = None;
        for _ in 0..MOST_PAGES {
            let page = Wanted { text: Some(wanted.clone()), limit: PAGE, cursor, ..Wanted::default() };
            let listed = self.list(&page).await?;
            let is_there = |view: &&super::view::RequestView| view.texts().any(|text| bare(text) == wanted);
            if let Some(view) = listed.requests.iter().find(is_there) {
                return Ok(Some(RequestId::new(view.id.as_str())));
            }
            cursor = listed.next;
            if cursor.is_none() {
                return Ok(None);
            }
        }
        let why = format!(
            "{place} is not among the newest requests: name the request by its id, or list with --text"
        );
        Err(Error::new(Class::Invalid, "find", why))
    }
}
