//! Scripts whose links are addresses of S3. They are made once and kept, for as long as their links are good.
//!
//! The making outlives the call that asks for it: gateways hang up after half a minute, and a script of 200,000 files
//! takes longer. Who asks meanwhile waits for the one that is being made; who asks again finds it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, Shared},
    stream,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        ids::RequestId,
        share::{files::PackagedFile, outcome::PackageReport, places::artifact, settings::ShareSettings},
    },
    kinds::{
        cards::{Card, Cards},
        package::Package,
    },
    papers::script::{Head, Row, Script},
    ports::{
        self, Class, Error,
        clock::Clock,
        objects::{ObjectLocation, ObjectStore, Presigned},
        reports::{Artifacts, ReportWriter},
        store::{Action, EXPIRE_AT, Item, Key, Store, Write},
    },
    share::Refusal,
};

/// As long as a link can be good at most (`SigV4`).
pub(super) const LONGEST: Duration = Duration::from_hours(7 * 24);
/// For so long its links must still be good that a script is used again.
const GOOD: SignedDuration = SignedDuration::from_hours(6 * 24);
/// The record of the script of a package.
const HAND_OUT: &str = "HANDOUT";
const DOCUMENT: &str = "handout";
/// Scripts that are made at a time, and that are made or wait to be.
const WIDTH: usize = 2;
const MOST: usize = 64;

type Making = Shared<BoxFuture<'static, Result<(), Refusal>>>;

/// A script that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    /// How long its links are good.
    until: Timestamp,
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::new(Class::Invalid, "read hand-out", "its record cannot be read").caused_by(error)
}

/// The name of the script of a package.
pub(super) fn script_name(card: &Card) -> String {
    format!("download-data.{}.sh", card.name)
}

/// Where a file of a package is.
pub(super) fn place_of(file: &PackagedFile) -> ports::Result<ObjectLocation> {
    let place = file.uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    let Some((bucket, key)) = place else {
        return Err(Error::new(Class::Invalid, "sign GetObject", format!("{} is not in S3", file.uri)));
    };
    Ok(ObjectLocation::new(bucket, key))
}

/// Adds a file to a script.
pub(super) fn add(script: &mut Script, file: &PackagedFile, url: &str) -> Result<(), Refusal> {
    let (md5, sha256) = (file.md5.as_deref(), file.sha256.as_deref());
    Ok(script.take(&Row { path: &file.path, size: file.size, url, md5, sha256 })?)
}

/// What scripts are made with.
#[derive(Debug)]
pub(super) struct Maker {
    pub packages: Arc<Package>,
    pub cards: Cards,
    pub artifacts: Arc<dyn Artifacts>,
    pub objects: Arc<dyn ObjectStore>,
    pub store: Arc<dyn Store>,
    pub settings: Arc<ShareSettings>,
    pub clock: Arc<dyn Clock>,
}

/// The scripts that are being made.
pub(super) struct Scripts {
    maker: Arc<Maker>,
    under_way: Arc<Mutex<BTreeMap<RequestId, Making>>>,
    turns: Arc<Semaphore>,
    /// Where makings go on that nobody waits for.
    orders: mpsc::Sender<Making>,
    ordered: Mutex<Option<mpsc::Receiver<Making>>>,
    /// Makings end between two chunks.
    stop: CancellationToken,
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripts").field("maker", &self.maker).finish_non_exhaustive()
    }
}

impl Scripts {
    pub(super) fn new(maker: Maker) -> Self {
        let (orders, ordered) = mpsc::channel(MOST);
        Self {
            maker: Arc::new(maker),
            under_way: Arc::default(),
            turns: Arc::new(Semaphore::new(WIDTH)),
            orders,
            ordered: Mutex::new(Some(ordered)),
            stop: CancellationToken::new(),
        }
    }

    /// Goes on with what callers have begun, until `off`; then ends what is under way.
    pub(super) async fn go_on(&self, off: CancellationToken) {
        let Some(mut ordered) = self.ordered.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let makings = stream::poll_fn(|context| ordered.poll_recv(context)).take_until(async {
            off.cancelled().await;
            self.stop.cancel();
        });
        // All are looked at: one that has its turn and no caller any more would keep it for ever.
        makings.for_each_concurrent(MOST, async |making| drop(making.await)).await;
    }

    /// Makes the script of a package, unless there is one whose links last.
    pub(super) async fn make(&self, id: &RequestId, card: &Card) -> Result<(), Refusal> {
        self.begin(id, card)?.await
    }

    fn begin(&self, id: &RequestId, card: &Card) -> Result<Making, Refusal> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(making) = under_way.get(id) {
            return Ok(making.clone());
        }
        let busy = || Refusal::Unavailable("too many scripts are being made".to_owned());
        if under_way.len() >= MOST {
            return Err(busy());
        }
        let (maker, stop, all) = (self.maker.clone(), self.stop.clone(), self.under_way.clone());
        let turns = self.turns.clone();
        let (own_id, card) = (id.clone(), card.clone());
        let making = async move {
            // They are never closed.
            let turn = turns.acquire().await;
            let made = maker.make(&own_id, &card, &stop).await;
            drop(turn);
            all.lock().unwrap_or_else(PoisonError::into_inner).remove(&own_id);
            made
        };
        let making = making.boxed().shared();
        self.orders.try_send(making.clone()).map_err(|_| busy())?;
        under_way.insert(id.clone(), making.clone());
        Ok(making)
    }
}

impl Maker {
    async fn make(&self, id: &RequestId, card: &Card, stop: &CancellationToken) -> Result<(), Refusal> {
        let key = Key::new(id.as_str(), HAND_OUT);
        let now = self.clock.now();
        if let Some(item) = self.store.get(&key).await? {
            let made: Made =
                serde_json::from_str(item.text(DOCUMENT).unwrap_or_default()).map_err(unreadable)?;
            if made.until.duration_since(now) > GOOD {
                return Ok(());
            }
        }
        let gone = || Refusal::Conflict("Status is not succeeded".to_owned());
        let report = self.packages.report(id).await?.ok_or_else(gone)?;
        if report.in_projects > 0 {
            let why = "the package has files of ICAv2 projects, whose addresses do not last as long as a script: \
                       links of this service lead to them (share.presign)";
            return Err(Refusal::Conflict(why.to_owned()));
        }
        let until = self.last_until(now).await?;
        let mut writer = self.artifacts.begin(&artifact(id, card.asked_at, &script_name(card))).await?;
        if let Err(refusal) = self.fill((id, card, &report), until, writer.as_mut(), stop).await {
            writer.abandon().await;
            return Err(refusal);
        }
        writer.finish().await?;
        if self.cards.of(id).await?.is_none() {
            // The package was deleted meanwhile.
            self.artifacts.remove(&artifact(id, card.asked_at, "")).await?;
            return Err(Refusal::NotFound(format!("{id} is not known")));
        }
        let text = serde_json::to_string(&Made { until }).map_err(unreadable)?;
        let item = Item::new(key).with(DOCUMENT, text).with(EXPIRE_AT, until.as_second());
        let put = Write { key: item.key, action: Action::Put(item.attributes), conditions: Vec::new() };
        self.store.write(put).await?;
        Ok(())
    }

    /// How long links that are signed now are good, if that is long enough.
    async fn last_until(&self, now: Timestamp) -> Result<Timestamp, Refusal> {
        let anywhere = ObjectLocation::new("bucket", "key");
        let until = self.objects.presign(&anywhere, now, LONGEST).await?.until;
        let least = SignedDuration::try_from(self.settings.presign_least).unwrap_or(SignedDuration::MAX);
        if until.duration_since(now) < least {
            let why = format!("Presigned URLs would expire at {until} (share.presign_least)");
            return Err(Refusal::Conflict(why));
        }
        Ok(until)
    }

    async fn fill(
        &self,
        (id, card, report): (&RequestId, &Card, &PackageReport),
        until: Timestamp,
        writer: &mut dyn ReportWriter,
        stop: &CancellationToken,
    ) -> Result<(), Refusal> {
        let (files, bytes) = (report.files, report.bytes);
        let head = Head { name: &card.name, id: id.as_str(), expires: until, files, bytes };
        let mut script = Script::new(&head);
        for chunk in 0..report.chunks {
            if stop.is_cancelled() {
                return Err(Refusal::Unavailable("this instance is about to end".to_owned()));
            }
            for file in &self.packages.some_files(id, report, chunk).await? {
                let Presigned { url, .. } =
                    self.objects.presign(&place_of(file)?, self.clock.now(), LONGEST).await?;
                add(&mut script, file, &url)?;
            }
            writer.write(&script.drain()).await?;
        }
        writer.write(&script.finish()?).await?;
        Ok(())
    }
}
