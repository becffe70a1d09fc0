//! A session with the database.

use std::{ops::Deref, time::Duration};

use tokio::sync::oneshot;
use tokio_postgres::{Client, SimpleQueryMessage, Transaction, TransactionBuilder};

use super::{address::Address, failure, quote, tls};
use crate::{
    domain::replica::names::TableName,
    ports::{
        error::{Class, Error},
        replica::{Result, Trouble},
    },
};

/// How long a connection may take where the address does not say.
const CONNECT: Duration = Duration::from_secs(15);
/// A server that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_mins(1);
/// How long a session that is given back may take to say good-bye.
const GOOD_BYE: Duration = Duration::from_secs(1);

/// How values are read and written, and that nobody else's functions are called: nothing of the role's or the
/// database's own settings may change what a statement means.
const SETTINGS: &str = "SET search_path = pg_catalog; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; \
    SET IntervalStyle = 'postgres'; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; \
    SET client_min_messages = warning; SET statement_timeout = 0; SET idle_in_transaction_session_timeout \
    = 0; \
    SET row_security = off; SET default_transaction_isolation = 'read committed'; \
    SET default_transaction_read_only = off; SET bytea_output = 'hex'; SET xmloption = 'content'; \
    SET array_nulls = on; SET extra_float_digits = 1; SET quote_all_identifiers = off";
/// What not every server, system or pooler knows or lets be set. A session whose client has vanished gives its locks
/// back soon, also in a COPY, where it waits for the client and nothing else looks for it; nothing ends a long
/// transaction, or a session that waits for its next part.
const WHERE_POSSIBLE: &[&str] = &[
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = '60s'",
    // A statement of a client that is gone ends (from PostgreSQL 14 on, and not on every system).
    "SET client_connection_check_interval = '10s'",
    // From 14, and from 17 on.
    "SET idle_session_timeout = 0",
    "SET transaction_timeout = 0",
];

/// By which the guard of treated tables knows our sessions.
const OURS: &str = "SET copy_manager.loads = 'on'";

/// A connection. Given back when dropped: what was not committed has not happened.
pub(super) struct Session {
    client: Client,
    /// Dropped with the session, which ends the task that drives the connection.
    _end: oneshot::Sender<()>,
}

impl Session {
    /// Connects.
    pub(super) async fn connect(address: &Address, lock_timeout: Duration) -> Result<Self> {
        let unready = |message: String| Trouble::Port(Error::new(Class::Invalid, "connect", message));
        let mut config = address.config.clone();
        if config.get_application_name().is_none() {
            config.application_name("copy-manager");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        let connector = tls::connector(address).await.map_err(unready)?;
        let connected = tokio::time::timeout(SILENCE, config.connect(connector)).await;
        let Ok(connected) = connected else {
            return Err(Error::new(Class::Transient, "connect", "the database does not answer").into());
        };
        let (client, connection) = connected.map_err(failure::of("connect"))?;
        let (end, ended) = oneshot::channel::<()>();
        #[expect(clippy::disallowed_methods, reason = "it ends with the session whose connection it drives")]
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                // What ends it is told to whoever waits for an answer.
                _ended = &mut connection => {}
                _given_back = ended => {
                    let _ended = tokio::time::timeout(GOOD_BYE, connection).await;
                }
            }
        });
        let session = Self { client, _end: end };
        session.client.batch_execute(SETTINGS).await.map_err(failure::of("SET"))?;
        session.client.batch_execute(OURS).await.map_err(failure::of("SET"))?;
        let wait = format!("SET lock_timeout = {}", lock_timeout.as_millis());
        session.client.batch_execute(&wait).await.map_err(failure::of("SET"))?;
        // Sent at once. What is refused is left as it is.
        let all = WHERE_POSSIBLE.iter().map(|one| session.client.batch_execute(one));
        drop(futures_util::future::join_all(all).await);
        Ok(session)
    }

    /// Refuses a database that a replica cannot be kept in.
    pub(super) async fn refuse_unfit(&self) -> Result<()> {
        let (encoding, first) = self.about().await?;
        let (_, second) = self.about().await?;
        if first != second {
            return Err(Trouble::Refused(failure::POOLED.to_owned()));
        }
        if encoding == "UTF8" {
            return Ok(());
        }
        Err(Trouble::Refused(format!(
            "the database keeps texts as {encoding}, which cannot hold all that the source has: a replica needs one \
             that is made by CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )))
    }

    /// The encoding of the database, and the server's process that answers. In one message, which any pooler passes on.
    async fn about(&self) -> Result<(String, String)> {
        let asked = "SELECT current_setting('server_encoding'), pg_backend_pid()";
        let rows = self.client.simple_query(asked).await.map_err(failure::of("look at the database"))?;
        let row = rows.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let text = |place| row.and_then(|row| row.get(place)).unwrap_or_default().to_owned();
        Ok((text(0), text(1)))
    }

    /// Takes the lock of a table for as long as the session lives; `false`: another session has it.
    pub(super) async fn lock(&self, table: &TableName) -> Result<bool> {
        let key = quote::number(&format!("copy-manager\n{}\n{}", table.namespace, table.table));
        let row = self.client.query_one("SELECT pg_try_advisory_lock($1)", &[&key]).await;
        row.and_then(|row| row.try_get(0)).map_err(failure::of("pg_try_advisory_lock"))
    }

    /// For a transaction that is not as the others.
    pub(super) fn build(&mut self) -> TransactionBuilder<'_> {
        self.client.build_transaction()
    }

    /// Begins a transaction; it is rolled back when dropped.
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_>> {
        self.client.transaction().await.map_err(failure::of("BEGIN"))
    }
}

/// From here to the end of the transaction, what others have hung on the table (triggers, checks, expressions of
/// indexes) finds names as it does for others; deferred triggers run at the end. Our own names are whole ones. Policies
/// that would keep rows of the table from us stay an error.
pub(super) async fn as_others(tx: &Transaction<'_>, live: &str) -> Result<()> {
    let settings = "SELECT set_config('search_path', path.reset_val, true), \
        CASE WHEN NOT row_security_active($1) THEN set_config('row_security', policies.reset_val, true) END \
        FROM pg_settings AS path, pg_settings AS policies \
        WHERE path.name = 'search_path' AND policies.name = 'row_security'";
    tx.query(settings, &[&live]).await.map(|_| ()).map_err(failure::of("SET"))
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
