//! Tables with treated columns: marked, and kept from programs that would load them untreated.

use copy_manager::{
    domain::replica::{
        changes::{Changes, Step},
        shape::Scalar,
        treat::Tables,
    },
    ports::replica::Loader,
    postgres::{Postgres, settings::Reinit},
};
use pretty_assertions::assert_eq;

use crate::world::{
    FIRST, SECOND, THIRD, changes, init, meta, on_each, open, part, replica, settings, shape, table, value,
};

const COLUMNS: &[&str] = &["id", "name", "score"];

async fn again(loader: &mut dyn Loader, job: &str, mark: Option<&str>, lines: &str, time: &str) {
    loader.look().await.unwrap();
    loader.treat(mark.map(str::to_owned));
    loader.stage(job, &shape()).await.unwrap();
    loader.load(job, &shape(), part(0, COLUMNS, lines)).await.unwrap();
    loader.finish(job, &shape(), &meta(time)).await.unwrap();
}

async fn mark(loader: &mut dyn Loader) -> Option<String> {
    loader.look().await.unwrap().mark
}

#[tokio::test]
async fn a_table_knows_how_its_columns_were_treated_when_it_was_loaded() {
    on_each(|database| async move {
        for reinit in [Reinit::Merge, Reinit::Swap] {
            let mut settings = settings(&database.url);
            settings.reinit = reinit;
            let replica = Postgres::new(settings).unwrap();
            let mut loader = open(&replica, &table()).await;
            let odd = "it's \\ \"name\"=hash,score=null";
            again(&mut *loader, "one", Some(odd), "1\tabc\t1\n", FIRST).await;
            assert_eq!(mark(&mut *loader).await.as_deref(), Some(odd));
            drop(loader);
            // It stays with what others make of the table, and goes with the treatment.
            let mut loader = open(&replica, &table()).await;
            again(&mut *loader, "two", Some(odd), "1\tabd\t1\n", SECOND).await;
            assert_eq!(mark(&mut *loader).await.as_deref(), Some(odd));
            again(&mut *loader, "three", Some("name=hash"), "1\tabe\t1\n", SECOND).await;
            assert_eq!(mark(&mut *loader).await.as_deref(), Some("name=hash"));
            again(&mut *loader, "four", None, "1\ta\t1\n", THIRD).await;
            assert_eq!(mark(&mut *loader).await, None);
            database.run("UPDATE canvas.courses SET score = 2").await;
            // A table that others have made in its place is not what was loaded.
            again(&mut *loader, "five", Some("name=hash"), "1\tabe\t1\n", THIRD).await;
            database
                .run("DROP TABLE canvas.courses; CREATE TABLE canvas.courses (id bigint PRIMARY KEY)")
                .await;
            assert_eq!(mark(&mut *loader).await, None);
            loader.drop_table().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_staged_under_one_treatment_is_not_gone_on_with_under_another() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        loader.treat(Some("name=hash".to_owned()));
        loader.stage("job", &shape()).await.unwrap();
        loader.load("job", &shape(), part(0, COLUMNS, "1\tabc\t1\n")).await.unwrap();
        assert_eq!(loader.stage("job", &shape()).await.unwrap(), [0]);
        loader.treat(None);
        assert!(loader.stage("job", &shape()).await.unwrap().is_empty());
        loader.finish("job", &shape(), &meta(FIRST)).await.unwrap();
        assert_eq!(mark(&mut *loader).await, None);
    })
    .await;
}

#[tokio::test]
async fn other_programs_cannot_load_rows_into_a_treated_table() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        again(&mut *loader, "one", Some("name=hash"), "1\tabc\t1\n2\tabd\t2\n", FIRST).await;
        let upsert =
            "INSERT INTO canvas.courses VALUES (1, 'Ada', 1) ON CONFLICT (id) DO UPDATE SET name = 'Ada'";
        for statement in
            [upsert, "UPDATE canvas.courses SET name = 'Ada'", "COPY canvas.courses FROM PROGRAM 'true'"]
        {
            let refused = database.client.batch_execute(statement).await.unwrap_err();
            let said = refused.as_db_error().unwrap();
            assert_eq!(said.code().code(), "42501", "{statement}: {refused}");
            assert!(said.message().starts_with("canvas.courses is loaded by copy-manager alone"), "{said}");
            assert!(said.message().contains("(name=hash)") && said.detail().is_none(), "{said}");
        }
        // We go on.
        let lines = format!("{SECOND}\tU\t1\txyz\t1\n{SECOND}\tD\t2\t\\N\t\\N\n");
        loader.apply("sync", &shape(), &mut changes(&lines), &meta(SECOND)).await.unwrap();
        let steps = vec![Step::Add(value("more", Scalar::Text)), Step::Drop { column: "score".to_owned() }];
        loader.evolve(&Changes { steps, notes: Vec::new() }, "tried").await.unwrap();
        assert_eq!(database.rows("SELECT * FROM canvas.courses").await, ["(1,xyz,)"]);
        assert_eq!(mark(&mut *loader).await.as_deref(), Some("name=hash"));
        // Whoever takes the guard away has a table that is loaded anew.
        database.run("ALTER TABLE canvas.courses DISABLE TRIGGER ALL").await;
        assert_eq!(mark(&mut *loader).await, None);
        loader.drop_table().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_a_table_held_before_its_columns_were_treated_goes_to_no_history() {
    on_each(|database| async move {
        let mut settings = settings(&database.url);
        settings.history = Tables::parse(&["courses"]).unwrap();
        let replica = Postgres::new(settings).unwrap();
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "one", "1\tAda\t1\n2\tEve\t2\n").await;
        again(&mut *loader, "two", Some("name=hash"), "1\tabc\t1\n", SECOND).await;
        let former = "SELECT id, name, _valid_from::date, _valid_to::date FROM canvas_history.courses";
        assert_eq!(database.rows(former).await, [""; 0]);
        // From then on it is kept, with the hash.
        let lines = format!("{SECOND}\tD\t1\t\\N\t\\N\n");
        loader.apply("sync", &shape(), &mut changes(&lines), &meta(THIRD)).await.unwrap();
        assert_eq!(database.rows(former).await, ["(1,abc,2024-03-06,2024-03-07)"]);
    })
    .await;
}
