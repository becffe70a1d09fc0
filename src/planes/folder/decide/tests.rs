//! What is decided, by tables and by rules that hold for any snapshot.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{
    domain::{
        file::{Data, DataKind, DataStatus},
        ids::ProjectId,
        location::DataPath,
    },
    engine::settings::SameProject,
    planes::folder::{
        batches::{Batch, Queued},
        listing::Listing,
        samples::{snapshot, source},
        slot_request::SlotRequest,
        state::BisectGroup,
        submitted::Intent,
        wanted::Resolved,
    },
};

const NOW: i64 = 1_000_000;
const TRIES: u32 = 5;
const SECOND: i64 = 1_000;

fn settings(most: usize, lane: bool) -> JobSettings {
    JobSettings {
        max_running_jobs: 20,
        express_slots: u32::from(lane),
        max_items_per_job: most,
        batch_window: Duration::from_secs(1),
        same_project_copies: SameProject::Allow,
        max_attempts: TRIES,
        poll_interval: Duration::from_mins(1),
        settle: Duration::from_secs(30),
        abandoned_after: Duration::from_hours(36),
        submit_settle: Duration::from_mins(2),
    }
}

/// What is stored of a batch that went.
fn intent(batch: &Batch<'_>, most: usize) -> Intent {
    Intent {
        client: "c".into(),
        slot: String::new(),
        digest: String::new(),
        ids: Vec::new(),
        names: batch.names.clone(),
        at: NOW,
        look_at: NOW,
        attempt: 1,
        full: batch.files.len() >= most,
        express: batch.express,
        piece: batch.piece,
        ghost: false,
    }
}

#[test]
fn jobs_are_asked_for_when_there_is_something_for_them_and_it_is_time() {
    let open = |ghost| {
        let batch = Batch { names: ["x".to_owned()].into_iter().collect(), ..Batch::default() };
        vec![Intent { ghost, ..intent(&batch, 1) }]
    };
    let idle = FolderState::default;
    let two = snapshot(&[("a", 2, 1)]);
    let none = snapshot(&[("a", 0, 1)]);
    let waits = Some(SlotRequest::new("a", "1", false));
    let table = [
        ("few wait", idle(), &two, 3, "later"),
        ("as many as a job takes", idle(), &two, 2, "at once"),
        ("nobody", idle(), &none, 2, ""),
        ("a pause", FolderState { not_before: NOW + 1, ..idle() }, &two, 2, ""),
        ("a pause that is over", FolderState { not_before: NOW, ..idle() }, &two, 2, "at once"),
        ("given up", FolderState { charged: TRIES, ..idle() }, &two, 2, ""),
        ("an answer is awaited", FolderState { intents: open(false), ..idle() }, &two, 2, ""),
        ("one that was given up", FolderState { intents: open(true), ..idle() }, &two, 2, "at once"),
        ("a slot is awaited", FolderState { wish: waits, ..idle() }, &two, 3, "later"),
    ];
    for (what, state, snapshot, most, expected) in table {
        let said = match &decide(snapshot, &state, NOW, &settings(most, true))[..] {
            [] => "",
            [Action::AskForJobs { at_once: true }] => "at once",
            [Action::AskForJobs { at_once: false }] => "later",
            _ => "something else",
        };
        assert_eq!(said, expected, "{what}");
    }
}

#[test]
fn the_next_look_is_when_the_first_of_all_reasons_is_due() {
    let idle = FolderState::default;
    let two = snapshot(&[("a", 2, 1)]);
    let upload = |upload: Upload| {
        let uploads = BTreeMap::from([("a0000".to_owned(), upload)]);
        FolderState { uploads, ..FolderState::default() }
    };
    let failed = |retry_at, attempts| Upload { attempts, retry_at, ..Upload::default() };
    let (long, longest) = (as_millis(LONGEST_WAIT), as_millis(LONGEST));
    let wish = Some(SlotRequest::new("a", "1", false));
    let table = [
        ("nothing will tell", idle(), 0, long),
        ("something is on its way", idle(), 1, SECOND),
        ("still", idle(), 3, 4 * SECOND),
        ("for long", idle(), 90, long),
        ("a slot will be told", FolderState { wish, ..idle() }, 0, longest),
        ("a pause", FolderState { not_before: NOW + 70 * SECOND, ..idle() }, 0, 70 * SECOND),
        ("a file is tried again", upload(failed(NOW + 9, 1)), 0, 9),
        ("a file is overdue", upload(failed(0, 1)), 0, 1),
        ("a file is given up", upload(failed(NOW + 9, TRIES)), 0, long),
        ("a file is being streamed", upload(Upload { live: true, ..failed(0, 0) }), 0, longest),
        ("a file has gone out", upload(Upload { put_at: Some(NOW), ..failed(0, 0) }), 0, long),
    ];
    for (what, state, waits, wait) in table {
        assert_eq!(next_look(&state, &two, NOW, waits, TRIES) - NOW, wait, "{what}");
    }
    let mut strange = snapshot(&[("a", 2, 1)]);
    strange.overdue_at = Some(NOW + 7);
    assert_eq!(next_look(&idle(), &strange, NOW, 1, TRIES), NOW + 7);
}

#[test]
fn what_has_come_is_looked_at_at_once_where_nothing_else_will_have_it_looked_at() {
    let idle = FolderState::default;
    let put = |name: &str| (name.to_owned(), Upload { put_at: Some(NOW), ..Upload::default() });
    let some_out = || FolderState { uploads: [put("a0000")].into(), ..idle() };
    let all_out = || FolderState { uploads: [put("a0000"), put("a0001")].into(), ..idle() };
    let job = |state: FolderState| FolderState {
        intents: vec![intent(
            &Batch { names: ["x".to_owned()].into_iter().collect(), ..Batch::default() },
            1,
        )],
        ..state
    };
    let two = streamed(2);
    let nothing = Deeds::default();
    let one_put = Deeds { put: 1, ..nothing };
    let table = [
        ("nothing", idle(), nothing, Some(0)),
        ("somebody came", idle(), Deeds { news: true, ..nothing }, None),
        ("files found no place", job(idle()), Deeds { left: true, ..nothing }, None),
        ("a deletion is awaited", idle(), Deeds { cleared: true, ..nothing }, Some(1)),
        ("the last file is out", all_out(), one_put, None),
        ("a job will end, and a file had no room yet", job(some_out()), one_put, None),
        ("a job will end, and nothing else has the files looked at", job(all_out()), one_put, Some(1)),
    ];
    for (what, state, deeds, waits) in table {
        let look = look_after(&state, &two, deeds, NOW, TRIES);
        assert_eq!(look.map(|look| look.waits), waits, "{what}");
    }
}

#[test]
fn what_is_in_the_way_is_deleted_before_anything_is_streamed_and_jobs_are_asked_for_last() {
    let mut snapshot = streamed(3);
    snapshot.streamed.remove("a0000");
    snapshot.streamed.remove("a0001");
    snapshot.waiters[0].2[0] = Verdict::Condemn;
    let mut listing = Listing::default();
    listing.add(vec![Data {
        id: DataId::new("fil.there"),
        owner: ProjectId::new("p"),
        path: DataPath::parse("/d/a0000").unwrap(),
        kind: DataKind::File,
        status: DataStatus::Partial,
        size: 0,
        etag: None,
        created: Timestamp::UNIX_EPOCH,
        modified: Timestamp::UNIX_EPOCH,
        creator: None,
        unseen: false,
    }]);
    snapshot.listing = Arc::new(listing.complete());
    let long_ago = Condemned { name: "b".into(), epoch: 1, at: NOW - as_millis(ORPHANED), deleted: false };
    let condemned = [("fil.b".to_owned(), long_ago)].into();
    let state = FolderState { condemned, ..FolderState::default() };
    // What is cleared away travels with the others, unless clearing does not come to an end, or they are enough.
    let asks = |state: &FolderState, most| {
        let actions = decide(&snapshot, state, NOW, &settings(most, true));
        actions.iter().any(|action| matches!(action, Action::AskForJobs { .. }))
    };
    let waited = FolderState { waits: CLEARINGS, ..state.clone() };
    assert_eq!([asks(&state, 9), asks(&state, 1), asks(&waited, 9)], [false, true, true]);
    match &decide(&snapshot, &waited, NOW, &settings(9, true))[..] {
        [Action::Clear { fresh, orphans }, Action::Stream(chosen), Action::AskForJobs { at_once: false }] => {
            assert_eq!((fresh.len(), fresh[0].0.as_str()), (1, "a0000"));
            assert_eq!(orphans, &[DataId::new("fil.b")]);
            assert_eq!(chosen[0].source.wanted.name, "a0002");
        }
        other => panic!("{other:?}"),
    }
}

/// A snapshot of files that are streamed.
fn streamed(files: usize) -> Snapshot {
    let mut snapshot = snapshot(&[("a", files, 1)]);
    snapshot.streamed = (0..files).map(|n| format!("a{n:04}")).collect();
    snapshot
}

#[test]
fn files_are_streamed_when_it_is_their_time_and_as_many_as_are_remembered() {
    let uploads = [
        ("a0000", Upload { attempts: 1, ..Upload::default() }),
        ("a0001", Upload { retry_at: NOW + 1, ..Upload::default() }),
        ("a0002", Upload { attempts: TRIES, ..Upload::default() }),
    ];
    let uploads = uploads.map(|(name, upload)| (name.to_owned(), upload)).into();
    let state = FolderState { uploads, ..FolderState::default() };
    let mut snapshot = streamed(6);
    snapshot.waiters[0].2[4] = Verdict::Wait;
    snapshot.streamed.remove("a0005");
    let chosen = streams(&snapshot, &state, 0, NOW, TRIES);
    let said: Vec<_> = chosen
        .iter()
        .map(|choice| (choice.source.wanted.name.as_str(), choice.is_due, choice.is_fresh))
        .collect();
    let expected =
        [("a0000", true, false), ("a0001", false, true), ("a0002", false, false), ("a0003", true, true)];
    assert_eq!(said, expected);
    let many = streamed(MOST_REMEMBERED + 50);
    let room = FolderState::default().room() / ENTRY_BYTES;
    assert_eq!(streams(&many, &FolderState::default(), 0, NOW, TRIES).len(), room.min(MOST_REMEMBERED));
    let full = FolderState { trouble: "x".repeat(FolderState::default().room() - 900), ..state };
    assert_eq!(streams(&many, &full, 0, NOW, TRIES).len(), 3, "no room for those that are not known");
}

/// What a waiter wants: the first letter of the names, how many files, and how many siblings there are.
type Wants = (usize, usize, i64);

/// `there`: how many files of each letter are there already.
fn snapshot_of(wants: &[Wants], there: [usize; 3]) -> Snapshot {
    let letters = ["a", "b", "c"];
    let waiters: Vec<_> = wants.iter().map(|(n, files, siblings)| (letters[*n], *files, *siblings)).collect();
    let mut snapshot = snapshot(&waiters);
    for ((letter, files, _), waiter) in wants.iter().zip(&mut snapshot.waiters) {
        let name = |n| source(format!("{}{n:04}", letters[*letter]));
        waiter.1 = Arc::new(Resolved { files: (0..*files).map(name).collect(), ..Resolved::default() });
        for verdict in waiter.2.iter_mut().take(there[*letter]) {
            *verdict = Verdict::Done { by_size: false };
        }
    }
    snapshot.index();
    snapshot
}

/// The names that a job is needed for.
fn needed(snapshot: &Snapshot) -> BTreeSet<String> {
    let files = snapshot.files().filter(|(_, (source, verdict))| snapshot.needs_job(source, *verdict));
    files.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn small_requests_may_go_where_there_is_no_slot_for_all() {
    let snapshot = snapshot(&[("a", 500, 1), ("b", 2, 1)]);
    for lane in [true, false] {
        let settings = settings(6, lane);
        let mut state = FolderState::default();
        let mut batches = Batches::new(&snapshot, &settings);
        let all = batches.next(&state).unwrap();
        assert_eq!((all.files.len(), all.express), (6, false));
        state.wish = Some(SlotRequest::new("a", "1", false));
        batches.went(&all, false);
        let small = batches.next(&state);
        let names = small.as_ref().map(|batch| batch.names.to_vec());
        assert_eq!(names, lane.then(|| vec!["b0000".to_owned(), "b0001".to_owned()]));
        if let Some(small) = small {
            batches.went(&small, true);
        }
        assert!(batches.next(&state).is_none());
    }
}

proptest! {
    /// Whichever slots are refused, and when: no file travels twice, none that is not needed, none in a batch
    /// of another kind, and where every slot is given all go.
    #[test]
    fn each_needed_file_goes_in_one_batch(
        wants in prop::collection::vec((0..3_usize, 0..40_usize, 1..120_i64), 1..5),
        there in prop::array::uniform3(0..4_usize),
        most in 1..9_usize,
        lane: bool,
        apart in 0..12_usize,
        grants in prop::collection::vec(prop::bool::weighted(0.8), 0..40),
        given: bool,
    ) {
        let snapshot = snapshot_of(&wants, there);
        let settings = settings(most, lane);
        let needed = needed(&snapshot);
        let set_apart: Vec<_> = needed.iter().take(apart).cloned().collect();
        let pieces = set_apart.chunks(most).map(|names| BisectGroup {
            names: names.iter().cloned().collect(), ..BisectGroup::default()
        });
        let mut state = FolderState { pieces: pieces.collect(), ..FolderState::default() };
        let mut batches = Batches::new(&snapshot, &settings);
        let (mut gone, mut refusals) = (BTreeSet::new(), 0);
        let mut grants = grants.into_iter();
        while let Some(batch) = batches.next(&state) {
            let files: Vec<_> = batch.files.iter().map(|queued| queued.source.wanted.name.clone()).collect();
            prop_assert_eq!(&files[..], &*batch.names);
            prop_assert!((1..=most).contains(&files.len()));
            let is_apart = |name: &String| set_apart.contains(name);
            prop_assert!(files.iter().all(|name| is_apart(name) == batch.piece && needed.contains(name)));
            let is_small = |queued: &Queued<'_>| snapshot.is_small(queued.waiter);
            prop_assert!(!batch.express || batch.files.iter().all(is_small));
            let went = given || grants.next().unwrap_or(true);
            // After a refusal only small requests may try, once.
            prop_assert!(refusals == 0 || (refusals == 1 && batch.express && !batch.piece));
            if went {
                for name in files {
                    prop_assert!(gone.insert(name.clone()), "{} travels twice", name);
                }
                state.intents.push(intent(&batch, most));
            } else {
                refusals += 1;
            }
            batches.went(&batch, went);
            prop_assert!(went || refusals < 3);
        }
        prop_assert!(batches.next(&state).is_none(), "it has ended");
        if refusals == 0 {
            prop_assert_eq!(gone, needed);
        }
    }

    /// However the uploads stand: a look is never in the past, never later than the longest wait, and never
    /// after the time of a file that could be streamed.
    #[test]
    fn no_look_is_missed(
        uploads in prop::collection::vec((0..20_usize, 0..7_u32, -5_000..900_000_i64, any::<bool>()), 0..10),
        waits in 0..100_u32,
        pause in -10_000..900_000_i64,
    ) {
        let snapshot = streamed(12);
        let uploads: BTreeMap<_, _> = uploads.into_iter().map(|(n, attempts, retry, live)| {
            (format!("a{n:04}"), Upload { attempts, retry_at: NOW + retry, live, ..Upload::default() })
        }).collect();
        let state = FolderState { uploads, not_before: NOW + pause, ..FolderState::default() };
        let at = next_look(&state, &snapshot, NOW, waits, TRIES);
        prop_assert!(at > NOW && at <= NOW + as_millis(LONGEST));
        for choice in streams(&snapshot, &state, 0, NOW, TRIES) {
            let upload = state.uploads.get(&choice.source.wanted.name);
            let idle = upload.filter(|upload| !upload.live && upload.attempts < TRIES);
            prop_assert!(idle.is_none_or(|upload| at <= upload.retry_at.max(NOW + 1)));
            prop_assert!(!choice.is_due || upload.is_none_or(|upload| upload.retry_at <= NOW));
        }
        prop_assert!(waits == 0 || at <= NOW + as_millis(LONGEST_WAIT));
    }
}
