//! Waiting for locks, and who holds them.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::{GenericClient, Transaction};

use super::{failure, session::Session, settings::Settings};
use crate::ports::replica::{Result, Session as Holder, Trouble};

/// `lock_not_available`.
const TIMED_OUT: &str = "55P03";
/// `deadlock_detected`.
const DEADLOCK: &str = "40P01";

/// Who that is. What another session's prepared transaction holds has no process.
const HOLDER: &str = "SELECT DISTINCT coalesce(l.pid, 0), coalesce(a.usename::text, '?'), \
    CASE WHEN l.pid IS NULL THEN 'a prepared transaction' \
    ELSE coalesce(nullif(a.application_name, ''), '?') END, \
    coalesce(to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS OF'), '?')";

/// Views over the table count, since a change of the table takes them, too; of those who hold `table_sync` only who
/// lets nobody write there.
const HELD: &str = "WITH RECURSIVE held (relation) AS (SELECT to_regclass($1)::oid \
    UNION SELECT r.ev_class FROM held JOIN pg_depend d \
    ON d.refclassid = 'pg_class'::regclass AND d.refobjid = held.relation \
    AND d.classid = 'pg_rewrite'::regclass JOIN pg_rewrite r ON r.oid = d.objid), \
    meta (relation) AS (SELECT to_regclass('instructure_dap.table_sync')::oid)";
const HOLDS: &str = "l.relation IS NOT DISTINCT FROM meta.relation \
    FROM pg_locks l CROSS JOIN meta LEFT JOIN pg_stat_activity a ON a.pid = l.pid \
    WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid() \
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    AND (l.relation IN (SELECT relation FROM held) OR l.relation = meta.relation AND l.mode IN \
    ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) ORDER BY 4, 1";

/// Who has changed, or holds, the row of the table in `table_sync`.
const HOLDS_ROW: &str = "FROM instructure_dap.table_sync s JOIN pg_locks l ON l.transactionid = s.xmax \
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid \
    WHERE l.locktype = 'transactionid' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid() AND $1 = \
    '\"' || replace(s.source_namespace, '\"', '\"\"') || '\".\"' || replace(s.source_table, '\"', '\"\"') || '\"' \
    ORDER BY 4, 1";

/// The sessions that hold a table, by its quoted name, or its row of `table_sync`.
pub(super) async fn holders(client: &impl GenericClient, live: &str) -> Result<Vec<Holder>> {
    let failed = failure::of("look at pg_locks");
    let one = |row: &tokio_postgres::Row| {
        Ok(Holder {
            pid: row.try_get(0)?,
            user: row.try_get(1)?,
            application: row.try_get(2)?,
            since: row.try_get(3)?,
        })
    };
    let rows = client.query(&format!("{HELD} {HOLDER}, {HOLDS}"), &[&live]).await.map_err(&failed)?;
    let is_locked = rows.iter().any(|row| row.try_get(4).unwrap_or(false));
    let mut found: Vec<Holder> = rows.iter().map(one).collect::<Result<_, _>>().map_err(&failed)?;
    if !is_locked {
        // Nobody keeps us from reading it.
        let rows = client.query(&format!("{HOLDER} {HOLDS_ROW}"), &[&live]).await.map_err(&failed)?;
        let of_row: Vec<Holder> = rows.iter().map(one).collect::<Result<_, _>>().map_err(&failed)?;
        let new: Vec<_> = of_row.into_iter().filter(|holder| !found.contains(holder)).collect();
        found.splice(..0, new);
    }
    found.dedup();
    Ok(found)
}

/// A lock that was waited for in vain becomes the sessions that hold it; other troubles stay.
pub(super) async fn named(client: &impl GenericClient, live: &str, trouble: Trouble) -> Trouble {
    if failure::code(&trouble) != Some(TIMED_OUT) {
        return trouble;
    }
    holders(client, live).await.map_or(trouble, Trouble::InTheWay)
}

/// Until when several locks are waited for together: those who queue behind the first one wait for all of them.
#[derive(Debug)]
pub(super) struct Deadline {
    /// The session's `lock_timeout`; zero: none.
    whole: Duration,
    begun: Instant,
}

impl Deadline {
    /// As far away as the session waits for one lock.
    pub(super) async fn begin(tx: &Transaction<'_>) -> Result<Self> {
        let asked = "SELECT setting::bigint FROM pg_settings WHERE name = 'lock_timeout'";
        let found = tx.query_one(asked, &[]).await.and_then(|row| row.try_get::<_, i64>(0));
        let whole = found.map_err(failure::of("look at lock_timeout"))?;
        Ok(Self { whole: Duration::from_millis(whole.unsigned_abs()), begun: Instant::now() })
    }

    /// Lets the next statement wait no longer than until then.
    pub(super) async fn hold(&self, tx: &Transaction<'_>) -> Result<()> {
        if self.whole.is_zero() {
            return Ok(());
        }
        let left = self.whole.saturating_sub(self.begun.elapsed());
        wait(tx, left.max(Duration::from_millis(1))).await
    }

    /// The locks are there; others are waited for as before.
    pub(super) async fn end(self, tx: &Transaction<'_>) -> Result<()> {
        wait(tx, self.whole).await
    }
}

async fn wait(tx: &Transaction<'_>, longest: Duration) -> Result<()> {
    let statement = format!("SET LOCAL lock_timeout = {}", longest.as_millis());
    tx.batch_execute(&statement).await.map_err(failure::of("SET"))
}

/// Tries that are left, and the pause before the next one.
#[derive(Debug)]
pub(super) struct Patience {
    left: u32,
    pause: Duration,
}

impl Patience {
    /// All of it.
    pub(super) fn new(settings: &Settings) -> Self {
        Self { left: settings.lock_attempts.max(1), pause: settings.lock_pause }
    }

    /// After a try that failed: waits before the next one, or says that there is none. Those who wait for a
    /// lock in our queue go on meanwhile.
    pub(super) async fn after(&mut self, session: &Session, live: &str, trouble: Trouble) -> Result<()> {
        if !matches!(failure::code(&trouble), Some(TIMED_OUT | DEADLOCK)) {
            return Err(trouble);
        }
        self.left -= 1;
        if self.left == 0 {
            return Err(named(&**session, live, trouble).await);
        }
        tokio::time::sleep(self.pause).await;
        self.pause *= 2;
        Ok(())
    }
}
