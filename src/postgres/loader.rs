//! The one who may write a table.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::IsolationLevel;

use super::{
    Shared, catalogue, compare,
    ending::{End, dependents, refuse_stranger},
    enumerations, evolve, failure, guard,
    history::{self, History},
    locks::{self, Patience},
    meta::{self, Seen},
    own::Own,
    session::Session,
    staging,
    syncing::{Goal, Syncing},
};
use crate::{
    domain::replica::{changes::Changes, counts::Counts, meta::MetaRow, names::TableName, shape::Shape},
    ports::replica::{self, Beside, Differences, Evolved, Look, Part, Parts, Result},
};

/// A session that holds the lock of a table.
pub(super) struct Loader {
    shared: Arc<Shared>,
    session: Session,
    table: TableName,
    /// The row of `table_sync` as it was read, or written by us; `None`: not read yet.
    seen: Option<Row>,
    /// How the columns of what is staged next are treated.
    mark: Option<String>,
}

/// A row, or that there is none.
struct Row(Option<Seen>);

impl Loader {
    pub(super) fn new(shared: Arc<Shared>, session: Session, table: TableName) -> Self {
        Self { shared, session, table, seen: None, mark: None }
    }

    /// What later transactions hold the row of `table_sync` to.
    async fn seen(&mut self) -> Result<Option<Seen>> {
        if let Some(Row(seen)) = &self.seen {
            return Ok(seen.clone());
        }
        let seen = meta::read(&self.session, &self.table).await?.map(|(seen, _)| seen);
        self.seen = Some(Row(seen.clone()));
        Ok(seen)
    }

    fn live(&self) -> String {
        catalogue::live(&self.table)
    }

    async fn evolve_once(&mut self, seen: Option<&Seen>, changes: &Changes, reason: &str) -> Result<Evolved> {
        let Self { shared, session, table, .. } = self;
        let mut tx = session.begin().await?;
        meta::hold(&tx, table, seen).await?;
        let before = evolve::before(&tx, table, changes).await?;
        if !before.is_empty() {
            shared.own.note_changes(&tx, table, &before, reason).await?;
            staging::commit(tx).await?;
            tx = session.begin().await?;
            meta::hold(&tx, table, seen).await?;
        }
        let mut made = evolve::make(&tx, table, changes, shared.settings.refresh).await?;
        shared.own.note_changes(&tx, table, &made.evolved.statements, reason).await?;
        staging::commit(tx).await?;
        made.evolved.statements.splice(..0, before);
        Ok(evolve::afterwards(session, made).await)
    }

    async fn drop_once(&mut self, seen: Option<&Seen>) -> Result<()> {
        let live = self.live();
        let Self { shared, session, table, .. } = self;
        let mut tx = session.begin().await?;
        meta::hold(&tx, table, seen).await?;
        staging::forget(&tx, &shared.own, table).await?;
        let mut enumerations = Vec::new();
        if catalogue::found(&tx, &live).await?.is_some() {
            refuse_stranger(&shared.settings, table, seen)?;
            enumerations = enumerations::of_table(&tx, &live, &table.namespace).await?;
            let drop = format!("DROP TABLE {live}");
            tx.batch_execute(&drop).await.map_err(|error| dependents(&error, "DROP TABLE"))?;
            shared.own.note_changes(&tx, table, &[drop], "the replica of the table is dropped").await?;
        }
        meta::delete(&tx, table).await?;
        history::forget(&tx, &shared.own, table).await?;
        enumerations::drop_all(&mut tx, table, enumerations).await?;
        let aside = format!("DELETE FROM {} WHERE namespace = $1 AND \"table\" = $2", shared.own.rejected);
        let done = tx.execute(&aside, &[&table.namespace, &table.table]).await;
        done.map_err(failure::of("forget rejected rows"))?;
        staging::commit(tx).await
    }

    async fn finish_once(
        &mut self,
        job: &str,
        shape: &Shape,
        seen: Option<&Seen>,
        meta: &MetaRow,
    ) -> Result<(Counts, Seen)> {
        let Self { shared, session, table, .. } = self;
        let staged = staging::of_job(&**session, &shared.own, table, job).await?;
        let history = History::ready(session, &shared.settings, &shared.own, table, meta.timestamp).await?;
        let history = history.as_ref();
        let mark = guard::read(&**session, &catalogue::live(table)).await?;
        let is_retreated = mark != staged.mark;
        let Shared { settings, own, .. } = &**shared;
        let end = End { settings, own, table, shape, job, seen, meta, history, is_retreated };
        staging::make_key(session, own, table, shape).await?;
        let is_there = catalogue::found(&**session, &catalogue::live(table)).await?.is_some();
        if is_there && seen.is_some() && !end.is_swap() {
            end.merge(session, &staged).await
        } else {
            end.put_in_place(session, &staged).await
        }
    }
}

#[async_trait]
impl replica::Loader for Loader {
    async fn look(&mut self) -> Result<Look> {
        let read = meta::read(&self.session, &self.table).await?;
        let found = catalogue::found(&*self.session, &self.live()).await?;
        let staged = staging::read(&*self.session, &self.shared.own, &self.table).await?;
        let (seen, meta) = read.unzip();
        self.seen = Some(Row(seen));
        let mark = guard::read(&*self.session, &self.live()).await?;
        let staged = staged.map(|staged| {
            let staging::Staged { job, parts, brought_to, .. } = staged;
            Beside { job, parts, brought_to }
        });
        Ok(Look { meta, found, staged, mark })
    }

    fn treat(&mut self, mark: Option<String>) {
        self.mark = mark;
    }

    async fn stage(&mut self, job: &str, shape: &Shape) -> Result<Vec<usize>> {
        let seen = self.seen().await?;
        if catalogue::found(&*self.session, &self.live()).await?.is_some() {
            refuse_stranger(&self.shared.settings, &self.table, seen.as_ref())?;
        }
        let Self { shared, session, table, mark, .. } = self;
        staging::make(session, &shared.own, table, job, shape, mark.as_deref()).await
    }

    async fn is_staged(&mut self, job: &str, shape: &Shape) -> Result<bool> {
        let staged = staging::read(&*self.session, &self.shared.own, &self.table).await?;
        let mark = self.mark.as_deref();
        Ok(staged.is_some_and(|staged| staged.job == job && staged.is_of(shape, mark)))
    }

    async fn load(&mut self, job: &str, _shape: &Shape, part: Part) -> Result<Counts> {
        staging::load(&mut self.session, &self.shared.own, &self.table, job, part).await
    }

    async fn advance(
        &mut self,
        job: &str,
        shape: &Shape,
        parts: &mut dyn Parts,
        to: Timestamp,
    ) -> Result<Counts> {
        let Self { shared, session, table, .. } = self;
        staging::of_job(&**session, &shared.own, table, job).await?;
        staging::make_key(session, &shared.own, table, shape).await?;
        let sync = Syncing { own: &shared.own, table, shape, job, into: Goal::Staged };
        let mut tx = session.begin().await?;
        let counts = sync.apply(&mut tx, parts).await?;
        staging::note_time(&tx, &shared.own, table, job, to).await?;
        staging::commit(tx).await?;
        Ok(counts)
    }

    async fn finish(&mut self, job: &str, shape: &Shape, meta: &MetaRow) -> Result<Counts> {
        let seen = self.seen().await?;
        let is_staged = staging::read(&*self.session, &self.shared.own, &self.table).await?;
        if is_staged.is_none_or(|staged| staged.job != job) && meta::is_done(seen.as_ref(), meta) {
            return Ok(Counts::default());
        }
        let mut patience = Patience::new(&self.shared.settings);
        loop {
            match self.finish_once(job, shape, seen.as_ref(), meta).await {
                Ok((counts, seen)) => {
                    self.seen = Some(Row(Some(seen)));
                    return Ok(counts);
                }
                Err(trouble) => patience.after(&self.session, &self.live(), trouble).await?,
            }
        }
    }

    async fn apply(
        &mut self,
        job: &str,
        shape: &Shape,
        parts: &mut dyn Parts,
        meta: &MetaRow,
    ) -> Result<Counts> {
        let seen = self.seen().await?;
        let live = self.live();
        let Self { shared, session, table, .. } = self;
        let done = async {
            let history =
                History::ready(session, &shared.settings, &shared.own, table, meta.timestamp).await?;
            let history = history.as_ref();
            let sync = Syncing { own: &shared.own, table, shape, job, into: Goal::Live(history) };
            let mut tx = session.begin().await?;
            meta::hold(&tx, table, seen.as_ref()).await?;
            if history.is_none() {
                history::forget(&tx, &shared.own, table).await?;
            }
            let counts = sync.apply(&mut tx, parts).await?;
            let seen = meta::write(&tx, table, seen.as_ref(), meta).await?;
            staging::commit(tx).await?;
            Ok((counts, seen))
        };
        match done.await {
            Ok((counts, seen)) => {
                self.seen = Some(Row(Some(seen)));
                Ok(counts)
            }
            Err(trouble) => Err(locks::named(&*self.session, &live, trouble).await),
        }
    }

    async fn evolve(&mut self, changes: &Changes, reason: &str) -> Result<Evolved> {
        let seen = self.seen().await?;
        let mut patience = Patience::new(&self.shared.settings);
        loop {
            match self.evolve_once(seen.as_ref(), changes, reason).await {
                Ok(evolved) => return Ok(evolved),
                Err(trouble) => patience.after(&self.session, &self.live(), trouble).await?,
            }
        }
    }

    async fn plan(&mut self, changes: &Changes) -> Result<Evolved> {
        let tx = self.session.begin().await?;
        let planned = evolve::plan(&tx, &self.table, changes, self.shared.settings.refresh).await?;
        tx.rollback().await.map_err(failure::of("ROLLBACK"))?;
        Ok(planned)
    }

    async fn drop_table(&mut self) -> Result<()> {
        let seen = self.seen().await?;
        let mut patience = Patience::new(&self.shared.settings);
        loop {
            match self.drop_once(seen.as_ref()).await {
                Ok(()) => {
                    self.seen = Some(Row(None));
                    return Ok(());
                }
                Err(trouble) => patience.after(&self.session, &self.live(), trouble).await?,
            }
        }
    }

    async fn compare(&mut self, job: &str, shape: &Shape, since: &mut dyn Parts) -> Result<Differences> {
        let Self { shared, session, table, .. } = self;
        staging::of_job(&**session, &shared.own, table, job).await?;
        // All that is compared is of one moment.
        let begun = session.build().isolation_level(IsolationLevel::RepeatableRead).start().await;
        let tx = begun.map_err(failure::of("BEGIN"))?;
        let sync = Syncing { own: &shared.own, table, shape, job, into: Goal::Live(None) };
        let changed = sync.keys(&tx, since).await?;
        let beside = shared.own.beside_quoted(table);
        let aside = shared.own.staged_aside(&tx, table).await?;
        let found = compare::differences(&tx, &beside, table, shape, &changed, aside.as_deref()).await?;
        tx.rollback().await.map_err(failure::of("ROLLBACK"))?;
        Ok(found)
    }

    async fn unstage(&mut self) -> Result<()> {
        let tx = self.session.begin().await?;
        staging::forget(&tx, &self.shared.own, &self.table).await?;
        staging::commit(tx).await
    }
}

/// Makes what all of it needs, where it is not there.
pub(super) async fn make_ready(session: &mut Session, own: &Own, namespace: &str) -> Result<()> {
    if meta::is_ready(&**session).await? && own.is_ready(&**session).await? {
        return Ok(());
    }
    let tx = session.begin().await?;
    meta::take_turns(&tx).await?;
    if meta::is_ready(&tx).await? && own.is_ready(&tx).await? {
        // Another one has made it meanwhile, and works with it.
        return staging::commit(tx).await;
    }
    meta::make(&tx, namespace).await?;
    own.make(&tx).await?;
    staging::commit(tx).await
}
