//! The ids of packages and pushes: `pkg.` or `psh.`, and a ULID.

use ulid::Ulid;

use crate::domain::ids::{RequestId, digest};

/// What an id is the id of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// A package.
    Package,
    /// A push of a package.
    Push,
}

/// Letters and digits of a ULID.
const LENGTH: usize = 26;

impl Shared {
    /// What ids of that kind begin with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Package => "pkg.",
            Self::Push => "psh.",
        }
    }

    /// An id that was never given, from the time (milliseconds since 1970) and 80 bits of chance.
    #[must_use]
    pub fn fresh(self, millis: i64, chance: u128) -> RequestId {
        let ulid = Ulid::from_parts(u64::try_from(millis).unwrap_or(0), chance);
        RequestId::new(format!("{}{ulid}", self.prefix()))
    }

    /// The id that something of that name has, whoever asks and however often.
    #[must_use]
    pub fn named(self, name: &str) -> RequestId {
        let bits = u128::from_str_radix(&digest(&[self.prefix(), name]), 16).unwrap_or_default();
        RequestId::new(format!("{}{}", self.prefix(), Ulid(bits)))
    }

    /// Reads an id as callers write it, with or without what it begins with; `None` where it is none.
    #[must_use]
    pub fn read(self, text: &str) -> Option<RequestId> {
        let is_ulid = |text: &str| {
            text.len() == LENGTH
                && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        };
        let bare = text.strip_prefix(self.prefix()).unwrap_or(text);
        is_ulid(bare).then(|| RequestId::new(format!("{}{bare}", self.prefix())))
    }

    /// What that is the id of, if it is an id of either.
    #[must_use]
    pub fn of(id: &RequestId) -> Option<Self> {
        [Self::Package, Self::Push].into_iter().find(|kind| id.as_str().starts_with(kind.prefix()))
    }
}

/// The root that does a push for the `n`th time, from 1: the first bears the id of the push.
#[must_use]
pub fn attempt(push: &RequestId, n: u32) -> RequestId {
    if n <= 1 { push.clone() } else { RequestId::new(format!("{push}.{n}")) }
}

/// What a root is the root of, and which attempt it is.
#[must_use]
pub fn attempt_of(root: &RequestId) -> (RequestId, u32) {
    let text = root.as_str();
    let read = Shared::of(root).and_then(|kind| {
        let (bare, n) = text.strip_prefix(kind.prefix())?.split_once('.')?;
        Some((RequestId::new(format!("{}{bare}", kind.prefix())), n.parse().ok()?))
    });
    read.unwrap_or_else(|| (root.clone(), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_leads_back_to_its_push() {
        let push = Shared::Push.fresh(1_764_494_400_000, 17);
        assert_eq!(attempt(&push, 1), push);
        assert_eq!(attempt_of(&push), (push.clone(), 1));
        let third = attempt(&push, 3);
        assert_ne!(third, push);
        assert_eq!(attempt_of(&third), (push, 3));
        assert_eq!(Shared::Push.read(third.as_str()), None, "callers name pushes alone");
    }

    #[test]
    fn ids_are_read_with_and_without_their_beginning() {
        let id = Shared::Package.fresh(1_764_494_400_000, 17);
        assert_eq!(id.as_str().len(), 30);
        let bare = id.as_str().trim_start_matches("pkg.");
        assert_eq!(Shared::Package.read(bare), Some(id.clone()));
        assert_eq!(Shared::Package.read(id.as_str()), Some(id.clone()));
        assert_eq!(Shared::Push.read(bare).unwrap().as_str(), format!("psh.{bare}"));
        assert_eq!(Shared::of(&id), Some(Shared::Package));
        let named = Shared::Push.named("job and run");
        assert_eq!(named, Shared::Push.named("job and run"));
        assert_eq!(Shared::Push.read(named.as_str()), Some(named.clone()));
        let other = Shared::Package.named("job and run");
        assert_ne!(named.as_str().split_once('.'), other.as_str().split_once('.'));
        for wrong in
            ["", "pkg.", "psh.01KB0000000000000000000000", "01kb0000000000000000000000", "pkg.x", "01KB"]
        {
            assert_eq!(Shared::Package.read(wrong), None, "{wrong}");
        }
    }
}
