//! What we do: requests in, files at their destination, tokens answered.
//!
//! A request states what must be true at a destination. Reconcilers make it true: the request
//! reconciler ([`request`], [`child`]) keeps the tree of records, the folder reconciler ([`folder`])
//! moves data, and so does that of slices ([`mod@slice`]) between buckets. Everything else brings them news: [`intake`] and [`job_events`] from queues,
//! [`timers`] from the due index. [`dispatch`] runs them, a bounded number at a time, each under a
//! [`lease`].
//!
//! Events, counters and indexes are hints; truth is consistent reads of records, and listings older
//! than `settle`.

mod backoff;
mod beat;
mod board;
mod child;
mod chunks;
mod debts;
mod deliveries;
mod dispatch;
mod dry_run;
mod evidence;
mod folder;
mod intake;
mod job_events;
mod join;
mod judge;
mod kinds;
mod large;
mod lease;
mod names;
mod outbox;
mod payload;
mod plan;
mod quarantine;
mod records;
mod refused;
mod request;
mod round;
pub mod settings;
mod several;
mod slice;
mod slices;
mod stall;
mod standstill;
mod stop;
mod timers;
mod turns;
pub mod view;

pub use judge::Judged;
pub use stop::Cancel;

use std::{num::NonZeroU32, sync::Arc};

use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::ids::InstanceId,
    policy::{limit::Limits, pace::Pace},
    ports::{Ports, store::Key},
};
use board::Board;
use dispatch::{Inbox, Post};
use evidence::Evidence;
use folder::{Contents, JobFolders, Slots, Sources};
use quarantine::Quarantine;
use settings::Settings;
use slice::{Glances, Keys};

/// How many keys may wait for a run; what does not fit is found again by the timers.
const INBOX: usize = 10_000;

/// The engine of one instance.
#[derive(Debug)]
pub struct Engine {
    ports: Ports,
    settings: Settings,
    instance: InstanceId,
    inbox: Inbox,
    posts: Mutex<mpsc::Receiver<Post>>,
    /// One permit per file being streamed.
    streams: Semaphore,
    /// Permits for files of large folders that are held in memory.
    files: Semaphore,
    /// One permit per request being planned.
    plans: Semaphore,
    /// One permit per payload being read from S3.
    payloads: Semaphore,
    callbacks: Pace,
    /// Tokens that were stored just now.
    first_beats: (mpsc::Sender<Key>, Mutex<mpsc::Receiver<Key>>),
    sources: Sources,
    contents: Contents,
    evidence: Evidence,
    board: Board,
    slots: Slots,
    /// How many calls buckets take.
    limits: Limits,
    keys: Keys,
    glances: Glances,
    job_folders: JobFolders,
    quarantine: Quarantine,
    /// Cancelled when no new work may begin.
    stop: CancellationToken,
    /// Cancelled when work under way must end at once.
    cut: CancellationToken,
}

impl Engine {
    /// An engine over these ports. `stop` ends intake and lets work under way come to an end; `cut`
    /// ends streams too.
    #[must_use]
    pub fn new(
        ports: Ports,
        settings: Settings,
        stop: CancellationToken,
        cut: CancellationToken,
    ) -> Arc<Self> {
        let instance = InstanceId::new(ports.chance.uuid().to_string());
        let (sender, receiver) = mpsc::channel(INBOX);
        let (first_beats, first_beats_in) = mpsc::channel(timers::FIRST_BEATS);
        let rate = NonZeroU32::new(settings.heartbeat.calls_per_second).unwrap_or(NonZeroU32::MIN);
        Arc::new(Self {
            instance,
            inbox: Inbox::new(sender),
            posts: Mutex::new(receiver),
            streams: Semaphore::new(settings.copy.concurrent_streams),
            files: Semaphore::new(settings.service.max_files.min(Semaphore::MAX_PERMITS)),
            plans: Semaphore::new(plan::AT_ONCE),
            payloads: Semaphore::new(payload::AT_ONCE),
            callbacks: Pace::per_second(rate, rate),
            first_beats: (first_beats, Mutex::new(first_beats_in)),
            sources: Sources::default(),
            contents: Contents::default(),
            evidence: Evidence::default(),
            board: Board::default(),
            slots: Slots::default(),
            limits: Limits::new(settings.copy_out.max_concurrency),
            keys: Keys::default(),
            glances: Glances::default(),
            job_folders: JobFolders::default(),
            quarantine: Quarantine::default(),
            ports,
            settings,
            stop,
            cut,
        })
    }

    /// Who this instance is, in leases and log lines.
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }
}
