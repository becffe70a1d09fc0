//! A replica in memory, which fails, loses its answer or never answers at the calls that it is told to. It holds to
//! the contract of the port: transactions, one loader a table, the guard of `table_sync`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use copy_manager::{
    domain::replica::{
        changes::{Changes, Found, FoundColumn, Step},
        counts::Counts,
        meta::MetaRow,
        names::TableName,
        shape::{Kind, Scalar, Shape},
    },
    ports::{
        self, Class,
        replica::{
            BadLine, Beside, Differences, Evolved, Loader, Look, Part, Parts, Replica, Result, Session,
            Standing, Trouble,
        },
    },
};
use futures_util::StreamExt as _;
use jiff::Timestamp;

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Nothing happens.
    Before,
    /// It happens, and its answer is lost.
    After,
    /// It is never answered, as where the process dies.
    Never,
}

/// A table of the replica.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) meta: Option<MetaRow>,
    pub(crate) found: Found,
    /// Whether somebody has dropped it, and left the row that tells of it.
    pub(crate) is_dropped: bool,
    /// How its columns are treated.
    pub(crate) mark: Option<String>,
    /// Rows by their keys, as text; each by the names of its columns.
    pub(crate) rows: BTreeMap<Vec<String>, BTreeMap<String, String>>,
}

/// Rows by their keys, each by the names of its columns; those that are null are left out.
pub(crate) type Rows = BTreeMap<Vec<String>, BTreeMap<String, String>>;

impl Table {
    /// The values of all rows.
    pub(crate) fn values(&self) -> Rows {
        let mut rows = self.rows.clone();
        for row in rows.values_mut() {
            row.retain(|_, value| value != "\\N");
        }
        rows
    }
}

/// What is loaded beside a table.
#[derive(Debug, Clone, Default)]
struct Staged {
    job: String,
    shape: Option<Shape>,
    brought_to: Option<Timestamp>,
    mark: Option<String>,
    parts: BTreeSet<usize>,
    rows: BTreeMap<Vec<String>, BTreeMap<String, String>>,
}

impl Staged {
    fn is_of(&self, job: &str, shape: &Shape, mark: Option<&String>) -> bool {
        self.job == job && self.shape.as_ref() == Some(shape) && self.mark.as_ref() == mark
    }
}

#[derive(Debug, Default)]
struct World {
    tables: BTreeMap<TableName, Table>,
    staged: BTreeMap<TableName, Staged>,
    held: BTreeSet<TableName>,
    /// Parts that were loaded, by table and job: how often each.
    loads: BTreeMap<(TableName, String, usize), u32>,
    calls: u64,
    wrong: BTreeMap<u64, Wrong>,
    /// Tables whose changes find another session in the way, so many times.
    in_the_way: BTreeMap<TableName, u32>,
}

/// The replica.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<World>>);

impl Memory {
    fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> u64 {
        self.world(|world| world.calls)
    }

    /// Has the call of that number, from 1, go wrong.
    pub(crate) fn goes_wrong(&self, at: u64, how: Wrong) {
        self.world(|world| world.wrong.insert(at, how));
    }

    /// Has the next changes of a table's definition find another session in the way.
    pub(crate) fn in_the_way(&self, table: &TableName, times: u32) {
        self.world(|world| world.in_the_way.insert(table.clone(), times));
    }

    /// A table as readers see it.
    pub(crate) fn table(&self, table: &TableName) -> Option<Table> {
        self.world(|world| world.tables.get(table).cloned())
    }

    /// Changes a table as another program would that takes no lock.
    pub(crate) fn change(&self, table: &TableName, change: impl FnOnce(&mut Table)) {
        self.world(|world| change(world.tables.entry(table.clone()).or_default()));
    }

    /// How often the part of a job was committed at most.
    pub(crate) fn most_loads(&self) -> u32 {
        self.world(|world| world.loads.values().copied().max().unwrap_or(0))
    }

    /// Begins a call: whether its answer is to be lost.
    async fn call(&self) -> Result<bool> {
        let wrong = self.world(|world| {
            world.calls += 1;
            world.wrong.remove(&world.calls)
        });
        match wrong {
            None => Ok(false),
            Some(Wrong::After) => Ok(true),
            Some(Wrong::Before) => Err(away()),
            Some(Wrong::Never) => std::future::pending().await,
        }
    }
}

fn away() -> Trouble {
    ports::Error::new(Class::Transient, "replica", "the database is away").into()
}

fn answer<T>(given: T, is_lost: bool) -> Result<T> {
    if is_lost { Err(away()) } else { Ok(given) }
}

#[async_trait]
impl Replica for Memory {
    async fn open(&self, table: &TableName) -> Result<Option<Box<dyn Loader>>> {
        let lost = self.call().await?;
        let is_free = self.world(|world| world.held.insert(table.clone()));
        if !is_free {
            return answer(None, lost);
        }
        // A loader whose answer is lost ends with its session.
        let loader = MemoryLoader {
            of: self.clone(),
            table: table.clone(),
            has_looked: false,
            seen: None,
            mark: None,
        };
        answer(Some(Box::new(loader) as Box<dyn Loader>), lost)
    }

    async fn standing(&self, namespace: &str) -> Result<Vec<Standing>> {
        let lost = self.call().await?;
        let standing = self.world(|world| {
            let of = world.tables.iter().filter(|(name, _)| name.namespace == namespace);
            of.filter_map(|(name, table)| {
                let meta = table.meta.clone()?;
                Some(Standing { table: name.clone(), meta, rows: Some(table.rows.len() as u64), rejected: 0 })
            })
            .collect()
        });
        answer(standing, lost)
    }
}

struct MemoryLoader {
    of: Memory,
    table: TableName,
    has_looked: bool,
    seen: Option<MetaRow>,
    mark: Option<String>,
}

impl Drop for MemoryLoader {
    fn drop(&mut self) {
        self.of.world(|world| world.held.remove(&self.table));
    }
}

type Lines = Vec<(Vec<String>, BTreeMap<String, String>, Option<bool>)>;

impl MemoryLoader {
    /// That `table_sync` is as it was read.
    fn guard(&self, world: &World) -> Result<()> {
        let there = world.tables.get(&self.table).and_then(|table| table.meta.clone());
        if self.has_looked && self.seen == there { Ok(()) } else { Err(Trouble::Moved) }
    }

    /// Reads lines; of changes whether each row was deleted.
    async fn read(shape: &Shape, mut part: Part, are_changes: bool) -> Result<Lines> {
        let mut text = Vec::new();
        while let Some(chunk) = part.lines.next().await {
            text.extend_from_slice(&chunk?);
        }
        let text = String::from_utf8(text).unwrap();
        let mut rows = Lines::new();
        for (n, line) in text.lines().enumerate() {
            let fields: Vec<&str> = line.split('\t').collect();
            let (told, fields) = fields.split_at(if are_changes { 2 } else { 0 });
            let row: BTreeMap<String, String> =
                part.columns.iter().cloned().zip(fields.iter().map(|field| (*field).to_owned())).collect();
            let is_deleted = told.get(1).map(|action| *action == "D");
            for column in &shape.columns {
                let Some(value) = row.get(&column.name) else { continue };
                let is_bad =
                    matches!(column.kind, Kind::One(Scalar::Integer | Scalar::Bigint | Scalar::Smallint))
                        && value != "\\N"
                        && value.parse::<i64>().is_err();
                if is_bad {
                    let line = Some(n as u64 + 1);
                    let (column, why) = (Some(column.name.clone()), "invalid input syntax".to_owned());
                    return Err(Trouble::BadLine(BadLine { part: part.number, line, column, why }));
                }
            }
            let key = shape.key().map(|column| row.get(&column.name).cloned().unwrap_or_default()).collect();
            rows.push((key, row, is_deleted));
        }
        Ok(rows)
    }
}

/// Brings changes into rows.
fn bring(rows: &mut Rows, changes: Lines) -> Counts {
    let mut counts = Counts::default();
    for (key, row, is_deleted) in changes {
        if is_deleted == Some(true) {
            counts.deleted += u64::from(rows.remove(&key).is_some());
            continue;
        }
        match rows.insert(key, row.clone()) {
            None => counts.inserted += 1,
            Some(there) if there == row => counts.unchanged += 1,
            Some(_) => counts.changed += 1,
        }
    }
    counts
}

fn found(shape: &Shape) -> Found {
    let column = |column: &copy_manager::domain::replica::shape::Column| FoundColumn {
        name: column.name.clone(),
        kind: column.kind.to_string(),
        labels: match column.kind.scalar() {
            Scalar::Enum(of) => Some(of.labels.clone()),
            _ => None,
        },
        required: column.required,
        default: column.default.as_ref().map(|_| "default".to_owned()),
        comment: column.comment.clone(),
    };
    Found {
        columns: shape.columns.iter().map(column).collect(),
        comment: shape.comment.clone(),
        key: shape.key().map(|column| column.name.clone()).collect(),
    }
}

#[async_trait]
impl Loader for MemoryLoader {
    async fn look(&mut self) -> Result<Look> {
        let lost = self.of.call().await?;
        let look = self.of.world(|world| {
            let table = world.tables.get(&self.table);
            let staged = world.staged.get(&self.table);
            Look {
                meta: table.and_then(|table| table.meta.clone()),
                found: table.filter(|table| !table.is_dropped).map(|table| table.found.clone()),
                staged: staged.map(|staged| Beside {
                    job: staged.job.clone(),
                    parts: staged.parts.iter().copied().collect(),
                    brought_to: staged.brought_to,
                }),
                mark: table.and_then(|table| table.mark.clone()),
            }
        });
        (self.has_looked, self.seen) = (true, look.meta.clone());
        answer(look, lost)
    }

    fn treat(&mut self, mark: Option<String>) {
        self.mark = mark;
    }

    async fn stage(&mut self, job: &str, shape: &Shape) -> Result<Vec<usize>> {
        let lost = self.of.call().await?;
        let parts = self.of.world(|world| {
            let staged = world.staged.entry(self.table.clone()).or_default();
            if !staged.is_of(job, shape, self.mark.as_ref()) {
                let (job, shape, mark) = (job.to_owned(), Some(shape.clone()), self.mark.clone());
                *staged = Staged { job, shape, mark, ..Staged::default() };
            }
            staged.parts.iter().copied().collect()
        });
        answer(parts, lost)
    }

    async fn is_staged(&mut self, job: &str, shape: &Shape) -> Result<bool> {
        let lost = self.of.call().await?;
        let mark = self.mark.as_ref();
        let is_staged = self.of.world(|world| {
            world.staged.get(&self.table).is_some_and(|staged| staged.is_of(job, shape, mark))
        });
        answer(is_staged, lost)
    }

    async fn load(&mut self, job: &str, shape: &Shape, part: Part) -> Result<Counts> {
        let lost = self.of.call().await?;
        let number = part.number;
        let rows = Self::read(shape, part, false).await?;
        let counts = Counts { inserted: rows.len() as u64, ..Counts::default() };
        self.of.world(|world| {
            let staged = world.staged.get_mut(&self.table).unwrap();
            if staged.parts.insert(number) {
                *world.loads.entry((self.table.clone(), job.to_owned(), number)).or_default() += 1;
                staged.rows.extend(rows.into_iter().map(|(key, row, _)| (key, row)));
            }
        });
        answer(counts, lost)
    }

    async fn advance(
        &mut self,
        job: &str,
        shape: &Shape,
        parts: &mut dyn Parts,
        to: Timestamp,
    ) -> Result<Counts> {
        let lost = self.of.call().await?;
        let mut all = Lines::new();
        while let Some(part) = parts.next().await? {
            all.extend(Self::read(shape, part, true).await?);
        }
        let counts = self.of.world(|world| {
            let Some(staged) = world.staged.get_mut(&self.table).filter(|staged| staged.job == job) else {
                return Err(Trouble::Refused("nothing is staged for that job".to_owned()));
            };
            staged.brought_to = Some(to);
            Ok(bring(&mut staged.rows, all))
        })?;
        answer(counts, lost)
    }

    async fn finish(&mut self, job: &str, shape: &Shape, meta: &MetaRow) -> Result<Counts> {
        let lost = self.of.call().await?;
        let counts = self.of.world(|world| -> Result<Counts> {
            self.guard(world)?;
            let Some(staged) = world.staged.remove(&self.table).filter(|staged| staged.job == job) else {
                return Err(Trouble::Refused("nothing is staged for that job".to_owned()));
            };
            let table = world.tables.entry(self.table.clone()).or_default();
            let mut counts = Counts::default();
            for (key, row) in &staged.rows {
                match table.rows.get(key) {
                    None => counts.inserted += 1,
                    Some(there) if there == row => counts.unchanged += 1,
                    Some(_) => counts.changed += 1,
                }
            }
            counts.deleted = table.rows.keys().filter(|key| !staged.rows.contains_key(*key)).count() as u64;
            (table.rows, table.meta, table.found) = (staged.rows, Some(meta.clone()), found(shape));
            (table.mark, table.is_dropped) = (staged.mark, false);
            Ok(counts)
        })?;
        self.seen = Some(meta.clone());
        answer(counts, lost)
    }

    async fn apply(
        &mut self,
        _: &str,
        shape: &Shape,
        parts: &mut dyn Parts,
        meta: &MetaRow,
    ) -> Result<Counts> {
        let lost = self.of.call().await?;
        let mut all = Lines::new();
        while let Some(part) = parts.next().await? {
            all.extend(Self::read(shape, part, true).await?);
        }
        let counts = self.of.world(|world| -> Result<Counts> {
            self.guard(world)?;
            let table = world.tables.get_mut(&self.table).unwrap();
            let counts = bring(&mut table.rows, all);
            table.meta = Some(meta.clone());
            Ok(counts)
        })?;
        self.seen = Some(meta.clone());
        answer(counts, lost)
    }

    async fn evolve(&mut self, changes: &Changes, _: &str) -> Result<Evolved> {
        let lost = self.of.call().await?;
        let evolved = self.of.world(|world| -> Result<Evolved> {
            self.guard(world)?;
            if let Some(times) = world.in_the_way.get_mut(&self.table).filter(|times| **times > 0) {
                *times -= 1;
                let (user, application) = ("analyst".to_owned(), "psql".to_owned());
                return Err(Trouble::InTheWay(vec![Session {
                    pid: 7,
                    user,
                    application,
                    since: "then".into(),
                }]));
            }
            let table = world.tables.get_mut(&self.table).unwrap();
            let statements = changes.steps.iter().map(|step| format!("{step:?}")).collect();
            for step in &changes.steps {
                match step {
                    Step::Add(column) => {
                        let shape = Shape { columns: vec![column.clone()], comment: None };
                        table.found.columns.extend(found(&shape).columns);
                    }
                    Step::Drop { column } => table.found.columns.retain(|there| there.name != *column),
                    Step::Retype { column, to, .. } => {
                        for there in table.found.columns.iter_mut().filter(|there| there.name == *column) {
                            there.kind = to.to_string();
                        }
                    }
                    Step::AddLabels { column, enumeration } => {
                        for there in table.found.columns.iter_mut().filter(|there| there.name == *column) {
                            there.labels = Some(enumeration.labels.clone());
                        }
                    }
                    Step::Optional { column } => {
                        for there in table.found.columns.iter_mut().filter(|there| there.name == *column) {
                            there.required = false;
                        }
                    }
                    Step::Required { .. } | Step::Default(_) => {}
                    Step::Comment { column: None, text } => table.found.comment.clone_from(text),
                    Step::Comment { column: Some(column), text } => {
                        for there in table.found.columns.iter_mut().filter(|there| there.name == *column) {
                            there.comment.clone_from(text);
                        }
                    }
                }
            }
            Ok(Evolved { remade: Vec::new(), notes: Vec::new(), statements })
        })?;
        answer(evolved, lost)
    }

    async fn plan(&mut self, changes: &Changes) -> Result<Evolved> {
        let lost = self.of.call().await?;
        let statements = changes.steps.iter().map(|step| format!("{step:?}")).collect();
        answer(Evolved { remade: Vec::new(), notes: Vec::new(), statements }, lost)
    }

    async fn drop_table(&mut self) -> Result<()> {
        let lost = self.of.call().await?;
        self.of.world(|world| {
            world.tables.remove(&self.table);
            world.staged.remove(&self.table);
        });
        answer((), lost)
    }

    async fn compare(&mut self, job: &str, shape: &Shape, since: &mut dyn Parts) -> Result<Differences> {
        let lost = self.of.call().await?;
        let mut changed = BTreeSet::new();
        while let Some(part) = since.next().await? {
            changed.extend(Self::read(shape, part, true).await?.into_iter().map(|(key, ..)| key));
        }
        let found = self.of.world(|world| {
            let staged =
                world.staged.get(&self.table).filter(|staged| staged.job == job).cloned().unwrap_or_default();
            let table = world.tables.get(&self.table).cloned().unwrap_or_default();
            let keys: BTreeSet<_> = staged.rows.keys().chain(table.rows.keys()).cloned().collect();
            let mut found = Differences::default();
            for key in keys.into_iter().filter(|key| !changed.contains(key)) {
                let what = match (staged.rows.get(&key), table.rows.get(&key)) {
                    (Some(_), None) => &mut found.missing,
                    (None, Some(_)) => &mut found.extra,
                    (Some(one), Some(other)) if one != other => &mut found.different,
                    _ => continue,
                };
                *what += 1;
            }
            found
        });
        answer(found, lost)
    }

    async fn unstage(&mut self) -> Result<()> {
        let lost = self.of.call().await?;
        self.of.world(|world| world.staged.remove(&self.table));
        answer((), lost)
    }
}
