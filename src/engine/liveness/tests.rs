//! What counts as a sign of life, and when it is told.

use super::*;

const MINUTE: i64 = 60_000;

fn party(since: i64) -> [RootRef; 1] {
    [RootRef { root: RequestId::new("r"), since }]
}

#[test]
fn signs_are_written_when_there_are_new_ones_and_not_too_often() {
    let evidence = Liveness::default();
    let period = 5 * MINUTE;
    let mut writes = 0;
    for minute in 0..60 {
        let now = minute * MINUTE;
        if minute < 30 {
            evidence.record_progress(&party(0), now);
        }
        for (root, noted) in evidence.due(now, period) {
            evidence.told(&root, noted);
            writes += 1;
        }
    }
    // None for the first minutes, and the last sign is not lost.
    assert_eq!(writes, 6);
    assert!(evidence.roots().is_empty(), "what is silent is forgotten");
    evidence.record_progress(&party(0), 70 * MINUTE);
    assert_eq!(evidence.due(70 * MINUTE, period).len(), 1, "after a silence the next sign is told at once");
}

#[test]
fn one_kind_of_sign_does_not_wait_for_the_other() {
    let faults = NotedProgress { moved: 0, outage: 69 * MINUTE, told_moved: 0, told_outage: 69 * MINUTE };
    assert!(!faults.is_due(70 * MINUTE, 5 * MINUTE));
    assert!(NotedProgress { moved: 70 * MINUTE, ..faults }.is_due(70 * MINUTE, 5 * MINUTE));
}

#[test]
fn a_queue_moves_when_others_stand_in_it() {
    let evidence = Liveness::default();
    let project = ProjectId::new("p");
    let mut moved = Vec::new();
    for (now, names) in (1..).zip([["a", "b"], ["a", "b"], ["a", "c"], ["a", "c"]]) {
        evidence.queue_seen(&project, &names.map(str::to_owned).into(), now);
        moved.push(evidence.queue_moved(&project));
    }
    assert_eq!(moved, [1, 1, 3, 3]);
}

#[test]
fn an_outage_of_the_platform_is_everybodys_until_it_answers() {
    let evidence = Liveness::default();
    assert_eq!(evidence.seen("r").outage, None);
    evidence.platform_outage(5);
    assert_eq!(evidence.seen("r").outage, Some(5));
    evidence.record_progress(&party(0), 1);
    let due = evidence.due(6, 1);
    assert_eq!(due.first().map(|(_, noted)| noted.outage), Some(5), "others are to know too");
    evidence.platform_answered(7);
    assert_eq!(evidence.seen("other").outage, None);
}

#[test]
fn an_outage_is_an_excuse_for_a_while() {
    let fresh = |moved, outage| ProgressMarks { moved, outage }.are_fresh(1000, 30, 360);
    assert!(fresh(Some(971), None) && !fresh(Some(970), None));
    assert!(fresh(Some(900), Some(971)) && !fresh(Some(900), Some(970)));
    assert!(fresh(Some(641), Some(1000)) && !fresh(Some(640), Some(1000)));
    assert!(fresh(None, None), "of a token that says nothing nothing is concluded");
}
