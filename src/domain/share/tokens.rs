//! Who may use the API of sharing, and for what: names, scopes, and the sums of their tokens.

use serde::{Deserialize, Deserializer, de::Error as _};
use sha2::{Digest as _, Sha256};

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look at packages and pushes.
    Read,
    /// Make packages, and end or delete them.
    Package,
    /// Push them, and have them handed out.
    Push,
    /// Approve what needs approval.
    Approve,
    /// All of it.
    Admin,
}

impl Scope {
    const ALL: [(&'static str, Self); 5] = [
        ("read", Self::Read),
        ("package", Self::Package),
        ("push", Self::Push),
        ("approve", Self::Approve),
        ("admin", Self::Admin),
    ];

    /// Reads scopes that are separated by `+`. `of`: whose they are.
    ///
    /// # Errors
    ///
    /// Which one is none.
    pub fn read_all(text: &str, of: &str) -> Result<Vec<Self>, String> {
        let scope = |text: &str| {
            let known = Self::ALL.iter().find(|(known, _)| *known == text).map(|(_, scope)| *scope);
            known.ok_or_else(|| {
                format!("the scopes of {of} are read, package, push, approve or admin, not `{text}`")
            })
        };
        text.split('+').map(scope).collect()
    }

    /// Whether who has these scopes has this one.
    #[must_use]
    pub fn is_in(self, scopes: &[Self]) -> bool {
        scopes.iter().any(|own| *own == self || *own == Self::Admin)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, scope)| *scope == self).map_or("", |(name, _)| name)
    }
}

/// One who is let in: `name:scopes:sha256`, the scopes separated by `+`.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenEntry {
    /// Who it is.
    pub name: String,
    scopes: Vec<Scope>,
    sum: [u8; 32],
}

impl std::fmt::Debug for TokenEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenEntry")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl TokenEntry {
    /// Reads an entry.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without the sum.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let (Some(name), Some(scopes), Some(sum)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("an entry is name:scopes:sha256 of the token".to_owned());
        };
        if name.is_empty() {
            return Err("an entry has no name".to_owned());
        }
        let scopes = Scope::read_all(scopes, name)?;
        let sum = hex::decode(sum).ok().and_then(|bytes| bytes.try_into().ok());
        let sum = sum.ok_or_else(|| format!("the sum of {name} must be the 64 hex digits of a SHA-256"))?;
        Ok(Self { name: name.to_owned(), scopes, sum })
    }

    /// Whether that is its token. Sums are compared: how long that takes tells nothing of the token.
    #[must_use]
    pub fn is(&self, token: &str) -> bool {
        let shown: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        // Every byte is looked at, wherever they differ.
        self.sum.iter().zip(shown).fold(0_u8, |differs, (a, b)| differs | (a ^ b)) == 0
    }

    /// What it may do.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// Whether it may do that.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        scope.is_in(&self.scopes)
    }
}

impl<'de> Deserialize<'de> for TokenEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_sum() {
        let sum = hex::encode(Sha256::digest(b"secret"));
        let entry = TokenEntry::read(&format!("alice:read+push:{sum}")).unwrap();
        assert!(entry.is("secret") && !entry.is("secret ") && !entry.is(""));
        assert!(entry.may(Scope::Push) && !entry.may(Scope::Package));
        assert!(TokenEntry::read(&format!("root:admin:{sum}")).unwrap().may(Scope::Approve));
        for wrong in ["", "alice", "alice:read", ":read:00", "alice:write:00", "alice:read:00"] {
            assert!(TokenEntry::read(wrong).is_err(), "{wrong}");
        }
        assert!(!format!("{entry:?}").contains(&sum));
    }
}
