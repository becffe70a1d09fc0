//! Metrics, kept in memory and shown as text that Prometheus reads.

use metrics::set_global_recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::Error;
use crate::signals;

/// From an answer of the store to a request that takes a day, in seconds.
const SECONDS: [f64; 14] =
    [0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 21_600.0, 86_400.0];

/// What has been counted in this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Counts everything in this process from here on.
    pub fn install() -> Result<Self, Error> {
        let (recorder, metrics) = Self::recorder()?;
        set_global_recorder(recorder).map_err(|_| Error::Twice)?;
        signals::describe();
        Ok(metrics)
    }

    /// All of it, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds samples into their histograms; to be called every few seconds, or they pile up.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }

    fn recorder() -> Result<(PrometheusRecorder, Self), Error> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            .map_err(Error::Buckets)?
            .build_recorder();
        let metrics = Self(recorder.handle());
        Ok((recorder, metrics))
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn what_is_counted_is_shown_with_its_meaning() {
        let (recorder, shown) = Metrics::recorder().unwrap();
        metrics::with_local_recorder(&recorder, || {
            signals::describe();
            signals::process::panicked("src/lib.rs:1:1", "a bug");
            metrics::histogram!("copy_manager_api_request_seconds").record(3.0);
        });
        shown.upkeep();
        let text = shown.render();
        for line in [
            "# HELP copy_manager_panics_total Panics, wherever they happened",
            "copy_manager_panics_total 1",
            "copy_manager_api_request_seconds_bucket{le=\"10\"} 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }

    /// The names of metrics in the sources, wherever one is counted.
    fn counted() -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/signals");
        let files =
            fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        let mut names = BTreeSet::new();
        for text in files {
            let quoted = text.split('"').filter(|quoted| quoted.starts_with("copy_manager_"));
            names.extend(quoted.map(str::to_owned));
        }
        names
    }

    #[test]
    fn every_metric_has_a_meaning() {
        let (recorder, shown) = Metrics::recorder().unwrap();
        metrics::with_local_recorder(&recorder, || {
            signals::describe();
            for name in counted() {
                if name.ends_with("_total") {
                    metrics::counter!(name).increment(1);
                } else if name.ends_with("_seconds") {
                    metrics::histogram!(name).record(1.0);
                } else {
                    metrics::gauge!(name).set(1.0);
                }
            }
        });
        shown.upkeep();
        let text = shown.render();
        let without: Vec<_> =
            counted().into_iter().filter(|name| !text.contains(&format!("# HELP {name} "))).collect();
        assert!(without.is_empty() && counted().len() > 40, "{without:?}");
    }
}
