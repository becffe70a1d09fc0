//! Jobs of automatic sharing (`share.auto_jobs`): which projects' reads go where as soon as a sequencing run is ready.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{destination::Destination, files::DataType, request::is_name};

/// Jobs that a file may have.
const MOST_JOBS: usize = 1000;

/// Who lets a package go that was made automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Nobody has to: it is pushed at once.
    #[default]
    None,
    /// One of those who may, by a button in Slack, or in the API.
    Slack,
    /// Whoever may in the API.
    Api,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoJob {
    /// Its name; part of those of its packages.
    pub job_name: String,
    /// Whether it is done at all.
    pub enabled: bool,
    /// The projects whose libraries are shared.
    pub project_id_list: Vec<String>,
    /// What of them.
    pub data_type_list: Vec<DataType>,
    /// Where to.
    pub share_destination: String,
    /// Who lets it go; what `share.auto_approval` says where it is not said.
    #[serde(default)]
    pub approval: Option<Approval>,
    /// Whether what a run gains later is shared, too, and then alone.
    #[serde(default)]
    pub incremental: bool,
    /// Texts that its packages have.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl AutoJob {
    /// What its package of a run is called.
    #[must_use]
    pub fn package_name(&self, run: &str) -> String {
        format!("autosharing-{}-{run}", self.job_name)
    }

    /// Whether it is for a run that has libraries of these projects.
    #[must_use]
    pub fn is_for(&self, projects: &BTreeSet<String>) -> bool {
        self.enabled && self.project_id_list.iter().any(|project| projects.contains(project))
    }

    fn check(&self, run: &str) -> Result<(), String> {
        if !is_name(&self.package_name(run)) {
            return Err(
                "`jobName` must be letters, digits and `_.+-`, and short enough for a name".to_owned()
            );
        }
        if self.project_id_list.iter().all(String::is_empty) {
            return Err("`projectIdList` must name a project".to_owned());
        }
        if self.data_type_list.is_empty() {
            return Err("`dataTypeList` must not be empty".to_owned());
        }
        Destination::read(&self.share_destination).map(drop)
    }
}

/// Reads the jobs, as they are for that run.
///
/// # Errors
///
/// What is wrong with the first one that is, in a sentence. Then none is done: it cannot be known what was meant.
pub fn read(text: &str, run: &str) -> Result<Vec<AutoJob>, String> {
    let jobs: Vec<AutoJob> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if jobs.len() > MOST_JOBS {
        return Err(format!("there are more than {MOST_JOBS} jobs"));
    }
    let mut names = BTreeSet::new();
    for job in &jobs {
        job.check(run).map_err(|why| format!("job `{}`: {why}", job.job_name))?;
        if !names.insert(&job.job_name) {
            return Err(format!("job `{}` is there twice", job.job_name));
        }
    }
    Ok(jobs)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const RUN: &str = "241024_A00130_0336_BHW7MVDSXC";

    fn job() -> Value {
        json!({ "jobName": "weekly", "enabled": true, "projectIdList": ["Trauma"], "dataTypeList": ["fastq"],
            "shareDestination": "s3://trauma/in/", "somethingElse": 5 })
    }

    #[test]
    fn a_job_is_for_runs_with_libraries_of_its_projects() {
        let jobs = read(&json!([job()]).to_string(), RUN).unwrap();
        let [job] = jobs.as_slice() else { panic!() };
        let of = |project: &str| BTreeSet::from([project.to_owned()]);
        assert!(job.is_for(&of("Trauma")) && !job.is_for(&of("Grief")));
        assert!(!AutoJob { enabled: false, ..job.clone() }.is_for(&of("Trauma")));
        assert_eq!(job.package_name(RUN), format!("autosharing-weekly-{RUN}"));
        assert_eq!((job.approval, job.incremental), (None, false));
    }

    #[test]
    fn one_job_that_is_wrong_is_the_end_of_all() {
        for (field, value, says) in [
            ("jobName", json!("a b"), "job `a b`: `jobName`"),
            ("enabled", Value::Null, "invalid type: null"),
            ("projectIdList", json!([]), "`projectIdList`"),
            ("dataTypeList", json!(["bam"]), "unknown variant `bam`"),
            ("shareDestination", json!("gs://x/"), "must be a valid s3 url"),
            ("approval", json!("mail"), "unknown variant `mail`"),
        ] {
            let mut wrong = job();
            wrong[field] = value;
            let why = read(
                &json!([{ "jobName": "fine", "enabled": true, "projectIdList": ["X"],
                "dataTypeList": ["fastq"], "shareDestination": "s3://x/" }, wrong])
                .to_string(),
                RUN,
            );
            let why = why.unwrap_err();
            assert!(why.contains(says), "{why}");
        }
        assert!(read(&json!([job(), job()]).to_string(), RUN).unwrap_err().contains("twice"));
        assert!(read("{}", RUN).is_err());
    }
}
