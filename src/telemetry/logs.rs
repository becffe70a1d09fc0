//! Log lines: one event per line, JSON for machines, text for people.

use std::{
    io::{IsTerminal as _, stderr, stdout},
    panic,
};

use serde::{Deserialize, Serialize};
use tracing::{Subscriber, subscriber::set_global_default};
use tracing_subscriber::{
    EnvFilter,
    fmt::{MakeWriter, writer::BoxMakeWriter},
};

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
    pub fn install(&self) -> Result<(), Error> {
        let (writer, terminal) = match self.output {
            Output::Stdout => (BoxMakeWriter::new(stdout), stdout().is_terminal()),
            Output::Stderr => (BoxMakeWriter::new(stderr), stderr().is_terminal()),
        };
        set_global_default(self.subscriber(writer, terminal)?).map_err(|_| Error::Twice)?;
        panic::set_hook(Box::new(|info| {
            let location = info.location().map(ToString::to_string).unwrap_or_default();
            process::panicked(&location, info.payload_as_str().unwrap_or("not a text"));
        }));
        Ok(())
    }

    fn subscriber<W>(&self, writer: W, colour: bool) -> Result<Box<dyn Subscriber + Send + Sync>, Error>
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
            Format::Json => Box::new(lines.json().flatten_event(true).with_span_list(false).finish()),
            Format::Text => Box::new(lines.with_target(false).finish()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
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
        with_default(logs.subscriber(move || writer.clone(), false).unwrap(), tell);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_is_one_object_with_its_fields_at_the_top() {
        let line = logged(Format::Json, "info", || process::stopping("SIGTERM", std::time::Duration::ZERO));
        let json: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
        assert_eq!(
            (&json["message"], &json["level"], &json["reason"], line.lines().count()),
            (&"stopping".into(), &"INFO".into(), &"SIGTERM".into(), 1)
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

    #[test]
    fn the_filter_filters_and_a_wrong_one_is_refused() {
        assert_eq!(logged(Format::Text, "warn", || tracing::info!("quiet")), "");
        let logs = Logs { format: Format::Text, output: Output::Stderr, filter: "a=b=c".into() };
        assert!(matches!(logs.subscriber(io::sink, false), Err(Error::Filter { .. })));
    }
}
