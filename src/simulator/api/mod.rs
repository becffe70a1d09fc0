//! The REST API over HTTP: one gate for all calls, and a handler for each.
//!
//! The gate is strict where the real one is: what it lets pass is what the real one would.

mod copies;
mod credentials;
mod data;
mod files;
mod gate;
mod moves;
mod notifications;
mod projects;
mod routes;

use axum::body::Bytes;
use http::{HeaderValue, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

pub(super) use gate::{Closed, closed, gate, gibberish};
use routes::Call;

use super::{
    Simulator,
    accounts::Account,
    problem::Problem,
    state::State,
    tree::{NodeKey, ProjectKey},
};

/// The query of a call, decoded, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The value of that name, unless it is empty.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(given, value)| given == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// The values of that name that are not empty.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(given, value)| given == name && !value.is_empty());
        named.map(|(_, value)| value.as_str())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// A call that has passed the gate.
#[derive(Debug)]
struct Asked {
    call: Call,
    parameters: Vec<(&'static str, String)>,
    query: Query,
    body: Bytes,
    /// Whether version 4 of the answer is asked for.
    v4: bool,
    caller: Option<Account>,
    if_match: Option<String>,
}

impl Asked {
    fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(given, _)| *given == name).map_or("", |(_, value)| value.as_str())
    }

    /// A parameter that must be a UUID.
    fn uuid(&self, name: &'static str) -> Result<&str, Problem> {
        let text = self.parameter(name);
        match uuid::Uuid::try_parse(text) {
            Ok(_) => Ok(text),
            Err(_) => Err(Problem::parameter(name, text, "must be a UUID")),
        }
    }

    /// The project of the path.
    fn project(&self, state: &State) -> Result<ProjectKey, Problem> {
        let id = self.uuid("projectId")?;
        let found = state.tree.project_by_id(id).filter(|project| state.sees(self.caller, *project));
        found.ok_or_else(|| Problem::not_found("projectId", id))
    }

    /// The data of the path, in the project of the path.
    fn data(&self, state: &State) -> Result<NodeKey, Problem> {
        let project = self.project(state)?;
        let id = data_id("dataId", self.parameter("dataId"))?;
        let found = state.tree.seen_in(project, id);
        found.map(|(key, _)| key).ok_or_else(|| Problem::not_found("dataId", id))
    }

    /// The body, with all its required fields.
    fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let field = error.path().to_string();
            Problem::invalid(format!("Invalid body: {}", error.into_inner())).with("field", field)
        })
    }
}

/// `fil.` or `fol.` and 32 hex digits.
fn data_id<'a>(name: &'static str, text: &'a str) -> Result<&'a str, Problem> {
    let digits = text.strip_prefix("fil.").or_else(|| text.strip_prefix("fol."));
    let valid =
        digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if valid { Ok(text) } else { Err(Problem::parameter(name, text, "is not the id of a file or folder")) }
}

/// What a handler says.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    /// JSON.
    body: String,
    etag: Option<HeaderValue>,
}

impl Answer {
    fn new(status: StatusCode, body: &impl Serialize) -> Self {
        // Only maps with keys that are no text cannot be written, and there are none.
        Self { status, body: serde_json::to_string(body).unwrap_or_default(), etag: None }
    }

    fn ok(body: &impl Serialize) -> Self {
        Self::new(StatusCode::OK, body)
    }

    fn created(body: &impl Serialize) -> Self {
        Self::new(StatusCode::CREATED, body)
    }

    fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: String::new(), etag: None }
    }
}

async fn handle(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    match asked.call {
        Call::CreateToken => Ok(projects::create_token(simulator, asked)),
        Call::Projects => projects::list(simulator, asked),
        Call::Project => projects::get(simulator, asked),
        Call::SelfManagedStorage => projects::self_managed_storage(simulator, asked),
        Call::StorageConfigurations => Ok(projects::storage_configurations(simulator, asked)),
        Call::SystemInfo => Ok(projects::system_info()),
        Call::Regions => Ok(projects::regions()),
        Call::ListData => data::list(simulator, asked).await,
        Call::GetData => data::get(simulator, asked).await,
        Call::UpdateData => data::update(simulator, asked).await,
        Call::DataByUrn => data::by_urn(simulator, asked).await,
        Call::Children => data::children(simulator, asked).await,
        Call::CreateFile
        | Call::CreateFileWithUploadUrl
        | Call::CreateFileWithTemporaryCredentials
        | Call::CreateFolder
        | Call::CreateFolderWithTemporaryCredentials => files::create(simulator, asked),
        Call::CreateUploadUrl => files::upload_url(simulator, asked),
        Call::CreateDownloadUrl => files::download_url(simulator, asked),
        Call::CreateDownloadUrls => files::download_urls(simulator, asked),
        Call::CreateTemporaryCredentials => credentials::create(simulator, asked),
        Call::Delete => data::delete(simulator, asked),
        Call::CreateCopyBatch => copies::create(simulator, asked),
        Call::CopyBatch => copies::get(simulator, asked),
        Call::CopyBatchItems => copies::items(simulator, asked).await,
        Call::CopyBatchItem => copies::item(simulator, asked).await,
        Call::CreateMoveBatch => moves::create(simulator, asked),
        Call::MoveBatch => moves::get(simulator, asked),
        Call::MoveBatchItems => moves::items(simulator, asked).await,
        Call::MoveBatchItem => moves::item(simulator, asked).await,
        Call::Jobs => copies::jobs(simulator, asked),
        Call::Job => copies::job(simulator, asked),
        Call::Channels => Ok(notifications::channels(simulator)),
        Call::CreateChannel => notifications::create_channel(simulator, asked),
        Call::Subscriptions => notifications::subscriptions(simulator, asked),
        Call::CreateSubscription => notifications::create_subscription(simulator, asked),
    }
}
