//! The `push` kind: a package to a bucket, or into a project.
//!
//! To a bucket it is a list whose lines are the files of the package, and what has changed since it was packaged is
//! not sent. Into a project it is a manifest.

mod aborted;
mod copies;
mod deliver;
mod events;
mod log;
mod packaged;
mod results;
mod to_project;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use self::packaged::Packaged;
use super::{
    asked::asked,
    cards::Cards,
    folders::Folders,
    frozen::report_of,
    lists::Lists,
    slices::{SliceKind, Slices},
    told::{Telling, Tells, tell_if_possible, unwritable},
};
use crate::{
    domain::{
        copy_out::{CopyOutRequest, SliceOptions},
        ids::RequestId,
        outcome::{ErrorName, Failure, Outcome, culprit},
        share::{
            destination::Destination, ids::attempt_of, outcome::PushReport, request::PushOrder,
            settings::ShareSettings,
        },
    },
    engine::{
        Order,
        core::Core,
        kind::{Kind, NoOrder},
        lease::{Leased, RoundResult, id_of},
        records::{self, RootState, attr, set, started_at},
        round::AfterRound,
        tree::Tree,
    },
    events::{
        PUSH_REQUEST,
        intake::OtherEvent,
        share::shown::{
            JobStatus, PushShown, ReceiptShown, delivered, ingest_ids, log_uri, preview, summary_uri,
        },
    },
    ports,
};

/// Objects in flight over the fleet: what a list has that says nothing of it.
const IN_FLIGHT: u32 = 100;

/// Pushes of packages.
#[derive(Debug)]
pub struct Push {
    core: Arc<Core>,
    folders: Arc<Folders>,
    lists: Arc<Lists>,
    settings: Arc<ShareSettings>,
}

impl Push {
    pub(crate) fn new(
        core: Arc<Core>,
        folders: Arc<Folders>,
        lists: Arc<Lists>,
        settings: Arc<ShareSettings>,
    ) -> Self {
        Self { core, folders, lists, settings }
    }

    /// What was asked for.
    async fn order(&self, held: &Leased) -> RoundResult<PushOrder> {
        let order = asked(&self.core, held).await?;
        Ok(self.completed(&id_of(held), order).await?)
    }

    /// An order with what an event does not say.
    async fn completed(&self, root: &RequestId, mut order: PushOrder) -> ports::Result<PushOrder> {
        if order.asked_at.is_none() {
            (order.by_event, order.public_url) = (true, self.settings.address());
            if let Some(card) = self.cards().of(&attempt_of(root).0).await? {
                (order.asked_at, order.package_name) = (Some(card.asked_at), card.name);
                order.requested_by = card.who;
            }
        }
        Ok(order)
    }

    fn cards(&self) -> Cards {
        Cards::new(self.core.ports.store.clone(), self.settings.keep)
    }

    /// Where it goes, if it may go there.
    fn destination(&self, order: &PushOrder) -> Result<Destination, Failure> {
        let destination = Destination::read(&order.destination)
            .map_err(|why| culprit(ErrorName::InvalidRequest, why.clone(), &order.destination, &why))?;
        self.settings.check_destination(&destination)?;
        Ok(destination)
    }

    /// The files of the package, if it may go there now: packages age, and rules may have changed since it was asked
    /// for.
    async fn packaged(&self, order: &PushOrder) -> Result<Packaged<'_>, Failed> {
        self.check_age(&RequestId::new(order.package_id.as_str())).await?;
        let packaged = self.frozen(order).await?;
        if let Ok(to) = Destination::read(&order.destination) {
            self.settings.rules.check(packaged.libraries(), &to)?;
        }
        Ok(packaged)
    }

    /// The files of the package.
    async fn frozen(&self, order: &PushOrder) -> Result<Packaged<'_>, Failed> {
        let package = RequestId::new(order.package_id.as_str());
        let report = report_of(&self.core, &package).await?;
        let why = "the package is not there, or has not succeeded";
        let report = report.ok_or_else(|| culprit(ErrorName::SourceNotFound, why, package.as_str(), why))?;
        let papers = deliver::asked_for(order).into_iter().map(|paper| paper.file_name(&order.package_name));
        Ok(Packaged::new(self, package, report, papers.collect(), order.is_of_event()))
    }

    /// Whether the package may still be shared. One that was deleted may not.
    async fn check_age(&self, package: &RequestId) -> Result<(), Failed> {
        let card = self.cards().of(package).await?;
        let now = self.core.ports.clock.now();
        let why = match card {
            None => "the package is not known, or was deleted",
            Some(card) if now >= self.settings.expires_at(card.asked_at) => {
                "the package has expired (share.expires_after)"
            }
            Some(_) => return Ok(()),
        };
        Err(culprit(ErrorName::SourceNotFound, why, package.as_str(), why).into())
    }

    /// Says what the caller of a push is told that has ended well: what the API shows.
    pub(super) async fn answer(&self, held: &Leased, outcome: &mut Outcome) -> RoundResult<()> {
        if outcome.failure.is_none() {
            outcome.answer = Some(self.news(held, JobStatus::Succeeded, Some(outcome)).await?.1);
        }
        Ok(())
    }

    /// Says what a dry run is told of that was not asked of S3: what restores take, and all that the API shows.
    async fn complete_dry_run(&self, held: &Leased, outcome: &mut Outcome) -> RoundResult<()> {
        let thaw = self.order(held).await?.thaw.unwrap_or_default();
        let plan = outcome.copy_out.as_deref().and_then(|list| list.dry_run.as_ref());
        let restores = plan.iter().flat_map(|plan| &plan.thaws).map(|(archive, thawed)| {
            self.settings.restore_prices.preview(*archive, thaw.of(*archive).speed, *thawed)
        });
        let restores = restores.collect();
        outcome.push = Some(Box::new(PushReport { restores, ..PushReport::default() }));
        self.answer(held, outcome).await
    }

    fn list(held: &Leased, order: &PushOrder, bucket: String, prefix: String) -> CopyOutRequest {
        // Every attempt writes over what the one before has said.
        let (id, _) = attempt_of(&id_of(held));
        let asked_at = order.asked_at.unwrap_or_else(|| started_at(&held.item));
        let day = asked_at.strftime("%Y_%m_%d").to_string();
        CopyOutRequest {
            destination_bucket: bucket,
            destination_prefix: prefix,
            start_marker: format!("STARTED_COPY__{day}__{id}.txt"),
            summary: format!("ENDED_COPY__{day}__{id}.csv"),
            fitting_batches: true,
            copy_concurrency: IN_FLIGHT,
            dry_run: order.dry_run,
            probe: order.dry_run,
            options: SliceOptions {
                on_conflict: order.on_conflict,
                thaw: order.thaw.clone().unwrap_or_default(),
                ..SliceOptions::default()
            },
            ..CopyOutRequest::default()
        }
    }
}

/// The state that a push keeps besides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Own {
    /// Whether it was told that it runs.
    is_told: bool,
}

/// Why the files of a package are not at hand.
pub(super) enum Failed {
    /// They will not be.
    Failure(Failure),
    /// A port failed.
    Port(ports::Error),
}

impl From<ports::Error> for Failed {
    fn from(error: ports::Error) -> Self {
        Self::Port(error)
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

#[async_trait]
impl Kind for Push {
    fn name(&self) -> &'static str {
        "push"
    }

    async fn plan(&self, held: &mut Leased) -> RoundResult<Option<AfterRound>> {
        let order = self.order(held).await?;
        let state: RootState = records::document(&held.item, attr::STATE)?;
        if !state.own::<Own>()?.is_told {
            let (_, attempt) = attempt_of(&id_of(held));
            let news = [JobStatus::Pending, JobStatus::Running];
            for status in news.into_iter().skip(usize::from(attempt > 1)) {
                tell_if_possible((&self.core, &self.settings, self), held, status).await?;
            }
            let mut state = state;
            state.set_own(&Own { is_told: true })?;
            self.core.save(held, vec![set(attr::STATE, records::text(&state)?)]).await?;
        }
        match self.destination(&order) {
            Err(failure) => self.core.fail(held, failure).await.map(|()| None),
            Ok(Destination::Project(_)) => self.folders.plan(self, held).await,
            Ok(Destination::Bucket { bucket, prefix }) => match self.packaged(&order).await {
                Ok(packaged) => {
                    let request = Self::list(held, &order, bucket, prefix);
                    self.lists.begin_list(held, request, &packaged).await
                }
                Err(Failed::Failure(failure)) => self.core.fail(held, failure).await.map(|()| None),
                Err(Failed::Port(error)) => self.core.not_yet_begun(held, error).await.map(|()| None),
            },
        }
    }

    fn detail_types(&self) -> &'static [&'static str] {
        &[PUSH_REQUEST]
    }

    async fn order_of(&self, event: &OtherEvent) -> Option<Result<Order, NoOrder>> {
        Some(events::order_of(self, event).await)
    }

    fn tree<'a>(&'a self, state: &RootState) -> RoundResult<Box<dyn Tree + 'a>> {
        let tree: Box<dyn Tree + 'a> = match Slices::of(&self.core, self, state)? {
            Some(slices) => Box::new(slices),
            None => Box::new(self.folders.tree(self, state)),
        };
        let (core, settings) = (&*self.core, &*self.settings);
        Ok(Box::new(Telling { tree, core, settings, kind: self }))
    }

    async fn abandon(&self, held: &mut Leased) -> RoundResult<()> {
        let order = self.order(held).await?;
        if let Ok(Destination::Bucket { bucket, prefix }) = Destination::read(&order.destination) {
            let request = Self::list(held, &order, bucket, prefix);
            self.lists.drop_summary_if_possible(held, &request).await?;
        }
        self.leave_what_has_arrived(held, &order).await
    }
}

#[async_trait]
impl Tells for Push {
    async fn news(
        &self,
        held: &Leased,
        status: JobStatus,
        outcome: Option<&Outcome>,
    ) -> RoundResult<(&'static str, String)> {
        let ((id, _), order) = (attempt_of(&id_of(held)), self.order(held).await?);
        let shown = PushShown {
            step_functions_execution_arn: ShareSettings::link(&order.public_url, &id),
            id: id.to_string(),
            status,
            start_time: order.asked_at.unwrap_or_else(|| started_at(&held.item)),
            package_id: order.package_id,
            share_destination: order.destination,
            log_uri: outcome.and_then(log_uri),
            end_time: outcome.map(|outcome| outcome.finished_at),
            error_messages: outcome.and_then(|outcome| Some(outcome.failure.as_ref()?.message.clone())),
            package_name: order.package_name,
            requested_by: order.requested_by,
            progress: None,
            receipt: outcome.and_then(|outcome| outcome.receipt.clone()).map(ReceiptShown::from),
            delivered: outcome.map(delivered).unwrap_or_default(),
            ingest_ids: outcome.and_then(ingest_ids),
            dry_run: order.dry_run,
            preview: outcome.filter(|_| order.dry_run).and_then(preview),
        };
        let detail = serde_json::to_string(&shown).map_err(unwritable)?;
        Ok(("DataPushJobStateChange", detail))
    }
}

#[async_trait]
impl SliceKind for Push {
    async fn end(&self, held: &mut Leased, slices: &Slices<'_>) -> RoundResult<bool> {
        let order = self.order(held).await?;
        let Ok(Destination::Bucket { bucket, prefix }) = Destination::read(&order.destination) else {
            let failure = Failure::new(ErrorName::Internal, "a push has lost its destination");
            return self.core.fail(held, failure).await.map(|()| true);
        };
        let request = Self::list(held, &order, bucket, prefix);
        let Some(mut outcome) = self.lists.end_list(held, slices, &request).await? else { return Ok(false) };
        let failed = outcome.counters.failed;
        // Where the summary could not be written, there is nothing to look at.
        let is_written = summary_uri(&outcome).is_some();
        if let Some(failure) = outcome.failure.as_mut().filter(|_| failed > 0 && is_written) {
            let summary = format!("{}{}", request.destination(), request.summary);
            failure.message = format!("{failed} files failed to copy, see {summary} for more information");
        }
        match self.deliver(held, &order, &request).await? {
            Ok(delivered) => {
                outcome.push = Some(Box::new(PushReport { delivered, ..PushReport::default() }));
            }
            Err(more) => add(&mut outcome, more),
        }
        if let Some(ingest_ids) = self.tell_of_copies(held, &order, (slices, &request)).await? {
            let report: PushReport = outcome.push.take().map(|report| *report).unwrap_or_default();
            outcome.push = Some(Box::new(PushReport { ingest_ids: Some(ingest_ids), ..report }));
        }
        self.leave_log(held, &order, (slices, &request), &mut outcome).await?;
        self.answer(held, &mut outcome).await?;
        self.core.conclude(held, &outcome).await?;
        Ok(true)
    }
}

/// Adds a failure to the one that there is.
fn add(outcome: &mut Outcome, more: Failure) {
    match &mut outcome.failure {
        Some(failure) => failure.message = format!("{}; {}", failure.message, more.message),
        None => outcome.failure = Some(more),
    }
}
