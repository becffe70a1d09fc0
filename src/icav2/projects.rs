//! Projects by id or by name.
//!
//! The API has no filter for an exact name: `search` narrows (how is not documented, so a miss is not
//! believed) and the names are compared here.

use std::time::Duration;

use uuid::Uuid;

use super::{
    call::Call,
    client::Client,
    platform::{PAGE_SIZE, known},
    recent::Recent,
    wire,
};
use crate::ports::{Class, Error, Result, platform::Project};

pub(super) const LIST: &str = "GET /api/projects";
/// A project may be renamed; its new name is believed after this.
pub(super) const KEEP: Duration = Duration::from_mins(5);

/// Projects looked up lately, by reference.
pub(super) type Projects = Recent<String, Project>;

impl Client {
    /// The project of that id or exact name.
    pub(super) async fn find_project(&self, reference: &str) -> Result<Project> {
        if let Some(project) = self.projects.get(reference) {
            return Ok(project);
        }
        let project = if Uuid::try_parse(reference).is_ok() {
            self.project_by_id(reference).await?
        } else {
            match self.projects_named(reference, Some(reference)).await? {
                Some(project) => project,
                None => self.projects_named(reference, None).await?.ok_or_else(|| {
                    Error::new(
                        Class::NotFound,
                        LIST,
                        format!("no project named `{reference}` is visible to us"),
                    )
                })?,
            }
        };
        self.projects.put(reference.to_owned(), project.clone());
        Ok(project)
    }

    async fn project_by_id(&self, id: &str) -> Result<Project> {
        let call = Call::read("GET /api/projects/{projectId}", &[id]);
        let found = match self.call::<wire::Project>(&call).await {
            Err(error) => Err(self.entering_for(error).await),
            found => found,
        };
        found.map(Project::from).map_err(|mut error| {
            if error.class == Class::NotFound {
                error.message = format!("no project with the id {id} is visible to us ({})", error.message);
            }
            error
        })
    }

    /// The one project of exactly that name. Names are unique in a tenant, but projects of several
    /// tenants may be visible: two of one name are refused, because the wrong one may be written to.
    async fn projects_named(&self, name: &str, search: Option<&str>) -> Result<Option<Project>> {
        let mut found: Option<Project> = None;
        let mut from: Option<String> = None;
        loop {
            let mut call = Call::read(LIST, &[]).with("pageSize", PAGE_SIZE);
            if let Some(search) = search {
                call = call.with("search", search);
            }
            if let Some(token) = &from {
                call = call.with("pageToken", token);
            }
            let page: wire::PagedList<wire::Project> =
                self.call(&call).await.map_err(|error| self.entering(error))?;
            for project in known(&call, page.items).filter(|project| project.name == name).map(Project::from)
            {
                match &found {
                    Some(other) if other.id != project.id => {
                        let message = format!(
                            "two projects are named `{name}` ({} and {}); use an id",
                            other.id, project.id
                        );
                        return Err(Error::new(Class::Invalid, LIST, message));
                    }
                    _ => found = Some(project),
                }
            }
            from = page.next_page_token.filter(|token| !token.is_empty());
            if from.is_none() {
                return Ok(found);
            }
        }
    }
}
