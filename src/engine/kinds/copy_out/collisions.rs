//! Two objects of one list that would have the same key at the destination.
//!
//! A line costs 16 bytes here, and at most twice that. What looks like a collision is looked up in the
//! list again, so that no two keys are ever called the same that are not.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use super::{Judged, list::Lister};
use crate::{
    domain::{
        copy_out::{CopyOutRequest, SliceItem},
        outcome::{Culprit, ErrorName, Failure},
    },
    engine::Engine,
};

/// Collisions that are named.
const MOST: usize = 25;

/// What of a list has gone by.
#[derive(Debug, Default)]
pub(super) struct Collisions {
    /// Hashes of key and source.
    seen: Vec<(u64, u64)>,
}

impl Collisions {
    pub(super) fn note(&mut self, item: &SliceItem) {
        self.seen.push((hash(&item.to), hash(&item.from.to_string())));
    }

    /// Refuses a list with collisions. The same object twice is none.
    pub(super) async fn refuse(mut self, engine: &Engine, request: &CopyOutRequest) -> Judged<()> {
        self.seen.sort_unstable();
        let pairs = self.seen.windows(2).filter_map(|pair| match pair {
            [(one, from), (other, elsewhere)] if one == other && from != elsewhere => Some(*one),
            _ => None,
        });
        let suspects: HashSet<u64> = pairs.take(MOST).collect();
        drop(self.seen);
        if suspects.is_empty() {
            return Ok(());
        }
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut lister = Lister::open(engine, request).await?;
        while let Some(items) = lister.next().await? {
            for item in items.into_iter().filter(|item| suspects.contains(&hash(&item.to))) {
                let sources = found.entry(item.to).or_default();
                let source = item.from.to_string();
                if !sources.contains(&source) && sources.len() < MOST {
                    sources.push(source);
                }
            }
        }
        let culprits: Vec<_> = found
            .into_iter()
            .filter(|(_, sources)| sources.len() > 1)
            .flat_map(|(to, sources)| {
                let why = format!("would be `{to}` at the destination, and so would another object");
                sources.into_iter().map(move |what| Culprit { what, why: why.clone() })
            })
            .collect();
        if culprits.is_empty() {
            return Ok(());
        }
        let message = "objects of the list would have the same key at the destination; give them folders of \
                       their own (destinationRelativeFolderKey, sourceRootFolderKey)";
        Err(Failure::new(ErrorName::InvokeArgumentsInvariantError, message).naming(culprits).into())
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
