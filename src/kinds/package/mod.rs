//! The `package` kind: a named, frozen list of files.
//!
//! What is asked for is resolved to files, which are written down in chunks. Then every file is looked at, chunk
//! by chunk: its size, its `ETag` and its class are kept, and what is pushed later is that and nothing else. Archived
//! reads may be restored then, and what another package held may be left out.

mod doubles;
mod events;
mod look;
mod meant;
mod papers;
mod resolve;
mod restore;
mod since;
mod sources;
mod sums;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use self::{look::Next, restore::Restoring};
use super::{
    asked::asked,
    cards::Cards,
    frozen::{gone, read_chunk, report_of},
    told::{Telling, Tells, tell_if_possible, unwritable},
};
use crate::{
    domain::{
        ids::RequestId,
        outcome::{Counters, Failure, Outcome},
        share::{
            files::PackagedFile, outcome::PackageReport, request::PackageOrder, settings::ShareSettings,
        },
    },
    engine::{
        Order,
        core::Core,
        kind::{Kind, NoOrder, PlanError},
        lease::{Leased, RoundResult, id_of},
        liveness::RootRef,
        records::{self, Phase, RootState, after, attr, millis, set, started_at},
        round::AfterRound,
        tree::{Child, End, Roster, Tree, Window},
    },
    events::{
        PACKAGE_REQUEST,
        intake::OtherEvent,
        outgoing::Status,
        share::shown::{FilesShown, JobStatus, PackageShown},
    },
    ports,
};

/// When what could not be looked at is looked at again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Packages.
#[derive(Debug)]
pub struct Package {
    core: Arc<Core>,
    settings: Arc<ShareSettings>,
}

/// The state that a package keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Own {
    /// The chunks of its files; 0: none, or not resolved yet.
    files_chunks: u32,
    /// Chunks that have been looked at.
    looked: u32,
    /// Chunks whose files have been read for their sums.
    #[serde(skip_serializing_if = "is_zero")]
    summed: u32,
    /// Chunks with archived reads that are restored; none: they are not, or that is not known yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cold: Vec<u32>,
    /// Libraries that files of it are of, too, though nobody has asked for them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    also: BTreeSet<String>,
    /// Whether these have come back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    restored: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Where the files of a package are written down.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frozen {
    id: RequestId,
    generation: u32,
    chunks: u32,
}

impl Frozen {
    /// Those of the package that is being made.
    fn of(held: &Leased, state: &RootState, own: &Own) -> Self {
        Self { id: id_of(held), generation: state.generation, chunks: own.files_chunks }
    }
}

impl Package {
    pub(crate) fn new(core: Arc<Core>, settings: Arc<ShareSettings>) -> Self {
        Self { core, settings }
    }

    /// What a package holds; `None` where it has not succeeded, or is not there.
    pub async fn report(&self, id: &RequestId) -> ports::Result<Option<PackageReport>> {
        report_of(&self.core, id).await
    }

    /// The files of a package that has succeeded: how many there are, and at most so many from the first on.
    pub async fn files(
        &self,
        id: &RequestId,
        first: usize,
        most: usize,
    ) -> ports::Result<(usize, Vec<PackagedFile>)> {
        let report = report_of(&self.core, id).await?.ok_or_else(|| gone(id))?;
        let (mut before, mut files) = (0, Vec::new());
        for (n, count) in (0..report.chunks).zip(&report.counts) {
            let count = usize::try_from(*count).unwrap_or(usize::MAX);
            let skipped = first.saturating_sub(before).min(count);
            before += count;
            if skipped < count && files.len() < most {
                let chunk = self.some_files(id, &report, n).await?;
                files.extend(chunk.into_iter().skip(skipped).take(most - files.len()));
            }
        }
        Ok((usize::try_from(report.files).unwrap_or(usize::MAX), files))
    }

    /// The files of one chunk of a package.
    pub async fn some_files(
        &self,
        id: &RequestId,
        report: &PackageReport,
        chunk: u32,
    ) -> ports::Result<Vec<PackagedFile>> {
        let chunk = read_chunk(&self.core, id, report.generation, chunk).await?;
        Ok(chunk.kept().cloned().collect())
    }

    /// Looks at its files, and then it is whole, or waits for restores.
    async fn go_on(&self, held: &mut Leased) -> RoundResult<End> {
        let order = self.order(held).await?;
        match self.freeze(held, &order).await? {
            Ok(Next::Whole(outcome)) => self.conclude(held, *outcome).await?,
            Ok(Next::Restores(cold)) => self.begin_restores(held, cold).await?,
            Err(error) => return self.held_up(held, error).await,
        }
        Ok(End::Reached)
    }

    /// Ends a package that is whole; its caller is told what the API shows.
    async fn conclude(&self, held: &mut Leased, mut outcome: Outcome) -> RoundResult<()> {
        let (_, shown) = self.news(held, JobStatus::Succeeded, Some(&outcome)).await?;
        outcome.answer = Some(shown);
        self.core.conclude(held, &outcome).await
    }

    /// Ends a package that cannot be made; one that only waits for a port goes on later.
    async fn held_up(&self, held: &mut Leased, error: PlanError) -> RoundResult<End> {
        match error {
            PlanError::Failed(failure) | PlanError::NotYet(failure) => self.core.fail(held, failure).await?,
            PlanError::Port(error) => {
                if !self.core.lasts_too_long(held).await? {
                    crate::signals::share::look_waits(&held.lease.key.id, &error);
                    return Ok(End::NotBefore(after(self.core.ports.clock.now(), AGAIN)));
                }
                self.core.fail(held, ports::blame::final_failure(&error)).await?;
            }
        }
        Ok(End::Reached)
    }

    /// What was asked for.
    async fn order(&self, held: &Leased) -> RoundResult<PackageOrder> {
        let mut order: PackageOrder = asked(&self.core, held).await?;
        if order.asked_at.is_none() {
            order.by_event = true;
            order.public_url = self.settings.address();
            if let Some(card) = self.cards().of(&id_of(held)).await? {
                (order.asked_at, order.requested_by) = (Some(card.asked_at), card.who);
            }
        }
        Ok(order)
    }

    fn cards(&self) -> Cards {
        Cards::new(self.core.ports.store.clone(), self.settings.keep)
    }
}

#[async_trait]
impl Kind for Package {
    fn name(&self) -> &'static str {
        "package"
    }

    async fn plan(&self, held: &mut Leased) -> RoundResult<Option<AfterRound>> {
        let order = self.order(held).await?;
        let mut state: RootState = records::document(&held.item, attr::STATE)?;
        if state.told_at == 0 {
            self.core.tell_if_possible(held, Status::Received, Counters::default()).await;
            tell_if_possible((&self.core, &self.settings, self), held, JobStatus::Pending).await?;
        }
        let source = held.item.text(attr::SOURCE).unwrap_or_default();
        if order.by_event
            && let Err(failure) = self.core.settings.policy.check_event_source(source)
        {
            return self.core.fail(held, failure).await.map(|()| None);
        }
        let party = [RootRef::of(&held.item)];
        let resolved = self.core.while_moving(&party, self.resolve(held, &order)).await;
        let resolved = match resolved? {
            Ok(resolved) => resolved,
            Err(PlanError::Failed(failure) | PlanError::NotYet(failure)) => {
                return self.core.fail(held, failure).await.map(|()| None);
            }
            Err(PlanError::Port(error)) => return self.core.not_yet_begun(held, error).await.map(|()| None),
        };
        state.generation = u32::try_from(held.lease.epoch).unwrap_or(u32::MAX);
        state.told_at = millis(self.core.ports.clock.now());
        (state.trouble_since, state.trouble_at) = (0, 0);
        state.set_own(&Own { files_chunks: resolved.chunks, also: resolved.also, ..Own::default() })?;
        let phase = set(attr::PHASE, Phase::Planned.as_str());
        self.core.save(held, vec![phase, set(attr::STATE, records::text(&state)?)]).await?;
        self.core.tell_if_possible(held, Status::Running, Counters::default()).await;
        tell_if_possible((&self.core, &self.settings, self), held, JobStatus::Running).await?;
        Ok(None)
    }

    fn detail_types(&self) -> &'static [&'static str] {
        &[PACKAGE_REQUEST]
    }

    async fn order_of(&self, event: &OtherEvent) -> Option<Result<Order, NoOrder>> {
        Some(events::order_of(self, event))
    }

    fn tree<'a>(&'a self, state: &RootState) -> RoundResult<Box<dyn Tree + 'a>> {
        let (core, settings, own) = (&*self.core, &*self.settings, state.own::<Own>()?);
        let tree: Box<dyn Tree + 'a> = if own.cold.is_empty() {
            Box::new(Alone(self))
        } else {
            Box::new(Restoring::new(self, state, own))
        };
        Ok(Box::new(Telling { tree, core, settings, kind: self }))
    }
}

#[async_trait]
impl Tells for Package {
    async fn news(
        &self,
        held: &Leased,
        status: JobStatus,
        outcome: Option<&Outcome>,
    ) -> RoundResult<(&'static str, String)> {
        let (id, order) = (id_of(held), self.order(held).await?);
        let asked_at = order.asked_at.unwrap_or_else(|| started_at(&held.item));
        let expires_at = self.settings.expires_at(asked_at);
        let finished_at = outcome.map(|outcome| outcome.finished_at);
        let shown = PackageShown {
            steps_execution_arn: ShareSettings::link(&order.public_url, &id),
            id: id.to_string(),
            package_name: order.name,
            status,
            request_time: asked_at,
            completion_time: finished_at.filter(|_| status == JobStatus::Succeeded),
            has_expired: self.core.ports.clock.now() >= expires_at,
            expires_at,
            error_message: outcome.and_then(|outcome| Some(outcome.failure.as_ref()?.message.clone())),
            requested_by: order.requested_by,
            files: outcome.and_then(FilesShown::of),
            labels: order.request.labels,
        };
        let detail = serde_json::to_string(&shown).map_err(unwritable)?;
        Ok(("DataPackagingJobStateChange", detail))
    }
}

/// A root without children: its holder does all of its work.
#[derive(Debug)]
struct Alone<'a>(&'a Package);

#[async_trait]
impl Tree for Alone<'_> {
    fn plane(&self) -> &'static str {
        crate::domain::request::Kind::Slice.as_str()
    }

    fn noun(&self) -> &'static str {
        "files"
    }

    fn window(&self) -> Window {
        Window::All
    }

    async fn next(&self, _: &Leased, _: &mut RootState, _: u64) -> RoundResult<Vec<Child>> {
        Ok(Vec::new())
    }

    async fn roster(&self, _: &Leased, _: &RootState) -> RoundResult<Roster<'_>> {
        Ok(Roster::new(0, |_| None::<RequestId>))
    }

    async fn end(&self, held: &mut Leased) -> RoundResult<End> {
        self.0.go_on(held).await
    }
}

/// The end of a package that was stopped in the middle of something long.
fn stopped(failure: Failure) -> PlanError {
    PlanError::Failed(failure)
}

/// How a package has ended that is whole.
fn whole(held: &Leased, core: &Core) -> Outcome {
    Outcome::between(started_at(&held.item), core.ports.clock.now())
}

#[cfg(test)]
mod tests {
    use crate::domain::share::files::{DataType, PackagedFile, StorageClass};

    /// A file of a package.
    pub(super) fn file(path: &str, etag: &str) -> PackagedFile {
        PackagedFile {
            path: path.into(),
            uri: format!("s3://b/{path}"),
            size: 1,
            etag: (!etag.is_empty()).then(|| etag.into()),
            storage_class: StorageClass::Standard,
            icav2: None,
            archived: false,
            modified: None,
            data_type: DataType::Fastq,
            library_id: String::new(),
            instrument_run_id: String::new(),
            lane: None,
            portal_run_id: String::new(),
            workflow_name: String::new(),
            workflow_version: String::new(),
            md5: None,
            sha256: None,
            ingest_id: None,
        }
    }
}
