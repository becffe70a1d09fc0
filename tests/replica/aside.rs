//! Rows that are put aside, and come back.

use async_trait::async_trait;
use copy_manager::{
    domain::replica::treat::Tables,
    ports::{
        self,
        replica::{Differences, Part, Parts, Replica as _},
    },
    postgres::{Postgres, settings::Reinit},
};
use pretty_assertions::assert_eq;

use crate::{
    postgres::{Database, connect},
    world::{
        FIRST, Given, SECOND, THIRD, changes, findings, init, meta, on_each, open, part, part_with, replica,
        settings, shape, table,
    },
};

const COLUMNS: &[&str] = &["id", "name", "score"];
const ASIDE: &str =
    "SELECT namespace, \"table\", key->>'id', line, reason, job FROM copy_manager.rejected ORDER BY 3";

#[tokio::test]
async fn a_rejected_row_is_put_aside_and_goes_when_its_key_comes_again() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        loader.look().await.unwrap();
        loader.stage("snapshot", &shape()).await.unwrap();
        let first = part_with(0, COLUMNS, "1\ta\t1\n", findings(&[7, 8, 9]));
        let counts = loader.load("snapshot", &shape(), first).await.unwrap();
        assert_eq!((counts.rejected, counts.noted), (3, 3));
        loader.finish("snapshot", &shape(), &meta(FIRST)).await.unwrap();
        let line = |id: u8| format!("(canvas,courses,{id},a\u{fffd}b,\"out of range\",snapshot)");
        assert_eq!(database.rows(ASIDE).await, [line(7), line(8), line(9)]);
        assert_eq!(replica.standing("canvas").await.unwrap()[0].rejected, 3);

        // Brought, deleted, and rejected again.
        let lines = format!("{SECOND}\tU\t7\tgood\t1\n{SECOND}\tD\t8\t\\N\t\\N\n");
        let mut parts = Given(vec![part_with(0, COLUMNS, &lines, findings(&[9]))]);
        let counts = loader.apply("sync", &shape(), &mut parts, &meta(SECOND)).await.unwrap();
        assert_eq!((counts.rejected, counts.inserted), (1, 1));
        assert_eq!(database.rows(ASIDE).await, [line(9).replace("snapshot", "sync")]);
        assert_eq!(database.courses().await, ["(1,a,1)", "(7,good,1)"]);

        // A new snapshot says all anew.
        loader.stage("next", &shape()).await.unwrap();
        loader.load("next", &shape(), part(0, COLUMNS, "1\ta\t1\n")).await.unwrap();
        assert_eq!(database.rows(ASIDE).await.len(), 1);
        loader.finish("next", &shape(), &meta(THIRD)).await.unwrap();
        assert_eq!(database.rows(ASIDE).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn rows_that_were_put_aside_for_a_snapshot_that_is_forgotten_go_with_it() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "one", "1\ta\t1\n").await;
        let mut parts = Given(vec![part_with(0, COLUMNS, "", findings(&[5]))]);
        loader.apply("sync", &shape(), &mut parts, &meta(SECOND)).await.unwrap();
        loader.stage("two", &shape()).await.unwrap();
        loader.load("two", &shape(), part_with(0, COLUMNS, "", findings(&[6]))).await.unwrap();
        assert_eq!(database.rows(ASIDE).await.len(), 1, "that of the sync");
        loader.unstage().await.unwrap();
        assert_eq!(database.rows(ASIDE).await.len(), 1, "that of the sync");
        assert_eq!(database.rows("SELECT FROM copy_manager.staged_rejected").await, [""; 0]);
        loader.stage("three", &shape()).await.unwrap();
        loader.load("three", &shape(), part_with(0, COLUMNS, "", findings(&[6]))).await.unwrap();
        loader.drop_table().await.unwrap();
        assert_eq!(database.rows(ASIDE).await, [""; 0]);
        assert_eq!(database.rows("SELECT FROM copy_manager.staged_rejected").await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_sync_that_fails_puts_nothing_aside() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "one", "1\ta\t1\n").await;
        let bad = format!("{SECOND}\tU\t2\tb\tnone\n");
        let mut parts = Given(vec![
            part_with(0, COLUMNS, &format!("{SECOND}\tU\t1\tz\t1\n"), findings(&[5])),
            part(1, COLUMNS, &bad),
        ]);
        loader.apply("sync", &shape(), &mut parts, &meta(SECOND)).await.unwrap_err();
        assert_eq!(database.rows(ASIDE).await, [""; 0]);
        assert_eq!(database.courses().await, ["(1,a,1)"]);
        assert_eq!(loader.look().await.unwrap().meta, Some(meta(FIRST)));
        loader.apply("sync", &shape(), &mut changes(""), &meta(SECOND)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_row_whose_new_version_was_put_aside_stays_as_it_is_when_a_snapshot_is_merged() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "one", "1\ta\t1\n2\tb\t2\n3\tc\t3\n").await;
        loader.stage("two", &shape()).await.unwrap();
        let snapshot = part_with(0, COLUMNS, "1\ta\t1\n", findings(&[2, 9]));
        loader.load("two", &shape(), snapshot).await.unwrap();
        // What has changed since explains the third, though its row was put aside, too.
        let mut since = Given(vec![part_with(0, COLUMNS, "", findings(&[3]))]);
        let found = loader.compare("two", &shape(), &mut since).await.unwrap();
        assert_eq!(found, Differences::default());
        let found = loader.compare("two", &shape(), &mut Given(Vec::new())).await.unwrap();
        assert_eq!((found.extra, found.missing, found.different), (1, 0, 0));
        let counts = loader.finish("two", &shape(), &meta(SECOND)).await.unwrap();
        assert_eq!(counts.deleted, 1);
        assert_eq!(database.courses().await, ["(1,a,1)", "(2,b,2)"]);
        assert_eq!(database.rows("SELECT key, job FROM copy_manager.rejected ORDER BY 1").await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_audit_leaves_what_is_known_of_rejected_rows_although_it_has_the_same_job() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        loader.look().await.unwrap();
        for is_audit in [false, true] {
            loader.stage("job", &shape()).await.unwrap();
            loader
                .load("job", &shape(), part_with(0, COLUMNS, "1\ta\t1\n", findings(&[7, 8])))
                .await
                .unwrap();
            if is_audit {
                assert_eq!(replica.standing("canvas").await.unwrap()[0].rejected, 2);
                loader.compare("job", &shape(), &mut Given(Vec::new())).await.unwrap();
                loader.unstage().await.unwrap();
            } else {
                loader.finish("job", &shape(), &meta(FIRST)).await.unwrap();
            }
            assert_eq!(database.rows(ASIDE).await.len(), 2, "{is_audit}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_mended_can_be_read_when_a_part_is_loaded() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        loader.stage("one", &shape()).await.unwrap();
        let snapshot = part_with(0, COLUMNS, "1\ta\t1\n", findings(&[7]));
        let found = std::sync::Arc::clone(&snapshot.findings);
        loader.load("one", &shape(), snapshot).await.unwrap();
        {
            let found = found.lock().unwrap();
            assert_eq!((found.mended.len(), found.lines, found.bytes), (1, 1, 6));
            assert!(found.rejected.is_empty(), "not held twice");
        }
        loader.finish("one", &shape(), &meta(FIRST)).await.unwrap();
        let change = part_with(0, COLUMNS, &format!("{SECOND}\tU\t1\tz\t1\n"), findings(&[]));
        let found = std::sync::Arc::clone(&change.findings);
        loader.apply("two", &shape(), &mut Given(vec![change]), &meta(SECOND)).await.unwrap();
        assert_eq!(found.lock().unwrap().mended.len(), 1);
    })
    .await;
}

/// Two parts with rejected rows; when the second is asked for, it is looked whether those of the first are written.
struct Watched {
    database: Database,
    parts: usize,
    is_written: bool,
}

#[async_trait]
impl Parts for Watched {
    async fn next(&mut self) -> ports::error::Result<Option<Part>> {
        self.parts += 1;
        if self.parts == 2 {
            let other = connect(&self.database.url).await.unwrap();
            let asked = "SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock' \
                AND relation = 'copy_manager.rejected'::regclass";
            self.is_written = other.query_one(asked, &[]).await.unwrap().get::<_, i64>(0) > 0;
        }
        let line = format!("{SECOND}\tU\t{}\tz\t1\n", self.parts);
        Ok((self.parts < 3).then(|| part_with(self.parts, COLUMNS, &line, findings(&[100]))))
    }
}

#[tokio::test]
async fn rejected_rows_of_a_part_are_not_held_until_all_parts_have_come() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "one", "1\ta\t1\n").await;
        let mut parts = Watched { database, parts: 0, is_written: false };
        loader.apply("sync", &shape(), &mut parts, &meta(SECOND)).await.unwrap();
        assert!(parts.is_written);
        assert_eq!(parts.database.rows(ASIDE).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_row_whose_new_version_was_put_aside_comes_along_when_a_table_is_exchanged() {
    on_each(|database| async move {
        let mut settings = settings(&database.url);
        settings.reinit = Reinit::Swap;
        settings.history = Tables::parse(&["courses"]).unwrap();
        let mut loader = open(&Postgres::new(settings).unwrap(), &table()).await;
        init(&mut *loader, "one", "1\ta\t1\n2\tb\t2\n3\tc\t3\n").await;
        loader.stage("two", &shape()).await.unwrap();
        let snapshot = part_with(0, COLUMNS, "1\tA\t1\n", findings(&[1, 2, 9]));
        loader.load("two", &shape(), snapshot).await.unwrap();
        loader.finish("two", &shape(), &meta(SECOND)).await.unwrap();
        assert_eq!(database.courses().await, ["(1,A,1)", "(2,b,2)"]);
        assert_eq!(database.rows(ASIDE).await.len(), 3);
        let ended = "SELECT id FROM canvas_history.courses ORDER BY 1";
        assert_eq!(database.rows(ended).await, ["(1)", "(3)"]);
    })
    .await;
}

#[tokio::test]
async fn a_row_that_was_put_aside_does_not_stay_where_columns_are_treated_otherwise_since() {
    on_each(|database| async move {
        for reinit in [Reinit::Merge, Reinit::Swap] {
            let mut settings = settings(&database.url);
            settings.reinit = reinit;
            let mut loader = open(&Postgres::new(settings).unwrap(), &table()).await;
            init(&mut *loader, "one", "1\ta\t1\n2\tsecret\t2\n").await;
            loader.treat(Some("name=hash".to_owned()));
            loader.stage("two", &shape()).await.unwrap();
            loader
                .load("two", &shape(), part_with(0, COLUMNS, "1\thash\t1\n", findings(&[2])))
                .await
                .unwrap();
            loader.finish("two", &shape(), &meta(SECOND)).await.unwrap();
            assert_eq!(database.courses().await, ["(1,hash,1)"], "{reinit:?}");
            loader.drop_table().await.unwrap();
        }
    })
    .await;
}
