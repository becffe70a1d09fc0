//! Who calls: an account that sees only projects of its tenants, or any other caller, who sees everything.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderMap;
use serde_json::Value;

use super::{state::State, tree::ProjectKey, world::WorldAccount};

/// The claim of our tokens that names the account whose API key made them.
pub(super) const CLAIM: &str = "account";

/// The number of an account.
pub(super) type Account = usize;

/// The account that makes a call.
pub(super) fn caller(accounts: &[WorldAccount], headers: &HeaderMap) -> Option<Account> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let by = |known: &dyn Fn(&WorldAccount) -> bool| accounts.iter().position(known);
    if let Some(token) = text("authorization").and_then(|text| text.strip_prefix("Bearer ")) {
        return by(&|account| account.token.as_deref() == Some(token)).or_else(|| made_for(token));
    }
    let key = text("x-api-key")?;
    by(&|account| account.api_key.as_deref() == Some(key))
}

/// The account that a token was made for.
fn made_for(token: &str) -> Option<Account> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims.get(CLAIM)?.as_u64().and_then(|number| number.try_into().ok())
}

impl State {
    /// Whether a caller sees a project.
    pub(super) fn sees(&self, caller: Option<Account>, project: ProjectKey) -> bool {
        let Some(account) = caller.and_then(|number| self.accounts.get(number)) else { return true };
        self.tree.project(project).is_some_and(|project| account.tenants.contains(&project.tenant))
    }

    /// Whether a caller sees some data, where they belong or where they are linked.
    pub(super) fn sees_data(&self, caller: Option<Account>, id: &str) -> bool {
        let mut projects = 0..self.tree.projects.len();
        projects.any(|project| self.sees(caller, project) && self.tree.seen_in(project, id).is_some())
    }
}
