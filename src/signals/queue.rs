//! What the queues, the buses and the task tokens have to tell.

use std::path::Path;

use metrics::{counter, gauge};
use tracing::{debug, info, warn};

use super::chain;

/// Metrics of the adapters: name and meaning.
pub const METRICS: &[(&str, &str)] = &[
    (DEAD_LETTERED, "Messages that no instance could finish, by queue (embedded mode; SQS counts its own)"),
    (NOT_DELETED, "Messages that could not be deleted and come back, by queue"),
    (NOT_RELEASED, "Messages that could not be made visible at once, by queue"),
    (WAITING, "Messages that could be received, by queue, as last counted by this instance"),
    (IN_FLIGHT, "Messages that some instance has received and not finished yet, by queue"),
    (DEAD_LETTERS, "Messages that no instance could finish and that are kept, by queue"),
    (PUBLISHED, "Events told to everybody, by detail type (embedded mode)"),
];

const DEAD_LETTERED: &str = "copy_manager_messages_dead_lettered_total";
const NOT_DELETED: &str = "copy_manager_messages_not_deleted_total";
const NOT_RELEASED: &str = "copy_manager_messages_not_released_total";
const WAITING: &str = "copy_manager_queue_waiting";
const IN_FLIGHT: &str = "copy_manager_queue_in_flight";
const DEAD_LETTERS: &str = "copy_manager_queue_dead_letters";
const PUBLISHED: &str = "copy_manager_events_published_total";

/// A message went to the dead letters: no instance could finish it.
pub fn dead_lettered(queue: &str, message_id: &str, receives: u32) {
    counter!(DEAD_LETTERED, "queue" => queue.to_owned()).increment(1);
    warn!(code = "message.dead_lettered", queue, message_id, receives, "message dead-lettered");
}

/// How full a queue is, and the place for what nobody could finish, where that is known.
pub fn depth(queue: &'static str, waiting: u64, in_flight: u64, dead_letters: Option<u64>) {
    #[expect(clippy::cast_precision_loss, reason = "queues hold fewer messages")]
    let set = |name, number: u64| gauge!(name, "queue" => queue).set(number as f64);
    set(WAITING, waiting);
    set(IN_FLIGHT, in_flight);
    if let Some(dead_letters) = dead_letters {
        set(DEAD_LETTERS, dead_letters);
    }
}

/// It cannot be asked how full a queue is; told once, when it begins. Messages are taken all the same.
pub fn depth_unknown(queue: &'static str, why: &dyn std::error::Error) {
    warn!(code = "queue.depth_unknown", queue, error = chain(why), "it is not known how full a queue is");
}

/// Others than its owner may read the database, which holds task tokens.
pub fn database_is_open(file: &Path, mode: u32) {
    let mode = format!("{mode:04o}");
    warn!(code = "instance.database_is_open", file = %file.display(), mode, "others may read the database, which holds task tokens: chmod 600");
}

/// A topic of SNS has sent a message about this subscription itself.
pub fn sns_subscription(topic: &str, message: &str) {
    info!(code = "sns.subscription", sns_topic = topic, sns_message_id = message, "subscription to a topic");
}

/// Messages could not be deleted; they come back.
pub fn not_deleted(queue: &str, code: &str, count: usize) {
    counter!(NOT_DELETED, "queue" => queue.to_owned()).increment(count as u64);
    warn!(code = "queue.not_deleted", queue, error_code = code, messages = count, "messages not deleted");
}

/// Messages could not be made visible; they come back after their visibility timeout.
pub fn not_released(queue: &str, code: &str, count: usize) {
    counter!(NOT_RELEASED, "queue" => queue.to_owned()).increment(count as u64);
    warn!(code = "queue.not_released", queue, error_code = code, messages = count, "messages not released");
}

/// An event for everybody, where the log is the bus.
pub fn event_published(detail_type: &str, detail: &str) {
    counter!(PUBLISHED, "detail_type" => detail_type.to_owned()).increment(1);
    info!(code = "event.published", detail_type, detail, "event published");
}

/// A heartbeat, where no state machine listens to heartbeats.
pub fn heartbeat_noted() {
    debug!(code = "heartbeat.noted", "heartbeat noted");
}

/// The answer to a task token, where the log is the caller: the one line that programs read, so its fields keep
/// their names. The token itself is not told.
pub fn task_answered(status: &str, answer: &str) {
    info!(code = "caller.answer", task.status = status, task.answer = answer, "task answered");
}
