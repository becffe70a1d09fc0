//! The routes of packages and pushes.

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get, post},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Refusal, Share,
    auth::Caller,
    detail,
    query::{self, Names},
};
use crate::{
    domain::{
        ids::RequestId,
        share::{ids::Shared, tokens::Scope},
    },
    events::share::{
        Invalid, asked,
        shown::{PageShown, Pagination},
    },
};

/// Files on a page at most.
pub(super) const MOST_FILES: usize = 1000;

pub(super) const PACKAGES: Names = Names { asked: "request", by_package: false };
const PUSHES: Names = Names { asked: "created", by_package: true };

/// The routes, each with and without a `/` at its end.
pub(super) fn routes() -> Router<Share> {
    let packages = get(list_packages).post(make_package);
    Router::new()
        .route("/package", packages.clone())
        .route("/package/", packages)
        .route("/package/{id}", any(one_package))
        .route("/package/{id}/", any(one_package))
        .route("/package/{id}/files", get(files))
        .route("/auto", post(run))
        .route("/auto/", post(run))
        .route("/auto/{id}", post(one_auto))
        .route("/push", get(list_pushes))
        .route("/push/", get(list_pushes))
        .route("/push/{id}", any(one_push))
        .route("/push/{id}/", any(one_push))
}

/// Where more is told of a package or a push.
pub(super) async fn more(Path(id): Path<String>) -> Result<Redirect, Refusal> {
    let unknown = || Refusal::NotFound(format!("{id} is not known"));
    let (kind, route) = match Shared::of(&RequestId::new(id.as_str())).ok_or_else(unknown)? {
        Shared::Package => (Shared::Package, "package"),
        Shared::Push => (Shared::Push, "push"),
    };
    let id = kind.read(&id).ok_or_else(unknown)?;
    Ok(Redirect::temporary(&format!("/api/v1/{route}/{id}")))
}

pub(super) type Answer = Result<Response, Refusal>;

pub(super) fn shown(value: impl Serialize) -> Response {
    Json(value).into_response()
}

/// A body of JSON. None at all is a body of nothing.
pub(super) fn body(bytes: &Bytes) -> Result<Value, Refusal> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let loc = vec!["body".to_owned(), error.column().to_string()];
        let msg = format!("JSON decode error: {error}");
        Refusal::Invalid(vec![Invalid { kind: "json_invalid", loc, msg, input: Value::Null }])
    })
}

/// The id that a path names, and what is to be done with it.
pub(super) fn target(path: &str, kind: Shared) -> Result<(RequestId, Option<&str>), Refusal> {
    let (id, verb) = path.split_once(':').map_or((path, None), |(id, verb)| (id, Some(verb)));
    let what = match kind {
        Shared::Package => "package",
        Shared::Push => "push",
    };
    let id = kind.read(id).ok_or_else(|| Refusal::Bad(format!("{id} is not the id of a {what}")))?;
    Ok((id, verb))
}

async fn list_packages(
    State(share): State<Share>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    caller.check(Scope::Read)?;
    let query = query.unwrap_or_default();
    let wanted = query::read(&query, PACKAGES, share.backend.now())?;
    let (count, results) = share.backend.packages(&wanted).await?;
    Ok(shown(page(&share, "package/", &query, &wanted, count, results)))
}

async fn list_pushes(
    State(share): State<Share>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    caller.check(Scope::Read)?;
    let query = query.unwrap_or_default();
    let wanted = query::read(&query, PUSHES, share.backend.now())?;
    let (count, results) = share.backend.pushes(&wanted).await?;
    Ok(shown(page(&share, "push/", &query, &wanted, count, results)))
}

pub(super) fn page<T>(
    share: &Share,
    route: &str,
    query: &str,
    wanted: &super::Wanted,
    count: usize,
    results: Vec<T>,
) -> PageShown<T> {
    let base = share.public_url.as_str().trim_end_matches('/');
    let at = format!("{base}/api/v1/{route}").parse().unwrap_or_else(|_| share.public_url.clone());
    PageShown {
        links: query::links(&at, query, wanted, count),
        pagination: Pagination { page: wanted.page, rows_per_page: wanted.rows_per_page, count },
        results,
    }
}

async fn make_package(
    State(share): State<Share>,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Answer {
    caller.check(Scope::Package)?;
    let (name, request) = asked::package(&body(&bytes)?, share.any_workflow).map_err(Refusal::Invalid)?;
    Ok(shown(share.backend.make(caller.name(), name, request).await?))
}

async fn one_package(
    State(share): State<Share>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
    method: Method,
    bytes: Bytes,
) -> Answer {
    let (id, verb) = target(&path, Shared::Package)?;
    let backend = &share.backend;
    match (method, verb) {
        (Method::GET, None) => {
            caller.check(Scope::Read)?;
            Ok(shown(backend.package(&id).await?))
        }
        (Method::GET, Some("getSummaryReport")) => {
            caller.check(Scope::Read)?;
            Ok(shown(backend.report(caller.name(), &id).await?))
        }
        (Method::GET, Some("presign")) => {
            caller.check(Scope::Push)?;
            Ok(shown(backend.hand_out(caller.name(), &id).await?))
        }
        (Method::DELETE, None) => {
            caller.check(Scope::Package)?;
            Ok(shown(backend.delete_package(&id).await?))
        }
        (Method::POST, Some("push")) => {
            caller.check(Scope::Push)?;
            let asked = asked::push(&body(&bytes)?).map_err(Refusal::Invalid)?;
            Ok(shown(backend.push(caller.name(), &id, asked).await?))
        }
        (Method::PATCH, Some("abort")) => {
            caller.check(Scope::Package)?;
            Ok(shown(backend.abort_package(&id).await?))
        }
        (_, None | Some("push" | "abort" | "presign" | "getSummaryReport")) => {
            Ok(detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
        }
        (_, Some(_)) => Ok(detail(StatusCode::NOT_FOUND, "Not Found")),
    }
}

async fn run(State(share): State<Share>, Extension(caller): Extension<Caller>, bytes: Bytes) -> Answer {
    // A run by hand is a package and its push.
    caller.check(Scope::Package)?;
    caller.check(Scope::Push)?;
    let (run, job) = asked::run(&body(&bytes)?).map_err(Refusal::Invalid)?;
    let id = share.backend.run(caller.name(), run, job).await?;
    Ok(shown(json!({ "requestId": id })))
}

async fn one_auto(
    State(share): State<Share>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
) -> Answer {
    let (id, verb) = target(&path, Shared::Package)?;
    if verb != Some("approve") {
        return Ok(detail(StatusCode::NOT_FOUND, "Not Found"));
    }
    caller.check(Scope::Approve)?;
    Ok(shown(share.backend.approve(caller.name(), &id).await?))
}

async fn files(
    State(share): State<Share>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    caller.check(Scope::Read)?;
    let (id, _) = target(&path, Shared::Package)?;
    let query = query.unwrap_or_default();
    let mut wanted = query::read(&query, PACKAGES, share.backend.now())?;
    wanted.rows_per_page = wanted.rows_per_page.min(MOST_FILES);
    let (count, results) = share.backend.files(&id, wanted.first(), wanted.rows_per_page).await?;
    Ok(shown(page(&share, &format!("package/{id}/files"), &query, &wanted, count, results)))
}

async fn one_push(
    State(share): State<Share>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
    method: Method,
) -> Answer {
    let (id, verb) = target(&path, Shared::Push)?;
    match (method, verb) {
        (Method::GET, None) => {
            caller.check(Scope::Read)?;
            Ok(shown(share.backend.pushed(&id).await?))
        }
        (Method::PATCH, Some("abort")) => {
            caller.check(Scope::Push)?;
            Ok(shown(share.backend.abort_push(&id).await?))
        }
        (Method::POST, Some("retry")) => {
            caller.check(Scope::Push)?;
            Ok(shown(share.backend.retry_push(&id).await?))
        }
        (Method::GET, Some("receipt")) => {
            caller.check(Scope::Read)?;
            Ok(shown(share.backend.receipt(&id).await?))
        }
        (_, None | Some("abort" | "retry" | "receipt")) => {
            Ok(detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
        }
        (_, Some(_)) => Ok(detail(StatusCode::NOT_FOUND, "Not Found")),
    }
}
