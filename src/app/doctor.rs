//! Whether a daemon with these settings could work: addresses and permissions that they need, tried one by one, with
//! what to do about each.
//!
//! Writes are tried under conditions that cannot hold, heartbeats for a token that nobody has, and a message that is not
//! there is deleted. Nothing is received, and the file of the embedded mode is not opened. One thing is left behind: on
//! each bus of AWS an event that no rule of ours takes. Not tried are buckets, new records, and answers to tokens.

mod aws;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::SignedDuration;
use tokio::time::timeout;

use super::{Misconfigured, adapters};
use crate::{
    config::{self, Backend, Settings},
    icav2::{
        client::Client,
        notifications::{Channel, JOB_EVENTS},
    },
    ports::{Class, Error, Ports, bus::Bus, platform::DataPlatform as _},
    runtime::Supervisor,
};

/// A project that does not exist. The question is whether there is an answer.
const NO_PROJECT: &str = "00000000-0000-4000-8000-000000000000";
/// What nobody has: a record, a token.
const NOBODY: &str = "copy-manager-doctor";
/// No probe takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// A token that ends sooner will be missed.
const SOON: SignedDuration = SignedDuration::from_hours(1);

/// What is to be examined.
#[derive(Debug, Clone, Default)]
pub struct DoctorOptions {
    /// The settings file, over the defaults and under the environment.
    pub config: Option<PathBuf>,
    /// Projects that copies go to.
    pub projects: Vec<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Good,
    /// It works, and not as well as it could.
    Fair,
    /// It does not work.
    Bad,
}

/// What was found out about one thing that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub what: String,
    /// How it is.
    pub health: Health,
    /// What was seen.
    pub seen: String,
    /// What to do, where it is not good.
    pub remedy: Option<String>,
}

impl Finding {
    fn good(what: &str, seen: impl Into<String>) -> Self {
        Self { what: what.to_owned(), health: Health::Good, seen: seen.into(), remedy: None }
    }

    fn other(what: &str, health: Health, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.to_owned(), health, seen: seen.into(), remedy: Some(remedy.into()) }
    }

    fn bad(what: &str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::other(what, Health::Bad, seen, remedy)
    }
}

/// Examines everything, and tells of each thing as it is found out. Whether nothing is bad.
pub async fn doctor(options: DoctorOptions, mut tell: impl FnMut(&Finding)) -> anyhow::Result<bool> {
    let settings = config::load(options.config.as_deref(), config::environment())
        .map_err(|problems| Misconfigured(Box::new(problems)))?;
    let is_on_aws = settings.backend == Backend::Aws;
    let supervisor = Supervisor::new();
    // The file of a daemon that runs is not opened a second time.
    let ports = if is_on_aws {
        adapters::build(&settings, supervisor.readiness()).await?.0
    } else {
        adapters::without_memory(&settings).await?
    };
    let client = adapters::client(&settings).await?;
    let mut is_well = true;
    let mut note = |finding: Finding| {
        is_well &= finding.health != Health::Bad;
        tell(&finding);
    };
    note(Finding::good("settings", format!("backend {:?}", settings.backend).to_lowercase()));
    let examination = Examination { settings: &settings, ports: &ports, client: &client };
    for finding in examination.icav2().await {
        note(finding);
    }
    for project in &options.projects {
        note(examination.project(project).await);
    }
    if !is_on_aws {
        note(examination.database().await);
        return Ok(is_well);
    }
    for finding in examination.table().await {
        note(finding);
    }
    note(examination.queue("requests queue", &ports.requests, "copy_requests_queue_url").await);
    match &ports.job_events {
        Some(queue) => {
            note(examination.queue("job events queue", queue, "ica_events_queue_url").await);
            note(examination.channel().await);
        }
        None => note(Finding::other(
            "job events queue",
            Health::Fair,
            "none is set: the end of a job is seen by polls alone, some seconds later",
            "set aws.ica_events_queue_url, and have ICAv2 send there: copy-manager subscribe PROJECT",
        )),
    }
    if settings.backend == Backend::Aws {
        let internal = settings.aws.internal_bus_name.as_deref().unwrap_or_default();
        let public = settings.aws.external_bus_name.as_str();
        for (what, bus, name) in
            [("internal bus", Bus::Internal, internal), ("public bus", Bus::External, public)]
        {
            note(examination.bus(what, bus, name).await);
        }
        note(examination.callbacks().await);
    }
    Ok(is_well)
}

struct Examination<'a> {
    settings: &'a Settings,
    ports: &'a Ports,
    client: &'a Arc<Client>,
}

/// What comes of a probe, at the latest when its time is over.
async fn tried<T>(probe: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = || Error::new(Class::Transient, "probe", format!("no answer within {} s", PATIENCE.as_secs()));
    timeout(PATIENCE, probe).await.unwrap_or_else(|_| Err(late()))
}

impl Examination<'_> {
    /// What to do about a service of AWS.
    fn remedy(error: &Error, allow: &str, on: &str) -> String {
        match error.class {
            Class::Forbidden => {
                format!("allow {allow} on {on} to the role, and its KMS key if it has one of its own")
            }
            Class::NotFound => {
                format!("{on} is not there: check the name, the account and the region (AWS_REGION)")
            }
            Class::Unauthorized => {
                "no valid credentials of AWS were found: set AWS_PROFILE, or give the task a role".to_owned()
            }
            _ => format!(
                "{on} does not answer as it should: check the network, the region and the service's status"
            ),
        }
    }

    async fn icav2(&self) -> Vec<Finding> {
        let what = "icav2";
        let base = &self.settings.icav2.base_url;
        match tried(self.client.project(NO_PROJECT)).await {
            Err(error) if error.class == Class::NotFound => {}
            Ok(_) => {}
            Err(error) if error.class == Class::Unauthorized => {
                let remedy = "put a valid token: ICAV2_ACCESS_TOKEN, ICAV2_API_KEY, or the secret in icav2.token_secret_id";
                return vec![
                    Finding::good(what, format!("{base} answers")),
                    Finding::bad("icav2 token", error.to_string(), remedy),
                ];
            }
            Err(error) => {
                let remedy =
                    "check icav2.base_url (ICAV2_BASE_URL) and whether this machine reaches it over HTTPS";
                return vec![Finding::bad(what, error.to_string(), remedy)];
            }
        }
        vec![Finding::good(what, format!("{base} answers")), self.token().await]
    }

    async fn token(&self) -> Finding {
        let what = "icav2 token";
        let projects = match tried(self.client.count_projects()).await {
            Ok(count) => count,
            Err(error) => {
                return Finding::bad(
                    what,
                    error.to_string(),
                    "the token is accepted, and may not list projects: check its rights",
                );
            }
        };
        let ends = tried(self.client.token_ends()).await.ok().flatten();
        let left = ends.map(|ends| ends.duration_since(self.ports.clock.now()));
        let valid = left.map_or("says not when it ends".to_owned(), |left| format!("ends in {}", span(left)));
        let seen = format!("{valid}; {projects} projects visible");
        match left {
            _ if projects == 0 => {
                Finding::bad(what, seen, "add the token's user to the projects that are copied from and to")
            }
            Some(left) if left < SOON => {
                Finding::other(what, Health::Fair, seen, "see that whoever renews the secret still does")
            }
            _ => Finding::good(what, seen),
        }
    }

    async fn project(&self, reference: &str) -> Finding {
        let what = format!("project {reference}");
        let project = match tried(self.client.project(reference)).await {
            Ok(project) => project,
            Err(error) => {
                return Finding::bad(
                    &what,
                    error.to_string(),
                    "check the name, and add the token's user to the project",
                );
            }
        };
        let Some(queue) = &self.settings.aws.ica_events_queue_url else {
            return Finding::good(&what, format!("visible, {}", project.id));
        };
        match tried(self.client.subscriptions(&project.id)).await {
            Ok(all) => {
                let ours = all.iter().any(|it| {
                    it.enabled && it.event_code == JOB_EVENTS && it.notification_channel.address == *queue
                });
                if ours {
                    return Finding::good(&what, "visible, its job events come to our queue");
                }
                let remedy = format!("copy-manager subscribe {reference}");
                Finding::other(
                    &what,
                    Health::Fair,
                    "visible; its job events do not come to our queue",
                    remedy,
                )
            }
            Err(error) => Finding::other(
                &what,
                Health::Fair,
                format!("visible; its subscriptions are not: {error}"),
                "only an administrator of the project may see and make them",
            ),
        }
    }

    /// The file of the embedded mode, without opening it.
    async fn database(&self) -> Finding {
        let what = "database";
        let place = Path::new(&self.settings.embedded.database);
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match (tokio::fs::metadata(place).await, tokio::fs::metadata(folder).await) {
            (Ok(file), _) if file.is_file() => Finding::good(what, format!("{} is there", place.display())),
            (Ok(_), _) => Finding::bad(
                what,
                format!("{} is no file", place.display()),
                "name a file in embedded.database",
            ),
            (Err(_), Ok(folder_there)) if folder_there.is_dir() => {
                Finding::good(what, format!("{} is made at the first start", place.display()))
            }
            (Err(error), _) => Finding::bad(
                what,
                error.to_string(),
                "make the folder of embedded.database, and let the daemon write there",
            ),
        }
    }
}

/// Whether a channel sends to a queue.
pub(super) fn leads_to(channel: &Channel, queue: &str) -> bool {
    channel.of_type == "SQS" && channel.address == queue
}

/// A span in two units.
fn span(left: SignedDuration) -> String {
    let minutes = left.as_mins();
    match minutes {
        ..=0 => "no time: it has ended".to_owned(),
        1..60 => format!("{minutes} min"),
        60..2880 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} days", minutes / 1440),
    }
}
