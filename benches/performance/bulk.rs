//! A platform with one large table: its files are made before anything is measured, and served from memory.

use std::{collections::BTreeMap, fmt::Write as _, io::Write as _, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

/// Its two jobs, whose ids are what the names of their files begin with.
const ALL: &str = "all";
const NEWS: &str = "news";
/// As of when the snapshot is, and the changes begin.
const LOADED: &str = "2024-03-05T00:00:01Z";
/// Files of the snapshot.
const FILES: usize = 10;
const STATES: [&str; 4] = ["unsubmitted", "submitted", "graded", "pending_review"];
/// The columns, as JSON Schema tells them and as PostgreSQL has them.
const COLUMNS: [(&str, &str, &str); 12] = [
    ("user_id", r#"{"type": "integer", "format": "int64"}"#, "bigint NOT NULL"),
    ("course_id", r#"{"type": "integer", "format": "int64"}"#, "bigint"),
    ("grade", r#"{"type": "string", "maxLength": 255}"#, "varchar(255)"),
    ("score", r#"{"type": "number", "format": "float64"}"#, "double precision"),
    ("submitted_at", r#"{"type": "string", "format": "date-time"}"#, "timestamp"),
    ("created_at", r#"{"type": "string", "format": "date-time"}"#, "timestamp"),
    ("updated_at", r#"{"type": "string", "format": "date-time"}"#, "timestamp"),
    ("body", r#"{"type": "string"}"#, "varchar"),
    ("url", r#"{"type": "string", "maxLength": 2048}"#, "varchar(2048)"),
    ("late", r#"{"type": "boolean"}"#, "boolean"),
    ("attempt", r#"{"type": "integer", "format": "int32"}"#, "integer"),
    (
        "workflow_state",
        r#"{"type": "string", "enum": ["unsubmitted", "submitted", "graded", "pending_review"]}"#,
        "canvas.state NOT NULL",
    ),
];

/// The table: rows from 0 on; changes of each fifth of them, a tenth of which are deletions.
pub(crate) struct Bulk {
    rows: usize,
    files: BTreeMap<String, Bytes>,
}

impl Bulk {
    pub(crate) fn of(rows: usize) -> Self {
        let header: String = std::iter::once("key.id".to_owned())
            .chain(COLUMNS.map(|(name, ..)| format!("value.{name}")))
            .collect::<Vec<_>>()
            .join("\t");
        let mut files = BTreeMap::new();
        for file in 0..FILES {
            let mut text = format!("meta.ts\t{header}\n");
            for row in file * rows / FILES..(file + 1) * rows / FILES {
                text.push_str("2024-03-05T00:00:00Z\t");
                line(row, &mut text);
            }
            files.insert(format!("all-{file}.tsv.gz"), pack(&text));
        }
        let mut text = format!("meta.ts\tmeta.action\t{header}\n");
        for n in 0..rows / 5 {
            let action = if n.is_multiple_of(10) { 'D' } else { 'U' };
            let _written = write!(text, "2024-03-06T00:00:00Z\t{action}\t");
            change(n, &mut text);
        }
        files.insert("news-0.tsv.gz".to_owned(), pack(&text));
        Self { rows, files }
    }

    /// Its rows as COPY takes them.
    pub(crate) fn lines(&self) -> Vec<Bytes> {
        chunks((0..self.rows).map(|n| (n, line as fn(usize, &mut String))))
    }

    /// Its changes as COPY takes them, each with what it is.
    pub(crate) fn changes(&self) -> Vec<Bytes> {
        let changed = |n: usize, text: &mut String| {
            text.push_str(if n.is_multiple_of(10) { "D\t" } else { "U\t" });
            change(n, text);
        };
        chunks((0..self.rows / 5).map(|n| (n, changed as fn(usize, &mut String))))
    }
}

/// The definitions of its columns.
pub(crate) fn columns() -> String {
    let rest = COLUMNS.map(|(name, _, kind)| format!(", {name} {}", kind.trim_end_matches(" NOT NULL")));
    format!("id bigint{}", rest.concat())
}

/// Their names, but that of the key.
pub(crate) fn names() -> String {
    COLUMNS.map(|(name, ..)| name).join(", ")
}

/// What a change sets.
pub(crate) fn sets() -> String {
    COLUMNS.map(|(name, ..)| format!("{name} = excluded.{name}")).join(", ")
}

fn chunks(rows: impl Iterator<Item = (usize, fn(usize, &mut String))>) -> Vec<Bytes> {
    let (mut all, mut text) = (Vec::new(), String::new());
    for (n, write) in rows {
        write(n, &mut text);
        if text.len() > 1 << 18 {
            all.push(Bytes::from(std::mem::take(&mut text)));
        }
    }
    all.push(Bytes::from(text));
    all
}

fn line(n: usize, text: &mut String) {
    let grade = if n.is_multiple_of(7) { "\\N" } else { "A" };
    let _written = writeln!(
        text,
        "{n}\t{}\t{}\t{grade}\t{}.5\t2024-01-{:02}T10:11:12.123Z\t2024-01-01T00:00:00.000Z\t2024-02-01T00:00:00.000Z\t\
         Lorem ipsum dolor sit amet {n} consectetur adipiscing elit sed do eiusmod tempor incididunt\t\
         https://example.org/a/{n}\t{}\t{}\t{}",
        n % 50_000,
        n % 3000,
        n % 100,
        1 + n % 28,
        n % 2 == 1,
        n % 4,
        STATES[n % 4],
    );
}

/// Row n × 5, as it is by now or gone.
fn change(n: usize, text: &mut String) {
    if n.is_multiple_of(10) {
        let _written = writeln!(text, "{}{}", n * 5, "\t\\N".repeat(COLUMNS.len()));
    } else {
        let from = text.len();
        line(n * 5, text);
        // Something of it is new.
        let changed = text.split_off(from).replacen("\tA\t", "\tB\t", 1);
        text.push_str(&changed);
    }
}

fn pack(text: &str) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    Bytes::from(gzip.finish().unwrap())
}

#[derive(Clone)]
struct Served {
    bulk: Arc<Bulk>,
    url: Arc<str>,
}

/// The platform, at that address.
pub(crate) fn router(bulk: Arc<Bulk>, url: &str) -> Router {
    // Instructure's client reads until when a token holds: to the end of this century.
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln";
    let login = json!({ "access_token": token, "expires_in": 3600, "token_type": "Bearer", "scope": "" });
    Router::new()
        .route("/ids/auth/login", post(|| async move { Json(login) }))
        .route("/dap/query/canvas/table", get(|| async { Json(json!({ "tables": ["big"] })) }))
        .route("/dap/query/canvas/table/big/schema", get(|| async { Json(schema()) }))
        .route("/dap/query/canvas/table/big/data", post(job))
        .route("/dap/job/{id}", get(known_job))
        .route("/dap/object/url", post(urls))
        .route("/objects/{name}", get(object))
        .with_state(Served { bulk, url: url.into() })
}

fn schema() -> Value {
    let kinds =
        COLUMNS.map(|(name, kind, _)| (name.to_owned(), serde_json::from_str::<Value>(kind).unwrap()));
    let kinds: serde_json::Map<String, Value> = kinds.into_iter().collect();
    let object = |properties: Value, required: Value| json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
    let meta = json!({
        "ts": { "type": "string", "format": "date-time" },
        "action": { "type": "string", "enum": ["U", "D"] },
    });
    json!({ "version": 1, "schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "title": "Many rows.",
        "properties": {
            "meta": object(meta, json!(["ts"])),
            "key": object(json!({ "id": { "type": "integer", "format": "int64" } }), json!(["id"])),
            "value": object(kinds.into(), json!(["user_id", "workflow_state"])),
        },
        "required": ["meta", "key"], "additionalProperties": false,
    }})
}

// Clients need not say that they send JSON.
async fn job(State(of): State<Served>, query: String) -> Json<Value> {
    let query: Value = serde_json::from_str(&query).unwrap();
    Json(told(&of, if query.get("since").is_some() { NEWS } else { ALL }))
}

/// Instructure's client asks for a job that is complete once more.
async fn known_job(State(of): State<Served>, Path(id): Path<String>) -> Json<Value> {
    Json(told(&of, if id == NEWS { NEWS } else { ALL }))
}

fn told(of: &Served, id: &str) -> Value {
    let objects: Vec<_> =
        of.bulk.files.keys().filter(|name| name.starts_with(id)).map(|name| json!({ "id": name })).collect();
    let mut told = json!({
        "id": id, "status": "complete", "expires_at": "2099-01-01T00:00:00Z", "objects": objects, "schema_version": 1,
    });
    if id == NEWS {
        (told["since"], told["until"]) = (LOADED.into(), "2024-03-06T00:00:01Z".into());
    } else {
        told["at"] = LOADED.into();
    }
    told
}

async fn urls(State(of): State<Served>, wanted: String) -> Json<Value> {
    let wanted: Vec<Value> = serde_json::from_str(&wanted).unwrap();
    let url = |id: &Value| {
        let name = id["id"].as_str().unwrap();
        (name.to_owned(), json!({ "url": format!("{}/objects/{name}", of.url) }))
    };
    let urls: serde_json::Map<String, Value> = wanted.iter().map(url).collect();
    Json(json!({ "urls": urls }))
}

async fn object(State(of): State<Served>, Path(name): Path<String>) -> Bytes {
    of.bulk.files[&name].clone()
}
