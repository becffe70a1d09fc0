//! One look at the destination: what is wanted against what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    jobs::Ended,
    sources::{Resolved, Source},
    state::{Before, FolderState},
    trees::{Standing, is_news},
};
use crate::{
    domain::{
        diff::{Surroundings, Verdict, verdict},
        file::{Data, DataKind, DataStatus},
        ids::{DataId, ProjectId, digest},
        location::DataPath,
        route::Route,
    },
    engine::{
        Engine,
        lease::{Held, Step},
        records::{Waiter, millis},
    },
    ports::{Class, Error, platform::Folder},
};

/// What one look showed.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub project: ProjectId,
    /// The destination folder; none where no file is wanted and empty folders are not made.
    pub folder: Option<DataId>,
    /// Who waits, with what each wants and how each of its files stands.
    pub waiters: Vec<(Waiter, Arc<Resolved>, Vec<Verdict>)>,
    /// What is there, by exact name.
    pub listing: BTreeMap<String, Data>,
    /// How source folders stand that go as one item of a job, by waiter and name.
    pub standings: BTreeMap<(String, String), Standing>,
    /// Names that are streamed although a job would be their route.
    pub streamed: BTreeSet<String>,
    /// Why files of ended jobs did not arrive, by name.
    pub reasons: BTreeMap<String, String>,
    /// PARTIAL files that our own ended jobs have left.
    pub leftovers: BTreeSet<DataId>,
}

impl Picture {
    /// Every wanted file with its verdict, each name once: the first waiter's.
    pub(super) fn files(&self) -> BTreeMap<&str, (&Source, Verdict)> {
        let mut files = BTreeMap::new();
        for (_, resolved, verdicts) in &self.waiters {
            for (source, verdict) in resolved.files.iter().zip(verdicts) {
                files.entry(source.wanted.name.as_str()).or_insert((source, *verdict));
            }
        }
        files
    }

    /// How a file is brought.
    pub(super) fn route(&self, source: &Source) -> Route {
        if self.streamed.contains(&source.wanted.name) { Route::Stream } else { source.wanted.route }
    }

    /// Whether all of these names are there now, or nobody wants them any more.
    pub(super) fn all_done(&self, names: &[String]) -> bool {
        let (files, trees) = (self.files(), self.trees());
        names.iter().all(|name| {
            if let Some((_, standing)) = trees.get(name.as_str()) {
                let Standing::Ended { unfinished, .. } = standing else { return false };
                return unfinished.is_nothing();
            }
            files
                .get(name.as_str())
                .is_none_or(|(_, verdict)| matches!(verdict, Verdict::Done { .. } | Verdict::Skipped))
        })
    }
}

impl Engine {
    pub(super) async fn look(
        &self,
        held: &mut Held,
        state: &mut FolderState,
        waiters: Vec<(Waiter, Arc<Resolved>)>,
        ended: &[Ended],
    ) -> Step<Picture> {
        let Some(spec) = waiters.first().map(|(waiter, _)| waiter.spec.clone()) else {
            return Err(Error::new(Class::Invalid, "look", "nobody waits").into());
        };
        let resolved: Vec<_> =
            waiters.into_iter().map(|(waiter, files)| (waiter, files, Vec::new())).collect();
        let wanted = |(waiter, resolved, _): &(Waiter, Arc<Resolved>, _)| {
            self.settings.copy.empty_folders || waiter.spec.wants.is_empty() || resolved.len() > 0
        };
        let (folder, fresh) = if resolved.iter().any(wanted) {
            let (id, fresh) = self.ensure_folder(held, state, &spec.project, &spec.path).await?;
            (Some(id), fresh)
        } else {
            (None, true)
        };
        let listing = match &folder {
            Some(folder) if !fresh => {
                let listing = self.list(&spec.project, folder).await;
                if listing.as_ref().is_ok_and(BTreeMap::is_empty)
                    && !self.is_there(&spec.project, folder).await?
                {
                    return Err(vanished(state).into());
                }
                listing
                    .map_err(|error| if error.class == Class::NotFound { vanished(state) } else { error })?
            }
            _ => BTreeMap::new(),
        };
        let mut picture = Picture {
            project: spec.project,
            folder,
            waiters: resolved,
            listing,
            standings: BTreeMap::new(),
            streamed: state.streamed.clone(),
            reasons: ended.iter().flat_map(|ended| ended.reasons.clone()).collect(),
            leftovers: ended.iter().flat_map(|ended| ended.leftovers.iter().cloned()).collect(),
        };
        // Deleted, and no longer listed: gone.
        let listed: BTreeSet<_> = picture.listing.values().map(|data| data.id.as_str()).collect();
        state.condemned.retain(|id, condemned| !condemned.deleted || listed.contains(id.as_str()));
        self.judge(state, &mut picture);
        self.look_at_trees(state, &mut picture).await?;
        Ok(picture)
    }

    /// Fills in how every file of every waiter stands.
    pub(super) fn judge(&self, state: &mut FolderState, picture: &mut Picture) {
        let now = millis(self.ports.clock.now());
        let settle = as_millis(self.settings.jobs.settle);
        let in_flight: BTreeSet<String> =
            state.in_flight(now, settle).into_iter().map(str::to_owned).collect();
        for (waiter, resolved, verdicts) in &mut picture.waiters {
            *verdicts = resolved
                .files
                .iter()
                .map(|source| {
                    let there = picture.listing.get(&source.wanted.name);
                    let around = Surroundings {
                        in_flight: in_flight.contains(&source.wanted.name),
                        foreign_job: false,
                        young: there.is_some_and(|data| {
                            !picture.leftovers.contains(&data.id) && now < millis(data.created) + settle
                        }),
                        condemned: there.is_some_and(|data| state.condemned.contains_key(data.id.as_str())),
                    };
                    let mut wanted = source.wanted.clone();
                    if picture.streamed.contains(&wanted.name) {
                        wanted.route = Route::Stream;
                    }
                    verdict(&wanted, there, around, waiter.spec.on_conflict)
                })
                .collect();
            let listing = &picture.listing;
            let seen = state.seen.entry(waiter.request.to_string());
            seen.or_insert_with(|| before(waiter, resolved, verdicts, listing));
        }
        let files = picture.files();
        state
            .uploads
            .retain(|name, _| !matches!(files.get(name.as_str()), None | Some((_, Verdict::Done { .. }))));
        for upload in state.uploads.values_mut() {
            // Its bytes were taken, and yet it does not show up: that try has failed too.
            if upload.put_at.is_some_and(|at| now >= at + settle) {
                upload.put_at = None;
                upload.attempts += 1;
                upload.nonce.clear();
                "was uploaded and did not become available".clone_into(&mut upload.reason);
            }
        }
    }

    /// The destination folder, made when it is missing; whether it was made just now.
    async fn ensure_folder(
        &self,
        held: &mut Held,
        state: &mut FolderState,
        project: &ProjectId,
        path: &DataPath,
    ) -> Step<(DataId, bool)> {
        if let Some(id) = &state.folder {
            return Ok((id.clone(), false));
        }
        let platform = self.ports.platform.as_ref();
        if let Some(there) = platform.find(project, path).await? {
            if there.status == DataStatus::Deleting {
                let message = format!("{path} is being deleted");
                return Err(Error::new(Class::Transient, "find destination", message).into());
            }
            state.folder = Some(there.id.clone());
            return Ok((there.id, false));
        }
        held.lease.check()?;
        // The epoch makes the key new after a deletion, and the same for repeats of this attempt.
        let key = digest(&[
            "folder",
            project.as_str(),
            path.as_str(),
            &held.lease.key.id,
            &held.lease.epoch.to_string(),
        ]);
        match platform.create_folder(project, path, &key).await {
            Ok(made) => {
                state.folder = Some(made.id.clone());
                Ok((made.id, true))
            }
            // Somebody else made it, perhaps as a parent of its own folder; the index may lag.
            Err(error) if error.class == Class::Conflict => match platform.find(project, path).await? {
                Some(there) => {
                    state.folder = Some(there.id.clone());
                    Ok((there.id, false))
                }
                None => Err(Error::new(
                    Class::Transient,
                    "create folder",
                    format!("{path} is there and not yet listed"),
                )
                .caused_by(error)
                .into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a folder that is listed as empty is there at all: the listing of one that is gone is
    /// empty too.
    pub(super) async fn is_there(&self, project: &ProjectId, folder: &DataId) -> Result<bool, Error> {
        match self.ports.platform.get(project, folder).await {
            Ok(data) => Ok(data.status != DataStatus::Deleting),
            Err(error) if error.class == Class::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn list(
        &self,
        project: &ProjectId,
        folder: &DataId,
    ) -> Result<BTreeMap<String, Data>, Error> {
        let mut listing: BTreeMap<String, Data> = BTreeMap::new();
        let mut from = None;
        let folder = Folder::Id(folder.clone());
        loop {
            let page = self.ports.platform.children(project, &folder, from.as_deref()).await?;
            for data in page.items {
                let name = data.name().to_owned();
                // S3 lets a file and a folder have one name; the file is what is compared.
                let hidden = data.kind == DataKind::Folder && listing.contains_key(&name);
                if !hidden {
                    listing.insert(name, data);
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(listing);
            }
        }
    }
}

/// A folder that was there and is no longer is made again in the next round.
fn vanished(state: &mut FolderState) -> Error {
    state.folder = None;
    Error::new(Class::Transient, "list destination", "the destination folder has vanished")
}

/// What a waiter found done when it came.
fn before(
    waiter: &Waiter,
    resolved: &Resolved,
    verdicts: &[Verdict],
    listing: &BTreeMap<String, Data>,
) -> Before {
    let mut before = Before::default();
    for (source, verdict) in resolved.files.iter().zip(verdicts) {
        let there = listing.get(&source.wanted.name);
        if let Verdict::Done { by_size } = verdict
            && !there.is_some_and(|data| is_news(waiter, data))
        {
            before.skipped += 1;
            before.by_size += u64::from(*by_size);
            before.bytes += source.wanted.size;
            before.renamed += u64::from(source.renamed);
        }
    }
    before
}

pub(super) fn as_millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
