//! Tables that are dropped, and made again.

use copy_manager::{
    domain::replica::shape::{Enumeration, Scalar, Shape},
    ports::replica::{Loader, Look, Replica as _, Trouble},
};
use pretty_assertions::assert_eq;

use crate::{
    postgres::connect,
    world::{FIRST, init, key, meta, on_each, open, part, replica, table, value},
};

fn with_state(labels: &[&str]) -> Shape {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    let state = Enumeration { name: "courses__state".to_owned(), labels };
    Shape { columns: vec![key("id", Scalar::Bigint), value("state", Scalar::Enum(state))], comment: None }
}

async fn load(loader: &mut dyn Loader, job: &str, shape: &Shape, lines: &str) {
    loader.stage(job, shape).await.unwrap();
    loader.load(job, shape, part(0, &["id", "state"], lines)).await.unwrap();
    loader.finish(job, shape, &meta(FIRST)).await.unwrap();
}

const TYPES: &str = "SELECT t.typname, array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_type t \
    JOIN pg_enum e ON e.enumtypid = t.oid GROUP BY 1 ORDER BY 1";

#[tokio::test]
async fn a_table_that_is_dropped_leaves_nothing_and_is_made_again() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        loader.drop_table().await.unwrap();
        load(&mut *loader, "one", &with_state(&["open", "closed"]), "1\tclosed\n").await;
        loader.stage("half", &with_state(&["open", "closed"])).await.unwrap();
        loader.drop_table().await.unwrap();
        loader.drop_table().await.unwrap();
        assert_eq!(loader.look().await.unwrap(), Look::default());
        assert_eq!(database.rows(TYPES).await, [""; 0]);
        assert_eq!(database.rows("SELECT id FROM instructure_dap.table_sync").await, [""; 0]);
        assert_eq!(database.rows("SELECT statement FROM copy_manager.changes").await.len(), 1);
        load(&mut *loader, "two", &with_state(&["shut"]), "1\tshut\n").await;
        assert_eq!(database.rows(TYPES).await, ["(courses__state,{shut})"]);
    })
    .await;
}

#[tokio::test]
async fn an_enumeration_that_another_client_has_left_goes_or_is_made_anew() {
    on_each(|database| async move {
        let replica = replica(&database);
        database
            .run(
                "CREATE SCHEMA canvas; CREATE TYPE canvas.courses__state AS ENUM ('old', 'open'); \
                 CREATE TYPE canvas.courses__other AS ENUM ('x'); \
                 CREATE TYPE canvas.courses__used AS ENUM ('x'); CREATE TABLE keep (it \
                 canvas.courses__used[]); \
                 CREATE TYPE canvas.courses__sections__state AS ENUM ('x')",
            )
            .await;
        let mut loader = open(&replica, &table()).await;
        load(&mut *loader, "one", &with_state(&["open", "new"]), "1\tnew\n").await;
        assert!(database.rows(TYPES).await.contains(&"(courses__state,\"{open,new}\")".to_owned()));
        let sections = "INSERT INTO instructure_dap.table_sync (source_namespace, source_table, timestamp, \
            schema_version, target_table, schema_description_format, schema_description) \
            VALUES ('canvas', 'courses__sections', now(), 1, 'x', 'json', '{}')";
        database.run(sections).await;
        loader.drop_table().await.unwrap();
        // That of another table, and what another one needs, stay.
        assert_eq!(database.rows(TYPES).await, ["(courses__sections__state,{x})", "(courses__used,{x})"]);
    })
    .await;
}

#[tokio::test]
async fn an_enumeration_that_something_else_needs_keeps_its_labels_and_gets_new_ones() {
    on_each(|database| async move {
        let replica = replica(&database);
        database
            .run(
                "CREATE SCHEMA canvas; CREATE TYPE canvas.courses__state AS ENUM ('old', 'open'); \
                 CREATE FUNCTION canvas.f(canvas.courses__state) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            )
            .await;
        let mut loader = open(&replica, &table()).await;
        load(&mut *loader, "one", &with_state(&["open", "new"]), "1\tnew\n2\topen\n").await;
        assert_eq!(database.rows(TYPES).await, ["(courses__state,\"{old,open,new}\")"]);
        loader.drop_table().await.unwrap();
        assert_eq!(database.rows(TYPES).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_depends_on_a_table_that_is_to_be_dropped_is_named() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", "1\ta\t1\n").await;
        database.run("CREATE VIEW public.seen AS SELECT id FROM canvas.courses").await;
        let trouble = loader.drop_table().await.unwrap_err();
        let Trouble::Dependents(named) = &trouble else { panic!("{trouble}") };
        assert!(named[0].contains("seen"), "{named:?}");
        assert_eq!(database.courses().await, ["(1,a,1)"]);
        assert_eq!(replica.standing("canvas").await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_drop_waits_for_readers_again_and_names_them_when_it_gives_up() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", "1\ta\t1\n").await;
        let reader = connect(&format!("{}?application_name=reports", database.url)).await.unwrap();
        reader.batch_execute("BEGIN; SELECT * FROM canvas.courses").await.unwrap();
        let trouble = loader.drop_table().await.unwrap_err();
        let Trouble::InTheWay(sessions) = &trouble else { panic!("{trouble}") };
        assert_eq!(sessions[0].application, "reports");
        assert!(sessions[0].since.starts_with("20"), "{trouble}");
        // One that ends meanwhile is waited for.
        let (dropped, ()) = tokio::join!(loader.drop_table(), async {
            tokio::time::sleep(std::time::Duration::from_millis(320)).await;
            reader.batch_execute("COMMIT").await.unwrap();
        });
        dropped.unwrap();
    })
    .await;
}
