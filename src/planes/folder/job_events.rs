//! ICAv2 job events: news for the folder that runs the job. An optimisation only; jobs are polled.

use std::{sync::Arc, time::Duration};

use super::{FolderPlane, waiter};
use crate::{
    domain::job::JobStatus,
    engine::{dispatch::Priority, records::attr},
    events::jobs::{JobNews, read_job_events},
    ports::{
        Error,
        queue::{Message, Queue},
        store::Key,
    },
    signals::{self, outage::Outage},
};

/// Wait after the queue could not be read.
const PAUSE: Duration = Duration::from_secs(2);

impl FolderPlane {
    /// Follows the jobs of this instance until stopped: by events, where some are routed here, and by polls.
    pub async fn follow_jobs(self: Arc<Self>) {
        tokio::join!(self.receive_job_events(), self.watch_jobs());
    }

    async fn receive_job_events(&self) {
        let Some(queue) = self.core.ports.job_events.clone() else { return };
        let outage = Outage::default();
        while !self.core.stop.is_cancelled() {
            match queue.receive().await {
                Ok(messages) if self.core.stop.is_cancelled() => {
                    self.core.hand_back(queue.as_ref(), &messages).await;
                }
                Ok(messages) => {
                    if let Some(trouble) = outage.works(Duration::ZERO) {
                        signals::intake::receives_again("ica-events", trouble);
                    }
                    self.take_job_events(queue.as_ref(), &messages).await;
                }
                Err(error) => {
                    if let Some(trouble) = outage.fails() {
                        signals::intake::receive_failed("ica-events", trouble, &error);
                    }
                    self.core.sleep_unless_stopped(PAUSE).await;
                }
            }
        }
    }

    async fn take_job_events(&self, queue: &dyn Queue, messages: &[Message]) {
        let mut done = Vec::new();
        for message in messages {
            match read_job_events(&message.body) {
                Ok(events) => {
                    signals::engine::job_events(events.jobs.len(), events.others);
                    let mut heard = true;
                    for news in &events.jobs {
                        if let Err(error) = self.hear(news).await {
                            signals::intake::job_event_not_heard(news.job.as_str(), &error);
                            heard = false;
                        }
                    }
                    if heard {
                        done.push(message.receipt.clone());
                    }
                }
                Err(reason) => signals::engine::malformed(&message.id, "ica-events", false, &reason),
            }
        }
        if !done.is_empty()
            && let Err(error) = queue.delete(&done).await
        {
            signals::intake::delete_failed(done.len(), Some(&error));
        }
    }

    /// Takes job events that came by another way than the queue. How many were of jobs, and how many of
    /// anything else; what is not JSON is refused.
    pub async fn hear_events(&self, body: &str) -> Result<Result<(usize, u32), String>, Error> {
        let events = match read_job_events(body) {
            Ok(events) => events,
            Err(reason) => return Ok(Err(reason)),
        };
        signals::engine::job_events(events.jobs.len(), events.others);
        for news in &events.jobs {
            self.hear(news).await?;
        }
        Ok(Ok((events.jobs.len(), events.others)))
    }

    /// Wakes the folder of a job that has ended. Jobs that are not ours, or not yet noted, are no
    /// loss: each folder polls its own.
    async fn hear(&self, news: &JobNews) -> Result<(), Error> {
        if news.status.is_some_and(|status: JobStatus| !status.is_terminal()) {
            return Ok(());
        }
        let Some(item) = self.core.ports.store.get(&waiter::job_key(&news.job)).await? else { return Ok(()) };
        if let Some(folder) = item.text(attr::FOLDER) {
            self.job_watch.heard_by_event();
            self.core.wake(Key::new(folder, waiter::FOLDER), Priority::Begun).await?;
        }
        Ok(())
    }
}
