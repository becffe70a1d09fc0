//! How soon the daemon does something about what it is told.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use crate::{
    figures::{Book, Row, scaled, share_of},
    stage::{Events, Request, Stage},
    support::now,
    worlds::{destination, file, many_destinations},
};

pub(crate) const NAME: &str = "reaction";

const REQUESTS: usize = 100;
/// Between two requests.
const APART: Duration = Duration::from_millis(250);
const JOB: Duration = Duration::from_secs(2);
/// What `icav2.batch_window` is as delivered.
const WINDOW: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_mins(3);

/// When what happened to one request.
#[derive(Debug, Default)]
struct Course {
    asked: Option<Instant>,
    /// Its job was made.
    submitted: Option<Instant>,
    /// The event of its job's end.
    ended: Option<Instant>,
    answered: Option<Instant>,
}

pub(crate) fn measure(book: &mut Book) {
    let requests = scaled(REQUESTS, 5);
    let files: Vec<_> = (0..requests).map(|n| file(format!("/run/{n:03}.fastq.gz"), 2)).collect();
    // A project for each, so that an event says by its project whose it is.
    let world = many_destinations(&files, requests);
    let options = ["--job-duration", "2s", "--latency", "50ms"];
    let settings = [("COPY_MANAGER__ICAV2__REQUESTS_PER_SECOND", "200")];
    let stage = Stage::set(&world, &options, &settings, Events::Noted);
    let mut courses: BTreeMap<String, Course> = BTreeMap::new();
    for n in 0..requests {
        let name = destination(n);
        let request = Request {
            token: name.clone(),
            sources: vec![format!("icav2://lab/run/{n:03}.fastq.gz")],
            destination: format!("icav2://{name}/in/"),
        };
        courses.entry(name).or_default().asked = Some(now());
        stage.ask(&[request]);
        thread::sleep(APART);
    }
    let until = now() + PATIENCE;
    while courses.values().any(|course| course.answered.is_none()) {
        let Some(heard) = stage.desk.next(until) else { break };
        let place = if heard.is_event { "/payload/project/name" } else { "/taskToken" };
        let Some(name) = heard.body.pointer(place).and_then(|name| name.as_str()) else { continue };
        let course = courses.entry(name.to_owned()).or_default();
        if heard.is_event {
            // A job waits from a tenth of its time on, and says so: nothing is said when it is made.
            course.submitted.get_or_insert(heard.at.checked_sub(JOB / 10).unwrap());
            if heard.body.pointer("/payload/status").is_some_and(|status| status == "SUCCEEDED") {
                course.ended = Some(heard.at);
            }
        } else if heard.body["status"] == "SUCCEEDED" {
            course.answered = Some(heard.at);
        }
    }
    let between =
        |from: fn(&Course) -> Option<Instant>, to: fn(&Course) -> Option<Instant>, without: Duration| {
            let pairs = courses.values().filter_map(|course| from(course).zip(to(course)));
            let far = |(from, to): (Instant, Instant)| {
                to.saturating_duration_since(from).saturating_sub(without).as_secs_f64() * 1000.0
            };
            pairs.map(far).collect::<Vec<_>>()
        };
    let answers = between(|course| course.ended, |course| course.answered, Duration::ZERO);
    let submissions = between(|course| course.asked, |course| course.submitted, WINDOW);
    let note = match requests - answers.len() {
        0 => String::new(),
        lost => format!("**{lost} of {requests} were not answered**"),
    };
    for (what, values, most) in [
        ("from the event of a job's end to the answer of the token", answers, 300.0),
        ("from the request to its first submission, beyond `batch_window`", submissions, 500.0),
    ] {
        let row = |share| Row { value: Some(share_of(&values, share)), ..Row::median("", "ms", &values) };
        book.row(Row { name: format!("{what}, p50"), ..row(0.5) }.note(&*note));
        book.row(Row { name: format!("{what}, p95"), ..row(0.95) }.at_most(most));
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "a hundred")]
        let share = |n: usize| (n + 1) as f64 / sorted.len() as f64 * 100.0;
        let points = sorted.iter().enumerate().map(|(n, ms)| (*ms, share(n))).collect();
        book.curve(what, points);
    }
}
