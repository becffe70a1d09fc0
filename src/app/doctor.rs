//! Whether a daemon with these settings could work: each permission and each address that they need, tried one
//! by one, with what to do about it.
//!
//! Nothing is changed: writes are tried under conditions that cannot hold, answers for a token that nobody has,
//! and a message that is received is given back at once.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::time::timeout;

use super::{Misconfigured, adapters};
use crate::{
    config::{self, Backend, Settings},
    domain::token::TaskToken,
    icav2::{
        client::Client,
        notifications::{Channel, JOB_EVENTS},
    },
    ports::{
        Class, Error, Ports,
        bus::{Bus, Event},
        platform::DataPlatform as _,
        queue::Queue,
        store::{Change, Condition, Key, Transacted, Value, Write, Written},
    },
    runtime::Supervisor,
};

/// A project that does not exist. The question is whether there is an answer.
const NO_PROJECT: &str = "00000000-0000-4000-8000-000000000000";
/// What nobody has: a record, a token.
const NOBODY: &str = "copy-manager-doctor";
/// No probe takes longer; to receive from a queue waits for 20 s.
const PATIENCE: Duration = Duration::from_secs(30);
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
    let supervisor = Supervisor::new();
    let (ports, _, _) = adapters::build(&settings, supervisor.readiness()).await?;
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
    for (what, bus, name) in [
        (
            "internal bus",
            Bus::Internal,
            settings.aws.internal_bus_name.as_deref().unwrap_or("in this process"),
        ),
        ("public bus", Bus::External, settings.aws.external_bus_name.as_str()),
    ] {
        note(examination.bus(what, bus, name).await);
    }
    note(examination.callbacks().await);
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
    fn is_on_aws(&self) -> bool {
        self.settings.backend == Backend::Aws
    }

    /// What to do about a service of AWS.
    fn remedy(&self, error: &Error, allow: &str, on: &str) -> String {
        if !self.is_on_aws() {
            return "look at the file in embedded.database, its folder, and the disk".to_owned();
        }
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

    async fn table(&self) -> Vec<Finding> {
        let store = &self.ports.store;
        let name = self.settings.aws.table_name.as_deref().unwrap_or("the table");
        let table = format!("table/{name}");
        let index = format!("table/{name}/index/*");
        let key = Key::new(NOBODY, "PROBE");
        let never = || {
            Write::update(key.clone(), vec![Change::Set("probe".into(), Value::Number(1))])
                .when(Condition::Present)
        };
        let day = self.ports.clock.now().as_millisecond().div_euclid(86_400_000);
        let finding = |what: &str, done: Result<(), Error>, allow: &str, on: &str| match done {
            Ok(()) => Finding::good(what, on.to_owned()),
            Err(error) => Finding::bad(what, error.to_string(), self.remedy(&error, allow, on)),
        };
        let reads = tried(store.get_many(&[key.clone(), Key::new(NOBODY, "OTHER")])).await.map(drop);
        let queries = tried(store.query(NOBODY, "PROBE")).await.map(drop);
        let due = tried(store.due(0, 0, 1)).await.map(drop);
        let recent = tried(store.recent(day, i64::MAX, 1)).await.map(drop);
        let refused = |was_written: bool| {
            let wrong = || Error::new(Class::Invalid, "probe", "a record was written that must not be");
            if was_written { Err(wrong()) } else { Ok(()) }
        };
        let writes = tried(store.write(never())).await.and_then(|it| refused(matches!(it, Written::Done(_))));
        let together = tried(store.transact(vec![never()])).await;
        let together = together.and_then(|it| refused(it == Transacted::Done));
        vec![
            finding("table: read", reads, "dynamodb:GetItem and BatchGetItem", &table),
            finding("table: query", queries, "dynamodb:Query", &table),
            finding("table: index of due work", due, "dynamodb:Query", &index),
            finding("table: index of requests", recent, "dynamodb:Query", &index),
            finding("table: write", writes, "dynamodb:UpdateItem, PutItem and DeleteItem", &table),
            finding("table: write together", together, "dynamodb:ConditionCheckItem", &table),
        ]
    }

    async fn queue(&self, what: &str, queue: &Arc<dyn Queue>, key: &str) -> Finding {
        let received = tried(queue.receive()).await;
        let messages = match received {
            Ok(messages) => messages,
            Err(error) => {
                let remedy = self.remedy(&error, "sqs:ReceiveMessage", &format!("the queue in aws.{key}"));
                return Finding::bad(what, error.to_string(), remedy);
            }
        };
        let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
        if let Err(error) = tried(queue.release(&receipts)).await {
            let remedy =
                self.remedy(&error, "sqs:ChangeMessageVisibility", &format!("the queue in aws.{key}"));
            return Finding::bad(what, error.to_string(), remedy);
        }
        match messages.len() {
            0 => Finding::good(what, "can be received from; empty"),
            count => Finding::good(
                what,
                format!("can be received from; {count} messages were there, and given back"),
            ),
        }
    }

    /// Whether ICAv2 knows our queue.
    async fn channel(&self) -> Finding {
        let what = "notification channel";
        let queue = self.settings.aws.ica_events_queue_url.as_deref().unwrap_or_default();
        match tried(self.client.channels()).await {
            Ok(channels) => match channels.iter().find(|channel| leads_to(channel, queue)) {
                Some(channel) if channel.enabled => {
                    Finding::good(what, format!("{} leads to our queue", channel.id))
                }
                Some(channel) => Finding::other(
                    what,
                    Health::Fair,
                    format!("{} is disabled", channel.id),
                    "enable it in ICAv2",
                ),
                None => Finding::other(
                    what,
                    Health::Fair,
                    "none leads to our queue: the end of a job is seen by polls alone",
                    "copy-manager subscribe PROJECT makes one; the queue's policy must let ICAv2 send (see deploy/README.md)",
                ),
            },
            Err(error) => {
                Finding::other(what, Health::Fair, error.to_string(), "the token's user may not see channels")
            }
        }
    }

    async fn bus(&self, what: &str, bus: Bus, name: &str) -> Finding {
        let detail = r#"{"probe":true}"#.to_owned();
        let event = Event { bus, detail_type: "CopyManagerDoctor", detail };
        match tried(self.ports.bus.publish(&[event])).await {
            Ok(refused) => match refused.into_iter().next() {
                None => Finding::good(what, format!("{name} takes events")),
                Some((_, error)) => {
                    Finding::bad(what, error.to_string(), self.remedy(&error, "events:PutEvents", name))
                }
            },
            Err(error) => {
                Finding::bad(what, error.to_string(), self.remedy(&error, "events:PutEvents", name))
            }
        }
    }

    async fn callbacks(&self) -> Finding {
        let what = "step functions";
        let nobody = TaskToken::new(NOBODY);
        match tried(self.ports.callbacks.heartbeat(&nobody)).await {
            Ok(_) => Finding::good(what, "task tokens can be told of"),
            Err(error) if error.class == Class::Invalid => Finding::good(what, "task tokens can be told of"),
            Err(error) => {
                let allow = "states:SendTaskHeartbeat, SendTaskSuccess and SendTaskFailure";
                Finding::bad(what, error.to_string(), self.remedy(&error, allow, "*"))
            }
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
