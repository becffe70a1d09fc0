//! A database as its own tools describe it, and changes of a table's definition by the port.

use copy_manager::{
    domain::replica::{
        changes::{Changes, Step},
        shape::{Enumeration, Kind, Scalar},
    },
    ports::replica::{Evolved, Result, Trouble},
    postgres::{Postgres, settings::Refresh},
};
use tokio::process::Command;
use tokio_postgres::Client;

use crate::{
    postgres::{Database, connect},
    world::{open, settings, table},
};

/// A database with a replica that is ready, and roles of its own.
pub(crate) struct Db {
    pub(crate) database: Database,
    pub(crate) replica: Postgres,
}

impl Db {
    /// That database.
    pub(crate) async fn new(database: Database) -> Self {
        let replica = Postgres::new(settings(&database.url)).unwrap();
        drop(open(&replica, &table()).await);
        database.run("SET search_path = pg_catalog").await;
        Self { database, replica }
    }

    /// What the roles of this test begin with: roles belong to all databases of a server.
    pub(crate) fn roles(&self) -> String {
        let (_, name) = self.database.url.rsplit_once('/').unwrap();
        format!("{name}_")
    }

    /// Runs statements; in them, `ROLE_` is the beginning of this test's roles.
    pub(crate) async fn run(&self, statements: &str) {
        let done = self.database.client.batch_execute(&statements.replace("ROLE_", &self.roles())).await;
        if let Err(error) = done {
            panic!("{error:?}");
        }
    }

    /// The first column of what a query gives, a line each.
    pub(crate) async fn text(&self, query: &str) -> String {
        let rows = self.database.client.query(query, &[]).await.unwrap();
        let one =
            |row: &tokio_postgres::Row| row.get::<_, Option<String>>(0).unwrap_or_else(|| "NULL".to_owned());
        rows.iter().map(one).collect::<Vec<_>>().join("\n")
    }

    /// A session of another.
    pub(crate) async fn another(&self) -> Client {
        connect(&self.database.url).await.unwrap()
    }

    /// All definitions, as `pg_dump` writes them, and which views are filled.
    pub(crate) async fn dump(&self) -> Vec<String> {
        let program = self.database.programs.join("pg_dump");
        let out = Command::new(program).args(["--schema-only", &self.database.url]).output().await.unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8(out.stdout).unwrap();
        let is_said = |line: &&str| !line.starts_with("--") && !line.starts_with('\\') && !line.is_empty();
        let mut lines: Vec<String> = text.lines().filter(is_said).map(str::to_owned).collect();
        let filled = "SELECT oid::regclass || ' filled ' || relispopulated FROM pg_class WHERE relkind = 'm'";
        lines.extend(self.text(filled).await.lines().map(str::to_owned));
        lines.sort();
        lines
    }

    /// The numbers of all tables, views and indexes, and of their files.
    pub(crate) async fn numbers(&self) -> String {
        self.text(
            "SELECT string_agg(concat_ws(' ', oid, relname, relfilenode), ', ' ORDER BY oid) FROM pg_class
             WHERE oid > 16383 AND relkind IN ('r', 'v', 'm', 'i')",
        )
        .await
    }

    /// Changes the courses.
    pub(crate) async fn evolve(&self, steps: Vec<Step>) -> Result<Evolved> {
        evolve(&self.replica, steps).await
    }

    /// The same, filling views at another time.
    pub(crate) async fn evolve_filling(&self, steps: Vec<Step>, refresh: Refresh) -> Evolved {
        let mut settings = settings(&self.database.url);
        settings.refresh = refresh;
        evolve(&Postgres::new(settings).unwrap(), steps).await.unwrap()
    }

    /// What a change would do.
    pub(crate) async fn plan(&self, steps: Vec<Step>) -> Result<Evolved> {
        open(&self.replica, &table()).await.plan(&Changes { steps, notes: Vec::new() }).await
    }

    /// Asserts that a change is refused, planned and made, for these reasons, and that all is as it was.
    pub(crate) async fn assert_hindered(&self, steps: Vec<Step>, expected: &[&str]) {
        let (before, numbers) = (self.dump().await, self.numbers().await);
        let planned = self.plan(steps.clone()).await;
        let made = self.evolve(steps).await;
        for refused in [planned.unwrap_err(), made.unwrap_err()] {
            let Trouble::Dependents(said) = &refused else { panic!("{refused:?}") };
            assert_eq!(said, expected);
        }
        self.assert_untouched(&before, &numbers).await;
    }

    /// Asserts that all is as it was.
    pub(crate) async fn assert_untouched(&self, before: &[String], numbers: &str) {
        assert_eq!(changed(before, &self.dump().await), Vec::<String>::new());
        assert_eq!(self.numbers().await, numbers);
    }
}

/// Changes the courses of a replica.
pub(crate) async fn evolve(replica: &Postgres, steps: Vec<Step>) -> Result<Evolved> {
    open(replica, &table()).await.evolve(&Changes { steps, notes: Vec::new() }, "a test").await
}

/// What differs between two dumps.
pub(crate) fn changed(before: &[String], after: &[String]) -> Vec<String> {
    let only = |one: &[String], other: &[String], sign: &str| {
        let mut rest = other.to_vec();
        let mut found = Vec::new();
        for line in one {
            match rest.iter().position(|there| there == line) {
                Some(place) => drop(rest.swap_remove(place)),
                None => found.push(format!("{sign} {}", line.trim())),
            }
        }
        found
    };
    let mut all = only(before, after, "-");
    all.extend(only(after, before, "+"));
    all
}

pub(crate) fn one(scalar: Scalar) -> Kind {
    Kind::One(scalar)
}

pub(crate) fn words(name: &str, labels: &[&str]) -> Enumeration {
    Enumeration { name: name.to_owned(), labels: labels.iter().map(|label| (*label).to_owned()).collect() }
}

pub(crate) fn retype(column: &str, to: Kind) -> Step {
    Step::Retype { column: column.to_owned(), from: String::new(), to, widens: true }
}

pub(crate) fn gone(column: &str) -> Step {
    Step::Drop { column: column.to_owned() }
}
