//! Requests for runs over the tables of a replica, and what a run is told to have come to.

use serde_json::{Map, Value, json};

use crate::domain::replica::{
    order::{Mode, ReplicaOrder},
    run::{RunReport, TableResult, TableState},
    settings::CanvasSettings,
};

/// The names of the fields of a request.
const FIELDS: [&str; 6] = ["instance", "namespace", "tables", "mode", "heal", "dryRun"];
/// Names of tables that a request may have, and bytes of a name.
const MOST_TABLES: usize = 5_000;
const LONGEST_NAME: usize = 256;
/// Bytes of the message that a caller gets.
const LONGEST_PIVOT: usize = 190 << 10;
/// How much of a reason is told where it is one among many.
const LONGEST_WHY: usize = 600;

/// A request, with what it does not say as the settings have it.
///
/// # Errors
///
/// The first thing that is wrong with it, in one sentence.
pub fn request(payload: &Value, of: &CanvasSettings) -> Result<ReplicaOrder, String> {
    let fields = payload.as_object().ok_or("the payload must be an object")?;
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(format!("`{name}` is no field of it: there are {}", FIELDS.join(", ")));
    }
    let namespace = match text(fields, "namespace")? {
        Some(namespace) => namespace,
        None => of.namespaces.first().cloned().unwrap_or_default(),
    };
    if !of.namespaces.contains(&namespace) {
        return Err(format!("`namespace` must be one of canvas.namespaces: {}", of.namespaces.join(", ")));
    }
    let mode = match text(fields, "mode")? {
        None => Mode::Sync,
        Some(name) => Mode::ALL
            .into_iter()
            .find(|mode| mode.as_str() == name)
            .ok_or_else(|| "`mode` must be sync, init, drop or audit".to_owned())?,
    };
    let tables = tables(fields)?;
    if mode == Mode::Drop && tables.is_empty() {
        return Err("`tables` must name the tables that are to be dropped".to_owned());
    }
    let heal = flag(fields, "heal")?;
    if heal && mode != Mode::Audit {
        return Err("`heal` goes with `\"mode\": \"audit\"`".to_owned());
    }
    let dry_run = flag(fields, "dryRun")?;
    Ok(ReplicaOrder { instance: of.instance.clone(), namespace, tables, mode, heal, dry_run })
}

/// Whose settings a request wants; `None`: the only ones.
///
/// # Errors
///
/// What is wrong with the field.
pub fn instance(payload: &Value) -> Result<Option<String>, String> {
    payload.as_object().map_or(Ok(None), |fields| text(fields, "instance"))
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= LONGEST_NAME => Ok(Some(text.clone())),
        Some(_) => Err(format!("`{name}` must be a text of 1 to {LONGEST_NAME} bytes")),
    }
}

fn flag(fields: &Map<String, Value>, name: &str) -> Result<bool, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(format!("`{name}` must be true or false")),
    }
}

fn tables(fields: &Map<String, Value>) -> Result<Vec<String>, String> {
    let wrong =
        || format!("`tables` must be a list of at most {MOST_TABLES} names of 1 to {LONGEST_NAME} bytes");
    let list = match fields.get("tables") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MOST_TABLES => list,
        Some(_) => return Err(wrong()),
    };
    let mut tables: Vec<String> = Vec::with_capacity(list.len());
    for name in list {
        let name =
            name.as_str().filter(|name| !name.is_empty() && name.len() <= LONGEST_NAME).ok_or_else(wrong)?;
        if !tables.iter().any(|known| known == name) {
            tables.push(name.to_owned());
        }
    }
    Ok(tables)
}

/// What a run has come to: the message of the application that this replaces, with what we count besides. What is too
/// long loses its reasons first, then its details.
#[must_use]
pub fn pivot(report: &RunReport) -> Value {
    use TableState::{Complete, CompleteWithUpdate, Failed, NeedsInit, NeedsSync};
    let (failed, updated, complete) = (
        report.names(&[Failed, NeedsInit, NeedsSync]),
        report.names(&[CompleteWithUpdate]),
        report.names(&[Complete]),
    );
    let errors: Map<String, Value> = report
        .tables
        .iter()
        .filter_map(|table| Some((table.table.clone(), cut(table.error.as_deref()?).into())))
        .collect();
    let held: Map<String, Value> = report
        .tables
        .iter()
        .filter(|table| !table.held.is_empty())
        .map(|table| (table.table.clone(), json!(table.held)))
        .collect();
    let rejected: Map<String, Value> = report
        .tables
        .iter()
        .filter(|table| table.counts.rejected > 0)
        .map(|table| (table.table.clone(), table.counts.rejected.into()))
        .collect();
    let mut pivot = json!({
        "failed": failed,
        "failed_init": report.names(&[NeedsInit]),
        "failed_sync": report.names(&[NeedsSync]),
        "complete_with_update": updated,
        "complete": complete,
        "num_failed": failed.len(),
        "num_complete_with_update": updated.len(),
        "num_complete": complete.len(),
        "run": report.run,
        "instance": report.instance,
        "namespace": report.namespace,
        "mode": report.mode,
        "errors": errors,
        "stale": report.stale,
        "held": held,
        "rejected": rejected,
        "error": report.error,
        "tables": report.tables.iter().map(table).collect::<Vec<_>>(),
    });
    let names = ["complete", "complete_with_update", "failed_sync", "failed_init", "failed"];
    for name in ["tables", "held", "stale", "errors", "rejected"].into_iter().chain(names) {
        if pivot.to_string().len() <= LONGEST_PIVOT {
            break;
        }
        if let Some(fields) = pivot.as_object_mut() {
            fields.remove(name);
            fields.insert("truncated".to_owned(), true.into());
        }
    }
    pivot
}

/// The tables as the fork in use publishes them: a list of `table_name`, `state`, `error_message`.
#[must_use]
pub fn listed(report: &RunReport) -> Value {
    let all = list(report, LONGEST_WHY);
    if all.to_string().len() <= LONGEST_PIVOT { all } else { list(report, 0) }
}

fn list(report: &RunReport, longest: usize) -> Value {
    let one = |table: &TableResult| {
        let mut shown = json!({ "table_name": table.table, "state": table.state.as_str() });
        if let (Some(fields), Some(why)) =
            (shown.as_object_mut(), table.error.as_ref().filter(|_| longest > 0))
        {
            fields.insert("error_message".to_owned(), cut(why).into());
        }
        shown
    };
    report.tables.iter().map(one).collect()
}

/// A run in lines for people.
#[must_use]
pub fn in_words(report: &RunReport) -> String {
    use TableState::{Complete, CompleteWithUpdate};
    let (namespace, of) = (&report.namespace, report.tables.len());
    if let Some(why) = &report.error {
        return format!("Canvas Data 2, {namespace}: the tables could not be listed: {}", cut(why));
    }
    let complete = report.names(&[Complete, CompleteWithUpdate]).len();
    let mut lines = vec![format!("Canvas Data 2, {namespace}: {complete} of {of} tables complete")];
    for table in report.tables.iter().filter(|table| !table.state.is_complete()) {
        let why = table.error.as_deref().map(|why| format!(": {}", cut(why))).unwrap_or_default();
        lines.push(format!("- {} {}{why}", table.table, table.state.as_str()));
    }
    for table in report.tables.iter().filter(|table| table.state == CompleteWithUpdate) {
        lines.push(format!("- {} complete_with_update: {}", table.table, table.remade.join(", ")));
    }
    for table in report.tables.iter().filter(|table| !table.held.is_empty()) {
        lines.push(format!("- {} waits for a person: {}", table.table, table.held.join("; ")));
    }
    for table in report.tables.iter().filter(|table| table.counts.rejected > 0) {
        lines.push(format!("- {}: {} rows put aside", table.table, table.counts.rejected));
    }
    lines.extend(report.stale.iter().map(|(table, of)| format!("- {table} is of {of}")));
    lines.join("\n")
}

fn table(of: &TableResult) -> Value {
    let mut shown = json!({ "table": of.table, "state": of.state.as_str() });
    let Some(fields) = shown.as_object_mut() else { return shown };
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    if let Some(why) = &of.error {
        add("error", cut(why).into());
    }
    if let Some(at) = of.data_of {
        add("dataOf", at.to_string().into());
    }
    add("rows", json!(of.counts));
    if of.initialised {
        add("initialised", true.into());
    }
    for (name, list) in
        [("remade", &of.remade), ("notes", &of.notes), ("held", &of.held), ("statements", &of.statements)]
    {
        if !list.is_empty() {
            add(name, json!(list));
        }
    }
    if let Some(audit) = &of.audit {
        add("audit", json!(audit));
    }
    shown
}

fn cut(why: &str) -> String {
    if why.chars().count() <= LONGEST_WHY {
        return why.to_owned();
    }
    why.chars().take(LONGEST_WHY).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings() -> CanvasSettings {
        let default: toml::Table = crate::config::DEFAULT.parse().unwrap();
        let mut canvas = default["canvas"].clone();
        let table = canvas.as_table_mut().unwrap();
        table.retain(|_, value| value.as_str() != Some(""));
        canvas.try_into().unwrap()
    }

    #[test]
    fn a_request_says_what_it_wants_and_the_settings_the_rest() {
        let of = settings();
        let plain = request(&json!({}), &of).unwrap();
        assert_eq!((plain.namespace.as_str(), plain.mode, plain.tables.len()), ("canvas", Mode::Sync, 0));
        let asked = json!({ "tables": ["users", "users", "courses"], "mode": "audit", "heal": true });
        let order = request(&asked, &of).unwrap();
        assert_eq!(
            (order.tables, order.mode, order.heal),
            (vec!["users".into(), "courses".into()], Mode::Audit, true)
        );
    }

    #[test]
    fn a_wrong_request_is_told_what_is_wrong_with_it() {
        let of = settings();
        for (payload, says) in [
            (json!([]), "must be an object"),
            (json!({ "table": "users" }), "`table` is no field of it"),
            (json!({ "namespace": "catalog" }), "one of canvas.namespaces"),
            (json!({ "mode": "rebuild" }), "sync, init, drop or audit"),
            (json!({ "mode": "drop" }), "must name the tables"),
            (json!({ "heal": true }), "goes with"),
            (json!({ "tables": "users" }), "must be a list"),
            (json!({ "tables": [""] }), "must be a list"),
            (json!({ "dryRun": "yes" }), "true or false"),
        ] {
            let why = request(&payload, &of).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn the_message_has_the_fields_of_the_application_that_it_replaces() {
        let table = |name: &str, state| TableResult::new(name, state);
        let report = RunReport {
            run: "r".into(),
            instance: "main".into(),
            namespace: "canvas".into(),
            mode: Mode::Sync,
            tables: vec![
                table("a", TableState::Complete),
                table("b", TableState::CompleteWithUpdate),
                TableResult::failed("c", "why"),
                table("d", TableState::NeedsInit),
                table("e", TableState::NeedsSync),
            ],
            stale: BTreeMap::new(),
            error: None,
        };
        let pivot = pivot(&report);
        assert_eq!(pivot["failed"], json!(["c", "d", "e"]));
        assert_eq!((&pivot["failed_init"], &pivot["failed_sync"]), (&json!(["d"]), &json!(["e"])));
        assert_eq!((&pivot["complete"], &pivot["complete_with_update"]), (&json!(["a"]), &json!(["b"])));
        let counts =
            ["num_failed", "num_complete_with_update", "num_complete"].map(|name| pivot[name].as_u64());
        assert_eq!(counts, [Some(3), Some(1), Some(1)]);
        assert_eq!(pivot["errors"], json!({ "c": "why" }));
        assert_eq!(
            listed(&report)[2],
            json!({ "table_name": "c", "state": "failed", "error_message": "why" })
        );
        assert!(
            in_words(&report).starts_with("Canvas Data 2, canvas: 2 of 5 tables complete\n- c failed: why")
        );
    }

    #[test]
    fn a_run_of_thousands_of_tables_is_told_within_its_bounds() {
        let why = "x".repeat(5000);
        let tables = (0..3000).map(|n| TableResult::failed(format!("table_{n}"), why.as_str())).collect();
        let report = RunReport {
            run: "r".into(),
            instance: "main".into(),
            namespace: "canvas".into(),
            mode: Mode::Sync,
            tables,
            stale: BTreeMap::new(),
            error: None,
        };
        let pivot = pivot(&report);
        assert!(pivot.to_string().len() <= LONGEST_PIVOT);
        assert_eq!((&pivot["num_failed"], &pivot["truncated"]), (&json!(3000), &json!(true)));
    }
}
