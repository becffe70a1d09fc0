//! Names of attributes.

pub(crate) use crate::ports::store::{CREATED_AT, DAY};
pub(crate) const KIND: &str = "kind";
pub(crate) const PHASE: &str = "phase";
pub(crate) const OWNER: &str = "owner";
pub(crate) const EPOCH: &str = "epoch";
/// A number by chance, of the write that took the lease.
pub(crate) const GRIP: &str = "grip";
pub(crate) const LEASE_UNTIL: &str = "lease_until";
pub(crate) const STARTS: &str = "starts";
pub(crate) const SURVIVED: &str = "survived";
pub(crate) const REVISION: &str = "revision";
pub(crate) const WAKES: &str = "wakes";
/// `wakes` as a child has last answered them.
pub(crate) const HEARD: &str = "heard";
pub(crate) const FAILURES: &str = "failures";
pub(crate) const DEFECTS: &str = "defects";
pub(crate) const TROUBLE: &str = "trouble";
pub(crate) const STATE: &str = "state";
pub(crate) const SPEC: &str = "spec";
pub(crate) const HASH: &str = "payload_hash";
/// Of a schedule: when its roots are due, and by the clock of which zone; within how many milliseconds they are made; and
/// whether one waits for the end of the one before.
pub(crate) const WHEN: &str = "when";
pub(crate) const ZONE: &str = "zone";
pub(crate) const WINDOW: &str = "window";
pub(crate) const ALONE: &str = "alone";
/// The time that its next root is for, by which rule, when that is made, and the last root.
pub(crate) const TICK: &str = "tick";
pub(crate) const TICKED_BY: &str = "ticked_by";
pub(crate) const NEXT_AT: &str = "next_at";
pub(crate) const LAST: &str = "last";
/// The roots that wait for the end of this one.
pub(crate) const AWAITED_BY: &str = "awaited_by";
pub(crate) const SOURCE: &str = "source";
pub(crate) const DESTINATION: &str = "destination";
pub(crate) const ROOT: &str = "root";
/// The name that the caller gave it, the bus event that brought it, who asked and what for.
pub(crate) const NAME: &str = "name";
pub(crate) const EVENT: &str = "event_id";
pub(crate) const CALLER: &str = "caller";
pub(crate) const SOURCES: &str = "sources";
pub(crate) const UPDATED_AT: &str = "updated_at";
pub(crate) const OUTCOME: &str = "outcome";
pub(crate) const TOKEN: &str = "token";
pub(crate) const SETTLED: &str = "settled";
pub(crate) const TRIES: &str = "tries";
pub(crate) const FOLDER: &str = "folder";
pub(crate) const RUNNING: &str = "running";
pub(crate) const FAILURE: &str = "failure";
pub(crate) const EVIDENCE_AT: &str = "evidence_at";
pub(crate) const OUTAGE_AT: &str = "outage_at";
pub(crate) const WITHHELD_AT: &str = "withheld_at";
pub(crate) const LOOKED_AT: &str = "looked_at";
pub(crate) const WAITS_FOR: &str = "waits_for";
pub(crate) const EXPRESS: &str = "express";
pub(crate) const WAITING: &str = "waiting";
pub(crate) const PARKED: &str = "parked_slices";
pub(crate) const IN_TURNS: &str = "in_turns";
pub(crate) const WAITING_FOR: &str = "waiting_for";
/// How many children of one root were put together.
pub(crate) const SIBLINGS: &str = "siblings";
/// The files that a waiter found there when its folder first saw it; written by the folder's holder,
/// once.
pub(crate) const SEEN: &str = "seen";
/// Of a waiter: what its root's tally holds of it; written by the folder's holder.
pub(crate) const COUNTED: &str = "counted";
/// Whether all children are to be looked at, because an operator wants it; written by any instance.
pub(crate) const WAKE_ALL: &str = "wake_all";
/// The request that was made again as this one.
pub(crate) const RETRY_OF: &str = "retry_of";
/// The last things that have happened to it; written by the holder, with what it writes anyway.
pub(crate) const JOURNAL: &str = "journal";
/// Of a token: when the last heartbeat was sent.
pub(crate) const BEAT_AT: &str = "beat_at";
/// How a root has ended, so that lists need not read its outcome to know; absent in those of older versions.
pub(crate) const ENDED: &str = "ended";
