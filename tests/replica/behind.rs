//! A staged snapshot that is brought to a later time before it comes in.

use copy_manager::{
    domain::replica::counts::Counts,
    ports::replica::{Beside, Trouble},
    postgres::{Postgres, settings::Reinit},
};
use pretty_assertions::assert_eq;

use crate::world::{
    FIRST, Given, SECOND, THIRD, changes, findings, init, meta, on_each, open, part, part_with, replica,
    settings, shape, table,
};

const COLUMNS: &[&str] = &["id", "name", "score"];

#[tokio::test]
async fn changes_bring_a_snapshot_forward_and_the_table_becomes_what_it_is_then() {
    on_each(|database| async move {
        for reinit in [Reinit::Merge, Reinit::Swap] {
            let mut settings = settings(&database.url);
            settings.reinit = reinit;
            let replica = Postgres::new(settings).unwrap();
            let mut loader = open(&replica, &table()).await;
            init(&mut *loader, "first", "1\ta\t1\n2\tb\t2\n3\tc\t3\n").await;
            loader.stage("old", &shape()).await.unwrap();
            // The first row comes twice.
            let lines = "1\ta\t0\n1\ta\t1\n2\tb\t2\n3\tc\t3\n";
            loader.load("old", &shape(), part(0, COLUMNS, lines)).await.unwrap();
            let lines = format!("{SECOND}\tU\t2\tB\t\\N\n{SECOND}\tD\t3\t\\N\t\\N\n{SECOND}\tU\t4\td\t4\n");
            let to = SECOND.parse().unwrap();
            loader.advance("old", &shape(), &mut changes(&lines), to).await.unwrap();
            let look = loader.look().await.unwrap();
            let beside = Beside { job: "old".to_owned(), parts: vec![0], brought_to: Some(to) };
            assert_eq!((look.staged, look.meta), (Some(beside), Some(meta(FIRST))));
            assert_eq!(
                database.courses().await,
                ["(1,a,1)", "(2,b,2)", "(3,c,3)"],
                "readers see nothing of it"
            );
            // The same once more, as after an answer that was lost; and what came later.
            loader.advance("old", &shape(), &mut changes(&lines), to).await.unwrap();
            let lines = format!("{THIRD}\tU\t5\te\t5\n");
            loader.advance("old", &shape(), &mut changes(&lines), THIRD.parse().unwrap()).await.unwrap();
            let counts = loader.finish("old", &shape(), &meta(THIRD)).await.unwrap();
            assert_eq!(database.courses().await, ["(1,a,1)", "(2,B,)", "(4,d,4)", "(5,e,5)"]);
            if reinit == Reinit::Merge {
                let expected =
                    Counts { inserted: 2, changed: 1, deleted: 1, unchanged: 1, ..Counts::default() };
                assert_eq!(counts, expected);
            }
            let look = loader.look().await.unwrap();
            assert_eq!((look.staged, look.meta), (None, Some(meta(THIRD))));
            loader.drop_table().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn rows_put_aside_go_with_the_snapshot_and_the_table_keeps_its_own() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "first", "1\ta\t1\n2\tb\t2\n3\tc\t3\n").await;
        let mut parts = changes(&format!("{SECOND}\tU\t2\tnew\t2\n{SECOND}\tU\t3\tnew\t3\n"));
        loader.apply("sync", &shape(), &mut parts, &meta(SECOND)).await.unwrap();
        loader.stage("old", &shape()).await.unwrap();
        let first = part_with(0, COLUMNS, "1\ta\t1\n3\tc\t3\n", findings(&[2]));
        loader.load("old", &shape(), first).await.unwrap();
        // The second row comes after all; a newer version of the third does not.
        let lines = format!("{SECOND}\tU\t2\tnewest\t2\n");
        let mut parts = Given(vec![part_with(0, COLUMNS, &lines, findings(&[3]))]);
        loader.advance("old", &shape(), &mut parts, THIRD.parse().unwrap()).await.unwrap();
        loader.finish("old", &shape(), &meta(THIRD)).await.unwrap();
        assert_eq!(database.courses().await, ["(1,a,1)", "(2,newest,2)", "(3,new,3)"]);
        let aside = database.rows("SELECT key->>'id', job FROM copy_manager.rejected").await;
        assert_eq!(aside, ["(3,old)"]);
    })
    .await;
}

#[tokio::test]
async fn only_what_is_staged_is_brought_forward_and_all_of_it_or_nothing() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "first", "1\ta\t1\n").await;
        let to = THIRD.parse().unwrap();
        let none = loader.advance("old", &shape(), &mut changes(""), to).await;
        assert!(matches!(none, Err(Trouble::Refused(_))), "{none:?}");
        loader.stage("old", &shape()).await.unwrap();
        loader.load("old", &shape(), part(0, COLUMNS, "1\ta\t1\n")).await.unwrap();
        let bad = format!("{SECOND}\tU\t2\tb\t2\n{SECOND}\tU\t3\tc\tnone\n");
        let failed = loader.advance("old", &shape(), &mut changes(&bad), to).await;
        assert!(matches!(failed, Err(Trouble::BadLine(_))), "{failed:?}");
        assert_eq!(loader.look().await.unwrap().staged.unwrap().brought_to, None);
        assert_eq!(database.rows("SELECT id FROM copy_manager.\"canvas.courses\"").await, ["(1)"]);
    })
    .await;
}

#[tokio::test]
async fn an_older_staging_schema_gets_the_column_that_it_lacks() {
    on_each(|database| async move {
        let loader = open(&replica(&database), &table()).await;
        drop(loader);
        database.run("ALTER TABLE copy_manager.staged DROP COLUMN brought_to").await;
        let mut loader = open(&replica(&database), &table()).await;
        init(&mut *loader, "first", "1\ta\t1\n").await;
        assert_eq!(database.courses().await, ["(1,a,1)"]);
    })
    .await;
}
