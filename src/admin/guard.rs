//! Who is not let in: web pages.
//!
//! On the loopback interface no client needs credentials, so any page that is open in a browser on this machine could
//! use it: by calling it across origins, or by having its own name resolve to this machine. So a call
//! that a page has made is refused, and so is one for a host that is not ours.
//!
//! And whoever does not know the token, where one is set: programs show it, a browser has it in a cookie. Without
//! one, what requests say and do is open to this machine alone: elsewhere than on the loopback interface, only
//! health and metrics are answered.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode, Uri,
        header::{
            ACCEPT, AUTHORIZATION, COOKIE as COOKIES, HOST, HeaderName, HeaderValue, ORIGIN, WWW_AUTHENTICATE,
        },
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::{events::SNS_TYPE, page, problem::Problem};
use crate::domain::{hosts::is_loopback, policy::Glob};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What a token does not guard: health and metrics tell nothing of requests, and a login has none yet.
const OPEN: [&str; 6] = ["/readyz", "/metrics", "/login", "/favicon.ico", "/style.css", "/refresh.js"];
const COOKIE: &str = "copy-manager";
const EVENTS: &str = "/v1/events";
/// The values of it that no other site can cause.
const OWN_SITE: [&str; 2] = ["same-origin", "none"];

/// By which names we may be called.
#[derive(Debug, Clone)]
pub struct Guard {
    listen: IpAddr,
    hosts: Arc<[Glob]>,
    token: Option<SecretString>,
}

impl Guard {
    /// Lets in calls for that address, for this machine's own names, and for hosts that fit a pattern.
    #[must_use]
    pub fn new(listen: IpAddr, hosts: &[Glob]) -> Self {
        Self { listen, hosts: hosts.into(), token: None }
    }

    /// The same, and whoever asks for anything but health and metrics has to show that token.
    #[must_use]
    pub fn with_token(self, token: Option<SecretString>) -> Self {
        Self { token, ..self }
    }

    /// Whether a call shows the token, or needs none.
    fn knows(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), &'static str> {
        // A message of SNS is taken for its signature.
        if OPEN.contains(&uri.path()) || headers.contains_key(SNS_TYPE) && uri.path() == EVENTS {
            return Ok(());
        }
        let Some(token) = &self.token else {
            let is_open = self.listen.is_loopback();
            return if is_open {
                Ok(())
            } else {
                Err("nothing is answered here before `admin.token` is set")
            };
        };
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let cookie = digest(&in_cookie(token.expose_secret()));
        if cookies(headers).any(|shown| digest(shown) == cookie) {
            return Ok(());
        }
        match shown {
            Some(shown) if digest(shown) == digest(token.expose_secret()) => Ok(()),
            Some(_) => Err("the token is not the one that is set (admin.token)"),
            None => Err("a token is needed: `Authorization: Bearer …` (admin.token)"),
        }
    }

    /// The cookie by which a browser is known from now on, if that is the token.
    pub(super) fn cookie_for(&self, shown: &str) -> Option<String> {
        let token = self.token.as_ref()?.expose_secret();
        let cookie = || format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", in_cookie(token));
        (digest(shown) == digest(token)).then(cookie)
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
        let is_own = |value: &str| OWN_SITE.iter().any(|own| value.eq_ignore_ascii_case(own));
        if headers.get_all(SEC_FETCH_SITE).iter().any(|value| !value.to_str().is_ok_and(is_own)) {
            return Err("calls of web pages are not taken (Sec-Fetch-Site)".to_owned());
        }
        let mut named = headers.get_all(HOST).iter();
        let host = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
            (Some(_), Some(_)) => None,
            (None, _) => uri.authority().cloned(),
        };
        let Some(host) = host else { return Err("it does not say for which host it is (Host)".to_owned()) };
        let is_ours = self.is_ours(host.host()) && uri.host().is_none_or(|host| self.is_ours(host));
        // A page of ours says that it is one, under the very name by which it was called.
        let is_own_page = |origin: &HeaderValue| {
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            origin.is_some_and(|(_, named)| named.eq_ignore_ascii_case(host.as_str()))
        };
        if !headers.get_all(ORIGIN).iter().all(is_own_page) {
            return Err("calls of web pages are not taken (Origin)".to_owned());
        }
        if is_ours {
            return Ok(());
        }
        Err(format!("`{}` is not a name of this service (admin.hosts)", host.host()))
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        // On all addresses, any may be the one that was called; no page has an address for a name.
        let is_listened_on = address.is_some_and(|it| it == self.listen || self.listen.is_unspecified());
        is_loopback(host) || is_listened_on || self.hosts.iter().any(|pattern| pattern.matches(host))
    }
}

/// By their digests tokens are compared: how long that takes tells nothing of them.
fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// What a cookie holds instead of the token.
fn in_cookie(token: &str) -> String {
    hex::encode(digest(&format!("cookie {token}")))
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(COOKIES).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

fn is_for_people(headers: &HeaderMap) -> bool {
    headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// Answers 403 where the guard says no.
pub(super) async fn stand(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if let Err(reason) = guard.check(request.uri(), request.headers()) {
        return Problem::new(StatusCode::FORBIDDEN, reason).into_response();
    }
    match guard.knows(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(_) if is_for_people(request.headers()) => page::ask_for_token(),
        Err(reason) => {
            let challenge = [(WWW_AUTHENTICATE, "Bearer")];
            (challenge, Problem::new(StatusCode::UNAUTHORIZED, reason)).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(guard: &Guard, uri: &str, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        guard.check(&uri.parse().unwrap(), &map).is_ok()
    }

    #[test]
    fn only_our_own_names_are_let_in() {
        let hosts = [Glob::try_from("*.lab.example".to_owned()).unwrap()];
        let guard = Guard::new("10.1.2.3".parse().unwrap(), &hosts);
        for (host, ours) in [
            ("10.1.2.3:8080", true),
            ("127.0.0.1:8080", true),
            ("127.0.0.1", true),
            ("localhost:9000", true),
            ("LOCALHOST.", true),
            ("[::1]:8080", true),
            ("copies.LAB.example", true),
            ("rebind.evil.example", false),
            ("10.1.2.4:8080", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("lab.example", false),
            ("a b", false),
            ("", false),
        ] {
            assert_eq!(says(&guard, "/metrics", &[("host", host)]), ours, "{host}");
        }
        assert!(!says(&guard, "/metrics", &[]));
        assert!(says(&guard, "http://localhost:8080/metrics", &[]));
        assert!(!says(&guard, "http://evil.example/metrics", &[("host", "localhost")]));
        assert!(!says(&guard, "/metrics", &[("host", "localhost"), ("host", "localhost")]));
        let everywhere = Guard::new("0.0.0.0".parse().unwrap(), &[]);
        assert!(says(&everywhere, "/", &[("host", "172.17.0.2:8080")]));
        assert!(!says(&everywhere, "/", &[("host", "evil.example")]));
    }

    #[test]
    fn who_needs_a_token_has_to_show_it() {
        let guard = |listen: &str, token: Option<&str>| {
            Guard::new(listen.parse().unwrap(), &[]).with_token(token.map(SecretString::from))
        };
        let knows = |guard: &Guard, path: &str, shown: Option<&str>| {
            let headers = shown.map(|shown| (AUTHORIZATION, shown.parse().unwrap()));
            guard.knows(&path.parse().unwrap(), &headers.into_iter().collect()).is_ok()
        };
        let (open, set) = (guard("127.0.0.1", None), guard("127.0.0.1", Some("s3cret")));
        let (far, far_set) = (guard("10.1.2.3", None), guard("0.0.0.0", Some("s3cret")));
        for path in ["/metrics", "/readyz", "/v1/requests"] {
            let is_guarded = path.starts_with("/v1/");
            assert!(knows(&open, path, None));
            assert_eq!(knows(&set, path, None), !is_guarded, "{path}");
            assert_eq!(knows(&set, path, Some("Bearer other")), !is_guarded, "{path}");
            assert_eq!(knows(&set, path, Some("s3cret")), !is_guarded, "{path}");
            assert!(knows(&set, path, Some("Bearer s3cret")));
            assert_eq!(knows(&far, path, Some("Bearer s3cret")), !is_guarded, "{path}");
            assert!(knows(&far_set, path, Some("Bearer s3cret")));
            assert_eq!(knows(&far_set, path, None), !is_guarded, "{path}");
        }
    }

    #[test]
    fn pages_are_not_let_in() {
        let guard = Guard::new("127.0.0.1".parse().unwrap(), &[]);
        for (name, value, allowed) in [
            ("origin", "https://evil.example", false),
            ("origin", "null", false),
            ("origin", "http://localhost:8080", false),
            ("origin", "http://localhost", true),
            ("sec-fetch-site", "cross-site", false),
            ("sec-fetch-site", "same-site", false),
            ("sec-fetch-site", "", false),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "none", true),
        ] {
            let says = says(&guard, "/v1/events", &[("host", "localhost"), (name, value)]);
            assert_eq!(says, allowed, "{name}: {value}");
        }
    }
}
