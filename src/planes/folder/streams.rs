//! Files that go through this process, one GET into one PUT each.

use std::sync::{Arc, OnceLock};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, OptionFuture},
    stream,
};
use tokio::sync::SemaphorePermit;

use super::{
    FolderPlane,
    bring::again,
    decide::Choice,
    document,
    snapshot::Snapshot,
    state::FolderState,
    stream_queue::StreamQueue,
    task::{Brought, Streamed, Target, Task},
};
use crate::{
    engine::{
        backoff::jittered,
        lease::{Lease, Leased, RoundError, RoundResult},
        records::{self, millis},
    },
    ports::{Class, Error, transfers::PresignedUrl},
    signals,
};

/// Download URLs asked for with one call. Their lifetime is unknown, so not all at once.
const URLS_PER_CALL: usize = 25;

/// A file with where to read it, as far as that is needed and could be learnt.
type Ready = (Task, Result<Option<PresignedUrl>, Arc<Error>>);

/// What was asked for together, with a place for the first of it; or what was not asked for.
type Fetched<'a> = Result<(Option<SemaphorePermit<'a>>, Vec<Ready>), Vec<Task>>;

/// A stream that has ended, or that found no place before it had to pause.
enum StreamEnd {
    Streamed(Streamed),
    NotStarted(Task),
}

impl FolderPlane {
    /// Hands over the files of the choice whose time it is. Their nonces are stored before the first of them
    /// is made.
    pub(super) async fn begin_streams(
        &self,
        held: &mut Leased,
        state: &mut FolderState,
        snapshot: &Snapshot,
        chosen: Vec<Choice<'_>>,
        queue: &StreamQueue,
    ) -> RoundResult<()> {
        let to = Arc::new(Target {
            project: snapshot.project.clone(),
            folder: snapshot.folder.clone(),
            root_refs: snapshot.root_refs(),
        });
        let mut tasks = Vec::new();
        for Choice { source, target, claims, is_fresh, is_due } in chosen {
            let upload = state.upload_of(&source.wanted.name);
            if upload.nonce.is_empty() {
                upload.nonce = self.core.ports.chance.uuid().to_string();
            }
            if is_due {
                let (nonce, way) = (upload.nonce.clone(), self.way(source, is_fresh));
                tasks.push(Task { source: source.clone(), nonce, target, claims, way, to: Arc::clone(&to) });
            }
        }
        if tasks.is_empty() {
            return Ok(());
        }
        self.core.save(held, vec![document(state)?]).await?;
        for task in &tasks {
            state.set_live(&task.source.wanted.name, true);
        }
        queue.hand_over(snapshot, tasks);
        Ok(())
    }

    /// Streams the files that the holder hands over, several at a time, until no more will come.
    ///
    /// A file that has no place among the streams asks for nothing, and what was asked for is used however
    /// long it took: or the calls would be made in vain, by every folder again and again.
    pub(super) async fn stream_files(&self, lease: &Lease, queue: &StreamQueue) {
        let width = self.core.settings.copy.concurrent_streams.max(1);
        let mut ready: Vec<Ready> = Vec::new();
        let mut place = None;
        let mut under_way = stream::FuturesUnordered::new();
        // Polled beside the streams, never instead of them: both wait for the same pace, and one that
        // is not polled would keep its turn for ever.
        let mut fetching: Option<BoxFuture<'_, Fetched<'_>>> = None;
        loop {
            let is_over = self.core.stop.is_cancelled() || lease.lost.is_cancelled();
            let ends = is_over || lease.check().is_err();
            if ends {
                place = None;
                queue.put_back(ready.drain(..).map(|(task, _)| task).collect());
                queue.leave_all();
            } else {
                if ready.is_empty() && fetching.is_none() {
                    let batch = queue.next(URLS_PER_CALL);
                    let first = under_way.is_empty();
                    fetching = (!batch.is_empty()).then(|| self.fetch(lease, queue, batch, first).boxed());
                }
                while under_way.len() < width
                    && let Some((task, url)) = ready.pop()
                {
                    under_way.push(self.stream_one(lease, queue, task, url, place.take()));
                }
                // It is for the first of them, and not to be sat on.
                place = None;
            }
            if queue.is_closed() && queue.is_over() {
                return;
            }
            tokio::select! {
                biased;
                fetched = async { OptionFuture::from(fetching.as_mut()).await }, if fetching.is_some() => {
                    fetching = None;
                    match fetched {
                        Some(Ok(fetched)) => (place, ready) = fetched,
                        Some(Err(batch)) => {
                            self.waited_for_a_stream(batch.first());
                            queue.put_back(batch);
                        }
                        None => {}
                    }
                }
                Some(ended) = under_way.next(), if !under_way.is_empty() => match ended {
                    StreamEnd::Streamed(streamed) => queue.ended(streamed),
                    StreamEnd::NotStarted(task) => queue.put_back(vec![task]),
                },
                () = queue.until_changed() => {}
                () = self.core.stop.cancelled(), if !is_over => {}
                () = lease.lost.cancelled(), if !is_over => {}
            }
        }
    }

    /// Asks where to read, after a wait for a place among the streams where the folder has none. The tasks
    /// come back where there was no place.
    async fn fetch<'a>(
        &'a self,
        lease: &'a Lease,
        queue: &'a StreamQueue,
        tasks: Vec<Task>,
        first: bool,
    ) -> Fetched<'a> {
        if !first {
            return Ok((None, self.with_urls(tasks).await));
        }
        match self.place(lease, queue).await {
            Some(place) => Ok((Some(place), self.with_urls(tasks).await)),
            None => Err(tasks),
        }
    }

    /// A place among the streams of this instance; none where it may be needed no more.
    async fn place(&self, lease: &Lease, queue: &StreamQueue) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            () = self.core.stop.cancelled() => None,
            () = lease.lost.cancelled() => None,
            () = queue.until_fewer() => None,
            place = self.core.streams.acquire() => place.ok(),
        }
    }

    async fn with_urls(&self, tasks: Vec<Task>) -> Vec<Ready> {
        let asks = tasks.iter().find_map(|task| task.asks().map(|(project, _)| project.clone()));
        let Some(project) = asks else { return tasks.into_iter().map(|task| (task, Ok(None))).collect() };
        let (same, other): (Vec<_>, Vec<_>) =
            tasks.into_iter().partition(|task| task.asks().is_some_and(|(asked, _)| *asked == project));
        let ids: Vec<_> = same.iter().filter_map(|task| task.asks().map(|(_, id)| id.clone())).collect();
        let mut with: Vec<_> = match self.core.ports.platform.download_urls(&project, &ids).await {
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
        queue: &StreamQueue,
        task: Task,
        url: Result<Option<PresignedUrl>, Arc<Error>>,
        place: Option<SemaphorePermit<'_>>,
    ) -> StreamEnd {
        let place = match place {
            Some(place) => Some(place),
            None => self.place(lease, queue).await,
        };
        let Some(_place) = place else {
            self.waited_for_a_stream(Some(&task));
            return StreamEnd::NotStarted(task);
        };
        self.stream_began();
        let made = OnceLock::new();
        let result = match url {
            Ok(url) => self.bring(lease, &task, url, &made).await,
            Err(error) => Err(again(&error).into()),
        };
        let Task { source, claims, .. } = task;
        StreamEnd::Streamed(Streamed { name: source.wanted.name, result, made: made.into_inner(), claims })
    }

    /// Takes the results into the state; how many were put. Only the loss of the lease ends the
    /// round.
    pub(super) fn note_streams(
        &self,
        held: &Leased,
        state: &mut FolderState,
        done: Vec<Streamed>,
    ) -> RoundResult<usize> {
        let now = self.core.ports.clock.now();
        let mut put = 0;
        for streamed in done {
            state.set_live(&streamed.name, false);
            let upload = state.uploads.entry(streamed.name.clone()).or_default();
            upload.id = streamed.made.or_else(|| upload.id.take());
            match streamed.result {
                Ok(Brought { tag, md5 }) => {
                    upload.put_at = Some(millis(now));
                    (upload.tag, upload.md5, upload.troubles) = (tag, md5, 0);
                    self.core.record_progress(&state.root_refs);
                    put += 1;
                }
                Err(RoundError::Port(error)) => {
                    signals::engine::stream_failed(&held.lease.key.id, &error, upload.attempts + 1);
                    upload.attempts = match error.class {
                        // Our own stop is not the fault of the file, and a name that is taken shows in a
                        // listing sooner or later.
                        _ if self.core.cut.is_cancelled() => upload.attempts,
                        Class::Conflict => upload.attempts,
                        _ if is_not_its_fault(&error) => {
                            upload.troubles = upload.troubles.saturating_add(1);
                            self.core.note_outage(&state.root_refs, &error);
                            upload.attempts
                        }
                        Class::NotFound | Class::Forbidden => self.core.settings.jobs.max_attempts,
                        _ => {
                            upload.troubles = 0;
                            upload.attempts + 1
                        }
                    };
                    // No other try is to come: the waiters for the file are told.
                    state.look_again |= upload.attempts >= self.core.settings.jobs.max_attempts;
                    upload.reason = error.to_string().chars().take(200).collect();
                    if upload.id.is_some() {
                        upload.nonce = self.core.ports.chance.uuid().to_string();
                    }
                    if error.class == Class::Conflict && streamed.claims.is_some() {
                        upload.refused = streamed.claims;
                    }
                    upload.put_at = None;
                    (upload.tag, upload.md5) = (None, None);
                    let service = &self.core.settings.service;
                    let chance = self.core.ports.chance.as_ref();
                    let tries = upload.attempts.saturating_add(upload.troubles);
                    let wait = jittered(service.retry_base, service.retry_cap, tries, chance);
                    upload.retry_at = records::after(now, wait);
                }
                Err(halt) => return Err(halt),
            }
        }
        Ok(put)
    }
}

/// Whether a try failed for what has nothing to do with its file, so that it does not count: this machine
/// lacked something, our token is stale, a server asks us to slow down, ICAv2 does not answer (the roots that
/// wait for it end by [`crate::engine::settings::HeartbeatSettings::outage_after`]).
fn is_not_its_fault(error: &Error) -> bool {
    match error.class {
        Class::Throttled | Class::Unauthorized => true,
        Class::Transient => error.is_local() || error.operation.contains(" /api/"),
        Class::NotFound | Class::Forbidden | Class::Conflict | Class::Invalid => error.is_local(),
    }
}
