//! The page in a browser: Debian's Chromium, driven by Playwright.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    browser,
    embedded::{Bench, entry},
    lab::payload,
    worlds::world,
};

/// A thousand requests, a browser that is started ten times, and a machine that does other things too.
const PATIENCE: Duration = Duration::from_mins(5);

/// Uses the page at an address; what was seen. `None`, loudly, where there is no browser.
pub(crate) async fn visit(url: &str, token: Option<&str>, pictures: Option<&Path>) -> Option<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (python, chromium) = browser::of_the_page("the page was not looked at")?;
    let mut command = Command::new(python);
    command.arg(root.join("tests/page/check.py")).arg(chromium).arg(url);
    command.arg(pictures.map_or(Path::new("-"), |pictures| pictures)).args(token).kill_on_drop(true);
    let done = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let seen: Value = serde_json::from_slice(&done.stdout).unwrap();
    eprintln!("first paint {} ms, filter {} ms", seen["paint_ms"], seen["filter_ms"]);
    let violations: Vec<_> =
        seen["axe"].as_object().unwrap().iter().filter(|(_, found)| *found != &json!([])).collect();
    assert_eq!(seen["axe"].as_object().unwrap().len(), 8, "{seen}");
    assert!(violations.is_empty(), "{violations:?}");
    assert_eq!(seen["console"], json!([]), "a browser found fault");
    assert!(seen["cancelled"].as_str().unwrap().contains("failed"), "{seen}");
    assert!(seen["retried"].as_str().unwrap().contains("/requests/retry."), "{seen}");
    assert_eq!(seen["filtered"], seen["without_script"], "it needs no script");
    Some(seen)
}

#[tokio::test]
async fn a_browser_finds_its_way_among_a_thousand_requests() {
    let settings = [
        ("COPY_MANAGER__ADMIN__LISTEN", "127.0.0.1:0"),
        ("COPY_MANAGER__ICAV2__REQUESTS_PER_SECOND", "500"),
        ("COPY_MANAGER__SERVICE__MAX_ACTIVE", "64"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut world = world(&[], &[("/run/a.bam".to_owned(), 300, 2), ("/run/b.txt".to_owned(), 30, 1)]);
    world["projects"][0]["age"] = json!("1h");
    let bench = Bench::start(&world, &["--job-duration", "1h"], settings).await;
    let wish = |name: String, source: &str, destination: &str| {
        let caller = format!("arn:aws:states:ap-southeast-2:1:execution:nightly:{name}");
        entry(&json!({ "requestId": name, "caller": caller, "payload": payload(&[source], destination) }))
    };
    let mut wishes = Vec::new();
    for n in 0..1_000 {
        let into = format!("icav2://archive/in/{n}/");
        wishes.push(match n {
            0..20 => wish(format!("stuck-{n}"), "icav2://lab/run/a.bam", &into),
            20..50 => wish(format!("good-{n}"), "icav2://lab/run/b.txt", &into),
            _ => wish(
                format!("bad-{}", n - 50),
                "icav2://lab/run/b.txt",
                &format!("icav2://nowhere-{}/in/", n % 4),
            ),
        });
    }
    for ten in wishes.chunks(10) {
        assert_eq!(bench.put(json!(ten)).await["FailedEntryCount"], 0);
    }
    for last in ["bad-949", "good-49"] {
        bench.ended(last).await;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pictures = std::env::var_os("UPDATE_DOCS").map(|_| root.join("docs"));
    let Some(seen) = visit(&bench.url, None, pictures.as_deref()).await else { return };
    assert_eq!(seen["headings"], json!(["Needs attention", "Running", "Last hour", "All requests"]));
    assert_eq!(seen["filtered"], 50, "{seen}");
}
