//! The routes of links to the files of a package, and to papers of packages and pushes.

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Path, RawQuery, State},
    routing::{delete, get, post},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Share,
    auth::Caller,
    query,
    routes::{Answer, MOST_FILES, PACKAGES, body, page, shown, target},
};
use crate::{
    domain::share::{ids::Shared, tokens::Scope},
    events::share::linked,
};

/// Links that are ended at a time.
const WIDTH: usize = 8;

/// What has links.
trait Linked: 'static {
    /// Its kind.
    const KIND: Shared;
    /// Its name in paths.
    const NAME: &'static str;
}

struct Packages;
struct Pushes;

impl Linked for Packages {
    const KIND: Shared = Shared::Package;
    const NAME: &'static str = "package";
}

impl Linked for Pushes {
    const KIND: Shared = Shared::Push;
    const NAME: &'static str = "push";
}

/// The routes, each with and without a `/` at its end. A push has no files of its own, and links to its papers alone.
pub(super) fn routes() -> Router<Share> {
    let links = post(make).get(list::<Packages>).delete(end_all::<Packages>);
    let of_push = get(list::<Pushes>).delete(end_all::<Pushes>);
    Router::new()
        .route("/package/{id}/links", links.clone())
        .route("/package/{id}/links/", links)
        .route("/package/{id}/links/{link}", delete(end::<Packages>))
        .route("/package/{id}/links/{link}/", delete(end::<Packages>))
        .route("/push/{id}/links", of_push.clone())
        .route("/push/{id}/links/", of_push)
        .route("/push/{id}/links/{link}", delete(end::<Pushes>))
        .route("/push/{id}/links/{link}/", delete(end::<Pushes>))
}

async fn make(
    State(share): State<Share>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
    bytes: Bytes,
) -> Answer {
    caller.check(Scope::Push)?;
    let (id, _) = target(&path, Shared::Package)?;
    let asked = linked::link(&body(&bytes)?).map_err(super::Refusal::Invalid)?;
    Ok(shown(share.backend.make_link(caller.name(), &id, asked).await?))
}

async fn list<L: Linked>(
    State(share): State<Share>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    caller.check(Scope::Read)?;
    let (id, _) = target(&path, L::KIND)?;
    let query = query.unwrap_or_default();
    let mut wanted = query::read(&query, PACKAGES, share.backend.now())?;
    wanted.rows_per_page = wanted.rows_per_page.min(MOST_FILES);
    let all = share.backend.links(&id).await?;
    let count = all.len();
    let some: Vec<_> = all.into_iter().skip(wanted.first()).take(wanted.rows_per_page).collect();
    Ok(shown(page(&share, &format!("{}/{id}/links", L::NAME), &query, &wanted, count, some)))
}

/// Ends all that have not ended, and answers with them.
async fn end_all<L: Linked>(
    State(share): State<Share>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
) -> Answer {
    caller.check(Scope::Push)?;
    let (id, _) = target(&path, L::KIND)?;
    let all = share.backend.links(&id).await?;
    let good = all.into_iter().filter(|link| !link.has_ended);
    let (backend, id) = (&share.backend, &id);
    let ends = stream::iter(good).map(async |link| backend.end_link(id, &link.id).await);
    Ok(shown(ends.buffered(WIDTH).try_collect::<Vec<_>>().await?))
}

async fn end<L: Linked>(
    State(share): State<Share>,
    Extension(caller): Extension<Caller>,
    Path((path, link)): Path<(String, String)>,
) -> Answer {
    caller.check(Scope::Push)?;
    let (id, _) = target(&path, L::KIND)?;
    Ok(shown(share.backend.end_link(&id, &link).await?))
}
