//! What an error means for a table: it is tried again, loaded anew, or has failed.

use std::time::Duration;

use super::TableRun;
use crate::{
    domain::replica::run::{TableResult, TableState as Stands},
    engine::{backoff::jittered, lease::RoundError, records::as_millis},
    ports::{Class, Error, replica::Trouble},
    signals,
};

/// What comes after a step.
#[derive(Debug)]
pub(super) enum Step {
    /// The next one.
    On,
    /// There is something to wait for until then, milliseconds since 1970.
    Wait {
        /// Until when at most.
        due_at: i64,
        /// For what, as it is shown.
        why: String,
    },
    /// It has ended.
    Done(Box<TableResult>),
}

/// Why a step came to nothing.
#[derive(Debug)]
pub(super) enum Halt {
    /// A call of the source failed.
    Source(Error),
    /// A file of the source did not come, or not whole.
    Lines(Error),
    /// The replica did not do it.
    Trouble(Trouble),
    /// It cannot be done, whoever tries: why, in one sentence.
    Refused(String),
    /// The round ends.
    Round(RoundError),
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<RoundError> for Halt {
    fn from(error: RoundError) -> Self {
        Self::Round(error)
    }
}

/// The first wait before a table is tried again, and the longest.
const BASE: Duration = Duration::from_secs(5);
const CAP: Duration = Duration::from_mins(2);
/// The longest wait that is asked of us and done.
const LONGEST_HINT: Duration = Duration::from_mins(10);
/// How long a place is waited for where it is not said.
const PLACE: Duration = Duration::from_secs(5);
/// Between tables that wait for the same place: the one that is furthest behind comes first.
const IN_ORDER: i64 = 40;

impl TableRun<'_> {
    /// What is done about an error; `Err` where the round ends with it.
    pub(super) fn judge(&mut self, halt: Halt) -> Result<Step, Halt> {
        match halt {
            Halt::Round(error) => Err(Halt::Round(error)),
            Halt::Refused(why) => Ok(self.failed(why)),
            Halt::Source(error) => self.judge_source(error, false),
            Halt::Lines(error) => self.judge_source(error, true),
            Halt::Trouble(trouble) => self.judge_trouble(trouble),
        }
    }

    fn judge_source(&mut self, error: Error, is_file: bool) -> Result<Step, Halt> {
        self.plane.core.note_outage(&self.root_refs, &error);
        match error.code.as_deref() {
            Some("SnapshotRequiredError" | "OutOfRangeError") if self.state.behind.is_some() => {
                // The snapshot is older than what the source remembers. The next one may be newer.
                (self.state.behind, self.state.asked) = (None, None);
                return Ok(self.again(error.to_string()));
            }
            Some("SnapshotRequiredError" | "OutOfRangeError") if !self.state.needs_init => {
                // The source keeps no changes since then.
                signals::replica::snapshot_needed(self.root.as_str(), &self.order.table, &error);
                self.done().note(["the source has no changes since then: loaded anew".to_owned()]);
                (self.state.needs_init, self.state.asked) = (true, None);
                return Ok(Step::On);
            }
            Some("NotFoundError") if self.state.asked.is_some() => {
                // Jobs and their files live for a day.
                self.state.asked = None;
                return Ok(self.again("the job is gone".to_owned()));
            }
            _ => {}
        }
        match error.class {
            // Nobody has been asked: it is we who wait for a place.
            Class::Throttled if error.status.is_none() || error.status == Some(429) => {
                let wait = as_millis(error.retry_after.unwrap_or(PLACE).min(CAP));
                let window = self.of.settings.concurrency.max(1);
                let number = i64::try_from(self.order.number % window).unwrap_or(0);
                let due_at = self.now().saturating_add(wait).saturating_add(number.saturating_mul(IN_ORDER));
                Ok(Step::Wait { due_at, why: format!("a place for {}", error.operation) })
            }
            // Nobody has answered: as everywhere.
            Class::Transient | Class::Unauthorized if error.status.is_none() && !is_file => {
                Err(Halt::Source(error))
            }
            class if class.is_passing() => {
                let least = error.retry_after.unwrap_or_default();
                Ok(self.again_after(error.to_string(), least))
            }
            _ => Ok(self.failed(error.to_string())),
        }
    }

    fn judge_trouble(&mut self, trouble: Trouble) -> Result<Step, Halt> {
        match trouble {
            Trouble::Source(error) => self.judge_source(error, true),
            Trouble::Port(error) if error.is_passing() => {
                self.plane.core.note_outage(&self.root_refs, &error);
                // A server that is away, or has no room for one more, comes back. Whatever else passes may not.
                let code = error.code.as_deref().unwrap_or_default();
                let is_away =
                    code.is_empty() || ["08", "57P", "53300"].iter().any(|away| code.starts_with(away));
                if is_away {
                    Err(Halt::Trouble(Trouble::Port(error)))
                } else {
                    Ok(self.again(error.to_string()))
                }
            }
            Trouble::Port(error) => Ok(self.failed(error.to_string())),
            Trouble::Moved => {
                self.state.asked = None;
                Ok(self.again("another program has written this table meanwhile".to_owned()))
            }
            Trouble::BadLine(line) if !self.state.strict => {
                signals::replica::line_refused(self.root.as_str(), &self.order.table, &line);
                self.state.strict = true;
                Ok(Step::On)
            }
            Trouble::InTheWay(_) => Ok(self.again(trouble.to_string())),
            Trouble::BadLine(_) | Trouble::Dependents(_) | Trouble::Refused(_) => {
                Ok(self.failed(trouble.to_string()))
            }
        }
    }

    /// One more try, after a while; or the end, when there were enough.
    pub(super) fn again(&mut self, why: String) -> Step {
        self.again_after(why, Duration::ZERO)
    }

    fn again_after(&mut self, why: String, least: Duration) -> Step {
        self.state.attempts += 1;
        if self.state.attempts >= self.of.settings.max_attempts.max(1) {
            return self.failed(why);
        }
        signals::replica::tried_again(self.root.as_str(), &self.order.table, &why, self.state.attempts);
        let wait = jittered(BASE, CAP, self.state.attempts, self.plane.core.ports.chance.as_ref());
        let due_at = self.now().saturating_add(as_millis(wait.max(least.min(LONGEST_HINT))));
        self.state.error = Some(why.clone());
        Step::Wait { due_at, why }
    }

    fn failed(&mut self, why: String) -> Step {
        let table = &self.order.table.table;
        Step::Done(Box::new(self.state.done.result(table, Stands::Failed, Some(why))))
    }
}
