//! Where the database is: libpq's forms, read.

use std::{path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::config::{Config, Host, SslMode};

/// How far a certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Not at all.
    None,
    /// Whether it is of an authority that is trusted.
    Authority,
    /// Whether it is also that of the host.
    Full,
}

/// A database, and how it is reached.
#[derive(Clone)]
pub(super) struct Address {
    /// For the driver; holds the password.
    pub config: Config,
    /// How far the certificate is looked at, where there is one.
    pub check: Check,
    /// A file with the authorities that are trusted; `None`: those of the system.
    pub authorities: Option<PathBuf>,
}

/// What libpq knows and we have no use for, or that changes nothing of what we do.
const IGNORED: &[&str] =
    &["gssencmode", "krbsrvname", "gsslib", "sslcompression", "sslsni", "fallback_application_name"];
/// How long nothing is heard of a server before it is asked whether it is there, where the address does not say.
const IDLE: Duration = Duration::from_mins(1);
/// What we do not do.
const REFUSED: &[&str] = &["sslcert", "sslkey", "sslpassword", "sslcrl", "sslcrldir", "service", "passfile"];

/// Reads an address. What is said of one that is wrong never holds any of it but names that libpq knows.
pub(super) fn read(secret: &SecretString) -> Result<Address, String> {
    let text = secret.expose_secret().trim();
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    let (base, pairs) = if is_url { of_url(text)? } else { (String::new(), of_pairs(text)?) };
    let mut rest: Vec<(String, String)> = Vec::new();
    let (mut mode, mut authorities) = (None, None);
    for (key, value) in pairs {
        if REFUSED.contains(&key.as_str()) {
            return Err(format!("the database's address says `{key}`, which is not supported"));
        }
        match key.as_str() {
            "sslmode" | "ssl" => mode = Some(value),
            "sslrootcert" => authorities = Some(value),
            key if IGNORED.contains(&key) => {}
            // The driver has another name for it.
            "keepalives_count" => rest.push(("keepalives_retries".to_owned(), value)),
            _ => rest.push((key, value)),
        }
    }
    let mut config = driver(&base, &rest, is_url)?;
    if !rest.iter().any(|(key, _)| key == "keepalives_idle") {
        config.keepalives_idle(IDLE);
    }
    finish(config, mode.as_deref(), authorities)
}

/// An URL: what stands before `?`, and the pairs after it.
fn of_url(text: &str) -> Result<(String, Vec<(String, String)>), String> {
    let (base, query) = text.split_once('?').unwrap_or((text, ""));
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(std::borrow::Cow::into_owned).map_err(|_| "the database's address is no UTF-8".to_owned())
    };
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(unreadable)?;
        pairs.push((decoded(key)?, decoded(value)?));
    }
    Ok((base.to_owned(), pairs))
}

/// `key=value` pairs, values with blanks in single quotes.
fn of_pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut chars = text.chars().peekable();
    let mut pairs = Vec::new();
    loop {
        while chars.next_if(|next| next.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(pairs);
        }
        let mut key = String::new();
        while let Some(next) = chars.next_if(|next| *next != '=' && !next.is_whitespace()) {
            key.push(next);
        }
        while chars.next_if(|next| next.is_whitespace()).is_some() {}
        chars.next_if_eq(&'=').ok_or_else(unreadable)?;
        while chars.next_if(|next| next.is_whitespace()).is_some() {}
        let is_quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('\\') => value.extend(chars.next()),
                Some('\'') if is_quoted => break,
                Some(next) if !is_quoted && next.is_whitespace() => break,
                Some(next) => value.push(next),
                None if is_quoted => return Err(unreadable()),
                None => break,
            }
        }
        pairs.push((key, value));
    }
}

fn unreadable() -> String {
    "the database's address cannot be read: it is `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, with \
     what is \
     special in user and password percent-encoded, or `key=value` pairs"
        .to_owned()
}

/// What the driver makes of all that is not about encryption.
fn driver(base: &str, rest: &[(String, String)], is_url: bool) -> Result<Config, String> {
    let text = if is_url {
        let encoded = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let query: Vec<_> = rest.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        if query.is_empty() { base.to_owned() } else { format!("{base}?{}", query.join("&")) }
    } else {
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        rest.iter().map(|(key, value)| format!("{key}='{}'", quoted(value))).collect::<Vec<_>>().join(" ")
    };
    // The driver's own words may hold pieces of the address.
    text.parse().map_err(|_| unreadable())
}

fn finish(mut config: Config, mode: Option<&str>, authorities: Option<String>) -> Result<Address, String> {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        config.host("localhost");
    }
    let is_here = is_this_machine(&config);
    let by_socket = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)))
        && config.get_hostaddrs().is_empty();
    // As libpq: authorities that are named are asked.
    let weak = if authorities.is_some() { Check::Authority } else { Check::None };
    let (ssl, check) = match mode {
        // Here, a server without encryption will do; a certificate that is shown must be right.
        None if is_here => (SslMode::Prefer, Check::Full),
        None | Some("verify-full") => (SslMode::Require, Check::Full),
        Some("verify-ca") => (SslMode::Require, Check::Authority),
        Some("require") => (SslMode::Require, weak),
        Some("prefer" | "allow") if is_here => (SslMode::Prefer, Check::None),
        Some("disable") if is_here => (SslMode::Disable, Check::None),
        Some("prefer" | "allow" | "disable") => {
            return Err(
                "the database's address says `sslmode` less than `require`, which is for a database on this \
                        machine alone"
                    .to_owned(),
            );
        }
        Some(_) => {
            let known = "disable, allow, prefer, require, verify-ca or verify-full";
            return Err(format!("the database's address says an `sslmode` that is none of {known}"));
        }
    };
    config.ssl_mode(if by_socket { SslMode::Disable } else { ssl });
    let authorities = authorities.filter(|path| path != "system").map(PathBuf::from);
    Ok(Address { config, check, authorities })
}

/// Whether a database that is reached so is on this machine.
fn is_this_machine(config: &Config) -> bool {
    if !config.get_hostaddrs().is_empty() {
        return config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback);
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Result<Address, String> {
        read(&SecretString::from(text))
    }

    #[test]
    fn the_certificate_is_checked_in_full_unless_the_address_says_less() {
        for (text, check, mode) in [
            ("postgresql://u:p@db.example.org/x", Check::Full, SslMode::Require),
            ("postgres://u:p@db.example.org/x?sslmode=verify-ca", Check::Authority, SslMode::Require),
            ("postgresql://u:p@db.example.org/x?ssl=verify-full", Check::Full, SslMode::Require),
            ("postgresql://u:p@db.example.org/x?sslmode=require", Check::None, SslMode::Require),
            ("postgresql://u:p@h/x?sslmode=require&sslrootcert=/a.pem", Check::Authority, SslMode::Require),
            ("host=db.example.org user=u password='a b' dbname=x", Check::Full, SslMode::Require),
            ("postgresql://u@127.0.0.1:5433/x", Check::Full, SslMode::Prefer),
            ("postgresql://u@127.0.0.1:5433/x?sslmode=disable", Check::None, SslMode::Disable),
            ("host=/run/postgresql user=u", Check::Full, SslMode::Disable),
        ] {
            let found = address(text).unwrap();
            assert_eq!((found.check, found.config.get_ssl_mode()), (check, mode), "{text}");
        }
    }

    #[test]
    fn less_than_require_is_for_this_machine_alone() {
        for text in ["disable", "allow", "prefer"] {
            let said = address(&format!("postgresql://u:p@db.example.org/x?sslmode={text}")).err().unwrap();
            assert!(said.contains("less than `require`"), "{said}");
        }
        // The name may lie; the address counts.
        assert!(address("host=localhost hostaddr=10.0.0.1 sslmode=disable").is_err());
    }

    #[test]
    fn both_forms_say_the_same() {
        let url =
            address("postgresql://us%40er:pa%3Fss%20w@localhost:6000/data?application_name=mine").unwrap();
        let pairs = address(
            r"user=us@er password = 'pa?ss w' host=localhost port=6000 dbname=data application_name=mine",
        )
        .unwrap();
        for found in [url.config, pairs.config] {
            assert_eq!(found.get_user(), Some("us@er"));
            assert_eq!(found.get_password(), Some(b"pa?ss w".as_slice()));
            assert_eq!(found.get_ports(), [6000]);
            assert_eq!(found.get_dbname(), Some("data"));
            assert_eq!(found.get_application_name(), Some("mine"));
        }
    }

    #[test]
    fn what_the_address_says_of_keepalives_holds() {
        let found = address("postgresql://u@h/x?keepalives_idle=7200&keepalives_count=4").unwrap().config;
        assert_eq!(found.get_keepalives_idle(), Duration::from_hours(2));
        assert_eq!(found.get_keepalives_retries(), Some(4));
        assert_eq!(address("host=h user=u").unwrap().config.get_keepalives_idle(), IDLE);
    }

    #[test]
    fn what_is_said_of_a_wrong_address_holds_nothing_of_it() {
        for text in [
            "postgresql://u:hunter2@h:port/x",
            "postgresql://u:hunter2?x=y@h/x",
            "postgresql://u:p@h/x?hunter2=1",
            "host=h password='hunter2",
            "hunter2",
            "postgresql://u:hunter2@h/x?sslmode=hunter2",
            "mysql://u:hunter2@h/x",
        ] {
            let said = address(text).err().unwrap();
            assert!(!said.contains("hunter2"), "{text}: {said}");
        }
        assert!(address("postgresql://u@h/x?sslcert=a").err().unwrap().contains("`sslcert`"));
    }
}
