//! What the real world does that a platform of one's own does not: sources that show late, keys of KMS,
//! clocks that are off or set back, buckets with demands, statuses that nobody knows, a slow pace, and
//! others who are at work. Drawn apart from the rest of a plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Value, json};

use crate::{
    errands::Way,
    world::{Dice, File, LAB, Request, TO, Want, folder_wants},
};

/// Below this lie sources that are written just before somebody asks for them.
pub(crate) const FRESH: &str = "/fresh/";

/// Others' uploads of PARTIAL files of that age are taken for given up, in most histories.
pub(crate) const ABANDONED: Duration = Duration::from_mins(5);
/// The longest work of others in the histories in which nobody is taken to have given up.
const LONG: u64 = 2 * 3600;
/// By how much the clock of an instance among several may be wrong, in milliseconds: leases bear more.
const SKEW_MS: u64 = 2_000;

/// Projects and buckets.
pub(crate) const PLACES: [&str; 4] = [LAB, TO, crate::errands::SHELF, crate::errands::DEST];

/// An instance's machine is set back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetBack {
    pub instance: usize,
    pub at: Duration,
    pub by_ms: i64,
}

/// What a history has of all that; nothing in many.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    /// Faults of the platform from the start on.
    pub faults: Map<String, Value>,
    /// The places that are encrypted with keys of KMS.
    pub kms: BTreeSet<&'static str>,
    /// The share of files in other places that are.
    pub kms_share: f64,
    /// Whether those pay who read.
    pub pays: bool,
    /// Whether buckets want a checksum with all bytes.
    pub locked: bool,
    /// Calls a second of an instance.
    pub pace: u32,
    pub set_back: Vec<SetBack>,
    /// Paths of which something is told that nobody knows.
    pub told: BTreeSet<String>,
    /// The share of calls that take long, where many do.
    pub sluggish: f64,
    /// Whether a job of others runs for longer than anybody is waited for.
    pub others_copy: bool,
    /// After how long a PARTIAL file is taken for given up.
    pub abandoned_after: Duration,
}

/// What others begin, and where they write.
#[derive(Debug, Default)]
pub(crate) struct Others {
    pub begun: Vec<(Duration, Value)>,
    pub paths: BTreeSet<String>,
}

/// A request for sources that are being written when somebody is about to ask.
#[derive(Debug)]
pub(crate) struct Late {
    pub request: Request,
    pub payload: Value,
    pub files: Vec<File>,
}

impl Late {
    /// Sources that somebody has just written when somebody else asks for them; they show late.
    pub(crate) fn draw(dice: &mut Dice) -> Option<Self> {
        if !dice.chance(0.12) {
            return None;
        }
        let mut files = Vec::new();
        for name in ["a.bam", "b.bam", "c.txt", "sub/b.txt", "sub/d.bam", "sub/deep/e.txt"] {
            if dice.chance(0.6) || name == "b.bam" {
                let parts = if name.ends_with("txt") { 1 } else { 2 };
                files.push(File { path: format!("{FRESH}r/{name}"), size: 3 + dice.below(90), parts });
            }
        }
        let (uri, wants, folders) = if dice.chance(0.2) {
            let (path, to) = (format!("{FRESH}r/b.bam"), "/in/b.bam".to_owned());
            let file = files.iter().find(|file| file.path == path).unwrap();
            let wants = vec![Want { to, from: Some(path.clone()), size: file.size }];
            (format!("icav2://{LAB}{path}"), wants, Vec::new())
        } else {
            let wants = folder_wants(&files, &format!("{FRESH}r/"), "/in/r/");
            let above = |want: &Want| format!("{}/", want.to.rsplit_once('/').unwrap().0);
            (format!("icav2://{LAB}{FRESH}r/"), wants.clone(), wants.iter().map(above).collect())
        };
        let payload = json!({"sourceUriList": [uri], "destinationUri": format!("icav2://{TO}/in/")});
        Some(Self { request: Request { folders, ..Request::plain(wants, Way::Copy) }, payload, files })
    }
}

impl Trials {
    /// None of it.
    pub(crate) fn none() -> Self {
        Self { pace: 100, abandoned_after: ABANDONED, ..Self::default() }
    }

    pub(crate) fn draw(
        dice: &mut Dice,
        instances: usize,
        calm_at: Duration,
        settle: u64,
        wide: bool,
    ) -> Self {
        let mut trials = Self::none();
        if dice.chance(0.15) {
            let places = PLACES.iter().filter(|_| dice.chance(0.5)).copied().collect();
            trials.kms = places;
            trials.kms_share = dice.pick(&[0.0, 0.3]);
        }
        trials.pays = dice.chance(0.2);
        trials.locked = dice.chance(0.2);
        if dice.chance(0.1) {
            trials.faults.insert("s3Clock".to_owned(), dice.pick(&[-7200, -1200, 1200, 7200]).into());
        }
        if dice.chance(if wide { 0.7 } else { 0.1 }) {
            trials.pace = 20;
        }
        if dice.chance(0.15) {
            let lag = 5 + dice.below(settle / 3);
            trials.lag(dice.pick(&["/", "/in/", "/out/"]), lag);
        }
        if dice.chance(0.15) {
            let told = dice.pick(&[("RUNNING", "QUEUED"), ("FAILED", "CRASHED"), ("SUCCEEDED", "FINE")]);
            trials.faults.insert("toldJobStatus".to_owned(), json!({ told.0: told.1 }));
        }
        if dice.chance(0.15) {
            // An instance alone may be off by more: nobody else's clock is compared with its own.
            let most = if instances == 1 { 60_000 } else { 2 * SKEW_MS - 200 };
            let (instance, at) = (dice.index(instances), dice.seconds(0, calm_at.as_secs()));
            let by_ms = i64::try_from(500 + dice.below(most - 500)).unwrap();
            trials.set_back.push(SetBack { instance, at, by_ms });
        }
        if dice.chance(0.1) {
            trials.sluggish = dice.pick(&[0.03, 0.1]);
        }
        if dice.chance(0.3) {
            trials.abandoned_after = Duration::from_hours(36);
        }
        trials
    }

    fn lag(&mut self, path: &str, seconds: u64) {
        let lags = self.faults.entry("listLag").or_insert_with(|| json!({}));
        lags[path] = seconds.into();
    }

    /// By how much the machine of that place is ahead when an instance begins there that is set back.
    pub(crate) fn is_set_back(&self, instance: usize) -> Vec<SetBack> {
        self.set_back.iter().filter(|set_back| set_back.instance == instance).copied().collect()
    }

    /// Whether any machine is.
    pub(crate) fn sets_back(&self) -> bool {
        !self.set_back.is_empty()
    }

    /// How that place, or a file in it, is encrypted.
    pub(crate) fn encryption(&self, place: &str) -> &'static str {
        if self.kms.contains(place) { "aws:kms" } else { "AES256" }
    }

    /// Something that nobody knows is told of some of what is wanted, and of what it is made of.
    pub(crate) fn tell(&mut self, dice: &mut Dice, wanted: &BTreeMap<String, BTreeSet<Option<String>>>) {
        if !dice.chance(0.12) {
            return;
        }
        let to = wanted.keys().filter(|to| !to.starts_with("s3://"));
        let from = wanted.values().flatten().flatten().filter(|from| !from.starts_with("s3://"));
        let paths: Vec<&String> = to.clone().chain(to).chain(from).collect();
        let mut told = Map::new();
        for _ in 0..=dice.below(2) {
            if paths.is_empty() {
                return;
            }
            let path = paths[dice.index(paths.len())].clone();
            let what = match dice.below(4) {
                0 => json!({"dataType": "OBJECT"}),
                1 => json!({"noPath": true}),
                _ => json!({"status": "TRANSFERRING"}),
            };
            told.insert(path.clone(), what);
            self.told.insert(path);
        }
        self.faults.insert("told".to_owned(), told.into());
    }

    /// What was written just now shows late, all of it or some.
    pub(crate) fn hide(&mut self, dice: &mut Dice, settle: u64) {
        let hidden = dice.pick(&["", "r/sub/", "r/b", "r/"]);
        self.lag(&format!("{FRESH}{hidden}"), dice.below(settle - 12));
    }

    /// Whatever others are at while the fleet works.
    pub(crate) fn others(
        &mut self,
        dice: &mut Dice,
        calm_at: Duration,
        wanted: &BTreeMap<String, BTreeSet<Option<String>>>,
        lab: &[File],
    ) -> Others {
        let mut others = Others::default();
        if !dice.chance(0.25) {
            return others;
        }
        let is_patient = self.abandoned_after > ABANDONED;
        let most = if is_patient { LONG } else { 240 };
        // What is renamed is written in S3, and shows here only later: nobody could know that it is there.
        let free = |to: &&String| !to.starts_with("s3://") && !to.contains("/renamed-");
        let paths: Vec<&String> = wanted.keys().filter(free).collect();
        for n in 0..dice.below(4) {
            let path = if paths.is_empty() || dice.chance(0.2) {
                format!("/in/r1/late-{n}.bam")
            } else {
                paths[dice.index(paths.len())].clone()
            };
            let takes = 10 + dice.below(most);
            let parts = 1 + dice.below(2);
            let mut upload = json!({"project": TO, "path": path, "size": 1 + dice.below(50), "parts": parts});
            if !is_patient || dice.chance(0.8) {
                upload["takes"] = takes.into();
            }
            let at = dice.seconds(0, calm_at.as_secs());
            others.begun.push((at, json!({"uploads": [upload]})));
            others.paths.insert(path);
        }
        let sent: Vec<&File> = lab.iter().filter(|file| file.parts > 1).collect();
        if let (false, true) = (sent.is_empty(), dice.chance(0.5)) {
            let file = sent[dice.index(sent.len())];
            let folder = dice.pick(&["/in/r1/", "/in/", "/out/"]);
            self.others_copy = true;
            let copy = json!({
                "project": TO, "folder": folder, "from": LAB, "paths": [file.path], "takes": 10 + dice.below(LONG),
            });
            others.begun.push((dice.seconds(0, calm_at.as_secs()), json!({ "copies": [copy] })));
            others.paths.insert(format!("{folder}{}", file.path.rsplit('/').next().unwrap()));
        }
        let status = dice.pick(&["SUCCEEDED", "RUNNING", "QUEUED"]);
        let jobs = json!({"count": dice.pick(&[1, 3, 150]), "status": status});
        others.begun.push((dice.seconds(0, calm_at.as_secs()), json!({ "jobs": [jobs] })));
        others
    }
}

/// Another operation is under way on a key, as S3 says it.
pub(crate) fn under_way(dice: &mut Dice) -> Option<Value> {
    dice.chance(0.15).then(|| {
        let call = dice.pick(&["CopyObject", "CompleteMultipartUpload", "PutObject"]);
        let code = dice.pick(&["ConditionalRequestConflict", "OperationAborted"]);
        let lasts = dice.pick(&["3s", "30s", "200s"]);
        json!({"calls": [call], "status": 409, "code": code, "lasts": lasts})
    })
}
