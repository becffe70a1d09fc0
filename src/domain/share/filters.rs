//! Which files of a workflow are worth sharing.

use std::collections::BTreeMap;

use regex::RegexSet;
use serde::{Deserialize, Deserializer, de::Error as _};

/// Patterns by workflow. A workflow that is not named has none, and all of its files are taken.
#[derive(Debug, Clone, Default)]
pub struct WorkflowFilters(BTreeMap<String, RegexSet>);

impl WorkflowFilters {
    /// Whether a file of that workflow is taken: a pattern is found anywhere in its key.
    #[must_use]
    pub fn keep(&self, workflow: &str, key: &str) -> bool {
        self.0.get(&canonical(workflow)).is_none_or(|patterns| patterns.is_match(key))
    }
}

impl<'de> Deserialize<'de> for WorkflowFilters {
    /// Of entries that each name a workflow and, after a space, a pattern.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut patterns: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in Vec::<String>::deserialize(deserializer)? {
            let Some((workflow, pattern)) = entry.split_once(' ') else {
                return Err(D::Error::custom(format!("`{entry}` is not a workflow, a space and a pattern")));
            };
            patterns.entry(canonical(workflow)).or_default().push(pattern.to_owned());
        }
        let read = patterns.into_iter().map(|(name, patterns)| {
            let set = RegexSet::new(patterns).map_err(D::Error::custom)?;
            Ok((name, set))
        });
        read.collect::<Result<_, _>>().map(Self)
    }
}

/// The name of a workflow that has had several.
#[must_use]
pub fn canonical(workflow: &str) -> String {
    let name = workflow.to_ascii_lowercase().replace('_', "-");
    match name.as_str() {
        "wgs-tumor-normal" => "tumor-normal".to_owned(),
        "wts-tumor-only" => "wts".to_owned(),
        "oncoanalyser-wgs" => "oncoanalyser-wgts-dna".to_owned(),
        _ => name,
    }
}

/// The workflows whose analyses can be asked for by name.
pub const WORKFLOWS: [&str; 12] = [
    "tumor-normal",
    "wts",
    "cttsov2",
    "umccrise",
    "dragen-wgts-dna",
    "dragen-wgts-rna",
    "dragen-tso500-ctdna",
    "oncoanalyser-wgts-dna",
    "oncoanalyser-wgts-rna",
    "oncoanalyser-wgts-dna-rna",
    "sash",
    "rnasum",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_is_known_by_each_of_its_names() {
        let filters: WorkflowFilters =
            serde_json::from_value(serde_json::json!(["tumor-normal (tumor|normal)\\.bam(\\.bai)?$"]))
                .unwrap();
        for name in ["tumor-normal", "WGS_TUMOR_NORMAL", "wgs_tumor_normal"] {
            assert!(filters.keep(name, "x/y_tumor.bam.bai"), "{name}");
            assert!(!filters.keep(name, "x/y_tumor.vcf"), "{name}");
        }
        assert!(filters.keep("umccrise", "anything"));
        assert!(serde_json::from_value::<WorkflowFilters>(serde_json::json!(["x ("])).is_err());
        assert!(serde_json::from_value::<WorkflowFilters>(serde_json::json!(["x"])).is_err());
    }
}
