//! What a session is made of: settings of the role or the database, the server's own timeouts, poolers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use copy_manager::{
    domain::replica::shape::{Column, Kind, Scalar, Shape},
    ports::{
        error::Class,
        replica::{Replica as _, Trouble},
    },
    postgres::{Postgres, Settings, settings::Whereabouts},
};
use futures_util::{StreamExt as _, stream};
use pretty_assertions::assert_eq;
use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    catalogue::{evolve, one, retype},
    postgres::{Database, connect},
    world::{
        FIRST, Given, SECOND, init, key, meta, on_each, open, part, replica, settings, shape, table, value,
    },
};

impl Database {
    fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap()
    }

    async fn version(&self) -> i32 {
        let row = self.client.query_one("SELECT current_setting('server_version_num')::int", &[]).await;
        row.unwrap().get(0)
    }
}

#[tokio::test]
async fn no_setting_of_the_role_or_the_database_changes_what_is_stored() {
    on_each(|database| async move {
        for setting in [
            "array_nulls = off",
            "extra_float_digits = -10",
            "quote_all_identifiers = on",
            "datestyle = 'SQL, DMY'",
            "default_transaction_read_only = on",
        ] {
            database.run(&format!("ALTER DATABASE {} SET {setting}", database.name())).await;
        }
        let replica = replica(&database);
        let list = Column { kind: Kind::List(Scalar::Text), ..value("list", Scalar::Text) };
        let columns = vec![key("id", Scalar::Bigint), value("n", Scalar::Double), list];
        let shape = Shape { columns, comment: None };
        let mut loader = open(&replica, &table()).await;
        loader.stage("job", &shape).await.unwrap();
        let lines = "1\t0.12345678901234567\t{a,NULL}\n";
        loader.load("job", &shape, part(0, &["id", "n", "list"], lines)).await.unwrap();
        loader.finish("job", &shape, &meta(FIRST)).await.unwrap();
        let found = loader.look().await.unwrap().found.unwrap();
        let kinds: Vec<_> = found.columns.iter().map(|column| column.kind.as_str()).collect();
        assert_eq!(kinds, ["bigint", "double precision", "text[]"]);
        drop(loader);
        evolve(&replica, vec![retype("n", one(Scalar::Text))]).await.unwrap();
        let rows = "SELECT n, list[2] IS NULL FROM canvas.courses";
        assert_eq!(database.rows(rows).await, ["(0.12345678901234566,t)"]);
    })
    .await;
}

#[tokio::test]
async fn no_timeout_of_the_role_ends_a_session_that_waits_for_lines() {
    on_each(|database| async move {
        let version = database.version().await;
        let all = [
            (0, "statement_timeout"),
            (0, "idle_in_transaction_session_timeout"),
            (140_000, "idle_session_timeout"),
            (170_000, "transaction_timeout"),
        ];
        for (_, setting) in all.iter().filter(|(since, _)| *since <= version) {
            database.run(&format!("ALTER DATABASE {} SET {setting} = '200ms'", database.name())).await;
        }
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", "1\ta\t1\n").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut slow = part(0, &["id", "name", "score"], "");
        let line = format!("{SECOND}\tU\t1\tz\t1\n");
        slow.lines = Box::pin(stream::iter([Ok(Bytes::from(line))]).then(|line| async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            line
        }));
        loader.apply("sync", &shape(), &mut Given(vec![slow]), &meta(SECOND)).await.unwrap();
        assert_eq!(database.courses().await, ["(1,z,1)"]);
    })
    .await;
}

/// Of the server's end of a connection, how many seconds there are until it asks whether the client is there.
#[cfg(target_os = "linux")]
fn asks_within(server: u16, client: u16) -> Option<u64> {
    let all = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = (format!(":{server:04X}"), format!(":{client:04X}"));
    let line = all.lines().find(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.get(1).is_some_and(|end| end.ends_with(&ends.0))
            && fields.get(2).is_some_and(|end| end.ends_with(&ends.1))
    })?;
    let (kind, when) = line.split_whitespace().nth(5)?.split_once(':')?;
    (kind == "02").then(|| u64::from_str_radix(when, 16).unwrap() / 100)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_server_soon_asks_whether_a_client_that_says_nothing_is_there() {
    on_each(|database| async move {
        let _loader = open(&replica(&database), &table()).await;
        let asked = "SELECT client_port FROM pg_stat_activity \
            WHERE application_name = 'copy-manager' AND datname = current_database()";
        let client: i32 = database.client.query_one(asked, &[]).await.unwrap().get(0);
        let client = u16::try_from(client).unwrap();
        let mut asks = None;
        for _ in 0..50 {
            // While something is on its way, another clock runs.
            asks = asks_within(database.port, client);
            if asks.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(asks.is_some_and(|seconds| seconds <= 30), "{asks:?}");
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_the_server_ends_for_its_time_is_a_passing_trouble() {
    on_each(|database| async move {
        if database.version().await < 170_000 {
            return;
        }
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", "1\ta\t1\n").await;
        // As an administrator's configuration that the session cannot see would.
        database.run("CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS \
            $$BEGIN PERFORM set_config('transaction_timeout', '100ms', true); PERFORM pg_sleep(3); RETURN NEW; END$$; \
            CREATE TRIGGER slow BEFORE UPDATE ON canvas.courses FOR EACH ROW EXECUTE FUNCTION public.slow()").await;
        let line = format!("{SECOND}\tU\t1\tz\t1\n");
        let mut parts = Given(vec![part(0, &["id", "name", "score"], &line)]);
        let trouble = loader.apply("sync", &shape(), &mut parts, &meta(SECOND)).await.unwrap_err();
        assert!(matches!(&trouble, Trouble::Port(error) if error.class == Class::Transient), "{trouble:?}");
    })
    .await;
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused_and_it_is_said_what_to_do() {
    on_each(|database| async move {
        let name = format!("{}_latin", database.name());
        let made = format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
        database.run(&made).await;
        let url = format!("{}_latin", database.url);
        let refused = Postgres::new(settings(&url)).unwrap().open(&table()).await.err().unwrap();
        let is_said = |why: &String| why.contains("LATIN1") && why.contains("ENCODING 'UTF8'");
        assert!(matches!(&refused, Trouble::Refused(why) if is_said(why)), "{refused:?}");
        let other = connect(&url).await.unwrap();
        let schemas = "SELECT FROM pg_namespace WHERE nspname = 'instructure_dap'";
        assert!(other.query(schemas, &[]).await.unwrap().is_empty(), "nothing is made there");
    })
    .await;
}

async fn message(from: &mut TcpStream, has_kind: bool) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = if has_kind { from.read_u8().await? } else { 0 };
    let length = from.read_u32().await?;
    let mut whole = if has_kind { vec![kind] } else { Vec::new() };
    whole.extend(length.to_be_bytes());
    let mut rest = vec![0; usize::try_from(length).unwrap() - 4];
    from.read_exact(&mut rest).await?;
    whole.extend(rest);
    Ok((kind, whole))
}

/// Passes on what the server says until it is ready; whether it is idle then.
async fn answer(server: &mut TcpStream, client: Option<&mut TcpStream>) -> std::io::Result<bool> {
    let mut all = Vec::new();
    loop {
        let (kind, whole) = message(server, true).await?;
        all.extend(&whole);
        if kind == b'Z' {
            if let Some(client) = client {
                client.write_all(&all).await?;
            }
            return Ok(whole.last() == Some(&b'I'));
        }
    }
}

/// A client of a pooler that gives each transaction the next of two sessions.
async fn pooled(mut client: TcpStream, server: u16) -> std::io::Result<()> {
    let mut begin = message(&mut client, false).await?.1;
    if begin.len() == 8 {
        // It asks for encryption.
        client.write_all(b"N").await?;
        begin = message(&mut client, false).await?.1;
    }
    let (mut this, mut next) =
        (TcpStream::connect(("127.0.0.1", server)).await?, TcpStream::connect(("127.0.0.1", server)).await?);
    this.write_all(&begin).await?;
    next.write_all(&begin).await?;
    answer(&mut this, Some(&mut client)).await?;
    answer(&mut next, None).await?;
    loop {
        let (kind, whole) = message(&mut client, true).await?;
        this.write_all(&whole).await?;
        if matches!(kind, b'Q' | b'S') && answer(&mut this, Some(&mut client)).await? {
            std::mem::swap(&mut this, &mut next);
        }
    }
}

#[tokio::test]
async fn a_pooler_that_gives_each_transaction_another_session_is_refused() {
    on_each(|database| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = database.url.replace(
            &format!(":{}/", database.port),
            &format!(":{}/", listener.local_addr().unwrap().port()),
        );
        let pooler = async {
            let (client, _) = listener.accept().await.unwrap();
            drop(pooled(client, database.port).await);
            std::future::pending::<()>().await;
        };
        let replica = Postgres::new(settings(&url)).unwrap();
        let courses = table();
        let refused = tokio::select! {
            opened = replica.open(&courses) => opened.err().unwrap(),
            () = pooler => unreachable!(),
        };
        assert!(matches!(&refused, Trouble::Refused(why) if why.contains("session mode")), "{refused:?}");
    })
    .await;
}

/// Says where the database is by now, and how often it was asked.
#[derive(Debug)]
struct Moved {
    to: String,
    asked: AtomicUsize,
}

#[async_trait]
impl Whereabouts for Moved {
    async fn address(&self) -> copy_manager::ports::Result<SecretString> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(SecretString::from(self.to.as_str()))
    }
}

#[tokio::test]
async fn an_address_whose_login_is_refused_is_asked_for_again_and_then_held() {
    on_each(|database| async move {
        database.run("DROP ROLE IF EXISTS retired; CREATE ROLE retired NOLOGIN").await;
        let before = database.url.replace("postgres@", "retired@");
        let moved = Arc::new(Moved { to: database.url.clone(), asked: AtomicUsize::new(0) });
        let kept = |url: &str| {
            let whereabouts = Some(Arc::clone(&moved) as Arc<dyn Whereabouts>);
            Postgres::new(Settings { whereabouts, ..settings(url) }).unwrap()
        };
        let asked = || moved.asked.load(Ordering::Relaxed);
        kept(&database.url).standing("canvas").await.unwrap();
        assert_eq!(asked(), 0, "nobody asks while all is well");
        let replica = kept(&before);
        for _ in 0..3 {
            replica.standing("canvas").await.unwrap();
        }
        assert_eq!(asked(), 1);
        // Where the address is not kept elsewhere, the refusal is told.
        let told = Postgres::new(settings(&before)).unwrap().standing("canvas").await.unwrap_err();
        assert!(told.to_string().contains("refuses the login"), "{told}");
        database.run("DROP ROLE retired").await;
    })
    .await;
}
