//! What is said about copy-outs besides, in the words of those that they stand in for.

use serde_json::{Map, Value, json};

use super::clip;
use crate::domain::{
    copy_out::DryCopyOut,
    outcome::{ErrorName, Outcome},
};

/// Their callers take causes of that many characters.
pub(super) const CAUSE_LIMIT: usize = 10_000;

/// Adds where objects went and where their summary is.
pub(super) fn add(outcome: &Outcome, fields: &mut Map<String, Value>) {
    let Some(report) = &outcome.copy_out else { return };
    let counters = &outcome.counters;
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    add("destinationBucket", json!(report.destination_bucket));
    add("destinationPrefix", json!(report.destination_prefix));
    if let Some(plan) = &report.dry_run {
        add("dryRun", json!(true));
        add("plan", plan_of(plan));
        return;
    }
    let mut objects = json!({
        "total": report.total,
        "copied": counters.copied,
        "alreadyCopied": counters.skipped,
        "errors": counters.failed,
    });
    if let Some(objects) = objects.as_object_mut().filter(|_| counters.skipped_conflict > 0) {
        objects.insert("superseded".to_owned(), json!(counters.skipped_conflict));
    }
    add("objects", objects);
    add("summaryCsvKey", json!(report.summary));
    if let Some((bucket, key)) = &report.working {
        add("workingCsvBucket", json!(bucket));
        add("workingCsvKey", json!(key));
    }
}

fn plan_of(plan: &DryCopyOut) -> Value {
    json!({
        "toCopy": plan.to_copy,
        "toThaw": plan.to_thaw,
        "alreadyCopied": plan.already_copied,
        "missing": plan.missing,
        "bytes": plan.bytes,
    })
}

/// Adds which objects failed, with at most so many of them.
pub(super) fn add_errors(outcome: &Outcome, most: usize, fields: &mut Map<String, Value>) {
    let Some(failure) = outcome.failure.as_ref().filter(|failure| failure.error == ErrorName::CopyError)
    else {
        return;
    };
    let errors: Vec<_> = failure
        .culprits
        .iter()
        .take(most)
        .map(|culprit| json!({ "source": clip(&culprit.what), "error": clip(&culprit.why) }))
        .collect();
    // The same twice would leave less room.
    fields.remove("files");
    fields.remove("filesTotal");
    fields.insert("failedCount".to_owned(), json!(failure.culprits_total));
    fields.insert("totalCount".to_owned(), json!(outcome.counters.files));
    fields.insert("errors".to_owned(), json!(errors));
}
