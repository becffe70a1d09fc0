//! Temporary credentials for the S3 storage behind a project.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{call::Call, client::Client, wire};
use crate::{
    domain::ids::{DataId, ProjectId},
    ports::{
        Class, Error, Result,
        objects::{BucketAccess, Encryption},
        platform::Destination,
    },
};

/// How long credentials last that do not say so.
const LIFETIME: SignedDuration = SignedDuration::from_hours(36);
/// Credentials with less than this left are replaced: an upload takes its time.
const ENOUGH: SignedDuration = SignedDuration::from_hours(12);

/// What credentials are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    read_only_credentials: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    data: wire::Data,
    temp_credentials: Given,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    aws_temp_credentials: Option<ForAws>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ForAws {
    access_key: String,
    secret_key: String,
    session_token: String,
    region: String,
    bucket: String,
    object_prefix: String,
    server_side_encryption_algorithm: Option<String>,
    server_side_encryption_key: Option<String>,
    expiration_time: Option<String>,
}

impl fmt::Debug for ForAws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForAws").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl Client {
    /// Credentials for a file or folder.
    pub(super) async fn credentials(
        &self,
        project: &ProjectId,
        data: &DataId,
        purpose: Purpose,
    ) -> Result<BucketAccess> {
        let operation = "POST /api/projects/{projectId}/data/{dataId}:createTemporaryCredentials";
        let wanted = Wanted { read_only_credentials: purpose == Purpose::Read };
        let call = Call::read(operation, &[project.as_str(), data.as_str()]).json(&wanted)?;
        let given: Given = self.call(&call).await?;
        let mut access = self.access(operation, given)?;
        if data.as_str().starts_with("fol.") && !access.prefix.is_empty() && !access.prefix.ends_with('/') {
            access.prefix.push('/');
        }
        Ok(access)
    }

    /// A new PARTIAL file, with credentials for its bytes.
    pub(super) async fn file_with_credentials(
        &self,
        project: &ProjectId,
        folder: &Destination,
        name: &str,
        key: &str,
    ) -> Result<(DataId, BucketAccess)> {
        let operation = "POST /api/projects/{projectId}/data:createFileWithTemporaryCredentials";
        let file = wire::CreateFile::new(name, folder);
        let call = Call::keyed(operation, &[project.as_str()], key).json(&file)?;
        let made: Made = self.call(&call).await?;
        let id = DataId::new(made.data.id);
        let access = self.access(operation, made.temp_credentials)?;
        // An answer is replayed for 7 days, its credentials end before.
        let ends_soon = self.now().checked_add(ENOUGH).is_ok_and(|soon| access.expires < soon);
        let access = if ends_soon { self.credentials(project, &id, Purpose::Write).await? } else { access };
        Ok((id, access))
    }

    fn access(&self, operation: &'static str, given: Given) -> Result<BucketAccess> {
        let given = given
            .aws_temp_credentials
            .ok_or_else(|| Error::new(Class::Invalid, operation, "the credentials are not for S3"))?;
        let said = given.expiration_time.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        let now = self.now();
        let expires = said.unwrap_or_else(|| now.checked_add(LIFETIME).unwrap_or(now));
        let encryption = given.server_side_encryption_algorithm.filter(|algorithm| !algorithm.is_empty());
        Ok(BucketAccess {
            bucket: given.bucket,
            prefix: given.object_prefix,
            region: given.region,
            access_key_id: given.access_key,
            secret_access_key: SecretString::from(given.secret_key),
            session_token: SecretString::from(given.session_token),
            expires,
            encryption: encryption
                .map(|algorithm| Encryption { algorithm, key: given.server_side_encryption_key }),
        })
    }
}
