//! An audit finds what is planted, and nothing else.
use copy_manager::{
    domain::replica::{
        names::TableName,
        shape::{Kind, Part, Scalar, Shape},
    },
    ports::replica::Differences,
};

use crate::{
    catalogue::{Db, words},
    world::{Given, SECOND, column, key, on_each, open, part, value},
};

fn shape() -> Shape {
    Shape {
        columns: vec![
            key("id", Scalar::Bigint),
            key("k \"2\"", Scalar::Text),
            value("name", Scalar::Varchar(5)),
            value("n", Scalar::Double),
            value("data", Scalar::Jsonb),
            column("list", Part::Value, Kind::List(Scalar::Text), false),
            value("w", Scalar::Enum(words("t__w", &["a", "b"]))),
            value("at", Scalar::Date),
            value("held", Scalar::Integer),
            value("padded", Scalar::Char(4)),
            value("wide", Scalar::Smallint),
        ],
        comment: None,
    }
}

const TABLES: &str = r#"
    -- As it is found: wider, and without a column that is held.
    CREATE TABLE canvas.t (id bigint, "k ""2""" text, name text, n double precision, old text,
        data jsonb, list text[], w text, at timestamp, padded text, wide bigint, PRIMARY KEY (id, "k ""2"""));
    INSERT INTO copy_manager."canvas.t" SELECT n, 'k' || n % 3, 'n' || n, CASE WHEN n % 7 = 0 THEN 'NaN'
        ELSE n / 3.0 END,
        jsonb_build_object('a', n), ARRAY['x', NULL, n::text], CASE n % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b'
            END::canvas.t__w,
        date '2024-01-01' + n, n, 'p' || n % 9, n FROM generate_series(1, 1000) n;
    INSERT INTO canvas.t SELECT id, "k ""2""", name, n, 'kept', data, list, w, at, padded, wide FROM
        copy_manager."canvas.t""#;

/// A snapshot that is staged, and a table that is equal.
async fn equal(db: &Db) {
    db.run("CREATE SCHEMA canvas").await;
    let mut loader = open(&db.replica, &TableName::new("canvas", "t")).await;
    loader.stage("job", &shape()).await.unwrap();
    db.run(TABLES).await;
}

/// What differs, but for keys that have changed since.
async fn differences(db: &Db, since: &str) -> Differences {
    let mut loader = open(&db.replica, &TableName::new("canvas", "t")).await;
    let names = ["id", "k \"2\"", "name", "n", "data", "list", "w", "at", "held", "padded", "wide"];
    let mut since = Given(vec![part(0, &names, since)]);
    loader.compare("job", &shape(), &mut since).await.unwrap()
}

#[tokio::test]
async fn equal_tables_do_not_differ_whatever_their_types_are() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        equal(&db).await;
        assert_eq!(differences(&db, "").await, Differences::default());
    })
    .await;
}

#[tokio::test]
async fn what_is_planted_is_found_and_nothing_else() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        equal(&db).await;
        db.run(
            r#"
            DELETE FROM canvas.t WHERE id IN (3, 900);
            INSERT INTO canvas.t (id, "k ""2""") VALUES (3, 'other'), (5000, '"');
            UPDATE canvas.t SET name = NULL WHERE id = 5;
            UPDATE canvas.t SET n = 1, data = '{"a": 6.0}' WHERE id = 6;
            UPDATE canvas.t SET n = 0 WHERE id = 7;
            UPDATE canvas.t SET list = NULL, w = NULL, data = '{}' WHERE id = 9;
            -- What the changes explain.
            DELETE FROM canvas.t WHERE id = 20; UPDATE canvas.t SET n = -1 WHERE id = 21;
            INSERT INTO canvas.t (id, "k ""2""") VALUES (6000, 'new')"#,
        )
        .await;
        let rest = "\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N";
        let since = [("U", "20\tk2"), ("U", "21\tk0"), ("U", "6000\tnew"), ("D", "7000\tx")];
        let since = since.map(|(action, key)| format!("{SECOND}\t{action}\t{key}\t{rest}\n")).concat();
        let found = differences(&db, &since).await;
        assert_eq!((found.missing, found.extra, found.different), (2, 2, 4));
        let columns: Vec<(&str, u64)> =
            found.columns.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(columns, [("name", 1), ("n", 2), ("data", 1), ("list", 1), ("w", 1)]);
        let examples: Vec<String> = found
            .examples
            .iter()
            .map(|(what, key)| {
                format!(
                    "{what} \
            {key}"
                )
            })
            .collect();
        assert_eq!(
            examples,
            [
                r#"missing {"id":3,"k \"2\"":"k0"}"#,
                r#"extra {"id":3,"k \"2\"":"other"}"#,
                r#"different {"id":5,"k \"2\"":"k2"}"#,
                r#"different {"id":6,"k \"2\"":"k0"}"#,
                r#"different {"id":7,"k \"2\"":"k1"}"#,
                r#"different {"id":9,"k \"2\"":"k0"}"#,
                r#"missing {"id":900,"k \"2\"":"k0"}"#,
                r#"extra {"id":5000,"k \"2\"":"\""}"#,
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn a_hundred_keys_are_named_and_all_are_counted() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        equal(&db).await;
        db.run("UPDATE canvas.t SET wide = wide + 1").await;
        let found = differences(&db, "").await;
        assert_eq!((found.different, found.examples.len()), (1000, 100));
        assert_eq!(found.columns, [("wide".to_owned(), 1000)]);
        db.run("TRUNCATE canvas.t").await;
        let found = differences(&db, "").await;
        assert_eq!((found.missing, found.different, found.columns), (1000, 0, Vec::new()));
    })
    .await;
}
