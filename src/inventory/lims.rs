//! What a laboratory knows of its libraries, as a table.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;

use super::tables::{Place, Tables, in_bucket};
use crate::{
    domain::share::{files::Library, lims},
    events::lists::Libraries,
    ports::{
        Result,
        inventory::{Metadata, Pages, Whose},
        objects::ObjectStore,
    },
};

/// A LIMS manifest; or none, and then nothing is known.
#[derive(Debug)]
pub struct Lims {
    objects: Arc<dyn ObjectStore>,
    place: Option<Place>,
}

impl Lims {
    /// The one at that place.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>, place: Option<Place>) -> Self {
        Self { objects, place }
    }

    fn pages(&self) -> Tables<Libraries> {
        Tables::new(self.objects.clone(), self.place.clone())
    }
}

#[async_trait]
impl Metadata for Lims {
    async fn libraries(&self, whose: Whose, ids: &BTreeSet<String>) -> Result<Vec<Library>> {
        // A library may be in several lines, each with another project, and only one of them is asked for.
        let mut meant = BTreeSet::new();
        if whose == Whose::Libraries {
            meant.clone_from(ids);
        } else {
            let mut pages = self.pages();
            while let Some(page) = pages.next().await? {
                let fitting = page.into_iter().filter(|library| ids.iter().any(|id| whose.is(library, id)));
                meant.extend(fitting.map(|library| library.library_id));
            }
        }
        let mut known: BTreeMap<String, Library> = BTreeMap::new();
        let mut pages = self.pages();
        while let Some(page) = pages.next().await? {
            for library in page.into_iter().filter(|library| meant.contains(&library.library_id)) {
                let there = known.entry(library.library_id.clone()).or_insert_with(|| library.clone());
                lims::merge(there, library);
            }
        }
        Ok(known.into_values().collect())
    }

    async fn manifest(&self, uri: &str) -> Result<Box<dyn Pages<Library>>> {
        Ok(Box::new(Tables::<Libraries>::new(self.objects.clone(), [in_bucket(uri)?])))
    }

    fn is_there(&self) -> bool {
        self.place.is_some()
    }
}
