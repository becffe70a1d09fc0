//! Temporary credentials: the way to a file or folder through S3.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Answer, Asked};
use crate::simulator::{
    Simulator, parts::KMS, problem::Problem, s3::Key, state::State, tree::NodeKey, wire, world::Encryption,
};

const HOURS: u32 = 36;

/// `CreateTemporaryCredentials`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Credentials {
    credentials_format: Option<String>,
    read_only_credentials: Option<bool>,
}

impl Credentials {
    /// Refuses formats that there are none of.
    pub(super) fn check(&self) -> Result<(), Problem> {
        match self.credentials_format.as_deref() {
            None | Some("RCLONE") => Ok(()),
            Some(other) => Err(Problem::parameter("credentialsFormat", other, "is not one of its values")),
        }
    }

    /// `TempCredentials` for a file or folder, which S3 knows from now on.
    pub(super) fn issue(&self, state: &mut State, node: NodeKey) -> Value {
        let Some(node) = state.tree.node(node) else { return Value::Null };
        // What is linked lies in the bucket of the project that it belongs to.
        let Some((_, node)) = state.tree.by_id(&node.id) else { return Value::Null };
        let path = node.path.trim_start_matches('/').to_owned();
        let Some(project) = state.tree.project(node.project) else { return Value::Null };
        let (home, encryption) = (project.home.clone(), project.encryption);
        let (bucket, prefix) = (home.bucket, format!("{}{path}", home.prefix));
        let random = state.uuid().simple().to_string().to_uppercase();
        let key = format!("ASIA{}", random.get(..16).unwrap_or_default());
        let secret = state.uuid().simple().to_string();
        let token = state.uuid().simple().to_string();
        let now = state.now();
        let expires = wire::time(now.checked_add(SignedDuration::from_hours(HOURS.into())).unwrap_or(now));
        let issued = Key {
            token: token.clone(),
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            read_only: self.read_only_credentials == Some(true),
            until: Instant::now() + Duration::from_hours(HOURS.into()),
        };
        state.s3.keys.insert(key.clone(), issued);
        if self.credentials_format.is_some() {
            return json!({"rcloneTempCredentials": {
                "config": {"type": "s3", "provider": "AWS", "region": wire::REGION,
                    "access_key_id": key, "secret_access_key": secret, "session_token": token},
                "filePathPrefix": format!("{bucket}/{prefix}"), "storageType": "s3", "expirationTime": expires,
            }});
        }
        let mut given = json!({
            "accessKey": key, "secretKey": secret, "sessionToken": token, "region": wire::REGION,
            "bucket": bucket, "objectPrefix": prefix, "expirationTime": expires,
        });
        if encryption == Encryption::Kms {
            wire::put(&mut given, "serverSideEncryptionAlgorithm", KMS);
        }
        json!({"awsTempCredentials": given})
    }
}

/// `POST …/data/{dataId}:createTemporaryCredentials`.
pub(super) fn create(simulator: &Simulator, asked: &Asked) -> Result<Answer, Problem> {
    let wanted: Credentials = if asked.body.is_empty() { Credentials::default() } else { asked.read()? };
    wanted.check()?;
    simulator.with(|state| {
        let key = asked.data(state)?;
        Ok(Answer::ok(&wanted.issue(state, key)))
    })
}
