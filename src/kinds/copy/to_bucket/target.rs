//! Where a copy goes that leaves ICAv2, and which keys must not be written there.

use std::collections::HashSet;

use super::{PlanResult, culprit};
use crate::{
    domain::{
        instruction::is_directory_bucket,
        outcome::{ErrorName, Failure},
        policy::{Glob, Place, Rules},
    },
    ports::{Class, blame::is_of_api, platform::DataPlatform},
};

/// The longest key that S3 takes, in bytes.
const LONGEST_KEY: usize = 1024;

/// A place in a bucket of no project.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub bucket: String,
    /// The prefix of keys there; empty, or ends with `/`.
    pub prefix: String,
    /// As the caller wrote it.
    pub uri: String,
}

impl Target {
    /// A key here like that of a file of this name, without what no answer in XML can hold.
    pub(super) fn like(&self, name: &str) -> String {
        self.prefix.chars().chain(name.chars().filter(|letter| !letter.is_control())).collect()
    }

    /// Refuses a target that is no folder, and one that the installation does not allow.
    pub(super) fn judge(&self, rules: &Rules, denied: &[Glob]) -> Result<(), Failure> {
        if !self.prefix.is_empty() && !self.prefix.ends_with('/') {
            let message = "the destination must be a folder";
            return Err(culprit(ErrorName::InvalidRequest, message, &self.uri, "it does not end with `/`"));
        }
        if is_directory_bucket(&self.bucket) {
            let message = "directory buckets (S3 Express One Zone) are not supported";
            return Err(culprit(ErrorName::InvalidRequest, message, &self.uri, "is one by its name"));
        }
        rules.check_destination(Place::Bucket(&self.bucket), &self.uri)?;
        if denied.iter().any(|pattern| pattern.matches(&self.bucket)) {
            let message = "nothing is copied to this bucket";
            let why = "copy_out.deny_destination_buckets names it";
            return Err(culprit(ErrorName::PolicyDenied, message, &self.uri, why));
        }
        Ok(())
    }

    /// Refuses a folder of a source that would land in a project.
    pub(super) async fn check_open(
        &self,
        platform: &dyn DataPlatform,
        folder: &str,
        uri: &str,
    ) -> PlanResult<()> {
        let why = match platform.locate(&self.bucket, folder).await {
            Ok(None) => return Ok(()),
            Ok(Some((project, path))) => {
                format!("would go to {path} of the project `{}`: name that as the destination", project.name)
            }
            Err(error) if error.class == Class::Invalid && !is_of_api(&error) => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        let message = "a folder at the destination holds the data of a project";
        Err(culprit(ErrorName::InvalidRequest, message, uri, &why).into())
    }
}

/// Sources in the bucket that is copied to.
#[derive(Debug, Default)]
pub(super) struct SelfCopyCheck {
    prefixes: Vec<String>,
    keys: HashSet<String>,
}

impl SelfCopyCheck {
    /// Takes a source in that is everything below a prefix; refuses one that holds the destination.
    pub(super) fn add_prefix(
        &mut self,
        target: &Target,
        bucket: &str,
        prefix: &str,
        uri: &str,
    ) -> Result<(), Failure> {
        if bucket != target.bucket {
            return Ok(());
        }
        if target.prefix.starts_with(prefix) {
            let message = "the destination lies inside a source";
            let why = format!("holds the destination {}", target.uri);
            return Err(culprit(ErrorName::RecursionLimit, message, uri, &why));
        }
        self.prefixes.push(prefix.to_owned());
        Ok(())
    }

    /// Takes a source in that is an object.
    pub(super) fn add_key(&mut self, target: &Target, bucket: &str, key: &str) {
        if bucket == target.bucket {
            self.keys.insert(key.to_owned());
        }
    }

    /// Refuses a key that cannot be, or that would be written over a source.
    pub(super) fn check(&self, target: &Target, source: &str, to: &str) -> Result<(), Failure> {
        let refused = |error, message: &str, why: &str| Err(culprit(error, message, source, why));
        if to.len() > LONGEST_KEY {
            let why = format!("would get a key of more than {LONGEST_KEY} bytes");
            return refused(ErrorName::InvalidRequest, "a file would get a key that cannot be", &why);
        }
        let is_source = self.keys.contains(to) || self.prefixes.iter().any(|prefix| to.starts_with(prefix));
        if !is_source {
            return Ok(());
        }
        if source == format!("s3://{}/{to}", target.bucket) {
            let why = "is at the destination already";
            return refused(ErrorName::InvalidRequest, "a source would be copied onto itself", why);
        }
        let why = format!("would be `{to}` at the destination, among the sources");
        refused(ErrorName::RecursionLimit, "a source would be copied into a source", &why)
    }
}
