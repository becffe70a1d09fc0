//! Types and values by chance, among them what a client may stumble over.

use jiff::Timestamp;
use rand::{Rng as _, RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

/// Texts that something could take for something else.
const TEXTS: [&str; 16] = [
    "",
    " ",
    "plain",
    "\\N",
    "\\.",
    "\\",
    "NULL",
    "tab\tinside",
    "two\nlines\r\n",
    "\u{8}\u{b}\u{c}\u{7f}",
    "\"quoted\", 'twice'",
    "{a,b}",
    "ünï ☃ 🦀",
    "é\u{301}\u{2028}",
    "__cd2_oversized_truncated__",
    "'; DROP TABLE students; --",
];

/// A word for a type, and its schema.
pub(super) fn kind(rng: &mut StdRng) -> (&'static str, Value) {
    match rng.random_range(0..24) {
        0 => ("i16", json!({"type": "integer", "format": "int16"})),
        1 => ("i32", json!({"type": "integer", "format": "int32", "title": "A number"})),
        2 | 3 => ("i64", json!({"type": "integer", "format": "int64"})),
        4 => ("whole", json!({"type": "integer"})),
        5 => ("few", json!({"type": "integer", "minimum": 0, "maximum": 100})),
        6 => ("f32", json!({"type": "number", "format": "float32"})),
        7 => ("f64", json!({"type": "number", "format": "float64"})),
        8 => (
            "money",
            json!({"type": "number", "multipleOf": 0.01, "exclusiveMinimum": -1e10, "exclusiveMaximum": 1e10}),
        ),
        9 => ("flag", json!({"type": "boolean"})),
        10 => ("late", json!({"type": "boolean", "default": false})),
        11 | 12 => ("text", json!({"type": "string", "description": "Some text.\nOf any length."})),
        13 | 14 => ("name", json!({"type": "string", "maxLength": 40})),
        15 => ("at", json!({"type": "string", "format": "date-time"})),
        16 => ("day", json!({"type": "string", "format": "date"})),
        17 => ("hour", json!({"type": "string", "format": "time"})),
        18 => ("uuid", json!({"type": "string", "format": "uuid"})),
        19 => ("ip", json!({"type": "string", "format": if rng.random() { "ipv4" } else { "ipv6" }})),
        20 | 21 => ("state", json!({"type": "string", "enum": ["active", "deleted", "it's \"odd\""]})),
        22 => {
            let inner = json!({"a": {"type": "integer", "format": "int32"}, "b": {"type": "string"}});
            ("object", json!({"type": "object", "properties": inner, "additionalProperties": false}))
        }
        _ => ("list", json!({"type": "array", "items": items(rng)})),
    }
}

fn items(rng: &mut StdRng) -> Value {
    match rng.random_range(0..4) {
        0 => json!({"type": "integer", "format": "int64"}),
        1 => json!({"type": "boolean"}),
        2 => json!({"type": "string", "enum": ["x", "y"]}),
        _ => json!({"type": "string"}),
    }
}

/// A value of that schema.
pub(super) fn value(schema: &Value, rng: &mut StdRng) -> Value {
    let text = |name: &str| schema.get(name).and_then(Value::as_str).unwrap_or_default();
    if let Some(Value::Array(labels)) = schema.get("enum") {
        return labels.choose(rng).cloned().unwrap_or_default();
    }
    match (text("type"), text("format")) {
        ("integer", "int16") => json!(rng.random::<i16>()),
        ("integer", "int32") => json!(rng.random::<i32>()),
        ("integer", _) if schema.get("maximum").is_some() => json!(rng.random_range(0..=100)),
        // Few, so that keys meet, and now and then the ends of what 64 bits hold.
        ("integer", _) if rng.random_bool(0.02) => json!(if rng.random() { i64::MAX } else { i64::MIN + 1 }),
        ("integer", _) => json!(rng.random_range(1..100_000_000_000_i64)),
        ("number", "float32" | "float64") if rng.random_bool(0.05) => json!({"$number": "NaN"}),
        ("number", "float32" | "float64") => json!(f64::from(rng.random_range(-1000..1000)) / 4.0),
        ("number", _) => json!(f64::from(rng.random_range(-100_000..100_000)) / 100.0),
        ("boolean", _) => json!(rng.random::<bool>()),
        ("object", _) => json!({"a": rng.random_range(0..9), "b": any(rng), "c": null}),
        ("array", _) => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            (0..rng.random_range(0..4)).map(|_| value(items, rng)).collect()
        }
        (_, "date-time") => json!(format!("{:.3}", moment(rng))),
        (_, "date") => json!(moment(rng).strftime("%Y-%m-%d").to_string()),
        (_, "time") => json!(moment(rng).strftime("%H:%M:%SZ").to_string()),
        (_, "uuid") => {
            let mut bytes = [0; 16];
            rng.fill_bytes(&mut bytes);
            json!(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
        }
        (_, "ipv4") => json!(std::net::Ipv4Addr::from_bits(rng.random()).to_string()),
        (_, "ipv6") => json!(std::net::Ipv6Addr::from_bits(rng.random()).to_string()),
        _ => {
            let most = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            json!(any(rng).chars().take(most).collect::<String>())
        }
    }
}

fn any(rng: &mut StdRng) -> String {
    let odd = TEXTS.choose(rng).copied().unwrap_or_default();
    if rng.random_bool(0.5) { odd.to_owned() } else { format!("{odd} {}", rng.random_range(0..1_000_000)) }
}

/// Of the years 1970 to 2100.
fn moment(rng: &mut StdRng) -> Timestamp {
    Timestamp::from_millisecond(rng.random_range(0..4_102_444_800_000)).unwrap_or_default()
}
