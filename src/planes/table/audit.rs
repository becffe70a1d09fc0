//! Comparing a table with a new snapshot of its source.

use super::{
    TableRun,
    ask::Hand,
    judge::{Halt, Step},
    shape::Shaped,
    state::{Audit, Staged},
};
use crate::{
    domain::replica::run::Audited,
    ports::{
        replica::{Beside, Differences, Loader, Look, Trouble},
        source::{Format, Job, Query},
    },
    signals,
};

impl TableRun<'_> {
    /// The snapshot that the table is to be compared with, if that is loaded.
    pub(super) fn staged(&self) -> Option<Staged> {
        self.state.audit.as_ref()?.staged.clone()
    }

    /// The snapshot is loaded.
    pub(super) async fn is_staged(&mut self, staged: Staged) -> Result<Step, Halt> {
        (self.state.audit, self.state.asked) = (Some(Audit { staged: Some(staged) }), None);
        self.store().await?;
        Ok(Step::On)
    }

    /// Asks what has changed since the snapshot, or since the time of the table where that is older: it explains
    /// differences.
    pub(super) async fn ask_since(&mut self, mut staged: Staged) -> Result<Step, Halt> {
        let Some(Hand { loader, look, place }) = self.look().await? else { return self.is_held() };
        drop((loader, place));
        self.state.held_since = 0;
        let Some(meta) = look.meta else {
            return Err(Halt::Refused("the table has gone while it was compared".to_owned()));
        };
        let since = meta.timestamp.min(staged.data_of);
        staged.table_of = Some(meta.timestamp);
        self.state.audit = Some(Audit { staged: Some(staged) });
        let query = Query::Changes { since, until: None };
        let job = self.source().ask(&self.order.table, &query, Format::Tsv).await.map_err(Halt::Source)?;
        self.answered(job, Some(since)).await
    }

    /// Compares, and mends where that was asked for.
    pub(super) async fn compare(
        &mut self,
        loader: &mut dyn Loader,
        look: &Look,
        (staged, changes): (&Staged, &Job),
    ) -> Result<Step, Halt> {
        let table_of = look.meta.as_ref().map(|meta| meta.timestamp);
        if staged.table_of.is_some() && table_of != staged.table_of {
            // The table has moved on: other changes explain what differs now.
            self.state.asked = None;
            return Ok(Step::On);
        }
        let is_it = |beside: &Beside| beside.job == staged.job && beside.parts.len() == staged.parts;
        if !look.staged.as_ref().is_some_and(is_it) {
            (self.state.audit, self.state.asked) = (Some(Audit::default()), None);
            return Ok(self.again("the snapshot that was loaded is gone".to_owned()));
        }
        let shaped = self.shaped(look, Some(staged.version)).await?;
        let shaped = self.audited_shape(look, shaped)?;
        let mut files = self.files(changes, &shaped, true);
        let found = loader.compare(&staged.job, &shaped.shape, &mut files).await?;
        let is_newer = table_of.is_some_and(|table_of| table_of <= staged.data_of);
        let is_healed = self.order.heal && !found.is_empty() && is_newer;
        if is_healed {
            let shaped = self.evolve(loader, look, shaped).await?;
            let meta = shaped.meta(staged.data_of);
            let counts = loader.finish(&staged.job, &shaped.shape, &meta).await?;
            let done = self.done();
            done.counts += counts;
            done.data_of = Some(staged.data_of);
        } else {
            if self.order.heal && !found.is_empty() {
                let why =
                    "not mended: the table has become newer than the snapshot meanwhile; audit it again";
                self.done().note([why.to_owned()]);
            }
            loader.unstage().await?;
        }
        signals::replica::audited(
            self.root.as_str(),
            &self.order.table,
            [found.missing, found.extra, found.different],
        );
        self.done().audit = Some(audited(found, is_healed));
        self.state.asked = None;
        Ok(self.complete())
    }

    /// The shape by which a snapshot is loaded that a table is compared with: without changing the table.
    pub(super) fn audited_shape(&mut self, look: &Look, shaped: Shaped) -> Result<Shaped, Halt> {
        let Some(found) = &look.found else { return Err(Trouble::Moved.into()) };
        let (_, held) = self.changes(found, &shaped.shape)?;
        Ok(self.meanwhile(shaped, found, held))
    }

    /// Takes away the snapshot of an audit that has come to nothing. What stays is found by the next one, and goes then.
    pub(super) async fn forget_audit(&mut self) {
        if self.state.audit.take().is_some()
            && let Ok(Some(Hand { mut loader, .. })) = self.look().await
            && let Err(trouble) = loader.unstage().await
        {
            signals::replica::audit_left(self.root.as_str(), &self.order.table, &trouble);
        }
    }
}

fn audited(found: Differences, healed: bool) -> Audited {
    let Differences { missing, extra, different, columns, examples } = found;
    Audited { missing, extra, different, columns, examples, healed }
}
