//! `docs/simulator.md` says all that there is: every call, every control, and every word that they understand.

use axum::body::Body;
use copy_manager::simulator::{Settings, in_process, world::WorldFile};
use http::Request;
use serde_json::{Value, json};

use crate::support::{Lab, read};

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.md"));
const SOURCE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/simulator/mod.rs"));

/// The controls that the page has rows for, like `GET /sim/stats`.
fn rows() -> Vec<String> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let calls = rows.filter(|row| row.split_once(' ').is_some_and(|(_, path)| path.starts_with("/sim/")));
    let mut calls: Vec<String> = calls.map(|row| row.split('?').next().unwrap().to_owned()).collect();
    calls.sort();
    calls
}

#[test]
fn the_page_has_a_row_for_every_control_and_no_other() {
    let mut routes = Vec::new();
    for route in SOURCE.split(".route(\"").skip(1) {
        let (path, rest) = route.split_once('"').unwrap();
        let methods = rest.split(")\n").next().unwrap();
        for (word, method) in [("get(", "GET"), ("post(", "POST"), ("put(", "PUT"), ("delete(", "DELETE")] {
            if methods.contains(word) {
                routes.push(format!("{method} {path}"));
            }
        }
    }
    routes.sort();
    assert!(routes.len() > 8, "{routes:?}");
    assert_eq!(rows(), routes);
}

/// The words that a refusal says would have been understood.
fn known(refusal: &str) -> Vec<&str> {
    let known = refusal.split_once("expected").unwrap_or_else(|| panic!("no words in: {refusal}")).1;
    known.split('`').skip(1).step_by(2).collect()
}

/// Fails for words that stand nowhere on the page.
fn are_on_the_page(words: &[&str], of: &str) {
    let missing: Vec<&&str> = words
        .iter()
        .filter(|word| !PAGE.contains(&format!("`{word}`")) && !PAGE.contains(&format!("\"{word}\"")))
        .collect();
    assert!(!words.is_empty() && missing.is_empty(), "{of} has knobs that the page does not: {missing:?}");
}

#[tokio::test(start_paused = true)]
async fn the_page_has_every_knob_of_the_controls() {
    let lab = Lab::new(Settings::default());
    let odd = json!({"nonsense": 1});
    for (control, body) in [
        ("faults", odd.clone()),
        ("faults", json!({"s3": [odd]})),
        ("faults", json!({"responses": [odd]})),
        ("faults", json!({"told": {"/x": odd}})),
        ("others", odd.clone()),
        ("others", json!({"uploads": [odd]})),
        ("others", json!({"copies": [odd]})),
        ("others", json!({"jobs": [odd]})),
    ] {
        let request = Request::post(format!("http://simulator/sim/{control}"));
        let answer =
            in_process::call(lab.simulator.router(), request.body(Body::from(body.to_string())).unwrap());
        let answer: Value = serde_json::from_slice(&read(answer.await).await).unwrap();
        are_on_the_page(&known(answer["error"].as_str().unwrap()), &format!("{control} {body}"));
    }
}

#[test]
fn the_page_has_every_word_of_world_files() {
    let odd = json!({"nonsense": 1});
    let project = |more: (&str, Value)| {
        let mut project = json!({"id": "11111111-2222-4333-8444-000000000001", "name": "lab"});
        project[more.0] = more.1;
        json!({"projects": [project]})
    };
    for world in [
        odd.clone(),
        json!({"projects": [odd]}),
        project(("byob", odd.clone())),
        project(("files", json!([odd]))),
        project(("links", json!([odd]))),
        json!({"projects": [], "buckets": [odd]}),
        json!({"projects": [], "buckets": [{"name": "b", "objects": [odd]}]}),
        json!({"projects": [], "accounts": [odd]}),
    ] {
        let error = WorldFile::parse(&world.to_string()).unwrap_err();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        are_on_the_page(&known(&text), &world.to_string());
    }
}
