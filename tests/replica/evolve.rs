//! How a table's definition follows its schema.
use copy_manager::{
    domain::replica::{
        changes::Step,
        shape::{Kind, Literal, Part, Scalar},
    },
    ports::replica::Trouble,
};

use crate::{
    catalogue::{Db, gone, one, retype, words},
    world::{column, on_each, value},
};

fn word(name: &str, labels: &[&str]) -> Scalar {
    Scalar::Enum(words(name, labels))
}

const TABLE: &str = "
    CREATE SCHEMA canvas;
    CREATE TYPE canvas.courses__state AS ENUM ('a', 'b');
    CREATE TABLE canvas.courses (
        id integer NOT NULL CONSTRAINT pk_courses PRIMARY KEY,
        name character varying(10),
        state canvas.courses__state DEFAULT 'a',
        states canvas.courses__state[],
        credits integer NOT NULL DEFAULT 5,
        note text DEFAULT 'it''s',
        data jsonb
    );
    INSERT INTO canvas.courses VALUES
        (1, 'one', 'a', '{a,b}', 3, '{\"k\": 1}', '\"text\"'),
        (2, NULL, 'b', NULL, 4, 'no JSON', '[1, 2]'),
        (3, 'three', NULL, '{}', 5, NULL, 'null')";

const COLUMNS: &str = "
    SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN 'NOT NULL' END, pg_get_expr(d.adbin, d.adrelid),
        col_description(a.attrelid, a.attnum)), '; ' ORDER BY a.attnum)
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = 'canvas.courses'::regclass AND a.attnum > 0 AND NOT a.attisdropped";
const TYPES: &str = "
    SELECT string_agg(t.typname || '=' || (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder)
        FROM pg_enum WHERE enumtypid = t.oid), '; ' ORDER BY t.typname)
    FROM pg_type t WHERE typtype = 'e'";

#[tokio::test]
async fn columns_come_and_go_with_their_enumerations_and_a_second_time_nothing_is_done() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(TABLE).await;
        let mut size = value("Size \"x\"", word("courses__Size \"x\"", &["s", "it's"]));
        size.default = Some(Literal::Text("it's".to_owned()));
        size.required = true;
        size.comment = Some("How 'large'".to_owned());
        let mut late = value("late", Scalar::Bigint);
        late.required = true;
        let mut other = column("other", Part::Value, Kind::List(Scalar::Timestamp), false);
        other.comment = Some("c".to_owned());
        let steps = || {
            vec![
                gone("state"),
                gone("never_there"),
                Step::Add(size.clone()),
                Step::Add(late.clone()),
                Step::Add(other.clone()),
                Step::Comment { column: None, text: Some("About.".to_owned()) },
                Step::Comment { column: Some("name".to_owned()), text: Some("Its name".to_owned()) },
                Step::Optional { column: "credits".to_owned() },
                Step::Required { column: "name".to_owned() },
                Step::Required { column: "id".to_owned() },
            ]
        };
        let done = db.evolve(steps()).await.unwrap();
        assert_eq!(
            db.text(COLUMNS).await,
            "id integer NOT NULL; name character varying(10) Its name; \
            states canvas.courses__state[]; credits integer 5; note text 'it''s'::text; data jsonb; \
            Size \"x\" canvas.\"courses__Size \"\"x\"\"\" NOT NULL 'it''s'::canvas.\"courses__Size \
                \"\"x\"\"\" How 'large'; \
            late bigint; other timestamp without time zone[] c"
        );
        assert_eq!(db.text(TYPES).await, "courses__Size \"x\"=s,it's; courses__state=a,b");
        assert_eq!(db.text("SELECT obj_description('canvas.courses'::regclass)").await, "About.");
        assert_eq!(
            done.notes,
            [
                "the enumeration canvas.courses__state stays: column states of table canvas.courses uses it",
                "the column late is required, and may be null until no null is left",
                "the column name is required, and has nulls: it stays nullable",
            ]
        );
        let again = db.evolve(steps()).await.unwrap();
        assert_eq!(again.statements, Vec::<String>::new());
        // The last column that has it goes, and it goes.
        db.evolve(vec![gone("states"), gone("Size \"x\"")]).await.unwrap();
        assert_eq!(db.text(TYPES).await, "NULL");
        db.run("UPDATE canvas.courses SET name = 'x' WHERE name IS NULL").await;
        db.evolve(vec![Step::Required { column: "name".to_owned() }]).await.unwrap();
        assert!(db.text(COLUMNS).await.contains("name character varying(10) NOT NULL"));
    })
    .await;
}

#[tokio::test]
async fn a_column_that_is_made_again_under_its_name_is_made_again_once() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(TABLE).await;
        let new = value("state", word("courses__state", &["x", "y"]));
        let steps = || vec![gone("states"), gone("state"), Step::Add(new.clone())];
        db.evolve(steps()).await.unwrap();
        assert_eq!(db.text(TYPES).await, "courses__state=x,y");
        db.run("UPDATE canvas.courses SET state = 'y'").await;
        assert_eq!(db.evolve(steps()).await.unwrap().statements, Vec::<String>::new());
        assert_eq!(db.text("SELECT string_agg(state::text, '') FROM canvas.courses").await, "yyy");
    })
    .await;
}

#[tokio::test]
async fn types_change_with_their_values_and_defaults() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(TABLE).await;
        let steps = || {
            vec![
                retype("id", one(Scalar::Bigint)),
                retype("name", one(Scalar::Text)),
                retype("state", one(Scalar::Varchar(1))),
                retype("states", Kind::List(Scalar::Text)),
                retype("credits", one(Scalar::Double)),
                retype("note", one(Scalar::Jsonb)),
                retype("data", one(Scalar::Text)),
                Step::Default(value("note", Scalar::Jsonb)),
            ]
        };
        let planned = db.plan(steps()).await.unwrap();
        let done = db.evolve(steps()).await.unwrap();
        assert_eq!(planned.statements, done.statements);
        assert_eq!(
            db.text(COLUMNS).await,
            "id bigint NOT NULL; name text; state character varying(1) \
            'a'::character varying; \
            states text[]; credits double precision NOT NULL '5'::double precision; note jsonb; data text"
        );
        assert_eq!(
            db.text("SELECT c::text FROM canvas.courses c ORDER BY id").await,
            "(1,one,a,\"{a,b}\",3,\"\"\"{\\\\\"\"k\\\\\"\": 1}\"\"\",text)\n(2,,b,,4,\"\"\"no \
                JSON\"\"\",\"[1, 2]\")\n(3,three,,{},5,,)"
        );
        assert_eq!(done.notes, ["what was no JSON in note is a JSON text now"]);
        assert_eq!(db.text(TYPES).await, "NULL", "what nothing uses any more is gone");
        assert_eq!(db.evolve(steps()).await.unwrap().statements, Vec::<String>::new());
        // And back to an enumeration, which is made.
        let back = || {
            vec![
                retype("state", one(word("courses__state", &["a", "b"]))),
                retype("states", Kind::List(word("courses__state", &["a", "b"]))),
            ]
        };
        db.evolve(back()).await.unwrap();
        assert_eq!(db.text(TYPES).await, "courses__state=a,b");
        assert!(db.text(COLUMNS).await.contains("state canvas.courses__state 'a'::canvas.courses__state"));
        assert_eq!(
            db.text(
                "SELECT concat_ws('|', state, states) FROM canvas.courses ORDER BY \
            id"
            )
            .await,
            "a|{a,b}\nb\n{}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_and_not_cut() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(TABLE).await;
        let before = db.dump().await;
        let refused = db.evolve(vec![retype("note", one(Scalar::Varchar(3)))]).await.unwrap_err();
        assert!(matches!(&refused, Trouble::Refused(_)), "{refused:?}");
        assert_eq!(
            refused.to_string(),
            "the column note cannot become character varying(3): a text is too long (SQLSTATE 22001)"
        );
        let refused = db.evolve(vec![retype("note", one(Scalar::Bigint))]).await.unwrap_err();
        assert!(!refused.to_string().contains("JSON"), "no value is shown: {refused}");
        assert_eq!(db.dump().await, before);
    })
    .await;
}

#[tokio::test]
async fn labels_come_at_the_end_and_a_default_waits_for_its_label() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(TABLE).await;
        let enumeration = || words("courses__state", &["a", "b", "c'd"]);
        let mut wanted = value("state", Scalar::Enum(enumeration()));
        wanted.default = Some(Literal::Text("c'd".to_owned()));
        let steps = || {
            vec![
                Step::AddLabels { column: "state".to_owned(), enumeration: enumeration() },
                Step::AddLabels { column: "states".to_owned(), enumeration: enumeration() },
                Step::Default(wanted.clone()),
            ]
        };
        let done = db.evolve(steps()).await.unwrap();
        assert_eq!(done.statements.len(), 1, "{:?}", done.statements);
        assert_eq!(done.notes.len(), 1, "{:?}", done.notes);
        assert_eq!(db.text(TYPES).await, "courses__state=a,b,c'd");
        assert_eq!(db.evolve(steps()).await.unwrap().statements.len(), 1);
        assert!(db.text(COLUMNS).await.contains("state canvas.courses__state 'c''d'::canvas.courses__state"));
        assert_eq!(db.evolve(steps()).await.unwrap().statements, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn indexes_that_go_with_a_column_are_named() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(TABLE).await;
        db.run(
            "CREATE INDEX by_note ON canvas.courses (note, credits); CREATE INDEX by_name ON \
            canvas.courses (name)",
        )
        .await;
        let done = db.evolve(vec![gone("note"), retype("name", one(Scalar::Text))]).await.unwrap();
        assert_eq!(done.notes, ["index canvas.by_note goes with the column note"]);
        assert_eq!(
            db.text("SELECT pg_get_indexdef('canvas.by_name'::regclass)").await,
            "CREATE INDEX \
            by_name ON canvas.courses USING btree (name)"
        );
    })
    .await;
}

#[tokio::test]
async fn a_column_comes_with_a_default_that_the_enumeration_it_finds_lacks() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(TABLE).await;
        for (place, used) in [("free", ""), ("used", "CREATE TABLE public.mine (it canvas.courses__used[])")]
        {
            db.run(&format!("CREATE TYPE canvas.courses__{place} AS ENUM ('old'); {used}")).await;
            let mut column = value(place, word(&format!("courses__{place}"), &["new", "old"]));
            (column.default, column.required) = (Some(Literal::Text("new".to_owned())), true);
            let steps = || vec![Step::Add(column.clone())];
            db.evolve(steps()).await.unwrap();
            assert_eq!(db.text(&format!("SELECT {place}::text FROM canvas.courses")).await, "new\nnew\nnew");
            assert_eq!(db.evolve(steps()).await.unwrap().statements, Vec::<String>::new());
        }
        let types = db.text(TYPES).await;
        assert!(
            types.contains("courses__free=new,old; ") && types.ends_with("courses__used=old,new"),
            "{types}"
        );
        let noted =
            db.text("SELECT statement FROM copy_manager.changes WHERE statement LIKE '%VALUE%'").await;
        assert!(noted.contains("courses__used"), "{noted}");
    })
    .await;
}

#[tokio::test]
async fn a_type_that_would_round_or_cut_what_is_there_is_refused_and_one_that_holds_it_is_taken() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        let any = Scalar::Numeric { precision: 2000, scale: 1000 };
        let money = Scalar::Numeric { precision: 12, scale: 2 };
        // A value, that its type keeps; a type that it would be lost in, a value that would not.
        for (from, lost, to, kept) in [
            ("double precision", "1.5", Scalar::Bigint, "3"),
            ("double precision", "0.125", money.clone(), "0.25"),
            ("double precision[]", "{1.5}", Scalar::Bigint, "{3,NULL}"),
            ("numeric", "0.12345678901234567890", Scalar::Double, "0.5"),
            ("numeric(12,2)", "1.50", Scalar::Integer, "2.00"),
            ("bigint", "9007199254740993", Scalar::Double, "9007199254740992"),
            ("integer", "16777217", Scalar::Real, "16777216"),
            ("integer", "5", Scalar::Boolean, "1"),
            ("timestamp", "2024-01-02 03:04:05", Scalar::Date, "2024-01-02 00:00:00"),
            ("timestamptz", "2024-01-02 03:04:05Z", Scalar::Time, ""),
            ("text", "2024-01-02 03:04:05", Scalar::Date, "2024-01-02"),
            ("text", "0.12345678901234567890", Scalar::Double, "1e3"),
            ("jsonb", "0.12345678901234567890", Scalar::Real, "0.5"),
        ] {
            let kind = || if from.ends_with("[]") { Kind::List(to.clone()) } else { one(to.clone()) };
            db.run(&format!(
                "DROP SCHEMA IF EXISTS canvas CASCADE; CREATE SCHEMA canvas; CREATE TABLE canvas.courses (c {from}); \
                 INSERT INTO canvas.courses VALUES (NULL), ('{lost}')"
            ))
            .await;
            let refused = db.evolve(vec![retype("c", kind())]).await;
            assert!(matches!(&refused, Err(Trouble::Refused(_))), "{from} to {to}: {refused:?}");
            if !kept.is_empty() {
                let set = format!("DELETE FROM canvas.courses WHERE c IS NOT NULL; INSERT INTO canvas.courses VALUES ('{kept}')");
                db.run(&set).await;
                db.evolve(vec![retype("c", kind())]).await.unwrap();
            }
        }
        db.run(
            "DROP TABLE canvas.courses; CREATE TABLE canvas.courses (d double precision, r real, at text); \
             INSERT INTO canvas.courses VALUES (0.12345678901234566, 0.12345678, '2024-01-02T03:04:05+10:00')",
        )
        .await;
        let steps = vec![retype("d", one(any.clone())), retype("r", one(any)), retype("at", one(Scalar::Timestamp))];
        db.evolve(steps).await.unwrap();
        let all = db.text("SELECT c::text FROM canvas.courses c").await;
        assert_eq!(all, "(0.12345678901234566,0.12345678,\"2024-01-01 17:04:05\")");
    })
    .await;
}

#[tokio::test]
async fn checks_and_indexes_of_others_are_looked_at_as_by_others_when_a_type_changes() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(TABLE).await;
        db.run(
            "CREATE FUNCTION public.one() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
            CREATE FUNCTION public.checked(bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
                $$BEGIN RETURN $1 >= one(); END$$;
            SET search_path = public; ALTER TABLE canvas.courses ADD CONSTRAINT mine CHECK (public.checked(credits));
            SET search_path = pg_catalog",
        )
        .await;
        db.evolve(vec![retype("credits", one(Scalar::Bigint)), retype("name", one(Scalar::Text))])
            .await
            .unwrap();
        assert!(db.text(COLUMNS).await.contains("credits bigint"));
    })
    .await;
}
