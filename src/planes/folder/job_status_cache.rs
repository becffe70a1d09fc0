//! The status of jobs, asked for together: one page of the newest jobs tells of all that run here,
//! where asking for each would cost a call for each.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::FolderPlane;
use crate::{
    domain::{ids::JobId, job::JobStatus},
    ports::Result,
    signals,
};

/// Jobs that run here at a time before they are asked for together.
const SEVERAL: usize = 3;

/// A job that was asked for within this time runs here, as far as the count goes.
const RECENT: Duration = Duration::from_mins(2);

/// A page is good for all tasks that ask at about the same time, unless there is news.
const FRESH: Duration = Duration::from_millis(300);

/// Jobs that are asked for are asked for at these instants, so that they meet.
pub(crate) const POLL_ALIGNMENT: Duration = Duration::from_millis(500);

/// The content of the last page.
#[derive(Debug)]
struct Page {
    read: Instant,
    done: Instant,
    jobs: HashMap<JobId, JobStatus>,
}

#[derive(Debug, Default)]
struct Known {
    /// Jobs of ours by when they were last asked for.
    asked: HashMap<JobId, Instant>,
    page: Option<Page>,
    /// When a page could last not be read.
    failed: Option<Instant>,
    /// Until when jobs are asked for one by one: other users have filled the page with their jobs, or it
    /// cannot be read.
    crowded: Option<Instant>,
}

impl Known {
    /// Notes that a job is asked for; whether a page would serve.
    fn ask(&mut self, job: &JobId, now: Instant) -> bool {
        self.asked.retain(|_, asked| now.duration_since(*asked) < RECENT);
        self.asked.insert(job.clone(), now);
        self.asked.len() >= SEVERAL && self.crowded.is_none_or(|until| now >= until)
    }

    /// A page that tells how things stood at `asked` or later, or, without news, only just before.
    fn fresh(&self, asked: Instant, news: bool) -> Option<&Page> {
        let just = |page: &&Page| !news && asked.saturating_duration_since(page.done) < FRESH;
        self.page.as_ref().filter(|page| page.read >= asked || just(page))
    }

    /// Whether no page is to be read for a task that asked then: one has been read since, or could not be.
    fn is_answered(&self, asked: Instant, news: bool) -> bool {
        self.failed.is_some_and(|failed| failed >= asked) || self.fresh(asked, news).is_some()
    }

    fn take(&mut self, page: Page) {
        let ours = self.asked.keys().filter(|job| page.jobs.contains_key(*job)).count();
        self.crowded = (ours < SEVERAL).then(|| page.read + RECENT);
        self.page = Some(page);
    }

    fn fail(&mut self, now: Instant) {
        self.failed = Some(now);
        self.crowded = Some(now + RECENT);
    }
}

/// The statuses of jobs that this instance knows.
#[derive(Debug, Default)]
pub(crate) struct JobStatusCache {
    known: Mutex<Known>,
    /// Held while a page is read, so that requests made together cause one reading, and fail together.
    reading: tokio::sync::Mutex<()>,
}

impl JobStatusCache {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FolderPlane {
    /// The status of a job of ours, as of now. `news`: something has happened since a moment ago, so that
    /// only a page that is read from now on tells.
    pub(crate) async fn job_status(&self, job: &JobId, news: bool) -> Result<JobStatus> {
        let asked = Instant::now();
        if self.job_status_cache.known().ask(job, asked) {
            self.read_jobs(asked, news).await;
            let known = self.job_status_cache.known();
            if let Some(status) = known.fresh(asked, news).and_then(|page| page.jobs.get(job)) {
                return Ok(*status);
            }
        }
        // Older than the newest ones, or the page cannot be read.
        Ok(self.core.ports.platform.job(job).await?.status)
    }

    /// The newest jobs, read now; tasks that ask at about the same time need not read them again.
    pub(super) async fn newest_jobs(&self, read: Instant) -> Result<BTreeMap<JobId, JobStatus>> {
        let _turn = self.job_status_cache.reading.lock().await;
        let page = self.core.ports.platform.jobs(None).await?;
        let jobs: HashMap<_, _> = page.items.into_iter().map(|job| (job.id, job.status)).collect();
        let told = jobs.iter().map(|(job, status)| (job.clone(), *status)).collect();
        self.job_status_cache.known().page = Some(Page { read, done: Instant::now(), jobs });
        Ok(told)
    }

    /// Reads the page for all tasks that wait for it.
    async fn read_jobs(&self, asked: Instant, news: bool) {
        let _turn = self.job_status_cache.reading.lock().await;
        if self.job_status_cache.known().is_answered(asked, news) {
            return;
        }
        let read = Instant::now();
        match self.core.ports.platform.jobs(None).await {
            Ok(page) => {
                let jobs = page.items.into_iter().map(|job| (job.id, job.status)).collect();
                self.job_status_cache.known().take(Page { read, done: Instant::now(), jobs });
            }
            Err(error) => {
                signals::api::jobs_unread(&error);
                self.job_status_cache.known().fail(Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(n: u32) -> JobId {
        JobId::new(n.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_is_read_only_where_it_tells_of_several() {
        let mut known = Known::default();
        let now = Instant::now();
        assert_eq!([1, 2, 3].map(|n| known.ask(&job(n), now)), [false, false, true]);
        let page = |jobs: &[u32]| Page {
            read: now,
            done: now,
            jobs: jobs.iter().map(|n| (job(*n), JobStatus::Running)).collect(),
        };
        known.take(page(&[1, 2, 3, 7]));
        let fresh = |known: &Known, after, news| known.fresh(now + after, news).is_some();
        assert!(fresh(&known, FRESH / 2, false) && !fresh(&known, FRESH, false));
        assert!(fresh(&known, Duration::ZERO, true) && !fresh(&known, FRESH / 2, true), "there is news");
        assert!(known.ask(&job(1), now));
        // Jobs of other users have filled it: for a while it is not worth its call.
        known.take(page(&[1, 7, 8]));
        assert!(!known.ask(&job(1), now) && !known.ask(&job(2), now + RECENT - FRESH));
        assert!(!known.ask(&job(1), now + RECENT), "the others have not been asked for lately");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asked_before_a_page_failed_does_not_read_it_again() {
        let mut known = Known::default();
        let now = Instant::now();
        known.fail(now + RECENT);
        assert!(known.is_answered(now, true) && known.is_answered(now + RECENT, false));
        assert!(!known.is_answered(now + RECENT + FRESH, false));
        for n in 1..=SEVERAL {
            assert!(!known.ask(&job(u32::try_from(n).unwrap()), now + RECENT), "one by one for a while");
        }
    }
}
