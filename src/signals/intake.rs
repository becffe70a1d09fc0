//! What is told about the queues that work comes from, and about the table behind them.

use std::error::Error;

use tracing::{error, info, warn};

use super::{chain, millis, outage::Trouble};

/// A queue could not be read or written.
pub fn receive_failed(queue: &str, trouble: Trouble, why: &dyn Error) {
    let Trouble { lasted, failures } = trouble;
    warn!(
        code = "queue.down",
        queue,
        since_ms = millis(lasted),
        calls_failed = failures,
        error = chain(why),
        "queue unavailable"
    );
}

/// A queue can be read again.
pub fn receives_again(queue: &str, trouble: Trouble) {
    let Trouble { lasted, failures } = trouble;
    info!(
        code = "queue.up",
        queue,
        since_ms = millis(lasted),
        calls_failed = failures,
        "queue available again"
    );
}

/// The table did not answer.
pub fn store_unavailable(trouble: Trouble, why: &dyn Error) {
    let Trouble { lasted, failures } = trouble;
    error!(
        code = "store.down",
        since_ms = millis(lasted),
        calls_failed = failures,
        error = chain(why),
        "store unavailable"
    );
}

/// The table answers again.
pub fn store_available(trouble: Trouble) {
    let Trouble { lasted, failures } = trouble;
    info!(code = "store.up", since_ms = millis(lasted), calls_failed = failures, "store available again");
}

/// What a job event says could not be stored; the event is received again.
pub fn job_event_not_heard(job: &str, why: &dyn Error) {
    warn!(code = "message.job_event_not_stored", job_id = job, error = chain(why), "job event not stored");
}

/// Messages were not given back to the other instances; they are received again when their time is over.
pub fn not_handed_back(messages: usize, why: &dyn Error) {
    warn!(
        code = "message.not_released",
        messages,
        error = chain(why),
        "messages not released, received again later"
    );
}

/// Messages were not deleted and come back; without an error where the queue refused only these.
pub fn delete_failed(messages: usize, why: Option<&dyn Error>) {
    warn!(
        code = "message.not_deleted",
        messages,
        error = why.map(chain),
        "messages not deleted, they will be received again"
    );
}
