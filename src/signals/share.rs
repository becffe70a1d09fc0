//! What is told about packages and pushes.

use std::{error::Error, fmt::Display, net::SocketAddr};

use tracing::{error, info, warn};

use super::{chain, journal::note};
use crate::domain::outcome::Failure;

/// The API of sharing listens.
pub fn listens(address: SocketAddr, public_url: &dyn Display) {
    info!(code = "share.listens", %address, public_url = %public_url, "sharing is open");
}

/// A call of the API of sharing came to nothing, and trying again will not help.
pub fn call_failed(why: &dyn Error) {
    error!(
        code = "share.call_failed",
        error = chain(why),
        next = "a call of the API of sharing was answered with 500",
        "a call of the API of sharing failed"
    );
}

/// The papers of a package that was deleted could not be removed, and trying again will not help.
pub fn papers_stay(package: &str, why: &dyn Error) {
    warn!(
        code = "share.papers_stay",
        request_id = package,
        error = chain(why),
        next = "they stay where artifacts are kept, and may be removed by hand",
        "papers of a deleted package stay"
    );
}

/// The issuer of tokens did not tell its keys, or not as it should; it is asked again.
pub fn issuer_is_silent(issuer: &str, why: &str) {
    warn!(
        code = "share.issuer_is_silent",
        issuer,
        error = why,
        next = "tokens are taken whose keys are known; the issuer is asked again",
        "the issuer of tokens does not tell its keys"
    );
}

/// Files of a package could not be looked at; they are looked at again.
pub fn look_waits(package: &str, why: &dyn Error) {
    note("package.look_failed", || chain(why));
    warn!(
        code = "package.look_failed",
        request_id = package,
        error = chain(why),
        next = "the files are looked at again",
        "files of a package cannot be looked at"
    );
}

/// A job of automatic sharing is for a sequencing run that is ready. `is_new`: nothing has shared the run for it before.
pub fn job_matched(run: &str, job: &str, root: &str, is_new: bool) {
    info!(
        code = "auto.job_matched",
        instrument_run_id = run,
        auto_job = job,
        shared_by = root,
        is_new,
        "a run is shared by itself"
    );
}

/// A sequencing run is ready, and nothing of it is shared: the file of jobs, or what is known of the run, cannot be used.
pub fn nothing_shared(run: &str, why: &Failure) {
    error!(
        code = "auto.nothing_shared",
        instrument_run_id = run,
        error = why.message,
        next = "mend it and run the jobs by hand: copy-manager share auto run",
        "a run is not shared"
    );
}

/// What is new of a run is nothing: it was all shared before.
pub fn nothing_new(root: &str, package: &str) {
    info!(
        code = "auto.nothing_new",
        request_id = root,
        package_id = package,
        "nothing is new since the last package"
    );
}

/// A package waits until somebody lets it go.
pub fn waits_for_approval(package: &str, name: &str, destination: &str) {
    info!(
        code = "auto.waits_for_approval",
        package_id = package,
        package_name = name,
        destination,
        next = "it is pushed when it is approved: copy-manager share auto approve",
        "a package waits for approval"
    );
}

/// People could not be asked whether a package may go.
pub fn not_asked(package: &str, why: &dyn Error) {
    error!(
        code = "auto.not_asked",
        package_id = package,
        error = chain(why),
        next = "approve it by the API, or by copy-manager share auto approve",
        "nobody could be asked to approve a package"
    );
}

/// People could not be told what became of a package that they were asked about.
pub fn not_said(package: &str, why: &dyn Error) {
    warn!(
        code = "auto.not_said",
        package_id = package,
        error = chain(why),
        "it could not be told what became of a package"
    );
}

/// A package could not be compared with the last one of its name: its report does not say what differs.
pub fn uncompared(package: &str, why: &dyn Error) {
    warn!(
        code = "package.uncompared",
        request_id = package,
        error = chain(why),
        next = "the report of the package does not say what differs",
        "a package cannot be compared with the last one of its name"
    );
}

/// The log of a push, or its receipt, could not be written; the push ends without.
pub fn log_failed(push: &str, why: &dyn Error) {
    error!(
        code = "push.log_failed",
        request_id = push,
        error = chain(why),
        next = "the push has ended, and has neither log nor receipt",
        "the log of a push cannot be written"
    );
}

/// The service for files could not be told of all copies of reads that a push has made: some of them do not have the ids
/// of their files there.
pub fn ids_not_told(push: &str, files: u64, why: &dyn Error) {
    warn!(
        code = "push.ids_not_told",
        request_id = push,
        files,
        error = chain(why),
        next = "the files have arrived; the same push again tells of them once more",
        "copies of reads do not have the ids of their files"
    );
}
