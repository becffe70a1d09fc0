//! Who watches: the callers with their tokens, and the rules that hold at every step.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use copy_manager::{
    app::versions::plain,
    aws::objects::S3Objects,
    domain::{
        file::{DataKind, DataStatus},
        ids::{DataId, FolderId, JobId, ProjectId},
        route::Folders,
    },
    engine::settings::OnCallerGone,
    ports::{
        callbacks::Delivery,
        platform::{DataPlatform, Destination},
        store::{DUE_AT, Item, Key},
    },
    simulator::{Entry, Simulator, others::Done},
};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    doubles::MemoryStore,
    errands::Way,
    fate::Fate,
    replicas::Kept,
    shelves::{Shelves, by_uri},
    trials::{ABANDONED, FRESH},
    versions::{has_unknown, keeps_unknown},
    world::{LAB, Plan, Request, TO},
};

/// How long a token may go without a sign while somebody is there to give it.
const PROMISE: Duration = Duration::from_mins(5);
/// What sampling every few seconds may be wrong by.
const SAMPLING: Duration = Duration::from_secs(15);
/// How long news may lie unheard where nothing goes wrong; less than the ten minutes after which every
/// record looks by itself.
const NEWS: Duration = Duration::from_mins(5);
const NEWS_UNDER_FAULTS: Duration = Duration::from_secs(450);
/// A record that nobody wakes is looked at after this time at the latest.
const UNWOKEN: Duration = Duration::from_mins(10);
/// The longest pause after an error, which may begin just before the faults end, and the round after it.
const LAST_PAUSE: Duration = Duration::from_secs(90);
/// A job that came to be so much later than it was asked for is not known to anybody yet.
const LATE: Duration = Duration::from_secs(20);

/// A folder may go through fewer rounds in a row for nothing.
const MOST_IN_VAIN: u32 = 10;

const SUCCESS: &str = "success";
/// What stands for the answer to a message that could not be stored.
const LAST_WORDS: &str = "last words";

#[derive(Debug, Default)]
struct Heard {
    gone: bool,
    /// The answer that counts: an error name, or [`SUCCESS`].
    answer: Option<String>,
    /// Uptime of the fleet when it was last heard of.
    sign: Option<Duration>,
}

#[derive(Debug)]
struct Submission {
    folder: Destination,
    files: BTreeSet<String>,
    job: JobId,
    late: bool,
}

#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) fate: Arc<Fate>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) simulator: Arc<Simulator>,
    observer: Arc<dyn DataPlatform>,
    /// S3 as it is, in histories that need it.
    pub(crate) s3: Option<S3Objects>,
    pub(crate) plan: Plan,
    /// Request of each token.
    tokens: BTreeMap<String, usize>,
    heard: Mutex<BTreeMap<String, Heard>>,
    uptime: Mutex<Duration>,
    /// Since when, in uptime, something lies unheard.
    unheard: Mutex<BTreeMap<String, Duration>>,
    submissions: Mutex<Vec<Submission>>,
    /// Whether it was calm at the last look.
    was_calm: AtomicBool,
    pub(crate) broken: Mutex<Vec<String>>,
    before: OnceLock<[Vec<Entry>; 2]>,
    pub(crate) shelves_before: OnceLock<Shelves>,
    ended: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// Requests that were cancelled.
    cancelled: Mutex<BTreeSet<String>>,
    /// Uploads in parts whose ids have been stored.
    pub(crate) uploads: Mutex<BTreeSet<String>>,
    /// A replica, and what it is of, in histories that have one.
    pub(crate) kept: Option<Kept>,
    /// Records into which a newer version has written what ours does not know.
    unknown: Mutex<BTreeSet<Key>>,
    /// How often an instance was refused a record of a newer version.
    pub(crate) left: AtomicUsize,
}

impl Board {
    pub(crate) fn new(
        fate: Arc<Fate>,
        store: Arc<MemoryStore>,
        simulator: Arc<Simulator>,
        observer: Arc<dyn DataPlatform>,
        s3: Option<S3Objects>,
        plan: Plan,
    ) -> Arc<Self> {
        let kept = plan.school.as_ref().map(|school| school.open(plan.platform.epoch));
        let tokens = plan.asks.iter().map(|ask| (ask.token.clone(), ask.request)).collect();
        Arc::new(Self {
            fate,
            store,
            simulator,
            observer,
            s3,
            plan,
            tokens,
            heard: Mutex::default(),
            uptime: Mutex::default(),
            unheard: Mutex::default(),
            was_calm: AtomicBool::new(false),
            submissions: Mutex::default(),
            broken: Mutex::default(),
            before: OnceLock::new(),
            shelves_before: OnceLock::new(),
            ended: Mutex::default(),
            cancelled: Mutex::default(),
            uploads: Mutex::default(),
            kept,
            unknown: Mutex::default(),
            left: AtomicUsize::new(0),
        })
    }

    pub(crate) fn broke(&self, rule: impl Into<String>) {
        let rule = rule.into();
        self.fate.note(9, "BROKEN", &rule);
        self.broken.lock().unwrap().push(rule);
    }

    /// Remembers the world as it was.
    pub(crate) async fn remember(&self) {
        self.before.set([self.tree(LAB).await, self.tree(TO).await]).unwrap();
        self.shelves_before.set(self.shelves().await).unwrap();
    }

    pub(crate) async fn tree(&self, project: &str) -> Vec<Entry> {
        self.simulator.tree(project, "/").await.unwrap()
    }

    pub(crate) fn request_of(&self, token: &str) -> &Request {
        &self.plan.requests[self.tokens[token]]
    }

    // The callers.

    pub(crate) fn leave(&self, token: &str) {
        self.heard.lock().unwrap().entry(token.to_owned()).or_default().gone = true;
    }

    pub(crate) fn is_cancelled(&self, id: &str) {
        self.cancelled.lock().unwrap().insert(id.to_owned());
    }

    pub(crate) fn beat(&self, token: &str) -> Delivery {
        let uptime = *self.uptime.lock().unwrap();
        let mut heard = self.heard.lock().unwrap();
        let heard = heard.entry(token.to_owned()).or_default();
        if heard.gone || heard.answer.is_some() {
            return Delivery::Gone;
        }
        heard.sign = Some(uptime);
        Delivery::Delivered
    }

    /// Takes an answer; false when nobody waits for it any more.
    fn answer(&self, token: &str, answer: &str) -> bool {
        let mut all = self.heard.lock().unwrap();
        let heard = all.entry(token.to_owned()).or_default();
        if let Some(first) = &heard.answer {
            let said = format!("`{token}` was answered {first:?}, and then {answer:?}");
            // Who could not store a message answers it on its last receive, and where the table is away
            // cannot know that an earlier one has been stored. The first answer counts, as always; a
            // second one that comes so is refused, and nobody hears it.
            let by_last_words =
                self.plan.max_receives.is_some() && (first == LAST_WORDS || answer == LAST_WORDS);
            let differs = first != answer;
            drop(all);
            if differs && !by_last_words {
                self.broke(said);
            }
            return false;
        }
        if heard.gone {
            return false;
        }
        heard.answer = Some(answer.to_owned());
        true
    }

    pub(crate) async fn succeed(&self, token: &str, output: &str) -> Delivery {
        let output: Value = serde_json::from_str(output).unwrap();
        // The output of a manifest does not say whose it is, and once it has been answered its token is not kept.
        let is_first = self.heard.lock().unwrap().get(token).is_none_or(|heard| heard.answer.is_none());
        let id = output["requestId"].as_str().map_or_else(|| self.id_of(token), str::to_owned);
        if is_first {
            self.is_stored(token, &id);
        }
        if !self.answer(token, SUCCESS) {
            return Delivery::Gone;
        }
        self.judge_success(token, &id, &output).await;
        Delivery::Delivered
    }

    /// The request of a token that is to be answered.
    fn id_of(&self, token: &str) -> String {
        let mut id = String::new();
        self.store.each(|item| {
            if item.key.id_type.starts_with("TOKEN#") && item.text("token") == Some(token) {
                id.clone_from(&item.key.id);
            }
        });
        id
    }

    pub(crate) async fn fail(&self, token: &str, error: &str, cause: &str) -> Delivery {
        let cause: Value = serde_json::from_str(cause).unwrap();
        if !matches!(error, "InvalidRequest" | "Internal") {
            self.is_stored(token, cause["requestId"].as_str().unwrap());
        }
        let last_words = cause["message"].as_str().is_some_and(|why| why.contains("could not be stored"));
        if last_words {
            self.is_unknown(token, &cause);
        }
        if !self.answer(token, if last_words { LAST_WORDS } else { error }) {
            return Delivery::Gone;
        }
        self.judge_failure(token, error, &cause).await;
        Delivery::Delivered
    }

    /// Last words are only for a request that is not stored, as far as whoever says them can see.
    fn is_unknown(&self, token: &str, cause: &Value) {
        let mut stored = false;
        self.store.each(|item| stored |= item.text("token") == Some(token));
        if stored && self.fate.is_calm() {
            self.broke(format!("`{token}` gets last words although its request is stored: {cause}"));
        }
    }

    /// What is answered must be stored first: who answers may die before it can store anything.
    fn is_stored(&self, token: &str, id: &str) {
        if self.store.peek(&Key::new(id, "OUTCOME")).is_none() {
            self.broke(format!("`{token}` is answered before its outcome is stored"));
        }
    }

    async fn judge_success(&self, token: &str, id: &str, output: &Value) {
        let (request, plan) = (self.request_of(token), &self.plan);
        if let Way::List(list) = &request.way {
            self.judge_counts(token, request, list, output);
            return self.judge_summary(token, list).await;
        }
        if let Way::Share(share) = &request.way {
            return self.judge_share(token, request, share, output).await;
        }
        if let Way::Run(_) = &request.way {
            return self.judge_run(token, output);
        }
        let stored = self.stored_counters(id);
        let count = |name: &str| stored[name].as_u64().unwrap_or(0);
        if request.missing && !request.contradicts {
            self.broke(format!("`{token}` succeeded although a source is missing"));
        }
        if request.dry_run {
            return;
        }
        if let Way::Manifest(pairs) = &request.way {
            self.judge_deliveries(token, pairs, output);
        } else if output["files"]["copied"] != stored["copied"] {
            self.broke(format!("`{token}` tells {output}, and {stored} is stored"));
        }
        let counted = count("copied") + count("skipped") + count("skipped_conflict");
        if counted != request.wants.len() as u64 {
            self.broke(format!(
                "`{token}`: {counted} files counted, {} wanted: {output}",
                request.wants.len()
            ));
        }
        let there = self.standing().await;
        let [lab, _] = self.before.get().unwrap();
        let lab = lab.iter().map(|entry| (entry.path.clone(), (entry.size, entry.md5.clone())));
        let fresh = self.tree(LAB).await.into_iter().filter(is_fresh);
        let lab = lab.chain(fresh.map(|entry| (entry.path, (entry.size, entry.md5))));
        let sources: BTreeMap<_, _> = lab.chain(by_uri(self.shelves_before.get().unwrap())).collect();
        let (mut by_size, mut other, mut differing) = (0, 0, Vec::new());
        for want in &request.wants {
            let sources_of = &plan.wanted[&want.to];
            if sources_of.len() > 1 && plan.overwritten.contains(&want.to) {
                continue;
            }
            let Some((size, md5)) = there.get(&want.to) else {
                if plan.overwritten.contains(&want.to) && !request.overwrite {
                    // What one request leaves as it is may just be replaced by another.
                    other += 1;
                } else {
                    self.broke(format!("`{token}` succeeded without {}", want.to));
                }
                continue;
            };
            let matches = sources_of.iter().any(|from| match from {
                Some(from) => sources[from].1 == *md5,
                None => Some(want.size) == *size,
            });
            // What could not be read at first, and was brought by others, is counted as if it were ours.
            let is_hidden = plan.trials.told.contains(&want.to) || plan.strangers.contains(&want.to);
            let is_as_large = *size == Some(want.size);
            if !(matches || is_hidden && is_as_large) {
                differing.push(want.to.as_str());
                if is_as_large { by_size += 1 } else { other += 1 }
            }
        }
        if by_size + other > count("skipped_by_size") + count("skipped_conflict")
            || other > count("skipped_conflict")
        {
            self.broke(format!("`{token}` succeeded with {by_size} files of other content and {other} of other size: {differing:?} {output}"));
        }
        for folder in &request.folders {
            if !there.contains_key(folder) {
                self.broke(format!("`{token}` succeeded without the folder {folder}"));
            }
        }
    }

    async fn judge_failure(&self, token: &str, error: &str, cause: &Value) {
        let request = self.request_of(token);
        let tally = self.fate.tally();
        let plan = &self.plan;
        let [_, before] = self.before.get().unwrap();
        let shelved: BTreeMap<_, _> = by_uri(self.shelves_before.get().unwrap()).collect();
        let jobs_fail = plan.platform.job_failure_rate > 0.0
            || !plan.poison.is_empty()
            || plan.platform.tag_defect
            || !plan.strangers.is_empty()
            || plan.scripts.as_array().is_some_and(|scripts| !scripts.is_empty());
        // What a job has left of a whole folder is proved to be ours only where the folder is new; else it is
        // taken for given up in time, but not while a job of others runs.
        let is_unproved = jobs_fail
            && plan.settings.copy.folders == Folders::Whole
            && (plan.settings.jobs.abandoned_after > ABANDONED || plan.trials.others_copy);
        let contested =
            |want: &crate::world::Want| plan.wanted.get(&want.to).is_some_and(|from| from.len() > 1);
        let is_told = |from: &String| plan.trials.told.contains(from);
        let told = request.wants.iter().any(|want| want.from.as_ref().is_some_and(is_told));
        let justified = match error {
            "InvalidRequest" => request.contradicts,
            // Of what is told without its path nobody knows that it is the one.
            "SourceNotFound" => request.missing || told,
            // Beside what fails for good nobody waits for sources that are fresh.
            "SourceNotReady" => {
                told || request
                    .wants
                    .iter()
                    .any(|want| want.from.as_ref().is_some_and(|from| from.starts_with(FRESH)))
            }
            // Nothing is replaced where a job of others may be at work.
            "Stalled" => request.overwrite && plan.trials.others_copy,
            "DestinationConflict" => request.wants.iter().any(|want| {
                is_unproved
                    || contested(want)
                    || plan.strangers.contains(&want.to)
                    || shelved.contains_key(&want.to)
                    || before.iter().any(|entry| entry.path == want.to && entry.kind == DataKind::File)
            }),
            "CopyError" => match &request.way {
                Way::List(list) => {
                    self.is_troubled() || !list.goes_on && list.rows.iter().any(|(_, there)| !there)
                }
                Way::Share(_) => self.is_troubled(),
                Way::Copy | Way::Manifest(_) | Way::Run(_) => false,
            },
            // What failed before the calm was tried too rarely to outlast it.
            "ReplicaError" => matches!(request.way, Way::Run(at) if at < plan.calm_at && self.is_troubled()),
            "PolicyDenied" => matches!(&request.way, Way::Share(share) if share.forbidden),
            "CopyJobFailed" => jobs_fail,
            "TransferFailed" => {
                let scripted = plan.scripts.as_array().is_some_and(|scripts| !scripts.is_empty());
                self.is_troubled() || scripted
            }
            "Cancelled" => {
                let id = cause["requestId"].as_str().unwrap();
                let deserted = plan.settings.heartbeat.on_caller_gone == OnCallerGone::Stop
                    && plan.asks.iter().any(|ask| ask.leaves_at.is_some());
                let cancelled = self.cancelled.lock().unwrap();
                // Of what is shared the package, or the push, may have been cancelled.
                let of_others = matches!(request.way, Way::Share(_)) && !cancelled.is_empty();
                deserted || of_others || cancelled.contains(id)
            }
            "Internal" => tally.crashes + tally.pauses + tally.failures >= 3,
            _ => false,
        };
        if !justified {
            self.broke(format!("`{token}` failed without reason: {error} {cause} {tally:?}"));
        }
        let counters = &cause["counters"];
        let count = |name: &str| counters[name].as_u64().unwrap_or(0);
        let ended = count("copied") + count("skipped") + count("skippedConflict") + count("failed");
        if count("files") > 0 && ended != count("files") {
            self.broke(format!("`{token}`: counters do not add up: {counters}"));
        }
        if matches!(error, "CopyJobFailed" | "TransferFailed" | "DestinationConflict") {
            self.judge_undelivered(token, cause).await;
        }
        if let (Way::List(list), "CopyError") = (&request.way, error) {
            if cause["totalCount"] != list.rows.len() {
                self.broke(format!("`{token}`: a list of {} is told as {cause}", list.rows.len()));
            }
            if !cause["message"].as_str().unwrap().contains("summary") {
                self.judge_summary(token, list).await;
            }
        }
    }

    /// An event on everybody's bus.
    pub(crate) fn told(&self, detail: &Value) {
        let status = detail["status"].as_str().unwrap();
        if !matches!(status, "SUCCEEDED" | "FAILED" | "ABORTED") {
            return;
        }
        // Packages and pushes are told of under their own ids.
        let id = detail["requestId"].as_str().or(detail["id"].as_str()).unwrap();
        let status = if status == "ABORTED" { "FAILED" } else { status };
        let contradicts = {
            let mut ended = self.ended.lock().unwrap();
            let ends = ended.entry(id.to_owned()).or_default();
            ends.insert(status.to_owned());
            ends.len() > 1
        };
        if contradicts {
            self.broke(format!("{id} was told to have both succeeded and failed"));
        }
    }

    // What is done at the platform.

    /// The path of a folder or file.
    async fn path_of(&self, project: &ProjectId, id: &DataId) -> Option<(String, DataStatus)> {
        let data = self.observer.get(project, id).await.ok()?;
        Some((data.path.to_string(), data.status))
    }

    async fn path_to(&self, project: &ProjectId, folder: &Destination) -> Option<String> {
        match folder {
            Destination::Root => Some("/".to_owned()),
            Destination::Folder(id) => self.path_of(project, id).await.map(|(path, _)| path),
        }
    }

    /// Only the holder of a folder acts there. The call is judged when it is asked for, not when it
    /// arrives.
    fn holds(&self, who: &str, project: &ProjectId, folder: &str, what: &str) -> Option<Item> {
        let key = Key::new(FolderId::of(project, folder).as_str(), "FOLDER");
        let item = self.store.peek(&key);
        let owner = item.as_ref().and_then(|item| item.text("owner")).unwrap_or_default();
        if owner != who {
            self.broke(format!("{who} {what} in {folder}, which `{owner}` holds"));
        }
        item
    }

    pub(crate) async fn file_is_made(
        &self,
        who: &str,
        project: &ProjectId,
        folder: &Destination,
        name: &str,
    ) {
        if let Some(path) = self.path_to(project, folder).await {
            self.holds(who, project, &path, &format!("makes {name}"));
        }
    }

    pub(crate) async fn data_is_deleted(&self, who: &str, project: &ProjectId, id: &DataId) {
        let Some((path, status)) = self.path_of(project, id).await else { return };
        if path.contains("/.copy-manager-") {
            return;
        }
        self.fate.note(9, "deletes", &format!("{path} {status:?}"));
        let (folder, name) = path.rsplit_once('/').unwrap();
        if let Some(item) = self.holds(who, project, &format!("{folder}/"), &format!("deletes {name}")) {
            let item = plain(item);
            let state: Value = serde_json::from_str(item.text("state").unwrap_or("{}")).unwrap();
            if state["condemned"].get(id.as_str()).is_none() {
                self.broke(format!("{path} is deleted without having been condemned"));
            }
        }
        if !self.plan.wanted.contains_key(&path) {
            self.broke(format!("{path} is deleted, and nobody wants a file there"));
        }
        if status == DataStatus::Available && !self.plan.overwritten.contains(&path) {
            self.broke(format!("{path} is deleted, and nobody wants it overwritten"));
        }
    }

    pub(crate) async fn job_is_submitted(
        &self,
        who: &str,
        project: &ProjectId,
        folder: &Destination,
        files: &[DataId],
    ) {
        if let Some(path) = self.path_to(project, folder).await {
            self.holds(who, project, &path, "submits a job");
        }
        let overlapping: Vec<JobId> = {
            let submissions = self.submissions.lock().unwrap();
            let same = |known: &&Submission| {
                known.folder == *folder
                    && !known.late
                    && files.iter().any(|id| known.files.contains(id.as_str()))
            };
            submissions.iter().filter(same).map(|known| known.job.clone()).collect()
        };
        for job in overlapping {
            if let Ok(job) = self.observer.job(&job).await
                && !job.status.is_terminal()
            {
                self.broke(format!("a file is submitted again while job {} carries it", job.id));
            }
        }
    }

    pub(crate) fn job_runs(&self, folder: &Destination, files: &[DataId], job: &JobId, issued: Instant) {
        self.submissions.lock().unwrap().push(Submission {
            folder: folder.clone(),
            files: files.iter().map(|id| id.as_str().to_owned()).collect(),
            job: job.clone(),
            late: issued.elapsed() > LATE,
        });
    }

    // Rules that time tells about.

    /// The fleet was there to do its work for that long.
    pub(crate) fn worked(&self, long: Duration) {
        *self.uptime.lock().unwrap() += long;
    }

    /// Looks at every token and every record.
    pub(crate) fn step(&self) {
        let uptime = *self.uptime.lock().unwrap();
        let mut late = Vec::new();
        let mut in_vain = Vec::new();
        let mut unheard = BTreeSet::new();
        {
            let mut heard = self.heard.lock().unwrap();
            let mut roots: BTreeMap<String, (bool, Option<i64>)> = BTreeMap::new();
            let mut outcomes = BTreeSet::new();
            self.store.each(|item| match item.key.id_type.as_str() {
                "OUTCOME" => drop(outcomes.insert(item.key.id.clone())),
                "FOLDER" => in_vain.extend(rounds_in_vain(item)),
                "REQUEST" if is_ours(item) => {
                    let phase = item.text("phase").unwrap_or_default();
                    if item.key.id.starts_with("child.") {
                        let root = roots.entry(item.text("root").unwrap().to_owned()).or_default();
                        root.0 |= phase != "SETTLED";
                    } else if phase == "RUNNING" {
                        roots.entry(item.key.id.clone()).or_default().1 = item.number("epoch");
                    }
                }
                token if token.starts_with("TOKEN#") && item.number(DUE_AT).is_some() => {
                    let Some(token) = item.text("token") else { return };
                    let heard = heard.entry(token.to_owned()).or_default();
                    let sign = *heard.sign.get_or_insert(uptime);
                    let gap = uptime.saturating_sub(sign);
                    if !heard.gone && heard.answer.is_none() && gap > PROMISE + SAMPLING {
                        late.push(format!("`{token}` has had no heartbeat for {gap:?}"));
                        heard.sign = Some(uptime);
                    }
                }
                _ => {}
            });
            self.store.each(|item| match item.key.id_type.as_str() {
                "REQUEST"
                    if item.key.id.starts_with("child.")
                        && item.text("phase") != Some("SETTLED")
                        && outcomes.contains(&item.key.id) =>
                {
                    unheard.insert(format!("{} has not heard its outcome", item.key.id));
                }
                waiter if waiter.starts_with("WAITER#") && item.text("seen").is_none() => {
                    unheard.insert(format!("{} waits unseen", item.key));
                }
                _ => {}
            });
            for (root, (open, running)) in roots {
                if let (Some(epoch), false) = (running, open) {
                    // Of a list the next children come and go between two looks: each run hears of some.
                    unheard.insert(format!("{root} has not heard of its children since its run {epoch}"));
                }
            }
        }
        for late in late.into_iter().chain(in_vain).chain(self.odd_tables()) {
            self.broke(late);
        }
        for harm in self.simulator.harm() {
            // The folder of a request that was stopped goes with what its last job still brings there.
            if harm.done == Done::Deleted && harm.path.contains("/.copy-manager-") {
                continue;
            }
            self.broke(format!("whoever was at work was harmed: {harm:?}"));
        }
        self.store.each(|item| {
            let mut unknown = self.unknown.lock().unwrap();
            if has_unknown(item) {
                unknown.insert(item.key.clone());
            } else if keeps_unknown(item) && unknown.remove(&item.key) {
                self.broke(format!("{} has lost what a newer version had written", item.key));
            }
        });
        let mut most = if self.fate.is_calm() { NEWS } else { NEWS_UNDER_FAULTS };
        if !self.plan.versions.all_read_all() {
            // Who cannot read a record does not wake it: it is due within ten minutes.
            most += UNWOKEN;
        }
        let mut since = self.unheard.lock().unwrap();
        if self.fate.is_calm() && !self.was_calm.swap(true, Ordering::Relaxed) {
            // Less is allowed from now on; what lies there yet may be in the last pause after an error,
            // and is still heard sooner than in the ten minutes of who sleeps through news.
            let latest = uptime.saturating_sub(NEWS.saturating_sub(LAST_PAUSE));
            since.values_mut().for_each(|first| *first = latest.max(*first));
        }
        since.retain(|what, _| unheard.contains(what));
        let mut deaf = Vec::new();
        for what in unheard {
            let first = since.entry(what.clone()).or_insert(uptime);
            if uptime.saturating_sub(*first) > most {
                deaf.push(what);
                *first = uptime;
            }
        }
        drop(since);
        for what in deaf {
            self.broke(format!("{what} for {most:?}"));
        }
    }

    // The end.

    /// Tokens that still wait.
    pub(crate) fn unanswered(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let answered =
            |token: &&String| heard.get(*token).is_some_and(|heard| heard.gone || heard.answer.is_some());
        self.tokens.keys().filter(|token| !answered(token)).cloned().collect()
    }

    /// What is left in the table that should not be.
    pub(crate) fn left_over(&self) -> Vec<String> {
        let mut left = Vec::new();
        self.store.each(|item| {
            if !is_ours(item) {
                return;
            }
            let key = &item.key;
            if let Some(due) = item.number(DUE_AT) {
                left.push(format!("{key} is due at {due}: {:?}", item.text("phase").or(item.text("state"))));
            }
            if item.text("owner").is_some_and(|owner| !owner.is_empty()) {
                left.push(format!("{key} is held"));
            }
            if key.id_type == "REQUEST" && item.text("phase") != Some("SETTLED") {
                left.push(format!("{key} is {:?}", item.text("phase")));
            }
            if key.id_type.starts_with("WAITER#") {
                left.push(format!("{key} waits"));
            }
            for kind in ["running", "express"] {
                if key.id_type == "SLOTS" && !item.members(kind).is_empty() {
                    left.push(format!("{key} holds {:?}", item.members(kind)));
                }
            }
        });
        left
    }

    /// Compares the world with what it was.
    pub(crate) async fn judge_world(&self) {
        self.judge_shelves(self.shelves_before.get().unwrap()).await;
        let [lab, before] = self.before.get().unwrap();
        if !self.tree(LAB).await.iter().filter(|entry| !is_fresh(entry)).eq(lab) {
            self.broke("the sources have changed");
        }
        let after = self.tree(TO).await;
        let now: BTreeMap<&str, &Entry> = after.iter().map(|entry| (entry.path.as_str(), entry)).collect();
        let then: BTreeMap<&str, &Entry> = before.iter().map(|entry| (entry.path.as_str(), entry)).collect();
        let plan = &self.plan;
        for (path, was) in &then {
            let is = now.get(path);
            let same = is.is_some_and(|is| *is == *was);
            let may_change = plan.wanted.contains_key(*path)
                && (was.status == DataStatus::Partial || plan.overwritten.contains(*path));
            if !same && !may_change {
                self.broke(format!("{path} was {was:?} and is {is:?}"));
            }
        }
        let made: BTreeSet<&str> =
            plan.requests.iter().flat_map(|r| &r.folders).map(String::as_str).collect();
        for (path, is) in now.iter().filter(|(path, _)| !then.contains_key(**path)) {
            let expected = match is.kind {
                DataKind::File => plan.wanted.contains_key(*path) || plan.strangers.contains(*path),
                DataKind::Folder => {
                    let above = |wanted: &String| wanted.starts_with(path);
                    made.contains(path)
                        || plan.wanted.keys().chain(&plan.strangers).any(above)
                        || ["/in/", "/out/", "/in/new/"].contains(path)
                }
            };
            if !expected {
                self.broke(format!("{path} has appeared: {is:?}"));
            }
        }
    }
}

/// What there is to say of a folder that goes through round after round which neither brings nor learns
/// anything, nor waits for something that has a name.
fn rounds_in_vain(folder: &Item) -> Option<String> {
    let (_, rest) = folder.text("state")?.split_once(r#""in_vain":"#)?;
    let rounds: u32 = rest.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()?;
    (rounds >= MOST_IN_VAIN)
        .then(|| format!("{} has gone through {rounds} rounds without progress", folder.key))
}

/// Whether data of the sources came in the course of the history.
fn is_fresh(entry: &Entry) -> bool {
    entry.path.starts_with(FRESH)
}

/// Whether a record is of this version of the daemon.
pub(crate) fn is_ours(item: &Item) -> bool {
    !item.key.id.starts_with("future.")
}
