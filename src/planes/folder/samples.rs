//! Snapshots for tests.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    snapshot::Snapshot,
    waiter::Waiter,
    wanted::{Origin, Resolved, Source},
};
use crate::{
    domain::{
        diff::{Verdict, Wanted},
        ids::{DataId, ProjectId},
        location::DataPath,
        request::FolderRequest,
        route::Route,
    },
    engine::records::attr,
    ports::store::{Item, Key},
};

pub(super) fn source(name: String) -> Source {
    let id = DataId::new(format!("fil.{name}"));
    let wanted = Wanted { name, size: 1, etag: None, route: Route::Job };
    let origin = Origin::File { project: ProjectId::new("p"), id };
    Source { wanted, origin, renamed: false, staged: None }
}

/// Waiters by the name of their root, which their files begin with, each with so many files and
/// siblings.
pub(super) fn snapshot(waiters: &[(&str, usize, i64)]) -> Snapshot {
    let path = DataPath::parse("/d/").unwrap();
    let waiters = waiters.iter().map(|(name, files, siblings)| {
        let item = Item::new(Key::new("folder.x", format!("WAITER#{name}")))
            .with(attr::ROOT, *name)
            .with(attr::SIBLINGS, *siblings);
        let files: Vec<_> = (0..*files).map(|n| source(format!("{name}{n:04}"))).collect();
        let verdicts = vec![Verdict::Missing; files.len()];
        (
            Waiter::read(&item, FolderRequest::at(ProjectId::new("p"), path.clone())),
            Arc::new(Resolved { files, ..Resolved::default() }),
            verdicts,
        )
    });
    let mut snapshot =
        Snapshot::new(ProjectId::new("p"), None, waiters.collect(), Arc::default(), BTreeSet::new());
    snapshot.index();
    snapshot
}
