//! Former versions of rows, and those that are gone.

use copy_manager::{
    domain::replica::{
        changes::{Changes, Step},
        names::TableName,
        shape::{Column, Enumeration, Kind, Scalar, Shape},
        treat::Tables,
    },
    ports::replica::{Findings, Loader, Trouble},
    postgres::{Postgres, settings::Reinit},
};
use pretty_assertions::assert_eq;

use crate::{
    postgres::Database,
    world::{
        FIRST, Given, SECOND, THIRD, changes, init, key, meta, on_each, open, part, part_with, rejected,
        settings, shape, table, value,
    },
};

const FOURTH: &str = "2024-03-08T00:00:00Z";
const COLUMNS: &[&str] = &["id", "name", "score"];
const START: &str = "1\ta\t1\n2\tb\t2\n3\tc\t3\n";

/// A replica that keeps former rows of the courses.
fn keeping(database: &Database) -> Postgres {
    let mut settings = settings(&database.url);
    settings.history = Tables::parse(&["courses"]).unwrap();
    Postgres::new(settings).unwrap()
}

async fn former(database: &Database) -> Vec<String> {
    let query = "SELECT id, name, score, _valid_from::date, _valid_to::date FROM canvas_history.courses \
        ORDER BY id, _valid_to";
    database.rows(query).await
}

async fn sync(loader: &mut dyn Loader, lines: &str, time: &str) {
    let lines: Vec<_> = lines.lines().map(|line| format!("{SECOND}\t{line}\n")).collect();
    loader.apply("sync", &shape(), &mut changes(&lines.concat()), &meta(time)).await.unwrap();
}

async fn again(loader: &mut dyn Loader, job: &str, lines: &str, time: &str) {
    loader.stage(job, &shape()).await.unwrap();
    loader.load(job, &shape(), part(0, COLUMNS, lines)).await.unwrap();
    loader.finish(job, &shape(), &meta(time)).await.unwrap();
}

#[tokio::test]
async fn former_versions_and_deletions_are_kept_with_the_times_between_which_they_held() {
    on_each(|database| async move {
        let replica = keeping(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        assert_eq!(
            database.rows("SELECT to_regclass('canvas_history.courses')").await,
            ["()"],
            "nothing has gone"
        );
        sync(&mut *loader, "U\t1\tA\t1\nU\t2\tb\t2\nU\t4\td\t4\nD\t99\t\\N\t\\N\n", SECOND).await;
        assert_eq!(former(&database).await, ["(1,a,1,2024-03-05,2024-03-06)"]);
        // The same once more, as after an answer that was lost.
        sync(&mut *loader, "U\t1\tA\t1\nU\t4\td\t4\n", SECOND).await;
        assert_eq!(former(&database).await.len(), 1);
        sync(&mut *loader, "U\t1\tAA\t1\nD\t3\t\\N\t\\N\nD\t4\t\\N\t\\N\n", THIRD).await;
        sync(&mut *loader, "U\t4\tback\t4\nU\t3\tback\t3\n", FOURTH).await;
        sync(&mut *loader, "D\t4\t\\N\t\\N\n", "2024-03-09T00:00:00Z").await;
        let expected = [
            "(1,a,1,2024-03-05,2024-03-06)",
            "(1,A,1,2024-03-06,2024-03-07)",
            "(3,c,3,2024-03-05,2024-03-07)",
            "(4,d,4,2024-03-06,2024-03-07)",
            "(4,back,4,2024-03-08,2024-03-09)",
        ];
        assert_eq!(former(&database).await, expected);
        let whole = "SELECT _valid_to FROM canvas_history.courses WHERE id = 3";
        assert_eq!(database.rows(whole).await, ["(\"2024-03-07 00:00:00.123456\")"]);
        assert_eq!(database.courses().await, ["(1,AA,1)", "(2,b,2)", "(3,back,3)"]);
    })
    .await;
}

#[tokio::test]
async fn rows_that_come_twice_or_in_parts_of_other_columns_end_once() {
    on_each(|database| async move {
        let replica = keeping(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        let twice = "2024-03-06T00:00:02Z\tU\t1\tlate\t1\n2024-03-06T00:00:01Z\tU\t1\tearly\t1\n\
            2024-03-06T00:00:01Z\tD\t2\t\\N\t\\N\n2024-03-06T00:00:02Z\tU\t2\tback\t2\n";
        let mut parts = Given(vec![
            part(0, COLUMNS, twice),
            part(1, &["id", "name"], &format!("{SECOND}\tU\t1\tlater\n{SECOND}\tD\t3\t\\N\n")),
        ]);
        loader.apply("sync", &shape(), &mut parts, &meta(SECOND)).await.unwrap();
        let expected = [
            "(1,a,1,2024-03-05,2024-03-06)",
            "(2,b,2,2024-03-05,2024-03-06)",
            "(3,c,3,2024-03-05,2024-03-06)",
        ];
        assert_eq!(former(&database).await, expected);
        assert_eq!(database.courses().await, ["(1,later,1)", "(2,back,2)"]);
    })
    .await;
}

#[tokio::test]
async fn a_new_snapshot_leaves_what_it_changes_and_lacks_in_the_history() {
    on_each(|database| async move {
        for reinit in [Reinit::Merge, Reinit::Swap] {
            let mut settings = settings(&database.url);
            settings.history = Tables::parse(&["canvas.courses"]).unwrap();
            settings.reinit = reinit;
            let replica = Postgres::new(settings).unwrap();
            let mut loader = open(&replica, &table()).await;
            init(&mut *loader, "job", START).await;
            again(&mut *loader, "two", "1\ta\t1\n2\tB\t2\n4\td\t4\n", SECOND).await;
            again(&mut *loader, "three", "1\ta\t1\n2\tB\t2\n4\tD\t4\n", THIRD).await;
            let expected = [
                "(2,b,2,2024-03-05,2024-03-06)",
                "(3,c,3,2024-03-05,2024-03-06)",
                "(4,d,4,2024-03-06,2024-03-07)",
            ];
            assert_eq!(former(&database).await, expected, "{reinit:?}");
            assert_eq!(database.courses().await, ["(1,a,1)", "(2,B,2)", "(4,D,4)"]);
            // An audit that heals brings the table to a snapshot that may be older than the last change of a row.
            again(&mut *loader, "healed", "1\ta\t1\n2\tB\t2\n4\tDD\t4\n", SECOND).await;
            let odd = "SELECT id FROM canvas_history.courses WHERE _valid_to <= _valid_from AND _valid_from <> _valid_to";
            assert_eq!(database.rows(odd).await, [""; 0]);
            loader.drop_table().await.unwrap();
            let kept = database.rows("SELECT id FROM canvas_history.courses").await.len();
            assert!(kept >= 3, "its history stays when the table is dropped");
            // Made again, its rows begin anew.
            init(&mut *loader, "again", START).await;
            assert_eq!(database.rows("SELECT id FROM canvas_history.courses").await.len(), kept);
            loader.drop_table().await.unwrap();
            database.run("DROP SCHEMA canvas_history CASCADE").await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_rolled_back_leaves_no_trace_in_the_history() {
    on_each(|database| async move {
        let replica = keeping(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        let lines = format!("{SECOND}\tU\t1\tA\t1\n{SECOND}\tU\t7\t\\N\t1\n");
        let bad = loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap_err();
        assert!(matches!(bad, Trouble::BadLine(_)), "{bad}");
        database.run("UPDATE instructure_dap.table_sync SET timestamp = '2024-03-05 12:00:00'").await;
        let lines = format!("{SECOND}\tU\t1\tA\t1\n");
        let moved = loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap_err();
        assert!(matches!(moved, Trouble::Moved), "{moved}");
        assert_eq!(former(&database).await, [""; 0]);
        let since = "SELECT key, since::date FROM copy_manager.since";
        assert_eq!(database.rows(since).await, ["({},2024-03-05)"]);
    })
    .await;
}

#[tokio::test]
async fn of_a_table_that_is_not_named_nothing_is_kept_and_what_held_before_has_no_beginning() {
    on_each(|database| async move {
        let without = Postgres::new(settings(&database.url)).unwrap();
        let mut loader = open(&without, &table()).await;
        init(&mut *loader, "job", START).await;
        sync(&mut *loader, "U\t1\tA\t1\n", SECOND).await;
        let schemas = "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%history'";
        assert_eq!(database.rows(schemas).await, [""; 0]);
        drop(loader);
        let mut loader = open(&keeping(&database), &table()).await;
        sync(&mut *loader, "U\t1\tAA\t1\n", THIRD).await;
        sync(&mut *loader, "U\t1\tAAA\t1\n", FOURTH).await;
        assert_eq!(former(&database).await, ["(1,A,1,,2024-03-07)", "(1,AA,1,2024-03-07,2024-03-08)"]);
        // Not seen for a while: what began meanwhile is not known.
        drop(loader);
        let mut loader = open(&without, &table()).await;
        sync(&mut *loader, "U\t1\tunseen\t1\n", "2024-03-09T00:00:00Z").await;
        drop(loader);
        let mut loader = open(&keeping(&database), &table()).await;
        sync(&mut *loader, "D\t1\t\\N\t\\N\n", "2024-03-10T00:00:00Z").await;
        assert_eq!(former(&database).await[2..], ["(1,unseen,1,,2024-03-10)"]);
    })
    .await;
}

#[tokio::test]
async fn the_history_follows_its_table_and_keeps_what_the_source_drops() {
    on_each(|database| async move {
        let replica = keeping(&database);
        let mut loader = open(&replica, &table()).await;
        let state =
            Enumeration { name: "courses__state".to_owned(), labels: vec!["a".to_owned(), "b".to_owned()] };
        let state = value("state", Scalar::Enum(state));
        let flag = value("flag", Scalar::Boolean);
        let name = Column { required: true, ..value("name", Scalar::Varchar(5)) };
        let shape = |columns: Vec<Column>| Shape { columns, comment: None };
        let one = shape(vec![key("id", Scalar::Integer), name, state.clone(), flag]);
        loader.stage("job", &one).await.unwrap();
        let columns = &["id", "name", "state", "flag"];
        loader.load("job", &one, part(0, columns, "1\tone\ta\tt\n2\ttwo\tb\tf\n")).await.unwrap();
        loader.finish("job", &one, &meta(FIRST)).await.unwrap();
        let mut parts = Given(vec![part(0, columns, &format!("{SECOND}\tU\t1\tone\tb\tt\n"))]);
        loader.apply("sync", &one, &mut parts, &meta(SECOND)).await.unwrap();
        database.run("CREATE VIEW public.past AS SELECT id, name FROM canvas_history.courses").await;
        // A wider key and text, another type, a column that goes and one that comes.
        let retype = |column: &str, from: &str, to: Scalar, widens| Step::Retype {
            column: column.to_owned(),
            from: from.to_owned(),
            to: Kind::One(to),
            widens,
        };
        let steps = vec![
            Step::Drop { column: "state".to_owned() },
            retype("id", "integer", Scalar::Bigint, true),
            retype("name", "character varying(5)", Scalar::Varchar(20), true),
            retype("flag", "boolean", Scalar::Integer, false),
            Step::Add(Column { required: true, default: None, ..value("more", Scalar::Jsonb) }),
        ];
        let steps = steps.into_iter().map(|step| match step {
            Step::Add(column) => Step::Add(Column { required: false, ..column }),
            step => step,
        });
        loader.evolve(&Changes { steps: steps.collect(), notes: Vec::new() }, "tried").await.unwrap();
        let name = Column { required: true, ..value("name", Scalar::Varchar(20)) };
        let flag = value("flag", Scalar::Integer);
        let two = shape(vec![key("id", Scalar::Bigint), name, flag, value("more", Scalar::Jsonb)]);
        let columns = &["id", "name", "flag", "more"];
        let first =
            format!("{SECOND}\tU\t3000000000\tthe third of them\t7\t{{}}\n{SECOND}\tU\t2\tzwei\t0\t[]\n");
        let mut parts = Given(vec![part(0, columns, &first)]);
        loader.apply("sync", &two, &mut parts, &meta(THIRD)).await.unwrap();
        let second = format!("{THIRD}\tD\t3000000000\t\\N\t\\N\t\\N\n{THIRD}\tU\t1\teins\t1\t[]\n");
        let mut parts = Given(vec![part(0, columns, &second)]);
        loader.apply("sync", &two, &mut parts, &meta(FOURTH)).await.unwrap();
        let query = "SELECT id, name, state, flag, more, _valid_from::date, _valid_to::date \
            FROM canvas_history.courses ORDER BY _valid_to, id";
        let expected = [
            "(1,one,a,true,,2024-03-05,2024-03-06)",
            "(2,two,,0,,2024-03-05,2024-03-07)",
            "(1,one,,1,,2024-03-06,2024-03-08)",
            "(3000000000,\"the third of them\",,7,{},2024-03-07,2024-03-08)",
        ];
        assert_eq!(database.rows(query).await, expected);
        let definition = "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute \
            WHERE attrelid = 'canvas_history.courses'::regclass AND attnum > 0 ORDER BY attnum";
        let expected = [
            "(id,bigint,t)",
            "(name,\"character varying(20)\",f)",
            "(state,text,f)",
            "(flag,text,f)",
            "(_valid_from,\"timestamp without time zone\",f)",
            "(_valid_to,\"timestamp without time zone\",t)",
            "(more,jsonb,f)",
        ];
        assert_eq!(database.rows(definition).await, expected);
        assert_eq!(database.rows("SELECT * FROM public.past").await.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_table_of_others_in_the_place_of_a_history_is_left_alone() {
    on_each(|database| async move {
        let replica = keeping(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        database.run("CREATE SCHEMA canvas_history; CREATE TABLE canvas_history.courses (id bigint)").await;
        let lines = format!("{SECOND}\tU\t1\tA\t1\n");
        let refused = loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap_err();
        assert!(refused.to_string().contains("canvas_history.courses"), "{refused}");
        assert_eq!(database.courses().await[0], "(1,a,1)");
    })
    .await;
}

fn logs() -> TableName {
    TableName::new("canvas_logs", "web_logs")
}

async fn load_logs(loader: &mut dyn Loader, job: &str, lines: &str, time: &str) {
    loader.stage(job, &shape()).await.unwrap();
    loader.load(job, &shape(), part(0, COLUMNS, lines)).await.unwrap();
    loader.finish(job, &shape(), &meta(time)).await.unwrap();
}

const PARTITIONS: &str = "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i \
    JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r' ORDER BY 1";

#[tokio::test]
async fn logs_that_the_source_forgets_are_kept_by_month_until_they_are_old_enough() {
    on_each(|database| async move {
        let replica = Postgres::new(settings(&database.url)).unwrap();
        let mut loader = open(&replica, &logs()).await;
        load_logs(&mut *loader, "one", START, "2024-01-31T23:00:00Z").await;
        // Two are forgotten by a new snapshot, one is taken back.
        load_logs(&mut *loader, "two", "3\tc\t3\n4\td\t4\n", "2024-02-29T23:59:59.999999Z").await;
        let lines = format!("{SECOND}\tD\t3\t\\N\t\\N\n{SECOND}\tU\t5\te\t5\n");
        loader.apply("sync", &shape(), &mut changes(&lines), &meta("2024-03-06T00:00:00Z")).await.unwrap();
        let live = "SELECT id FROM canvas_logs.web_logs ORDER BY id";
        assert_eq!(database.rows(live).await, ["(4)", "(5)"]);
        let past = "SELECT id, name, _valid_to::date, tableoid::regclass FROM canvas_logs_history.web_logs ORDER BY id";
        let expected = [
            "(1,a,2024-02-29,canvas_logs_history.web_logs_y2024m02)",
            "(2,b,2024-02-29,canvas_logs_history.web_logs_y2024m02)",
            "(3,c,2024-03-06,canvas_logs_history.web_logs_y2024m03)",
        ];
        assert_eq!(database.rows(past).await, expected);
        assert_eq!(database.rows("SELECT key FROM copy_manager.since").await, [""; 0]);
        // 400 days after the end of February: not a day before.
        for (time, left) in [("2025-04-04T23:00:00Z", 3), ("2025-04-05T00:00:00Z", 1)] {
            loader.apply("sync", &shape(), &mut changes(""), &meta(time)).await.unwrap();
            assert_eq!(database.rows(past).await.len(), left, "{time}");
        }
        let expected = [
            "(web_logs_y2024m03,\"FOR VALUES FROM ('2024-03-01 00:00:00') TO ('2024-04-01 00:00:00')\")",
            "(web_logs_y2025m04,\"FOR VALUES FROM ('2025-04-01 00:00:00') TO ('2025-05-01 00:00:00')\")",
        ];
        assert_eq!(database.rows(PARTITIONS).await, expected);
        let dropped = "SELECT statement, reason FROM copy_manager.changes WHERE namespace = 'canvas_logs_history'";
        let expected = "(\"DROP TABLE \"\"canvas_logs_history\"\".\"\"web_logs_y2024m02\"\"\",\
            \"the partition is older than is kept\")";
        assert_eq!(database.rows(dropped).await, [expected]);
    })
    .await;
}

#[tokio::test]
async fn a_partition_that_somebody_holds_keeps_no_load_back_and_goes_with_a_later_one() {
    on_each(|database| async move {
        let replica = Postgres::new(settings(&database.url)).unwrap();
        let mut loader = open(&replica, &logs()).await;
        load_logs(&mut *loader, "one", START, "2024-01-31T23:00:00Z").await;
        load_logs(&mut *loader, "two", "3\tc\t3\n", "2024-02-29T00:00:00Z").await;
        database
            .run("CREATE VIEW public.february AS SELECT * FROM canvas_logs_history.web_logs_y2024m02")
            .await;
        loader.apply("sync", &shape(), &mut changes(""), &meta("2025-06-01T00:00:00Z")).await.unwrap();
        assert_eq!(database.rows("SELECT id FROM public.february").await.len(), 2);
        database.run("DROP VIEW public.february").await;
        loader.apply("sync", &shape(), &mut changes(""), &meta("2025-06-02T00:00:00Z")).await.unwrap();
        assert_eq!(database.rows(PARTITIONS).await.len(), 1, "that of June");
    })
    .await;
}

#[tokio::test]
async fn logs_of_no_retention_are_as_the_source_has_them() {
    on_each(|database| async move {
        let mut settings = settings(&database.url);
        settings.retention = std::time::Duration::ZERO;
        let replica = Postgres::new(settings).unwrap();
        let mut loader = open(&replica, &logs()).await;
        load_logs(&mut *loader, "one", START, FIRST).await;
        load_logs(&mut *loader, "two", "3\tc\t3\n", SECOND).await;
        assert_eq!(database.rows("SELECT id FROM canvas_logs.web_logs").await, ["(3)"]);
        assert_eq!(database.rows("SELECT to_regclass('canvas_logs_history.web_logs')").await, ["()"]);
    })
    .await;
}

#[tokio::test]
async fn a_role_that_may_make_no_schemas_is_told_which_one_a_history_needs() {
    on_each(|database| async move {
        let name = format!("keeper_{}", database.url.rsplit('/').next().unwrap());
        let schema = |name: &str, schema: &str| format!("CREATE SCHEMA {schema} AUTHORIZATION {name}; ");
        let mut made = format!("CREATE ROLE {name} LOGIN; ");
        for own in ["canvas", "copy_manager", "instructure_dap"] {
            made += &schema(&name, own);
        }
        database.run(&made).await;
        let mut settings = settings(&database.url.replace("postgres@", &format!("{name}@")));
        settings.history = Tables::parse(&["courses"]).unwrap();
        let replica = Postgres::new(settings).unwrap();
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        let lines = format!("{SECOND}\tU\t1\tA\t1\n");
        let refused = loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap_err();
        assert!(matches!(&refused, Trouble::Refused(why) if why.contains("canvas_history")), "{refused}");
        database.run(&schema(&name, "canvas_history")).await;
        loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap();
        assert_eq!(former(&database).await, ["(1,a,1,2024-03-05,2024-03-06)"]);
        // The guard of treated columns needs no more.
        loader.treat(Some("name=hash".to_owned()));
        again(&mut *loader, "two", "1\tabc\t1\n", THIRD).await;
        assert_eq!(loader.look().await.unwrap().mark.as_deref(), Some("name=hash"));
    })
    .await;
}

#[tokio::test]
async fn a_row_that_stays_since_its_new_version_was_put_aside_has_not_ended() {
    on_each(|database| async move {
        let replica = keeping(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", START).await;
        loader.stage("two", &shape()).await.unwrap();
        let aside = Findings { rejected: vec![rejected("{\"id\":3}", "3\tc\t9e9")], ..Findings::default() };
        let lines = part_with(0, COLUMNS, "1\ta\t1\n", aside);
        loader.load("two", &shape(), lines).await.unwrap();
        loader.finish("two", &shape(), &meta(SECOND)).await.unwrap();
        assert_eq!(database.courses().await, ["(1,a,1)", "(3,c,3)"]);
        assert_eq!(former(&database).await, ["(2,b,2,2024-03-05,2024-03-06)"]);
    })
    .await;
}
