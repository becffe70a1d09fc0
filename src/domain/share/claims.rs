//! What an issuer says of callers: their names, and which of their claims give them which scopes (`share.oidc_scopes`).

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

use super::tokens::Scope;

/// Bytes of a name.
const LONGEST_NAME: usize = 256;

/// Callers one of whose claims has a value may do something: `claim value scopes`, the scopes separated by `+`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimScopes {
    claim: String,
    value: String,
    scopes: Vec<Scope>,
}

impl ClaimScopes {
    /// Reads an entry. The value may hold spaces, the claim may not.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let parts = text.trim().split_once(' ').and_then(|(claim, rest)| {
            let (value, scopes) = rest.trim().rsplit_once(' ')?;
            Some((claim, value.trim(), scopes))
        });
        let Some((claim, value, scopes)) = parts.filter(|(_, value, _)| !value.is_empty()) else {
            return Err("an entry is a claim, its value, and scopes, with spaces between".to_owned());
        };
        let scopes = Scope::read_all(scopes, &format!("{claim} {value}"))?;
        Ok(Self { claim: claim.to_owned(), value: value.to_owned(), scopes })
    }

    /// Whether a caller with these claims has that one: as a text, in a list of texts, or, of scopes, as a word. A mail
    /// address counts once the issuer has verified it: in many pools callers write their own.
    fn is_of(&self, claims: &Map<String, Value>) -> bool {
        if self.claim == "email" && !is_verified(claims) {
            return false;
        }
        let in_words = matches!(self.claim.as_str(), "scope" | "scp");
        let is_value = |text: &str| {
            text == self.value || in_words && text.split_whitespace().any(|word| word == self.value)
        };
        match claims.get(&self.claim) {
            Some(Value::String(text)) => is_value(text),
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(self.value.as_str())),
            _ => false,
        }
    }
}

/// What a caller with these claims may do; where no claim gives anything, everybody may look.
#[must_use]
pub fn scopes(of: &[ClaimScopes], claims: &Map<String, Value>) -> Vec<Scope> {
    if of.is_empty() {
        return vec![Scope::Read];
    }
    of.iter().filter(|entry| entry.is_of(claims)).flat_map(|entry| entry.scopes.clone()).collect()
}

/// Whether the issuer has verified the mail address of a caller.
fn is_verified(claims: &Map<String, Value>) -> bool {
    match claims.get("email_verified") {
        Some(Value::Bool(is)) => *is,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

/// The name of a caller: its mail address where the issuer has verified that, else its `sub`. `None`: it has none.
#[must_use]
pub fn name(claims: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = text("email").filter(|_| is_verified(claims)).or_else(|| text("sub"))?;
    let is_name = name.len() <= LONGEST_NAME && !name.contains(char::is_control);
    is_name.then(|| name.to_owned())
}

impl<'de> Deserialize<'de> for ClaimScopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Map<String, Value> {
        let Value::Object(claims) = value else { panic!("{value}") };
        claims
    }

    #[test]
    fn groups_give_scopes() {
        let read = |text: &str| ClaimScopes::read(text).unwrap();
        let all = [
            read("cognito:groups curators read+package"),
            read("groups Data Stewards push"),
            read("scope share.admin admin"),
            read("email ann@lab.org approve"),
        ];
        let may = |value: Value| scopes(&all, &claims(value));
        assert_eq!(may(json!({ "cognito:groups": ["x", "curators"] })), [Scope::Read, Scope::Package]);
        assert_eq!(may(json!({ "groups": "Data Stewards" })), [Scope::Push]);
        assert_eq!(may(json!({ "scope": "openid share.admin" })), [Scope::Admin]);
        assert_eq!(may(json!({ "groups": ["Data"], "scope": "share" })), []);
        assert_eq!(may(json!({ "cognito:groups": "not curators" })), []);
        assert_eq!(may(json!({ "email": "ann@lab.org" })), [], "anybody may write that");
        assert_eq!(may(json!({ "email": "ann@lab.org", "email_verified": true })), [Scope::Approve]);
        assert_eq!(scopes(&[], &claims(json!({}))), [Scope::Read]);
        for wrong in ["", "groups", "groups read", "groups x write", "groups  read"] {
            assert!(ClaimScopes::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mail_address_is_a_name_once_it_is_verified() {
        let of = |value: Value| name(&claims(value));
        let ann = json!({ "sub": "1", "email": "ann@x.org", "email_verified": true });
        assert_eq!(of(ann).as_deref(), Some("ann@x.org"));
        assert_eq!(of(json!({ "sub": "1", "email": "ann@x.org" })).as_deref(), Some("1"));
        assert_eq!(of(json!({ "sub": "a\nb" })), None);
        assert_eq!(of(json!({ "sub": "" })), None);
    }
}
