//! A snapshot that is older than the table: the source answers equal questions with the same job while that lives, so
//! it is what a table gets that is loaded anew, or audited, within a day.
//!
//! Who reads the table must not be put back in time. So the snapshot is loaded beside the table as any other, and
//! brought forward there by what has changed since, until the source knows nothing newer than the table, or the snapshot
//! is newer; then it goes on as if it had come so. The replica remembers how far it has come. Before each step it is
//! looked whether it is still there, whole, and as it is to be: otherwise it is loaded once more, which counts as a try.

use jiff::Timestamp;

use super::{
    TableRun,
    ask::Hand,
    judge::{Halt, Step},
    load::data_of,
    shape::Shaped,
    state::{Behind, Staged},
};
use crate::{
    domain::replica::counts::Counts,
    ports::{
        replica::{Beside, Loader, Look},
        source::{Format, Job, Query},
    },
};

impl TableRun<'_> {
    /// A snapshot is loaded, and older than the table.
    pub(super) async fn is_behind(
        &mut self,
        behind: Behind,
        came: Counts,
        notes: Vec<String>,
    ) -> Result<Step, Halt> {
        let said = format!("the source gave a snapshot of {}, which was brought forward", behind.data_of);
        if self.state.audit.is_none() {
            // Of one that was loaded before and has gone nothing counts.
            self.done().counts = Counts::default();
        }
        self.came(came, notes);
        self.done().note([said]);
        (self.state.behind, self.state.asked) = (Some(behind), None);
        self.store().await?;
        Ok(Step::On)
    }

    /// Asks what has changed since the time of the snapshot.
    pub(super) async fn ask_behind(&mut self, behind: Behind) -> Result<Step, Halt> {
        let Some(Hand { mut loader, look, place }) = self.look().await? else { return self.is_held() };
        self.state.held_since = 0;
        let Some(since) = time_of(&look, &behind) else { return Ok(self.is_lost()) };
        if is_newer(&look, since) {
            // It was brought so far, and the answer was lost.
            let Some(shaped) = self.ready(loader.as_mut(), &look, &behind, behind.version).await? else {
                return Ok(self.is_lost());
            };
            return self.is_level(loader, &look, &shaped, (behind, since)).await;
        }
        drop((loader, place));
        let query = Query::Changes { since, until: None };
        let job = self.source().ask(&self.order.table, &query, Format::Tsv).await.map_err(Halt::Source)?;
        self.answered(job, Some(since)).await
    }

    /// Brings the snapshot forward by changes since a time.
    pub(super) async fn bring_forward(
        &mut self,
        mut loader: Box<dyn Loader>,
        look: &Look,
        (job, since): (&Job, Option<Timestamp>),
        behind: Behind,
    ) -> Result<Step, Halt> {
        let Some(time) = time_of(look, &behind) else { return Ok(self.is_lost()) };
        self.state.asked = None;
        if since != Some(time) {
            // Another run has brought it further.
            return Ok(Step::On);
        }
        let to = data_of(job)?;
        let version = job.schema_version.map_or(behind.version, |version| version.max(behind.version));
        let Some(shaped) = self.ready(loader.as_mut(), look, &behind, version).await? else {
            return Ok(self.is_lost());
        };
        if to <= time {
            if look.meta.as_ref().is_none_or(|meta| meta.timestamp <= time) {
                return self.is_level(loader, look, &shaped, (behind, time)).await;
            }
            return Ok(
                self.again(format!("the source knows nothing newer than {time}, and the table is newer"))
            );
        }
        let mut files = self.files(job, &shaped, true);
        let counts = loader.advance(&behind.job, &shaped.shape, &mut files, to).await?;
        self.record_progress();
        self.came(counts, files.notes());
        self.store().await?;
        if !is_newer(look, to) {
            return Ok(Step::On);
        }
        self.is_level(loader, look, &shaped, (behind, to)).await
    }

    /// The shape of what is staged, if that is still what is to come in: in the shape that the table has, and treated as
    /// the settings say.
    async fn ready(
        &mut self,
        loader: &mut dyn Loader,
        look: &Look,
        behind: &Behind,
        version: i64,
    ) -> Result<Option<Shaped>, Halt> {
        let shaped = self.shaped(look, Some(version)).await?;
        let shaped = self.shaped_beside(loader, look, shaped).await?;
        loader.treat(self.mark()?);
        Ok(loader.is_staged(&behind.job, &shaped.shape).await?.then_some(shaped))
    }

    /// The snapshot is as new as it can be had.
    async fn is_level(
        &mut self,
        loader: Box<dyn Loader>,
        look: &Look,
        shaped: &Shaped,
        (behind, data_of): (Behind, Timestamp),
    ) -> Result<Step, Halt> {
        let Behind { job, parts, .. } = behind;
        let beside = Staged { job, data_of, version: shaped.version, parts, table_of: None };
        if self.state.audit.is_some() {
            self.state.behind = None;
            return self.is_staged(beside).await;
        }
        let came = self.state.done.counts;
        self.finish(loader, look, shaped, &beside, came, Vec::new()).await
    }

    /// What was staged has become the table, and the answer was lost; or somebody has taken it away; or it is not what is
    /// to come in any more. With another try it is loaded again, by the newest schema of the source.
    fn is_lost(&mut self) -> Step {
        (self.state.behind, self.state.asked, self.state.fresh_schema) = (None, None, true);
        self.again("the snapshot that was loaded is gone, or its table is to be another one now".to_owned())
    }

    /// Lines have come. What they do to the table is known when they are its rows; an audit does nothing to it.
    fn came(&mut self, counts: Counts, notes: Vec<String>) {
        if self.state.audit.is_none() {
            let Counts { noted, rejected, bytes, .. } = counts;
            let done = self.done();
            done.counts += Counts { noted, rejected, bytes, ..Counts::default() };
            done.note(notes);
        }
    }
}

/// The time that the staged snapshot is of, if it is that one, and whole.
fn time_of(look: &Look, behind: &Behind) -> Option<Timestamp> {
    let is_it = |beside: &&Beside| beside.job == behind.job && beside.parts.len() == behind.parts;
    let beside = look.staged.as_ref().filter(is_it)?;
    Some(beside.brought_to.unwrap_or(behind.data_of))
}

/// Whether something of that time is newer than the table.
fn is_newer(look: &Look, time: Timestamp) -> bool {
    look.meta.as_ref().is_none_or(|meta| meta.timestamp < time)
}
