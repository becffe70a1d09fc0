//! Who is let in, and for what.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{Refusal, Share};
use crate::domain::share::tokens::{Scope, TokenEntry};

/// Who may call.
#[derive(Debug, Clone)]
pub enum Callers {
    /// Those who show one of these tokens.
    Tokens(Arc<[TokenEntry]>),
    /// All who reach it.
    Anybody,
}

/// Who calls, and may do what.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    entry: Option<TokenEntry>,
}

impl Caller {
    /// The name that is kept of it; empty where nothing is known.
    pub(super) fn name(&self) -> &str {
        self.entry.as_ref().map_or("", |entry| entry.name.as_str())
    }

    /// Refuses what it may not do.
    pub(super) fn check(&self, scope: Scope) -> Result<(), Refusal> {
        match &self.entry {
            Some(entry) if !entry.may(scope) => {
                let why = format!("the token of {} has no scope `{}`", entry.name, scope.as_str());
                Err(Refusal::Forbidden(why))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Callers {
    fn of(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let Self::Tokens(entries) = self else { return Ok(Caller { entry: None }) };
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = shown.and_then(|shown| shown.strip_prefix("Bearer ")) else {
            return Err(Refusal::Unknown("a token is needed: `Authorization: Bearer …`".to_owned()));
        };
        // All are asked, whichever it is.
        let mut found = None;
        for entry in entries.iter() {
            if entry.is(token.trim()) {
                found = Some(entry.clone());
            }
        }
        match found {
            Some(entry) => Ok(Caller { entry: Some(entry) }),
            None => Err(Refusal::Unknown("that token is not known (share.tokens)".to_owned())),
        }
    }
}

/// Lets in those who may call, and tells the routes who they are.
pub(super) async fn stand(State(share): State<Share>, mut request: Request, next: Next) -> Response {
    let address = share.rates.address(&request);
    if let Some(wait) = share.rates.failures.look(address) {
        return Refusal::TooMany(wait).into_response();
    }
    match share.callers.of(request.headers()) {
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
