//! JSON as Python's `json.dumps(value, indent=4)` writes it, which scripts may compare as a text.

use std::fmt::Write as _;

use serde_json::Value;

const INDENT: &str = "    ";

/// The text of a value that stands so many levels deep.
pub(super) fn dumps(value: &Value, depth: usize) -> String {
    let mut out = String::new();
    push(&mut out, value, depth);
    out
}

fn push(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            let items = items.iter().map(|item| (None, item));
            block(out, ('[', ']'), items, depth);
        }
        Value::Object(fields) if !fields.is_empty() => {
            let fields = fields.iter().map(|(name, value)| (Some(name.as_str()), value));
            block(out, ('{', '}'), fields, depth);
        }
        Value::String(text) => quote(out, text),
        // The API has no fractions, which Python may write otherwise.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            out.push_str(&value.to_string());
        }
    }
}

fn block<'a>(
    out: &mut String,
    (open, close): (char, char),
    items: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
    depth: usize,
) {
    out.push(open);
    for (n, (name, value)) in items.enumerate() {
        out.push_str(if n == 0 { "\n" } else { ",\n" });
        out.push_str(&INDENT.repeat(depth + 1));
        if let Some(name) = name {
            quote(out, name);
            out.push_str(": ");
        }
        push(out, value, depth + 1);
    }
    out.push('\n');
    out.push_str(&INDENT.repeat(depth));
    out.push(close);
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(letter),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // Writing to a text cannot fail.
                    let _never = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_looks_as_python_writes_it() {
        let value = json!([
            { "id": "pkg.1", "completionTime": null, "hasExpired": false, "labels": {}, "rows": [] },
            { "name": "Zoë 𝄞 \"a\\b\"\n\t\u{8}\u{c}\u{1}\u{7f}/", "sizes": [1, 18_446_744_073_709_551_615_u64] },
        ]);
        // python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin), indent=4))'
        let expected = r#"[
    {
        "id": "pkg.1",
        "completionTime": null,
        "hasExpired": false,
        "labels": {},
        "rows": []
    },
    {
        "name": "Zo\u00eb \ud834\udd1e \"a\\b\"\n\t\b\f\u0001\u007f/",
        "sizes": [
            1,
            18446744073709551615
        ]
    }
]"#;
        assert_eq!(dumps(&value, 0), expected);
        assert_eq!(dumps(&json!([]), 3), "[]");
        assert_eq!(dumps(&json!({ "a": 1 }), 1), "{\n        \"a\": 1\n    }");
    }
}
