//! Metrics, kept in memory and shown as text that Prometheus reads.

use metrics::set_global_recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::Error;
use crate::signals::process;

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
        process::describe();
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
    use super::*;

    #[test]
    fn what_is_counted_is_shown_with_its_meaning() {
        let (recorder, shown) = Metrics::recorder().unwrap();
        metrics::with_local_recorder(&recorder, || {
            process::describe();
            process::panicked("src/lib.rs:1:1", "a bug");
            metrics::histogram!("copy_manager_round_seconds").record(3.0);
        });
        shown.upkeep();
        let text = shown.render();
        for line in [
            "# HELP copy_manager_panics_total panics, wherever they happened",
            "copy_manager_panics_total 1",
            "copy_manager_round_seconds_bucket{le=\"10\"} 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }
}
