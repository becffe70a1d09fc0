//! What each endpoint answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    DapSimulator,
    controls::Commits,
    files::{Form, Style, parts},
    refusal::Refusal,
    state::{Job, later, text_of},
    world::{Fields, WorldTable},
};

/// A call that the API knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    Login,
    ListTables { namespace: String },
    GetSchema { namespace: String, table: String },
    CreateJob { namespace: String, table: String },
    GetJob { id: String },
    ObjectUrl,
    GetObject { name: String },
}

impl Call {
    /// The name of its endpoint.
    pub(super) const fn endpoint(&self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::ListTables { .. } => "list_tables",
            Self::GetSchema { .. } => "get_schema",
            Self::CreateJob { .. } => "create_job",
            Self::GetJob { .. } => "get_job",
            Self::ObjectUrl => "object_url",
            Self::GetObject { .. } => "get_object",
        }
    }

    /// Whether it is answered without a token.
    pub(super) const fn open(&self) -> bool {
        matches!(self, Self::Login | Self::GetObject { .. })
    }
}

/// What came with a call.
#[derive(Debug)]
pub(super) struct Asked {
    /// The header `Authorization`.
    pub(super) authorization: Option<String>,
    /// The query of its address.
    pub(super) query: String,
    /// Whether the body is said to be a form.
    pub(super) form: bool,
    pub(super) body: Bytes,
}

/// What a call is answered with.
#[derive(Debug)]
pub(super) enum Answer {
    Json(Value),
    Object(Bytes),
    Text(StatusCode, &'static str),
}

/// Answers a call.
pub(super) fn answer(simulator: &DapSimulator, call: &Call, asked: &Asked) -> Result<Answer, Refusal> {
    match call {
        Call::Login => login(simulator, asked),
        Call::ListTables { namespace } => list(simulator, namespace),
        Call::GetSchema { namespace, table } => {
            let (table, commit) = present(simulator, namespace, table)?;
            let version = table.version(commit);
            Ok(Answer::Json(json!({"schema": table.json_schema(version), "version": version})))
        }
        Call::CreateJob { namespace, table } => create(simulator, namespace, table, &asked.body),
        Call::GetJob { id } => {
            let now = simulator.now();
            simulator.with(|state| state.job(id, now).map(|job| Answer::Json(job.show(now))))
        }
        Call::ObjectUrl => urls(simulator, &asked.body),
        Call::GetObject { name } => Ok(object(simulator, name, asked)),
    }
}

fn login(simulator: &DapSimulator, asked: &Asked) -> Result<Answer, Refusal> {
    let now = simulator.now();
    let granted = form_urlencoded::parse(&asked.body)
        .any(|(name, value)| name == "grant_type" && value == "client_credentials");
    simulator.with(|state| {
        let wanted = basic(&state.controls.client_id, &state.controls.client_secret);
        if asked.authorization.as_ref() == Some(&wanted) && asked.form && granted {
            Ok(Answer::Json(state.login(now)))
        } else {
            Err(Refusal::unauthorised("invalid client credentials"))
        }
    })
}

fn basic(id: &str, secret: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn list(simulator: &DapSimulator, namespace: &str) -> Result<Answer, Refusal> {
    let tables = simulator.world.tables.iter().filter(|table| table.namespace == namespace);
    let names: Vec<_> = tables.map(|table| table.name.as_str()).collect();
    if names.is_empty() {
        return Err(Refusal::unknown("namespace", namespace));
    }
    Ok(Answer::Json(json!({"tables": names})))
}

/// A table, and the number of the last commit that has happened to it.
fn present<'a>(
    simulator: &'a DapSimulator,
    namespace: &str,
    name: &str,
) -> Result<(&'a WorldTable, usize), Refusal> {
    let mut tables = simulator.world.tables.iter().filter(|table| table.namespace == namespace).peekable();
    if tables.peek().is_none() {
        return Err(Refusal::unknown("namespace", namespace));
    }
    let table = tables.find(|table| table.name == name).ok_or_else(|| Refusal::unknown("table", name))?;
    Ok((table, simulator.commit_of(table)))
}

/// A query as it is understood.
struct Query {
    form: Form,
    expanded: bool,
    /// Since when, as it was written and as a time; until when.
    changes: Option<(String, Timestamp, Option<Timestamp>)>,
}

impl Query {
    fn read(query: &Fields) -> Result<Self, Refusal> {
        let form = query.get("format").unwrap_or(&Value::Null);
        let form: Form = serde_json::from_value(form.clone()).map_err(|_| {
            let name = form.as_str().unwrap_or("None");
            Refusal::unreadable(&format!("format `{name}` is not served here"))
        })?;
        let mode = query.get("mode").unwrap_or(&Value::Null);
        let expanded = match mode.as_str() {
            None if mode.is_null() => true,
            Some("expanded") => true,
            Some("condensed") => false,
            _ => return Err(Refusal::unreadable(&format!("mode `{mode}` is not served here"))),
        };
        let changes = match query.get("since") {
            None => None,
            Some(since) => {
                let until = query.get("until").filter(|until| !until.is_null()).map(time).transpose()?;
                Some((since.as_str().unwrap_or_default().to_owned(), time(since)?, until))
            }
        };
        Ok(Self { form, expanded, changes })
    }
}

fn time(text: &Value) -> Result<Timestamp, Refusal> {
    let time = text.as_str().and_then(|text| text.parse().ok());
    time.ok_or_else(|| Refusal::unreadable(&format!("{text} is no time")))
}

fn create(simulator: &DapSimulator, namespace: &str, table: &str, body: &[u8]) -> Result<Answer, Refusal> {
    let (table, commit) = present(simulator, namespace, table)?;
    let asked: Fields =
        serde_json::from_slice(body).map_err(|_| Refusal::unreadable("the body is no JSON object"))?;
    let query = Query::read(&asked)?;
    let sorted: BTreeMap<_, _> = asked.iter().collect();
    let outdated = simulator.with(|state| state.controls.outdated);
    let name = json!([table.namespace, table.name, sorted, (!outdated).then_some(commit)]).to_string();
    let now = simulator.now();
    if let Some(known) = simulator.with(|state| state.shared(&name, now).map(|job| job.show(now))) {
        return Ok(Answer::Json(known));
    }
    let job = run(simulator, table, commit, &query, now)?;
    Ok(simulator.with(|state| {
        // Somebody may have asked the same at the same time.
        if let Some(known) = state.shared(&name, now) {
            return Answer::Json(known.show(now));
        }
        let shown = job.show(now);
        state.keep(name, job, now);
        Answer::Json(shown)
    }))
}

/// Makes the job of a query, with its files.
fn run(
    simulator: &DapSimulator,
    table: &WorldTable,
    commit: usize,
    query: &Query,
    now: Timestamp,
) -> Result<Job, Refusal> {
    let (controls, id) = simulator.with(|state| (state.controls.clone(), state.id()));
    let data_of = if matches!(controls.commit, Commits::Clock(_)) { now } else { table.after(commit) };
    let version = table.version(commit);
    let mut told = Fields::new();
    told.insert("schema_version".to_owned(), json!(version));
    let rows = match &query.changes {
        None => {
            told.insert("at".to_owned(), json!(text_of(data_of)));
            table.snapshot(commit)
        }
        Some((since, from, until)) => {
            let oldest = controls.oldest.as_deref().and_then(|oldest| Some((oldest, oldest.parse().ok()?)));
            if let Some((oldest, _)) = oldest.filter(|(_, at)| from < at) {
                let why = "query starts before the earliest permitted time";
                return Err(Refusal::new(StatusCode::BAD_REQUEST, &controls.oldest_error, why)
                    .with("since", oldest)
                    .with("until", Value::Null));
            }
            told.insert("since".to_owned(), json!(since));
            told.insert("until".to_owned(), json!(text_of(until.unwrap_or(data_of.max(*from)))));
            table.increment(commit, *from, *until)
        }
    };
    let (form, expanded, members) = (query.form, query.expanded, controls.gzip_members);
    let style = Style { form, version, expanded, incremental: query.changes.is_some(), members };
    let files = parts(table, &rows, style);
    let objects = simulator.with(|state| {
        let name = |number| format!("{id}/part-{number:05}-{}.{}.gz", state.id(), form.ending());
        let mut names = (0..files.len()).map(name).collect::<Vec<_>>().into_iter();
        files.into_iter().filter_map(|bytes| Some((names.next()?, bytes))).collect()
    });
    let done = later(now, controls.job_seconds);
    let (runs, dies) = (done.duration_since(now), later(done, controls.job_lifetime));
    Ok(Job { id, told, objects, error: None, runs, done, dies })
}

fn urls(simulator: &DapSimulator, body: &[u8]) -> Result<Answer, Refusal> {
    #[derive(serde::Deserialize)]
    struct Wanted {
        id: String,
    }
    let wanted: Vec<Wanted> =
        serde_json::from_slice(body).map_err(|_| Refusal::unreadable("the body is no list of objects"))?;
    let now = simulator.now();
    let mut urls = Fields::new();
    for Wanted { id } in wanted {
        let url = simulator.with(|state| state.url(&id, now))?;
        urls.insert(id, json!({"url": format!("{}{url}", simulator.public_url())}));
    }
    Ok(Answer::Json(json!({"urls": urls})))
}

fn object(simulator: &DapSimulator, name: &str, asked: &Asked) -> Answer {
    if asked.authorization.is_some() {
        return Answer::Text(StatusCode::BAD_REQUEST, "<Error><Code>InvalidArgument</Code></Error>");
    }
    let query: BTreeMap<_, _> = form_urlencoded::parse(asked.query.as_bytes()).collect();
    let of = |name: &str| query.get(name).map(AsRef::as_ref).unwrap_or_default();
    let now = simulator.now();
    let bytes = simulator.with(|state| state.bytes(name, of("X-Amz-Expires"), of("X-Amz-Signature"), now));
    let denied = Answer::Text(StatusCode::FORBIDDEN, "<Error><Code>AccessDenied</Code></Error>");
    bytes.map_or(denied, Answer::Object)
}
