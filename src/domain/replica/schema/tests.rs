//! Schemas of the fixtures, what the official client fails at, and any JSON at all.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::replica::{
    fixtures::{Fixture, made},
    shape::Literal,
};

fn users() -> TableName {
    TableName::new("canvas", "users")
}

/// The shape of a table with that column beside its key.
fn with_column(name: &str, column: &Json) -> Result<Shape, BadSchema> {
    let value = json!({"type": "object", "properties": {name: column}});
    let key = json!({"type": "object", "properties": {"id": {"type": "integer"}}});
    shape(&users(), &json!({"type": "object", "properties": {"key": key, "value": value}}))
}

fn column(schema: &Json) -> Column {
    with_column("c", schema).unwrap().column("c").unwrap().clone()
}

fn kind(schema: &Json) -> String {
    column(schema).kind.to_string()
}

#[test]
fn every_table_of_the_fixtures_is_made_as_the_official_client_makes_it() {
    let fixtures = Fixture::all();
    assert!(fixtures.len() > 20);
    for fixture in fixtures {
        assert_eq!(made(&fixture.shape(0)), fixture.found(0), "{}", fixture.table());
    }
}

#[test]
fn the_schema_is_kept_without_meta_and_in_its_order() {
    for fixture in Fixture::all() {
        for commit in &fixture.commits {
            let text = to_text(&commit.schema);
            assert_eq!(text, commit.becomes.kept.to_string());
            let read = from_text(&fixture.table(), &text).unwrap();
            assert_eq!(shape(&fixture.table(), &read), shape(&fixture.table(), &commit.schema));
        }
    }
}

#[test]
fn what_is_kept_and_is_no_json_is_an_error_that_names_the_table() {
    let error = from_text(&users(), "{\"type\":").unwrap_err();
    assert!(error.to_string().starts_with("the schema that is kept of canvas.users is no JSON"), "{error}");
}

#[test]
fn integers_without_a_format_are_as_large_as_their_bounds() {
    assert_eq!(kind(&json!({"type": "integer", "minimum": -32768, "maximum": 32767})), "smallint");
    assert_eq!(kind(&json!({"type": "integer", "minimum": -32769, "maximum": 0})), "integer");
    assert_eq!(kind(&json!({"type": "integer", "minimum": 0, "maximum": 2_147_483_648_u64})), "bigint");
    assert_eq!(kind(&json!({"type": "integer", "maximum": 1})), "bigint");
    assert_eq!(kind(&json!({"type": "integer", "enum": [1, 70000]})), "integer");
    assert_eq!(kind(&json!({"type": "integer", "format": "uint8"})), "bigint");
}

#[test]
fn a_number_with_steps_within_bounds_keeps_all_its_digits() {
    let within = |step: f64, bound: f64| {
        kind(&json!({
            "type": "number", "multipleOf": step, "exclusiveMinimum": -bound, "exclusiveMaximum": bound,
        }))
    };
    assert_eq!(within(0.01, 1e10), "numeric(12,2)");
    assert_eq!(within(1.0, 1000.0), "numeric(3,0)");
    assert_eq!(within(1e-7, 1e18), "numeric(25,7)");
    assert_eq!(within(0.01, 1.0), "numeric(2,2)");
    assert_eq!(within(0.25, 5000.0), "numeric(6,2)");
    assert_eq!(within(10.0, 1000.0), "numeric(3,0)");
    assert_eq!(within(1e-300, 1e300), "numeric(600,300)");
    assert_eq!(within(0.0, 1000.0), "double precision");
    assert_eq!(
        kind(&json!({"type": "number", "multipleOf": 1, "exclusiveMinimum": 0, "exclusiveMaximum": 9})),
        "double precision"
    );
    assert_eq!(
        kind(&json!({
            "type": "number", "multipleOf": 1e-300, "exclusiveMinimum": -1.7e308, "exclusiveMaximum": 1.7e308,
        })),
        "numeric(609,300)"
    );
}

#[test]
fn what_postgresql_cannot_hold_a_text_to_is_text() {
    assert_eq!(kind(&json!({"type": "string", "maxLength": 10_485_760})), "character varying(10485760)");
    assert_eq!(kind(&json!({"type": "string", "maxLength": 10_485_761})), "text");
    assert_eq!(kind(&json!({"type": "string", "maxLength": 0})), "text");
    assert_eq!(kind(&json!({"type": "string", "maxLength": 255.0})), "character varying(255)");
    assert_eq!(kind(&json!({"type": "string", "const": ""})), "text");
    assert_eq!(kind(&json!({"type": "string", "const": "ünï"})), "character(3)");
    assert_eq!(kind(&json!({"type": "string", "enum": []})), "text");
    assert_eq!(kind(&json!({"type": "string", "enum": ["a".repeat(64)]})), "text");
    assert_eq!(kind(&json!({"type": "string", "contentEncoding": "base64", "maxLength": 3})), "text");
    assert_eq!(kind(&json!({"type": "string", "format": "duration"})), "text");
}

#[test]
fn what_may_be_anything_is_json_and_may_be_a_bare_text() {
    for schema in [
        json!({}),
        json!(true),
        json!({"oneOf": [{"type": "integer"}, {"type": "string"}]}),
        json!({"type": "string", "anyOf": [{"maxLength": 3}]}),
        json!({"type": ["string", "integer"]}),
        json!({"$ref": "https://example.org/elsewhere"}),
        json!({"allOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"type": "null"}),
    ] {
        assert_eq!(column(&schema).kind, Kind::One(Scalar::JsonOrText), "{schema}");
    }
    for schema in [
        json!({"type": "object"}),
        json!({"type": "object", "properties": {"a": {"type": "object", "properties": {}}}}),
        json!({"type": "array"}),
        json!({"type": "array", "items": {}}),
        json!({"type": "array", "items": {"type": "object"}}),
        json!({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}),
    ] {
        assert_eq!(column(&schema).kind, Kind::One(Scalar::Jsonb), "{schema}");
    }
}

#[test]
fn all_of_is_put_together() {
    assert_eq!(
        kind(&json!({"allOf": [{"type": "string", "maxLength": 20}, {"maxLength": 10}]})),
        "character varying(10)"
    );
    assert_eq!(
        kind(&json!({"type": "number", "allOf": [{"type": "integer", "format": "int32"}]})),
        "integer"
    );
    let nested = column(&json!({
        "title": "t",
        "allOf": [{"allOf": [{"type": "boolean", "title": "inner"}]}, {"default": true}],
    }));
    assert_eq!((nested.kind.to_string().as_str(), nested.comment.as_deref()), ("boolean", Some("t")));
    assert_eq!(nested.default, Some(Literal::Boolean(true)));
}

#[test]
fn a_reference_is_followed_in_its_document_and_not_in_circles() {
    let schema = json!({
        "type": "object",
        "definitions": {"State": {"type": "string", "enum": ["a"]}, "Round": {"$ref": "#/definitions/Round"}},
        "properties": {
            "key": {"type": "object", "properties": {"id": {"type": "integer"}}},
            "value": {"type": "object", "properties": {
                "state": {"$ref": "#/definitions/State"}, "round": {"$ref": "#/definitions/Round"},
            }},
        },
    });
    let shape = shape(&users(), &schema).unwrap();
    assert_eq!(shape.column("state").unwrap().kind.to_string(), "users__state");
    assert_eq!(shape.column("round").unwrap().kind, Kind::One(Scalar::JsonOrText));
}

#[test]
fn references_that_multiply_come_to_an_end() {
    let twice = |to: usize| json!({"allOf": vec![json!({"$ref": format!("#/definitions/d{to}")}); 20]});
    let definitions: Map<_, _> = (0..16).map(|n| (format!("d{n}"), twice(n + 1))).collect();
    let schema = json!({
        "definitions": definitions,
        "properties": {
            "key": {"properties": {"id": {"type": "integer"}}},
            "value": {"properties": {"c": {"$ref": "#/definitions/d0"}}},
        },
    });
    assert_eq!(shape(&users(), &schema).unwrap().column("c").unwrap().kind, Kind::One(Scalar::JsonOrText));
}

#[test]
fn a_null_that_the_type_allows_makes_a_required_column_optional() {
    let value = json!({"properties": {"c": {"type": ["null", "string"], "maxLength": 5}}, "required": ["c"]});
    let schema = json!({"properties": {"key": {"properties": {"id": {"type": "integer"}}}, "value": value}});
    let shape = shape(&users(), &schema).unwrap();
    let column = shape.column("c").unwrap();
    assert_eq!((column.kind.to_string().as_str(), column.required), ("character varying(5)", false));
}

#[test]
fn a_default_that_is_no_value_of_its_type_is_none() {
    for schema in [
        json!({"type": "integer", "format": "int16", "default": 32768}),
        json!({"type": "integer", "default": 1.5}),
        json!({"type": "string", "enum": ["a"], "default": "b"}),
        json!({"type": "string", "maxLength": 2, "default": "abc"}),
        json!({"type": "string", "format": "date", "default": "soon"}),
        json!({"type": "boolean", "default": "true"}),
        json!({"type": "string", "default": null}),
        json!({"type": "array", "items": {"type": "string"}, "default": []}),
    ] {
        assert_eq!(column(&schema).default, None, "{schema}");
    }
    let moment =
        column(&json!({"type": "string", "format": "date-time", "default": "2024-01-01T02:00:00+02:00"}));
    assert_eq!(moment.default, Some(Literal::Text("2024-01-01T00:00:00".to_owned())));
}

#[test]
fn names_that_postgresql_would_not_keep_are_refused_by_name() {
    let long = "x".repeat(64);
    let error = with_column(&long, &json!({"type": "string"})).unwrap_err().to_string();
    assert!(error.contains("canvas.users") && error.contains(&long) && error.contains("63 bytes"), "{error}");
    assert!(with_column(&"x".repeat(63), &json!({"type": "string"})).is_ok());
    assert!(matches!(with_column("", &json!({})), Err(BadSchema::ColumnName { .. })));
    assert!(matches!(with_column("a\0b", &json!({})), Err(BadSchema::ColumnName { .. })));
    assert!(matches!(with_column("ctid", &json!({})), Err(BadSchema::ColumnName { .. })));
    assert!(matches!(with_column("id", &json!({})), Err(BadSchema::Twice { .. })));
    assert!(matches!(with_column("c", &json!(5)), Err(BadSchema::NoColumn { .. })));
    assert!(matches!(
        shape(&TableName::new("canvas", "ü".repeat(32)), &json!({})),
        Err(BadSchema::TableName { .. })
    ));
}

#[test]
fn a_schema_without_a_key_or_an_object_is_refused() {
    assert_eq!(shape(&users(), &json!([])), Err(BadSchema::NoObject(users())));
    assert_eq!(shape(&users(), &json!({"properties": {"value": {}}})), Err(BadSchema::NoKey(users())));
}

#[test]
fn the_name_of_an_enumeration_is_cut_as_postgresql_cuts_it_and_told_apart_where_two_would_be_one() {
    let state = json!({"type": "string", "enum": ["a"]});
    let long = |end: &str| format!("{}{end}", "ü".repeat(30));
    let names = |columns: &[String]| {
        let properties: Map<_, _> = columns.iter().map(|name| (name.clone(), state.clone())).collect();
        let key = json!({"properties": {"id": {"type": "integer"}}});
        let shape =
            shape(&users(), &json!({"properties": {"key": key, "value": {"properties": properties}}}))
                .unwrap();
        let kinds = shape.columns.iter().skip(1).map(|column| (column.name.clone(), column.kind.to_string()));
        kinds.collect::<BTreeMap<_, _>>()
    };
    // users__ and 28 letters of two bytes each.
    assert_eq!(names(&[long("a")])[&long("a")], format!("users__{}", "ü".repeat(28)));
    let two = names(&[long("a"), long("b")]);
    assert_ne!(two[&long("a")], two[&long("b")]);
    assert!(two.values().all(|name| name.len() <= 63));
    assert_eq!(two, names(&[long("b"), long("a")]));
}

fn any_json() -> impl Strategy<Value = Json> {
    let words = prop::sample::select(vec![
        "type",
        "properties",
        "key",
        "value",
        "meta",
        "required",
        "$ref",
        "allOf",
        "oneOf",
        "anyOf",
        "items",
        "enum",
        "const",
        "default",
        "format",
        "maxLength",
        "minimum",
        "maximum",
        "multipleOf",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "title",
        "description",
        "contentEncoding",
        "definitions",
        "object",
        "array",
        "string",
        "integer",
        "number",
        "boolean",
        "null",
        "date-time",
        "int16",
        "#/properties/key",
        "#",
        "#/definitions/a",
        "a",
        "id",
    ]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        words.clone().prop_map(Json::from),
        ".{0,80}".prop_map(Json::from),
    ];
    leaf.prop_recursive(6, 80, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::vec((words.clone(), inner), 0..8).prop_map(|entries| entries
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_a_shape_or_an_error_that_names_its_table(schema in any_json(), column in any_json()) {
        let key = json!({"properties": {"id": {}}});
        let with_column = json!({"properties": {"key": key, "value": {"properties": {"c": column}}}});
        for schema in [schema, with_column] {
            match shape(&users(), &schema) {
                Ok(shape) => prop_assert!(shape.key().next().is_some()),
                Err(error) => prop_assert!(error.to_string().contains("canvas.users")),
            }
            let read = from_text(&users(), &to_text(&schema)).unwrap();
            prop_assert_eq!(shape(&users(), &read), shape(&users(), &schema));
        }
    }
}
