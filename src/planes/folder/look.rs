//! One look at the destination: the wanted files against those that are there.

use std::{collections::HashSet, sync::Arc};

use super::{
    FolderPlane,
    jobs::JobEnd,
    listing::Listing,
    snapshot::Snapshot,
    state::{Before, FolderState},
    trees::is_news,
    waiter::Waiter,
    wanted::Resolved,
};
use crate::{
    domain::{
        diff::{Content, Surroundings, Verdict, Wanted, verdict},
        file::{DataKind, DataStatus},
        ids::{DataId, ProjectId, digest},
        location::DataPath,
        route::Route,
    },
    engine::{
        lease::{Leased, RoundResult},
        records::{as_millis, millis},
    },
    ports::{Class, Error, platform::Destination},
};

impl FolderPlane {
    pub(super) async fn look(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        waiters: Vec<(Waiter, Arc<Resolved>)>,
        ended: &[JobEnd],
    ) -> RoundResult<Snapshot> {
        let Some(spec) = waiters.first().map(|(waiter, _)| waiter.spec.clone()) else {
            return Err(Error::new(Class::Invalid, "look", "nobody waits").into());
        };
        let resolved: Vec<_> =
            waiters.into_iter().map(|(waiter, files)| (waiter, files, Vec::new())).collect();
        let wanted = |(waiter, resolved, _): &(Waiter, Arc<Resolved>, _)| {
            self.core.settings.copy.empty_folders || waiter.spec.wants.is_empty() || resolved.len() > 0
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
                if let (Ok(listing), Some(id)) = (&listing, folder.id())
                    && listing.is_empty()
                    && !self.is_there(&spec.project, id).await?
                {
                    return Err(vanished(state).into());
                }
                listing
                    .map_err(|error| if error.class == Class::NotFound { vanished(state) } else { error })?
            }
            _ => Listing::default(),
        };
        state.looked_at = millis(self.core.ports.clock.now());
        state.pages = i64::from(listing.pages);
        let mut snapshot =
            Snapshot::new(spec.project, folder, resolved, Arc::new(listing), state.streamed.clone());
        snapshot.reasons = ended.iter().flat_map(|ended| ended.reasons.clone()).collect();
        snapshot.leftovers = ended.iter().flat_map(|ended| ended.leftovers.iter().cloned()).collect();
        // Deleted, and no longer listed: gone.
        if !state.condemned.is_empty() {
            let listed: HashSet<_> = snapshot.listing.ids().map(DataId::as_str).collect();
            state.condemned.retain(|id, condemned| !condemned.deleted || listed.contains(id.as_str()));
        }
        self.weigh(state, &snapshot).await?;
        let long_ago = state.looked_at - as_millis(self.core.settings.jobs.abandoned_after);
        let lately = state.looked_at - as_millis(self.core.settings.jobs.settle);
        let may_be = |name: &str, at: i64| at > lately || snapshot.listing.get(name).is_some();
        state.left.retain(|name, left| left.at > long_ago && may_be(name, left.at));
        state.spent.retain(|spent| spent.made_at > long_ago);
        self.prove(state, &mut snapshot).await?;
        self.judge(state, &mut snapshot);
        self.look_at_trees(state, &mut snapshot).await?;
        Ok(snapshot)
    }

    /// Fills in how every file of every waiter stands.
    pub(super) fn judge(&self, state: &mut FolderState, snapshot: &mut Snapshot) {
        let now = millis(self.core.ports.clock.now());
        let settle = as_millis(self.core.settings.jobs.settle);
        let in_flight = state.in_flight(now, settle);
        let patience = self.patience();
        let Snapshot { waiters, listing, leftovers, ours, overdue_at, streamed, .. } = &mut *snapshot;
        *overdue_at = None;
        for (waiter, resolved, verdicts) in waiters {
            // A job that has brought some of its files and not others: those it has brought may be told
            // as PARTIAL for as long as what has just been made, however long ago they were begun.
            let of_tree = waiter.spec.of_tree.is_some();
            let ended_at = if of_tree { state.failed_at.max(millis(waiter.since)) } else { state.failed_at };
            let judged = resolved.files.iter().map(|source| {
                let there = listing.get(&source.wanted.name);
                // Only files that would be deleted are spared so; a stream writes the same bytes again.
                let by_job = source.wanted.route == Route::Job && !streamed.contains(&source.wanted.name);
                let ended_at = if by_job { ended_at } else { 0 };
                let stranger = there.is_some_and(|data| match data.status {
                    DataStatus::Unknown => true,
                    DataStatus::Partial => {
                        let may_claim = !by_job && state.may_claim(&source.wanted.name, &data.id);
                        !may_claim && !ours.contains(&data.id)
                    }
                    _ => false,
                });
                let until = there
                    .filter(|_| stranger)
                    .map(|data| millis(data.created).max(millis(waiter.since)).saturating_add(patience));
                let overdue = until.is_some_and(|until| now >= until);
                if let Some(until) = until.filter(|_| !overdue) {
                    *overdue_at = Some(overdue_at.map_or(until, |at| at.min(until)));
                }
                let around = Surroundings {
                    in_flight: in_flight.contains(source.wanted.name.as_str()),
                    stranger,
                    overdue,
                    young: there.is_some_and(|data| {
                        let since = millis(data.created).max(ended_at);
                        !leftovers.contains(&data.id) && now < since + settle
                    }),
                    condemned: false,
                    content: there.map_or(Content::Unknown, |there| {
                        self.content_here(source, state.uploads.get(&source.wanted.name), there)
                    }),
                };
                let verdict = |condemned| {
                    let around = Surroundings { condemned, ..around };
                    if streamed.contains(&source.wanted.name) {
                        let wanted = Wanted { route: Route::Stream, ..source.wanted.clone() };
                        return verdict(&wanted, there, around, waiter.spec.on_conflict);
                    }
                    verdict(&source.wanted, there, around, waiter.spec.on_conflict)
                };
                let sentence = there.and_then(|data| state.condemned.get(data.id.as_str()));
                match (sentence, verdict(false)) {
                    (None, verdict) => verdict,
                    // Never seen to be carried out, and still to go.
                    (Some(open), again @ (Verdict::Condemn | Verdict::Replace)) if !open.deleted => again,
                    (Some(_), _) => verdict(true),
                }
            });
            *verdicts = judged.collect();
        }
        drop(in_flight);
        for (waiter, resolved, verdicts) in &snapshot.waiters {
            let seen = state.seen.entry(waiter.request.to_string());
            seen.or_insert_with(|| before(waiter, resolved, verdicts, &snapshot.listing));
        }
        snapshot.index();
        state.uploads.retain(|name, _| !matches!(snapshot.get(name), Some((_, Verdict::Done { .. }))));
        state.drop_uploads(now, |name, _| snapshot.get(name).is_some());
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

    /// The destination folder, made when it is missing; whether it was made just now. The root of a project
    /// is always there.
    async fn ensure_folder(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        project: &ProjectId,
        path: &DataPath,
    ) -> RoundResult<(Destination, bool)> {
        if let Some(known) = state.destination(path) {
            return Ok((known, false));
        }
        let platform = self.core.ports.platform.as_ref();
        if let Some(there) = platform.find(project, path).await? {
            if there.status == DataStatus::Deleting {
                let message = format!("{path} is being deleted");
                // A finding, and no fault of the platform.
                state.looked = Some((millis(self.core.ports.clock.now()), message.clone()));
                return Err(Error::new(Class::Transient, "find destination", message).into());
            }
            return Ok((state.found(there.id), false));
        }
        held.lease.check()?;
        // The same until there is an answer, and never again: the API replays answers for a week, also of
        // folders that have been deleted since.
        if state.folder_nonce.is_empty() {
            state.folder_nonce = self.core.ports.chance.uuid().to_string();
        }
        let key = digest(&["folder", &held.lease.key.id, &state.folder_nonce]);
        let made = platform.create_folder(project, path, &key).await;
        if !matches!(&made, Err(error) if error.may_have_happened) {
            state.folder_nonce.clear();
        }
        match made {
            Ok(made) => Ok((state.found(made.id), true)),
            // Another instance or writer made it, perhaps as a parent of its own folder; the index may lag.
            Err(error) if error.class == Class::Conflict => {
                if let Some(there) = platform.find(project, path).await? {
                    return Ok((state.found(there.id), false));
                }
                if let Some(file) = self.file_on_the_way(project, path).await? {
                    let message = format!("{file} is a file, and {path} would have to be a folder");
                    return Err(Error::new(Class::Conflict, "create folder", message).into());
                }
                let message = format!("{path} is there and not yet listed");
                Err(Error::new(Class::Transient, "create folder", message).caused_by(error).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A file that stands where a folder, or one above it, has to be.
    async fn file_on_the_way(&self, project: &ProjectId, path: &DataPath) -> Result<Option<DataPath>, Error> {
        let (mut bare, mut folder) = (Vec::new(), path.clone());
        while !folder.is_root() {
            let above = folder.parent();
            bare.push(above.file(folder.name()));
            folder = above;
        }
        let there = self.core.ports.platform.standing(project, &bare).await?;
        let file =
            there.into_iter().find(|data| data.kind == DataKind::File && data.status != DataStatus::Deleting);
        Ok(file.map(|data| data.path))
    }

    /// Whether a folder that is listed as empty is there at all: the listing of one that is gone is
    /// empty too.
    pub(super) async fn is_there(&self, project: &ProjectId, folder: &DataId) -> Result<bool, Error> {
        match self.core.ports.platform.get(project, folder).await {
            Ok(data) => Ok(data.status != DataStatus::Deleting),
            Err(error) if error.class == Class::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn list(&self, project: &ProjectId, folder: &Destination) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        let mut from = None;
        let folder = folder.folder();
        loop {
            let page = self.core.ports.platform.children(project, &folder, from.as_deref()).await?;
            listing.add(page.items);
            from = page.next;
            if from.is_none() {
                return Ok(listing.complete());
            }
        }
    }
}

/// A folder that was there and is no longer is made again in the next round.
fn vanished(state: &mut FolderState) -> Error {
    state.folder = None;
    Error::new(Class::Transient, "list destination", "the destination folder has vanished")
}

/// The files that a waiter found done when it came.
fn before(waiter: &Waiter, resolved: &Resolved, verdicts: &[Verdict], listing: &Listing) -> Before {
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
