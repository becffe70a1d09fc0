//! The things that every record's work needs: the ports, the settings, the name of this instance, and the
//! signs of roots that it has seen. Leases, documents, wakes, outcomes and tokens are its methods, each in a
//! file of its own. It knows neither kinds nor planes, which hold it.

use std::{num::NonZeroU32, sync::Arc};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    INBOX,
    dispatch::{Inbox, InboxMessage},
    liveness::Liveness,
    payload,
    quarantine::Quarantine,
    schema::Left,
    settings::Settings,
    timers,
};
use crate::{
    domain::ids::InstanceId,
    policy::pace::Pace,
    ports::{Ports, store::Key},
};

/// The state that the engine, the planes and the kinds of one instance share.
#[derive(Debug)]
pub struct Core {
    pub(crate) ports: Ports,
    pub(crate) settings: Settings,
    pub(crate) instance: InstanceId,
    pub(crate) inbox: Inbox,
    /// One permit per payload being read from S3.
    pub(super) payloads: Semaphore,
    /// One permit per file being streamed, whichever plane brings it.
    pub(crate) streams: Semaphore,
    pub(super) callbacks: Pace,
    /// Tokens that were stored just now.
    pub(super) beats: mpsc::Sender<Key>,
    pub(crate) liveness: Liveness,
    pub(super) quarantine: Quarantine,
    /// Records that newer instances go on with.
    pub(super) left: Left,
    /// Cancelled when no new work may begin.
    pub(crate) stop: CancellationToken,
    /// Cancelled when work under way must end at once.
    pub(crate) cut: CancellationToken,
}

/// The queues of the engine's loops.
#[derive(Debug)]
pub struct Incoming {
    pub(super) posts: mpsc::Receiver<InboxMessage>,
    pub(super) beats: mpsc::Receiver<Key>,
}

impl Core {
    /// A core over these ports, and the queues that its engine receives from. `stop` ends intake and lets
    /// work under way come to an end; `cut` ends streams too.
    #[must_use]
    pub fn new(
        ports: Ports,
        settings: Settings,
        stop: CancellationToken,
        cut: CancellationToken,
    ) -> (Arc<Self>, Incoming) {
        let (inbox, incoming) = mpsc::channel(INBOX);
        let (beats, beats_in) = mpsc::channel(timers::ASKED_BEATS);
        let rate = NonZeroU32::new(settings.heartbeat.calls_per_second).unwrap_or(NonZeroU32::MIN);
        let core = Self {
            instance: InstanceId::new(ports.chance.uuid().to_string()),
            inbox: Inbox::new(inbox),
            streams: Semaphore::new(settings.copy.concurrent_streams),
            payloads: Semaphore::new(payload::AT_ONCE),
            callbacks: Pace::per_second(rate, rate),
            beats,
            liveness: Liveness::default(),
            quarantine: Quarantine::default(),
            left: Left::default(),
            ports,
            settings,
            stop,
            cut,
        };
        (Arc::new(core), Incoming { posts: incoming, beats: beats_in })
    }
}
