//! What is told about replicas.

use std::{error::Error, fmt::Display};

use metrics::{counter, gauge};
use tracing::{error, info, warn};

use super::{chain, journal::note};
use crate::domain::replica::run::{RunReport, TableResult};

/// Metrics of replicas: name and meaning.
pub const METRICS: &[(&str, &str)] = &[
    (TABLES, "Tables of runs that have ended, by state"),
    (ROWS, "Rows of tables that were written, by what happened to them"),
    (OF, "The time that the data of a table are of, seconds since 1970, by table"),
    (AGAIN, "Tries for a table that failed, and are made again"),
];

const TABLES: &str = "copy_manager_replica_tables_total";
const ROWS: &str = "copy_manager_replica_rows_total";
const OF: &str = "copy_manager_replica_data_of_seconds";
const AGAIN: &str = "copy_manager_replica_tries_failed_total";

/// The states of tables, and what happens to rows, as metrics have them.
pub(super) const STATES: &[&str] =
    &["complete", "complete_with_update", "failed", "needs_init", "needs_sync"];
pub(super) const HAPPENS: &[&str] = &["inserted", "changed", "deleted", "unchanged", "rejected"];

/// Data of a table were asked for.
pub fn asked(run: &str, table: &dyn Display, job: &str, since: Option<jiff::Timestamp>) {
    let what = || since.map_or_else(|| "all of it".to_owned(), |since| format!("changes since {since}"));
    note("table.asked", what);
    info!(code = "table.asked", request_id = run, table = %table, dap_job = job, what = %what(), "data of a table asked for");
}

/// A table needs a snapshot, since its source keeps no changes from its time on.
pub fn snapshot_needed(run: &str, table: &dyn Display, why: &dyn Error) {
    note("table.snapshot_needed", || chain(why));
    warn!(
        code = "table.snapshot_needed",
        request_id = run,
        table = %table,
        error = chain(why),
        next = "all of it is loaded, and merged with what is there",
        "the source has no changes of a table since its time"
    );
}

/// A table needs a snapshot, since its columns are to be treated otherwise than those of the rows that are there.
pub fn treated_anew(run: &str, table: &dyn Display) {
    note("table.treated_anew", || table.to_string());
    info!(
        code = "table.treated_anew",
        request_id = run,
        table = %table,
        next = "all of it is loaded, and merged with what is there",
        "columns of a table are to be treated otherwise"
    );
}

/// A line did not fit its table; the file is loaded again, every field of it held to its type.
pub fn line_refused(run: &str, table: &dyn Display, why: &dyn Error) {
    note("table.line_refused", || chain(why));
    warn!(
        code = "table.line_refused",
        request_id = run,
        table = %table,
        error = chain(why),
        next = "the file is loaded again, and what cannot be stored is put aside",
        "a line does not fit its table"
    );
}

/// A try for a table came to nothing, and another follows.
pub fn tried_again(run: &str, table: &dyn Display, why: &str, attempts: u32) {
    note("table.try_failed", || why.to_owned());
    counter!(AGAIN).increment(1);
    warn!(
        code = "table.try_failed",
        request_id = run,
        table = %table,
        error = why,
        attempts,
        next = "it is tried again",
        "a table is not up to date yet"
    );
}

/// The definition of a table was changed.
pub fn schema_changed(run: &str, table: &dyn Display, statements: &[String], remade: &[String]) {
    note("table.schema_changed", || statements.join("; "));
    info!(
        code = "table.schema_changed",
        request_id = run,
        table = %table,
        statements = statements.join("; "),
        views = remade.join(", "),
        "the definition of a table was changed"
    );
}

/// A change of a table's definition waits for a person.
pub fn change_held(run: &str, table: &dyn Display, change: &str) {
    note("table.change_held", || change.to_owned());
    warn!(
        code = "table.change_held",
        request_id = run,
        table = %table,
        change,
        next = "the column stays as it is; take the sort of change out of canvas.on_change to let it go on",
        "a change of a table's definition is held back"
    );
}

/// A table was compared with its source.
pub fn audited(run: &str, table: &dyn Display, [missing, extra, different]: [u64; 3]) {
    note("table.audited", || format!("{missing} missing, {extra} extra, {different} different"));
    info!(code = "table.audited", request_id = run, table = %table, missing, extra, different, "a table was compared with its source");
}

/// The snapshot of an audit that came to nothing stays beside the table; the next audit takes it away.
pub fn audit_left(run: &str, table: &dyn Display, why: &dyn Error) {
    warn!(
        code = "table.audit_left",
        request_id = run,
        table = %table,
        error = chain(why),
        next = "the next audit takes it away",
        "the snapshot of an audit stays"
    );
}

/// A table of a run has ended.
pub fn table_ended(run: &str, result: &TableResult) {
    counter!(TABLES, "state" => result.state.as_str()).increment(1);
    let counts = &result.counts;
    let rows = [counts.inserted, counts.changed, counts.deleted, counts.unchanged, counts.rejected];
    for (what, rows) in HAPPENS.iter().zip(rows) {
        counter!(ROWS, "what" => *what).increment(rows);
    }
    if let Some(of) = result.data_of {
        #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
        gauge!(OF, "table" => result.table.clone()).set(of.as_second() as f64);
    }
    if result.state.is_complete() {
        info!(
            code = "table.complete",
            request_id = run,
            table = result.table,
            state = result.state.as_str(),
            inserted = counts.inserted,
            changed = counts.changed,
            deleted = counts.deleted,
            unchanged = counts.unchanged,
            rejected = counts.rejected,
            "a table is up to date"
        );
        return;
    }
    error!(
        code = "table.failed",
        request_id = run,
        table = result.table,
        state = result.state.as_str(),
        error = result.error.as_deref().unwrap_or_default(),
        next = "the next run tries it again",
        "a table is not up to date"
    );
}

/// A run over the tables of a namespace has ended.
pub fn run_ended(run: &str, report: &RunReport) {
    let complete = report.tables.iter().filter(|table| table.state.is_complete()).count();
    info!(
        code = "replica.run_ended",
        request_id = run,
        namespace = report.namespace,
        mode = report.mode.as_str(),
        complete,
        failed = report.tables.len() - complete,
        stale = report.stale.len(),
        error = report.error.as_deref().unwrap_or_default(),
        "a run over the tables of a replica has ended"
    );
}

/// The message of a run, where a target is the log.
pub fn message(subject: &str, text: &str) {
    info!(code = "replica.message", subject, text, "the message of a run");
}

/// A target could not be told what a run has come to.
pub fn not_told(run: &str, why: &dyn Error) {
    warn!(
        code = "replica.not_told",
        request_id = run,
        error = chain(why),
        next = "it is not told of this run; see canvas.notify",
        "a target was not told of a run"
    );
}

/// The schedules of replicas could not be put; they are put again.
pub fn no_schedule(why: &dyn Error) {
    warn!(
        code = "replica.no_schedule",
        error = chain(why),
        next = "it is tried again; until then no run begins by itself",
        "the schedules of replicas could not be put"
    );
}
