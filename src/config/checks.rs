//! What types cannot say about settings: ranges, addresses, and what one value demands of another.

mod canvas;
mod inventories;
mod sharing;

use std::time::Duration;

use super::{Backend, Settings, layers::Layers};
use crate::domain::{duration_text, hosts::is_loopback, location::Location};

/// What is known of a folder must outlive the answers that ICAv2 repeats for it.
const SHORTEST_KEEP: Duration = Duration::from_hours(8 * 24);

/// ECS waits at most 120 s between asking a task to stop and killing it; we must be gone by then.
const LONGEST_DRAIN: Duration = Duration::from_secs(115);

/// Something wrong with a setting.
struct Complaint {
    /// The setting.
    key: &'static str,
    /// Another one that the complaint is about as well.
    other: Option<&'static str>,
    /// What is wrong.
    message: String,
}

/// Notes what is wrong with the settings that are `meant`. What stands in for a broken value is not to blame for
/// anything.
pub(super) fn note(layers: &mut Layers, settings: &Settings, meant: impl Fn(&str) -> bool) {
    let broken = layers.broken();
    for complaint in check(settings).into_iter().filter(|complaint| meant(complaint.key)) {
        if ![Some(complaint.key), complaint.other].into_iter().flatten().any(|key| broken.contains(key)) {
            layers.note(complaint.key, &layers.origin(complaint.key), complaint.message);
        }
    }
}

/// All complaints about settings that have the right types.
fn check(settings: &Settings) -> Vec<Complaint> {
    let mut complaints = Complaints(Vec::new());
    complaints.counts(settings);
    complaints.durations(settings);
    complaints.relations(settings);
    complaints.addresses(settings);
    complaints.needs_of_aws(settings);
    complaints.sharing(settings);
    complaints.inventories(settings);
    complaints.canvas(settings);
    complaints.needs_of_build(settings, Built::HERE);
    complaints.0
}

/// The credentials of an upload last for so long (ICAv2), and their holder may still be writing.
const SOONEST_ABANDONED: Duration = Duration::from_hours(36);

/// One PUT takes at most this (S3).
const LARGEST_PUT: u64 = 5 << 30;

/// What this build can do; see the features in `Cargo.toml`.
#[derive(Clone, Copy)]
struct Built {
    has_aws: bool,
    has_https: bool,
}

impl Built {
    const HERE: Self = Self { has_aws: cfg!(feature = "aws"), has_https: cfg!(feature = "https") };
}

struct Complaints(Vec<Complaint>);

impl Complaints {
    fn add(&mut self, key: &'static str, message: impl Into<String>) {
        self.0.push(Complaint { key, other: None, message: message.into() });
    }

    fn add_unless(&mut self, fine: bool, key: &'static str, other: &'static str, message: impl Into<String>) {
        if !fine {
            self.0.push(Complaint { key, other: Some(other), message: message.into() });
        }
    }

    fn counts(&mut self, settings: &Settings) {
        let Settings { aws, icav2, copy, heartbeat, service, admin, .. } = settings;
        let zeros = [
            ("aws.max_receives", aws.max_receives == 0),
            ("icav2.max_running_jobs", icav2.max_running_jobs == 0),
            ("icav2.max_items_per_job", icav2.max_items_per_job == 0),
            ("icav2.max_attempts", icav2.max_attempts == 0),
            ("copy.max_depth", copy.max_depth == 0),
            ("copy.concurrent_streams", copy.concurrent_streams == 0),
            ("copy.largest_put", copy.largest_put == 0),
            ("heartbeat.calls_per_second", heartbeat.calls_per_second == 0),
            ("service.max_active", service.max_active == 0),
            ("service.max_files", service.max_files == 0),
            ("service.max_waiters", service.max_waiters == 0),
            ("service.max_payload", service.max_payload == 0),
            ("admin.max_connections", admin.max_connections == 0),
        ];
        for (key, _) in zeros.into_iter().filter(|(_, is_zero)| *is_zero) {
            self.add(key, "must be at least 1");
        }
        if copy.largest_put > LARGEST_PUT {
            self.add(
                "copy.largest_put",
                format!("must be at most {LARGEST_PUT}, which is all that S3 takes"),
            );
        }
    }

    /// A batch window of nothing is sensible; every other duration must last.
    fn durations(&mut self, settings: &Settings) {
        let Settings { icav2, heartbeat, service, .. } = settings;
        let durations = [
            ("icav2.timeout", icav2.timeout),
            ("icav2.poll_interval", icav2.poll_interval),
            ("icav2.settle", icav2.settle),
            ("icav2.abandoned_after", icav2.abandoned_after),
            ("icav2.submit_settle", icav2.submit_settle),
            ("service.retry_base", service.retry_base),
            ("service.retry_cap", service.retry_cap),
            ("heartbeat.promise", heartbeat.promise),
            ("heartbeat.stalled_after", heartbeat.stalled_after),
            ("heartbeat.outage_after", heartbeat.outage_after),
            ("service.tick", service.tick),
            ("service.max_call_wait", service.max_call_wait),
            ("service.lease", service.lease),
            ("service.drain_timeout", service.drain_timeout),
            ("service.keep", service.keep),
        ];
        for (key, _) in durations.into_iter().filter(|(_, duration)| duration.is_zero()) {
            self.add(key, "must be longer than nothing");
        }
        if !heartbeat.interval.is_empty() {
            match duration_text::parse(&heartbeat.interval) {
                Ok(Duration::ZERO) => self.add("heartbeat.interval", "must be longer than nothing"),
                Ok(_) => {}
                Err(message) => self.add("heartbeat.interval", message),
            }
        }
        if !service.keep.is_zero() && service.keep < SHORTEST_KEEP {
            let shortest = duration_text::print(SHORTEST_KEEP);
            self.add(
                "service.keep",
                format!("must be at least {shortest}: ICAv2 repeats answers for a week"),
            );
        }
        if service.drain_timeout > LONGEST_DRAIN {
            let longest = duration_text::print(LONGEST_DRAIN);
            self.add("service.drain_timeout", format!("must be at most {longest}: ECS kills after 120 s"));
        }
    }

    fn relations(&mut self, settings: &Settings) {
        let Settings { icav2, heartbeat, service, admin, .. } = settings;
        // A simulated platform has no uploads of others that last so long.
        let is_simulated =
            url::Url::parse(&icav2.base_url).is_ok_and(|url| url.host_str().is_some_and(is_loopback));
        self.add_unless(
            is_simulated || icav2.abandoned_after.is_zero() || icav2.abandoned_after >= SOONEST_ABANDONED,
            "icav2.abandoned_after",
            "icav2.base_url",
            format!(
                "must last for at least {}, as long as an upload may (less only where icav2.base_url leads to this machine)",
                duration_text::print(SOONEST_ABANDONED),
            ),
        );
        self.add_unless(
            service.retry_base <= service.retry_cap,
            "service.retry_base",
            "service.retry_cap",
            format!(
                "must not be longer than service.retry_cap ({})",
                duration_text::print(service.retry_cap)
            ),
        );
        let (every, promise) = (heartbeat.every(), duration_text::print(heartbeat.promise));
        self.add_unless(
            every < heartbeat.promise,
            "heartbeat.interval",
            "heartbeat.promise",
            format!("must be shorter than heartbeat.promise ({promise})"),
        );
        self.add_unless(
            every >= heartbeat.promise || every.saturating_add(service.tick) <= heartbeat.promise,
            "heartbeat.promise",
            "service.tick",
            format!(
                "cannot be kept: a heartbeat is due every {} and looked for every {} (service.tick)",
                duration_text::print(every),
                duration_text::print(service.tick),
            ),
        );
        // A pause of our own must not be taken for a standstill.
        self.add_unless(
            heartbeat.stalled_after.is_zero() || service.retry_cap < heartbeat.stalled_after,
            "service.retry_cap",
            "heartbeat.stalled_after",
            format!(
                "must be shorter than heartbeat.stalled_after ({})",
                duration_text::print(heartbeat.stalled_after),
            ),
        );
        // Evidence is written at most once an interval, and jobs give some when they are looked at.
        let quiet = every.max(icav2.poll_interval);
        self.add_unless(
            heartbeat.stalled_after.is_zero() || heartbeat.stalled_after >= quiet.saturating_mul(2),
            "heartbeat.stalled_after",
            if every >= icav2.poll_interval { "heartbeat.interval" } else { "icav2.poll_interval" },
            format!(
                "must last for at least twice {}, which is how far apart signs of life may be",
                duration_text::print(quiet),
            ),
        );
        self.add_unless(
            heartbeat.outage_after.is_zero() || heartbeat.outage_after >= heartbeat.stalled_after,
            "heartbeat.outage_after",
            "heartbeat.stalled_after",
            format!(
                "must not be shorter than heartbeat.stalled_after ({})",
                duration_text::print(heartbeat.stalled_after)
            ),
        );
        self.add_unless(
            admin.token.is_none() || admin.token_file.is_none(),
            "admin.token_file",
            "admin.token",
            "must not be set beside admin.token: one of the two has the token",
        );
        self.add_unless(
            service.lease >= service.tick.saturating_mul(3),
            "service.lease",
            "service.tick",
            format!(
                "must last for at least three times service.tick ({})",
                duration_text::print(service.tick)
            ),
        );
    }

    fn addresses(&mut self, settings: &Settings) {
        let Settings { aws, embedded, icav2, .. } = settings;
        let urls = [
            ("aws.copy_requests_queue_url", aws.copy_requests_queue_url.as_deref()),
            ("aws.ica_events_queue_url", aws.ica_events_queue_url.as_deref()),
            ("embedded.outcome_url", embedded.outcome_url.as_deref()),
            ("icav2.base_url", Some(icav2.base_url.as_str())),
            ("icav2.s3_endpoint_url", icav2.s3_endpoint_url.as_deref()),
        ];
        for (key, url) in urls {
            if url.is_some_and(|url| !is_http(url)) {
                self.add(key, "must be a URL that starts with http:// or https://");
            }
        }
        let is_topic = |arn: &String| {
            let parts: Vec<_> = arn.split(':').collect();
            matches!(parts.as_slice(), ["arn", _, "sns", region, account, name]
                if ![region, account, name].into_iter().any(|part| part.is_empty()))
        };
        if !settings.admin.sns_topics.iter().all(is_topic) {
            self.add("admin.sns_topics", "must be ARNs like \"arn:aws:sns:REGION:ACCOUNT:NAME\"");
        }
        let prefix = &settings.report.s3_prefix;
        let is_prefix = matches!(Location::parse(prefix), Ok(Location::S3 { .. })) && prefix.ends_with('/');
        if !prefix.is_empty() && !is_prefix {
            self.add("report.s3_prefix", "must be empty or like \"s3://bucket/prefix/\"");
        }
        // Bearer tokens and session tokens go there.
        let secrets = [
            ("icav2.base_url", Some(icav2.base_url.as_str())),
            ("icav2.s3_endpoint_url", icav2.s3_endpoint_url.as_deref()),
            ("share.slack_url", Some(settings.share.slack_url.as_str())),
        ];
        for (key, url) in secrets {
            let Some(url) = url.and_then(|url| url::Url::parse(url).ok()) else { continue };
            if url.scheme() == "http" && !url.host_str().is_some_and(is_loopback) {
                self.add(key, "must start with https://: only this machine may be called without TLS");
            }
            if !url.username().is_empty() || url.password().is_some() {
                self.add(key, "must not hold a user or a password");
            }
        }
    }

    /// A build without some of its features refuses settings that need them.
    fn needs_of_build(&mut self, settings: &Settings, built: Built) {
        let Settings { backend, icav2, embedded, admin, report, .. } = settings;
        let of_aws = [
            ("backend", *backend == Backend::Aws),
            ("admin.sns_topics", !admin.sns_topics.is_empty()),
            ("report.s3_prefix", !report.s3_prefix.is_empty()),
            ("icav2.s3_endpoint_url", icav2.s3_endpoint_url.is_some()),
            ("icav2.token_secret_id", icav2.token_secret_id.is_some()),
        ];
        for (key, _) in of_aws.into_iter().filter(|(_, is_set)| *is_set && !built.has_aws) {
            self.add(key, "needs a build with the feature `aws`");
        }
        let urls = [
            ("icav2.base_url", Some(icav2.base_url.as_str())),
            ("embedded.outcome_url", embedded.outcome_url.as_deref()),
        ];
        let is_https = |url: &str| url::Url::parse(url).is_ok_and(|url| url.scheme() == "https");
        for (key, _) in urls.into_iter().filter(|(_, url)| url.is_some_and(is_https) && !built.has_https) {
            self.add(key, "needs a build with the feature `https`");
        }
    }

    fn needs_of_aws(&mut self, settings: &Settings) {
        let Settings { backend, aws, icav2, .. } = settings;
        if *backend != Backend::Aws {
            return;
        }
        let needed = [
            ("aws.copy_requests_queue_url", aws.copy_requests_queue_url.is_some()),
            ("aws.table_name", aws.table_name.is_some()),
            ("aws.internal_bus_name", aws.internal_bus_name.is_some()),
        ];
        for (key, present) in needed {
            self.add_unless(present, key, "backend", "is required with backend = \"aws\"");
        }
        self.add_unless(
            icav2.has_credentials() || settings.replicas().next().is_some(),
            "icav2.token_secret_id",
            "backend",
            "is required with backend = \"aws\", unless icav2.access_token or icav2.api_key is set, or replicas alone are kept",
        );
    }
}

/// Parsers of URLs take `https:///x` and `https:x` for `https://x`, which no operator means by that.
fn is_http(text: &str) -> bool {
    let rest = text.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
    let has_host = !rest.is_empty() && !rest.starts_with(['/', '\\', '?', '#', ':', '@']);
    has_host
        && url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
#[cfg(feature = "aws")]
mod tests {
    use super::*;

    #[test]
    fn a_build_refuses_settings_that_it_lacks_the_features_for() {
        let variables = [
            ("COPY_MANAGER__BACKEND", "aws"),
            ("COPY_MANAGER__AWS__COPY_REQUESTS_QUEUE_URL", "http://localhost:4566/0/requests"),
            ("COPY_MANAGER__AWS__TABLE_NAME", "t"),
            ("COPY_MANAGER__AWS__INTERNAL_BUS_NAME", "b"),
            ("COPY_MANAGER__ICAV2__TOKEN_SECRET_ID", "secret"),
            ("COPY_MANAGER__EMBEDDED__OUTCOME_URL", "http://127.0.0.1/hook"),
            ("COPY_MANAGER__REPORT__S3_PREFIX", "s3://bucket/"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = crate::config::load(None, variables).unwrap();
        let lacking = |has_aws, has_https| {
            let mut complaints = Complaints(Vec::new());
            complaints.needs_of_build(&settings, Built { has_aws, has_https });
            let told =
                complaints.0.into_iter().map(|complaint| format!("{}: {}", complaint.key, complaint.message));
            told.collect::<Vec<_>>()
        };
        assert_eq!(lacking(true, true), [""; 0]);
        assert_eq!(lacking(true, false), ["icav2.base_url: needs a build with the feature `https`"]);
        assert_eq!(
            lacking(false, true),
            ["backend", "report.s3_prefix", "icav2.token_secret_id"]
                .map(|key| format!("{key}: needs a build with the feature `aws`"))
        );
    }
}
