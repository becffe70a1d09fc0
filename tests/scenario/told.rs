//! What is told of a request: in its journal, and in log lines.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use copy_manager::{
    domain::{ids::RequestId, journal},
    engine::children::{ChildStatus, History},
};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::sleep;
use tracing::subscriber::DefaultGuard;

use crate::house::House;

const SOON: Duration = Duration::from_mins(5);
const FILES: [(&str, u64, u32); 4] =
    [("/run/a.bam", 300, 2), ("/run/b.bam", 300, 2), ("/run/c.txt", 30, 1), ("/run/sub/d.bam", 300, 2)];

/// The log lines of this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Lines of all levels, as they are written by a daemon.
    fn caught() -> (Self, DefaultGuard) {
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || writer.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    fn all(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap().clone();
        let lines = String::from_utf8(bytes).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A field of a line, or of the span that it stands in.
fn field<'a>(line: &'a Value, name: &str) -> Option<&'a str> {
    let own = line.get(name).and_then(Value::as_str);
    own.or_else(|| line.pointer(&format!("/span/{name}")).and_then(Value::as_str))
}

fn codes(history: &History) -> Vec<&str> {
    history.entries.iter().map(|told| told.entry.code.as_str()).collect()
}

/// A request whose jobs fail at first, and what it is called.
async fn lived(house: &mut House) -> RequestId {
    house.settings.jobs.max_attempts = 4;
    house.faults(json!({"jobFailureRate": 1.0}));
    let instance = house.instance();
    house.ask_as(&["/run/"], "/in/", "t", Some("n")).await;
    while instance.engine.view("n").await.unwrap().is_none_or(|view| view.children.0 == 0) {
        sleep(Duration::from_secs(1)).await;
    }
    sleep(Duration::from_secs(30)).await;
    house.faults(json!({"jobFailureRate": 0.0}));
    house.success("t", 4 * SOON).await;
    sleep(SOON).await;
    RequestId::new(instance.engine.view("n").await.unwrap().unwrap().id)
}

#[tokio::test(start_paused = true)]
async fn the_journal_of_a_request_tells_what_has_happened_to_it() {
    let mut house =
        House::new(&FILES, &[], &[], |platform| platform.job_duration = Duration::from_secs(3)).await;
    let id = lived(&mut house).await;
    let instance = house.instance();
    let history = instance.engine.history(&id).await.unwrap().unwrap();
    let codes = codes(&history);
    assert_eq!((codes[0], codes[1]), ("request.received", "request.planned"), "{codes:?}");
    assert_eq!(codes.last(), Some(&"caller.answered"), "{codes:?}");
    let jobs = history.entries.iter().filter(|told| told.entry.code == "job.ended");
    let (failed, done): (Vec<_>, Vec<_>) = jobs.partition(|told| told.entry.note.contains("FAILED"));
    assert!(!failed.is_empty() && done.len() >= 2, "{codes:?}");
    for code in ["job.submitted", "folder.settled", "request.succeeded"] {
        assert!(codes.contains(&code), "{code} is not among {codes:?}");
    }
    let places: BTreeSet<_> = history.entries.iter().filter_map(|told| told.place.as_deref()).collect();
    assert!(places.iter().any(|place| place.ends_with("/in/run/sub/")), "{places:?}");
    assert!(history.entries.is_sorted_by_key(|told| told.entry.at) && !history.is_cut);
    let children = instance.engine.children(&id).await.unwrap().unwrap();
    assert_eq!((children.total, children.children.len()), (2, 2), "{children:?}");
    assert!(children.children.iter().all(|child| child.status == ChildStatus::Succeeded), "{children:?}");
    // A job leads to it as well, and so does the place.
    let job = failed[0].entry.note.split(' ').next().unwrap();
    for name in [job, "icav2://archive/in/"] {
        assert_eq!(
            instance.engine.view(name).await.unwrap().map(|view| view.id).as_deref(),
            Some(id.as_str()),
            "{name}"
        );
    }
    assert!(instance.engine.history(&RequestId::new("nobody")).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_journal_holds_the_last_things_and_no_more() {
    let house = House::new(&FILES, &[], &[], |platform| platform.job_duration = Duration::from_secs(3)).await;
    // A folder that fails for ever, for one request after the other.
    house.faults(json!({"jobFailureRate": 1.0}));
    let instance = house.instance();
    let mut ids = Vec::new();
    for n in 0..6 {
        house.ask_as(&["/run/a.bam", "/run/b.bam"], "/in/", &format!("t{n}"), Some(&format!("n{n}"))).await;
        house.failure(&format!("t{n}"), 10 * SOON).await;
        ids.push(RequestId::new(instance.engine.view(&format!("n{n}")).await.unwrap().unwrap().id));
    }
    let mut kept = Vec::new();
    for id in &ids {
        let history = instance.engine.history(id).await.unwrap().unwrap();
        kept.push(history.entries.iter().filter(|told| told.place.is_some()).count());
        assert!(history.entries.iter().all(|told| told.entry.note.chars().count() <= 200));
    }
    assert_eq!(kept[0], journal::MOST, "{kept:?}");
    // Of a folder with a past, a request is told what has happened since it came.
    assert!(kept[5] < journal::MOST && kept[5] > 3, "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn log_lines_alone_tell_the_same_and_each_says_for_whom_and_where_to() {
    let (lines, _guard) = Lines::caught();
    let mut house =
        House::new(&FILES, &[], &[], |platform| platform.job_duration = Duration::from_secs(3)).await;
    let id = lived(&mut house).await;
    let instance = house.instance();
    let history = instance.engine.history(&id).await.unwrap().unwrap();
    let lines = lines.all();
    // What is not for one request alone is for a folder of it.
    let is_its =
        |line: &&Value| field(line, "request_id") == Some(id.as_str()) || field(line, "folder_id").is_some();
    let told: Vec<_> = lines.iter().filter(is_its).collect();
    // As often as it is told, what the journal holds is in the lines too; what begins and ends it in that order.
    let mut told_in_lines: BTreeMap<&str, u32> = BTreeMap::new();
    told.iter()
        .filter_map(|line| field(line, "code"))
        .for_each(|code| *told_in_lines.entry(code).or_default() += 1);
    let mut in_journal: BTreeMap<&str, u32> = BTreeMap::new();
    for entry in history.entries.iter().map(|told| &told.entry) {
        *in_journal.entry(entry.code.as_str()).or_default() += entry.times;
    }
    for (code, times) in &in_journal {
        assert_eq!(told_in_lines.get(code), Some(times), "{code}: {told_in_lines:?}");
    }
    let its_own = |code: &&str| code.starts_with("request.") || *code == "caller.answered";
    let order: Vec<_> = told.iter().filter_map(|line| field(line, "code")).filter(its_own).collect();
    assert_eq!(order, codes(&history).into_iter().filter(|code| its_own(code)).collect::<Vec<_>>());
    // A job's line says which, how it ended, and what for.
    let job = told.iter().find(|line| field(line, "code") == Some("job.ended")).unwrap();
    for name in ["job_id", "job_status", "destination"] {
        assert!(field(job, name).is_some(), "{job}");
    }
    for line in &told {
        assert!(field(line, "destination").is_some_and(|place| place.starts_with("icav2://")), "{line}");
    }
    let all: Vec<_> =
        lines.iter().filter(|line| field(line, "target").is_some_and(|t| t.contains("signals"))).collect();
    for line in all {
        assert!(field(line, "code").is_some(), "{line}");
        let failed = field(line, "error_name").is_some_and(|name| name != "none")
            || field(line, "job_status").is_some_and(|status| status == "FAILED");
        let level = field(line, "level").unwrap();
        assert!(
            !failed || level == "WARN" || level == "ERROR" || field(line, "code") == Some("folder.told"),
            "{line}"
        );
    }
}
