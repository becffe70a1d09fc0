//! The description of the API (`OpenAPI` 3.1), and the page that shows it.
//!
//! What is done to a package stands in its path, behind a colon, so that the router does not know these routes one
//! by one: they are named here, and a test holds them to what is routed. The shapes are those of the answers.

mod shapes;

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, http::header::CONTENT_TYPE, response::IntoResponse as _, routing::get};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use self::shapes::{File, Files, LinkAsked, Ordered, PackageAsked, PushAsked, RunAsked};
use super::Share;
use crate::{
    domain::share::tokens::Scope,
    events::share::{
        linked::{LinkMade, LinkShown},
        shown::{PackageShown, PageShown, PushShown},
    },
};

/// Where the description is.
const AT: &str = "/schema/openapi.json";

/// What the description says of the whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Data Sharing Manager",
        description = "Packages of files, pushed to buckets and projects, or handed out. Errors are `{\"detail\": …}`; of a body that cannot be read, `detail` lists what is wrong with it."
    ),
    components(schemas(
        PackageShown,
        PushShown,
        LinkShown,
        LinkMade,
        PageShown<PackageShown>,
        PageShown<PushShown>,
        PageShown<LinkShown>,
        PackageAsked,
        PushAsked,
        LinkAsked,
        RunAsked,
        Ordered,
        File,
        Files,
    ))
)]
struct Description;

/// What a route answers with.
#[derive(Clone, Copy)]
enum Answer {
    /// That shape.
    One(&'static str),
    /// A list of that shape.
    Many(&'static str),
    /// A JSON text: a URL.
    Address,
}

/// A route, below `/api/v1`.
struct Route {
    method: &'static str,
    path: &'static str,
    /// What it does.
    does: &'static str,
    needs: Scope,
    /// Another scope that it needs.
    and: Option<Scope>,
    /// The shape of its body.
    body: Option<&'static str>,
    answer: Answer,
    /// Names in its query.
    query: &'static [&'static str],
    /// Codes besides 200, 401 and 403.
    codes: &'static [u16],
}

const PAGE: [&str; 2] = ["page", "rowsPerPage"];
const PACKAGES: &[&str] = &[
    "packageName",
    "packageName[]",
    "status",
    "status[]",
    "requestAfter",
    "requestBefore",
    "completedAfter",
    "completedBefore",
    PAGE[0],
    PAGE[1],
];
const PUSHES: &[&str] = &[
    "packageId",
    "packageId[]",
    "packageName",
    "packageName[]",
    "status",
    "status[]",
    "createdAfter",
    "createdBefore",
    "completedAfter",
    "completedBefore",
    PAGE[0],
    PAGE[1],
];

const fn route(
    (method, path): (&'static str, &'static str),
    does: &'static str,
    needs: Scope,
    answer: Answer,
    codes: &'static [u16],
) -> Route {
    Route { method, path, does, needs, and: None, body: None, answer, query: &[], codes }
}

impl Route {
    const fn needs_too(self, and: Scope) -> Self {
        Self { and: Some(and), ..self }
    }

    const fn takes(self, body: &'static str) -> Self {
        Self { body: Some(body), ..self }
    }

    const fn asks(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    /// As the description says it.
    fn described(&self) -> Value {
        let shape = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        let schema = match self.answer {
            Answer::One(name) => shape(name),
            Answer::Many(name) => json!({ "type": "array", "items": shape(name) }),
            Answer::Address => json!({ "type": "string", "format": "uri" }),
        };
        let content = |schema: Value| json!({ "application/json": { "schema": schema } });
        let mut responses = Map::new();
        responses.insert("200".to_owned(), json!({ "description": "Done", "content": content(schema) }));
        for code in self.codes.iter().chain(&[401, 403, 429]) {
            responses.insert(code.to_string(), json!({ "description": said(*code) }));
        }
        let in_path = ["id", "link"].into_iter().filter(|name| self.path.contains(&format!("{{{name}}}")));
        let in_path = in_path.map(
            |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
        );
        let in_query = self
            .query
            .iter()
            .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } }));
        let needs = match self.and {
            None => format!("Needs the scope `{}`.", self.needs.as_str()),
            Some(and) => format!("Needs the scopes `{}` and `{}`.", self.needs.as_str(), and.as_str()),
        };
        let described = json!({
            "summary": self.does,
            "description": needs,
            "tags": [self.path.split(['/', ':']).nth(1).unwrap_or_default()],
            "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
            "responses": responses,
            "security": [{ "bearer": [] }],
        });
        match (described, self.body) {
            (Value::Object(mut described), Some(body)) => {
                let body = json!({ "required": true, "content": content(shape(body)) });
                described.insert("requestBody".to_owned(), body);
                Value::Object(described)
            }
            (described, _) => described,
        }
    }
}

/// What a code says here.
const fn said(code: u16) -> &'static str {
    match code {
        400 => "The call contradicts itself, or names no id",
        401 => "No token that is known",
        403 => "The token lacks the scope, or a rule forbids it",
        404 => "There is no such thing",
        409 => "Not as it stands",
        422 => "The body cannot be read",
        429 => "Too many calls come from there",
        _ => "It may be tried again",
    }
}

/// All routes.
fn all() -> [Route; 23] {
    use Answer::{Address, Many, One};
    use Scope::{Approve, Package, Push, Read};
    const ID: &[u16] = &[400, 404];
    const READY: &[u16] = &[400, 404, 409];
    const ASKED: &[u16] = &[400, 404, 409, 422];
    let package = || One("PackageShown");
    let push = || One("PushShown");
    [
        route(
            ("get", "/package"),
            "Lists packages, newest first",
            Read,
            One("PageShown_PackageShown"),
            &[400],
        )
        .asks(PACKAGES),
        route(("post", "/package"), "Asks for a package", Package, package(), &[422]).takes("PackageAsked"),
        route(("get", "/package/{id}"), "Shows a package", Read, package(), ID),
        route(("delete", "/package/{id}"), "Forgets a package that has ended", Package, package(), READY),
        route(("get", "/package/{id}/files"), "Lists its files", Read, One("Files"), READY).asks(&PAGE),
        route(
            ("get", "/package/{id}:getSummaryReport"),
            "Where its report can be read",
            Read,
            Address,
            READY,
        ),
        route(("get", "/package/{id}:presign"), "Where its script can be fetched", Push, Address, READY),
        route(("post", "/package/{id}:push"), "Pushes it", Push, push(), ASKED).takes("PushAsked"),
        route(("patch", "/package/{id}:abort"), "Ends its making", Package, package(), READY),
        route(
            ("get", "/package/{id}/links"),
            "Lists links to its files and papers",
            Read,
            One("PageShown_LinkShown"),
            ID,
        )
        .asks(&PAGE),
        route(("post", "/package/{id}/links"), "Makes a link to its files", Push, One("LinkMade"), ASKED)
            .takes("LinkAsked"),
        route(
            ("delete", "/package/{id}/links"),
            "Ends all links to its files and papers",
            Push,
            Many("LinkShown"),
            ID,
        ),
        route(("delete", "/package/{id}/links/{link}"), "Ends a link at once", Push, One("LinkShown"), ID),
        route(("get", "/push"), "Lists pushes, newest first", Read, One("PageShown_PushShown"), &[400])
            .asks(PUSHES),
        route(("get", "/push/{id}"), "Shows a push", Read, push(), ID),
        route(("patch", "/push/{id}:abort"), "Ends a push", Push, push(), READY),
        route(("post", "/push/{id}:retry"), "Tries a push again that has failed", Push, push(), READY),
        route(("get", "/push/{id}/links"), "Lists links to its papers", Read, One("PageShown_LinkShown"), ID)
            .asks(&PAGE),
        route(("delete", "/push/{id}/links"), "Ends all links to its papers", Push, Many("LinkShown"), ID),
        route(("delete", "/push/{id}/links/{link}"), "Ends a link at once", Push, One("LinkShown"), ID),
        route(("get", "/push/{id}:receipt"), "Where its receipt can be read", Read, Address, ID),
        route(("post", "/auto"), "Shares a sequencing run by itself", Push, One("Ordered"), &[409, 422])
            .needs_too(Package)
            .takes("RunAsked"),
        route(
            ("post", "/auto/{id}:approve"),
            "Lets a package go that waits for it",
            Approve,
            package(),
            READY,
        ),
    ]
}

/// The description, for callers at that address.
fn described(public_url: &str) -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in all() {
        let path = paths.entry(format!("/api/v1{}", route.path)).or_default();
        path.insert(route.method.to_owned(), route.described());
    }
    let mut described = serde_json::to_value(Description::openapi()).unwrap_or_default();
    if let Some(described) = described.as_object_mut() {
        described.insert("paths".to_owned(), json!(paths));
        let here = json!([{ "url": public_url.trim_end_matches('/') }]);
        described.insert("servers".to_owned(), here);
    }
    if let Some(components) = described.pointer_mut("/components").and_then(Value::as_object_mut) {
        let bearer = json!({ "bearer": { "type": "http", "scheme": "bearer" } });
        components.insert("securitySchemes".to_owned(), bearer);
    }
    described
}

/// The description, and the page that shows it.
pub(super) fn routes(public_url: &str) -> Router<Share> {
    let text: Arc<str> = described(public_url).to_string().into();
    let shown = move || {
        let text = text.to_string();
        async move { ([(CONTENT_TYPE, "application/json")], text).into_response() }
    };
    Router::new().route(AT, get(shown)).merge(page())
}

/// The page that shows the description.
#[cfg(feature = "docs")]
fn page() -> Router<Share> {
    use axum::{
        extract::Path,
        http::{
            StatusCode,
            header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS},
        },
        response::{Redirect, Response},
    };
    use utoipa_swagger_ui::Config;

    /// It styles its elements one by one, and draws with images that are in its own text.
    const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'";
    const FIRST: &str = "index.html";
    const TITLE: &str = "<title>Data Sharing Manager Swagger Page</title>";

    let config = Arc::new(Config::from(AT));
    let file = move |path: &str| -> Response {
        let found = match utoipa_swagger_ui::serve(path, Arc::clone(&config)) {
            Ok(Some(found)) => found,
            Ok(None) => return StatusCode::NOT_FOUND.into_response(),
            Err(_) => return super::Refusal::Fault.into_response(),
        };
        let headers = [
            (CONTENT_TYPE, found.content_type.as_str()),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        if path == FIRST {
            let page = String::from_utf8_lossy(&found.bytes).replace("<title>Swagger UI</title>", TITLE);
            return (headers, page).into_response();
        }
        (headers, found.bytes.to_vec()).into_response()
    };
    let first = file.clone();
    Router::new()
        .route("/schema/swagger-ui", get(async || Redirect::to("/schema/swagger-ui/")))
        .route("/schema/swagger-ui/", get(async move || first(FIRST)))
        .route("/schema/swagger-ui/{*path}", get(async move |Path(path): Path<String>| file(&path)))
}

#[cfg(not(feature = "docs"))]
fn page() -> Router<Share> {
    Router::new()
}

#[cfg(test)]
mod tests;
