//! Who is let in, and for what.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use jiff::Timestamp;
use serde_json::{Map, Value};

#[cfg(feature = "https")]
use super::Issuer;
use super::{Refusal, Share};
use crate::domain::{
    jwt,
    share::{
        claims::{self, ClaimScopes},
        tokens::{Scope, TokenEntry},
    },
};

/// Who may call.
#[derive(Debug, Clone)]
pub enum Callers {
    /// Those who show one of these tokens.
    Tokens(Arc<[TokenEntry]>),
    /// Those who show a token of an issuer; what they may do, by their claims.
    #[cfg(feature = "https")]
    Issued(Arc<Issuer>, Arc<[ClaimScopes]>),
    /// Those who show a token that was checked on its way; what they may do, by their claims.
    Gateway(Arc<[ClaimScopes]>),
    /// All who reach it.
    Anybody,
}

/// Who calls, and may do what.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    name: String,
    /// None: whatever it wants.
    scopes: Option<Vec<Scope>>,
}

impl Caller {
    fn of(all: &[ClaimScopes], claims: &Map<String, Value>) -> Result<Self, Refusal> {
        let nobody = || Refusal::Unknown("that token names nobody".to_owned());
        Ok(Self { name: claims::name(claims).ok_or_else(nobody)?, scopes: Some(claims::scopes(all, claims)) })
    }

    /// The name that is kept of it; empty where nothing is known.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Refuses what it may not do.
    pub(super) fn check(&self, scope: Scope) -> Result<(), Refusal> {
        match &self.scopes {
            Some(scopes) if !scope.is_in(scopes) => {
                let why = format!("the token of {} has no scope `{}`", self.name, scope.as_str());
                Err(Refusal::Forbidden(why))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Callers {
    #[cfg_attr(
        not(feature = "https"),
        expect(clippy::unused_async, unused_variables, reason = "an issuer alone is asked, at a time")
    )]
    async fn of(&self, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Refusal> {
        if matches!(self, Self::Anybody) {
            return Ok(Caller { name: String::new(), scopes: None });
        }
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = shown.and_then(|shown| shown.strip_prefix("Bearer ")).map(str::trim) else {
            return Err(Refusal::Unknown("a token is needed: `Authorization: Bearer …`".to_owned()));
        };
        match self {
            Self::Tokens(entries) => known(entries, token),
            #[cfg(feature = "https")]
            Self::Issued(issuer, scopes) => Caller::of(scopes, &issuer.claims(token, now).await?),
            Self::Gateway(scopes) => {
                let unread = || Refusal::Unknown("that token is no JSON Web Token".to_owned());
                Caller::of(scopes, &jwt::claims(token).ok_or_else(unread)?)
            }
            Self::Anybody => Ok(Caller { name: String::new(), scopes: None }),
        }
    }
}

fn known(entries: &[TokenEntry], token: &str) -> Result<Caller, Refusal> {
    // All are asked, whichever it is.
    let mut found = None;
    for entry in entries {
        if entry.is(token) {
            found = Some(Caller { name: entry.name.clone(), scopes: Some(entry.scopes().to_vec()) });
        }
    }
    found.ok_or_else(|| Refusal::Unknown("that token is not known (share.tokens)".to_owned()))
}

/// Lets in those who may call, and tells the routes who they are.
pub(super) async fn stand(State(share): State<Share>, mut request: Request, next: Next) -> Response {
    let address = share.rates.address(&request);
    if let Some(wait) = share.rates.failures.look(address) {
        return Refusal::TooMany(wait).into_response();
    }
    let headers = request.headers().clone();
    match share.callers.of(&headers, share.backend.now()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => {
            if matches!(refusal, Refusal::Unknown(_)) {
                share.rates.failures.take(address);
            }
            refusal.into_response()
        }
    }
}
