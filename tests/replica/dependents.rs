//! Views are as they were, or nothing has happened.
use copy_manager::{
    domain::replica::{changes::Step, shape::Scalar},
    ports::replica::Trouble,
    postgres::{Postgres, settings::Refresh},
};

use crate::{
    catalogue::{Db, changed, evolve, gone, one, retype},
    world::{on_each, settings, value},
};

/// Views of all sorts over the courses, in two diamonds, with all that can be said about views.
pub(crate) const FIXTURE: &str = r#"
    CREATE ROLE ROLE_owner; CREATE ROLE ROLE_reader; CREATE ROLE ROLE_analyst; CREATE ROLE ROLE_intern;
    CREATE SCHEMA canvas; CREATE SCHEMA reports; CREATE SCHEMA "Odd ""Schema";
    GRANT USAGE, CREATE ON SCHEMA reports, "Odd ""Schema" TO ROLE_owner;
    GRANT USAGE ON SCHEMA canvas TO ROLE_owner; GRANT USAGE ON SCHEMA reports TO ROLE_analyst;
    CREATE TYPE canvas.courses__state AS ENUM ('a', 'b');
    CREATE TABLE canvas.courses (
        id integer NOT NULL CONSTRAINT pk_courses PRIMARY KEY,
        name character varying(10),
        state canvas.courses__state,
        credits integer,
        note text
    );
    GRANT SELECT ON canvas.courses TO ROLE_owner WITH GRANT OPTION;
    GRANT SELECT (id, name) ON canvas.courses TO ROLE_reader;
    INSERT INTO canvas.courses SELECT n, 'n' || n, 'a', n, 'x' FROM generate_series(1, 10) n;

    CREATE VIEW reports.names (id, "The ""Name", credits) WITH (security_barrier = true)
        AS SELECT c.id, c.name, c.credits FROM canvas.courses c WHERE c.name::text <> 'it''s';
    ALTER VIEW reports.names ALTER COLUMN credits SET DEFAULT 7;
    COMMENT ON VIEW reports.names IS 'All ''names''';
    COMMENT ON COLUMN reports.names."The ""Name" IS 'a back\slash';
    CREATE FUNCTION reports.put() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
    CREATE TRIGGER "Put it" INSTEAD OF INSERT OR UPDATE ON reports.names FOR EACH ROW EXECUTE FUNCTION
        reports.put('a''b');
    COMMENT ON TRIGGER "Put it" ON reports.names IS 'puts';
    CREATE RULE nothing AS ON DELETE TO reports.names DO INSTEAD NOTHING;
    COMMENT ON RULE nothing ON reports.names IS 'nothing';
    ALTER VIEW reports.names OWNER TO ROLE_owner;
    SET ROLE ROLE_owner;
    GRANT SELECT ON reports.names TO PUBLIC;
    GRANT SELECT, UPDATE ON reports.names TO ROLE_analyst WITH GRANT OPTION;
    GRANT UPDATE (credits), SELECT (id) ON reports.names TO ROLE_reader;
    REVOKE INSERT ON reports.names FROM ROLE_owner;
    SET ROLE ROLE_analyst;
    GRANT SELECT ON reports.names TO ROLE_intern;
    GRANT UPDATE (credits) ON reports.names TO ROLE_intern;
    RESET ROLE;

    CREATE VIEW "Odd ""Schema"."View.on %view" WITH (security_invoker = true)
        AS SELECT n.*, n.credits * 2 AS twice FROM reports.names n;
    CREATE VIEW reports.checked AS SELECT id, credits FROM canvas.courses WHERE credits > 0 WITH CASCADED
        CHECK OPTION;
    CREATE VIEW reports.tree AS WITH RECURSIVE t(n) AS (
        SELECT min(credits) FROM canvas.courses UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n FROM t;

    CREATE MATERIALIZED VIEW reports.kept WITH (fillfactor = 70, autovacuum_enabled = false)
        AS SELECT id, "The ""Name" AS name, credits, state FROM reports.names JOIN canvas.courses USING
            (id, credits);
    CREATE UNIQUE INDEX "Kept by id" ON reports.kept (id);
    CREATE INDEX kept_by_name ON reports.kept (lower(name) DESC NULLS LAST) INCLUDE (credits) WHERE
        credits > 2;
    ALTER INDEX reports.kept_by_name ALTER COLUMN 1 SET STATISTICS 77;
    COMMENT ON INDEX reports."Kept by id" IS 'by id';
    ALTER MATERIALIZED VIEW reports.kept CLUSTER ON "Kept by id";
    ALTER MATERIALIZED VIEW reports.kept ALTER COLUMN credits SET STATISTICS 500;
    ALTER MATERIALIZED VIEW reports.kept ALTER COLUMN name SET (n_distinct = -0.5);
    ALTER MATERIALIZED VIEW reports.kept ALTER COLUMN name SET STORAGE external;
    ALTER MATERIALIZED VIEW reports.kept ALTER COLUMN name SET COMPRESSION pglz;
    CREATE STATISTICS reports.kept_both (dependencies) ON id, credits FROM reports.kept;
    ALTER STATISTICS reports.kept_both SET STATISTICS 9;
    COMMENT ON STATISTICS reports.kept_both IS 'both';
    COMMENT ON MATERIALIZED VIEW reports.kept IS 'kept';
    COMMENT ON COLUMN reports.kept.name IS 'kept name';
    GRANT SELECT ON reports.kept TO ROLE_reader;
    ALTER MATERIALIZED VIEW reports.kept OWNER TO ROLE_owner;
    CREATE MATERIALIZED VIEW reports.empty AS SELECT count(*) FROM reports.kept WITH NO DATA;
    CREATE MATERIALIZED VIEW reports.sums AS SELECT sum(credits) AS sum, max(state) AS state FROM
        reports.kept;

    CREATE VIEW reports.left AS SELECT id, credits FROM reports.names;
    CREATE VIEW reports.right AS SELECT id, "The ""Name" AS name FROM reports.names;
    CREATE VIEW reports.both AS SELECT * FROM reports.left JOIN reports.right USING (id);
    CREATE VIEW reports.left2 AS SELECT id FROM reports.both;
    CREATE MATERIALIZED VIEW reports.right2 AS SELECT name, id FROM reports.both;
    CREATE VIEW reports.again AS SELECT l.id, r.name, c.note FROM reports.left2 l JOIN reports.right2 r
        USING (id) JOIN canvas.courses c USING (id);
    CREATE RULE put AS ON INSERT TO reports.again DO INSTEAD INSERT INTO reports.names VALUES (NEW.id,
        NEW.name, 1);

    CREATE VIEW reports.notes AS SELECT note FROM canvas.courses;
    CREATE VIEW reports.rows AS SELECT to_jsonb(c) AS row FROM canvas.courses c;
    CREATE VIEW reports.stars AS SELECT * FROM canvas.courses;
"#;

#[tokio::test]
async fn a_type_change_leaves_all_views_as_they_were() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        let before = db.dump().await;
        let untouched = "SELECT string_agg(oid::regclass::text || oid, ',') FROM pg_class WHERE relname \
            IN ('notes', 'rows')";
        let oids = db.text(untouched).await;
        let data = "SELECT (SELECT sum(credits) FROM reports.kept) || (SELECT sum FROM \
            reports.sums)::text || (SELECT string_agg(name, ',' ORDER BY id) FROM reports.right2)";
        let sums = db.text(data).await;
        let steps = || {
            vec![
                retype("id", one(Scalar::Bigint)),
                retype("credits", one(Scalar::Bigint)),
                retype("name", one(Scalar::Text)),
                Step::Add(value("more", Scalar::Text)),
            ]
        };
        let planned = db.plan(steps()).await.unwrap();
        assert_eq!(changed(&before, &db.dump().await), Vec::<String>::new());
        let done = db.evolve(steps()).await.unwrap();
        let mut found: Vec<String> =
            changed(&before, &db.dump().await).iter().map(|line| line.replace("(c.name", "(name")).collect();
        found.sort();
        let mut expected = [
            "- credits integer,",
            "- id integer NOT NULL,",
            "- name character varying(10),",
            "- note text",
            // What the server makes of `name::text` where it is one.
            "- CREATE INDEX kept_by_name ON reports.kept USING btree (lower((name)::text) DESC NULLS \
                LAST) INCLUDE (credits) WHERE (credits > 2);",
            "- WHERE ((name)::text <> 'it''s'::text);",
            "+ credits bigint,",
            "+ id bigint NOT NULL,",
            "+ more text",
            "+ name text,",
            "+ note text,",
            "+ CREATE INDEX kept_by_name ON reports.kept USING btree (lower(name) DESC NULLS LAST) \
                INCLUDE (credits) WHERE (credits > 2);",
            "+ WHERE (name <> 'it''s'::text);",
        ]
        .map(str::to_owned);
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(planned.statements, done.statements);
        assert_eq!(planned.remade, done.remade);
        assert_eq!(done.notes, Vec::<String>::new());
        assert_eq!(done.remade.len(), 14, "{:?}", done.remade);
        assert_eq!(db.text(untouched).await, oids);
        assert_eq!(db.text(data).await, sums);
        let functions = db.text("SELECT count(*)::text FROM pg_proc WHERE oid > 16383").await;
        assert_eq!(functions, "1", "nothing of ours stays");
        let again = db.evolve(steps()).await.unwrap();
        assert_eq!((again.statements, again.remade), (Vec::new(), Vec::new()));
    })
    .await;
}

#[tokio::test]
async fn a_column_that_no_view_uses_goes_and_others_do_not_notice() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        db.run("DROP VIEW reports.stars; DROP VIEW reports.again; DROP VIEW reports.notes").await;
        let (before, oids) = (
            db.dump().await,
            db.text(
                "SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_class WHERE relkind IN ('v', 'm')",
            )
            .await,
        );
        let done = db.evolve(vec![gone("note")]).await.unwrap();
        assert_eq!(done.remade, Vec::<String>::new());
        assert_eq!(
            changed(&before, &db.dump().await),
            ["- credits integer,", "- note text", "+ credits integer"].map(str::to_owned)
        );
        assert_eq!(
            db.text(
                "SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_class WHERE relkind IN ('v', 'm')"
            )
            .await,
            oids
        );
    })
    .await;
}

#[tokio::test]
async fn a_view_over_a_column_that_goes_is_named_and_nothing_is_changed() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        let steps = vec![retype("credits", one(Scalar::Bigint)), gone("note"), gone("state")];
        db.assert_hindered(
            steps,
            &[
                "view reports.again uses the column note, which goes",
                "materialized view reports.kept uses the column state, which goes",
                "view reports.notes uses the column note, which goes",
                "view reports.stars uses the column note, state, which goes",
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn whatever_fails_in_the_middle_leaves_all_as_it_was() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        // The text of the view names the enumeration.
        db.run("CREATE VIEW reports.a AS SELECT id FROM canvas.courses WHERE state = 'a'").await;
        let (before, numbers) = (db.dump().await, db.numbers().await);
        let refused = db
            .evolve(vec![retype("credits", one(Scalar::Bigint)), retype("state", one(Scalar::Text))])
            .await
            .unwrap_err();
        let Trouble::Dependents(said) = &refused else { panic!("{refused:?}") };
        assert!(
            said[0].starts_with(
                "the view reports.a cannot be made again as it was: operator does not \
            exist: text = canvas.courses__state"
            ),
            "{said:?}"
        );
        db.assert_untouched(&before, &numbers).await;
        db.run(
            "DROP VIEW reports.a; CREATE MATERIALIZED VIEW reports.late AS SELECT 1 / (credits - 20) \
            AS q FROM reports.names",
        )
        .await;
        // It could be filled then, and cannot be now.
        db.run("UPDATE canvas.courses SET credits = 20 WHERE id = 1").await;
        let (before, numbers) = (db.dump().await, db.numbers().await);
        let refused = db.evolve(vec![retype("credits", one(Scalar::Bigint))]).await.unwrap_err();
        assert!(
            matches!(&refused, Trouble::Dependents(said) if said[0].starts_with("the view \
            reports.late cannot be filled again")),
            "{refused:?}"
        );
        db.assert_untouched(&before, &numbers).await;
    })
    .await;
}

#[tokio::test]
async fn other_things_that_bind_a_column_are_named() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        db.run(
            "DROP VIEW reports.stars, reports.again, reports.notes;
            CREATE FUNCTION reports.body() RETURNS bigint BEGIN ATOMIC SELECT sum(credits) FROM
                canvas.courses; END;
            CREATE POLICY own ON canvas.courses USING (credits > 0);
            ALTER TABLE canvas.courses ADD COLUMN made integer GENERATED ALWAYS AS (credits * 2) STORED;
            CREATE FUNCTION reports.note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
            CREATE TRIGGER noted AFTER UPDATE OF credits ON canvas.courses FOR EACH ROW EXECUTE FUNCTION
                reports.note();
            CREATE PUBLICATION mine FOR TABLE canvas.courses (id, credits);
            CREATE TABLE public.rows (row canvas.courses);
            CREATE TABLE public.log (id bigint, n bigint);
            CREATE RULE logged AS ON UPDATE TO canvas.courses DO ALSO INSERT INTO public.log VALUES
                (NEW.id, NEW.credits)",
        )
        .await;
        let all =
            |what: &str| {
                [
            "column made of table canvas.courses uses the column credits, which WHAT",
            "function reports.body() uses the column credits, which WHAT",
            "policy own on table canvas.courses uses the column credits, which WHAT",
            "publication of table canvas.courses in publication mine uses the column credits, which WHAT",
            "trigger noted on table canvas.courses uses the column credits, which WHAT",
        ].map(|line| line.replace("WHAT", what)).to_vec()
            };
        let mut said = all("changes its type");
        said.push(
            "column row of table public.rows keeps rows of the table, of which a column changes its \
            type"
                .to_owned(),
        );
        said.push("rule logged on table canvas.courses uses what has to be made again".to_owned());
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        db.assert_hindered(vec![retype("credits", one(Scalar::Bigint))], &said).await;
        // What is not concerned is not in the way.
        db.run("DROP TABLE public.rows").await;
        db.evolve(vec![retype("name", one(Scalar::Text))]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_uses_a_view_is_named() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        db.run(
            "CREATE FUNCTION reports.of_view(reports.names) RETURNS integer LANGUAGE sql AS 'SELECT 1';
            CREATE TABLE public.kept_row (row reports.right);
            CREATE VIEW reports.typed AS SELECT NULL::reports.names AS row;
            CREATE TABLE public.plain (n integer);
            CREATE RULE seen AS ON INSERT TO public.plain DO ALSO UPDATE reports.checked SET credits =
                1",
        )
        .await;
        db.run("CREATE TEMPORARY VIEW here AS SELECT name FROM canvas.courses").await;
        let schema = db.text("SELECT nspname::text FROM pg_namespace WHERE oid = pg_my_temp_schema()").await;
        let temporary = format!("the view {schema}.here has to be made again, and is a temporary one");
        db.assert_hindered(
            vec![retype("credits", one(Scalar::Bigint)), retype("name", one(Scalar::Text))],
            &[
                "column row of table public.kept_row depends on the view reports.right, which has to be made \
                again",
                "function reports.of_view(reports.names) depends on the view reports.names, which has to be \
                made again",
                &temporary,
                "rule seen on table public.plain uses what has to be made again",
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_key_that_others_refer_to_can_grow() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        db.run(
            "CREATE TABLE public.refers (course integer REFERENCES canvas.courses); INSERT INTO
            public.refers VALUES (1);
            CREATE VIEW reports.grouped AS SELECT id, name, note, count(*) FROM canvas.courses GROUP BY
                id",
        )
        .await;
        db.evolve(vec![retype("id", one(Scalar::Bigint))]).await.unwrap();
        assert_eq!(
            db.text(
                "SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = \
            'reports.grouped'::regclass AND attname = 'id'"
            )
            .await,
            "bigint"
        );
    })
    .await;
}

#[tokio::test]
async fn views_that_keep_rows_of_the_table_are_made_again() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        db.run("CREATE MATERIALIZED VIEW reports.whole AS SELECT c FROM canvas.courses c").await;
        let done = db.evolve(vec![retype("credits", one(Scalar::Bigint))]).await.unwrap();
        assert!(done.remade.contains(&"reports.whole".to_owned()), "{:?}", done.remade);
        assert_eq!(db.text("SELECT (c).name FROM reports.whole WHERE (c).id = 3").await, "n3");
    })
    .await;
}

#[tokio::test]
async fn what_is_given_by_default_is_not_given_to_views_that_are_made_again() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        let before = db.dump().await;
        db.run(
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC; ALTER DEFAULT PRIVILEGES IN \
            SCHEMA reports GRANT SELECT ON TABLES TO ROLE_intern",
        )
        .await;
        db.evolve(vec![retype("credits", one(Scalar::Bigint))]).await.unwrap();
        db.run(
            "ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC; ALTER DEFAULT PRIVILEGES IN \
            SCHEMA reports REVOKE SELECT ON TABLES FROM ROLE_intern",
        )
        .await;
        assert_eq!(
            changed(&before, &db.dump().await),
            [
                "- credits integer,",
                "+ credits \
            bigint,"
            ]
            .map(str::to_owned)
        );
    })
    .await;
}

#[tokio::test]
async fn filling_can_wait() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        let unfilled = "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relkind = \
            'm' AND NOT relispopulated";
        let done = db.evolve_filling(vec![retype("credits", one(Scalar::Bigint))], Refresh::After).await;
        let filled = done.statements.iter().filter(|statement| statement.starts_with("REFRESH")).count();
        assert_eq!((filled, done.notes), (3, Vec::new()));
        assert_eq!(db.text(unfilled).await, "empty");
        db.run(
            "UPDATE canvas.courses SET credits = NULL; CREATE MATERIALIZED VIEW reports.late AS SELECT
            1 / credits AS q FROM canvas.courses;
            UPDATE canvas.courses SET credits = 0",
        )
        .await;
        let done = db.evolve_filling(vec![retype("credits", one(Scalar::Integer))], Refresh::After).await;
        assert!(
            matches!(&done.notes[..], [note] if note.contains("reports.late cannot be filled \
            again")),
            "{:?}",
            done.notes
        );
        assert_eq!(db.text(unfilled).await, "empty,late");
        db.evolve_filling(vec![retype("credits", one(Scalar::Double))], Refresh::Never).await;
        assert_eq!(db.text(unfilled).await, "empty,kept,late,right2,sums");
    })
    .await;
}

#[tokio::test]
async fn a_role_that_may_not_touch_a_view_says_which_and_one_that_may_does() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        db.run(
            r#"CREATE ROLE ROLE_loader LOGIN;
            ALTER TABLE canvas.courses OWNER TO ROLE_loader; ALTER TYPE canvas.courses__state OWNER TO
                ROLE_loader;
            GRANT ALL ON SCHEMA canvas, reports, "Odd ""Schema" TO ROLE_loader;
            ALTER MATERIALIZED VIEW reports.empty OWNER TO ROLE_owner; ALTER MATERIALIZED VIEW
                reports.sums OWNER TO ROLE_owner;
            ALTER STATISTICS reports.kept_both OWNER TO ROLE_owner;
            DO $$ DECLARE v regclass; BEGIN FOR v IN SELECT oid FROM pg_class WHERE relkind IN ('v', 'm')
                AND oid > 16383 LOOP
                EXECUTE format('ALTER TABLE %s OWNER TO ROLE_owner', v); END LOOP; END $$"#,
        )
        .await;
        let loader = format!("{}loader", db.roles());
        db.run(
            "GRANT USAGE ON SCHEMA instructure_dap, copy_manager TO ROLE_loader;
            GRANT ALL ON ALL TABLES IN SCHEMA instructure_dap, copy_manager TO ROLE_loader;
            GRANT ALL ON ALL SEQUENCES IN SCHEMA instructure_dap, copy_manager TO ROLE_loader",
        )
        .await;
        let replica =
            Postgres::new(settings(&db.database.url.replace("postgres@", &format!("{loader}@")))).unwrap();
        let before = db.dump().await;
        let refused = evolve(&replica, vec![retype("credits", one(Scalar::Bigint))]).await.unwrap_err();
        assert!(
            matches!(&refused, Trouble::Dependents(said) if said[0].contains("must be owner \
            of") && said[0].contains("reports.")),
            "{refused:?}"
        );
        assert_eq!(changed(&before, &db.dump().await), Vec::<String>::new());
        db.run("GRANT ROLE_owner TO ROLE_loader").await;
        let before = db.dump().await;
        let made = evolve(&replica, vec![retype("credits", one(Scalar::Bigint))]).await.unwrap();
        // What an analyst had given is given by the owner now, and said.
        assert_eq!(made.notes.len(), 2, "{:?}", made.notes);
        let changes: Vec<String> = changed(&before, &db.dump().await)
            .into_iter()
            .filter(|line| !line.contains("SESSION AUTHORIZATION"))
            .collect();
        assert_eq!(changes, ["- credits integer,", "+ credits bigint,"].map(str::to_owned));
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_stays_ends_the_try_and_nothing_has_happened() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        let (before, numbers) = (db.dump().await, db.numbers().await);
        for held in ["canvas.courses", "reports.again"] {
            let mut reader = db.another().await;
            reader.batch_execute("SET application_name = 'a report'").await.unwrap();
            let tx = reader.transaction().await.unwrap();
            tx.batch_execute(&format!("SELECT * FROM {held}")).await.unwrap();
            let refused = db.evolve(vec![retype("credits", one(Scalar::Bigint))]).await.unwrap_err();
            let Trouble::InTheWay(sessions) = &refused else { panic!("{refused:?}") };
            assert!(matches!(&sessions[..], [one] if one.application == "a report"), "{sessions:?}");
            drop(tx);
        }
        db.assert_untouched(&before, &numbers).await;
    })
    .await;
}

#[tokio::test]
async fn readers_of_views_and_the_change_never_wait_in_a_circle() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        let mut readers = Vec::new();
        for _ in 0..3 {
            let client = db.another().await;
            #[expect(clippy::disallowed_methods, reason = "it ends with its test")]
            readers.push(tokio::spawn(async move {
                client.batch_execute("SET lock_timeout = 0").await.unwrap();
                for _ in 0..150 {
                    let row = client
                        .query_one("SELECT count(*) FROM reports.again", &[])
                        .await
                        .map_err(|error| error.to_string())?;
                    assert_eq!(row.get::<_, i64>(0), 10);
                }
                Ok::<_, String>(())
            }));
        }
        for scalar in [Scalar::Bigint, Scalar::Integer, Scalar::Bigint, Scalar::Integer] {
            db.evolve(vec![retype("credits", one(scalar))]).await.unwrap();
        }
        for reader in readers {
            assert_eq!(reader.await.unwrap(), Ok(()));
        }
    })
    .await;
}

#[tokio::test]
async fn a_rule_of_the_table_that_names_a_view_is_in_the_way() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        db.run(
            "CREATE RULE logged AS ON UPDATE TO canvas.courses DO ALSO UPDATE reports.names SET \
            credits = 1 WHERE id = NEW.id",
        )
        .await;
        db.assert_hindered(
            vec![retype("credits", one(Scalar::Bigint))],
            &["rule logged on table \
            canvas.courses uses what has to be made again"],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn all_views_together_are_waited_for_no_longer_than_one_lock() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(
            "CREATE SCHEMA canvas; CREATE TABLE canvas.courses (id integer PRIMARY KEY, name text);
            CREATE VIEW public.v0 AS SELECT id FROM canvas.courses; CREATE VIEW public.v1 AS SELECT id FROM public.v0;
            CREATE VIEW public.v2 AS SELECT id FROM public.v1",
        )
        .await;
        let mut settings = settings(&db.database.url);
        (settings.lock_timeout, settings.lock_attempts) = (std::time::Duration::from_millis(400), 1);
        let replica = Postgres::new(settings).unwrap();
        let mut holders = Vec::new();
        for view in 0..3 {
            let other = db.another().await;
            other.batch_execute(&format!("BEGIN; COMMENT ON VIEW public.v{view} IS 'held'")).await.unwrap();
            holders.push(other);
        }
        // From the outside in, each is given back before the wait for it alone would end.
        let give_back = async {
            for holder in holders.iter().rev() {
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                holder.batch_execute("COMMIT").await.unwrap();
            }
        };
        let (refused, ()) = tokio::join!(evolve(&replica, vec![retype("id", one(Scalar::Bigint))]), give_back);
        assert!(matches!(&refused, Err(Trouble::InTheWay(_))), "{refused:?}");
        evolve(&replica, vec![retype("id", one(Scalar::Bigint))]).await.unwrap();
    })
    .await;
}
