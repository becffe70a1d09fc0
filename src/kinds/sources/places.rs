//! Where the names of a request lead: into a project, or to a bucket that belongs to none.

use std::collections::BTreeMap;

use crate::{
    domain::{
        ids::ProjectId,
        location::{DataPath, Location, LocationError},
        outcome::{ErrorName, Failure, culprit},
        policy::{Place, Rules},
    },
    engine::kind::PlanError,
    ports::{
        Class,
        blame::is_of_api,
        objects::ObjectLocation,
        platform::{DataPlatform, Project},
    },
};

/// Where a URI leads.
#[derive(Debug)]
pub(crate) enum ResolvedSource {
    /// Into a project.
    Inside(Project, DataPath),
    /// To a bucket of no project that we see.
    ExternalSource(ObjectLocation),
}

/// Projects by the names that this request uses.
pub(crate) struct Projects<'a> {
    pub(crate) platform: &'a dyn DataPlatform,
    pub(crate) rules: &'a Rules,
    known: BTreeMap<String, Project>,
}

impl<'a> Projects<'a> {
    pub(crate) fn new(platform: &'a dyn DataPlatform, rules: &'a Rules) -> Self {
        Self { platform, rules, known: BTreeMap::new() }
    }

    /// Where a URI leads, whether it is named `icav2://` or by the bucket that a project has for its
    /// own. An `icav2://` URI never leads outside.
    pub(crate) async fn place(
        &mut self,
        uri: &str,
        what: &str,
        missing: ErrorName,
    ) -> Result<ResolvedSource, PlanError> {
        self.lead(uri, Location::parse(uri), what, missing).await
    }

    async fn lead(
        &mut self,
        uri: &str,
        location: Result<Location, LocationError>,
        what: &str,
        missing: ErrorName,
    ) -> Result<ResolvedSource, PlanError> {
        let no_place = |why: &str| {
            let message = format!("{what} is no URI of data");
            PlanError::Failed(culprit(ErrorName::InvalidRequest, message, uri, why))
        };
        match location {
            Ok(Location::Icav2 { project, path }) => {
                Ok(ResolvedSource::Inside(self.of(uri, &project, missing).await?, path))
            }
            Ok(Location::S3 { bucket, key }) => match self.platform.locate(&bucket, &key).await {
                Ok(Some((project, path))) => Ok(ResolvedSource::Inside(project, path)),
                Ok(None) => Ok(ResolvedSource::ExternalSource(ObjectLocation { bucket, key })),
                // The URI is at fault; a fault of the platform is not the caller's.
                Err(error) if error.class == Class::Invalid && !is_of_api(&error) => {
                    Err(no_place(&error.to_string()))
                }
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(no_place(&error.to_string())),
        }
    }

    async fn of(&mut self, uri: &str, name: &str, error: ErrorName) -> Result<Project, PlanError> {
        if let Some(project) = self.known.get(name) {
            return Ok(project.clone());
        }
        match self.platform.project(name).await {
            Ok(project) => {
                self.known.insert(name.to_owned(), project.clone());
                Ok(project)
            }
            Err(refused) if matches!(refused.class, Class::NotFound | Class::Forbidden) => {
                let message = format!("no ICAv2 project `{name}` is visible to this service");
                Err(culprit(error, message, uri, &refused.to_string()).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The folder that a copy goes to, which may be the root of a project.
    pub(crate) async fn destination(&mut self, uri: &str) -> Result<(Project, DataPath), PlanError> {
        let invalid = |message: &str, why: &str| culprit(ErrorName::InvalidRequest, message, uri, why);
        let location = Location::parse_destination(uri);
        let spot = self.lead(uri, location, "the destination", ErrorName::InvalidRequest).await?;
        let (project, path) = match spot {
            ResolvedSource::Inside(project, path) => (project, path),
            ResolvedSource::ExternalSource(at) => {
                self.rules.check_destination(Place::Bucket(&at.bucket), uri)?;
                let why = "it is in no ICAv2 project that this service sees";
                return Err(invalid("only a copy of its own goes to a place outside ICAv2", why).into());
            }
        };
        if !path.is_folder() {
            return Err(invalid("the destination must be a folder", "it does not end with `/`").into());
        }
        self.rules.check_destination(Place::Project { id: &project.id, name: &project.name }, uri)?;
        Ok((project, path))
    }

    /// Whether a source may be copied from.
    pub(crate) fn check_source(&self, id: &ProjectId, name: &str, uri: &str) -> Result<(), Failure> {
        self.rules.check_source(Place::Project { id, name }, uri)
    }
}
