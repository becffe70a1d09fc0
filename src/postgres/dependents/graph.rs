//! Which views use which.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Transaction;

use super::{Touched, port};
use crate::ports::replica::Result;

/// The closure of views over a table.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// The views, in the order in which they were found.
    found: Vec<u32>,
    /// What a view's query reads, of what is in the closure.
    below: BTreeMap<u32, BTreeSet<u32>>,
    /// Rules of tables that name what is in the closure: which, and of which table.
    pub(super) foreign_rules: BTreeSet<u32>,
}

/// Rules that use the columns of a table; without numbers, any of it.
const FIRST: &str = "
    SELECT DISTINCT d.refobjid, r.oid, r.ev_class, c.relkind::text, r.rulename = '_RETURN'
    FROM pg_depend d
    JOIN pg_rewrite r ON r.oid = d.objid
    JOIN pg_class c ON c.oid = r.ev_class
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = $1 AND ($3 OR d.refobjsubid = ANY ($2::int4[]))
      AND NOT ($3 AND r.ev_class = $1)";

/// Rules that use relations, or the types of their rows.
const NEXT: &str = "
    SELECT DISTINCT used.relation, r.oid, r.ev_class, c.relkind::text, r.rulename = '_RETURN'
    FROM (
        SELECT d.refobjid AS relation, d.objid
        FROM pg_depend d
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
          AND d.refobjid = ANY ($1::oid[])
        UNION ALL
        SELECT c.oid, d.objid
        FROM pg_class c
        JOIN pg_type t ON t.oid = c.reltype
        JOIN pg_depend d ON d.refobjid IN (t.oid, t.typarray)
        WHERE c.oid = ANY ($1::oid[]) AND d.classid = 'pg_rewrite'::regclass
          AND d.refclassid = 'pg_type'::regclass
    ) used
    JOIN pg_rewrite r ON r.oid = used.objid
    JOIN pg_class c ON c.oid = r.ev_class
    WHERE r.ev_class <> used.relation AND NOT ($3 AND r.ev_class = $2)";

/// Materialised views that keep whole rows of a table: it cannot change a type under them.
const KEEPERS: &str = "
    SELECT DISTINCT a.attrelid
    FROM pg_class t
    JOIN pg_type row ON row.oid = t.reltype
    JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (row.oid, row.typarray)
    JOIN pg_attribute a ON a.attrelid = d.objid AND a.attnum = d.objsubid
    JOIN pg_class c ON c.oid = a.attrelid
    WHERE t.oid = $1 AND d.classid = 'pg_class'::regclass AND c.relkind = 'm'";

impl Graph {
    /// Reads it.
    pub(super) async fn read(tx: &Transaction<'_>, table: u32, touched: Touched<'_>) -> Result<Self> {
        let failed = port("SELECT pg_depend");
        let (columns, all, retyped) = match touched {
            Touched::Columns { retyped, dropped } => {
                let numbers = retyped.iter().chain(dropped).map(|number| i32::from(*number)).collect();
                (numbers, false, !retyped.is_empty())
            }
            Touched::All => (Vec::new(), true, true),
        };
        let mut graph = Self::default();
        let mut edges = tx.query(FIRST, &[&table, &columns, &all]).await.map_err(&failed)?;
        if all {
            edges.extend(tx.query(NEXT, &[&vec![table], &table, &all]).await.map_err(&failed)?);
        }
        let mut new = graph.take(table, &edges)?;
        if retyped {
            for row in tx.query(KEEPERS, &[&table]).await.map_err(&failed)? {
                new.extend(graph.add(row.try_get(0).map_err(&failed)?));
            }
        }
        while !new.is_empty() {
            let edges = tx.query(NEXT, &[&new, &table, &all]).await.map_err(&failed)?;
            new = graph.take(table, &edges)?;
        }
        Ok(graph)
    }

    /// Takes rules as they were read, and gives the views that are new.
    fn take(&mut self, table: u32, rows: &[tokio_postgres::Row]) -> Result<Vec<u32>> {
        let failed = port("SELECT pg_depend");
        let mut new = Vec::new();
        for row in rows {
            let (below, rule): (u32, u32) =
                (row.try_get(0).map_err(&failed)?, row.try_get(1).map_err(&failed)?);
            let (of, kind): (u32, String) =
                (row.try_get(2).map_err(&failed)?, row.try_get(3).map_err(&failed)?);
            if !matches!(kind.as_str(), "v" | "m") {
                self.foreign_rules.insert(rule);
                continue;
            }
            new.extend(self.add(of));
            // What other rules of a view name is of no matter for the order: they are made when all views
            // are.
            if below != table && row.try_get(4).map_err(&failed)? {
                self.below.entry(of).or_default().insert(below);
            }
        }
        Ok(new)
    }

    fn add(&mut self, view: u32) -> Option<u32> {
        let is_new = !self.found.contains(&view);
        is_new.then(|| {
            self.found.push(view);
            view
        })
    }

    /// The views, each after those that it reads.
    pub(super) fn inside_out(&self) -> impl DoubleEndedIterator<Item = u32> {
        let mut order: Vec<u32> = Vec::with_capacity(self.found.len());
        let mut rest: Vec<u32> = self.found.clone();
        while !rest.is_empty() {
            let is_ready = |view: &u32| {
                self.below.get(view).is_none_or(|below| below.iter().all(|one| order.contains(one)))
            };
            let (mut ready, waiting): (Vec<u32>, Vec<u32>) = rest.iter().partition(|view| is_ready(view));
            if ready.is_empty() {
                // A circle cannot be; were there one, the database would say what is wrong with it.
                order.extend(waiting);
                break;
            }
            ready.sort_unstable();
            order.extend(ready);
            rest = waiting;
        }
        order.into_iter()
    }

    /// The views, each before those that it reads.
    pub(super) fn outside_in(&self) -> impl Iterator<Item = u32> {
        self.inside_out().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_comes_after_all_that_it_reads_in_two_diamonds() {
        let below =
            [(2, vec![1]), (3, vec![1]), (4, vec![2, 3]), (5, vec![4]), (6, vec![4, 1]), (7, vec![5, 6])];
        let graph = Graph {
            found: vec![7, 4, 1, 6, 2, 5, 3],
            below: below.into_iter().map(|(view, below)| (view, below.into_iter().collect())).collect(),
            foreign_rules: BTreeSet::new(),
        };
        assert_eq!(graph.inside_out().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(graph.outside_in().collect::<Vec<_>>(), [7, 6, 5, 4, 3, 2, 1]);
    }
}
