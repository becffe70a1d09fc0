//! The calls there are: method, path template, what they accept.

/// One call of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    CreateToken,
    Projects,
    Project,
    SelfManagedStorage,
    ListData,
    GetData,
    UpdateData,
    DataByUrn,
    Children,
    CreateFile,
    CreateFolder,
    CreateFileWithUploadUrl,
    CreateFileWithTemporaryCredentials,
    CreateFolderWithTemporaryCredentials,
    CreateUploadUrl,
    CreateDownloadUrl,
    CreateDownloadUrls,
    CreateTemporaryCredentials,
    Delete,
    CreateCopyBatch,
    CopyBatch,
    CopyBatchItems,
    CopyBatchItem,
    CreateMoveBatch,
    MoveBatch,
    MoveBatchItems,
    MoveBatchItem,
    Jobs,
    Job,
    Channels,
    CreateChannel,
    Subscriptions,
    CreateSubscription,
    StorageConfigurations,
    SystemInfo,
    Regions,
}

/// What kind of body a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// `application/vnd.illumina.v3+json` or `application/json`.
    Json,
    /// The same, or nothing at all.
    Optional,
    /// `application/vnd.illumina.v3+json` alone.
    Vendor,
}

/// One call: how it is made.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) call: Call,
    pub(super) method: &'static str,
    pub(super) template: &'static str,
    pub(super) body: Body,
    pub(super) query: &'static [&'static str],
    /// Whether it honours `Idempotency-Key`.
    pub(super) idempotent: bool,
    /// Whether it is answered in version 4 too.
    pub(super) v4: bool,
}

const PAGES: [&str; 3] = ["pageOffset", "pageToken", "pageSize"];

const fn route(call: Call, method: &'static str, template: &'static str) -> Route {
    Route { call, method, template, body: Body::None, query: &[], idempotent: false, v4: false }
}

const fn post(call: Call, template: &'static str, body: Body) -> Route {
    Route { body, ..route(call, "POST", template) }
}

const fn get(call: Call, template: &'static str, query: &'static [&'static str]) -> Route {
    Route { query, ..route(call, "GET", template) }
}

const fn create(call: Call, template: &'static str) -> Route {
    Route { idempotent: true, ..post(call, template, Body::Json) }
}

const PROJECTS: &[&str] = &[
    "search",
    "userTags",
    "technicalTags",
    "includeHiddenProjects",
    "region",
    "workgroups",
    PAGES[0],
    PAGES[1],
    PAGES[2],
    "sort",
];

/// Filters of both listings of data; the first of them are those of children.
const DATA: &[&str] = &[
    "fullText",
    "id",
    "filename",
    "filenameMatchMode",
    "status",
    "formatId",
    "formatCode",
    "type",
    "creationDateAfter",
    "creationDateBefore",
    "statusDateAfter",
    "statusDateBefore",
    "userTag",
    "userTagMatchMode",
    "runInputTag",
    "runInputTagMatchMode",
    "runOutputTag",
    "runOutputTagMatchMode",
    "connectorTag",
    "connectorTagMatchMode",
    "technicalTag",
    "technicalTagMatchMode",
    "notInRun",
    "notLinkedToSample",
    "instrumentRunId",
    PAGES[0],
    PAGES[1],
    PAGES[2],
    "filePath",
    "filePathMatchMode",
    "nonIndexedFolders",
    "parentFolderId",
    "parentFolderPath",
    "owningProjectId",
    "sort",
];

const CHILDREN: &[&str] = DATA.split_at(28).0;

static ROUTES: &[Route] = &[
    Route { query: &["tenant"], ..post(Call::CreateToken, "/api/tokens", Body::None) },
    get(Call::Projects, "/api/projects", PROJECTS),
    get(Call::Project, "/api/projects/{projectId}", &[]),
    get(Call::SelfManagedStorage, "/api/projects/{projectId}/selfManagedStorageConfiguration", &[]),
    get(Call::ListData, "/api/projects/{projectId}/data", DATA),
    create(Call::CreateFile, "/api/projects/{projectId}/data:createFile"),
    create(Call::CreateFolder, "/api/projects/{projectId}/data:createFolder"),
    create(Call::CreateFileWithUploadUrl, "/api/projects/{projectId}/data:createFileWithUploadUrl"),
    create(
        Call::CreateFileWithTemporaryCredentials,
        "/api/projects/{projectId}/data:createFileWithTemporaryCredentials",
    ),
    create(
        Call::CreateFolderWithTemporaryCredentials,
        "/api/projects/{projectId}/data:createFolderWithTemporaryCredentials",
    ),
    post(Call::CreateDownloadUrls, "/api/projects/{projectId}/data:createDownloadUrls", Body::Vendor),
    get(Call::GetData, "/api/projects/{projectId}/data/{dataId}", &[]),
    Route { body: Body::Json, ..route(Call::UpdateData, "PUT", "/api/projects/{projectId}/data/{dataId}") },
    get(Call::DataByUrn, "/api/data/{dataUrn}", &[]),
    Route { v4: true, ..get(Call::Children, "/api/projects/{projectId}/data/{dataId}/children", CHILDREN) },
    Route {
        query: &["fileType", "hash"],
        ..post(Call::CreateUploadUrl, "/api/projects/{projectId}/data/{dataId}:createUploadUrl", Body::None)
    },
    post(Call::CreateDownloadUrl, "/api/projects/{projectId}/data/{dataId}:createDownloadUrl", Body::None),
    post(
        Call::CreateTemporaryCredentials,
        "/api/projects/{projectId}/data/{dataId}:createTemporaryCredentials",
        Body::Optional,
    ),
    post(Call::Delete, "/api/projects/{projectId}/data/{dataId}:delete", Body::None),
    post(Call::CreateCopyBatch, "/api/projects/{projectId}/dataCopyBatch", Body::Json),
    get(Call::CopyBatch, "/api/projects/{projectId}/dataCopyBatch/{batchId}", &[]),
    get(
        Call::CopyBatchItems,
        "/api/projects/{projectId}/dataCopyBatch/{batchId}/items",
        &["status", PAGES[0], PAGES[1], PAGES[2]],
    ),
    get(Call::CopyBatchItem, "/api/projects/{projectId}/dataCopyBatch/{batchId}/items/{itemId}", &[]),
    post(Call::CreateMoveBatch, "/api/projects/{projectId}/dataMoveBatch", Body::Json),
    get(Call::MoveBatch, "/api/projects/{projectId}/dataMoveBatch/{batchId}", &[]),
    Route {
        query: &PAGES,
        ..post(
            Call::MoveBatchItems,
            "/api/projects/{projectId}/dataMoveBatch/{batchId}/items:search",
            Body::Optional,
        )
    },
    get(Call::MoveBatchItem, "/api/projects/{projectId}/dataMoveBatch/{batchId}/items/{itemId}", &[]),
    get(Call::Jobs, "/api/jobs", &["status", PAGES[0], PAGES[1], PAGES[2], "sort"]),
    get(Call::Job, "/api/jobs/{jobId}", &[]),
    get(Call::Channels, "/api/notificationChannels", &[]),
    post(Call::CreateChannel, "/api/notificationChannels", Body::Json),
    get(Call::Subscriptions, "/api/projects/{projectId}/notificationSubscriptions", &[]),
    post(Call::CreateSubscription, "/api/projects/{projectId}/notificationSubscriptions", Body::Json),
    get(Call::StorageConfigurations, "/api/storageConfigurations", &[]),
    get(Call::SystemInfo, "/api/system/info", &[]),
    get(Call::Regions, "/api/regions", &[]),
];

/// The call at a path below `/ica/rest`, with the parameters of its template.
pub(super) fn find(method: &str, path: &str) -> Option<(&'static Route, Vec<(&'static str, String)>)> {
    let mut by_method = ROUTES.iter().filter(|route| route.method == method);
    by_method.find_map(|route| Some((route, fit(route.template, path)?)))
}

fn fit(template: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut parameters = Vec::new();
    let mut parts = path.split('/');
    for wanted in template.split('/') {
        let part = percent_encoding::percent_decode_str(parts.next()?).decode_utf8().ok()?;
        let Some((name, verb)) = wanted.strip_prefix('{').and_then(|wanted| wanted.split_once('}')) else {
            if part != wanted {
                return None;
            }
            continue;
        };
        // A colon begins a verb, but for URNs.
        let value = part.strip_suffix(verb).filter(|value| !value.is_empty())?;
        if value.contains(':') && name != "dataUrn" {
            return None;
        }
        parameters.push((name, value.to_owned()));
    }
    parts.next().is_none().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_belong_to_the_template() {
        for (method, path, template) in [
            ("POST", "/api/projects/p/data:createFile", Some("/api/projects/{projectId}/data:createFile")),
            ("POST", "/api/projects/p/data%3AcreateFile", Some("/api/projects/{projectId}/data:createFile")),
            ("GET", "/api/projects/p/data/d", Some("/api/projects/{projectId}/data/{dataId}")),
            ("POST", "/api/projects/p/data/d:delete", Some("/api/projects/{projectId}/data/{dataId}:delete")),
            ("GET", "/api/projects/p/data/d:delete", None),
            ("POST", "/api/projects/p/data/d:destroy", None),
            ("GET", "/api/projects/p/data/", None),
            ("GET", "/api/projects/p/data/d/", None),
            ("PUT", "/api/projects/p", None),
            ("GET", "/api/data/urn:x%23%2Fa%2Fb", Some("/api/data/{dataUrn}")),
        ] {
            assert_eq!(find(method, path).map(|(route, _)| route.template), template, "{method} {path}");
        }
        let (_, parameters) = find("POST", "/api/projects/p/data/d:delete").unwrap();
        assert_eq!(parameters, [("projectId", "p".to_owned()), ("dataId", "d".to_owned())]);
    }

    /// The page of the simulator has a row for every call, and no other.
    #[test]
    fn the_page_has_every_call() {
        let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.md"));
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let mut rows: Vec<&str> = rows.filter(|row| row.contains(" /api/")).collect();
        let routes = ROUTES.iter().map(|route| format!("{} {}", route.method, route.template));
        let mut routes: Vec<String> = routes.collect();
        rows.sort_unstable();
        routes.sort_unstable();
        assert_eq!(rows, routes);
    }

    #[test]
    fn children_have_the_filters_of_data_without_paths() {
        assert_eq!(CHILDREN.last(), Some(&"pageSize"));
    }
}
