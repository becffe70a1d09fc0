//! The official client's tables: made as it makes them, taken over, or left alone.

use copy_manager::{
    ports::{
        error::Class,
        replica::{Replica as _, Trouble},
    },
    postgres::Postgres,
};
use pretty_assertions::assert_eq;

use crate::world::{FIRST, SECOND, changes, init, meta, on_each, open, replica, settings, shape, table};

const COLUMNS: &str = "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
    a.attidentity \
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
    WHERE c.relnamespace = 'instructure_dap'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 \
    ORDER BY c.relname, a.attnum";

#[tokio::test]
async fn the_meta_tables_are_those_of_the_official_client() {
    on_each(|database| async move {
        let replica = replica(&database);
        assert!(replica.standing("canvas").await.unwrap().is_empty());
        open(&replica, &table()).await;
        let expected = [
            "(database_version,version,bigint,t,d)",
            "(table_sync,id,bigint,t,d)",
            "(table_sync,source_namespace,\"character varying(64)\",t,\"\")",
            "(table_sync,source_table,\"character varying(64)\",t,\"\")",
            "(table_sync,timestamp,\"timestamp without time zone\",t,\"\")",
            "(table_sync,schema_version,bigint,t,\"\")",
            "(table_sync,target_schema,\"character varying(64)\",f,\"\")",
            "(table_sync,target_table,\"character varying(64)\",t,\"\")",
            "(table_sync,schema_description_format,\"character varying(64)\",t,\"\")",
            "(table_sync,schema_description,text,t,\"\")",
        ];
        assert_eq!(database.rows(COLUMNS).await, expected);
        let keys = "SELECT conname FROM pg_constraint WHERE connamespace = 'instructure_dap'::regnamespace \
            AND contype = 'p' ORDER BY 1";
        assert_eq!(database.rows(keys).await, ["(pk_database_version)", "(pk_table_sync)"]);
        let versions = database.rows("SELECT version FROM instructure_dap.database_version").await;
        assert_eq!(versions, ["(1)"]);
    })
    .await;
}

#[tokio::test]
async fn many_that_begin_at_once_in_an_empty_database_all_begin() {
    on_each(|database| async move {
        let replica = replica(&database);
        let tables: Vec<_> = (0..8)
            .map(|number| {
                copy_manager::domain::replica::names::TableName::new("canvas", format!("t{number}"))
            })
            .collect();
        let opened = futures_util::future::join_all(tables.iter().map(|table| replica.open(table))).await;
        assert!(opened.into_iter().all(|loader| loader.unwrap().is_some()));
    })
    .await;
}

#[tokio::test]
async fn what_a_client_0_x_has_left_is_taken_over_once() {
    on_each(|database| async move {
        database
            .run(
                "CREATE SCHEMA canvas; CREATE TABLE canvas.dap_meta (id bigint, namespace varchar(64), \
                 source_table varchar(64), timestamp timestamp, schema_version bigint, target_schema \
                 varchar(64), \
                 target_table varchar(64), schema_description_format varchar(64), schema_description text); \
                 INSERT INTO canvas.dap_meta VALUES (1, 'canvas', 'courses', '2024-03-05 00:00:00.25', 3, \
                 'canvas', \
                 'courses', 'json', '{\"a\":1}'); \
                 CREATE TABLE canvas.courses (id bigint PRIMARY KEY, name text NOT NULL, score integer)",
            )
            .await;
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        let look = loader.look().await.unwrap();
        let row = look.meta.unwrap();
        assert_eq!((row.timestamp.to_string().as_str(), row.schema_version), ("2024-03-05T00:00:00.25Z", 3));
        assert_eq!(row.schema["a"], 1);
        let lines = format!("{SECOND}\tU\t1\ta\t1\n");
        loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap();
        drop(loader);
        assert_eq!(open(&replica, &table()).await.look().await.unwrap().meta, Some(meta(SECOND)));
        assert_eq!(database.rows("SELECT id FROM canvas.dap_meta_backup").await, ["(1)"]);
    })
    .await;
}

#[tokio::test]
async fn tables_of_a_newer_client_are_left_alone() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", "1\ta\t1\n").await;
        drop(loader);
        database.run("UPDATE instructure_dap.database_version SET version = 2").await;
        let refused = replica.open(&table()).await.err().unwrap();
        assert!(matches!(&refused, Trouble::Refused(why) if why.contains("version 2")), "{refused}");
        assert!(replica.standing("canvas").await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_role_that_owns_its_schemas_needs_no_right_to_make_more() {
    on_each(|database| async move {
        let name = format!("loader_{}", database.url.rsplit('/').next().unwrap());
        database
            .run(&format!(
                "CREATE ROLE {name} LOGIN; CREATE SCHEMA canvas AUTHORIZATION {name}; \
                 CREATE SCHEMA copy_manager AUTHORIZATION {name}; \
                 CREATE SCHEMA instructure_dap AUTHORIZATION {name}"
            ))
            .await;
        let url = database.url.replace("postgres@", &format!("{name}@"));
        let replica = Postgres::new(settings(&url)).unwrap();
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", "1\ta\t1\n").await;
        assert_eq!(loader.look().await.unwrap().meta, Some(meta(FIRST)));
        // In a schema that is another's it says so.
        let elsewhere = copy_manager::domain::replica::names::TableName::new("catalog", "courses");
        let mut loader = open(&replica, &elsewhere).await;
        let refused = loader.stage("job", &shape()).await.unwrap_err();
        assert!(matches!(&refused, Trouble::Port(error) if error.class == Class::Forbidden), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_there_and_a_database_that_is_not_there_are_told_apart() {
    on_each(|database| async move {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for (url, class, code) in [
            (format!("postgresql://u:hunter2@127.0.0.1:{nobody}/x"), Class::Transient, None),
            (
                format!("postgresql://u:hunter2@127.0.0.1:{}/postgres", database.port),
                Class::Forbidden,
                Some("28000"),
            ),
            (database.url.clone() + "_not", Class::NotFound, Some("3D000")),
        ] {
            let trouble = Postgres::new(settings(&url)).unwrap().open(&table()).await.err().unwrap();
            let Trouble::Port(error) = &trouble else { panic!("{trouble}") };
            assert_eq!((error.class, error.code.as_deref()), (class, code), "{error:?}");
            assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
        }
        let shown = format!("{:?}", Postgres::new(settings("postgresql://u:hunter2@h/x")).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn a_session_that_the_server_ends_is_a_passing_trouble() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", "1\ta\t1\n").await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = \
            'copy-manager' \
            AND datname = current_database()";
        database.rows(end).await;
        let trouble = loader.look().await.unwrap_err();
        assert!(matches!(&trouble, Trouble::Port(error) if error.is_passing()), "{trouble:?}");
        let mut loader = open(&replica, &table()).await;
        assert_eq!(loader.look().await.unwrap().meta, Some(meta(FIRST)));
    })
    .await;
}
