//! What the demo does beside a replica: a view that somebody has made over it, and leaving nothing behind.

use secrecy::SecretString;

use super::{Postgres, Settings, failure, session::Session};
use crate::ports::replica::Result;

/// The database of the demo.
#[derive(Debug)]
pub struct DemoDatabase(Postgres);

impl DemoDatabase {
    /// That database.
    ///
    /// # Errors
    ///
    /// Where the address cannot be read.
    pub fn new(url: &str) -> Result<Self> {
        Postgres::new(Settings::new(SecretString::from(url))).map(Self)
    }

    async fn session(&self) -> Result<Session> {
        self.0.shared.connect().await
    }

    /// Whether it holds no replica.
    ///
    /// # Errors
    ///
    /// Those of the database; so with the others.
    pub async fn is_free(&self) -> Result<bool> {
        // Everything that is taken away at the end must have been made here.
        let there = "SELECT NOT EXISTS (SELECT FROM pg_namespace \
            WHERE nspname IN ('canvas', 'instructure_dap', 'copy_manager', 'copy_manager_demo'))";
        let row =
            self.session().await?.query_one(there, &[]).await.map_err(failure::of("look for a replica"))?;
        row.try_get(0).map_err(failure::of("look for a replica"))
    }

    async fn run(&self, statements: &str) -> Result<()> {
        self.session().await?.batch_execute(statements).await.map_err(failure::of("prepare the demo"))
    }

    /// A view over a column that will get another type.
    pub async fn make_view(&self) -> Result<()> {
        self.run(
            "CREATE SCHEMA copy_manager_demo; \
             CREATE VIEW copy_manager_demo.course_names AS SELECT id, upper(name) AS name FROM canvas.courses; \
             COMMENT ON VIEW copy_manager_demo.course_names IS 'made by an analyst'",
        )
        .await
    }

    /// Takes the view away.
    pub async fn drop_view(&self) -> Result<()> {
        self.run("DROP SCHEMA copy_manager_demo CASCADE").await
    }

    /// Takes away what a replica of nothing leaves. Only what is empty goes.
    pub async fn clear(&self) -> Result<()> {
        self.run("DROP SCHEMA IF EXISTS canvas; DROP SCHEMA IF EXISTS copy_manager, instructure_dap CASCADE")
            .await
    }
}
