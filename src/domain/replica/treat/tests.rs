//! Columns that are treated, changes that wait, names of tables.

use serde_json::json;

use super::*;
use crate::domain::replica::{
    fixtures::{applied, made},
    schema,
    steps::changes,
};

fn users() -> TableName {
    TableName::new("canvas", "users")
}

fn shape() -> Shape {
    let key = json!({"properties": {"id": {"type": "integer"}}});
    let value = json!({"properties": {
        "name": {"type": "string"},
        "state": {"type": "string", "enum": ["a"], "default": "a"},
        "tags": {"type": "array", "items": {"type": "string"}},
    }, "required": ["name", "state"]});
    schema::shape(&users(), &json!({"properties": {"key": key, "value": value}})).unwrap()
}

fn treated(lines: &[&str]) -> Result<Treated, BadTreatment> {
    Treatments::parse(lines)?.apply(&users(), shape())
}

fn columns(shape: &Shape) -> Vec<String> {
    let shown = |column: &crate::domain::replica::shape::Column| {
        format!("{} {}{}", column.name, column.kind, if column.required { " required" } else { "" })
    };
    shape.columns.iter().map(shown).collect()
}

#[test]
fn a_column_is_left_out_or_hashed_or_nulled() {
    let Treated { shape, columns: how } =
        treated(&["users.name=drop", "users.state=null", "users.tags=hash"]).unwrap();
    assert_eq!(columns(&shape), ["id bigint required", "tags text", "state users__state"]);
    assert_eq!(shape.column("state").unwrap().default, None);
    assert_eq!(how.len(), 3);
    assert_eq!(how["name"], Treatment::Drop);
}

#[test]
fn a_required_column_that_is_hashed_stays_required_and_a_key_may_be_hashed() {
    let Treated { shape, .. } = treated(&["canvas.users.name=hash", "users.id=hash"]).unwrap();
    assert_eq!(columns(&shape)[..2], ["id text required", "name text required"]);
}

#[test]
fn a_key_is_neither_left_out_nor_nulled() {
    for line in ["users.id=drop", "users.id=null"] {
        assert_eq!(treated(&[line]), Err(BadTreatment::Key(line.to_owned(), users())));
    }
}

#[test]
fn a_column_that_is_misspelt_is_refused_by_its_line() {
    let error = treated(&["users.nam=drop"]).unwrap_err().to_string();
    assert!(
        error.contains("\"users.nam=drop\"") && error.contains("canvas.users has no such column"),
        "{error}"
    );
    assert!(treated(&["courses.nam=drop", "canvas_logs.users.nam=drop"]).is_ok());
}

#[test]
fn a_line_that_says_nothing_or_two_that_disagree_are_refused() {
    for line in [
        "",
        "users",
        "users.name",
        "users.name=",
        "users.name=Drop",
        "name=drop",
        ".name=drop",
        "users.=drop",
        "a.b.c.d=drop",
    ] {
        assert_eq!(Treatments::parse(&[line]), Err(BadTreatment::Column(line.to_owned())), "{line}");
    }
    assert!(matches!(
        Treatments::parse(&["users.name=drop", "canvas.users.name=hash"]),
        Err(BadTreatment::Twice(..))
    ));
    assert!(Treatments::parse(&["a.users.name=drop", "b.users.name=hash", "users.state=null"]).is_ok());
    assert!(treated(&["users.name=drop", "users.name = drop"]).is_ok());
}

#[test]
fn a_table_is_marked_by_what_is_done_to_it() {
    assert_eq!(treated(&["courses.name=drop"]).unwrap().mark(), None);
    let mark = |lines: &[&str]| {
        let mark = treated(lines).unwrap().mark().unwrap();
        // The same without the shape.
        assert_eq!(Treatments::parse(lines).unwrap().mark(&users()).as_ref(), Some(&mark));
        mark
    };
    assert_eq!(mark(&["users.tags=hash", "users.name=drop"]), "name=drop,tags=hash");
    assert_eq!(mark(&["users.tags=hash", "users.name=drop"]), mark(&["users.name=drop", "users.tags=hash"]));
    assert!(Treatments::parse(&["users.tags=hash"]).unwrap().hashes());
    assert!(!Treatments::parse(&["users.tags=drop"]).unwrap().hashes());
}

#[test]
fn a_change_that_is_held_waits_and_the_rest_is_made() {
    let held = OnChange::parse(&["drop=hold", "retype = hold", "add=apply"]).unwrap();
    let (before, after) = (made(&shape()), treated(&["users.name=drop"]).unwrap().shape);
    let mut after = after;
    after.comment = Some("About users".to_owned());
    let (now, waiting) = held.hold(&before, changes(&before, &after));
    assert_eq!(waiting, [Step::Drop { column: "name".to_owned() }]);
    // Rows come without a name from now on.
    let there = applied(before, &now);
    let name = there.columns.iter().find(|column| column.name == "name").unwrap();
    assert!(!name.required);
    assert_eq!(there.comment, after.comment);
    // The next time nothing but the same waits.
    let (now, waiting) = held.hold(&there, changes(&there, &after));
    assert_eq!((now.steps.len(), waiting.len()), (0, 1));
}

#[test]
fn a_column_that_waits_to_be_added_is_not_demanded_meanwhile() {
    let held = OnChange::parse(&["add=hold"]).unwrap();
    let before = made(&treated(&["users.name=drop"]).unwrap().shape);
    let (now, waiting) = held.hold(&before, changes(&before, &shape()));
    assert!(
        now.steps.iter().all(|step| !matches!(step, Step::Required { column } if column == "name")),
        "{now:?}"
    );
    assert!(matches!(&waiting[..], [Step::Add(_), Step::Required { .. }]), "{waiting:?}");
}

#[test]
fn a_default_waits_for_the_label_that_it_needs() {
    let held = OnChange::parse(&["enum=hold"]).unwrap();
    let mut after = shape();
    let state = after.columns.iter_mut().find(|column| column.name == "state").unwrap();
    let Kind::One(Scalar::Enum(enumeration)) = &mut state.kind else { panic!("an enumeration") };
    enumeration.labels.push("b".to_owned());
    state.default = Some(crate::domain::replica::shape::Literal::Text("b".to_owned()));
    let before = made(&shape());
    let (now, waiting) = held.hold(&before, changes(&before, &after));
    assert_eq!(now.steps, []);
    assert!(matches!(&waiting[..], [Step::AddLabels { .. }, Step::Default(_)]), "{waiting:?}");
    assert_eq!(
        meanwhile(after, &before, &waiting).column("state").unwrap().kind,
        shape().column("state").unwrap().kind
    );
}

#[test]
fn rows_are_loaded_meanwhile_by_what_is_there() {
    let held = OnChange::parse(&["retype=hold", "add=hold", "widen=hold"]).unwrap();
    let mut before = made(&treated(&["users.state=drop"]).unwrap().shape);
    before.columns.iter_mut().find(|column| column.name == "name").unwrap().kind = "bigint".to_owned();
    let (now, waiting) = held.hold(&before, changes(&before, &shape()));
    assert_eq!(now.steps, []);
    assert_eq!(
        columns(&meanwhile(shape(), &before, &waiting)),
        ["id bigint required", "name bigint required", "tags text[]"]
    );
}

#[test]
fn a_change_that_is_misspelt_or_contradicted_is_refused() {
    for line in ["drop", "drop=wait", "rename=hold", "=hold"] {
        assert_eq!(OnChange::parse(&[line]), Err(BadTreatment::Change(line.to_owned())), "{line}");
    }
    assert!(matches!(OnChange::parse(&["drop=hold", "drop=apply"]), Err(BadTreatment::Twice(..))));
    assert_eq!(OnChange::parse(&["drop=apply"]).unwrap(), OnChange::default());
}

#[test]
fn a_table_is_named_in_every_namespace_or_in_one() {
    let tables = Tables::parse(&["enrollments", "canvas.Mixed Case"]).unwrap();
    assert!(tables.holds(&TableName::new("catalog", "enrollments")));
    assert!(tables.holds(&TableName::new("canvas", "Mixed Case")));
    assert!(!tables.holds(&TableName::new("catalog", "Mixed Case")));
    assert!(!tables.holds(&users()));
    for name in ["", ".", "a.", ".a", "a.b.c", "a,b"] {
        assert_eq!(Tables::parse(&[name]), Err(BadTreatment::Table(name.to_owned())), "{name}");
    }
}
