//! Files that go through this process, one GET into one PUT each.

use std::sync::Arc;

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, OptionFuture},
    stream,
};
use tokio::time::{Instant, timeout_at};

use super::{
    bring::{Brought, Way, again},
    look::Picture,
    sources::{Origin, Source},
    state::{ENTRY_BYTES, FolderState, MOST_REMEMBERED},
};
use crate::{
    domain::{
        diff::Verdict,
        ids::{DataId, ProjectId},
        route::Route,
    },
    engine::{
        Engine,
        backoff::jittered,
        lease::{Halt, Held, Lease, Step},
        records::{self, millis},
    },
    ports::{Class, Error, transfers::PresignedUrl},
    signals,
};

/// Download URLs asked for with one call. Their lifetime is unknown, so not all at once.
const URLS_PER_CALL: usize = 25;

/// A file that is ready to be streamed.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub source: Source,
    pub nonce: String,
    /// The PARTIAL file whose bytes it replaces; none when a file has to be made.
    pub target: Option<DataId>,
    pub way: Way,
}

impl Task {
    /// The project to ask for a URL to read it, where one is needed.
    fn asks(&self) -> Option<(&ProjectId, &DataId)> {
        match &self.source.origin {
            Origin::File { project, id } if self.way == Way::Put => Some((project, id)),
            Origin::File { .. } | Origin::Object(_) => None,
        }
    }
}

/// A file with where to read it, as far as that is needed and could be learnt.
type Ready = (Task, Result<Option<PresignedUrl>, Arc<Error>>);

/// What became of it.
#[derive(Debug)]
pub(super) struct Streamed {
    name: String,
    result: Step<Brought>,
}

/// A stream that has ended, or that found no place before it had to pause.
enum Ended {
    Streamed(Streamed),
    NotStarted(Task),
}

impl Engine {
    /// The files that can be streamed now. Their nonces are in the state, which must be stored
    /// before the first of them is made.
    pub(super) fn stream_tasks(&self, state: &mut FolderState, picture: &Picture) -> Vec<Task> {
        let now = millis(self.ports.clock.now());
        let mut tasks = Vec::new();
        let mut room = None;
        for (name, (source, verdict)) in picture.files() {
            if picture.route(source) != Route::Stream {
                continue;
            }
            let target = match verdict {
                Verdict::Missing => None,
                Verdict::Overwrite => picture.listing.get(name).map(|data| data.id.clone()),
                Verdict::Done { .. }
                | Verdict::Wait
                | Verdict::Condemn
                | Verdict::Replace
                | Verdict::Skipped
                | Verdict::Clash(_) => continue,
            };
            let known = state.uploads.contains_key(name);
            if !known {
                let left = *room.get_or_insert_with(|| state.room());
                if state.uploads.len() >= MOST_REMEMBERED || left < ENTRY_BYTES {
                    continue;
                }
                room = Some(left - ENTRY_BYTES);
            }
            let upload = state.uploads.entry(name.to_owned()).or_default();
            if upload.nonce.is_empty() {
                upload.nonce = self.ports.chance.uuid().to_string();
            }
            if upload.retry_at <= now && upload.attempts < self.settings.jobs.max_attempts {
                let way = self.way(source, target.is_none() && upload.attempts == 0);
                tasks.push(Task { source: source.clone(), nonce: upload.nonce.clone(), target, way });
            }
        }
        tasks
    }

    /// Streams files, several at a time, and starts no new one after `until`. Returns what was
    /// finished and what is left.
    pub(super) async fn stream_files(
        &self,
        lease: &Arc<Lease>,
        picture: &Picture,
        tasks: Vec<Task>,
        until: Instant,
    ) -> (Vec<Streamed>, Vec<Task>) {
        let width = self.settings.copy.concurrent_streams.max(1);
        let mut waiting = tasks;
        let mut done = Vec::new();
        let mut ready: Vec<Ready> = Vec::new();
        let mut under_way = stream::FuturesUnordered::new();
        // Polled beside the streams, never instead of them: both wait for the same pace, and one that
        // is not polled would keep its turn for ever.
        let mut fetching: Option<BoxFuture<'_, Vec<Ready>>> = None;
        loop {
            let may_start = Instant::now() < until && !self.stop.is_cancelled() && lease.check().is_ok();
            if may_start {
                if ready.is_empty() && fetching.is_none() && !waiting.is_empty() {
                    let batch: Vec<_> = waiting.drain(..waiting.len().min(URLS_PER_CALL)).collect();
                    fetching = Some(self.with_urls(batch).boxed());
                }
                while under_way.len() < width
                    && let Some((task, url)) = ready.pop()
                {
                    under_way.push(self.stream_one(lease, picture, task, url, until));
                }
            }
            tokio::select! {
                biased;
                urls = async { OptionFuture::from(fetching.as_mut()).await }, if fetching.is_some() => {
                    ready = urls.unwrap_or_default();
                    fetching = None;
                }
                Some(ended) = under_way.next(), if !under_way.is_empty() => match ended {
                    Ended::Streamed(streamed) => done.push(streamed),
                    Ended::NotStarted(task) => waiting.push(task),
                },
                else => break,
            }
        }
        drop(under_way);
        waiting.extend(ready.into_iter().map(|(task, _)| task));
        (done, waiting)
    }

    async fn with_urls(&self, tasks: Vec<Task>) -> Vec<Ready> {
        let asks = tasks.iter().find_map(|task| task.asks().map(|(project, _)| project.clone()));
        let Some(project) = asks else { return tasks.into_iter().map(|task| (task, Ok(None))).collect() };
        let (same, other): (Vec<_>, Vec<_>) =
            tasks.into_iter().partition(|task| task.asks().is_some_and(|(asked, _)| *asked == project));
        let ids: Vec<_> = same.iter().filter_map(|task| task.asks().map(|(_, id)| id.clone())).collect();
        let mut with: Vec<_> = match self.ports.platform.download_urls(&project, &ids).await {
            Ok(urls) => same.into_iter().zip(urls.into_iter().map(|url| Ok(Some(url)))).collect(),
            // One of them is gone: the others are asked for one by one.
            Err(error) if !error.is_passing() && same.len() > 1 => {
                let mut with = Vec::with_capacity(same.len());
                for task in same {
                    with.extend(Box::pin(self.with_urls(vec![task])).await);
                }
                with
            }
            Err(error) => {
                let error = Arc::new(error);
                same.into_iter().map(|task| (task, Err(Arc::clone(&error)))).collect()
            }
        };
        if !other.is_empty() {
            with.extend(Box::pin(self.with_urls(other)).await);
        }
        with.reverse();
        with
    }

    async fn stream_one(
        &self,
        lease: &Lease,
        picture: &Picture,
        task: Task,
        url: Result<Option<PresignedUrl>, Arc<Error>>,
        until: Instant,
    ) -> Ended {
        // Folders share the places of an instance; one that waits for a place still has jobs to mind.
        let Ok(_place) = timeout_at(until, self.streams.acquire()).await else {
            self.waited_for_a_stream(picture);
            return Ended::NotStarted(task);
        };
        self.stream_began();
        let result = match url {
            Ok(url) => self.bring(lease, picture, &task, url).await,
            Err(error) => Err(again(&error).into()),
        };
        Ended::Streamed(Streamed { name: task.source.wanted.name, result })
    }

    /// Takes the results into the state; how many were put. Only the loss of the lease ends the
    /// round.
    pub(super) fn note_streams(
        &self,
        held: &Held,
        state: &mut FolderState,
        done: Vec<Streamed>,
    ) -> Step<usize> {
        let now = self.ports.clock.now();
        let mut put = 0;
        for streamed in done {
            let upload = state.uploads.entry(streamed.name.clone()).or_default();
            match streamed.result {
                Ok(Brought { tag, md5 }) => {
                    upload.put_at = Some(millis(now));
                    (upload.tag, upload.md5, upload.troubles) = (tag, md5, 0);
                    self.moved(&state.parties);
                    put += 1;
                }
                Err(Halt::Port(error)) => {
                    signals::engine::stream_failed(&held.lease.key.id, &error, upload.attempts + 1);
                    upload.attempts = match error.class {
                        // Our own stop is nobody's fault, and a name that is taken shows in a listing
                        // sooner or later.
                        _ if self.cut.is_cancelled() => upload.attempts,
                        Class::Conflict => upload.attempts,
                        _ if is_not_its_fault(&error) => {
                            upload.troubles = upload.troubles.saturating_add(1);
                            self.note_outage(&state.parties, &error);
                            upload.attempts
                        }
                        Class::NotFound | Class::Forbidden => self.settings.jobs.max_attempts,
                        _ => {
                            upload.troubles = 0;
                            upload.attempts + 1
                        }
                    };
                    // Nothing more is to come: whoever waits for it is told.
                    state.look_again |= upload.attempts >= self.settings.jobs.max_attempts;
                    upload.reason = error.to_string().chars().take(200).collect();
                    upload.nonce = self.ports.chance.uuid().to_string();
                    upload.put_at = None;
                    (upload.tag, upload.md5) = (None, None);
                    let jobs = &self.settings.jobs;
                    let chance = self.ports.chance.as_ref();
                    let tries = upload.attempts.saturating_add(upload.troubles);
                    let wait = jittered(jobs.retry_base, jobs.retry_cap, tries, chance);
                    upload.retry_at = records::after(now, wait);
                }
                Err(halt) => return Err(halt),
            }
        }
        Ok(put)
    }
}

/// Whether a try failed for what has nothing to do with its file, so that it does not count: this machine
/// lacked something, our token is stale, somebody asks us to slow down, ICAv2 does not answer (those who
/// wait for it end by [`crate::engine::settings::HeartbeatSettings::outage_after`]).
fn is_not_its_fault(error: &Error) -> bool {
    match error.class {
        Class::Throttled | Class::Unauthorized => true,
        Class::Transient => error.is_local() || error.operation.contains(" /api/"),
        Class::NotFound | Class::Forbidden | Class::Conflict | Class::Invalid => error.is_local(),
    }
}
