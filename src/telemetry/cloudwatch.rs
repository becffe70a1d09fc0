//! The metrics that alarms need, in CloudWatch's embedded metric format: lines of the log of which CloudWatch
//! makes metrics by itself.
//!
//! `metrics_cloudwatch_embedded` can only be the one recorder of a process, and keeps a hundred samples of a
//! histogram at most; so the lines are made here, of counters and gauges alone.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_util::registry::{AtomicStorage, Registry};
use serde_json::{Map, Value, json};

/// The metrics that go to CloudWatch, each of which costs money there. Of a gauge that several instances have,
/// alarms look at the largest.
pub const SHOWN: [&str; 24] = [
    "copy_manager_answers_without_words_total",
    "copy_manager_callbacks_failed_total",
    "copy_manager_debts_given_up_total",
    "copy_manager_due_lateness_seconds",
    "copy_manager_heartbeats_late_total",
    "copy_manager_heartbeats_withheld_total",
    "copy_manager_icav2_throttled_total",
    "copy_manager_icav2_token_valid_seconds",
    "copy_manager_icav2_up",
    "copy_manager_instances",
    "copy_manager_job_oldest_seconds",
    "copy_manager_jobs_ended_total",
    "copy_manager_newer_records_total",
    "copy_manager_panics_total",
    "copy_manager_queue_dead_letters",
    "copy_manager_queue_in_flight",
    "copy_manager_queue_waiting",
    "copy_manager_records_given_up_total",
    "copy_manager_request_idle_seconds",
    "copy_manager_request_oldest_seconds",
    "copy_manager_requests_concluded_total",
    "copy_manager_runs_active",
    "copy_manager_runs_waiting",
    "copy_manager_suspects_total",
];

/// The labels that become dimensions; what differs in others is added up.
const DIMENSIONS: [&str; 3] = ["outcome", "queue", "status"];

/// Counts what is shown there.
#[derive(Clone)]
pub(super) struct CloudWatch {
    namespace: Arc<str>,
    registry: Arc<Registry<Key, AtomicStorage>>,
}

impl CloudWatch {
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.into(), registry: Arc::new(Registry::atomic()) }
    }

    /// What has been counted since the last call, and the gauges as they are: a line for each set of dimensions.
    pub(super) fn lines(&self, now_millis: i64) -> Vec<String> {
        let mut documents: BTreeMap<Vec<(String, String)>, BTreeMap<String, f64>> = BTreeMap::new();
        let dimensions = |key: &Key| -> Vec<(String, String)> {
            let known = key.labels().filter(|label| DIMENSIONS.contains(&label.key()));
            known.map(|label| (label.key().to_owned(), label.value().to_owned())).collect()
        };
        self.registry.visit_counters(|key, counter| {
            let count = counter.swap(0, Ordering::Relaxed);
            if count > 0 {
                #[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
                let count = count as f64;
                *documents.entry(dimensions(key)).or_default().entry(key.name().to_owned()).or_default() +=
                    count;
            }
        });
        self.registry.visit_gauges(|key, gauge| {
            let value = f64::from_bits(gauge.load(Ordering::Relaxed));
            documents.entry(dimensions(key)).or_default().insert(key.name().to_owned(), value);
        });
        documents
            .into_iter()
            .map(|(dimensions, values)| self.line(now_millis, &dimensions, &values))
            .collect()
    }

    fn line(
        &self,
        now_millis: i64,
        dimensions: &[(String, String)],
        values: &BTreeMap<String, f64>,
    ) -> String {
        let unit = |name: &str| if name.ends_with("_seconds") { "Seconds" } else { "Count" };
        let metrics: Vec<_> = values.keys().map(|name| json!({ "Name": name, "Unit": unit(name) })).collect();
        let names: Vec<_> = dimensions.iter().map(|(name, _)| name).collect();
        let mut line = Map::new();
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": now_millis,
                "CloudWatchMetrics": [{ "Namespace": &*self.namespace, "Dimensions": [names], "Metrics": metrics }],
            }),
        );
        line.extend(dimensions.iter().map(|(name, value)| (name.clone(), value.clone().into())));
        line.extend(values.iter().map(|(name, value)| (name.clone(), (*value).into())));
        Value::Object(line).to_string()
    }
}

impl Recorder for CloudWatch {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if !SHOWN.contains(&key.name()) {
            return Counter::noop();
        }
        self.registry.get_or_create_counter(key, |counter| counter.clone().into())
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        if !SHOWN.contains(&key.name()) {
            return Gauge::noop();
        }
        self.registry.get_or_create_gauge(key, |gauge| gauge.clone().into())
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_in_the_embedded_metric_format() {
        let cloudwatch = CloudWatch::new("CopyManager/test");
        metrics::with_local_recorder(&cloudwatch, || {
            metrics::counter!("copy_manager_jobs_ended_total", "status" => "FAILED").increment(2);
            metrics::counter!("copy_manager_requests_concluded_total", "error" => "Stalled", "outcome" => "failed")
                .increment(1);
            metrics::counter!("copy_manager_requests_concluded_total", "error" => "Internal", "outcome" => "failed")
                .increment(1);
            metrics::gauge!("copy_manager_request_idle_seconds").set(12.5);
            metrics::gauge!("copy_manager_queue_waiting", "queue" => "requests").set(7.0);
            metrics::counter!("copy_manager_children_settled_total").increment(1);
        });
        let lines: Vec<Value> =
            cloudwatch.lines(1_000).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines,
            [
                json!({
                    "_aws": { "Timestamp": 1000, "CloudWatchMetrics": [{ "Namespace": "CopyManager/test", "Dimensions": [[]],
                        "Metrics": [{ "Name": "copy_manager_request_idle_seconds", "Unit": "Seconds" }] }] },
                    "copy_manager_request_idle_seconds": 12.5,
                }),
                json!({
                    "_aws": { "Timestamp": 1000, "CloudWatchMetrics": [{ "Namespace": "CopyManager/test", "Dimensions": [["outcome"]],
                        "Metrics": [{ "Name": "copy_manager_requests_concluded_total", "Unit": "Count" }] }] },
                    "outcome": "failed", "copy_manager_requests_concluded_total": 2.0,
                }),
                json!({
                    "_aws": { "Timestamp": 1000, "CloudWatchMetrics": [{ "Namespace": "CopyManager/test", "Dimensions": [["queue"]],
                        "Metrics": [{ "Name": "copy_manager_queue_waiting", "Unit": "Count" }] }] },
                    "queue": "requests", "copy_manager_queue_waiting": 7.0,
                }),
                json!({
                    "_aws": { "Timestamp": 1000, "CloudWatchMetrics": [{ "Namespace": "CopyManager/test", "Dimensions": [["status"]],
                        "Metrics": [{ "Name": "copy_manager_jobs_ended_total", "Unit": "Count" }] }] },
                    "status": "FAILED", "copy_manager_jobs_ended_total": 2.0,
                }),
            ]
        );
        // A counter is told once; a gauge again and again.
        assert_eq!(cloudwatch.lines(2_000).len(), 2);
    }

    #[test]
    fn what_is_shown_there_is_known_here() {
        for name in SHOWN {
            assert!(crate::signals::is_known(name), "{name}");
        }
    }
}
