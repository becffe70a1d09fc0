//! What is asked of the source for a table, and the job that answers it.

use std::time::Duration;

use tokio::sync::SemaphorePermit;

use super::{
    TableRun,
    judge::{Halt, Step},
    state::{Asked, Audit},
};
use crate::{
    domain::replica::{order::Mode, run::TableState as Stands},
    engine::records::as_millis,
    ports::{
        replica::{Loader, Look},
        source::{Format, Job, JobStatus, Query},
    },
    signals,
};

/// How soon a table is looked at again that another instance, or another program of ours, has in hand.
const HELD: Duration = Duration::from_secs(15);
/// How long it is waited for.
const HELD_AT_MOST: Duration = Duration::from_hours(3);

/// A table in hand, with the place of its session on this instance.
pub(super) struct Hand<'a> {
    pub(super) loader: Box<dyn Loader>,
    pub(super) look: Look,
    pub(super) place: Option<SemaphorePermit<'a>>,
}

impl<'a> TableRun<'a> {
    /// Asks for what the table lacks.
    pub(super) async fn ask(&mut self) -> Result<Step, Halt> {
        if let Some(behind) = self.state.behind.clone() {
            return self.ask_behind(behind).await;
        }
        if let Some(staged) = self.staged() {
            return self.ask_since(staged).await;
        }
        let Some(Hand { mut loader, look, place }) = self.look().await? else { return self.is_held() };
        self.state.held_since = 0;
        if let Some(meta) = &look.meta {
            self.state.done.data_of = Some(meta.timestamp);
        }
        match self.order.mode {
            Mode::Drop if self.order.dry_run => {
                let statements = vec![format!("DROP TABLE {}", self.order.table)];
                self.done().statements = statements;
                return Ok(self.complete());
            }
            Mode::Drop => {
                loader.drop_table().await?;
                return Ok(self.complete());
            }
            _ if self.order.dry_run => return self.plan(loader, &look).await,
            Mode::Sync | Mode::Init | Mode::Audit => {}
        }
        drop((loader, place));
        self.is_retreated(&look)?;
        let query = self.query(&look);
        // A snapshot that was begun is gone on with, as long as its job lives.
        let begun = look.staged.filter(|_| query == Query::Snapshot).map(|beside| beside.job);
        let job = match begun {
            Some(job) => self.begun(&job).await?,
            None => None,
        };
        let job = match job {
            Some(job) => job,
            None => self.source().ask(&self.order.table, &query, Format::Tsv).await.map_err(Halt::Source)?,
        };
        let since = match query {
            Query::Snapshot => None,
            Query::Changes { since, .. } => Some(since),
        };
        signals::replica::asked(self.root.as_str(), &self.order.table, &job.id, since);
        self.answered(job, since).await
    }

    /// What is asked for.
    fn query(&self, look: &Look) -> Query {
        let is_whole = self.order.mode == Mode::Init || self.state.needs_init || self.state.audit.is_some();
        // A table that somebody has dropped is made again.
        match look.meta.as_ref().filter(|_| !is_whole && look.found.is_some()) {
            None => Query::Snapshot,
            Some(meta) => Query::Changes { since: meta.timestamp, until: None },
        }
    }

    /// The job of a snapshot of which parts are loaded, if it still answers.
    async fn begun(&self, job: &str) -> Result<Option<Job>, Halt> {
        match self.source().job(job).await {
            Ok(job) if job.status != JobStatus::Failed => Ok(Some(job)),
            Err(error) if error.is_passing() => Err(Halt::Source(error)),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// A question was answered with a job.
    pub(super) async fn answered(&mut self, job: Job, since: Option<jiff::Timestamp>) -> Result<Step, Halt> {
        (self.state.asked, self.state.looks) = (Some(Asked { job: job.id.clone(), since }), 0);
        self.record_progress();
        self.store().await?;
        if job.status == JobStatus::Complete { self.load(job, since).await } else { Ok(self.soon()) }
    }

    /// Looks how far the job is, and loads what it gives.
    pub(super) async fn go_on(&mut self, asked: Asked) -> Result<Step, Halt> {
        let job = self.source().job(&asked.job).await.map_err(Halt::Source)?;
        match job.status {
            JobStatus::Waiting | JobStatus::Running => {
                self.record_progress();
                Ok(self.soon())
            }
            JobStatus::Complete => self.load(job, asked.since).await,
            JobStatus::Failed => {
                self.state.asked = None;
                let why = match job.error {
                    Some((kind, message)) if message.is_empty() => format!("{kind}, and not a word more"),
                    Some((kind, message)) => format!("{kind}: {message}"),
                    None => "the source does not say why".to_owned(),
                };
                Ok(self.again(format!("the job has failed: {why}")))
            }
        }
    }

    /// The job is looked at again soon; the longer it runs, the later.
    fn soon(&mut self) -> Step {
        let settings = &self.of.settings;
        let wait = settings.poll.saturating_mul(1 << self.state.looks.min(8)).min(settings.poll_cap);
        self.state.looks = self.state.looks.saturating_add(1);
        Step::Wait {
            due_at: self.now().saturating_add(as_millis(wait)),
            why: "the job at the source".to_owned(),
        }
    }

    /// Another loader has the table; it moves, as far as is known here, and is not waited for without end.
    pub(super) fn is_held(&mut self) -> Result<Step, Halt> {
        let now = self.now();
        if self.state.held_since == 0 {
            self.state.held_since = now;
        }
        if now - self.state.held_since > as_millis(HELD_AT_MOST) {
            let why = "another loader has had this table for hours";
            return Err(Halt::Refused(why.to_owned()));
        }
        self.record_progress();
        Ok(Step::Wait {
            due_at: now.saturating_add(as_millis(HELD)),
            why: "another loader of this table".to_owned(),
        })
    }

    /// A loader, and what is there; `None` while another has one.
    pub(super) async fn look(&self) -> Result<Option<Hand<'a>>, Halt> {
        let sessions = &self.permits.sessions;
        // The semaphore is never closed.
        let place = self.plane.core.while_moving(&self.root_refs, sessions.acquire()).await.ok();
        let Some(mut loader) = self.of.replica.open(&self.order.table).await? else { return Ok(None) };
        let look = loader.look().await?;
        Ok(Some(Hand { loader, look, place }))
    }

    pub(super) fn source(&self) -> &dyn crate::ports::source::Source {
        self.of.source.as_ref()
    }

    /// The table is up to date. An audit begins where one was asked for.
    pub(super) fn complete(&mut self) -> Step {
        if self.order.mode == Mode::Audit && !self.order.dry_run && self.state.audit.is_none() {
            (self.state.audit, self.state.asked) = (Some(Audit::default()), None);
            return Step::On;
        }
        let is_updated = !self.state.done.remade.is_empty();
        let state = if is_updated { Stands::CompleteWithUpdate } else { Stands::Complete };
        Step::Done(Box::new(self.state.done.result(&self.order.table.table, state, None)))
    }
}
