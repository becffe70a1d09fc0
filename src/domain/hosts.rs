//! Where presigned URLs may lead.
//!
//! They come from the platform, and files go where they point: an attacker who could change an answer
//! of the platform could have every file sent to themselves, or have us call what only we can reach.

use std::net::IpAddr;

use url::Url;

use super::policy::Glob;

/// The hosts that presigned URLs may lead to: over TLS, or without it on this machine.
#[derive(Debug, Clone, Default)]
pub struct UrlHosts {
    patterns: Vec<Glob>,
    platform: Option<String>,
}

/// Why a presigned URL is not used. Never shows the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostNotAllowed {
    /// No pattern fits.
    #[error(
        "the presigned URL leads to the host `{0}`, which neither `icav2.url_hosts` nor `icav2.base_url` allows"
    )]
    Host(String),
    /// Any machine on the way could read the file.
    #[error("the presigned URL leads to the host `{0}` without TLS")]
    Plain(String),
}

impl UrlHosts {
    /// Hosts that fit one of the patterns (`icav2.url_hosts`), and the host of the platform itself.
    #[must_use]
    pub fn new(patterns: &[Glob], base_url: &str) -> Self {
        let platform = Url::parse(base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        Self { patterns: patterns.to_vec(), platform }
    }

    /// Whether that URL may be used.
    pub fn check(&self, url: &Url) -> Result<(), HostNotAllowed> {
        // Parsed hosts are in lower case; a dot at the end names the same host.
        let host = url.host_str().unwrap_or_default();
        let bare = host.strip_suffix('.').unwrap_or(host);
        let is_listed = self.patterns.iter().any(|pattern| pattern.matches(bare));
        if !is_listed && self.platform.as_deref() != Some(host) {
            return Err(HostNotAllowed::Host(host.to_owned()));
        }
        if url.scheme() != "https" && !is_loopback(host) {
            return Err(HostNotAllowed::Plain(host.to_owned()));
        }
        Ok(())
    }
}

/// Whether a host, as it stands in a URL, is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(patterns: &[&str]) -> UrlHosts {
        let patterns: Vec<_> =
            patterns.iter().map(|pattern| Glob::try_from((*pattern).to_owned()).unwrap()).collect();
        UrlHosts::new(&patterns, "https://ica.illumina.com/ica/rest")
    }

    #[test]
    fn urls_lead_to_listed_hosts_over_tls() {
        let amazon = hosts(&["*.amazonaws.com"]);
        for (url, allowed) in [
            ("https://bucket.s3.ap-southeast-2.amazonaws.com/key?X-Amz-Signature=1", true),
            ("https://BUCKET.S3.AmazonAWS.com/key", true),
            ("https://bucket.s3.amazonaws.com./key", true),
            ("https://ica.illumina.com/ica/bytes/1", true),
            ("https://other.illumina.com/key", false),
            ("https://amazonaws.com.evil.example/key", false),
            ("https://evil.example/x.amazonaws.com", false),
            ("https://evil.example?.amazonaws.com", false),
            ("https://evil.example#.amazonaws.com", false),
            ("https://x.amazonaws.com@evil.example/key", false),
            ("https://evilamazonaws.com/key", false),
            ("https://169.254.169.254/latest/meta-data", false),
            ("http://bucket.s3.amazonaws.com/key", false),
            ("http://127.0.0.1:9000/key", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(amazon.check(&Url::parse(url).unwrap()).is_ok(), allowed, "{url}");
        }
    }

    #[test]
    fn this_machine_needs_no_tls_but_a_pattern() {
        let here = hosts(&["127.0.0.1", "localhost", "[::1]"]);
        for url in ["http://127.0.0.1:9000/key", "http://localhost/key", "http://[::1]:1/key"] {
            assert_eq!(here.check(&Url::parse(url).unwrap()), Ok(()), "{url}");
        }
        let any = hosts(&["*"]);
        let plain = Url::parse("http://10.0.0.1/key").unwrap();
        assert_eq!(any.check(&plain), Err(HostNotAllowed::Plain("10.0.0.1".to_owned())));
    }
}
