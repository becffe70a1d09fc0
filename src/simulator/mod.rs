//! A stand-in for ICAv2: strict, in memory, on tokio's clock, and the same for the same seed.
//!
//! [`Simulator::router`] serves it: the REST API under `/ica/rest`, the bytes behind presigned URLs
//! under `/sim/bytes`, and the controls (`/sim/stats`, `/sim/tree`, `/sim/objects`,
//! `/sim/uploads`, `/sim/faults`, `/sim/others`, `/sim/harm`, `/sim/reset`).
//! [`in_process::InProcess`] calls it without a socket, so that tests run on a paused clock.
//!
//! Whatever is due happens at the next call at the latest; [`Simulator::run`] makes it happen in
//! time, and without it no job event reaches the sink. Nothing here spawns tasks of its own but
//! [`serve`], whose connections end with it.
//!
//! [`Simulator::s3_service`] is the projects' buckets, and plain ones, as S3: [`serve_s3`] puts it
//! on a socket.
//!
//! What it does not do: sign anything, archive or restore data, link them while it runs. The [`world`]
//! file can start with archived and linked data, with tenants, and with callers who see only some.

mod accounts;
mod api;
mod bytes;
mod content;
mod control;
mod copies;
#[cfg(feature = "canvas")]
pub mod dap;
pub mod events;
pub mod faults;
pub mod in_process;
mod jobs;
mod links;
mod moves;
mod noise;
mod notes;
pub mod others;
mod paging;
mod parts;
mod problem;
mod progress;
mod s3;
mod seen;
mod select;
mod server;
mod settings;
mod state;
mod tree;
mod upload;
mod wire;
pub mod world;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    routing::{get, post},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "canvas")]
pub use self::server::serve_dap;
use self::{
    content::Content,
    faults::FaultChanges,
    parts::Parts,
    seen::Seen,
    state::State,
    world::{WorldError, WorldFile},
};
pub use self::{
    control::{Entry, NoProject},
    events::EventSink,
    progress::Jobs,
    s3::{ObjectEntry, RestoreEntry, S3Door, UploadEntry},
    server::{serve, serve_s3},
    settings::Settings,
    state::{BucketStats, Stats},
};

/// Content up to this size is hashed where it is asked for, more of it on a blocking thread.
const HASHED_AT_ONCE: u64 = 1024 * 1024;

/// The simulated platform.
#[derive(Debug)]
pub struct Simulator {
    settings: Settings,
    world: WorldFile,
    started: Instant,
    /// Never held across an await.
    state: Mutex<State>,
    sink: Mutex<Option<Arc<dyn EventSink>>>,
    /// Something is due earlier than it was, or there is something to tell.
    changed: Notify,
}

impl Simulator {
    /// The platform at the start of that world.
    pub fn new(settings: Settings, world: WorldFile) -> Result<Arc<Self>, WorldError> {
        let started = Instant::now();
        let state = Mutex::new(State::new(&settings, &world, started)?);
        let (sink, changed) = (Mutex::default(), Notify::new());
        Ok(Arc::new(Self { settings, world, started, state, sink, changed }))
    }

    /// Everything over HTTP.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/sim/bytes/{token}", get(bytes::read).put(bytes::write))
            .route("/sim/stats", get(control::stats))
            .route("/sim/tree", get(control::tree))
            .route("/sim/objects", get(control::objects))
            .route("/sim/uploads", get(control::uploads))
            .route("/sim/faults", post(control::faults))
            .route("/sim/others", post(control::others))
            .route("/sim/harm", get(control::harm))
            .route("/sim/reset", post(control::reset))
            .fallback(api::gate)
            .with_state(Arc::clone(self))
    }

    /// The buckets as S3: an HTTP client for an SDK, too, that ends in them without a socket.
    pub fn s3_service(self: &Arc<Self>) -> S3Door {
        S3Door::new(self)
    }

    /// Makes things happen in time and tells of job events, until stopped.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let (events, due) = self.with(|state| (std::mem::take(&mut state.events), state.next_due()));
            let sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for event in events {
                let Some(sink) = &sink else { break };
                if let Err(error) = sink.send(event).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "simulated event was lost");
                }
            }
            let next = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = next => {}
            }
        }
    }

    /// Whom to tell of job events.
    pub fn set_events(&self, sink: Arc<dyn EventSink>) {
        *self.sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
    }

    /// What was asked so far.
    pub fn stats(&self) -> Stats {
        self.with(|state| state.stats.clone())
    }

    /// Changes what goes wrong.
    pub fn set_faults(&self, changes: FaultChanges) {
        self.with(|state| {
            if let Some(told) = &changes.told {
                state.tree.told.clone_from(told);
            }
            state.faults.change(changes);
        });
    }

    /// Back to the world file: counters zero, faults as in the settings, nothing scheduled.
    pub fn reset(&self) -> Result<(), WorldError> {
        let fresh = State::new(&self.settings, &self.world, self.started)?;
        self.with(|state| *state = fresh);
        Ok(())
    }

    fn latency(&self) -> Duration {
        self.settings.latency
    }

    /// Lets the time go by that S3 takes to copy so many bytes with one call.
    async fn copying(&self, bytes: u64) {
        let Some(rate) = self.settings.s3_copy_rate else { return };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        tokio::time::sleep(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))).await;
    }

    fn public_url(&self) -> &str {
        self.settings.public_url.trim_end_matches('/')
    }

    /// Looks at the present, or changes it.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.next_due();
        state.advance();
        let result = act(&mut state);
        if state.next_due() != before || !state.events.is_empty() {
            self.changed.notify_one();
        }
        result
    }

    /// Makes the `ETag`s of what is about to be written, without holding other requests up.
    async fn hash(&self, seen: &[Seen]) {
        let tags = seen.iter().filter_map(|seen| Some((seen.node.stored()?, &seen.node.parts)));
        self.hash_tags(tags).await;
    }

    /// The same of any content in its parts.
    async fn hash_tags(&self, tags: impl Iterator<Item = (&Arc<Content>, &Parts)>) {
        let unknown = tags.filter(|(content, parts)| !content.knows_etag(parts));
        let unknown: Vec<_> = unknown.map(|(content, parts)| (Arc::clone(content), parts.clone())).collect();
        if unknown.iter().map(|(content, _)| content.size()).sum::<u64>() <= HASHED_AT_ONCE {
            return;
        }
        let hashed = tokio::task::spawn_blocking(move || {
            for (content, parts) in unknown {
                content.etag(&parts);
            }
        });
        // A hash that panicked is made again, and told, where it is used.
        hashed.await.unwrap_or_default();
    }
}
