//! Libraries by their own ids, or by what they are of.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ask::Ask,
    client::Client,
    wire::{LibraryTold, Subject},
};
use crate::{
    domain::share::{files::Library, lims},
    ports::{Result, inventory::Whose},
};

/// Ids of a question, so that its address stays short.
const BATCH: usize = 50;

/// The libraries of these ids, in the order of their own.
pub(super) async fn libraries(client: &Client, whose: Whose, ids: &BTreeSet<String>) -> Result<Vec<Library>> {
    let (parameter, ids) = match whose {
        Whose::Libraries => ("library_id", ids.clone()),
        Whose::Individuals => ("individual_id", ids.clone()),
        Whose::Projects => ("project_id", ids.clone()),
        Whose::Subjects => ("library_id", of_subjects(client, ids).await?),
    };
    let is_meant = |id: &str| whose == Whose::Individuals && ids.contains(id);
    let mut known: BTreeMap<String, Library> = BTreeMap::new();
    for batch in batches(&ids) {
        let ask = Ask::list("metadata", "GET metadata /library", &["library"]).with_each(parameter, &batch);
        let mut next = Some(ask);
        while let Some(ask) = next {
            let (page, further) = client.page::<LibraryTold>(&ask).await?;
            // One that fits in several ways may come several times.
            for library in page.into_iter().map(|told| told.library(is_meant)) {
                match known.get_mut(&library.library_id) {
                    Some(there) => lims::merge(there, library),
                    None => drop(known.insert(library.library_id.clone(), library)),
                }
            }
            next = further;
        }
    }
    known.remove("");
    Ok(known.into_values().collect())
}

/// The ids of the libraries of subjects.
async fn of_subjects(client: &Client, ids: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let mut libraries = BTreeSet::new();
    for batch in batches(ids) {
        let ask =
            Ask::list("metadata", "GET metadata /subject", &["subject"]).with_each("subject_id", &batch);
        for subject in client.all::<Subject>(ask).await? {
            libraries.extend(subject.library_set.into_iter().flatten().map(|library| library.library_id));
        }
    }
    Ok(libraries)
}

/// Ids, some at a time.
pub(super) fn batches(ids: &BTreeSet<String>) -> Vec<Vec<String>> {
    let ids: Vec<&String> = ids.iter().filter(|id| !id.is_empty()).collect();
    ids.chunks(BATCH).map(|batch| batch.iter().map(|&id| id.clone()).collect()).collect()
}
