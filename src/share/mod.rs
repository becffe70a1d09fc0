//! The API of sharing: a listener of its own, for people and services with tokens. Whoever reaches the other one is
//! trusted with all that this process does; whoever reaches this one may share, and no more.
//!
//! | route (below `/api/v1`) | does |
//! | --- | --- |
//! | `POST /package`, `GET /package` | asks for a package; lists packages |
//! | `GET`, `DELETE /package/{id}` | shows, deletes one |
//! | `GET /package/{id}/files` | lists its files |
//! | `GET /package/{id}:getSummaryReport`, `GET /package/{id}:presign` | where its report, and its script, can be fetched |
//! | `POST /package/{id}:push`, `PATCH /package/{id}:abort` | pushes it; ends it |
//! | `POST /auto`, `POST /auto/{package}:approve` | shares a run by itself; lets a package go that waits for it |
//! | `POST`, `GET`, `DELETE /package/{id}/links`, `DELETE /package/{id}/links/{link}` | makes, lists, ends links to it and its papers |
//! | `GET`, `DELETE /push/{id}/links`, `DELETE /push/{id}/links/{link}` | lists, ends links to its papers |
//! | `GET /push`, `GET /push/{id}`, `PATCH /push/{id}:abort` | lists, shows, ends pushes |
//! | `POST /push/{id}:retry`, `GET /push/{id}:receipt` | tries one again that has failed; where its receipt can be fetched |
//!
//! `POST /slack/actions` is where Slack says which button was pressed; it is known by its signature.
//!
//! `GET /schema/openapi.json` describes them, and `GET /schema/swagger-ui/` shows that. `GET /d/{link}/{name}`, outside of that, is what our own links lead to: it asks for no token but the link. The
//! name is that of a paper or the number of a file, which is read at S3.
//!
//! Names, texts and codes are those of the service that this one replaces: its clients are not to notice.

mod auth;
mod door;
mod links;
#[cfg(feature = "https")]
mod oidc;
mod openapi;
mod query;
mod rate;
mod refusal;
mod routes;
mod slack;

use std::{fmt, io, sync::Arc};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::get,
};
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

#[cfg(feature = "https")]
pub use self::oidc::Issuer;
pub use self::{auth::Callers, query::Wanted, rate::Rates, refusal::Refusal};
use crate::{
    domain::{
        ids::RequestId,
        share::{files::PackagedFile, request::PackageRequest},
    },
    events::share::{
        asked::PushAsked,
        linked::{LinkAsked, LinkMade, LinkShown},
        shown::{PackageShown, PushShown},
    },
    ports::{notices::Sent, objects::Presigned, reports::Opened},
    runtime::server,
};

/// What this room needs from the rest of the process.
#[async_trait]
pub trait Backend: Send + Sync + fmt::Debug {
    /// Asks for a package. `who` asks.
    async fn make(&self, who: &str, name: String, request: PackageRequest) -> Result<PackageShown, Refusal>;

    /// One package.
    async fn package(&self, id: &RequestId) -> Result<PackageShown, Refusal>;

    /// Packages, newest first: how many there are, and those of the page.
    async fn packages(&self, wanted: &Wanted) -> Result<(usize, Vec<PackageShown>), Refusal>;

    /// The files of a package: how many there are, and those of the page.
    async fn files(
        &self,
        id: &RequestId,
        first: usize,
        most: usize,
    ) -> Result<(usize, Vec<PackagedFile>), Refusal>;

    /// Ends a package that is being made.
    async fn abort_package(&self, id: &RequestId) -> Result<PackageShown, Refusal>;

    /// Forgets a package that has ended.
    async fn delete_package(&self, id: &RequestId) -> Result<PackageShown, Refusal>;

    /// Pushes a package. `who` asks.
    async fn push(&self, who: &str, id: &RequestId, asked: PushAsked) -> Result<PushShown, Refusal>;

    /// One push.
    async fn pushed(&self, id: &RequestId) -> Result<PushShown, Refusal>;

    /// Pushes, newest first: how many there are, and those of the page.
    async fn pushes(&self, wanted: &Wanted) -> Result<(usize, Vec<PushShown>), Refusal>;

    /// Ends a push that is under way.
    async fn abort_push(&self, id: &RequestId) -> Result<PushShown, Refusal>;

    /// Shares a sequencing run by itself, as if it were ready just now; the id of the request. `job`: the only one that
    /// is done.
    async fn run(&self, who: &str, run: String, job: Option<String>) -> Result<String, Refusal>;

    /// Hears what came from Slack, where people are asked whether packages may go.
    async fn hear(&self, sent: &Sent<'_>) -> Result<(), Refusal>;

    /// Lets a package go that waits for it.
    async fn approve(&self, who: &str, id: &RequestId) -> Result<PackageShown, Refusal>;
    /// Tries a push again that has failed.
    async fn retry_push(&self, id: &RequestId) -> Result<PushShown, Refusal>;

    /// Where the receipt of a push can be read.
    async fn receipt(&self, id: &RequestId) -> Result<String, Refusal>;

    /// Where the report of a package can be read. `who` asks.
    async fn report(&self, who: &str, id: &RequestId) -> Result<String, Refusal>;

    /// Where the script of a package can be fetched. `who` asks.
    async fn hand_out(&self, who: &str, id: &RequestId) -> Result<String, Refusal>;

    /// Makes a link of our own to the files of a package. `who` asks.
    async fn make_link(&self, who: &str, id: &RequestId, asked: LinkAsked) -> Result<LinkMade, Refusal>;

    /// The links to the files of a package and to its papers, or to papers of a push, oldest first.
    async fn links(&self, id: &RequestId) -> Result<Vec<LinkShown>, Refusal>;

    /// Ends a link at once.
    async fn end_link(&self, id: &RequestId, link: &str) -> Result<LinkShown, Refusal>;

    /// What one of our own links leads to, and `name` behind it. `from`: the first byte that is wanted.
    async fn follow(&self, link: &str, name: Option<&str>, from: u64) -> Result<Led, Refusal>;

    /// Now.
    fn now(&self) -> Timestamp;
}

/// What a link of our own leads to.
#[derive(Debug)]
pub enum Led {
    /// It is read here.
    Here(Opened),
    /// It is read there.
    There(Presigned),
}

/// What the routes share.
#[derive(Clone)]
pub struct Share {
    /// The rest of the process.
    pub backend: Arc<dyn Backend>,
    /// Who is let in.
    pub callers: Callers,
    /// How often an address may call.
    pub rates: Arc<Rates>,
    /// Where callers reach it.
    pub public_url: Url,
    /// Whether workflows may be asked for that are not known.
    pub any_workflow: bool,
    /// Bytes of a body.
    pub largest_body: usize,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// Serves until `stop`, then answers what has been asked already.
pub async fn serve(
    listener: TcpListener,
    share: Share,
    max_connections: usize,
    stop: CancellationToken,
) -> io::Result<()> {
    server::serve(listener, router(share), max_connections, stop).await
}

/// The routes, which tests call in process.
pub fn router(share: Share) -> Router {
    let largest = share.largest_body;
    let api = routes::routes().merge(links::routes()).layer(from_fn_with_state(share.clone(), auth::stand));
    Router::new()
        .route("/", get(async || Json(json!({ "message": "Welcome to the data sharing api!!" }))))
        // What is called an ARN there is the address of more about it here.
        .route("/v1/requests/{id}", get(routes::more))
        .nest("/api/v1", api)
        .merge(openapi::routes(share.public_url.as_str()))
        .merge(door::routes().merge(slack::routes()).layer(from_fn_with_state(share.clone(), rate::at_door)))
        .fallback(async || detail(StatusCode::NOT_FOUND, "Not Found"))
        .method_not_allowed_fallback(async || detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
        .layer(DefaultBodyLimit::max(largest))
        .with_state(share)
}

/// An error as clients of `FastAPI` know it.
fn detail(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "detail": text }))).into_response()
}

#[cfg(test)]
mod tests;
