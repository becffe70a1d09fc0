//! Records that earlier versions have written (`tests/fixtures/records`), for the tests of those who read
//! them.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

const WRITTEN: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/records/0c087f2.jsonl"));

/// The documents in that attribute of all records of a type, which begins so.
pub(crate) fn documents(record_type: &str, attribute: &str) -> Vec<String> {
    let records = WRITTEN.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_type = records.filter(|record| record["type"].as_str().unwrap().starts_with(record_type));
    of_type.filter_map(|record| Some(record[attribute].as_str()?.to_owned())).collect()
}

/// Reads each as that type and writes it again: all that was there is there still. How many there were.
pub(crate) fn are_kept<T: Serialize + DeserializeOwned>(documents: &[String]) -> usize {
    for text in documents {
        let read: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let before = serde_json::from_str(text).unwrap();
        assert_kept(&before, &serde_json::to_value(&read).unwrap(), text);
    }
    documents.len()
}

fn assert_kept(before: &Value, after: &Value, text: &str) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                // A field that is empty need not be written.
                let is_empty = match value {
                    Value::Object(fields) => fields.is_empty(),
                    Value::Array(entries) => entries.is_empty(),
                    other => other.is_null(),
                };
                match after.get(name) {
                    Some(now) => assert_kept(value, now, text),
                    None => assert!(is_empty, "`{name}` was lost of {text}"),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len(), "{text}");
            before.iter().zip(after).for_each(|(before, after)| assert_kept(before, after, text));
        }
        (before, after) => assert_eq!(before, after, "{text}"),
    }
}

#[test]
fn reads_what_earlier_versions_wrote() {
    use super::records::{Phase, RootState, attr};
    use crate::{
        domain::{
            outcome::{Failure, Outcome},
            request::{CopyRequest, FolderRequest},
        },
        ports::store::{Item, Key},
    };

    let is_root = |text: &String| text.contains("\"generation\"");
    let states: Vec<_> = documents("REQUEST", "state").into_iter().filter(is_root).collect();
    assert!(are_kept::<RootState>(&states) >= 4);
    assert!(are_kept::<Outcome>(&documents("OUTCOME", "outcome")) >= 8);
    assert!(are_kept::<Failure>(&documents("STOP", "failure")) >= 1);
    let is_copy = |text: &String| text.contains("\"destination\":");
    let copies: Vec<_> = documents("PAYLOAD", "spec").into_iter().filter(is_copy).collect();
    assert!(are_kept::<CopyRequest>(&copies) >= 5);
    assert!(are_kept::<FolderRequest>(&documents("WAITER#", "spec")) >= 6);
    assert!(are_kept::<Vec<FolderRequest>>(&documents("PLAN#", "spec")) >= 4);
    let known: Vec<_> =
        documents("REQUEST", "phase").into_iter().filter(|phase| phase != "WARPING").collect();
    let of =
        |phase: &String| Phase::of(&Item::new(Key::new("x", "REQUEST")).with(attr::PHASE, phase.as_str()));
    assert!(known.len() > 20 && known.iter().all(|phase| of(phase).is_some()));
}
