//! What is wrong with the settings of sharing.

use super::Complaints;
use crate::{
    config::{Backend, Settings},
    domain::{
        hosts::is_loopback,
        share::settings::{Auth, ShareSettings},
    },
};

impl Complaints {
    /// Who may call its API, and where what it makes is kept.
    pub(super) fn sharing(&mut self, settings: &Settings) {
        let share = &settings.share;
        let Some(listen) = share.listen else { return };
        match share.auth {
            Auth::None => self.add_unless(
                listen.ip().is_loopback(),
                "share.auth",
                "share.listen",
                "must be \"token\" where other machines can call: \"none\" lets everybody share everything",
            ),
            Auth::Token => self.add_unless(
                !share.tokens.is_empty(),
                "share.tokens",
                "share.listen",
                "must name somebody, or nobody is let in",
            ),
            Auth::Oidc => self.issuer(share),
            Auth::Gateway => self.add_unless(
                share.behind_gateway,
                "share.behind_gateway",
                "share.auth",
                "must be true with \"gateway\", which checks no token: something in front of the API must",
            ),
        }
        self.add_unless(
            share.expires_after <= settings.service.keep,
            "share.expires_after",
            "service.keep",
            "must not be longer than service.keep: the files of a package are kept for as long as that",
        );
        self.add_unless(
            settings.backend == Backend::Embedded || share.artifacts.starts_with("s3://"),
            "share.artifacts",
            "share.listen",
            "must be s3://bucket/prefix/ on AWS, where a task has no folder that lasts",
        );
    }

    /// Keys that anybody could change on their way are no keys.
    fn issuer(&mut self, share: &ShareSettings) {
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
