//! Requests of a fleet, straight from its table: for operators, whose own rights decide what they may see and do.
//! On AWS nothing else need be reached.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Misconfigured, adapters, door::Door, kinds};
use crate::{
    admin::{self, Accepted, Action, Admin, ApiError, Backend, ListQuery, Ready, guard::Guard},
    config,
    ports::Result,
    runtime::Supervisor,
};

/// Connections that are open at a time: one browser has six.
const MOST_CONNECTIONS: usize = 64;

/// What the settings of a daemon need besides the table. Nothing is ever asked of any of it: no work is done here.
const UNUSED: [(&str, &str); 4] = [
    ("COPY_MANAGER__BACKEND", "aws"),
    ("COPY_MANAGER__AWS__COPY_REQUESTS_QUEUE_URL", "http://127.0.0.1:9/unused"),
    ("COPY_MANAGER__AWS__INTERNAL_BUS_NAME", "unused"),
    ("ICAV2_ACCESS_TOKEN", "unused"),
];

/// A door that lets nothing in.
#[derive(Debug)]
struct TableDoor {
    door: Door,
    table: String,
}

#[async_trait]
impl Backend for TableDoor {
    async fn accept(&self, _: &str, _: &str, _: Value) -> std::result::Result<Accepted, ApiError> {
        let table = &self.table;
        Err(ApiError::invalid(format!("this only shows the table {table}: put the event on the bus (--bus)")))
    }

    async fn job_events(&self, _: &str) -> std::result::Result<(usize, u32), ApiError> {
        Err(ApiError::invalid("this only shows a table"))
    }

    async fn notice(&self, _: &str) -> std::result::Result<(), ApiError> {
        Err(ApiError::invalid("this only shows a table"))
    }

    async fn request(&self, id: &str, source: Option<&str>) -> Result<Option<Value>> {
        self.door.request(id, source).await
    }

    async fn folders(&self, id: &str, source: Option<&str>) -> std::result::Result<Option<Value>, ApiError> {
        self.door.folders(id, source).await
    }

    async fn journal(&self, id: &str, source: Option<&str>) -> std::result::Result<Option<Value>, ApiError> {
        self.door.journal(id, source).await
    }

    async fn explain(&self, id: &str, source: Option<&str>) -> std::result::Result<Option<Value>, ApiError> {
        self.door.explain(id, source).await
    }

    async fn requests(&self, query: &ListQuery) -> std::result::Result<Value, ApiError> {
        self.door.requests(query).await
    }

    async fn act(
        &self,
        id: &str,
        source: Option<&str>,
        action: Action,
    ) -> std::result::Result<Value, ApiError> {
        self.door.act(id, source, action).await
    }

    async fn log_level(&self, level: &str, lasts: Duration) -> std::result::Result<String, ApiError> {
        self.door.log_level(level, lasts).await
    }

    async fn facts(&self) -> Vec<String> {
        // The pace and the token are those of the instances, and queues are not asked with the rights on a table.
        let instances = self.door.facts().await.into_iter().next();
        std::iter::once(format!("table {}", self.table)).chain(instances).collect()
    }

    fn ready(&self) -> Ready {
        Ready { ready: true, not_ready: Vec::new() }
    }

    fn now(&self) -> jiff::Timestamp {
        self.door.now()
    }
}

/// A table that is served.
#[derive(Debug)]
pub struct Served<F> {
    /// Where.
    pub address: SocketAddr,
    /// What has to be shown there: others on this machine have other rights on the table.
    pub token: SecretString,
    /// Serves it.
    pub serving: F,
}

/// Serves the page and the routes of the requests in a table, on the loopback interface, until `off`.
pub async fn on_table(
    table: &str,
    listen: SocketAddr,
    off: CancellationToken,
) -> anyhow::Result<Served<impl Future<Output = io::Result<()>> + Send + 'static>> {
    let named = [("COPY_MANAGER__AWS__TABLE_NAME", table)];
    let variables = UNUSED.into_iter().chain(named);
    let settings = config::load(None, variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
        .map_err(|problems| Misconfigured(Box::new(problems)))?;
    let supervisor = Supervisor::new();
    let readiness = supervisor.readiness();
    let (ports, entrance, _) = adapters::build(&settings, readiness).await?;
    let token = SecretString::from(ports.chance.uuid().simple().to_string());
    let work =
        kinds::work(ports, settings.engine(), settings.share.clone(), Vec::new(), off.clone(), off.clone());
    let door = Door::new(
        work.engine,
        (work.folders, work.replicas),
        entrance,
        None,
        readiness.clone(),
        Arc::default(),
    );
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    anyhow::ensure!(
        address.ip().is_loopback(),
        "{address} is no loopback address, and nobody would be asked who they are"
    );
    let backend = Arc::new(TableDoor { door, table: table.to_owned() });
    let guard = Guard::new(address.ip(), &[]).with_token(Some(token.clone()));
    let admin = Admin { backend, metrics: Arc::new(String::new), guard };
    Ok(Served { address, token, serving: admin::serve(listener, admin, MOST_CONNECTIONS, off) })
}
