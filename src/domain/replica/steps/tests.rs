//! Tables that follow their schemas, and what stays.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::replica::{
    changes::Sort,
    fixtures::{Fixture, applied, made},
    names::TableName,
    schema,
    shape::Literal,
};

fn shape_of(columns: Vec<Column>) -> Shape {
    let id = Column { part: Part::Key, required: true, ..column("id", Kind::One(Scalar::Bigint)) };
    Shape { columns: [vec![id], columns].concat(), comment: None }
}

fn column(name: &str, kind: Kind) -> Column {
    Column { name: name.to_owned(), part: Part::Value, kind, required: false, default: None, comment: None }
}

fn labels(labels: &[&str]) -> Scalar {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    Scalar::Enum(Enumeration { name: "t__c".to_owned(), labels })
}

/// What a column of one kind becomes that is asked to be of another: the types that it passes, and the notes.
fn turned(from: &Kind, to: &Kind) -> (String, Option<Sort>, Vec<String>) {
    let (before, after) =
        (shape_of(vec![column("c", from.clone())]), shape_of(vec![column("c", to.clone())]));
    let found = made(&before);
    let changes = changes(&found, &after);
    let sort = changes.steps.first().map(Step::sort);
    (applied(found, &changes).columns[1].kind.clone(), sort, changes.notes)
}

fn one(from: Scalar, to: Scalar) -> (String, Option<Sort>, usize) {
    let (kind, sort, notes) = turned(&Kind::One(from), &Kind::One(to));
    (kind, sort, notes.len())
}

fn becomes(kind: &str, sort: Sort, notes: usize) -> (String, Option<Sort>, usize) {
    (kind.to_owned(), Some(sort), notes)
}

fn stays(kind: &str) -> (String, Option<Sort>, usize) {
    (kind.to_owned(), None, 1)
}

const MONEY: Scalar = Scalar::Numeric { precision: 12, scale: 2 };

#[test]
fn a_table_follows_its_schema_from_commit_to_commit_as_with_the_official_client() {
    let kitchen = Fixture::named("kitchen");
    let mut table = made(&kitchen.shape(0));
    for commit in 1..kitchen.commits.len() {
        let changes = changes(&table, &kitchen.shape(commit));
        assert_eq!(changes.notes, Vec::<String>::new());
        table = applied(table, &changes);
        assert_eq!(table, kitchen.found(commit), "after commit {commit}");
    }
}

#[test]
fn a_table_that_has_skipped_schemas_comes_to_the_same() {
    let kitchen = Fixture::named("kitchen");
    let changes = changes(&kitchen.found(0), &kitchen.shape(6));
    let sorts: Vec<_> = changes.steps.iter().map(Step::sort).collect();
    assert_eq!(
        sorts,
        [
            Sort::Drop,
            Sort::Widen,
            Sort::Widen,
            Sort::Widen,
            Sort::Enum,
            Sort::Add,
            Sort::Comment,
            Sort::Comment
        ]
    );
    assert_eq!(applied(kitchen.found(0), &changes), kitchen.found(6));
}

#[test]
fn what_the_official_client_has_made_is_left_as_it_is() {
    for fixture in Fixture::all() {
        for commit in 0..fixture.commits.len() {
            let Changes { steps, .. } = changes(&fixture.found(commit), &fixture.shape(commit));
            let demanded = |step: &Step| matches!(step, Step::Required { .. });
            assert!(steps.iter().all(demanded), "{} {commit}: {steps:?}", fixture.table());
        }
    }
}

#[test]
fn a_varchar_that_was_made_narrower_stays_and_says_so_each_time_and_widens_later() {
    let narrowed = Fixture::named("narrowed");
    let found = narrowed.found(0);
    let note = "name stays character varying(20), although the schema says character varying(5)";
    for _ in 0..3 {
        assert_eq!(
            changes(&found, &narrowed.shape(1)),
            Changes { steps: vec![], notes: vec![note.to_owned()] }
        );
    }
    let wide = shape_of(vec![column("name", Kind::One(Scalar::Varchar(30)))]);
    let changes = changes(&Found { comment: None, ..found.clone() }, &wide);
    assert_eq!(changes.notes, Vec::<String>::new());
    assert_eq!(applied(found, &changes).columns[1].kind, "character varying(30)");
}

#[test]
fn an_enumeration_that_lost_a_label_keeps_it_and_says_so_each_time() {
    let lost = Fixture::named("lost_value");
    let Changes { steps, notes } = changes(&lost.found(0), &lost.shape(1));
    assert_eq!(steps, []);
    assert_eq!(notes, ["the enumeration of state keeps \"c\", which the schema has no more"]);
    // A label that comes then is put behind all that are there.
    let more = shape_of(vec![column("state", Kind::One(labels(&["d", "a", "b"])))]);
    let found = Found { comment: None, ..lost.found(0) };
    let grown = applied(found.clone(), &changes(&found, &more));
    assert_eq!(grown.columns[1].labels.as_deref().unwrap(), ["a", "b", "c", "d"]);
    assert_eq!(grown.columns[1].kind, "lost_value__state");
}

#[test]
fn a_column_that_is_demanded_is_asked_for_each_time_until_no_null_is_left() {
    let demanded = Fixture::named("null_demanded");
    let required = Step::Required { column: "name".to_owned() };
    for _ in 0..3 {
        assert_eq!(changes(&demanded.found(0), &demanded.shape(1)).steps, std::slice::from_ref(&required));
    }
    assert_eq!(
        changes(&demanded.found(1), &demanded.shape(0)).steps,
        [Step::Optional { column: "name".to_owned() }]
    );
}

#[test]
fn a_required_column_is_added_without_being_so_for_the_rows_that_are_there() {
    let needed =
        |default| shape_of(vec![Column { required: true, default, ..column("c", Kind::One(Scalar::Text)) }]);
    let table = made(&shape_of(vec![]));
    let steps = changes(&table, &needed(None)).steps;
    assert!(matches!(&steps[0], Step::Add(Column { required: false, .. })));
    assert_eq!(steps[1..], [Step::Required { column: "c".to_owned() }]);
    // With a default all rows have a value at once.
    let steps = changes(&table, &needed(Some(Literal::Text(String::new())))).steps;
    assert!(matches!(&steps[..], [Step::Add(Column { required: true, .. })]));
}

#[test]
fn numbers_widen_and_are_never_cut() {
    assert_eq!(one(Scalar::Smallint, Scalar::Bigint), becomes("bigint", Sort::Widen, 0));
    assert_eq!(one(Scalar::Bigint, Scalar::Smallint), stays("bigint"));
    assert_eq!(one(Scalar::Real, Scalar::Double), becomes("double precision", Sort::Widen, 0));
    assert_eq!(one(Scalar::Double, Scalar::Real), stays("double precision"));
    assert_eq!(one(Scalar::Integer, Scalar::Double), becomes("double precision", Sort::Widen, 0));
    assert_eq!(one(Scalar::Double, Scalar::Integer), stays("double precision"));
    // 64 bits do not fit into a floating point number, in neither direction.
    assert_eq!(one(Scalar::Bigint, Scalar::Double), becomes("numeric", Sort::Widen, 1));
    assert_eq!(one(Scalar::Double, Scalar::Bigint), becomes("numeric", Sort::Widen, 1));
    assert_eq!(one(Scalar::Integer, Scalar::Real), becomes("numeric", Sort::Widen, 1));
    assert_eq!(one(MONEY, Scalar::Double), becomes("numeric", Sort::Widen, 1));
    assert_eq!(one(Scalar::Double, MONEY), becomes("numeric", Sort::Widen, 1));
    for then in [Scalar::Bigint, Scalar::Double, Scalar::Real, MONEY] {
        let any = written::read("numeric", None).unwrap();
        assert_eq!(one(any.scalar().clone(), then), stays("numeric"));
    }
    assert_eq!(one(Scalar::Integer, MONEY), becomes("numeric(12,2)", Sort::Widen, 0));
    assert_eq!(one(Scalar::Bigint, MONEY), becomes("numeric(21,2)", Sort::Widen, 1));
    assert_eq!(one(MONEY, Scalar::Bigint), becomes("numeric(21,2)", Sort::Widen, 1));
    assert_eq!(
        one(MONEY, Scalar::Numeric { precision: 10, scale: 4 }),
        becomes("numeric(14,4)", Sort::Widen, 1)
    );
    assert_eq!(one(MONEY, Scalar::Numeric { precision: 10, scale: 2 }), stays("numeric(12,2)"));
}

#[test]
fn texts_widen_and_are_never_cut() {
    assert_eq!(one(Scalar::Varchar(20), Scalar::Text), becomes("text", Sort::Widen, 0));
    assert_eq!(one(Scalar::Text, Scalar::Varchar(20)), stays("text"));
    assert_eq!(one(Scalar::Char(4), Scalar::Varchar(3)), becomes("character varying(4)", Sort::Widen, 1));
    assert_eq!(one(Scalar::Varchar(3), Scalar::Char(4)), becomes("character varying(4)", Sort::Widen, 1));
    assert_eq!(one(Scalar::Char(3), Scalar::Char(4)), becomes("character(4)", Sort::Widen, 0));
    assert_eq!(one(labels(&["a"]), Scalar::Text), becomes("text", Sort::Widen, 0));
    assert_eq!(one(labels(&["abc"]), Scalar::Varchar(2)), becomes("character varying(3)", Sort::Widen, 1));
    assert_eq!(one(Scalar::Text, labels(&["a"])), stays("text"));
    assert_eq!(one(Scalar::Varchar(1), labels(&["abc"])), becomes("character varying(3)", Sort::Widen, 1));
}

#[test]
fn what_becomes_a_text_that_is_too_short_for_it_becomes_any_text() {
    assert_eq!(one(Scalar::Uuid, Scalar::Varchar(36)), becomes("character varying(36)", Sort::Retype, 0));
    assert_eq!(one(Scalar::Uuid, Scalar::Varchar(35)), becomes("text", Sort::Retype, 1));
    assert_eq!(one(Scalar::Timestamp, Scalar::Varchar(255)), becomes("text", Sort::Retype, 1));
    assert_eq!(one(Scalar::Integer, labels(&["a"])), becomes("text", Sort::Retype, 1));
    assert_eq!(one(Scalar::Integer, Scalar::Text), becomes("text", Sort::Retype, 0));
    assert_eq!(one(Scalar::Text, Scalar::Jsonb), becomes("jsonb", Sort::Retype, 0));
    assert_eq!(one(Scalar::Jsonb, Scalar::JsonOrText), ("jsonb".to_owned(), None, 0));
}

#[test]
fn the_time_of_a_moment_is_not_lost_where_a_day_is_asked_for() {
    assert_eq!(one(Scalar::Timestamp, Scalar::Date), stays("timestamp without time zone"));
    assert_eq!(one(Scalar::Date, Scalar::Timestamp), becomes("timestamp without time zone", Sort::Widen, 0));
}

#[test]
fn one_value_becomes_a_list_and_a_list_one_value() {
    let (list, text) = (Kind::List(Scalar::Varchar(3)), Kind::One(Scalar::Text));
    assert_eq!(turned(&text, &list).0, "text[]");
    assert_eq!(turned(&Kind::One(Scalar::Varchar(2)), &list).0, "character varying(3)[]");
    assert_eq!(turned(&list, &Kind::One(Scalar::Varchar(3))).0, "text");
    assert_eq!(turned(&list, &Kind::One(Scalar::Jsonb)).0, "jsonb");
    assert_eq!(turned(&Kind::List(Scalar::Integer), &Kind::List(Scalar::Bigint)).0, "bigint[]");
    assert_eq!(turned(&Kind::List(labels(&["a"])), &Kind::List(labels(&["b", "a"]))).1, Some(Sort::Enum));
}

#[test]
fn a_type_that_somebody_else_has_set_is_set_again() {
    let shape = shape_of(vec![column("c", Kind::One(Scalar::Timestamp))]);
    let mut found = made(&shape);
    found.columns[1].kind = "timestamp with time zone".to_owned();
    assert_eq!(applied(found.clone(), &changes(&found, &shape)), made(&shape));
}

#[test]
fn the_key_stays_and_another_one_is_told() {
    let key =
        |name: &str| Column { part: Part::Key, required: true, ..column(name, Kind::One(Scalar::Bigint)) };
    let shape = Shape { columns: vec![key("left_id"), key("right_id")], comment: None };
    let found = made(&Shape { columns: vec![key("left_id"), key("old_id")], comment: None });
    let Changes { steps, notes } = changes(&found, &shape);
    assert_eq!(steps, []);
    assert_eq!(
        notes,
        [
            "the key stays (left_id, old_id), although the schema says (left_id, right_id); drop the table, and have it loaded anew"
        ]
    );
    assert_eq!(other_key(&made(&shape), &shape), None);
}

#[test]
fn a_default_that_postgresql_writes_in_its_own_way_is_the_same() {
    let same = |found: &str, wanted: Literal, scalar: Scalar| {
        defaults::same(Some(found), Some(&wanted), &Kind::One(scalar))
    };
    let (text, number) =
        (|text: &str| Literal::Text(text.to_owned()), |number: &str| Literal::Number(number.to_owned()));
    assert!(same("'it''s'::text", text("it's"), Scalar::Text));
    assert!(same("'a::b'::character varying", text("a::b"), Scalar::Varchar(9)));
    assert!(same("'a'::canvas.\"Mixed Case__state\"", text("a"), labels(&["a"])));
    assert!(same("'5'::bigint", number("5"), Scalar::Bigint));
    assert!(same("'-5'::integer", number("-5"), Scalar::Integer));
    assert!(same("(-5)", number("-5"), Scalar::Smallint));
    assert!(same("1.50", number("1.5"), MONEY));
    assert!(same(
        "'2024-01-01 00:00:00.5'::timestamp without time zone",
        text("2024-01-01T00:00:00.500Z"),
        Scalar::Timestamp
    ));
    assert!(same("'2001:db8::1'::inet", text("2001:0db8::1"), Scalar::Inet));
    assert!(same("false", Literal::Boolean(false), Scalar::Boolean));
    assert!(!same("true", Literal::Boolean(false), Scalar::Boolean));
    assert!(!same("'a'::text", text("b"), Scalar::Text));
    assert!(!same("9007199254740993", number("9007199254740992"), Scalar::Bigint));
    assert!(!same("nextval('s'::regclass)", number("1"), Scalar::Bigint));
    assert!(!same("('a'::text || 'b'::text)", text("a"), Scalar::Text));
    // As 18.6 writes `DEFAULT 1e20` and others.
    assert!(same("'100000000000000000000'::numeric", number("1e20"), Scalar::Double));
    assert!(same("'-1.5'::numeric", number("-1.5"), Scalar::Double));
    assert!(same("0.1", number("0.1"), Scalar::Real));
    assert!(same("'abc'::bpchar", text("abc"), Scalar::Char(4)));
    assert!(same("'a)::text'::text", text("a)::text"), Scalar::Text));
    assert!(same("'(a'::text", text("(a"), Scalar::Text));
    assert!(same("'(a)'::text", text("(a)"), Scalar::Text));
    assert!(same(
        "'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'::uuid",
        text("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"),
        Scalar::Uuid
    ));
    assert!(same("'10:00:00'::time without time zone", text("10:00:00"), Scalar::Time));
    assert!(defaults::same(Some("NULL::text"), None, &Kind::One(Scalar::Text)));
    assert!(!defaults::same(Some("5"), None, &Kind::One(Scalar::Integer)));
}

fn any_scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        prop::sample::select(vec![
            Scalar::Smallint,
            Scalar::Integer,
            Scalar::Bigint,
            Scalar::Real,
            Scalar::Double,
            Scalar::Boolean,
            Scalar::Text,
            Scalar::Timestamp,
            Scalar::Date,
            Scalar::Time,
            Scalar::Uuid,
            Scalar::Inet,
            Scalar::Jsonb,
            Scalar::JsonOrText,
        ]),
        (1..40_u32, 0..40_u32).prop_map(|(whole, scale)| Scalar::Numeric { precision: whole + scale, scale }),
        (1..40_u32).prop_map(Scalar::Varchar),
        (1..40_u32).prop_map(Scalar::Char),
        prop::sample::subsequence(vec!["a", "bb", "", "dddddddd"], 1..=4)
            .prop_shuffle()
            .prop_map(|words| labels(&words)),
    ]
}

fn any_column() -> impl Strategy<Value = Column> {
    let name = prop::sample::select(vec!["a", "b", "c", "d", "e", "f"]);
    let comment = prop::option::of(prop::sample::select(vec!["x".to_owned(), "y".to_owned()]));
    (name, any_scalar(), any::<bool>(), any::<bool>(), any::<bool>(), comment).prop_map(
        |(name, scalar, list, required, with_default, comment)| {
            let default = match &scalar {
                _ if list || !with_default => None,
                Scalar::Smallint | Scalar::Integer | Scalar::Bigint => Some(Literal::Number("5".to_owned())),
                Scalar::Real | Scalar::Double => Some(Literal::Number("1.5".to_owned())),
                Scalar::Boolean => Some(Literal::Boolean(true)),
                Scalar::Text | Scalar::Varchar(_) => Some(Literal::Text("'".to_owned())),
                Scalar::Enum(enumeration) => enumeration.labels.first().cloned().map(Literal::Text),
                Scalar::Numeric { .. }
                | Scalar::Char(_)
                | Scalar::Jsonb
                | Scalar::JsonOrText
                | Scalar::Timestamp
                | Scalar::Date
                | Scalar::Time
                | Scalar::Uuid
                | Scalar::Inet => None,
            };
            let kind = if list { Kind::List(scalar) } else { Kind::One(scalar) };
            Column { required, default, comment, ..column(name, kind) }
        },
    )
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let comment = prop::option::of(Just("about".to_owned()));
    (prop::collection::vec(any_column(), 0..6), comment).prop_map(|(mut columns, comment)| {
        columns.sort_by(|one, other| one.name.cmp(&other.name));
        columns.dedup_by(|one, other| one.name == other.name);
        Shape { comment, ..shape_of(columns) }
    })
}

proptest! {
    #[test]
    fn a_table_that_was_changed_needs_no_change(shapes in prop::collection::vec(any_shape(), 2..5)) {
        let mut table = made(&shapes[0]);
        for shape in &shapes[1..] {
            table = applied(table.clone(), &changes(&table, shape));
            let again = changes(&table, shape);
            prop_assert_eq!(&again.steps, &[]);
            // What stays says so again in the same words.
            prop_assert_eq!(changes(&table, shape), again);
            let names = |names: &mut dyn Iterator<Item = String>| names.collect::<BTreeSet<_>>();
            prop_assert_eq!(
                names(&mut table.columns.iter().map(|column| column.name.clone())),
                names(&mut shape.columns.iter().map(|column| column.name.clone()))
            );
        }
    }
}

#[test]
fn a_column_that_goes_and_comes_again_is_as_new() {
    let table = TableName::new("canvas", "t");
    let with = |value: serde_json::Value| {
        let key = json!({"properties": {"id": {"type": "integer"}}});
        schema::shape(&table, &json!({"properties": {"key": key, "value": {"properties": value}}})).unwrap()
    };
    let (there, gone) =
        (with(json!({"state": {"type": "string", "enum": ["a"], "default": "a"}})), with(json!({})));
    let found = applied(made(&there), &changes(&made(&there), &gone));
    assert_eq!(found, made(&gone));
    assert_eq!(applied(found.clone(), &changes(&found, &there)), made(&there));
}
