//! Archived reads are restored before a package is ready, where it asks for that. Each chunk that has some is a
//! child: a slice whose objects have only to become readable, where they are.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    Own, Package,
    look::{MISSING, is_cold, location},
};
use crate::{
    domain::{
        copy_out::{CopyStatus, Origin, SliceItem, SliceOptions, SliceRequest},
        file::ETag,
        ids::RequestId,
        outcome::{ErrorName, Outcome},
        request::Kind,
        share::files::PackagedFile,
    },
    engine::{
        kind::PlanError,
        lease::{Leased, RoundResult, id_of},
        liveness::RootRef,
        records::{self, Phase, RootState, after, attr, set},
        tree::{Child, End, Roster, Tree, Window},
    },
    kinds::frozen::{PackageChunk, Wrong, read_chunk},
    ports,
};

/// Chunks whose restores are asked for at a time; those that only wait are not counted.
const CHUNKS: u64 = 4;
/// Calls for one chunk at a time.
const WIDTH: u32 = 16;
/// When children are looked at again whose tallies were ahead of them.
const AHEAD: Duration = Duration::from_secs(5);

/// What is said of reads that have not come back.
const WHAT: &str = "archived reads cannot be restored";

/// The restores of a package.
#[derive(Debug)]
pub(super) struct Restoring<'a> {
    package: &'a Package,
    generation: u32,
    /// The chunk of each child.
    chunks: Vec<u32>,
}

impl<'a> Restoring<'a> {
    pub(super) fn new(package: &'a Package, state: &RootState, own: Own) -> Self {
        Self { package, generation: state.generation, chunks: own.cold }
    }

    fn id(&self, root: &RequestId, number: u64) -> RequestId {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        RequestId::child(root, self.generation, self.plane(), "restores", number)
    }

    async fn chunk(&self, held: &Leased, n: u32) -> ports::Result<PackageChunk> {
        read_chunk(&self.package.core, &id_of(held), self.generation, n).await
    }

    async fn child(&self, held: &Leased, number: u64, n: u32) -> RoundResult<Child> {
        let chunk = self.chunk(held, n).await?;
        let items: Vec<_> = chunk.kept().filter(|file| is_cold(file)).filter_map(item).collect();
        let bucket = items.first().map(|item| match &item.from {
            Origin::Object { bucket, .. } => bucket.clone(),
            Origin::Data { .. } => String::new(),
        });
        let thaw = self.package.settings.thaw();
        let options = SliceOptions { thaw, only_restore: true, ..SliceOptions::default() };
        let bucket = bucket.unwrap_or_default();
        let spec = SliceRequest { number, bucket, items, concurrency: WIDTH, options };
        Ok(Child {
            id: self.id(&id_of(held), number),
            destination: held.item.text(attr::DESTINATION).unwrap_or_default().to_owned(),
            spec: records::text(&spec)?,
        })
    }

    /// Notes the reads that have not come back; false while a child has not settled.
    async fn judge(&self, held: &Leased, wrong: &mut Wrong) -> RoundResult<bool> {
        let (id, core) = (id_of(held), &self.package.core);
        for (number, n) in (0..).zip(&self.chunks) {
            let child = core.ports.store.get(&records::request_key(&self.id(&id, number))).await?;
            let Some(settled) = child.filter(|item| Phase::of(item) == Some(Phase::Settled)) else {
                return Ok(false);
            };
            let outcome: Outcome = core.read_document(&settled, attr::OUTCOME).await?;
            let failed: Vec<_> = (outcome.objects.into_iter().enumerate())
                .filter(|(_, object)| object.status == CopyStatus::Error)
                .collect();
            if !failed.is_empty() {
                let chunk = self.chunk(held, *n).await?;
                let cold: Vec<_> = chunk.kept().filter(|file| is_cold(file)).collect();
                for (place, object) in failed {
                    let uri = cold.get(place).map(|file| file.uri.clone()).unwrap_or_default();
                    wrong.note(uri, object.message);
                }
            }
            core.record_progress(&[RootRef::of(&held.item)]);
        }
        Ok(true)
    }

    /// Looks at what has come back, and keeps it as it is now.
    async fn look_again(&self, held: &Leased, wrong: &mut Wrong) -> RoundResult<Result<(), PlanError>> {
        let core = &self.package.core;
        for n in self.chunks.iter().copied() {
            let mut chunk = self.chunk(held, n).await?;
            let cold = chunk.files.iter().enumerate().filter(|(_, file)| is_cold(file));
            let cold = cold.filter(|(place, _)| !chunk.dropped.contains_key(place));
            let found = match self.package.find(held, cold).await {
                Ok(found) => found,
                Err(error) => return Ok(Err(error.into())),
            };
            for (place, found) in found {
                let Some(file) = chunk.files.get_mut(place) else { continue };
                match found {
                    None => wrong.note(file.uri.clone(), MISSING.to_owned()),
                    Some(found) if found.etag.as_ref().map(ToString::to_string) != file.etag => {
                        wrong.note(file.uri.clone(), "has changed while it was restored".to_owned());
                    }
                    Some(found) => file.archived = found.archived,
                }
            }
            chunk.put(core, held, self.generation, n).await?;
            core.record_progress(&[RootRef::of(&held.item)]);
        }
        Ok(Ok(()))
    }

    /// Whether all reads have come back; false while that is not known.
    async fn are_back(&self, held: &mut Leased) -> RoundResult<Result<bool, PlanError>> {
        let mut wrong = Wrong::default();
        if !self.judge(held, &mut wrong).await? {
            return Ok(Ok(false));
        }
        if let Err(failure) = wrong.refuse(ErrorName::CopyError, WHAT) {
            return Ok(Err(failure.into()));
        }
        let mut wrong = Wrong::default();
        if let Err(error) = self.look_again(held, &mut wrong).await? {
            return Ok(Err(error));
        }
        if let Err(failure) = wrong.refuse(ErrorName::SourceNotFound, WHAT) {
            return Ok(Err(failure.into()));
        }
        let mut state: RootState = records::document(&held.item, attr::STATE)?;
        let own: Own = state.own()?;
        state.set_own(&Own { restored: true, ..own })?;
        self.package.core.save(held, vec![set(attr::STATE, records::text(&state)?)]).await?;
        Ok(Ok(true))
    }
}

/// A read as an object that is to be restored.
fn item(file: &PackagedFile) -> Option<SliceItem> {
    let at = location(&file.uri)?;
    let etag = file.etag.as_deref().map(ETag::new);
    let to = at.key.clone();
    let from = Origin::Object { bucket: at.bucket, key: at.key, unsigned: false, sums: None, etag };
    Some(SliceItem { from, to })
}

impl Package {
    /// Has the archived reads of these chunks restored: the next step of the root.
    pub(super) async fn begin_restores(&self, held: &mut Leased, cold: Vec<u32>) -> RoundResult<()> {
        let mut state: RootState = records::document(&held.item, attr::STATE)?;
        let own: Own = state.own()?;
        (state.children, state.spread) = (cold.len() as u64, 0);
        state.set_own(&Own { cold, ..own })?;
        let phase = set(attr::PHASE, Phase::Planned.as_str());
        self.core.save(held, vec![phase, set(attr::STATE, records::text(&state)?)]).await
    }
}

#[async_trait]
impl Tree for Restoring<'_> {
    fn plane(&self) -> &'static str {
        Kind::Slice.as_str()
    }

    fn noun(&self) -> &'static str {
        "restores"
    }

    fn window(&self) -> Window {
        Window::InFlight(CHUNKS)
    }

    async fn next(&self, held: &Leased, state: &mut RootState, room: u64) -> RoundResult<Vec<Child>> {
        let (first, room) = (usize::try_from(state.spread), usize::try_from(room).unwrap_or(usize::MAX));
        let next = (state.spread..).zip(self.chunks.iter().skip(first.unwrap_or(usize::MAX))).take(room);
        let mut children = Vec::new();
        for (number, n) in next {
            children.push(self.child(held, number, *n).await?);
        }
        state.spread += children.len() as u64;
        Ok(children)
    }

    async fn roster(&self, held: &Leased, state: &RootState) -> RoundResult<Roster<'_>> {
        // A crash may have kept the last ones that were put from being counted.
        let put = state.spread.saturating_add(CHUNKS).min(state.children);
        let root = id_of(held);
        Ok(Roster::new(put, move |number| Some(self.id(&root, number))))
    }

    async fn end(&self, held: &mut Leased) -> RoundResult<End> {
        let state: RootState = records::document(&held.item, attr::STATE)?;
        if state.own::<Own>()?.restored {
            return self.package.go_on(held).await;
        }
        match self.are_back(held).await? {
            Ok(true) => self.package.go_on(held).await,
            Ok(false) => Ok(End::NotBefore(after(self.package.core.ports.clock.now(), AHEAD))),
            Err(error) => self.package.held_up(held, error).await,
        }
    }
}
