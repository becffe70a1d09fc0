//! What commands ask of replicas without a daemon.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Misconfigured, Unreachable, adapters, kinds,
    replicated::{self, kept},
};
use crate::{
    config::{self, Settings},
    domain::{
        ids::RequestId,
        replica::{order::ReplicaOrder, settings::CanvasSettings},
    },
    engine::Engine,
    events::replica,
    kinds::replica::Replicas,
    planes::table::Replicated,
    ports::{
        Class, Ports,
        replica::{Standing, Trouble},
        source::Source,
    },
};

/// Between two looks at a run in this process.
const LOOK: Duration = Duration::from_millis(50);

/// What a command asks with.
#[derive(Debug, Clone, Default)]
pub struct CanvasOptions {
    /// The settings file, over the defaults and under the environment.
    pub config: Option<PathBuf>,
    /// Whose settings are meant; none: the first ones.
    pub instance: Option<String>,
}

/// A replica for a command, and what else it needs.
#[derive(Debug)]
pub struct Alone {
    settings: Settings,
    ports: Ports,
    replicated: Vec<Replicated>,
}

/// The settings, and those of the instance that is meant, or of the first.
fn chosen(options: &CanvasOptions) -> anyhow::Result<(Settings, CanvasSettings)> {
    let settings = config::load(options.config.as_deref(), config::environment())
        .map_err(|problems| Misconfigured(Box::new(problems)))?;
    let name = options.instance.as_deref();
    let meant = settings.replicas().find(|of| name.is_none_or(|name| of.instance == name)).cloned();
    let meant = meant.ok_or_else(|| match name {
        Some(name) => {
            format!("no replica of an instance `{name}` is kept here (canvas.instance, canvas.more)")
        }
        None => {
            "no replica is kept here: set canvas.client_id (DAP_CLIENT_ID) and what belongs to it".to_owned()
        }
    });
    let meant = meant.map_err(|why| Misconfigured(why.into()))?;
    Ok((settings, meant))
}

impl Alone {
    /// Reads the settings, and makes the adapters of the instance that is meant; nothing is called yet, but for
    /// secrets.
    pub async fn new(options: &CanvasOptions) -> anyhow::Result<Self> {
        let (settings, canvas) = chosen(options)?;
        let ports = adapters::for_canvas(&settings).await?;
        let settings = Settings { canvas, more: Vec::new(), ..settings };
        let replicated = kept(&settings, &ports).await?;
        Ok(Self { settings, ports, replicated })
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &CanvasSettings {
        &self.settings.canvas
    }

    /// The order of a request with that payload.
    pub fn order(&self, payload: &Value) -> anyhow::Result<ReplicaOrder> {
        replica::request(payload, &self.settings.canvas).map_err(|why| Misconfigured(why.into()).into())
    }

    /// The tables of a namespace that were loaded.
    pub async fn standing(&self, namespace: &str) -> anyhow::Result<Vec<Standing>> {
        let mut all = Vec::new();
        for of in &self.replicated {
            let standing = of.replica.standing(namespace).await;
            all.extend(standing.map_err(|trouble| match trouble {
                Trouble::Port(error) => reached(error),
                other => anyhow::Error::new(other),
            })?);
        }
        Ok(all)
    }

    /// Works off a run in this process, until it has ended: the message that it is told by, and whether it has
    /// failed.
    pub async fn run(self, order: &ReplicaOrder) -> anyhow::Result<(Value, bool)> {
        // Whoever waits here is told at once where nothing can be reached.
        self.standing(&order.namespace).await?;
        for of in &self.replicated {
            of.source.tables(&order.namespace).await.map(drop).map_err(reached)?;
        }
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let id = RequestId::new(format!("run.{}", self.ports.chance.uuid().simple()));
        let order = Replicas::order_for(id.clone(), order, "copy-manager.cli".to_owned())?;
        let (mut settings, share) = (self.settings.engine(), self.settings.share.clone());
        // Nobody is told of the run's tables: they are found by the walk of what is due, which costs nothing here.
        settings.service.tick = LOOK;
        let work = kinds::work(self.ports, settings, share, self.replicated, stop.clone(), cut.clone());
        let engine = work.engine;
        let mut tasks = JoinSet::new();
        tasks.spawn(engine.clone().dispatch());
        tasks.spawn(engine.clone().timers());
        tasks.spawn(engine.clone().progress(cut.clone()));
        engine.submit(&order).await?;
        let ended = ended(&engine, &id).await;
        stop.cancel();
        cut.cancel();
        while tasks.join_next().await.is_some() {}
        ended
    }
}

async fn ended(engine: &Engine, id: &RequestId) -> anyhow::Result<(Value, bool)> {
    loop {
        let view = engine.view_of(id.as_str(), None).await?;
        let outcome = view.filter(|view| view.settled).and_then(|view| view.outcome);
        if let Some(outcome) = outcome {
            let told = outcome.answer.as_deref().and_then(|answer| serde_json::from_str(answer).ok());
            let failure = outcome.failure;
            let told = told
                .or_else(|| failure.as_ref().map(|failure| serde_json::json!({ "error": failure.message })));
            return Ok((told.unwrap_or_default(), failure.is_some()));
        }
        sleep(LOOK).await;
    }
}

/// An error of a port as commands end with it.
pub fn reached(error: crate::ports::Error) -> anyhow::Error {
    match error.class {
        Class::Transient | Class::Throttled => anyhow::Error::new(Unreachable(Box::new(error))),
        Class::Unauthorized | Class::Forbidden => anyhow::Error::new(Misconfigured(Box::new(error))),
        Class::NotFound | Class::Conflict | Class::Invalid => anyhow::Error::new(error),
    }
}

/// The database of the demo.
#[cfg(feature = "simulator")]
pub fn demo_database(url: &str) -> anyhow::Result<crate::postgres::demo::DemoDatabase> {
    Ok(crate::postgres::demo::DemoDatabase::new(url).map_err(|why| Misconfigured(Box::new(why)))?)
}

/// The platform alone, for a command that asks it and no database.
pub async fn platform(options: &CanvasOptions) -> anyhow::Result<(CanvasSettings, Arc<dyn Source>)> {
    let (settings, canvas) = chosen(options)?;
    let ports = adapters::for_canvas(&settings).await?;
    let source = replicated::platform(&settings, &canvas, &ports).await?;
    Ok((canvas, source))
}
