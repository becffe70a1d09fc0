//! Snapshots: loaded beside the table, put in its place, merged into it.

use copy_manager::{
    domain::replica::{
        counts::Counts,
        names::TableName,
        shape::{Enumeration, Kind, Literal, Part as Side, Scalar, Shape},
    },
    ports::replica::{Replica as _, Trouble},
    postgres::{
        Postgres,
        settings::{Adopt, Reinit},
    },
};
use pretty_assertions::assert_eq;

use crate::world::{
    FIRST, SECOND, beside, column, init, key, meta, on_each, open, part, replica, settings, shape, table,
    value,
};

const COLUMNS: &[&str] = &["id", "name", "score"];

#[tokio::test]
async fn a_snapshot_becomes_the_table_with_its_row_of_table_sync() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        let look = loader.look().await.unwrap();
        assert_eq!((look.meta, look.found, look.staged), (None, None, None));
        loader.stage("job", &shape()).await.unwrap();
        let mut counts = Counts::default();
        // The second one has its columns in another order.
        counts += loader.load("job", &shape(), part(0, COLUMNS, "1\ta\t\\N\n2\tb\\tc\t5\n")).await.unwrap();
        counts += loader.load("job", &shape(), part(1, &["score", "id", "name"], "7\t3\td\n")).await.unwrap();
        assert!(database.rows("SELECT to_regclass('canvas.courses')").await == ["()"], "nobody sees a half");
        counts += loader.finish("job", &shape(), &meta(FIRST)).await.unwrap();
        assert_eq!((counts.inserted, counts.twice, counts.bytes), (3, 0, 22));
        assert_eq!(database.courses().await, ["(1,a,)", "(2,\"b\tc\",5)", "(3,d,7)"]);
        let key = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' \
             AND conrelid = 'canvas.courses'::regclass";
        assert_eq!(database.rows(key).await, ["(pk_courses,\"PRIMARY KEY (id)\")"]);
        let row = "SELECT id, source_namespace, source_table, timestamp, schema_version, target_schema, \
             target_table, schema_description_format, schema_description FROM instructure_dap.table_sync";
        let expected = "(1,canvas,courses,\"2024-03-05 00:00:00\",1,canvas,courses,json,\"{\"\"type\"\":\"\"object\"\"}\")";
        assert_eq!(database.rows(row).await, [expected]);
        assert_eq!(database.rows("SELECT job FROM copy_manager.parts").await, [""; 0]);
        let look = loader.look().await.unwrap();
        assert_eq!((look.meta, look.staged), (Some(meta(FIRST)), None));
        assert_eq!(look.found.unwrap().key, ["id"]);
    })
    .await;
}

#[tokio::test]
async fn a_load_that_broke_off_goes_on_with_the_parts_that_are_missing() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        loader.stage("job", &shape()).await.unwrap();
        loader.load("job", &shape(), part(0, COLUMNS, "1\ta\t1\n")).await.unwrap();
        drop(loader);

        let mut loader = open(&replica, &table()).await;
        assert_eq!(loader.look().await.unwrap().staged, Some(beside("job", &[0])));
        assert_eq!(loader.stage("job", &shape()).await.unwrap(), [0]);
        // Loaded again, it is there once.
        loader.load("job", &shape(), part(0, COLUMNS, "1\ta\t1\n")).await.unwrap();
        loader.load("job", &shape(), part(1, COLUMNS, "2\tb\t2\n")).await.unwrap();
        let counts = loader.finish("job", &shape(), &meta(FIRST)).await.unwrap();
        assert_eq!((counts.inserted, counts.twice), (2, 0));
        // So is the end.
        assert_eq!(loader.finish("job", &shape(), &meta(FIRST)).await.unwrap(), Counts::default());
        assert_eq!(database.courses().await, ["(1,a,1)", "(2,b,2)"]);
    })
    .await;
}

#[tokio::test]
async fn what_was_staged_for_another_job_or_shape_goes() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        loader.stage("old", &shape()).await.unwrap();
        loader.load("old", &shape(), part(0, COLUMNS, "1\ta\t1\n")).await.unwrap();
        assert!(loader.stage("new", &shape()).await.unwrap().is_empty());
        let refused = loader.load("old", &shape(), part(1, COLUMNS, "2\tb\t2\n")).await.unwrap_err();
        assert!(matches!(refused, Trouble::Refused(_)), "{refused}");
        loader.load("new", &shape(), part(0, COLUMNS, "5\te\t5\n")).await.unwrap();
        let wider =
            Shape { columns: [shape().columns, vec![value("more", Scalar::Date)]].concat(), comment: None };
        assert!(loader.stage("new", &wider).await.unwrap().is_empty());
        loader.unstage().await.unwrap();
        loader.unstage().await.unwrap();
        assert_eq!(loader.look().await.unwrap().staged, None);
        assert_eq!(database.rows("SELECT * FROM copy_manager.parts").await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn of_rows_that_come_twice_the_one_that_was_loaded_last_stays() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        let counts = init(&mut *loader, "job", "1\told\t1\n2\tb\t2\n1\tnew\t1\n1\tnewest\t1\n").await;
        assert_eq!((counts.inserted, counts.twice), (2, 2));
        assert_eq!(database.courses().await, ["(1,newest,1)", "(2,b,2)"]);
    })
    .await;
}

#[tokio::test]
async fn a_new_snapshot_is_merged_and_what_hangs_on_the_table_stays() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "one", "1\ta\t1\n2\tb\t2\n3\tc\t3\n4\td\t4\n").await;
        database.run("CREATE VIEW canvas.seen AS SELECT name FROM canvas.courses").await;
        database.run("CREATE INDEX mine ON canvas.courses (name)").await;
        let before = database.rows("SELECT xmin, id FROM canvas.courses WHERE id = 1").await;
        loader.stage("two", &shape()).await.unwrap();
        let lines = "1\ta\t1\n2\tB\t2\n5\te\t\\N\n5\tE\t\\N\n";
        loader.load("two", &shape(), part(0, COLUMNS, lines)).await.unwrap();
        let counts = loader.finish("two", &shape(), &meta(SECOND)).await.unwrap();
        let expected =
            Counts { inserted: 1, changed: 1, deleted: 2, unchanged: 1, twice: 1, ..Counts::default() };
        assert_eq!(counts, expected);
        assert_eq!(database.courses().await, ["(1,a,1)", "(2,B,2)", "(5,E,)"]);
        assert_eq!(
            database.rows("SELECT xmin, id FROM canvas.courses WHERE id = 1").await,
            before,
            "not touched"
        );
        assert_eq!(database.rows("SELECT name FROM canvas.seen ORDER BY 1").await, ["(B)", "(E)", "(a)"]);
        let look = loader.look().await.unwrap();
        assert_eq!((look.meta, look.staged), (Some(meta(SECOND)), None));
    })
    .await;
}

#[tokio::test]
async fn a_table_is_exchanged_where_that_is_set_and_its_views_see_the_new_one() {
    on_each(|database| async move {
        let mut settings = settings(&database.url);
        settings.reinit = Reinit::Swap;
        let replica = Postgres::new(settings).unwrap();
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "one", "1\ta\t1\n").await;
        database.run("CREATE VIEW canvas.seen AS SELECT name FROM canvas.courses").await;
        loader.stage("two", &shape()).await.unwrap();
        loader.load("two", &shape(), part(0, COLUMNS, "2\tb\t2\n")).await.unwrap();
        loader.finish("two", &shape(), &meta(SECOND)).await.unwrap();
        assert_eq!(database.rows("SELECT name FROM canvas.seen").await, ["(b)"]);
        assert_eq!(database.courses().await, ["(2,b,2)"]);
    })
    .await;
}

#[tokio::test]
async fn a_table_of_nobody_is_refused_unless_it_may_be_replaced() {
    on_each(|database| async move {
        database.run("CREATE SCHEMA canvas; CREATE TABLE canvas.courses (id bigint PRIMARY KEY)").await;
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        assert!(loader.look().await.unwrap().found.is_some());
        let refused = loader.stage("job", &shape()).await.unwrap_err();
        assert!(refused.to_string().contains("canvas.adopt"), "{refused}");
        let refused = loader.drop_table().await.unwrap_err();
        assert!(matches!(refused, Trouble::Refused(_)), "{refused}");
        drop(loader);

        let mut settings = settings(&database.url);
        settings.adopt = Adopt::Replace;
        let mut loader = open(&Postgres::new(settings).unwrap(), &table()).await;
        init(&mut *loader, "job", "1\ta\t1\n").await;
        assert_eq!(database.courses().await, ["(1,a,1)"]);
    })
    .await;
}

#[tokio::test]
async fn a_view_of_the_tables_name_is_left_alone() {
    on_each(|database| async move {
        database.run("CREATE SCHEMA canvas; CREATE VIEW canvas.courses AS SELECT 1 AS id").await;
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        assert!(loader.look().await.unwrap_err().to_string().contains("no table"));
    })
    .await;
}

#[tokio::test]
async fn names_comments_defaults_and_enumerations_are_as_the_shape_says() {
    on_each(|database| async move {
        let table = TableName::new("canvas", "Order \"of\" 'x'; --");
        let labels = ["b", "a's", "c\\"].map(str::to_owned).to_vec();
        let enumeration = Enumeration { name: "Order__state".to_owned(), labels: labels.clone() };
        let mut state = value("sta\"te", Scalar::Enum(enumeration.clone()));
        state.comment = Some("it's \\ so".to_owned());
        let mut with_default = value("number", Scalar::Numeric { precision: 5, scale: 2 });
        with_default.default = Some(Literal::Number("1.50".to_owned()));
        with_default.required = true;
        let states = column("states", Side::Value, Kind::List(Scalar::Enum(enumeration)), false);
        let columns =
            vec![key("a", Scalar::Bigint), key("select", Scalar::Uuid), state, states, with_default];
        let shape = Shape { columns, comment: Some("A 'table'".to_owned()) };
        let replica = replica(&database);
        let mut loader = open(&replica, &table).await;
        loader.stage("job", &shape).await.unwrap();
        let names = ["a", "select", "sta\"te", "states"];
        let lines = "1\t00000000-0000-4000-8000-000000000001\ta's\t{b,\"a's\"}\n";
        loader.load("job", &shape, part(0, &names, lines)).await.unwrap();
        loader.finish("job", &shape, &meta(FIRST)).await.unwrap();
        let found = loader.look().await.unwrap().found.unwrap();
        assert_eq!(found.key, ["a", "select"]);
        assert_eq!(found.comment.as_deref(), Some("A 'table'"));
        let [_, _, state, states, number] = &found.columns[..] else { panic!("{found:?}") };
        assert_eq!((state.kind.as_str(), states.kind.as_str()), ("Order__state", "Order__state[]"));
        assert_eq!((&state.labels, &states.labels), (&Some(labels.clone()), &Some(labels)));
        assert_eq!(state.comment.as_deref(), Some("it's \\ so"));
        assert_eq!((number.kind.as_str(), number.default.as_deref()), ("numeric(5,2)", Some("1.50")));
        assert!(number.required);
    })
    .await;
}

#[tokio::test]
async fn tables_of_63_bytes_and_of_one_name_in_two_namespaces_stay_apart() {
    on_each(|database| async move {
        let replica = replica(&database);
        let long = "t".repeat(62);
        let names = [
            TableName::new("canvas", format!("{long}1")),
            TableName::new("canvas", format!("{long}2")),
            TableName::new("canvas", "users"),
            TableName::new("catalog", "users"),
        ];
        let mut loaders = Vec::new();
        for name in &names {
            let mut loader = open(&replica, name).await;
            loader.stage(&name.to_string(), &shape()).await.unwrap();
            let line = format!("1\t{name}\t1\n");
            loader.load(&name.to_string(), &shape(), part(0, COLUMNS, &line)).await.unwrap();
            loaders.push(loader);
        }
        for (loader, name) in loaders.iter_mut().zip(&names) {
            loader.finish(&name.to_string(), &shape(), &meta(FIRST)).await.unwrap();
            let query = format!("SELECT name FROM {}.{}", name.namespace, name.table);
            assert_eq!(database.rows(&query).await, [format!("({name})")]);
        }
        let standing = replica.standing("canvas").await.unwrap();
        assert_eq!(standing.len(), 3);
        assert!(standing.iter().all(|one| one.rows == Some(1) && one.rejected == 0));
    })
    .await;
}

#[tokio::test]
async fn a_table_has_the_privileges_that_its_schema_gives_by_default_and_no_others() {
    on_each(|database| async move {
        let name = database.url.rsplit('/').next().unwrap().to_owned();
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        database
            .run(&format!(
                "CREATE ROLE {name}_reader; CREATE ROLE {name}_other; CREATE SCHEMA canvas; \
                 ALTER DEFAULT PRIVILEGES IN SCHEMA canvas GRANT SELECT ON TABLES TO {name}_reader; \
                 ALTER DEFAULT PRIVILEGES IN SCHEMA copy_manager GRANT ALL ON TABLES TO {name}_other"
            ))
            .await;
        let privileges = format!(
            "SELECT has_table_privilege('{name}_reader', 'canvas.courses', 'SELECT'), \
             has_table_privilege('{name}_reader', 'canvas.courses', 'DELETE'), \
             has_table_privilege('{name}_other', 'canvas.courses', 'SELECT')"
        );
        for job in ["first", "after a drop"] {
            init(&mut *loader, job, "1\ta\t1\n").await;
            assert_eq!(database.rows(&privileges).await, ["(t,f,f)"], "{job}");
            loader.drop_table().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn the_row_that_was_loaded_last_stays_although_a_part_that_broke_off_has_made_room() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        loader.stage("job", &shape()).await.unwrap();
        let options = "SELECT reloptions FROM pg_class WHERE oid = to_regclass($$%$$)";
        let staged = options.replace('%', "copy_manager.\"canvas.courses\"");
        assert_eq!(
            database.rows(&staged).await,
            ["({autovacuum_enabled=false})"],
            "no room is made meanwhile"
        );
        let many: Vec<_> = (100..2000).map(|id| format!("{id}\tx\t1\n")).collect();
        let broken = part(0, COLUMNS, &format!("{}1\tx\tno number\n", many.concat()));
        loader.load("job", &shape(), broken).await.unwrap_err();
        loader.load("job", &shape(), part(0, COLUMNS, "1\told\t1\n")).await.unwrap();
        // As somebody does by hand.
        database.run("VACUUM copy_manager.\"canvas.courses\"").await;
        loader.load("job", &shape(), part(1, COLUMNS, "1\tnew\t1\n")).await.unwrap();
        let first = "SELECT name FROM copy_manager.\"canvas.courses\" ORDER BY ctid LIMIT 1";
        assert_eq!(database.rows(first).await, ["(new)"], "it lies before the other one");
        let counts = loader.finish("job", &shape(), &meta(FIRST)).await.unwrap();
        assert_eq!((counts.inserted, counts.twice), (1, 1));
        assert_eq!(database.courses().await, ["(1,new,1)"]);
        assert_eq!(database.rows(&options.replace('%', "canvas.courses")).await, ["()"]);
    })
    .await;
}

/// All of them make the schemas and tables that they need, and each finds them made by another one.
#[tokio::test]
async fn tables_that_begin_at_the_same_time_in_an_empty_database_do_not_get_in_each_others_way() {
    on_each(|database| async move {
        let replica = replica(&database);
        let begun = (0..12).map(|number| {
            let replica = &replica;
            async move {
                let (job, table) =
                    (format!("job{number}"), TableName::new("canvas", format!("table{number}")));
                let mut loader = open(replica, &table).await;
                loader.look().await.unwrap();
                loader.stage(&job, &shape()).await.unwrap();
                loader.load(&job, &shape(), part(0, COLUMNS, "1\ta\t1\n")).await.unwrap();
                loader.finish(&job, &shape(), &meta(FIRST)).await.unwrap()
            }
        });
        let ended = futures_util::future::join_all(begun).await;
        assert_eq!(ended.iter().map(|counts| counts.inserted).sum::<u64>(), 12);
        assert_eq!(database.rows("SELECT count(*) FROM instructure_dap.table_sync").await, ["(12)"]);
    })
    .await;
}
