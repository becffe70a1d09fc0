//! The routes for programs, and their description (`OpenAPI` 3.1), which is made from the handlers themselves.

use std::sync::Arc;

use axum::{
    Router,
    http::header::CONTENT_TYPE,
    response::{IntoResponse as _, Response},
    routing::get,
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Admin, canvas, events, requests};

/// Where the description is.
const AT: &str = "/openapi.json";

/// What the description says of the whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Copy Manager",
        description = "Requests for copies: sent, looked at, and changed. Errors are problem documents (RFC 9457) whose `type` leads to `/errors`."
    ),
    tags(
        (name = "events", description = "What comes in"),
        (name = "requests", description = "What was asked for, and how it stands"),
        (name = "canvas", description = "Replicas of Canvas Data 2"),
        (name = "health", description = "Whether the service can work"),
    )
)]
struct Description;

/// The routes for programs.
pub(super) fn routes() -> Router<Admin> {
    let (router, description) = described();
    let text: Arc<str> = description.to_json().unwrap_or_default().into();
    let shown = move || {
        let text = text.to_string();
        async move { ([(CONTENT_TYPE, "application/json")], text).into_response() }
    };
    router.route(AT, get(shown)).route("/errors", get(errors)).merge(docs())
}

fn described() -> (Router<Admin>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(events::put))
        .routes(routes!(requests::list))
        .routes(routes!(requests::show, requests::act))
        .routes(routes!(requests::folders))
        .routes(routes!(requests::journal))
        .routes(routes!(requests::explain))
        .routes(routes!(canvas::run, canvas::runs))
        .routes(routes!(canvas::tables))
        .routes(routes!(super::log_level::put))
        .routes(routes!(super::readyz))
        .split_for_parts()
}

/// What the kinds of problems mean, and the failures of requests.
async fn errors() -> Response {
    let text = include_str!("../../docs/errors.md");
    ([(CONTENT_TYPE, "text/markdown; charset=utf-8")], text).into_response()
}

/// The page that shows the description.
#[cfg(feature = "docs")]
fn docs() -> Router<Admin> {
    use axum::{
        extract::Path,
        http::{
            StatusCode,
            header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS},
        },
        response::Redirect,
    };
    use utoipa_swagger_ui::Config;

    /// It styles its elements one by one, and draws with images that are in its own text.
    const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'";

    let config = Arc::new(Config::from(AT));
    let file =
        async move |Path(path): Path<String>| match utoipa_swagger_ui::serve(&path, Arc::clone(&config)) {
            Ok(Some(file)) => {
                let headers = [
                    (CONTENT_TYPE, file.content_type.as_str()),
                    (CONTENT_SECURITY_POLICY, POLICY),
                    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
                ];
                (headers, file.bytes.to_vec()).into_response()
            }
            Ok(None) => StatusCode::NOT_FOUND.into_response(),
            Err(error) => super::problem::Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
                .into_response(),
        };
    Router::new()
        .route("/docs", get(async || Redirect::to("/docs/index.html")))
        .route("/docs/", get(async || Redirect::to("/docs/index.html")))
        .route("/docs/{*path}", get(file))
}

#[cfg(not(feature = "docs"))]
fn docs() -> Router<Admin> {
    Router::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::problem::KINDS;

    #[test]
    fn the_description_holds_every_route_for_programs() {
        let (_, description) = described();
        let paths: Vec<_> = description.paths.paths.keys().map(String::as_str).collect();
        let expected = [
            "/readyz",
            "/v1/canvas/runs",
            "/v1/canvas/tables",
            "/v1/events",
            "/v1/log-level",
            "/v1/requests",
            "/v1/requests/{id}",
            "/v1/requests/{id}/explain",
            "/v1/requests/{id}/folders",
            "/v1/requests/{id}/journal",
        ];
        assert_eq!(paths, expected);
        let text = description.to_json().unwrap();
        for shape in ["requestId", "isCut", "unverified", "application/problem+json", "EventId"] {
            assert!(text.contains(shape), "{shape}");
        }
    }

    #[test]
    fn every_kind_of_problem_is_explained() {
        let text = include_str!("../../docs/errors.md");
        for kind in KINDS {
            assert!(text.contains(&format!("\n### {kind}\n")), "{kind}");
        }
    }
}
