//! One look at the destination: what is wanted against what is there.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use super::{
    FolderPlane,
    jobs::Ended,
    listing::Listing,
    sources::{Resolved, Source},
    state::{Before, FolderState},
    trees::{Standing, is_news},
    waiter::Waiter,
};
use crate::{
    domain::{
        diff::{Content, Surroundings, Verdict, Wanted, verdict},
        file::{self, DataKind, DataStatus},
        ids::{DataId, ProjectId, digest},
        location::DataPath,
        route::Route,
    },
    engine::{
        lease::{Held, Step},
        records::{as_millis, millis},
    },
    ports::{Class, Error, platform::Destination},
};

/// What one look showed.
#[derive(Debug)]
pub(super) struct Picture {
    pub project: ProjectId,
    /// The destination folder; none where no file is wanted and empty folders are not made.
    pub folder: Option<Destination>,
    /// Who waits, with what each wants and how each of its files stands.
    pub waiters: Vec<(Waiter, Arc<Resolved>, Vec<Verdict>)>,
    /// What is there, by exact name.
    pub listing: Arc<Listing>,
    /// How source folders stand that go as one item of a job, by waiter and name.
    pub standings: BTreeMap<(String, String), Standing>,
    /// Names that are streamed although a job would be their route.
    pub streamed: BTreeSet<String>,
    /// Why files of ended jobs did not arrive, by name.
    pub reasons: BTreeMap<String, String>,
    /// PARTIAL files that our own ended jobs have left.
    pub leftovers: BTreeSet<DataId>,
    /// PARTIAL files that are ours, or nobody's any more.
    pub ours: BTreeSet<DataId>,
    /// When whoever waits longest for what is not ours has waited long enough.
    pub overdue_at: Option<i64>,
    /// Every wanted name once, in order: whose it is, and which of its files. Made by each judgement.
    pub wanted: Vec<(u32, u32)>,
}

impl Picture {
    /// Every wanted file with its verdict, by name, each name once: the first waiter's.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, (&Source, Verdict))> {
        self.wanted.iter().filter_map(|at| self.at(*at))
    }

    /// The files of one waiter with their verdicts.
    pub(super) fn files_of(&self, waiter: usize) -> impl Iterator<Item = (&Source, Verdict)> {
        let own = self.waiters.get(waiter);
        own.into_iter()
            .flat_map(|(_, resolved, verdicts)| resolved.files.iter().zip(verdicts.iter().copied()))
    }

    /// How the file of that name stands, if anybody wants it.
    pub(super) fn get(&self, name: &str) -> Option<(&Source, Verdict)> {
        let name_at = |at: &(u32, u32)| self.at(*at).map(|(name, _)| name);
        let found = self.wanted.binary_search_by(|at| name_at(at).cmp(&Some(name))).ok()?;
        self.wanted.get(found).and_then(|at| self.at(*at)).map(|(_, file)| file)
    }

    /// Every wanted name with the number of the waiter whose file it is.
    pub(super) fn owned(&self) -> impl Iterator<Item = (usize, &str, (&Source, Verdict))> {
        self.wanted.iter().filter_map(|at| self.at(*at).map(|(name, file)| (at.0 as usize, name, file)))
    }

    fn at(&self, (waiter, file): (u32, u32)) -> Option<(&str, (&Source, Verdict))> {
        let (_, resolved, verdicts) = self.waiters.get(waiter as usize)?;
        let source = resolved.files.get(file as usize)?;
        Some((&source.wanted.name, (source, *verdicts.get(file as usize)?)))
    }

    /// Leaves out those who do not wait any more. Where two wanted one name, it is the next one's turn.
    pub(super) fn keep(&mut self, waits: impl Fn(&Waiter) -> bool) {
        self.waiters.retain(|(waiter, ..)| waits(waiter));
        self.index();
    }

    /// Puts the names in order.
    pub(super) fn index(&mut self) {
        self.wanted.clear();
        let mut wanted: Vec<(&str, u32, u32)> = Vec::new();
        for (waiter, (_, resolved, _)) in (0_u32..).zip(&self.waiters) {
            wanted.reserve(resolved.files.len());
            wanted.extend(
                (0_u32..).zip(&resolved.files).map(|(n, file)| (file.wanted.name.as_str(), waiter, n)),
            );
        }
        wanted.sort_unstable();
        wanted.dedup_by(|(b, ..), (a, ..)| a == b);
        self.wanted = wanted.into_iter().map(|(_, waiter, file)| (waiter, file)).collect();
    }

    /// Whether what stands under that name is a PARTIAL file that is not ours.
    pub(super) fn is_strangers(&self, name: &str) -> bool {
        let is_partial = |data: &&file::Standing| data.status == DataStatus::Partial;
        self.listing.get(name).filter(is_partial).is_some_and(|data| !self.ours.contains(&data.id))
    }

    /// How a file is brought.
    pub(super) fn route(&self, source: &Source) -> Route {
        if self.streamed.contains(&source.wanted.name) { Route::Stream } else { source.wanted.route }
    }

    /// Whether that name is wanted and not there.
    pub(super) fn is_open(&self, name: &str) -> bool {
        if FolderState::is_tree(name) {
            return self.trees().get(name).is_some_and(|(_, standing)| !standing.is_complete());
        }
        let arrived = |verdict| matches!(verdict, Verdict::Done { .. } | Verdict::Skipped);
        self.get(name).is_some_and(|(_, verdict)| !arrived(verdict))
    }

    /// Whether something else stands there that stays.
    pub(super) fn is_clash(&self, name: &str) -> bool {
        self.get(name).is_some_and(|(_, verdict)| matches!(verdict, Verdict::Clash(_)))
    }
}

impl FolderPlane {
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
        let mut picture = Picture {
            project: spec.project,
            folder,
            waiters: resolved,
            listing: Arc::new(listing),
            wanted: Vec::new(),
            standings: BTreeMap::new(),
            streamed: state.streamed.clone(),
            reasons: ended.iter().flat_map(|ended| ended.reasons.clone()).collect(),
            leftovers: ended.iter().flat_map(|ended| ended.leftovers.iter().cloned()).collect(),
            ours: BTreeSet::new(),
            overdue_at: None,
        };
        // Deleted, and no longer listed: gone.
        if !state.condemned.is_empty() {
            let listed: HashSet<_> = picture.listing.ids().map(DataId::as_str).collect();
            state.condemned.retain(|id, condemned| !condemned.deleted || listed.contains(id.as_str()));
        }
        self.weigh(state, &picture).await?;
        let long_ago = state.looked_at - as_millis(self.core.settings.jobs.abandoned_after);
        let lately = state.looked_at - as_millis(self.core.settings.jobs.settle);
        let may_be = |name: &str, at: i64| at > lately || picture.listing.get(name).is_some();
        state.left.retain(|name, left| left.at > long_ago && may_be(name, left.at));
        state.spent.retain(|spent| spent.made_at > long_ago);
        self.prove(state, &mut picture).await?;
        self.judge(state, &mut picture);
        self.look_at_trees(state, &mut picture).await?;
        Ok(picture)
    }

    /// Fills in how every file of every waiter stands.
    pub(super) fn judge(&self, state: &mut FolderState, picture: &mut Picture) {
        let now = millis(self.core.ports.clock.now());
        let settle = as_millis(self.core.settings.jobs.settle);
        let in_flight = state.in_flight(now, settle);
        let patience = self.patience();
        let Picture { waiters, listing, leftovers, ours, overdue_at, streamed, .. } = &mut *picture;
        *overdue_at = None;
        for (waiter, resolved, verdicts) in waiters {
            // A job that has brought some of its files and not others: those it has brought may be told
            // as PARTIAL for as long as what has just been made, however long ago they were begun.
            let of_tree = waiter.spec.of_tree.is_some();
            let ended_at = if of_tree { state.failed_at.max(millis(waiter.since)) } else { state.failed_at };
            let judged = resolved.files.iter().map(|source| {
                let there = listing.get(&source.wanted.name);
                // Only what would be deleted is spared so; a stream writes the same bytes again.
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
        for (waiter, resolved, verdicts) in &picture.waiters {
            let seen = state.seen.entry(waiter.request.to_string());
            seen.or_insert_with(|| before(waiter, resolved, verdicts, &picture.listing));
        }
        picture.index();
        state.uploads.retain(|name, _| !matches!(picture.get(name), Some((_, Verdict::Done { .. }))));
        state.drop_uploads(now, |name, _| picture.get(name).is_some());
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
        held: &mut Held,
        state: &mut FolderState,
        project: &ProjectId,
        path: &DataPath,
    ) -> Step<(Destination, bool)> {
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
            // Somebody else made it, perhaps as a parent of its own folder; the index may lag.
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

/// What a waiter found done when it came.
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
