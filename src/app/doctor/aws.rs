//! What a daemon needs of AWS.

use std::sync::Arc;

use super::{Examination, Finding, Health, NOBODY, leads_to, tried};
use crate::{
    domain::token::TaskToken,
    ports::{
        Class, Error,
        bus::{Bus, Event},
        queue::Queue,
        store::{Change, Condition, Key, Transacted, Value, Write, Written},
    },
};

impl Examination<'_> {
    pub(super) async fn table(&self) -> Vec<Finding> {
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
            Err(error) => Finding::bad(what, error.to_string(), Self::remedy(&error, allow, on)),
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

    /// Whether a queue can be reached, and messages of it deleted. It is not received from: that counts against
    /// a message.
    pub(super) async fn queue(&self, what: &str, queue: &Arc<dyn Queue>, key: &str) -> Finding {
        let on = format!("the queue in aws.{key}");
        let deleted = tried(queue.delete(&[NOBODY.to_owned()])).await;
        // What is no matter of rights: it knows no such receipt.
        if let Some(error) = deleted.err().filter(|error| error.class != Class::Invalid) {
            let allow = "sqs:ReceiveMessage, DeleteMessage and ChangeMessageVisibility";
            return Finding::bad(what, error.to_string(), Self::remedy(&error, allow, &on));
        }
        match tried(queue.depth()).await {
            Ok(_) => {
                Finding::good(what, "answers; nothing was received, which would count against a message")
            }
            Err(error) => {
                let remedy = Self::remedy(&error, "sqs:GetQueueAttributes", &on);
                let seen = format!("answers, but not how full it is: {error}");
                Finding::other(what, Health::Fair, seen, remedy)
            }
        }
    }

    /// Whether ICAv2 knows our queue.
    pub(super) async fn channel(&self) -> Finding {
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
                    "copy-manager subscribe PROJECT makes one; the queue's policy must let ICAv2 send",
                ),
            },
            Err(error) => {
                Finding::other(what, Health::Fair, error.to_string(), "the token's user may not see channels")
            }
        }
    }

    pub(super) async fn bus(&self, what: &str, bus: Bus, name: &str) -> Finding {
        let detail = r#"{"probe":true}"#.to_owned();
        let event = Event { bus, source: None, detail_type: "CopyManagerDoctor", detail };
        match tried(self.ports.bus.publish(&[event])).await {
            Ok(refused) => match refused.into_iter().next() {
                None => Finding::good(what, format!("{name} takes events")),
                Some((_, error)) => {
                    Finding::bad(what, error.to_string(), Self::remedy(&error, "events:PutEvents", name))
                }
            },
            Err(error) => {
                Finding::bad(what, error.to_string(), Self::remedy(&error, "events:PutEvents", name))
            }
        }
    }

    pub(super) async fn callbacks(&self) -> Finding {
        let what = "step functions";
        let nobody = TaskToken::new(NOBODY);
        match tried(self.ports.callbacks.heartbeat(&nobody)).await {
            Ok(_) => Finding::good(what, "task tokens can be told of"),
            Err(error) if error.class == Class::Invalid => Finding::good(what, "task tokens can be told of"),
            Err(error) => {
                let allow = "states:SendTaskHeartbeat, SendTaskSuccess and SendTaskFailure";
                Finding::bad(what, error.to_string(), Self::remedy(&error, allow, "*"))
            }
        }
    }
}
