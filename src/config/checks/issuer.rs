//! What is wrong with the issuer of tokens for the API of sharing.

use super::Complaints;
use crate::domain::{hosts::is_loopback, share::settings::ShareSettings};

impl Complaints {
    /// Keys that anybody could change on their way are no keys.
    pub(super) fn issuer(&mut self, share: &ShareSettings) {
        let url = url::Url::parse(&share.oidc_issuer).ok();
        let is_safe = |url: &url::Url| {
            url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(is_loopback))
        };
        self.add_unless(
            url.as_ref().is_some_and(is_safe),
            "share.oidc_issuer",
            "share.auth",
            "must start with https://: only this machine may be called without TLS",
        );
        self.add_unless(
            !share.oidc_audience.is_empty(),
            "share.oidc_audience",
            "share.auth",
            "must be said, or tokens for anybody else would be taken",
        );
        self.add_unless(
            cfg!(feature = "https"),
            "share.auth",
            "share.oidc_issuer",
            "cannot be \"oidc\" in a build without the feature `https`",
        );
    }
}
