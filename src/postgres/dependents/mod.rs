//! Views that depend on a table, taken away before it is changed and made again as they were.
//!
//! `PostgreSQL` refuses to alter a column that a view uses, and keeps no text of views: so the closure over
//! `pg_depend` is read with all that is said about each view, the views are dropped from the outside in, and
//! are made again from the inside out, in the transaction that changes the table. What cannot be made again
//! as it was is named, and nothing is changed. No function is installed in the database.

mod grants;
mod graph;
mod obstacles;
mod parts;
mod view;
mod views;

use tokio_postgres::Transaction;

use self::{graph::Graph, view::View};
use super::{ddl::Statement, failure::of as port, locks::Deadline};
use crate::ports::replica::{Result, Trouble};

/// How often the closure is read again because somebody made another view meanwhile.
const LOOKS: usize = 3;

/// What of a table is changed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Touched<'a> {
    /// These columns, by their numbers.
    Columns {
        /// Those that change their type.
        retyped: &'a [i16],
        /// Those that go.
        dropped: &'a [i16],
    },
    /// The table is exchanged for another.
    All,
}

impl Touched<'_> {
    /// Whether nothing is.
    pub(super) const fn is_nothing(self) -> bool {
        matches!(self, Self::Columns { retyped: [], dropped: [] })
    }
}

/// The views that depend on what is changed, and how they are made again.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    /// From the inside out.
    views: Vec<View>,
    /// What belongs to the table itself, where it is exchanged.
    table: Option<View>,
    /// Why the change cannot be made, one sentence each.
    pub(super) obstacles: Vec<String>,
    /// What is not quite as it was afterwards, one sentence each.
    pub(super) notes: Vec<String>,
}

impl Dependents {
    /// Reads them, and takes no lock.
    ///
    /// The caller has emptied `search_path`, so that all names in definitions are whole ones.
    pub(super) async fn read(tx: &Transaction<'_>, table: u32, touched: Touched<'_>) -> Result<Self> {
        if touched.is_nothing() {
            return Ok(Self::default());
        }
        let graph = Graph::read(tx, table, touched).await?;
        Self::described(tx, table, touched, &graph).await
    }

    /// Locks the views, then the table, and reads what is there then.
    ///
    /// Readers of a view lock it before they lock what is below: so do we, and nobody waits in a circle.
    pub(super) async fn locked(
        tx: &Transaction<'_>,
        table: u32,
        ident: &str,
        touched: Touched<'_>,
    ) -> Result<Self> {
        let mut locked: Option<Vec<u32>> = None;
        let deadline = Deadline::begin(tx).await?;
        for _ in 0..LOOKS {
            let graph = Graph::read(tx, table, touched).await?;
            let is_new = |view: &u32| locked.as_ref().is_none_or(|locked| !locked.contains(view));
            let new: Vec<u32> = graph.outside_in().filter(is_new).collect();
            if new.is_empty() && locked.is_some() {
                deadline.end(tx).await?;
                return Self::described(tx, table, touched, &graph).await;
            }
            for statement in views::locks(tx, &new).await? {
                deadline.hold(tx).await?;
                statement.run(tx).await?;
            }
            deadline.hold(tx).await?;
            let sql = format!("LOCK TABLE {ident} IN ACCESS EXCLUSIVE MODE");
            tx.batch_execute(&sql).await.map_err(port("LOCK TABLE"))?;
            locked.get_or_insert_default().extend(new);
        }
        Err(Trouble::Refused("views on the table are made faster than they can be looked at".to_owned()))
    }

    async fn described(
        tx: &Transaction<'_>,
        table: u32,
        touched: Touched<'_>,
        graph: &Graph,
    ) -> Result<Self> {
        let mut found =
            Self { obstacles: obstacles::read(tx, table, touched, graph).await?, ..Self::default() };
        let order: Vec<u32> = graph.inside_out().collect();
        found.views = views::read(tx, &order, &mut found.notes).await?;
        if matches!(touched, Touched::All) {
            found.table = Some(views::read_table(tx, table, &mut found.notes).await?);
        }
        Ok(found)
    }

    /// Fails where something cannot be made again as it was.
    pub(super) fn hindered(&self) -> Result<()> {
        if self.obstacles.is_empty() { Ok(()) } else { Err(Trouble::Dependents(self.obstacles.clone())) }
    }

    fn all(&self) -> impl Iterator<Item = &View> {
        self.table.iter().chain(&self.views)
    }

    /// Their numbers.
    pub(super) fn oids(&self) -> Vec<u32> {
        self.views.iter().map(|view| view.oid).collect()
    }

    /// Their names, as `schema.name`, from the inside out.
    pub(super) fn names(&self) -> Vec<String> {
        self.views.iter().map(View::name).collect()
    }

    /// What takes them away, from the outside in.
    pub(super) fn drops(&self) -> Vec<Statement> {
        let rules = self.all().flat_map(|view| view.undo.clone());
        rules.chain(self.views.iter().rev().map(View::drop)).collect()
    }

    /// What makes them again, from the inside out: first all views, then what may name other views.
    pub(super) fn makes(&self) -> Vec<Statement> {
        let first = self.all().flat_map(|view| view.make.clone());
        first.chain(self.all().flat_map(|view| view.then.clone())).collect()
    }

    /// What fills those that were filled, from the inside out.
    pub(super) fn refreshes(&self) -> Vec<Statement> {
        self.views.iter().filter_map(View::refresh).collect()
    }
}
