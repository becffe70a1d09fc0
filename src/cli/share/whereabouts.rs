//! Which service is asked, and with which token: as somebody has said, else as AWS knows them.

use secrecy::ExposeSecret as _;
use url::Url;

use super::{
    Service,
    api::{Api, Token},
};
use crate::{
    app::Directory,
    cli::{client::http, token::Hidden},
};

impl Service {
    /// The API of the service.
    pub(super) async fn connect(
        self,
        directory: impl AsyncFnOnce() -> anyhow::Result<Directory>,
    ) -> anyhow::Result<Api> {
        let (base, token) = self.found(directory).await?;
        Api::new(base, token)
    }

    /// Where it is, and what it is shown. The token that AWS knows is of its zone, and goes nowhere else.
    pub(super) async fn found(
        self,
        directory: impl AsyncFnOnce() -> anyhow::Result<Directory>,
    ) -> anyhow::Result<(Url, Token)> {
        let said = self.token.map(|Hidden(token)| match token.expose_secret().trim() {
            "" => Token::None,
            token => Token::Known(token.into()),
        });
        let Some(base) = self.endpoint else {
            let (directory, zone) = in_account(directory).await.map_err(|error| {
                error.context("no service is named: set --endpoint or COPY_MANAGER_SHARE_ENDPOINT")
            })?;
            let base = http(&format!("https://data-sharing.{zone}")).map_err(anyhow::Error::msg)?;
            let token = match said {
                Some(token) => token,
                None => looked_up(&directory).await,
            };
            return Ok((base, token));
        };
        let token = match said {
            Some(token) => token,
            None if base.scheme() == "https" => of_zone(&base, directory).await,
            None => Token::None,
        };
        Ok((base, token))
    }
}

/// An account, and its zone.
async fn in_account(
    directory: impl AsyncFnOnce() -> anyhow::Result<Directory>,
) -> anyhow::Result<(Directory, String)> {
    let directory = directory().await?;
    let zone = directory.zone().await?;
    Ok((directory, zone))
}

/// The token for a service that was named, if it is one of the zone.
async fn of_zone(base: &Url, directory: impl AsyncFnOnce() -> anyhow::Result<Directory>) -> Token {
    match in_account(directory).await {
        Ok((directory, zone)) if base.host_str().is_some_and(|host| host.ends_with(&format!(".{zone}"))) => {
            looked_up(&directory).await
        }
        Ok((_, zone)) => Token::Unknown(format!("the token in AWS is for services of {zone}")),
        Err(error) => Token::Unknown(format!("{error:#}")),
    }
}

async fn looked_up(directory: &Directory) -> Token {
    match directory.token().await {
        Ok(token) => Token::Known(token),
        Err(error) => Token::Unknown(format!("{error:#}")),
    }
}
