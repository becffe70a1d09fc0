//! Changes on their way into a table: one transaction from the first line to the row of `table_sync`.

use tokio_postgres::{Transaction, error::SqlState};

use super::{
    catalogue,
    ending::{counted, unkeyed},
    failure,
    history::{History, Rows},
    kinds,
    lines::{self, Aside, Target},
    own::Own,
    quote,
    session::as_others,
    staging,
    statements::Flow,
};
use crate::{
    domain::replica::{counts::Counts, names::TableName, shape::Shape},
    ports::replica::{Parts, Result, Trouble},
};

/// The table that changes come into first.
const BARE: &str = "copy_manager_changes";

/// Changes that lie in a temporary table.
struct Heap {
    columns: Vec<String>,
    /// What the columns of time and action are called.
    time: String,
    action: String,
    /// Rows of them.
    rows: u64,
    /// The last part that came.
    part: usize,
}

/// What changes are brought into.
pub(super) struct Syncing<'s> {
    pub own: &'s Own,
    pub table: &'s TableName,
    pub shape: &'s Shape,
    pub job: &'s str,
    pub into: Goal<'s>,
}

/// Which table changes come into.
#[derive(Clone, Copy)]
pub(super) enum Goal<'s> {
    /// The one that others read, and where its former rows go, if they are kept.
    Live(Option<&'s History<'s>>),
    /// The staged snapshot.
    Staged,
}

impl Syncing<'_> {
    fn quoted_into(&self) -> String {
        match self.into {
            Goal::Live(_) => catalogue::live(self.table),
            Goal::Staged => self.own.beside_quoted(self.table),
        }
    }

    fn key(&self) -> Vec<String> {
        self.shape.key().map(|column| column.name.clone()).collect()
    }

    fn quoted() -> String {
        quote::within("pg_temp", BARE)
    }

    /// Brings all parts into the table.
    pub(super) async fn apply(&self, tx: &mut Transaction<'_>, parts: &mut dyn Parts) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut heap: Option<Heap> = None;
        while let Some(part) = parts.next().await.map_err(Trouble::Source)? {
            // A column that a part lacks keeps what it has in the table: parts with other columns come by
            // themselves.
            if let Some(full) = heap.take_if(|heap| !is_same(&heap.columns, &part.columns)) {
                counts += self.settle(tx, full).await?;
                self.drop_heap(tx).await?;
            }
            let into = match &mut heap {
                Some(heap) => heap,
                none => none.insert(self.make_heap(tx, part.columns.clone()).await?),
            };
            let before = [into.time.as_str(), into.action.as_str()];
            let target = Target { quoted: &Self::quoted(), bare: BARE, before: &before };
            into.part = part.number;
            let (rows, found) = lines::copy(tx, &target, part).await?;
            into.rows += rows;
            // At once: a job may have many parts, each with many such rows.
            let aside = match self.into {
                Goal::Live(_) => Aside::Told(self.job),
                Goal::Staged => Aside::Staged,
            };
            counts += lines::settle(tx, self.own, self.table, aside, &found).await?;
        }
        if let Some(full) = heap {
            counts += self.settle(tx, full).await?;
        }
        if matches!(self.into, Goal::Staged) && counts.rejected > 0 {
            self.own.leave_to_table(tx, self.table, &self.key()).await?;
        }
        Ok(counts)
    }

    /// Fills a temporary table with all parts, and gives its name, quoted. Rows that were rejected are put aside with
    /// those of the staged snapshot: nothing is known of them either.
    pub(super) async fn keys(&self, tx: &Transaction<'_>, parts: &mut dyn Parts) -> Result<String> {
        let columns: Vec<_> = self.shape.columns.iter().map(|column| column.name.clone()).collect();
        let (time, action) = (free(&columns, "meta.ts"), free(&columns, "meta.action"));
        self.make_table(tx, &columns, &time, &action).await?;
        let before = [time.as_str(), action.as_str()];
        let target = Target { quoted: &Self::quoted(), bare: BARE, before: &before };
        while let Some(part) = parts.next().await.map_err(Trouble::Source)? {
            let (_, found) = lines::copy(tx, &target, part).await?;
            lines::settle(tx, self.own, self.table, Aside::Staged, &found).await?;
        }
        self.analyse(tx, &action).await?;
        Ok(Self::quoted())
    }

    async fn make_heap(&self, tx: &Transaction<'_>, columns: Vec<String>) -> Result<Heap> {
        if let Some(lacking) = self.shape.key().find(|key| !columns.contains(&key.name)) {
            return Err(Trouble::Refused(format!("the lines lack the key's column {}", lacking.name)));
        }
        let (time, action) = (free(&columns, "meta.ts"), free(&columns, "meta.action"));
        self.make_table(tx, &columns, &time, &action).await?;
        Ok(Heap { columns, time, action, rows: 0, part: 0 })
    }

    /// A temporary table with the types of the table, and nothing that must not be null: of a deletion only
    /// the key comes. Columns that the table does not have are as the shape says, and go no further.
    async fn make_table(
        &self,
        tx: &Transaction<'_>,
        columns: &[String],
        time: &str,
        action: &str,
    ) -> Result<()> {
        let live = self.quoted_into();
        let there = catalogue::types(tx, &live).await?;
        let mut selected = vec![
            format!("NULL::timestamp AS {}", quote::name(time)),
            format!("NULL::text AS {}", quote::name(action)),
        ];
        for name in columns {
            let quoted = quote::name(name);
            if there.iter().any(|(known, _)| known == name) {
                selected.push(format!("r.{quoted}"));
            } else if let Some(column) = self.shape.column(name) {
                selected.push(format!(
                    "NULL::{} AS {quoted}",
                    kinds::type_of(&column.kind, &self.table.namespace)
                ));
            } else {
                return Err(Trouble::Refused(format!("the schema does not know the column {name}")));
            }
        }
        let statement = format!(
            "CREATE TEMPORARY TABLE {BARE} ON COMMIT DROP AS SELECT {} FROM {live} AS r WITH NO DATA",
            selected.join(", ")
        );
        tx.batch_execute(&statement).await.map_err(|error| match error.code() {
            Some(&SqlState::TOO_MANY_COLUMNS) => staging::too_wide(self.table),
            _ => failure::of("CREATE TABLE")(error),
        })
    }

    /// Lets the server look at actions and keys: it takes a temporary table that it has not looked at for
    /// small, and joins it row by row.
    async fn analyse(&self, tx: &Transaction<'_>, action: &str) -> Result<()> {
        let key = self.key();
        let columns = quote::names([action].into_iter().chain(key.iter().map(String::as_str)));
        let statement = format!("ANALYZE {} ({columns})", Self::quoted());
        tx.batch_execute(&statement).await.map_err(failure::of("ANALYZE"))
    }

    async fn drop_heap(&self, tx: &Transaction<'_>) -> Result<()> {
        let statement = format!("DROP TABLE {}", Self::quoted());
        tx.batch_execute(&statement).await.map_err(failure::of("DROP TABLE"))
    }

    /// Brings what lies in the temporary table into the table.
    async fn settle(&self, tx: &mut Transaction<'_>, heap: Heap) -> Result<Counts> {
        let live = self.quoted_into();
        let there = catalogue::types(tx, &live).await?;
        let key = self.key();
        let values = there
            .into_iter()
            .filter(|(name, _)| heap.columns.contains(name) && !key.contains(name))
            .collect();
        let is_partitioned = catalogue::is_partitioned(tx, &live).await?;
        let flow = Flow { live, from: Self::quoted(), key, values, is_partitioned, aside: None };
        let Heap { time, action, rows, part, .. } = &heap;
        self.analyse(tx, action).await?;
        let mut counts = Counts::default();
        let asked = tx.query_one(&flow.contradictions(action), &[]).await;
        let contradictions = asked.and_then(|row| row.try_get::<_, i64>(0)).map_err(failure::of("SELECT"))?;
        if contradictions > 0 {
            counts.twice += self.once(tx, &flow, time).await?;
        }
        as_others(tx, &flow.live).await?;
        let before = tx.savepoint("changes").await.map_err(failure::of("SAVEPOINT"))?;
        let done = match self.write(&before, &flow, action).await {
            Err(error) if error.code() == Some(&SqlState::CARDINALITY_VIOLATION) => {
                before.rollback().await.map_err(failure::of("ROLLBACK TO"))?;
                counts.twice += self.once(tx, &flow, time).await?;
                self.write(tx, &flow, action).await.map_err(|error| unkeyed(&error, *part))?
            }
            done => {
                let done = done.map_err(|error| unkeyed(&error, *part))?;
                before.commit().await.map_err(failure::of("RELEASE"))?;
                done
            }
        };
        match self.into {
            Goal::Live(_) => self.own.take_back(tx, self.table, self.job, &flow).await?,
            Goal::Staged => self.own.take_back_staged(tx, self.table, &flow).await?,
        }
        let Written { deleted, inserted, changed, deletions } = done;
        let upserts = rows.saturating_sub(counts.twice).saturating_sub(deletions);
        counts += Counts {
            inserted,
            changed,
            deleted,
            unchanged: upserts.saturating_sub(inserted + changed),
            ..Counts::default()
        };
        Ok(counts)
    }

    /// Of rows of one key leaves the one of the latest time; of these the one that came last.
    async fn once(&self, tx: &Transaction<'_>, flow: &Flow, time: &str) -> Result<u64> {
        let statement = flow.once(&format!("{} DESC NULLS LAST, ctid DESC", quote::name(time)));
        tx.execute(&statement, &[]).await.map_err(failure::of("DELETE"))
    }

    async fn write(
        &self,
        tx: &Transaction<'_>,
        flow: &Flow,
        action: &str,
    ) -> Result<Written, tokio_postgres::Error> {
        if let Goal::Live(Some(history)) = self.into {
            history.keep(tx, &Rows::of_changes(flow, action)).await?;
        }
        let deleted = tx.execute(&flow.delete(action), &[]).await?;
        let (inserted, changed) = counted(tx, &flow.upsert(action)).await?;
        let came = format!("SELECT count(*) FROM {} WHERE {} = 'D'", flow.from, quote::name(action));
        let deletions = tx.query_one(&came, &[]).await?.try_get::<_, i64>(0)?.unsigned_abs();
        Ok(Written { deleted, inserted, changed, deletions })
    }
}

/// What was done to the table.
struct Written {
    deleted: u64,
    inserted: u64,
    changed: u64,
    /// Deletions that came, also of what was not there.
    deletions: u64,
}

/// A name that no column has.
fn free(columns: &[String], name: &str) -> String {
    let mut name = name.to_owned();
    while columns.contains(&name) {
        name.push('_');
    }
    name
}

fn is_same(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|name| other.contains(name))
}
