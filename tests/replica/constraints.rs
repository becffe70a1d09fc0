//! What constraints are called: what the official client's are.

use copy_manager::{
    domain::replica::{
        names::TableName,
        shape::{Column, Scalar, Shape},
    },
    postgres::{Postgres, settings::Reinit},
};
use pretty_assertions::assert_eq;

use crate::{
    postgres::Database,
    world::{FIRST, SECOND, key, meta, on_each, open, part, settings, value},
};

async fn named(database: &Database, table: &TableName) -> Vec<String> {
    let TableName { namespace, table } = table;
    let query = format!(
        "SELECT contype, conname FROM pg_constraint WHERE conrelid = '{namespace}.{table}'::regclass ORDER BY 1, 2"
    );
    database.rows(&query).await
}

#[tokio::test]
async fn constraints_have_the_names_that_the_server_gives_also_after_a_swap() {
    on_each(|database| async move {
        // As the official client makes a table: under its name. The second one's name meets one of the first's.
        let long = "l".repeat(58);
        let of_server = format!(
            "CREATE SCHEMA server; \
             CREATE TABLE server.a (id bigint NOT NULL, b_c text NOT NULL, CONSTRAINT pk_a PRIMARY KEY (id)); \
             CREATE TABLE server.a_b (id bigint NOT NULL, c text NOT NULL, CONSTRAINT pk_a_b PRIMARY KEY (id)); \
             CREATE TABLE server.{long} (id bigint NOT NULL, column_of_some_length text NOT NULL, \
             CONSTRAINT pk_{long} PRIMARY KEY (id))"
        );
        database.run(&of_server).await;
        let mut settings = settings(&database.url);
        settings.reinit = Reinit::Swap;
        let replica = Postgres::new(settings).unwrap();
        for (job, time) in [("one", FIRST), ("two", SECOND)] {
            for (name, column) in [("a", "b_c"), ("a_b", "c"), (&long, "column_of_some_length")] {
                let table = TableName::new("canvas", name);
                let of_table = format!("{job} of {name}");
                let other = Column { required: true, ..value(column, Scalar::Text) };
                let shape = Shape { columns: vec![key("id", Scalar::Bigint), other], comment: None };
                let mut loader = open(&replica, &table).await;
                loader.look().await.unwrap();
                loader.stage(&of_table, &shape).await.unwrap();
                loader.load(&of_table, &shape, part(0, &["id", column], "1\ta\n")).await.unwrap();
                loader.finish(&of_table, &shape, &meta(time)).await.unwrap();
                let server = named(&database, &TableName::new("server", name)).await;
                assert_eq!(named(&database, &table).await, server);
            }
        }
    })
    .await;
}
