//! Where the API of sharing is, and the token for it, where nobody says so: as AWS knows them.

use std::sync::Arc;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Misconfigured, Unreachable, on_aws::Clients};
use crate::{
    domain::jwt,
    ports::{Class, Error, parameters::Parameters, secrets::Secrets},
};

/// The parameter that holds the zone of the services of an account.
const ZONE: &str = "/hosted_zone/umccr/name";
/// The secret that holds a token for them.
const TOKEN: &str = "orcabus/token-service-jwt";
/// What is said where there are no credentials.
const NO_CREDENTIALS: &str = "there are no AWS credentials";

/// What an account says of its services.
#[derive(Debug)]
pub struct Directory {
    parameters: Arc<dyn Parameters>,
    secrets: Arc<dyn Secrets>,
}

impl Directory {
    /// Looks things up there.
    #[must_use]
    pub fn new(parameters: Arc<dyn Parameters>, secrets: Arc<dyn Secrets>) -> Self {
        Self { parameters, secrets }
    }

    /// Looks things up in the account of AWS that the environment leads to.
    pub async fn on_aws() -> anyhow::Result<Self> {
        let clients = Clients::load().await?;
        Ok(Self::new(clients.parameters(), clients.secrets()))
    }

    /// The DNS name that the names of the services end with.
    pub async fn zone(&self) -> anyhow::Result<String> {
        let value = self.parameters.read(ZONE).await.map_err(|error| told(error, ZONE))?;
        let zone = value.expose_secret().trim().trim_matches('.').to_ascii_lowercase();
        let is_name =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if zone.split('.').all(is_name) {
            return Ok(zone);
        }
        Err(Misconfigured(format!("the parameter {ZONE} holds no name of a zone").into()).into())
    }

    /// The token of the services.
    pub async fn token(&self) -> anyhow::Result<SecretString> {
        let secret = self.secrets.read(TOKEN).await.map_err(|error| told(error, TOKEN))?;
        let token = jwt::id_token_in(secret.expose_secret()).map(SecretString::from);
        token.with_context(|| format!("the secret {TOKEN} holds no `id_token`"))
    }
}

/// An error with what it means for whoever has asked.
fn told(error: Error, of: &str) -> anyhow::Error {
    let of = format!("cannot look up {of}");
    match error.class {
        // Whoever has no account does not get one by waiting.
        Class::Transient | Class::Throttled if !error.message.contains(NO_CREDENTIALS) => {
            anyhow::Error::new(Unreachable(error.into())).context(of)
        }
        _ => anyhow::Error::new(Misconfigured(error.into())).context(of),
    }
}
