//! The identities that call S3, and their keys.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use aws_credential_types::Credentials;
use secrecy::{ExposeSecret, SecretString};

use crate::ports::objects::{Access, EndpointKeys};

/// An identity that calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Own,
    Nobody,
    /// The key's id, and a hash of the secrets: they may change behind an id that stays.
    Key(String, u64),
}

/// The identity of an access.
pub(super) fn who(access: &Access) -> Who {
    let hash = |secret: &SecretString, token: Option<&SecretString>| {
        let mut hash = DefaultHasher::new();
        (secret.expose_secret(), token.map(ExposeSecret::expose_secret)).hash(&mut hash);
        hash.finish()
    };
    match access {
        Access::Own => Who::Own,
        Access::Unsigned => Who::Nobody,
        Access::Temporary(access) => {
            let hash = hash(&access.secret_access_key, Some(&access.session_token));
            Who::Key(access.access_key_id.clone(), hash)
        }
        Access::Endpoint(endpoint) => match &endpoint.keys {
            EndpointKeys::Own => Who::Own,
            EndpointKeys::None => Who::Nobody,
            EndpointKeys::Static { access_key_id, secret_access_key, session_token } => {
                Who::Key(access_key_id.clone(), hash(secret_access_key, session_token.as_ref()))
            }
        },
    }
}

/// The credentials that come with the access itself.
pub(super) fn credentials(access: &Access) -> Option<Credentials> {
    let (id, secret, token) = match access {
        Access::Temporary(access) => {
            (&access.access_key_id, &access.secret_access_key, Some(&access.session_token))
        }
        Access::Endpoint(endpoint) => match &endpoint.keys {
            EndpointKeys::Static { access_key_id, secret_access_key, session_token } => {
                (access_key_id, secret_access_key, session_token.as_ref())
            }
            EndpointKeys::Own | EndpointKeys::None => return None,
        },
        Access::Own | Access::Unsigned => return None,
    };
    let token = token.map(|token| token.expose_secret().to_owned());
    Some(Credentials::new(id, secret.expose_secret(), token, None, "given"))
}

/// Whether nothing says in which region the bucket is.
pub(super) fn is_anywhere(access: &Access) -> bool {
    match access {
        Access::Own | Access::Unsigned => true,
        Access::Temporary(_) => false,
        Access::Endpoint(endpoint) => endpoint.url.is_none() && endpoint.region.is_none(),
    }
}
