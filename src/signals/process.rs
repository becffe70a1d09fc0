//! The life of the process: ready, stopping, drained or cut, and tasks that broke.

use std::{net::SocketAddr, path::Path, time::Duration};

use metrics::{counter, gauge};
use tracing::{debug, error, info, warn};

use super::{chain, millis};

/// Gauge: 1 while the process takes new work.
pub const READY: &str = "copy_manager_ready";
/// Counter, by `task`: tasks that ended with an error.
pub const TASK_FAILURES: &str = "copy_manager_task_failures_total";
/// Counter: panics, wherever they happened.
pub const PANICS: &str = "copy_manager_panics_total";

/// Counter: log lines that were dropped because their reader had not read what came before.
pub const LINES_LOST: &str = "copy_manager_log_lines_lost_total";

/// Gauge: which version runs.
pub const BUILD: &str = "copy_manager_build_info";

/// Metrics: name and meaning.
pub const METRICS: &[(&str, &str)] = &[
    (BUILD, "1, with the version that runs as label"),
    (READY, "1 while the process takes new work"),
    (TASK_FAILURES, "Tasks that ended with an error"),
    (PANICS, "Panics, wherever they happened"),
    (LINES_LOST, "Log lines that were dropped because their reader had not read what came before"),
];

/// Everything that must work does; the admin interface listens at `address`. Scripts wait for this very text.
pub fn ready(address: SocketAddr) {
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!(READY).set(1.0);
    info!(code = "instance.ready", address = %address, version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), "ready");
}

/// There are no ICAv2 credentials, and replicas that are kept without.
pub fn no_platform() {
    info!(code = "instance.no_platform", "no ICAv2 credentials: replicas are kept, and copies are refused");
}

/// The admin interface listens where other machines may call, and asks for a token that nobody has been given.
pub fn admin_has_no_token(address: SocketAddr) {
    warn!(code = "admin.no_token", address = %address, "the admin interface is not on a loopback address: requests are not answered without admin.token");
}

/// There was no file with the token of the admin interface, and now there is.
pub fn admin_token_made(file: &Path) {
    info!(code = "admin.token_made", file = %file.display(), "token file made, readable by its owner alone");
}

/// The admin interface could not accept a connection: out of file handles, as a rule.
pub fn accepts_nobody(why: &dyn std::error::Error) {
    warn!(code = "admin.accepts_nobody", error = chain(why), "no connection accepted");
}

/// How many files and sockets this process may have open.
pub fn file_limit(limit: u64) {
    debug!(code = "instance.file_limit", limit, "file handles");
}

/// The limit of file handles could not be raised.
pub fn file_limit_stays(why: &dyn std::error::Error) {
    warn!(code = "instance.file_limit_stays", error = chain(why), "the limit of file handles stays as it is");
}

/// Lines are written from another level on: one that an operator asks for, or the usual one.
pub fn level_changed(level: Option<&str>) {
    info!(code = "instance.log_level", level_asked = level.unwrap_or("as set"), "log level changed");
}

/// No new work is taken from here on.
pub fn stopping(reason: &str, deadline: Duration) {
    gauge!(READY).set(0.0);
    info!(
        code = "instance.draining",
        reason,
        deadline_ms = millis(deadline),
        "stopping: no new work is taken"
    );
}

/// All work in hand reached its end in time.
pub fn drained(took: Duration) {
    info!(code = "instance.drained", took_ms = millis(took), "shutdown complete: all work in hand has ended");
}

/// The time is nearly up: what is still in hand is handed over.
pub fn cut(tasks: &[&str]) {
    warn!(
        code = "instance.handing_over",
        tasks = tasks.join(" "),
        "shutdown deadline near: work in hand is handed over"
    );
}

/// These tasks did not even hand over in time; their leases will run out.
pub fn abandoned(tasks: &[&str]) {
    error!(
        code = "instance.work_left",
        tasks = tasks.join(" "),
        "shutdown incomplete: tasks left behind, their leases run out"
    );
}

/// A second signal came during the drain.
pub fn forced(signal: &str) {
    warn!(code = "instance.forced", signal, "exiting at once");
}

/// A task ended with an error that the process can live with.
pub fn task_failed(task: &'static str, error: &dyn std::error::Error) {
    counter!(TASK_FAILURES, "task" => task).increment(1);
    error!(code = "instance.task_failed", task, error = chain(error), "task failed");
}

/// A task ended in a panic; where it happened is in the line of [`panicked`].
pub fn task_panicked(task: &'static str, message: &str) {
    counter!(TASK_FAILURES, "task" => task).increment(1);
    error!(code = "instance.task_panicked", task, error = message, "task panicked");
}

/// Some thread panicked.
pub fn panicked(location: &str, message: &str) {
    counter!(PANICS).increment(1);
    error!(code = "instance.panicked", location, error = message, "a thread panicked");
}

/// Log lines were dropped because their reader had not read what came before.
pub fn lines_lost(lines: u64) {
    counter!(LINES_LOST).increment(lines);
    warn!(code = "instance.lines_lost", lines, "log lines lost: standard output was not read");
}
