//! Which root shares a run for a job: the first event that tells of the run makes one, and the same news in another
//! event makes none. A job that shares what a run gains later has a root for each piece of news, one after the other.

use super::Auto;
use crate::{
    domain::ids::{RequestId, digest},
    engine::records::{millis, request_key},
    events::share::shown::JobStatus,
    kinds::frozen::{outcome_of, report_of},
    ports::{
        Result,
        store::{Change, Condition, EXPIRE_AT, Item, Key, Transacted, Value, Write},
    },
};

/// The record of the newest root of a job and a run.
const NEWEST: &str = "NEWEST";
/// The record of the root before one.
const BEFORE: &str = "BEFORE";
const ROOT: &str = "root";
const CLAIMED_AT: &str = "claimed_at";
/// After so many milliseconds an order that was claimed and is not there was never given.
const LEFT: i64 = 3_600_000;
/// How far it is gone back for a package to which the new files are added.
const MOST_BACK: usize = 1000;

/// What is to be done for a job.
pub(super) enum Claim {
    /// A root shares it; the one before, where there is one.
    Mine { root: RequestId, after: Option<String> },
    /// It is shared already.
    Known(RequestId),
}

fn before_key(root: &str) -> Key {
    Key::new(root, BEFORE)
}

/// Claims a job and a run for the news that the root `asker` brings.
pub(super) async fn claim(
    auto: &Auto,
    (job, run): (&str, &str),
    asker: &RequestId,
    is_incremental: bool,
) -> Result<Claim> {
    let store = &auto.core.ports.store;
    let root = RequestId::new(format!("auto.{}", digest(&[job, run, asker.as_str()])));
    let newest = Key::new(format!("auto.{}", digest(&[job, run])), NEWEST);
    loop {
        if let Some(before) = store.get(&before_key(root.as_str())).await? {
            let after = before.text(ROOT).filter(|text| !text.is_empty()).map(str::to_owned);
            return Ok(Claim::Mine { root, after });
        }
        let there = store.get(&newest).await?;
        let other = there.as_ref().and_then(|item| item.text(ROOT)).map(str::to_owned);
        if let (Some(other), Some(there)) = (&other, &there)
            && !is_incremental
        {
            let other = RequestId::new(other.as_str());
            let claimed_at = there.number(CLAIMED_AT).unwrap_or_default();
            if !has_failed(auto, &other, claimed_at).await? {
                return Ok(Claim::Known(other));
            }
        }
        let expire_at = auto.core.ports.clock.now().as_second()
            + i64::try_from(auto.settings.keep.as_secs()).unwrap_or(i64::MAX / 2);
        let after = other.clone().filter(|_| is_incremental);
        let before = Item::new(before_key(root.as_str()))
            .with(ROOT, after.as_deref().unwrap_or_default())
            .with(EXPIRE_AT, expire_at);
        let changes = vec![
            Change::Set(ROOT.to_owned(), Value::from(root.as_str())),
            Change::Set(EXPIRE_AT.to_owned(), Value::from(expire_at)),
            Change::Set(CLAIMED_AT.to_owned(), Value::from(millis(auto.core.ports.clock.now()))),
        ];
        let claimed = Write::update(newest.clone(), changes);
        let claimed = match &other {
            Some(other) => claimed.when(Condition::Equals(ROOT.to_owned(), Value::from(other.as_str()))),
            None => claimed.when(Condition::Absent),
        };
        // Another holder may claim it just now: then it is seen who.
        if store.transact(vec![claimed, Write::put_new(before)]).await? == Transacted::Done {
            return Ok(Claim::Mine { root, after });
        }
    }
}

/// Whether what a root was to share is not shared, and will not be.
async fn has_failed(auto: &Auto, root: &RequestId, claimed_at: i64) -> Result<bool> {
    if is_pushed(auto, root).await? {
        return Ok(false);
    }
    if let Some(end) = outcome_of(&auto.core, root).await? {
        return Ok(end.failure.is_some());
    }
    // Whoever claimed it may have died before it gave the order, and have found no job when it was looked at again.
    let is_there = auto.core.ports.store.get(&request_key(root)).await?.is_some();
    let long_ago = millis(auto.core.ports.clock.now()).saturating_sub(claimed_at) > LEFT;
    Ok(!is_there && long_ago)
}

/// Whether the push of a root has arrived, at whichever attempt.
async fn is_pushed(auto: &Auto, root: &RequestId) -> Result<bool> {
    let (_, push) = super::made_by(root);
    let card = auto.cards.of(&push).await?;
    if card.is_some_and(|card| card.ended().is_some_and(|end| end.status() == JobStatus::Succeeded)) {
        return Ok(true);
    }
    Ok(outcome_of(&auto.core, &push).await?.is_some_and(|end| end.failure.is_none()))
}

/// The newest package that one of these roots has made, going back from `root`.
pub(super) async fn newest_package(auto: &Auto, root: &str) -> Result<Option<RequestId>> {
    let mut root = RequestId::new(root);
    for _ in 0..MOST_BACK {
        let (package, _) = super::made_by(&root);
        // What was not pushed is not there yet, and neither is what was packaged since.
        let pushed = is_pushed(auto, &root).await?;
        let report = report_of(&auto.core, &package).await?;
        if report.is_some_and(|report| pushed || report.files == 0) {
            return Ok(Some(package));
        }
        let before = auto.core.ports.store.get(&before_key(root.as_str())).await?;
        match before.as_ref().and_then(|item| item.text(ROOT)).filter(|text| !text.is_empty()) {
            Some(text) => root = RequestId::new(text),
            None => return Ok(None),
        }
    }
    Ok(None)
}
