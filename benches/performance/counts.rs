//! What was counted in virtual time (`tests/counts`): calls and bytes, and what more instances do.

use std::{collections::BTreeMap, fs, path::Path};

use crate::figures::{Book, Row};

pub(crate) const NAME: &str = "counts";

type Counts = BTreeMap<String, BTreeMap<String, f64>>;

/// Where the tests leave what they have counted.
const COUNTED: &str = "target/counts.json";

const FILES_OF_A_FOLDER: f64 = 50.0;
const FOLDERS: &str = "20 folders of 50 files by job";

pub(crate) fn measure(book: &mut Book) {
    let counted = fs::read_to_string(Path::new(COUNTED)).ok();
    let Some(counts) = counted.and_then(|text| serde_json::from_str::<Counts>(&text).ok()) else {
        let why = "nothing was counted: `make bench` does that first";
        book.row(Row::none("counts", "", why));
        return;
    };
    let find = |what: &str, name: &str| counts.get(what).and_then(|figures| figures.get(name)).copied();
    let mut show = |row: &dyn Fn(f64) -> Row, what: &str, name: &str| {
        if let Some(value) = find(what, name) {
            book.row(row(value));
        }
    };
    let folder = |unit: &'static str, name: &'static str| {
        move |value: f64| Row::one(name, unit, value * FILES_OF_A_FOLDER)
    };
    let calls = folder("calls", "DynamoDB calls a folder of one job");
    show(&|value| calls(value).at_most(15.0), FOLDERS, "table calls a file");
    let bytes = folder("bytes", "bytes written to the table a folder of one job");
    show(&bytes, FOLDERS, "bytes written to the table a file");
    let waits = "1,000 requests that wait for ten minutes";
    let minute =
        |unit: &'static str, name: &'static str| move |value: f64| Row::one(name, unit, value / 10.0);
    show(&minute("calls/min", "DynamoDB calls for a request that waits"), waits, "table calls a request");
    show(&minute("calls/min", "API calls for a request that waits"), waits, "API calls a request");
    show(
        &|value| Row::one("S3 calls for an object of a list", "calls", value),
        "a list of 1,000 objects",
        "S3 calls an object",
    );
    for (instances, aim) in [(2, 1.8), (4, 3.2)] {
        let name = format!("throughput of {instances} instances over that of one");
        let what = format!("{instances} instances, streams of a second");
        let row = |value: f64| Row::one(name.clone(), "×", value).at_least(aim);
        show(&row, &what, "over one instance");
    }
    let fleets = counts.iter().filter_map(|(what, figures)| {
        let requests: f64 = what.strip_prefix("16 instances, ")?.strip_suffix(" requests")?.parse().ok()?;
        Some((requests, figures))
    });
    let mut fleets: Vec<_> = fleets.collect();
    fleets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    for (requests, figures) in fleets {
        let figure = |name: &str| figures.get(name).copied().unwrap_or_default();
        let note = format!(
            "{:.2} API calls and {:.0} bytes written a request; all answered after {:.0} s",
            figure("API calls a request"),
            figure("bytes written to the table a request"),
            figure("seconds until all were answered"),
        );
        let name = format!("16 instances, {requests} requests: DynamoDB calls a request");
        book.row(Row::one(name, "calls", figure("table calls a request")).note(note));
    }
}
