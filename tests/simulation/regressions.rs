//! Histories that broke, cut down to the one fault that mattered.

use std::time::Duration;

use copy_manager::domain::route::{Folders, SinglePart};
use serde_json::json;

use crate::{
    errands::{DEST, LISTS, List, SHELF, Way},
    fate::{Fault, Scripted},
    history::live_by,
    trials::SetBack,
    world::{Also, Ask, Blow, Plan, Request, Want},
};

/// Lives through a plain history of that many instances in which one call fails; how long it took.
fn survives(instances: usize, op: &'static str, about: &'static str, fault: Fault) -> Duration {
    lives(Plan { instances, ..Plan::plain() }, op, about, fault)
}

fn lives(plan: Plan, op: &'static str, about: &'static str, fault: Fault) -> Duration {
    let told = live_by(plan, 1, vec![Scripted { op, about, fault }], true);
    assert!(told.broken.is_empty(), "{fault:?}: {:?}\n{}", told.broken, told.lines.join("\n"));
    told.took
}

/// A folder stored a child's outcome, deleted its waiter, and died before it woke the child, which then
/// slept for ten minutes. The folder settles the child now; and a child whose instance dies before it has woken
/// the folder looks again.
#[test]
fn a_child_is_settled_whatever_happens_to_who_settles_it() {
    for fault in [Fault::LoseAnswer, Fault::CrashAfter, Fault::CrashBefore] {
        for (op, about) in
            [("transact", "WAITER#"), ("write", "Remove(\"expire_at\")"), ("transact", "TALLY#")]
        {
            let took = survives(1, op, about, fault);
            assert!(took < Duration::from_mins(4), "{op} {about} {fault:?}: {took:?}");
        }
    }
}

/// An instance stood still on its way to a slot. Its successor gave the submission up and the slot back;
/// then the slot was taken, and nobody gave it back again.
#[test]
fn a_slot_that_is_taken_late_is_given_back() {
    let took = survives(2, "write", "slots.", Fault::StandStill(180));
    assert!(took < Duration::from_mins(30), "{took:?}");
}

/// A folder took the slot that it had waited for, and found the request cancelled. It forgot who had
/// waited, and with them the slot.
#[test]
fn a_slot_that_was_waited_for_is_given_back_when_the_request_is_cancelled() {
    let mut plan = Plan::plain();
    plan.settings.jobs.max_running_jobs = 1;
    plan.settings.jobs.express_slots = 0;
    plan.settings.jobs.max_items_per_job = 1;
    lives(plan, "write", "Exclude(\"waiting\"", Fault::Cancel);
}

/// A message had been stored on its last receive, and nobody heard of it: its token was answered
/// `Internal` while its request lived on, whose own answer nobody took then.
#[test]
fn a_message_that_was_stored_after_all_does_not_fail_its_token() {
    let plan = Plan { max_receives: Some(1), ..Plan::plain() };
    lives(plan, "transact", "TOKEN#", Fault::LoseAnswer);
}

/// An instance stood still on its way to register a child with its folder. Another finished the child
/// meanwhile; then the waiter was put, and the folder worked for it, or slept and never heard of it.
#[test]
fn a_child_that_has_settled_is_not_registered_late() {
    let plan = Plan { instances: 2, calm_at: Duration::from_mins(5), ..Plan::plain() };
    let scripts = vec![Scripted { op: "transact", about: "WAITER#", fault: Fault::StandStill(180) }];
    let told = live_by(plan, 1, scripts, true);
    assert!(told.broken.is_empty(), "{:?}\n{}", told.broken, told.lines.join("\n"));
    let after = told.lines.iter().skip_while(|line| !line.contains(" succeed token "));
    let work: Vec<_> = after.filter(|line| line.contains(" children ") || line.contains(" find ")).collect();
    assert!(work.is_empty(), "{work:#?}");
}

/// A job and its late double failed with the same file, which was put aside twice, and then travelled in
/// two jobs at once.
#[test]
fn a_file_that_fails_in_a_job_and_in_its_double_is_put_aside_once() {
    let mut plan = Plan { instances: 2, ..Plan::plain() };
    plan.settings.copy.single_part = SinglePart::Job;
    plan.platform.tag_defect = true;
    plan.platform.job_duration = Duration::from_secs(100);
    lives(plan, "submit", "", Fault::StandStill(180));
}

/// A world in which a job fails with one of its files, and those that it has brought are told as PARTIAL
/// for a while, having been begun long before.
fn slow_to_tell(folders: Folders) -> Plan {
    let mut plan = Plan::plain();
    plan.settings.copy.folders = folders;
    plan.settings.copy.single_part = SinglePart::Job;
    plan.settings.jobs.settle = Duration::from_secs(30);
    plan.settings.jobs.poll_interval = Duration::from_secs(5);
    plan.platform.tag_defect = true;
    plan.platform.job_duration = Duration::from_secs(100);
    plan.platform.index_delay = Duration::from_secs(10);
    plan
}

/// What a job had brought was deleted and copied again, because another file of the job had failed.
#[test]
fn what_a_job_has_brought_is_not_taken_for_what_it_has_left() {
    for folders in [Folders::PerFolder, Folders::Whole] {
        let told = live_by(slow_to_tell(folders), 1, Vec::new(), true);
        assert!(told.broken.is_empty(), "{:?}\n{}", told.broken, told.lines.join("\n"));
        let deleted: Vec<_> = told.lines.iter().filter(|line| line.contains(" deletes ")).collect();
        assert!(
            !deleted.is_empty() && deleted.iter().all(|line| line.contains("/in/r3/c.txt")),
            "{deleted:#?}"
        );
    }
}

/// Who looks for the job of a lost submission asks of every other job once where it copies to, not at
/// every look: where one call in twenty failed, no look past seventy jobs came to its end, and whoever
/// waited there was not seen.
#[test]
fn the_jobs_of_others_are_asked_once_where_they_go() {
    let mut plan = Plan::plain();
    plan.platform.job_duration = Duration::from_secs(100);
    let stranger = Blow::Stranger(vec!["/x/r3/a.bam".to_owned()], "/in/".to_owned());
    plan.blows = vec![(Duration::ZERO, stranger)];
    plan.strangers = ["/in/a.bam".to_owned()].into();
    let scripts = vec![Scripted { op: "submit", about: "", fault: Fault::CrashBefore }];
    let told = live_by(plan, 1, scripts, true);
    assert!(told.broken.is_empty(), "{:?}\n{}", told.broken, told.lines.join("\n"));
    let asked = told.lines.iter().filter(|line| line.contains(" batch folder ")).count();
    // The stranger's and, late in the look-out, our own second one.
    assert!((1..=2).contains(&asked), "{asked}");
}

/// A plain world with buckets, and one request for two objects.
fn to_bucket(way: Way, payload: &serde_json::Value, prefix: &str) -> Plan {
    let mut plan = Plan::plain();
    let keys = ["p/a.bin", "p/b.bin"];
    let objects = keys.map(|key| json!({"key": key, "size": 9}));
    let buckets = json!([{"name": SHELF, "objects": objects}, {"name": DEST}, {"name": LISTS}]);
    let mut world = serde_json::to_value(&plan.world).unwrap();
    world["buckets"] = buckets;
    plan.world = serde_json::from_value(world).unwrap();
    plan.needs_s3 = true;
    let wants = keys.map(|key| Want {
        to: format!("s3://{DEST}/{prefix}{}", key.rsplit('/').next().unwrap()),
        from: Some(format!("s3://{SHELF}/{key}")),
        size: 9,
    });
    plan.wanted = wants.iter().map(|want| (want.to.clone(), [want.from.clone()].into())).collect();
    let body = json!({"detail-type": way.event(), "source": "lab", "id": "e", "detail":
        {"payload": payload, "taskToken": "token"}});
    plan.requests = vec![Request::plain(wants.into(), way)];
    let (at, token) = (Duration::ZERO, "token".to_owned());
    plan.asks = vec![Ask { at, token, request: 0, body: body.to_string(), leaves_at: None }];
    plan
}

/// The plan of a copy to a bucket, or of a list, was stored, and nobody heard of it. What went wrong was
/// noted in the state as it was before, without a plan: nothing was copied, and it was a success.
#[test]
fn a_plan_that_was_stored_unheard_is_not_taken_for_none() {
    let payload = json!({
        "sourceUriList": [], "externalSourceUriList": [format!("s3://{SHELF}/p/a.bin"), format!("s3://{SHELF}/p/b.bin")],
        "destinationUri": format!("s3://{DEST}/c/"),
    });
    let copy = to_bucket(Way::Copy, &payload, "c/");
    let list = List {
        prefix: "list/".to_owned(),
        key: "list.csv".to_owned(),
        rows: ["p/a.bin", "p/b.bin"].map(|key| (key.to_owned(), true)).into(),
        in_flight: 1,
        goes_on: false,
    };
    let payload = json!({
        "sourceFilesCsvBucket": LISTS, "sourceFilesCsvKey": "list.csv", "destinationBucket": DEST,
        "destinationPrefixKey": "list/", "copyConcurrency": 1,
    });
    for plan in [copy, to_bucket(Way::List(list), &payload, "list/")] {
        lives(plan, "write", "PLANNED", Fault::LoseAnswer);
    }
}

/// A caller left, its token was marked and then dropped. Then the mark arrived a second time, and the token
/// was due again, for ever.
#[test]
fn a_mark_that_arrives_twice_does_not_bring_back_a_token() {
    let seed = 1_033_178_184;
    let told = live_by(Plan::drawn(seed, false, Also::default()), seed, Vec::new(), true);
    assert!(told.broken.is_empty(), "{:?}", told.broken);
}

/// The machine of the only instance is set back by an hour in the middle of a copy.
#[test]
fn a_machine_that_is_set_back_by_an_hour_costs_no_time() {
    let mut plan = Plan::plain();
    plan.platform.job_duration = Duration::from_secs(40);
    let at = Duration::from_secs(10);
    plan.trials.set_back = vec![SetBack { instance: 0, at, by_ms: 3_600_000 }];
    let told = live_by(plan, 1, Vec::new(), true);
    assert!(told.broken.is_empty(), "{:?}", told.broken);
    assert!(told.took < Duration::from_mins(10), "{:?}", told.took);
}

/// A file in a folder that a job brought as a whole could not be read at first. Then the folder was gone
/// through again both for itself and for the tree that it lies in, and its files counted twice.
#[test]
fn a_folder_of_a_tree_is_gone_through_again_once() {
    let mut plan = Plan { calm_at: Duration::from_mins(1), ..Plan::plain() };
    plan.settings.copy.folders = Folders::Whole;
    plan.settings.copy.single_part = SinglePart::Job;
    plan.platform.tag_defect = false;
    plan.trials.faults.insert("told".to_owned(), json!({"/x/r3/a.bam": {"status": "TRANSFERRING"}}));
    let told = live_by(plan, 1, Vec::new(), true);
    assert!(told.broken.is_empty(), "{:?}", told.broken);
}
