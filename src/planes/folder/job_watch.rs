//! Running jobs are watched together: one page of jobs tells of all that this instance has had in hand, and
//! a folder has no round until one of its own has ended. A job of an instance that died is found by the next
//! round of its folder, which is due all the same, later.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{FolderPlane, LONGEST};
use crate::{
    domain::{ids::JobId, job::JobStatus},
    engine::{dispatch::Priority, liveness::RootRef},
    ports::{Result, store::Key},
    signals,
};

/// The shortest wait between two polls.
const SOONEST: Duration = Duration::from_secs(2);

/// The longest wait for the first poll of a job, however long others have taken.
const FIRST: Duration = Duration::from_secs(5);

/// How many times longer the wait is where the last job that ended was told of by an event.
const EVENTS_TELL: u32 = 4;

/// Watched jobs that the page of the newest jobs may tell of.
const FEW: usize = 100;

/// The part of the pace of ICAv2 that polls may take.
const PART_OF_PACE: f64 = 0.1;

/// A job that no list shows may be too young to be listed.
const LISTED_AFTER: Duration = Duration::from_secs(15);

/// Jobs that are watched at a time, about 300 bytes each; the folders of further ones ask for them.
const MOST: usize = 200_000;

/// A job is forgotten when its folder has had no round here for so long: another instance has taken it over.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2 * LONGEST.as_secs());

/// For how long a folder is asked for a round because a job of it has ended; another instance holds it.
const UNHEARD_FOR: Duration = Duration::from_mins(5);

#[derive(Debug)]
struct Watched {
    folder: Arc<WatchedFolder>,
    since: Instant,
    refreshed: Instant,
    due: Instant,
    /// When a page last told that it runs.
    told: Option<Instant>,
}

/// A job that has ended, until its folder has heard.
#[derive(Debug)]
struct Ended {
    folder: Arc<WatchedFolder>,
    /// [`JobStatus::Unknown`] where no page has told it.
    status: JobStatus,
    at: Instant,
    /// When the folder is asked for a round once more: the table may not have answered.
    again: Instant,
}

/// The folder of watched jobs.
#[derive(Debug)]
struct WatchedFolder {
    key: Key,
    root_refs: Vec<RootRef>,
}

#[derive(Debug, Default)]
struct Known {
    // In an order that is the same every time: so are the histories of the simulation.
    watched: BTreeMap<JobId, Watched>,
    /// The jobs by their folders.
    folders: BTreeMap<Key, Vec<JobId>>,
    ended: BTreeMap<JobId, Ended>,
    /// How long jobs have lately taken, from when they were first watched.
    typical: Option<Duration>,
    /// Whether the last job that has ended was told of by an event.
    events_tell: bool,
    /// Before this no page is read.
    not_before: Option<Instant>,
    /// Polls in a row that have failed.
    failures: u32,
}

impl Known {
    /// The wait until a job of that age is to be asked for: near the time that jobs have lately taken, often;
    /// the older it is, the more rarely.
    fn wait(&self, age: Duration, longest: Duration) -> Duration {
        let wait = match self.typical {
            Some(typical) if age < typical / 2 => (typical / 2).saturating_sub(age).min(age.max(FIRST)),
            Some(_) => age / 10,
            None => age / 16,
        };
        let wait = wait.max(SOONEST);
        (if self.events_tell { wait * EVENTS_TELL } else { wait }).min(longest.max(SOONEST))
    }

    /// When pages are to be read.
    fn poll_at(&self) -> Option<Instant> {
        let due = self.watched.values().map(|job| job.due).min()?;
        Some(self.not_before.map_or(due, |at| at.max(due)))
    }

    /// When something is to be done.
    fn due(&self) -> Option<Instant> {
        self.ended.values().map(|job| job.again).chain(self.poll_at()).min()
    }

    /// The folders that have not heard of their jobs' ends for a while; they are asked again more rarely.
    fn unheard(&mut self, now: Instant) -> Vec<Key> {
        self.forget(now);
        let unheard = self.ended.values_mut().filter(|job| now >= job.again);
        let keys = unheard.map(|job| {
            job.again = now + now.saturating_duration_since(job.at).max(SOONEST);
            job.folder.key.clone()
        });
        distinct(keys)
    }

    /// Forgets jobs of folders that have had no round here for long.
    fn forget(&mut self, now: Instant) {
        let before = self.watched.len() + self.ended.len();
        self.watched.retain(|_, job| now < job.refreshed + FORGOTTEN_AFTER);
        self.ended.retain(|_, job| now < job.at + UNHEARD_FOR);
        if self.watched.len() + self.ended.len() < before {
            let (watched, ended) = (&self.watched, &self.ended);
            let is_known = |job: &JobId| watched.contains_key(job) || ended.contains_key(job);
            self.folders.retain(|_, jobs| jobs.iter().any(is_known));
        }
    }

    fn end(&mut self, job: &JobId, status: JobStatus, now: Instant) -> Option<Key> {
        let watched = self.watched.remove(job)?;
        if status.is_terminal() {
            let took = now.saturating_duration_since(watched.since);
            self.typical = Some(self.typical.map_or(took, |typical| (typical * 3 + took) / 4));
            self.events_tell = false;
        }
        let key = watched.folder.key.clone();
        let ended = Ended { folder: watched.folder, status, at: now, again: now + SOONEST };
        self.ended.insert(job.clone(), ended);
        Some(key)
    }
}

fn distinct(keys: impl Iterator<Item = Key>) -> Vec<Key> {
    let mut keys: Vec<Key> = keys.collect();
    keys.sort();
    keys.dedup();
    keys
}

/// The running jobs that this instance has had in hand.
#[derive(Debug, Default)]
pub(crate) struct JobWatch {
    known: Mutex<Known>,
    news: Notify,
}

impl JobWatch {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches these jobs of a folder, or goes on doing so, and no others of it: another instance may have
    /// seen them end.
    pub(super) fn watch<'a>(
        &self,
        key: &Key,
        root_refs: &[RootRef],
        jobs: impl Iterator<Item = &'a JobId>,
        longest: Duration,
    ) {
        let now = Instant::now();
        let folder = Arc::new(WatchedFolder { key: key.clone(), root_refs: root_refs.to_vec() });
        let mut known = self.known();
        let first = known.wait(Duration::ZERO, longest);
        let mut is_news = false;
        let jobs: Vec<JobId> = jobs.cloned().collect();
        let before = known.folders.remove(key).unwrap_or_default();
        for job in before.iter().filter(|job| !jobs.contains(job)) {
            known.watched.remove(job);
            known.ended.remove(job);
        }
        for job in &jobs {
            if known.ended.contains_key(job) {
                continue;
            }
            if let Some(watched) = known.watched.get_mut(job) {
                watched.folder = Arc::clone(&folder);
                watched.refreshed = now;
            } else if known.watched.len() < MOST {
                let folder = Arc::clone(&folder);
                let watched = Watched { folder, since: now, refreshed: now, due: now + first, told: None };
                known.watched.insert(job.clone(), watched);
                is_news = true;
            }
        }
        if !jobs.is_empty() {
            known.folders.insert(key.clone(), jobs);
        }
        drop(known);
        if is_news {
            self.news.notify_one();
        }
    }

    /// The status with which a job was seen to have ended, if it was; unknown where no page has told it.
    pub(super) fn take_end(&self, job: &JobId) -> Option<JobStatus> {
        self.known().ended.remove(job).map(|job| job.status)
    }

    /// Whether a page that was read within that time has told that a job runs.
    pub(super) fn runs(&self, job: &JobId, within: Duration) -> bool {
        let now = Instant::now();
        let told = self.known().watched.get(job).and_then(|job| job.told);
        told.is_some_and(|told| now < told + within)
    }

    /// A job whose folder has had a round here is watched on.
    pub(super) fn refresh(&self, job: &JobId) {
        if let Some(job) = self.known().watched.get_mut(job) {
            job.refreshed = Instant::now();
        }
    }

    /// Events tell of jobs, so that polls are only for those that get lost.
    pub(super) fn heard_by_event(&self) {
        self.known().events_tell = true;
    }
}

impl FolderPlane {
    /// Watches jobs until stopped.
    pub(super) async fn watch_jobs(&self) {
        loop {
            let due = self.job_watch.known().due();
            let waits = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.core.stop.cancelled() => return,
                () = self.job_watch.news.notified() => continue,
                () = waits => {}
            }
            let now = Instant::now();
            let (unheard, polls) = {
                let mut known = self.job_watch.known();
                (known.unheard(now), known.poll_at().is_some_and(|at| now >= at))
            };
            self.have_run(unheard);
            if !polls {
                continue;
            }
            let polled = tokio::select! {
                biased;
                () = self.core.stop.cancelled() => return,
                polled = self.poll_watched() => polled,
            };
            if let Err(error) = polled {
                signals::api::jobs_unread(&error);
                // When they are due, the folders ask for their jobs themselves, and say what they meet.
                let longest = self.core.settings.jobs.poll_interval;
                let mut known = self.job_watch.known();
                let wait = SOONEST * 2_u32.saturating_pow(known.failures.min(8));
                known.failures = known.failures.saturating_add(1);
                known.not_before = Some(Instant::now() + wait.min(longest.max(SOONEST)));
            }
        }
    }

    /// Reads the pages that tell of the watched jobs, and has the folders of ended ones run.
    async fn poll_watched(&self) -> Result<()> {
        let read = Instant::now();
        // The newest jobs tell of few in one call, also how they have ended. Many do not fit that page: most of
        // them still run, and it is worth its call only where one of them does not.
        let are_few = self.job_watch.known().watched.len() <= FEW;
        let mut told = BTreeMap::new();
        let mut pages = 0;
        for newest in [are_few, !are_few] {
            if newest {
                told.extend(self.newest_jobs(read).await?);
                pages += 1;
                // What has ended is known, whatever becomes of the other pages.
                self.have_run(self.note_ended(&told));
            } else {
                pages += self.read_running(&mut told).await?;
            }
            if self.job_watch.known().watched.keys().all(|job| told.contains_key(job)) {
                break;
            }
        }
        self.have_run(self.note_watched(&told, read, pages));
        Ok(())
    }

    /// Reads all jobs that run; the pages that it took.
    async fn read_running(&self, told: &mut BTreeMap<JobId, JobStatus>) -> Result<u32> {
        let (mut from, mut pages) = (None, 0);
        loop {
            let page = self.core.ports.platform.running_jobs(from.as_deref()).await?;
            told.extend(page.items.into_iter().map(|job| (job.id, job.status)));
            pages += 1;
            from = page.next;
            if from.is_none() {
                return Ok(pages);
            }
        }
    }

    /// Takes note of jobs of which a page tells that they have ended; their folders.
    fn note_ended(&self, told: &BTreeMap<JobId, JobStatus>) -> Vec<Key> {
        let mut known = self.job_watch.known();
        let now = Instant::now();
        let ended = told.iter().filter(|(_, status)| status.is_terminal());
        distinct(ended.filter_map(|(job, status)| known.end(job, *status, now)))
    }

    fn have_run(&self, folders: Vec<Key>) {
        for key in folders {
            self.core.inbox.offer(key, Priority::Begun);
        }
    }

    /// Takes note of what pages have told; the folders whose jobs have ended.
    fn note_watched(&self, told: &BTreeMap<JobId, JobStatus>, read: Instant, pages: u32) -> Vec<Key> {
        let now = Instant::now();
        let longest = self.core.settings.jobs.poll_interval;
        let mut known = self.job_watch.known();
        let mut ended: Vec<(JobId, JobStatus)> = Vec::new();
        let mut running = Vec::new();
        for (id, job) in &known.watched {
            match told.get(id) {
                Some(status) if !status.is_terminal() && *status != JobStatus::Unknown => {
                    running.push(id.clone());
                }
                Some(status) => ended.push((id.clone(), *status)),
                // Neither new nor running.
                None if read >= job.since + LISTED_AFTER => ended.push((id.clone(), JobStatus::Unknown)),
                None => running.push(id.clone()),
            }
        }
        for id in running {
            let Some(since) = known.watched.get(&id).map(|job| job.since) else { continue };
            let due = now + known.wait(now.saturating_duration_since(since), longest);
            if let Some(job) = known.watched.get_mut(&id) {
                job.due = due;
                if told.contains_key(&id) {
                    job.told = Some(read);
                    self.core.record_progress(&job.folder.root_refs);
                }
            }
        }
        let oldest = known.watched.values().map(|job| now.saturating_duration_since(job.since)).max();
        signals::engine::jobs_watched(known.watched.len(), oldest.unwrap_or_default());
        let keys = distinct(ended.iter().filter_map(|(job, status)| known.end(job, *status, now)));
        let pace = self.core.ports.platform.load().per_second * PART_OF_PACE;
        let rest = Duration::try_from_secs_f64(f64::from(pages) / pace).unwrap_or(longest);
        known.not_before = Some(now + rest.min(longest));
        known.failures = 0;
        keys
    }
}

#[cfg(test)]
mod tests;
