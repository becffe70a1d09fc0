//! Metrics, kept in memory and shown as text that Prometheus reads, and to CloudWatch.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::set_global_recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use metrics_process::Collector;
use metrics_util::layers::FanoutBuilder;

use super::{Error, cloudwatch::CloudWatch};
use crate::signals;

/// From an answer of the store to a request that takes a day, in seconds.
const SECONDS: [f64; 14] =
    [0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 21_600.0, 86_400.0];
/// Of calls, which take milliseconds, or half a minute at most.
const CALLS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
/// Between heartbeats, of which there is one within five minutes.
const GAPS: [f64; 8] = [60.0, 120.0, 180.0, 210.0, 240.0, 270.0, 300.0, 600.0];

/// What has been counted in this process.
pub struct Metrics {
    shown: PrometheusHandle,
    cloudwatch: Option<CloudWatch>,
    process: Collector,
    refreshed: AtomicU64,
}

impl Metrics {
    /// Counts everything in this process from here on; for CloudWatch too, where a namespace is given.
    pub fn install(namespace: Option<&str>) -> Result<Self, Error> {
        let (recorder, metrics) = Self::recorder(namespace.map(CloudWatch::new))?;
        match metrics.cloudwatch.clone() {
            None => set_global_recorder(recorder).map_err(|_| Error::Twice)?,
            Some(cloudwatch) => {
                let both = FanoutBuilder::default().add_recorder(recorder).add_recorder(cloudwatch).build();
                set_global_recorder(both).map_err(|_| Error::Twice)?;
            }
        }
        signals::describe();
        metrics.process.describe();
        Ok(metrics)
    }

    /// All of it, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.process.collect();
        self.shown.render()
    }

    /// Folds samples into their histograms, and writes what is only known by looking; to be called every few
    /// seconds, or samples pile up. `now`: seconds since 1970.
    pub fn upkeep(&self, now: i64) {
        self.shown.run_upkeep();
        signals::ages::refresh(now, self.refreshed.fetch_add(1, Ordering::Relaxed));
    }

    /// What is new for CloudWatch, as lines of the log. `now`: milliseconds since 1970.
    #[must_use]
    pub fn for_cloudwatch(&self, now: i64) -> Vec<String> {
        self.cloudwatch.as_ref().map(|cloudwatch| cloudwatch.lines(now)).unwrap_or_default()
    }

    fn recorder(cloudwatch: Option<CloudWatch>) -> Result<(PrometheusRecorder, Self), Error> {
        let buckets = |builder: PrometheusBuilder, ending: &str, buckets: &[f64]| {
            builder.set_buckets_for_metric(Matcher::Suffix(ending.into()), buckets).map_err(Error::Buckets)
        };
        let builder = buckets(PrometheusBuilder::new(), "_seconds", &SECONDS)?;
        let builder = buckets(builder, "_icav2_call_duration_seconds", &CALLS)?;
        let builder = buckets(builder, "_gap_seconds", &GAPS)?;
        let recorder = builder.build_recorder();
        let shown = recorder.handle();
        let metrics = Self { shown, cloudwatch, process: Collector::default(), refreshed: AtomicU64::new(1) };
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
        let (recorder, shown) = Metrics::recorder(None).unwrap();
        metrics::with_local_recorder(&recorder, || {
            signals::describe();
            signals::process::panicked("src/lib.rs:1:1", "a bug");
            metrics::histogram!("copy_manager_request_duration_seconds").record(3.0);
        });
        shown.upkeep(0);
        let text = shown.render();
        for line in [
            "# HELP copy_manager_panics_total Panics, wherever they happened",
            "copy_manager_panics_total 1",
            "copy_manager_request_duration_seconds_bucket{le=\"10\"} 1",
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
        let (recorder, shown) = Metrics::recorder(None).unwrap();
        metrics::with_local_recorder(&recorder, || {
            signals::describe();
            for name in counted() {
                if name.ends_with("_total") {
                    metrics::counter!(name).increment(1);
                } else if signals::is_histogram(&name) {
                    metrics::histogram!(name).record(1.0);
                } else {
                    metrics::gauge!(name).set(1.0);
                }
            }
        });
        shown.upkeep(0);
        let text = shown.render();
        let without: Vec<_> =
            counted().into_iter().filter(|name| !text.contains(&format!("# HELP {name} "))).collect();
        assert!(without.is_empty() && counted().len() > 40, "{without:?}");
    }
}
