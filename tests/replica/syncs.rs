//! Changes: one transaction from the first line to the row of `table_sync`.

use std::time::Duration;

use copy_manager::{
    domain::replica::{
        counts::Counts,
        names::TableName,
        shape::{Scalar, Shape},
    },
    ports::replica::{Replica as _, Trouble},
    postgres::{Postgres, settings::Reinit},
};
use pretty_assertions::assert_eq;

use crate::{
    postgres::connect,
    world::{
        FIRST, Given, SECOND, THIRD, changes, init, key, meta, on_each, open, part, replica, settings, shape,
        table, value,
    },
};

const START: &str = "1\ta\t1\n2\tb\t2\n3\tc\t3\n";

#[tokio::test]
async fn changes_and_deletions_come_in_and_counts_are_of_what_really_happened() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        let mut parts = Given(vec![
            part(0, &["id", "name", "score"], &format!("{SECOND}\tU\t1\ta\t1\n{SECOND}\tU\t2\tB\t\\N\n")),
            part(1, &["name", "id", "score"], &format!("{SECOND}\tU\td\t4\t4\n{SECOND}\tD\t\\N\t3\t\\N\n")),
            part(2, &["id", "name", "score"], &format!("{SECOND}\tD\t99\t\\N\t\\N\n")),
        ]);
        let counts = loader.apply("sync", &shape(), &mut parts, &meta(THIRD)).await.unwrap();
        let bytes = counts.bytes;
        let expected =
            Counts { inserted: 1, changed: 1, deleted: 1, unchanged: 1, bytes, ..Counts::default() };
        assert_eq!(counts, expected);
        assert!(bytes > 100);
        assert_eq!(database.courses().await, ["(1,a,1)", "(2,B,)", "(4,d,4)"]);
        assert_eq!(loader.look().await.unwrap().meta, Some(meta(THIRD)));
        // The same once more, as after an answer that was lost.
        let mut again = changes(&format!("{SECOND}\tU\t4\td\t4\n"));
        let counts = loader.apply("sync", &shape(), &mut again, &meta(THIRD)).await.unwrap();
        assert_eq!((counts.unchanged, counts.changed), (1, 0));
        // Nothing at all: only the time goes on.
        let none =
            loader.apply("sync", &shape(), &mut Given(Vec::new()), &meta("2024-03-08T00:00:00Z")).await;
        assert_eq!(none.unwrap(), Counts::default());
        let time = database.rows("SELECT timestamp FROM instructure_dap.table_sync").await;
        assert_eq!(time, ["(\"2024-03-08 00:00:00\")"]);
    })
    .await;
}

#[tokio::test]
async fn of_changes_of_one_row_the_latest_holds() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        let lines = "2024-03-06T00:00:00.5Z\tU\t1\tlate\t1\n2024-03-06T00:00:00Z\tU\t1\tearly\t1\n\
                     2024-03-06T00:00:01Z\tD\t2\t\\N\t\\N\n2024-03-06T00:00:00Z\tU\t2\tgone\t1\n\
                     2024-03-06T00:00:00Z\tD\t3\t\\N\t\\N\n2024-03-06T00:00:01Z\tU\t3\tback\t1\n";
        let counts = loader.apply("sync", &shape(), &mut changes(lines), &meta(SECOND)).await.unwrap();
        assert_eq!((counts.changed, counts.deleted, counts.inserted, counts.twice), (2, 1, 0, 3));
        assert_eq!(database.courses().await, ["(1,late,1)", "(3,back,1)"]);
        // Without a deletion among them, too.
        let lines = "2024-03-06T00:00:02Z\tU\t1\tlate\t2\n2024-03-06T00:00:01Z\tU\t1\tearly\t3\n";
        let counts = loader.apply("sync", &shape(), &mut changes(lines), &meta(SECOND)).await.unwrap();
        assert_eq!((counts.changed, counts.twice), (1, 1));
        assert_eq!(database.courses().await[0], "(1,late,2)");
    })
    .await;
}

#[tokio::test]
async fn a_column_that_does_not_come_keeps_what_it_has() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        let mut parts = Given(vec![
            part(0, &["id", "name"], &format!("{SECOND}\tU\t1\tA\n{SECOND}\tU\t7\tg\n")),
            part(1, &["id", "name", "score"], &format!("{SECOND}\tU\t2\tb\t9\n")),
        ]);
        loader.apply("sync", &shape(), &mut parts, &meta(SECOND)).await.unwrap();
        assert_eq!(database.courses().await, ["(1,A,1)", "(2,b,9)", "(3,c,3)", "(7,g,)"]);
        let unknown = Given(vec![part(0, &["id", "other"], &format!("{SECOND}\tU\t1\tA\n"))]);
        let refused = loader.apply("sync", &shape(), &mut { unknown }, &meta(THIRD)).await.unwrap_err();
        assert!(refused.to_string().contains("other"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn keys_of_several_columns_and_tables_of_keys_alone_are_synced() {
    on_each(|database| async move {
        let replica = replica(&database);
        let table = TableName::new("canvas", "pairs");
        let shape = Shape { columns: vec![key("a", Scalar::Bigint), key("b", Scalar::Text)], comment: None };
        let mut loader = open(&replica, &table).await;
        loader.stage("job", &shape).await.unwrap();
        loader.load("job", &shape, part(0, &["a", "b"], "1\tx\n1\ty\n2\tx\n")).await.unwrap();
        loader.finish("job", &shape, &meta(FIRST)).await.unwrap();
        let lines = format!("{SECOND}\tU\t1\tx\n{SECOND}\tU\t3\tx\n{SECOND}\tD\t1\ty\n{SECOND}\tD\t3\ty\n");
        let mut parts = Given(vec![part(0, &["a", "b"], &lines)]);
        let counts = loader.apply("sync", &shape, &mut parts, &meta(SECOND)).await.unwrap();
        assert_eq!((counts.inserted, counts.unchanged, counts.deleted), (1, 1, 1));
        let rows = || database.rows("SELECT a, b FROM canvas.pairs ORDER BY 1, 2");
        assert_eq!(rows().await, ["(1,x)", "(2,x)", "(3,x)"]);
        loader.stage("next", &shape).await.unwrap();
        loader.load("next", &shape, part(0, &["a", "b"], "3\tx\n4\tx\n")).await.unwrap();
        let counts = loader.finish("next", &shape, &meta(THIRD)).await.unwrap();
        assert_eq!((counts.inserted, counts.unchanged, counts.deleted), (1, 1, 2));
        assert_eq!(rows().await, ["(3,x)", "(4,x)"]);
    })
    .await;
}

#[tokio::test]
async fn a_json_that_is_equal_but_not_the_same_is_changed() {
    on_each(|database| async move {
        let replica = replica(&database);
        let table = TableName::new("canvas", "things");
        let shape =
            Shape { columns: vec![key("id", Scalar::Bigint), value("it", Scalar::Jsonb)], comment: None };
        let mut loader = open(&replica, &table).await;
        loader.stage("job", &shape).await.unwrap();
        loader.load("job", &shape, part(0, &["id", "it"], "1\t{\"a\":1}\n2\t{\"a\":1}\n")).await.unwrap();
        loader.finish("job", &shape, &meta(FIRST)).await.unwrap();
        let lines = format!("{SECOND}\tU\t1\t{{\"a\":1.0}}\n{SECOND}\tU\t2\t{{ \"a\": 1 }}\n");
        let mut parts = Given(vec![part(0, &["id", "it"], &lines)]);
        let counts = loader.apply("sync", &shape, &mut parts, &meta(SECOND)).await.unwrap();
        assert_eq!((counts.changed, counts.unchanged), (1, 1));
        assert_eq!(database.rows("SELECT it->>'a' FROM canvas.things ORDER BY id").await, ["(1.0)", "(1)"]);
    })
    .await;
}

#[tokio::test]
async fn what_another_program_has_written_meanwhile_is_not_overwritten() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        database.run("UPDATE instructure_dap.table_sync SET timestamp = '2024-03-05 12:00:00'").await;
        let lines = format!("{SECOND}\tU\t1\tmine\t1\n");
        let moved = loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap_err();
        assert!(matches!(moved, Trouble::Moved), "{moved}");
        assert!(matches!(loader.drop_table().await.unwrap_err(), Trouble::Moved));
        assert_eq!(database.courses().await[0], "(1,a,1)");
        // Having looked again, it goes on.
        loader.look().await.unwrap();
        loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap();
        assert_eq!(database.courses().await[0], "(1,mine,1)");
    })
    .await;
}

#[tokio::test]
async fn a_table_has_one_loader_at_a_time() {
    on_each(|database| async move {
        let (one, other) = (replica(&database), replica(&database));
        let courses = table();
        let (first, second) = tokio::join!(one.open(&courses), other.open(&courses));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert!(first.is_some() != second.is_some(), "one of them");
        let elsewhere = TableName::new("canvas", "users");
        assert!(other.open(&elsewhere).await.unwrap().is_some(), "of another table, another one");
        drop((first, second));
        open(&other, &table()).await;
    })
    .await;
}

#[tokio::test]
async fn readers_see_the_table_before_or_after_and_are_not_blocked() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        let lines = |before: &str, name: &str| {
            let all: Vec<_> = (0..3000).map(|id| format!("{before}{id}\t{name}\t1\n")).collect();
            all.concat()
        };
        init(&mut *loader, "job", &lines("", "a")).await;
        let reader = connect(&database.url).await.unwrap();
        let (stop, mut stopped) = tokio::sync::watch::channel(false);
        let watch = async {
            let mut looks = 0;
            while !*stopped.borrow_and_update() {
                let query = "SELECT count(*), count(DISTINCT name) FROM canvas.courses";
                let read = tokio::time::timeout(Duration::from_secs(5), reader.query_one(query, &[])).await;
                let row = read.expect("a reader was blocked").unwrap();
                assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (3000, 1));
                looks += 1;
            }
            looks
        };
        let write = async {
            for name in ["b", "c", "d", "e"] {
                let changed = lines(&format!("{SECOND}\tU\t"), name);
                loader.apply(name, &shape(), &mut changes(&changed), &meta(SECOND)).await.unwrap();
            }
            for name in ["f", "g"] {
                loader.stage(name, &shape()).await.unwrap();
                loader
                    .load(name, &shape(), part(0, &["id", "name", "score"], &lines("", name)))
                    .await
                    .unwrap();
                loader.finish(name, &shape(), &meta(THIRD)).await.unwrap();
            }
            stop.send(true).unwrap();
        };
        let (looks, ()) = tokio::join!(watch, write);
        assert!(looks > 20, "{looks}");
    })
    .await;
}

#[tokio::test]
async fn a_row_that_another_session_holds_is_waited_for_no_longer_than_is_set() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        let other = connect(&format!("{}?application_name=reports", database.url)).await.unwrap();
        other.batch_execute("BEGIN; UPDATE canvas.courses SET score = 0 WHERE id = 1").await.unwrap();
        let lines = format!("{SECOND}\tU\t1\tmine\t1\n");
        let held = loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap_err();
        let Trouble::InTheWay(sessions) = &held else { panic!("{held}") };
        assert_eq!((sessions[0].application.as_str(), sessions[0].user.as_str()), ("reports", "postgres"));
        assert!(held.to_string().contains("reports"), "{held}");
        other.batch_execute("ROLLBACK").await.unwrap();
        loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_somebody_has_given_the_table_is_named() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        database
            .run(
                "CREATE UNIQUE INDEX once ON canvas.courses (name); CREATE TABLE mine (course bigint \
                 CONSTRAINT mine_course REFERENCES canvas.courses); INSERT INTO mine VALUES (3)",
            )
            .await;
        for (lines, rule) in [
            (format!("{SECOND}\tU\t9\ta\t1\n"), "once"),
            (format!("{SECOND}\tD\t3\t\\N\t\\N\n"), "mine_course"),
        ] {
            let refused =
                loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap_err();
            assert!(matches!(&refused, Trouble::Refused(why) if why.contains(rule)), "{refused:?}");
        }
        loader.stage("next", &shape()).await.unwrap();
        loader.load("next", &shape(), part(0, &["id", "name"], "1\ta\n")).await.unwrap();
        let refused = loader.finish("next", &shape(), &meta(THIRD)).await.unwrap_err();
        assert!(refused.to_string().contains("mine_course"), "{refused:?}");
        assert_eq!(database.courses().await, ["(1,a,1)", "(2,b,2)", "(3,c,3)"]);
    })
    .await;
}

#[tokio::test]
async fn what_others_hang_on_the_table_finds_its_names_as_for_others() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        database
            .run(
                "CREATE TABLE public.seen (what text, id bigint); CREATE FUNCTION public.noted(bigint) RETURNS boolean \
                 LANGUAGE sql AS 'SELECT $1 < 100'; CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS \
                 $$BEGIN INSERT INTO seen SELECT tg_op, coalesce(new.id, old.id) WHERE noted(1); RETURN new; END$$; \
                 CREATE FUNCTION public.checked(text) RETURNS boolean LANGUAGE plpgsql AS \
                 $$BEGIN RETURN (SELECT count(*) < 1000 FROM seen); END$$; \
                 CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON canvas.courses FOR EACH ROW \
                 EXECUTE FUNCTION public.note(); CREATE CONSTRAINT TRIGGER later AFTER INSERT ON canvas.courses \
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.note(); \
                 ALTER TABLE canvas.courses ADD CHECK (public.checked(name)); \
                 ALTER TABLE public.seen ENABLE ROW LEVEL SECURITY",
            )
            .await;
        let lines = format!("{SECOND}\tU\t1\tA\t1\n{SECOND}\tU\t4\td\t1\n{SECOND}\tD\t2\t\\N\t\\N\n");
        loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap();
        let seen = "SELECT what, id FROM public.seen ORDER BY id, what";
        assert_eq!(database.rows(seen).await, ["(UPDATE,1)", "(DELETE,2)", "(INSERT,4)", "(INSERT,4)"]);
        database.run("TRUNCATE public.seen").await;
        loader.stage("next", &shape()).await.unwrap();
        loader.load("next", &shape(), part(0, &["id", "name"], "1\tA\n3\tnew\n5\te\n")).await.unwrap();
        loader.finish("next", &shape(), &meta(THIRD)).await.unwrap();
        let expected = ["(UPDATE,1)", "(UPDATE,3)", "(DELETE,4)", "(INSERT,5)", "(INSERT,5)"];
        assert_eq!(database.rows(seen).await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_table_that_somebody_has_partitioned_is_synced_and_merged_and_counted() {
    on_each(|database| async move {
        let mut loader = open(&replica(&database), &table()).await;
        init(&mut *loader, "job", START).await;
        database
            .run(
                "ALTER TABLE canvas.courses RENAME TO plain; ALTER INDEX canvas.pk_courses RENAME TO pk_plain; \
                 CREATE TABLE canvas.courses (LIKE canvas.plain INCLUDING DEFAULTS, CONSTRAINT pk_courses \
                 PRIMARY KEY (id)) PARTITION BY HASH (id); CREATE TABLE canvas.courses_0 PARTITION OF canvas.courses \
                 FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE canvas.courses_1 PARTITION OF \
                 canvas.courses FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO canvas.courses \
                 SELECT * FROM canvas.plain",
            )
            .await;
        let line = |action: &str, rest: &str| format!("{SECOND}\t{action}\t{rest}\n");
        let lines = [line("U", "1\ta\t1"), line("U", "2\tB\t2"), line("U", "4\td\t4"), line("D", "3\t\\N\t\\N")];
        let counts = loader.apply("sync", &shape(), &mut changes(&lines.concat()), &meta(SECOND)).await.unwrap();
        assert_eq!((counts.inserted, counts.changed, counts.unchanged, counts.deleted), (1, 1, 1, 1));
        loader.stage("next", &shape()).await.unwrap();
        let lines = "1\ta\t1\n2\tb\t2\n7\tg\t7\n8\th\t8\n";
        loader.load("next", &shape(), part(0, &["id", "name", "score"], lines)).await.unwrap();
        let counts = loader.finish("next", &shape(), &meta(THIRD)).await.unwrap();
        assert_eq!((counts.inserted, counts.changed, counts.unchanged, counts.deleted), (2, 1, 1, 1));
        assert_eq!(database.courses().await, ["(1,a,1)", "(2,b,2)", "(7,g,7)", "(8,h,8)"]);
        drop(loader);
        // It is not made a plain one without a word.
        let mut swap = settings(&database.url);
        swap.reinit = Reinit::Swap;
        let mut loader = open(&Postgres::new(swap).unwrap(), &table()).await;
        loader.stage("swap", &shape()).await.unwrap();
        loader.load("swap", &shape(), part(0, &["id", "name"], "1\ta\n")).await.unwrap();
        let refused = loader.finish("swap", &shape(), &meta(THIRD)).await.unwrap_err();
        assert!(matches!(&refused, Trouble::Refused(why) if why.contains("partitioned")), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn a_table_with_too_many_columns_is_refused_in_a_sentence() {
    on_each(|database| async move {
        let replica = replica(&database);
        let wide = |number: usize| {
            let more = (1..number).map(|number| value(&format!("c{number}"), Scalar::Boolean));
            Shape { columns: [key("id", Scalar::Bigint)].into_iter().chain(more).collect(), comment: None }
        };
        let mut loader = open(&replica, &table()).await;
        let refused = loader.stage("job", &wide(1599)).await.unwrap_err();
        assert!(matches!(&refused, Trouble::Refused(why) if why.contains("1598")), "{refused:?}");
        loader.stage("job", &wide(1598)).await.unwrap();
        loader.load("job", &wide(1598), part(0, &["id", "c1"], "1\tt\n")).await.unwrap();
        loader.finish("job", &wide(1598), &meta(FIRST)).await.unwrap();
        let line = |value: &str| vec![part(0, &["id", "c1"], &format!("{SECOND}\tU\t1\t{value}\n"))];
        loader.apply("sync", &wide(1598), &mut Given(line("f")), &meta(SECOND)).await.unwrap();
        // As another client may have made it.
        database.run("ALTER TABLE canvas.courses ADD x1 boolean, ADD x2 boolean").await;
        let names: Vec<_> =
            wide(1598).columns.into_iter().map(|column| column.name).chain(["x1".to_owned()]).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let values = vec!["t"; 1598].join("\t");
        let whole = part(0, &names, &format!("{SECOND}\tU\t1\t{values}\n"));
        let refused =
            loader.apply("sync", &wide(1598), &mut Given(vec![whole]), &meta(THIRD)).await.unwrap_err();
        assert!(matches!(&refused, Trouble::Refused(why) if why.contains("1598")), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn who_holds_the_row_of_table_sync_is_named_too() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        // Others that write there are not in the way.
        let others = connect(&format!("{}?application_name=another", database.url)).await.unwrap();
        let insert = "BEGIN; INSERT INTO instructure_dap.table_sync (source_namespace, source_table, timestamp, \
            schema_version, target_table, schema_description_format, schema_description) \
            VALUES ('canvas', 'users', now(), 1, 'x', 'json', '{}')";
        others.batch_execute(insert).await.unwrap();
        let dap = connect(&format!("{}?application_name=dap", database.url)).await.unwrap();
        for held in [
            "UPDATE instructure_dap.table_sync SET schema_version = 1 WHERE source_table = 'courses'",
            "LOCK TABLE instructure_dap.table_sync IN EXCLUSIVE MODE",
            "LOCK TABLE instructure_dap.table_sync IN ACCESS EXCLUSIVE MODE",
        ] {
            if held.starts_with("LOCK") {
                others.batch_execute("ROLLBACK").await.unwrap();
            }
            dap.batch_execute(&format!("BEGIN; {held}")).await.unwrap();
            let lines = format!("{SECOND}\tU\t1\tmine\t1\n");
            let refused = loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap_err();
            let Trouble::InTheWay(sessions) = &refused else { panic!("{held}: {refused:?}") };
            let names: Vec<_> = sessions.iter().map(|session| session.application.as_str()).collect();
            assert_eq!(names, ["dap"], "{held}");
            dap.batch_execute("ROLLBACK").await.unwrap();
        }
    })
    .await;
}
