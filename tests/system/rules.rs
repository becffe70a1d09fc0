//! Every rule of a copy, one line each: what is asked for, and how it ends for which reason.
//!
//! One simulated platform for all; one daemon for each set of settings. All rows of a daemon are asked
//! for at once, each with a destination of its own, `icav2://archive/{key}/` where it says nothing else.
//! Then every request that succeeded is made again, and must do nothing.

mod asked;
mod batches;
mod table;
mod there;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};

use self::{
    asked::{Answers, Desk},
    table::{GROUPS, Group},
    there::Places,
};
use crate::lab::Platform;

/// How long all rows of all daemons may take together.
const PATIENCE: Duration = Duration::from_secs(55);

/// One rule.
#[derive(Debug, Clone)]
struct Row {
    key: &'static str,
    /// The rule, in words.
    rule: &'static str,
    source: &'static str,
    detail_type: &'static str,
    detail: Value,
    /// The name of the failure; none is success.
    error: Option<&'static str>,
    /// What its cause must say.
    words: Vec<&'static str>,
    /// What counters of the output must be.
    counts: Vec<(&'static str, u64)>,
    /// Project and folder that are looked at.
    to: (&'static str, String),
    /// What is there at the end: path in that folder, and `project:/path` or `s3://…` of the same
    /// content, `""` for a folder, `=` for what was there before.
    there: Option<Vec<(&'static str, &'static str)>>,
}

impl Row {
    fn payload(mut self, name: &str, value: Value) -> Self {
        self.detail["payload"][name] = value;
        self
    }

    /// Which file gets which name.
    fn named(self, map: &[(&str, &str)]) -> Self {
        let entry = |(from, to): &(&str, &str)| {
            let field = if from.contains("://") { "sourceUri" } else { "dataId" };
            json!({ field: from, "outputFileName": to })
        };
        let map: Vec<_> = map.iter().map(entry).collect();
        self.payload("renamingMapList", json!(map))
    }

    fn external(self, uris: &[&str]) -> Self {
        self.payload("externalSourceUriList", json!(uris))
    }

    fn on_conflict(self, way: &str) -> Self {
        self.payload("onConflict", json!(way))
    }

    /// Copies to there instead.
    fn into(mut self, uri: &str, project: &'static str, folder: &str) -> Self {
        self.to = (project, folder.to_owned());
        self.payload("destinationUri", json!(uri))
    }

    fn request_id(mut self, id: &str) -> Self {
        self.detail["requestId"] = json!(id);
        self
    }

    /// Carries its payload in another way.
    fn carried(mut self, field: &str, value: Value) -> Self {
        self.detail.as_object_mut().unwrap().remove("payload");
        self.detail[field] = value;
        self
    }

    fn of_source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }

    /// Refused before anything is copied: nothing at the destination has changed.
    fn refused(mut self, error: &'static str, words: &[&'static str]) -> Self {
        (self.error, self.words) = (Some(error), words.to_vec());
        self
    }

    /// Fails, with that at the destination.
    fn fails(
        self,
        error: &'static str,
        words: &[&'static str],
        there: &[(&'static str, &'static str)],
    ) -> Self {
        self.refused(error, words).brings(there)
    }

    /// Ends with exactly that at the destination.
    fn brings(mut self, there: &[(&'static str, &'static str)]) -> Self {
        self.there = Some(there.to_vec());
        self
    }

    fn counts(mut self, counts: &[(&'static str, u64)]) -> Self {
        self.counts = counts.to_vec();
        self
    }

    /// What is wrong with how it ended.
    fn check(&self, answers: &[Value], before: &Places, after: &Places) -> Vec<String> {
        let mut wrong = Vec::new();
        let [answer] = answers else { return vec![format!("{} answers: {answers:?}", answers.len())] };
        match (self.error, answer["status"].as_str()) {
            (None, Some("SUCCEEDED")) => {}
            (Some(error), Some("FAILED")) if answer["error"] == error => {}
            _ => wrong.push(format!("ended otherwise: {answer:#}")),
        }
        let cause = answer["cause"].to_string();
        for word in &self.words {
            // As it stands in JSON.
            let quoted = json!(word).to_string();
            if !cause.contains(quoted.trim_matches('"')) {
                wrong.push(format!("`{word}` is not in its cause: {cause}"));
            }
        }
        for (counter, count) in &self.counts {
            if answer["output"]["files"][counter] != *count {
                wrong.push(format!("{counter} is not {count}: {}", answer["output"]["files"]));
            }
        }
        let (project, folder) = (self.to.0, self.to.1.as_str());
        let (was, is) = (before.below(project, folder), after.below(project, folder));
        let expected = match &self.there {
            None => was,
            Some(there) => there
                .iter()
                .map(|(path, from)| {
                    let content = match *from {
                        "" => None,
                        "=" => was.get(*path).cloned().flatten(),
                        from => Some(after.content(from)),
                    };
                    ((*path).to_owned(), content)
                })
                .collect(),
        };
        if is != expected {
            wrong.push(format!("at the destination is {is:#?}\ninstead of {expected:#?}"));
        }
        wrong
    }
}

#[tokio::test]
async fn every_rule_holds_for_the_reason_it_states() {
    let directory = tempfile::tempdir().unwrap();
    let options = ["--job-duration", "500ms", "--s3-listen", "127.0.0.1:0"];
    let platform = Platform::start(&directory, &there::world(), &options, &[]).await;
    platform
        .faults(&json!({"poisonPaths": ["/poison/bad.bam"], "tagDefect": false, "deleteDelay": "3s"}))
        .await;
    there::put_payloads(&platform).await;
    let answers = Answers::listen().await;
    let mut desks = Vec::new();
    for Group { name, token, settings, .. } in &GROUPS {
        desks.push(Desk::open(&directory, &platform, &answers, name, token, settings));
    }
    let mut groups = Vec::new();
    for (desk, group) in desks.iter_mut().zip(&GROUPS) {
        desk.ready().await;
        groups.push((&*desk, there::with_ids(&platform, (group.rows)()).await));
    }
    let before = Places::read(&platform).await;
    there::delete(&platform, &["/deleting-stream/s.txt", "/deleting-job/a.bam"]).await;
    platform.faults(&json!({"deleteDelay": "300ms"})).await;
    for (desk, rows) in &groups {
        desk.ask(rows, "").await;
        // Queues deliver twice now and then: the same token is answered once.
        desk.ask(&rows[..3], "").await;
    }
    let all: Vec<&Row> = groups.iter().flat_map(|(_, rows)| rows).collect();
    let first = answers.of_all(&all, "", PATIENCE).await;
    let after = Places::read(&platform).await;
    let mut wrong = BTreeMap::new();
    for row in &all {
        wrong.insert(row.key, row.check(&first[row.key], &before, &after));
    }
    let shared = ["shared-one", "shared-two"].map(|key| &first[key][0]["output"]["jobs"]);
    let jobs = shared.iter().flat_map(|jobs| jobs.as_array().unwrap());
    let jobs: BTreeSet<_> = jobs.map(|job| job["jobId"].as_str().unwrap()).collect();
    if jobs.len() != 1 {
        wrong.get_mut("shared-two").unwrap().push(format!("the same files, and not one job: {jobs:?}"));
    }

    // What has succeeded is asked for again, with a token of its own.
    let mut repeated = Vec::new();
    for (desk, rows) in &groups {
        let rows: Vec<Row> = rows.iter().filter(|row| row.error.is_none()).cloned().collect();
        desk.ask(&rows, "-again").await;
        repeated.extend(rows);
    }
    let contradictions = table::contradictions();
    groups[0].0.ask(&contradictions, "").await;
    let repeated: Vec<&Row> = repeated.iter().collect();
    let second = answers.of_all(&repeated, "-again", PATIENCE).await;
    let later = Places::read(&platform).await;
    for row in repeated {
        let wrong = wrong.get_mut(row.key).unwrap();
        let [answer] = second[row.key].as_slice() else {
            wrong.push(format!("repeated: {:?}", second[row.key]));
            continue;
        };
        let is_same_request = row.detail.get("requestId").is_some();
        let files = &answer["output"]["files"];
        let copied = files["copied"].as_u64().unwrap_or_default();
        if answer["status"] != "SUCCEEDED" || !is_same_request && copied != 0 {
            wrong.push(format!("repeated: {answer:#}"));
        }
        if row.key.starts_with("external") && files["skippedBySize"] != 0 {
            wrong.push(format!("what has come from outside has other tags: {answer:#}"));
        }
        if is_same_request && answer["output"] != first[row.key][0]["output"] {
            wrong.push(format!("another answer to the same request: {answer:#}"));
        }
        let (project, folder) = (row.to.0, row.to.1.as_str());
        if later.below(project, folder) != after.below(project, folder) {
            wrong.push("a repeat has changed something".to_owned());
        }
    }
    let contradictions: Vec<&Row> = contradictions.iter().collect();
    let third = answers.of_all(&contradictions, "", PATIENCE).await;
    let last = answers.of_all(&all, "", PATIENCE).await;
    for row in &contradictions {
        wrong.insert(row.key, row.check(&third[row.key], &before, &later));
    }
    for row in &all {
        let count = last[row.key].len();
        if count != 1 {
            wrong.get_mut(row.key).unwrap().push(format!("its token was answered {count} times"));
        }
    }
    let all: Vec<&Row> = all.into_iter().chain(contradictions).collect();
    let rules: BTreeMap<_, _> = all.iter().map(|row| (row.key, row.rule)).collect();
    let said: Vec<_> = wrong
        .iter()
        .filter(|(_, wrong)| !wrong.is_empty())
        .map(|(key, wrong)| format!("{key} ({}): {}", rules[key], wrong.join("\n    ")))
        .collect();
    assert!(said.is_empty(), "{} of {} rows:\n{}", said.len(), all.len(), said.join("\n"));
}
