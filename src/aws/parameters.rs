//! The Parameter Store of Systems Manager.

use async_trait::async_trait;
use aws_sdk_ssm::Client;
use secrecy::SecretString;

use super::error::classify;
use crate::ports::{Class, Error, Result, parameters::Parameters};

const OPERATION: &str = "GetParameter";

/// Any parameter that our role may read.
#[derive(Debug)]
pub struct NamedParameters(Client);

impl NamedParameters {
    /// Those of the client's account and region, and by ARN others that are shared with it.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

#[async_trait]
impl Parameters for NamedParameters {
    async fn read(&self, name: &str) -> Result<SecretString> {
        let answer = self.0.get_parameter().name(name).with_decryption(true).send().await;
        let answer = answer.map_err(|error| match classify(OPERATION, error) {
            // The service has no words for it.
            error if error.class == Class::NotFound => {
                Error { message: format!("there is no parameter {name}"), ..error }
            }
            error => error,
        })?;
        let value = answer.parameter.and_then(|parameter| parameter.value).map(SecretString::from);
        value.ok_or_else(|| {
            Error::new(Class::Invalid, OPERATION, format!("the parameter {name} has no value"))
        })
    }
}
