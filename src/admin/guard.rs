//! Who is not let in: web pages.
//!
//! The listener asks no client for credentials, so any page that is open in a browser on this machine could
//! use it: by calling it across origins, or by having its own name resolve to this machine. So a call
//! that a page has made is refused, and so is one for a host that is not ours.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode, Uri,
        header::{HOST, HeaderName, ORIGIN},
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::problem::Problem;
use crate::domain::{hosts::is_loopback, policy::Glob};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The values of it that no other site can cause.
const OWN_SITE: [&str; 2] = ["same-origin", "none"];

/// By which names we may be called.
#[derive(Debug, Clone)]
pub struct Guard {
    listen: IpAddr,
    hosts: Arc<[Glob]>,
}

impl Guard {
    /// Lets in calls for that address, for this machine's own names, and for hosts that fit a pattern.
    #[must_use]
    pub fn new(listen: IpAddr, hosts: &[Glob]) -> Self {
        Self { listen, hosts: hosts.into() }
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
        if headers.contains_key(ORIGIN) {
            return Err("calls of web pages are not taken (Origin)".to_owned());
        }
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
        if self.is_ours(host.host()) && uri.host().is_none_or(|host| self.is_ours(host)) {
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

/// Answers 403 where the guard says no.
pub(super) async fn stand(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(reason) => Problem::new(StatusCode::FORBIDDEN, reason).into_response(),
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
    fn pages_are_not_let_in() {
        let guard = Guard::new("127.0.0.1".parse().unwrap(), &[]);
        for (name, value, allowed) in [
            ("origin", "https://evil.example", false),
            ("origin", "null", false),
            ("origin", "http://localhost:8080", false),
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
