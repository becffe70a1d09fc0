//! The refusals for the sources of a copy, before anything is copied.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{external::ExternalSource, find::Found};
use crate::{
    domain::{
        file::{DataKind, DataStatus, status_words},
        ids::DataId,
        location::DataPath,
        outcome::{Culprit, ErrorName, Failure, culprit},
    },
    engine::{kind::PlanError, settings::SameProject},
    ports::platform::Project,
};

/// How many sources a message names.
const FEW: usize = 3;

/// Every source once, however often and in whatever ways it was named: the first counts.
pub(crate) fn once(found: Vec<Found>, outside: Vec<ExternalSource>) -> (Vec<Found>, Vec<ExternalSource>) {
    let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
    let found = found.into_iter().filter(|source| ids.insert(source.data.id.clone())).collect();
    let is_new = |source: &ExternalSource| keys.insert((source.bucket.clone(), source.key.clone()));
    (found, outside.into_iter().filter(is_new).collect())
}

/// Sources that are not there, of so many.
pub(crate) fn missing(culprits: Vec<Culprit>, all: usize) -> Failure {
    let names: Vec<_> = culprits.iter().map(|culprit| culprit.what.as_str()).collect();
    let message = format!("{} of {all} sources are not there: {}", names.len(), few(&names));
    Failure::new(ErrorName::SourceNotFound, message).naming(culprits)
}

/// The first few of those that a message is about, and how many more there are.
fn few(names: &[&str]) -> String {
    let shown = names.iter().take(FEW).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(FEW) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Two sources of one name; files that may get other names are judged with those.
pub(crate) fn names(
    found: &[Found],
    outside: &[ExternalSource],
    files_may_differ: bool,
) -> Result<(), Failure> {
    let inside =
        found.iter().map(|source| (source.data.name(), &source.uri, source.data.kind == DataKind::File));
    let outside = outside.iter().map(|source| (source.name.as_str(), &source.uri, !source.is_folder));
    let mut names: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for (name, uri, _) in inside.chain(outside).filter(|(.., is_file)| !(files_may_differ && *is_file)) {
        names.entry(name).or_default().push(uri);
    }
    let twice: Vec<_> = names.into_iter().filter(|(_, sources)| sources.len() > 1).collect();
    if twice.is_empty() {
        return Ok(());
    }
    let culprits = twice.iter().flat_map(|(name, sources)| {
        sources.iter().map(move |uri| Culprit {
            what: (*uri).clone(),
            why: format!("would be `{name}` at the destination, and so would another source"),
        })
    });
    Err(Failure::new(ErrorName::InvalidRequest, "two sources have the same name").naming(culprits))
}

/// A destination inside a source, and sources that are where they would go. `renamed`: files that
/// get another name, which may well be in the same folder.
pub(crate) fn places(
    found: &[Found],
    renamed: &BTreeSet<DataId>,
    target: &Project,
    path: &DataPath,
) -> Result<(), Failure> {
    for source in found.iter().filter(|source| source.project == target.id) {
        if source.data.kind == DataKind::Folder && path.inside(&source.data.path).is_some() {
            let message = "the destination lies inside a source";
            let why = format!("holds the destination {path}");
            return Err(culprit(ErrorName::RecursionLimit, message, &source.uri, &why));
        }
        if source.data.path.parent() == *path && !renamed.contains(&source.data.id) {
            let message = "a source would be copied onto itself";
            let why = "is in the destination folder already";
            return Err(culprit(ErrorName::InvalidRequest, message, &source.uri, why));
        }
    }
    Ok(())
}

/// Copies inside one project, where the installation does not allow them.
pub(crate) fn same_project(allowed: SameProject, found: &[Found], target: &Project) -> Result<(), Failure> {
    if allowed == SameProject::Allow {
        return Ok(());
    }
    let culprits: Vec<_> = found
        .iter()
        .filter(|source| source.project == target.id)
        .map(|source| Culprit {
            what: source.uri.clone(),
            why: "is in the project that it would be copied to".to_owned(),
        })
        .collect();
    if culprits.is_empty() {
        return Ok(());
    }
    let message =
        format!("copies inside a project, here `{}`, are refused by icav2.same_project_copies", target.name);
    Err(Failure::new(ErrorName::PolicyDenied, message).naming(culprits))
}

/// Sources named one by one that cannot be read now.
pub(crate) fn ready(found: &[Found], outside: &[ExternalSource]) -> Result<(), PlanError> {
    let not_ready = |source: &&Found| {
        let data = &source.data;
        data.kind == DataKind::File && (data.status != DataStatus::Available || data.lacks_size())
    };
    let inside = found.iter().filter(not_ready).map(|source| (&source.uri, source.data.status));
    let archived = |source: &&ExternalSource| {
        !source.is_folder && source.objects.values().flatten().any(|object| object.archived)
    };
    let cold = outside.iter().filter(archived).map(|source| (&source.uri, DataStatus::Archived));
    let unready: Vec<_> = inside.chain(cold).collect();
    // The bytes of these may be in, and not be told to be.
    let is_passing =
        |(_, status): &(&String, DataStatus)| matches!(status, DataStatus::Partial | DataStatus::Available);
    let may_pass = unready.iter().all(is_passing);
    let why = |status| match status {
        DataStatus::Available => "ICAv2 does not tell its size",
        status => status_words(status),
    };
    let culprits: Vec<_> = unready
        .into_iter()
        .map(|(uri, status)| Culprit { what: uri.clone(), why: why(status).into() })
        .collect();
    if culprits.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = culprits.iter().map(|culprit| culprit.what.as_str()).collect();
    let all = found.len() + outside.len();
    let message = format!("{} of {all} sources cannot be read now: {}", names.len(), few(&names));
    let failure = Failure::new(ErrorName::SourceNotReady, message).naming(culprits);
    Err(if may_pass { PlanError::NotYet(failure) } else { failure.into() })
}
