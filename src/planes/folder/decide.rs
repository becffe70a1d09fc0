//! What the holder of a folder does next: which files are deleted, which are streamed, whether jobs are asked
//! for, when it looks again. All of it is decided from the snapshot of a look and the state of the folder;
//! nothing is asked and nothing is changed here.

mod batching;

pub(super) use batching::Batches;

use std::time::Duration;

use super::{
    LONGEST, LONGEST_WAIT,
    snapshot::{Snapshot, TreeStatus},
    state::{Condemned, ENTRY_BYTES, FolderState, MOST_REMEMBERED, Upload},
    wanted::Source,
};
use crate::{
    domain::{diff::Verdict, file, ids::DataId, route::Route},
    engine::{records::as_millis, settings::JobSettings},
};

/// After this time no instance can still be on its way to delete a file that it condemned.
const ORPHANED: Duration = Duration::from_mins(10);

/// Looks in a row for which files wait for others to be cleared away, so that all travel in one job.
const CLEARINGS: u32 = 3;

/// The actions of a holder, in this order.
#[derive(Debug)]
pub(super) enum Action<'a> {
    /// These files are in the way, by name; those sentences are so old that no instance carries them out.
    Clear { fresh: Vec<(String, file::FileInfo)>, orphans: Vec<DataId> },
    /// These are to be streamed.
    Stream(Vec<Choice<'a>>),
    /// Jobs are to be asked for.
    AskForJobs {
        /// As many files wait as a job takes, or the slot is there that was waited for; else when other
        /// waiters have had the time to come.
        at_once: bool,
    },
}

/// The actions to take at `now` (milliseconds).
pub(super) fn decide<'a>(
    snapshot: &'a Snapshot,
    state: &FolderState,
    now: i64,
    settings: &JobSettings,
) -> Vec<Action<'a>> {
    let mut actions = Vec::new();
    let (fresh, orphans) = (in_the_way(snapshot, state), orphans(state, now));
    let condemned = fresh.len();
    if condemned > 0 || !orphans.is_empty() {
        actions.push(Action::Clear { fresh, orphans });
    }
    let chosen = streams(snapshot, state, condemned, now, settings.max_attempts);
    if !chosen.is_empty() {
        actions.push(Action::Stream(chosen));
    }
    let most = settings.max_items_per_job;
    let may = now >= state.not_before && state.charged < settings.max_attempts;
    let waiting = snapshot.count_for_jobs(most) + snapshot.trees_missing().len();
    // What is cleared away now travels with the rest, unless that does not come to an end.
    let is_clearing = condemned > 0 && state.waits < CLEARINGS && waiting < most && !state.has_slot();
    if may && !is_clearing && state.open_intents().next().is_none() && waiting > 0 {
        actions.push(Action::AskForJobs { at_once: waiting >= most || state.has_slot() });
    }
    actions
}

/// The files that block a job, or are to be replaced, as many as the record has room for.
fn in_the_way(snapshot: &Snapshot, state: &FolderState) -> Vec<(String, file::FileInfo)> {
    let mut fresh: Vec<(String, file::FileInfo)> = snapshot
        .files()
        .filter(|(_, (_, verdict))| matches!(verdict, Verdict::Condemn | Verdict::Replace))
        .filter_map(|(name, _)| Some((name.to_owned(), snapshot.listing.get(name)?.clone())))
        .take(MOST_REMEMBERED)
        .collect();
    let mut room = if fresh.is_empty() { 0 } else { state.room() / ENTRY_BYTES };
    room = room.min(MOST_REMEMBERED.saturating_sub(state.condemned.len()));
    fresh.retain(|(_, data)| {
        let known = state.condemned.contains_key(data.id.as_str());
        let fits = known || room > 0;
        room = room.saturating_sub(usize::from(!known));
        fits
    });
    fresh
}

fn orphans(state: &FolderState, now: i64) -> Vec<DataId> {
    let is_orphan = |condemned: &Condemned| now >= condemned.at + as_millis(ORPHANED);
    let orphans = state.condemned.iter().filter(|(_, condemned)| is_orphan(condemned));
    orphans.map(|(id, _)| DataId::new(id.as_str())).collect()
}

/// A file that is streamed, now or when its time has come.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    pub source: &'a Source,
    /// The PARTIAL file of ours whose bytes it replaces.
    pub target: Option<DataId>,
    /// A PARTIAL file that is ours if making it again returns it.
    pub claims: Option<DataId>,
    /// Whether nothing of it is there and no try has failed.
    pub is_fresh: bool,
    /// Whether it is its time.
    pub is_due: bool,
}

/// The files that are to be streamed, as many as the record has room for beside the condemned files.
fn streams<'a>(
    snapshot: &'a Snapshot,
    state: &FolderState,
    condemned: usize,
    now: i64,
    tries: u32,
) -> Vec<Choice<'a>> {
    let mut chosen = Vec::new();
    let (mut known, mut room) = (state.uploads.len(), None);
    let unknown = Upload::default();
    for (name, (source, verdict)) in snapshot.files() {
        if snapshot.route(source) != Route::Stream {
            continue;
        }
        let there = match verdict {
            Verdict::Missing => None,
            Verdict::Overwrite => snapshot.listing.get(name).map(|data| data.id.clone()),
            Verdict::Done { .. }
            | Verdict::Wait
            | Verdict::Condemn
            | Verdict::Replace
            | Verdict::Skipped
            | Verdict::Clash(_) => continue,
        };
        let upload = state.uploads.get(name);
        if upload.is_none() {
            let left = room.get_or_insert_with(|| state.room().saturating_sub(condemned * ENTRY_BYTES));
            if known >= MOST_REMEMBERED || *left < ENTRY_BYTES {
                continue;
            }
            *left -= ENTRY_BYTES;
            known += 1;
        }
        let upload = upload.unwrap_or(&unknown);
        let (target, claims) = match there {
            Some(id) if snapshot.ours.contains(&id) => (Some(id), None),
            other => (None, other),
        };
        let is_fresh = target.is_none() && claims.is_none() && upload.attempts == 0;
        let is_due = upload.retry_at <= now && upload.attempts < tries;
        chosen.push(Choice { source, target, claims, is_fresh, is_due });
    }
    chosen
}

/// When to look again: soon while something is on its way that nothing of ours will tell about (for the
/// `waits`th time), at the end of a pause, or when a job or a newcomer brings news.
fn next_look(state: &FolderState, snapshot: &Snapshot, now: i64, waits: u32, tries: u32) -> i64 {
    let mut looks = Vec::new();
    if waits > 0 {
        let wait = Duration::from_secs(1) * 2_u32.pow((waits - 1).min(4));
        looks.push(now + as_millis(wait.min(LONGEST_WAIT)));
    }
    if state.not_before > now {
        looks.push(state.not_before);
    }
    // Only files that could be streamed if their time had come; the rest waits for the platform.
    let could = |name: &str| matches!(snapshot.get(name), Some((_, Verdict::Missing | Verdict::Overwrite)));
    let retries = state
        .uploads
        .iter()
        .filter(|(_, upload)| !upload.live && upload.put_at.is_none() && upload.attempts < tries)
        .filter(|(name, _)| could(name));
    looks.extend(retries.map(|(_, upload)| upload.retry_at.max(now + 1)));
    looks.extend(snapshot.overdue_at.map(|at| at.max(now + 1)));
    // Where nothing of ours will tell and no time was set, the waiters must not wait for long.
    let told = state.is_busy() || state.is_streaming() || state.wish.is_some();
    let longest = if told || !looks.is_empty() { LONGEST } else { LONGEST_WAIT };
    looks.push(now + as_millis(longest));
    looks.into_iter().min().unwrap_or(now)
}

impl FolderState {
    /// Whether a job of ours, or a submission, has not ended.
    pub(super) fn is_busy(&self) -> bool {
        self.running().next().is_some() || self.open_intents().next().is_some()
    }
}

/// The news since a look.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deeds {
    /// Something was cleared away.
    pub cleared: bool,
    /// A waiter came, or there is other news.
    pub news: bool,
    /// How many files were put.
    pub put: usize,
    /// Files were left that found no place.
    pub left: bool,
}

/// When the folder is looked at again after all that; none: at once.
pub(super) fn look_after(
    state: &FolderState,
    snapshot: &Snapshot,
    deeds: Deeds,
    now: i64,
    tries: u32,
) -> Option<Look> {
    let Deeds { cleared, news, put, left } = deeds;
    let is_last = put > 0 && !state.is_busy();
    if news || left || is_last || (put > 0 && held_back(state, snapshot)) {
        return None;
    }
    // Whether something is awaited that nothing of ours will tell about.
    let awaits = cleared
        || (put > 0 && waits_for_streams_alone(state, snapshot))
        || waits_for_the_platform(state, snapshot);
    let waits = if awaits { state.waits + 1 } else { 0 };
    Some(Look { at: next_look(state, snapshot, now, waits, tries), waits })
}

/// When to look, and how often in a row that was for something that nothing of ours will tell about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub at: i64,
    pub waits: u32,
}

/// Whether there are files to stream that the record had no room for yet.
fn held_back(state: &FolderState, snapshot: &Snapshot) -> bool {
    snapshot.files().any(|(name, (source, verdict))| {
        verdict == Verdict::Missing
            && snapshot.route(source) == Route::Stream
            && !state.uploads.contains_key(name)
    })
}

/// Whether a waiter waits for nothing but files that have just been streamed: no job of ours that ends will
/// have them looked at.
fn waits_for_streams_alone(state: &FolderState, snapshot: &Snapshot) -> bool {
    let has_gone_out = |source: &Source| {
        state.uploads.get(&source.wanted.name).is_some_and(|upload| upload.put_at.is_some())
    };
    snapshot.waiters.iter().any(|(_, resolved, verdicts)| {
        let mut open = resolved
            .files
            .iter()
            .zip(verdicts)
            .filter(|(_, verdict)| {
                !matches!(verdict, Verdict::Done { .. } | Verdict::Skipped | Verdict::Clash(_))
            })
            .peekable();
        resolved.trees.is_empty() && open.peek().is_some() && open.all(|(source, _)| has_gone_out(source))
    })
}

/// Whether something is on its way in or out that no job and no stream of ours will tell about.
fn waits_for_the_platform(state: &FolderState, snapshot: &Snapshot) -> bool {
    let mut told = state.under_way();
    told.extend(state.uploads.iter().filter(|(_, upload)| upload.live).map(|(name, _)| name.as_str()));
    let moving = snapshot
        .files()
        .filter(|(_, (_, verdict))| matches!(verdict, Verdict::Wait | Verdict::Condemn | Verdict::Replace));
    let trees = snapshot.trees();
    let coming = trees.iter().filter(|(_, (_, standing))| **standing == TreeStatus::Coming);
    moving.map(|(name, _)| name).chain(coming.map(|(name, _)| *name)).any(|name| !told.contains(name))
}

#[cfg(test)]
mod tests;
