//! The watch alone: when it polls, what it forgets, whom it asks again.

use super::*;
use crate::engine::records::REQUEST;

fn key(id: &str) -> Key {
    Key::new(id, REQUEST)
}

#[tokio::test(start_paused = true)]
async fn a_folder_is_asked_again_until_it_has_heard_and_more_rarely_each_time() {
    let (watch, job) = (JobWatch::default(), JobId::new("job"));
    watch.watch(&key("folder"), &[], [&job].into_iter(), MINUTE);
    assert!(!watch.runs(&job, MINUTE), "no page has told of it");
    let begun = Instant::now();
    let ended = watch.known().end(&job, JobStatus::Succeeded, begun);
    assert_eq!(ended, Some(key("folder")));
    let mut asked = Vec::new();
    for second in 0..=600 {
        if !watch.known().unheard(begun + Duration::from_secs(second)).is_empty() {
            asked.push(second);
        }
    }
    assert_eq!(asked, [2, 4, 8, 16, 32, 64, 128, 256]);
    assert_eq!((watch.take_end(&job), watch.known().due()), (None, None), "nothing is asked for ever");
    assert!(watch.known().folders.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_told_once_and_not_watched_again() {
    let (watch, job) = (JobWatch::default(), JobId::new("job"));
    watch.watch(&key("folder"), &[], [&job].into_iter(), MINUTE);
    watch.known().end(&job, JobStatus::Unknown, Instant::now());
    watch.watch(&key("folder"), &[], [&job].into_iter(), MINUTE);
    assert!(watch.known().watched.is_empty(), "its folder has not heard yet");
    assert_eq!((watch.take_end(&job), watch.take_end(&job)), (Some(JobStatus::Unknown), None));
}

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn polls_come_near_the_time_that_jobs_take() {
    let seconds = Duration::from_secs;
    let mut known = Known::default();
    assert_eq!([0, 4, 80, 900].map(|age| known.wait(seconds(age), MINUTE).as_secs()), [2, 2, 5, 56]);
    known.typical = Some(seconds(60));
    assert_eq!([0, 6, 20, 40, 60].map(|age| known.wait(seconds(age), MINUTE).as_secs()), [5, 6, 10, 4, 6]);
    known.events_tell = true;
    assert_eq!([0, 60].map(|age| known.wait(seconds(age), MINUTE).as_secs()), [20, 24]);
}

#[tokio::test(start_paused = true)]
async fn jobs_that_their_folder_names_no_more_are_forgotten() {
    let (watch, [one, two]) = (JobWatch::default(), ["one", "two"].map(JobId::new));
    watch.watch(&key("folder"), &[], [&one, &two].into_iter(), MINUTE);
    watch.known().end(&one, JobStatus::Failed, Instant::now());
    // Another instance has heard of both meanwhile.
    watch.watch(&key("folder"), &[], [].into_iter(), MINUTE);
    let known = watch.known();
    assert!(known.watched.is_empty() && known.ended.is_empty() && known.folders.is_empty());
    drop(known);
    watch.watch(&key("folder"), &[], [&two].into_iter(), MINUTE);
    watch.known().forget(Instant::now() + FORGOTTEN_AFTER);
    let known = watch.known();
    assert!(known.watched.is_empty() && known.folders.is_empty());
}
