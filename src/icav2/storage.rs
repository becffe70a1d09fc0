//! Where projects keep their data: the storage configurations, and which project uses which.
//!
//! A project is asked for its root only when its configuration may hold the location, so that a
//! lookup costs two listings and the few projects in question, not a call for each project there is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    call::Call,
    client::Client,
    platform::{PAGE_SIZE, known},
    problem,
    projects::KEEP,
    recent::Recent,
    roots::{Place, Root, place},
    wire,
};
use crate::{
    domain::{ids::ProjectId, location::DataPath},
    ports::{Class, Error, Result, platform::Project},
    signals::api,
};

const CONFIGURATIONS: &str = "GET /api/storageConfigurations";
const PROJECTS: &str = "GET /api/projects";
const OF_PROJECT: &str = "GET /api/projects/{projectId}/selfManagedStorageConfiguration";
/// A location in no project is believed to be in none when the picture is this young; otherwise
/// each of a thousand external files would ask again.
const FRESH: Duration = Duration::from_secs(10);
/// The configuration of a project that cannot be read in the list: it may hold anything.
const UNREADABLE: &str = "";
/// Roots asked for at once.
const AT_ONCE: usize = 8;

/// What was learnt about storage.
#[derive(Debug)]
pub(super) struct Storages {
    picture: Mutex<Option<Arc<Picture>>>,
    /// Held by the call that draws the picture, so that calls that miss together cause one.
    drawing: tokio::sync::Mutex<()>,
    roots: Recent<ProjectId, Option<Root>>,
}

impl Default for Storages {
    fn default() -> Self {
        Self { picture: Mutex::default(), drawing: tokio::sync::Mutex::default(), roots: Recent::new(KEEP) }
    }
}

/// All configurations, and all projects with storage of their own.
#[derive(Debug)]
struct Picture {
    drawn: Instant,
    configurations: HashMap<String, Root>,
    projects: Vec<(Project, String)>,
}

impl Picture {
    /// The projects that may hold the location. A configuration that we may not see (that of another
    /// tenant) may hold anything.
    fn candidates(&self, bucket: &str, key: &str) -> Vec<Project> {
        let may_hold = |configuration: &str| match self.configurations.get(configuration) {
            Some(root) => root.rest_of(bucket, key).is_some(),
            None => true,
        };
        let candidates = self.projects.iter().filter(|(_, configuration)| may_hold(configuration));
        candidates.map(|(project, _)| project.clone()).collect()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    id: String,
    storage_configuration_details: Option<Details>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    aws_s3: Option<AwsS3>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AwsS3 {
    bucket_name: String,
    key_prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProjectWithStorage {
    id: String,
    name: String,
    self_managed_storage_configuration: Option<Reference>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfProject {
    storage_configuration_sub_folder: Option<String>,
    storage_configuration: Option<Reference>,
}

impl Client {
    /// The project that an S3 location lies in, and where in it.
    pub(super) async fn locate_object(&self, bucket: &str, key: &str) -> Result<Option<(Project, DataPath)>> {
        let known = self.picture(KEEP).await?;
        let found = match self.place(&known, bucket, key).await? {
            Place::Nowhere => {
                let fresh = self.picture(FRESH).await?;
                if Arc::ptr_eq(&known, &fresh) {
                    Place::Nowhere
                } else {
                    self.place(&fresh, bucket, key).await?
                }
            }
            found @ (Place::Project(..) | Place::Unnamable(..) | Place::Both(..)) => found,
        };
        let refused =
            |message| Err(Error::new(Class::Invalid, "find the project of an S3 location", message));
        match found {
            Place::Nowhere => Ok(None),
            Place::Project(project, path) => Ok(Some((project, path))),
            Place::Unnamable(project, error) => {
                let name = &project.name;
                refused(format!(
                    "s3://{bucket}/{key} lies in project `{name}`, but no file can be there: {error}"
                ))
            }
            Place::Both(one, other) => refused(format!(
                "s3://{bucket}/{key} lies in the projects `{}` ({}) and `{}` ({}) alike; use icav2://",
                one.name, one.id, other.name, other.id
            )),
        }
    }

    /// Where a project keeps its data, if it has a bucket of its own.
    pub(super) async fn root_of(&self, project: &ProjectId) -> Result<Option<Root>> {
        if let Some(root) = self.storages.roots.get(project) {
            return Ok(root);
        }
        let call = Call::read(OF_PROJECT, &[project.as_str()]);
        let found = match self.call::<OfProject>(&call).await {
            Ok(found) => found,
            Err(error) if error.class == Class::NotFound => {
                self.storages.roots.put(project.clone(), None);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let sub_folder = found.storage_configuration_sub_folder.as_deref();
        let configuration = match (sub_folder, &found.storage_configuration) {
            (Some(whole), _) if whole.starts_with("s3://") => None,
            (_, None) => None,
            (_, Some(reference)) => self.picture(KEEP).await?.configurations.get(&reference.id).cloned(),
        };
        let root = Root::of_project(sub_folder, configuration.as_ref()).ok_or_else(|| {
            Error::new(Class::Invalid, OF_PROJECT, format!("it does not say where {project} keeps its data"))
        })?;
        self.storages.roots.put(project.clone(), Some(root.clone()));
        Ok(Some(root))
    }

    async fn place(&self, picture: &Picture, bucket: &str, key: &str) -> Result<Place> {
        let asked = stream::iter(picture.candidates(bucket, key)).map(|project| async move {
            match self.root_of(&project.id).await {
                Ok(root) => Ok(root.map(|root| (project, root))),
                // One project that hides its storage must not hide where all others have theirs.
                Err(error) if matches!(error.class, Class::Forbidden | Class::Invalid) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let roots: Vec<_> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(place(roots.iter().flatten().map(|(project, root)| (project, root)), bucket, key))
    }

    /// The picture, drawn anew when it is as old as `age`.
    async fn picture(&self, age: Duration) -> Result<Arc<Picture>> {
        let young = |picture: &Arc<Picture>| picture.drawn.elapsed() < age;
        let at_hand = || {
            let picture = self.storages.picture.lock().unwrap_or_else(PoisonError::into_inner);
            picture.clone().filter(young)
        };
        if let Some(picture) = at_hand() {
            return Ok(picture);
        }
        let _drawing = self.storages.drawing.lock().await;
        if let Some(picture) = at_hand() {
            return Ok(picture);
        }
        let picture = Arc::new(self.draw().await?);
        // A project keeps the root it has, but one without may get one.
        self.storages.roots.retain(Option::is_some);
        *self.storages.picture.lock().unwrap_or_else(PoisonError::into_inner) = Some(picture.clone());
        Ok(picture)
    }

    async fn draw(&self) -> Result<Picture> {
        let drawn = Instant::now();
        let listed: Result<wire::List<wire::Entry<Configuration>>> =
            self.call(&Call::read(CONFIGURATIONS, &[])).await;
        let configurations = match listed {
            // One that cannot be read is like one that we may not see.
            Ok(list) => known(&Call::read(CONFIGURATIONS, &[]), list.items).filter_map(|configuration| {
                let AwsS3 { bucket_name, key_prefix } = configuration.storage_configuration_details?.aws_s3?;
                Some((configuration.id, Root::new(&bucket_name, key_prefix.as_deref())))
            }),
            // Then every project that has storage of its own is asked.
            Err(error) if matches!(error.class, Class::Forbidden | Class::NotFound) => {
                return Ok(Picture {
                    drawn,
                    configurations: HashMap::new(),
                    projects: self.projects_with_storage().await?,
                });
            }
            Err(error) => return Err(error),
        };
        let configurations = configurations.collect();
        Ok(Picture { drawn, configurations, projects: self.projects_with_storage().await? })
    }

    async fn projects_with_storage(&self) -> Result<Vec<(Project, String)>> {
        let mut found = Vec::new();
        let mut from: Option<String> = None;
        loop {
            // A project hidden from a user's lists holds its data all the same.
            let mut call =
                Call::read(PROJECTS, &[]).with("includeHiddenProjects", "true").with("pageSize", PAGE_SIZE);
            if let Some(token) = &from {
                call = call.with("pageToken", token);
            }
            let page: wire::PagedList<ProjectWithStorage> =
                self.call(&call).await.map_err(|error| self.entering(error))?;
            for entry in page.items {
                let project = match entry {
                    wire::Entry::Read(project) => project,
                    wire::Entry::Odd(odd) => {
                        // What is left out here would be taken for a bucket of no project: it is asked
                        // itself where its data are. Without an id it cannot be.
                        let id = odd.entry.get("id").and_then(Value::as_str);
                        let id = id.ok_or_else(|| problem::gibberish(&call, odd.why.clone()))?;
                        let name = odd.entry.get("name").and_then(Value::as_str).unwrap_or(id);
                        let project = Project { id: ProjectId::new(id), name: name.to_owned() };
                        api::odd_entries(PROJECTS, std::slice::from_ref(&odd.why));
                        found.push((project, UNREADABLE.to_owned()));
                        continue;
                    }
                };
                let Some(configuration) = project.self_managed_storage_configuration else { continue };
                let project = Project { id: ProjectId::new(project.id), name: project.name };
                found.push((project, configuration.id));
            }
            from = page.next_page_token.filter(|token| !token.is_empty());
            if from.is_none() {
                return Ok(found);
            }
        }
    }
}
