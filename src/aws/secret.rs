//! Secrets Manager: the ICAv2 bearer token, and what requests name.

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use secrecy::SecretString;

use super::error::classify;
use crate::{
    domain::jwt,
    ports::{
        Class, Error, Result,
        secrets::Secrets,
        tokens::{Bearer, TokenSource},
    },
};

const OPERATION: &str = "GetSecretValue";

/// A secret that holds a JWT, as it is or in JSON.
#[derive(Debug)]
pub struct SecretToken {
    client: Client,
    secret_id: String,
}

impl SecretToken {
    /// The secret of that name or ARN.
    pub fn new(client: Client, secret_id: impl Into<String>) -> Self {
        Self { client, secret_id: secret_id.into() }
    }
}

#[async_trait]
impl TokenSource for SecretToken {
    async fn fetch(&self) -> Result<Bearer> {
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&self.secret_id)
            .send()
            .await
            .map_err(|error| classify(OPERATION, error))?;
        let token = jwt::token_in(answer.secret_string().unwrap_or_default())
            .ok_or_else(|| Error::new(Class::Invalid, OPERATION, "the secret holds no token"))?;
        Ok(Bearer { expires: jwt::expiry(&token), secret: SecretString::from(token) })
    }
}

/// Any secret that our role may read.
#[derive(Debug)]
pub struct NamedSecrets(Client);

impl NamedSecrets {
    /// Those of the client's account and region, and by ARN others.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

#[async_trait]
impl Secrets for NamedSecrets {
    async fn read(&self, id: &str) -> Result<SecretString> {
        let answer = self.0.get_secret_value().secret_id(id).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, error))?;
        let text = answer.secret_string().map(SecretString::from);
        text.ok_or_else(|| Error::new(Class::Invalid, OPERATION, "the secret holds no text"))
    }
}
