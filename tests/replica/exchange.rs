//! A table that is exchanged keeps what depends on it, and what others made of it.

use copy_manager::{
    domain::replica::shape::{Scalar, Shape},
    ports::replica::{Result, Trouble},
    postgres::{
        Postgres,
        settings::{Adopt, Reinit},
    },
};

use crate::{
    catalogue::{Db, changed, words},
    dependents::FIXTURE,
    world::{FIRST, key, meta, on_each, open, part, settings, table, value},
};

/// Loads a snapshot of the courses, and lets it take the table's place.
async fn exchange(db: &Db) -> Result<()> {
    let mut settings = settings(&db.database.url);
    (settings.reinit, settings.adopt) = (Reinit::Swap, Adopt::Replace);
    let replica = Postgres::new(settings).unwrap();
    let mut loader = open(&replica, &table()).await;
    let state = Scalar::Enum(words("courses__state", &["a", "b"]));
    let columns = vec![
        key("id", Scalar::Integer),
        value("name", Scalar::Varchar(10)),
        value("state", state),
        value("credits", Scalar::Integer),
        value("note", Scalar::Text),
    ];
    let shape = Shape { columns, comment: None };
    loader.stage("job", &shape).await?;
    let names = ["id", "name", "state", "credits", "note"];
    let lines = "1\tm1\tb\t1\ty\n2\tm2\tb\t2\ty\n3\tm3\tb\t3\ty\n";
    loader.load("job", &shape, part(0, &names, lines)).await?;
    let done = loader.finish("job", &shape, &meta(FIRST)).await.map(|_| ());
    if done.is_err() {
        loader.unstage().await?;
    }
    done
}

#[tokio::test]
async fn a_table_that_is_exchanged_keeps_what_others_made_of_it() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        db.run(
            r"
            CREATE INDEX by_name ON canvas.courses (name); COMMENT ON INDEX canvas.by_name IS 'by name';
            CREATE STATISTICS canvas.some_stats ON id, credits FROM canvas.courses;
            CREATE FUNCTION reports.note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
            CREATE TRIGGER noted AFTER UPDATE OF credits ON canvas.courses FOR EACH ROW EXECUTE FUNCTION
                reports.note();
            ALTER TABLE canvas.courses DISABLE TRIGGER noted;
            CREATE RULE logged AS ON UPDATE TO canvas.courses DO ALSO UPDATE reports.names SET credits =
                1 WHERE id = NEW.id;
            ALTER TABLE canvas.courses DISABLE RULE logged;
            ALTER TABLE canvas.courses SET (fillfactor = 80); ALTER TABLE canvas.courses ALTER note SET
                STATISTICS 5;
            ALTER TABLE canvas.courses REPLICA IDENTITY FULL; ALTER TABLE canvas.courses ENABLE ROW LEVEL
                SECURITY;
            REVOKE ALL ON canvas.courses FROM ROLE_owner CASCADE;
            ALTER TABLE canvas.courses OWNER TO ROLE_owner",
        )
        .await;
        let before = db.dump().await;
        exchange(&db).await.unwrap();
        let after = changed(&before, &db.dump().await);
        assert_eq!(after, Vec::<String>::new());
        assert_eq!(db.text("SELECT string_agg(name, ',' ORDER BY id) FROM reports.right2").await, "m1,m2,m3");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_come_along_holds_an_exchange() {
    on_each(|database| async move {
        let db = Db::new(database).await;
        db.run(FIXTURE).await;
        db.run(
            "CREATE POLICY own ON canvas.courses USING (true); CREATE PUBLICATION mine FOR TABLE
            canvas.courses;
            CREATE TABLE public.refers (course integer CONSTRAINT to_course REFERENCES canvas.courses);
            CREATE FUNCTION reports.rows_of() RETURNS SETOF canvas.courses LANGUAGE sql AS
                'SELECT * FROM canvas.courses';
            CREATE TABLE public.child () INHERITS (canvas.courses)",
        )
        .await;
        let (before, numbers) = (db.dump().await, db.numbers().await);
        let refused = exchange(&db).await.unwrap_err();
        let Trouble::Dependents(said) = &refused else { panic!("{refused:?}") };
        assert_eq!(said.len(), 5, "{said:?}");
        db.assert_untouched(&before, &numbers).await;
    })
    .await;
}
