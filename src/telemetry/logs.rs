//! Log lines: one event per line, JSON for machines, text for people.
//!
//! Lines are written by a thread of their own, behind a queue that drops and counts what does not fit: a
//! reader that stands (a pipe that is full, a log driver that blocks) must stop no work and no heartbeat.

use std::{
    fmt,
    io::{IsTerminal as _, Write as _, stderr, stdout},
    panic,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use tracing::{Subscriber, subscriber::set_global_default};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, reload};

use super::{Error, redact::Redacting};
use crate::signals::process;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object per line.
    #[default]
    Json,
    /// For reading; coloured on a terminal.
    Text,
}

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The custom of containers: `serve`, whose data *is* its log.
    Stdout,
    /// Talk, beside the data that a command prints.
    Stderr,
}

/// Lines that may wait for a reader who stands; a thousand lines are about 300 KB.
const MOST_LINES: usize = 16_384;

/// Keeps the thread that writes. What has been logged before it is dropped is written then, unless the
/// reader still stands after a second.
#[derive(Debug)]
#[must_use = "lines are lost when it is dropped early"]
pub struct Writing {
    _worker: WorkerGuard,
    dropped: ErrorCounter,
    lines: NonBlocking,
    levels: Levels,
}

impl Writing {
    /// Changes the least level that is written.
    #[must_use]
    pub fn levels(&self) -> Levels {
        self.levels.clone()
    }

    /// Writes lines among the others as they are: of the embedded metric format, say.
    #[must_use]
    pub fn verbatim(&self) -> Verbatim {
        Verbatim(self.lines.clone())
    }

    /// Counts the lines that were dropped because their reader stood.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        Dropped { counter: self.dropped.clone(), told: 0 }
    }
}

/// Changes the least level that is written.
#[derive(Clone)]
pub struct Levels {
    set: Arc<dyn Fn(&str) + Send + Sync>,
    usual: String,
    present: Arc<Mutex<Option<String>>>,
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels").field("present", &self.present).finish_non_exhaustive()
    }
}

impl Levels {
    /// Writes lines from that level of ours on, or, without one, those that the settings say. Whether that is new.
    pub fn write(&self, level: Option<&str>) -> bool {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.as_deref() == level {
            return false;
        }
        match level {
            Some(level) => (self.set)(&format!("warn,copy_manager={level}")),
            None => (self.set)(&self.usual),
        }
        *present = level.map(str::to_owned);
        true
    }
}

/// Writes lines that are no events.
#[derive(Debug, Clone)]
pub struct Verbatim(NonBlocking);

impl Verbatim {
    /// Writes a line; it is dropped where the reader stands, as others are.
    pub fn line(&mut self, line: &str) {
        // It never fails: what does not fit is counted.
        drop(self.0.write_all(format!("{line}\n").as_bytes()));
    }
}

/// Lines that were dropped because their reader stood.
#[derive(Debug, Clone)]
pub struct Dropped {
    counter: ErrorCounter,
    told: usize,
}

impl Dropped {
    /// How many more there are since it was last asked.
    pub fn news(&mut self) -> u64 {
        let all = self.counter.dropped_lines();
        let news = all.saturating_sub(self.told);
        self.told = all;
        news.try_into().unwrap_or(u64::MAX)
    }
}

/// How logging is set up.
#[derive(Debug, Clone)]
pub struct Logs {
    /// How a line looks.
    pub format: Format,
    /// Where it goes.
    pub output: Output,
    /// Least level, by target: `info`, or `info,copy_manager::icav2=debug`.
    pub filter: String,
}

impl Logs {
    /// Sends every event of this process, and every panic, where these settings say.
    pub fn install(&self) -> Result<Writing, Error> {
        let ((writer, worker), terminal) = match self.output {
            Output::Stdout => (aside(stdout(), MOST_LINES), stdout().is_terminal()),
            Output::Stderr => (aside(stderr(), MOST_LINES), stderr().is_terminal()),
        };
        let (dropped, lines) = (writer.error_counter(), writer.clone());
        let (subscriber, levels) = self.subscriber(writer, terminal)?;
        set_global_default(subscriber).map_err(|_| Error::Twice)?;
        let writing = Writing { _worker: worker, dropped, lines, levels };
        panic::set_hook(Box::new(|info| {
            let location = info.location().map(ToString::to_string).unwrap_or_default();
            process::panicked(&location, info.payload_as_str().unwrap_or("not a text"));
        }));
        Ok(writing)
    }

    fn subscriber<W>(
        &self,
        writer: W,
        colour: bool,
    ) -> Result<(Box<dyn Subscriber + Send + Sync>, Levels), Error>
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let filter = EnvFilter::builder()
            .parse(&self.filter)
            .map_err(|source| Error::Filter { filter: self.filter.clone(), source })?;
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(Redacting(writer))
            .with_ansi(colour);
        Ok(match self.format {
            Format::Json => {
                let lines = lines.json().flatten_event(true).with_span_list(false).with_filter_reloading();
                let set = reloading(lines.reload_handle());
                (Box::new(lines.finish()), self.levels(set))
            }
            Format::Text => {
                let lines = lines.with_target(false).with_filter_reloading();
                let set = reloading(lines.reload_handle());
                (Box::new(lines.finish()), self.levels(set))
            }
        })
    }

    fn levels(&self, set: Arc<dyn Fn(&str) + Send + Sync>) -> Levels {
        Levels { set, usual: self.filter.clone(), present: Arc::default() }
    }
}

/// Puts another filter in place of the one that there is.
fn reloading<S: 'static>(handle: reload::Handle<EnvFilter, S>) -> Arc<dyn Fn(&str) + Send + Sync> {
    Arc::new(move |filter| {
        if let Ok(filter) = EnvFilter::builder().parse(filter) {
            // It only fails once nothing is written any more.
            drop(handle.reload(filter));
        }
    })
}

/// A writer that never waits, and the thread behind it.
fn aside<W: std::io::Write + Send + 'static>(writer: W, most_lines: usize) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(most_lines)
        .thread_name("log lines")
        .finish(writer)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex, mpsc},
    };

    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter: &str, tell: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let logs = Logs { format, output: Output::Stderr, filter: filter.into() };
        with_default(logs.subscriber(move || writer.clone(), false).unwrap().0, tell);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_is_one_object_with_its_fields_at_the_top() {
        let line = logged(Format::Json, "info", || process::stopping("SIGTERM", std::time::Duration::ZERO));
        let json: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
        assert_eq!(
            (&json["message"], &json["level"], &json["reason"], line.lines().count()),
            (&"stopping: no new work is taken".into(), &"INFO".into(), &"SIGTERM".into(), 1)
        );
    }

    #[test]
    fn secrets_do_not_reach_either_format() {
        for format in [Format::Json, Format::Text] {
            let line = logged(format, "info", || {
                tracing::info!(
                    body = r#"{"taskToken":"AAAAKgAAAAIAAAAA=="}"#,
                    "got eyJhbGciOi.eyJpc3Mi.c2lnbmF0"
                );
            });
            assert!(!line.contains("AAAAKg") && !line.contains("eyJ"), "{line}");
            assert!(line.contains("got [redacted]"), "{line}");
        }
    }

    /// A pipe whose reader stands until the test tells it to read.
    struct Standing {
        read: mpsc::Receiver<()>,
        lines: Lines,
    }

    impl Write for Standing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Goes on when the test tells it to read, or has dropped the sender.
            self.read.recv().unwrap_or_default();
            self.lines.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_stops_nobody_and_the_loss_is_counted() {
        let (reads, read) = mpsc::channel();
        let lines = Lines::default();
        let (writer, worker) = aside(Standing { read, lines: lines.clone() }, 10);
        let logs = Logs { format: Format::Json, output: Output::Stderr, filter: "info".into() };
        let (subscriber, levels) = logs.subscriber(writer.clone(), false).unwrap();
        let writing = Writing { dropped: writer.error_counter(), _worker: worker, lines: writer, levels };
        let mut dropped = writing.dropped();
        with_default(subscriber, || {
            // Ends, though nothing was read.
            for line in 0..100 {
                tracing::info!(line, "said");
            }
        });
        let lost = dropped.news();
        // Ten wait, and one or two are with the thread.
        assert!((88..=90).contains(&lost), "{lost}");
        assert_eq!(dropped.news(), 0);
        drop(reads);
        drop(writing);
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(u64::try_from(written.lines().count()).unwrap(), 100 - lost);
    }

    #[test]
    fn the_level_can_be_another_for_a_while() {
        let lines = Lines::default();
        let writer = lines.clone();
        let logs = Logs { format: Format::Text, output: Output::Stderr, filter: "copy_manager=info".into() };
        let (subscriber, levels) = logs.subscriber(move || writer.clone(), false).unwrap();
        with_default(subscriber, || {
            for (level, is_new) in
                [(None, false), (Some("debug"), true), (Some("debug"), false), (None, true)]
            {
                assert_eq!(levels.write(level), is_new, "{level:?}");
                tracing::debug!(level, "said");
            }
        });
        let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(said.lines().count(), 2, "{said}");
    }

    #[test]
    fn the_filter_filters_and_a_wrong_one_is_refused() {
        assert_eq!(logged(Format::Text, "warn", || tracing::info!("quiet")), "");
        let logs = Logs { format: Format::Text, output: Output::Stderr, filter: "a=b=c".into() };
        assert!(matches!(logs.subscriber(io::sink, false), Err(Error::Filter { .. })));
    }
}
