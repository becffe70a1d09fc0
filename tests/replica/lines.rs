//! Lines that do not fit: which one, which column, and why, without the value.

use async_trait::async_trait;
use bytes::Bytes;
use copy_manager::{
    domain::replica::shape::{Enumeration, Scalar, Shape},
    ports::{
        self,
        error::{Class, Error},
        replica::{Part, Parts, Trouble},
    },
};
use futures_util::stream;
use pretty_assertions::assert_eq;

use crate::world::{
    FIRST, Given, SECOND, beside, init, key, meta, on_each, open, part, replica, shape, table, value,
};

fn strict() -> Shape {
    let state = Enumeration { name: "courses__state".to_owned(), labels: vec!["open".to_owned()] };
    let columns = vec![
        key("id", Scalar::Bigint),
        value("number", Scalar::Smallint),
        value("short", Scalar::Varchar(3)),
        value("state", Scalar::Enum(state)),
        value("json", Scalar::Jsonb),
        value("day", Scalar::Timestamp),
        value("a: b", Scalar::Uuid),
    ];
    Shape { columns, comment: None }
}

#[tokio::test]
async fn a_line_that_does_not_fit_is_named_without_its_value() {
    on_each(|database| async move {
        let replica = replica(&database);
        let shape = strict();
        let mut loader = open(&replica, &table()).await;
        loader.stage("job", &shape).await.unwrap();
        for (column, bad, code) in [
            ("number", "hunter2", "22P02"),
            ("number", "70000", "22003"),
            ("short", "hunter2", "22001"),
            ("state", "hunter2", "22P02"),
            ("json", "{hunter2", "22P02"),
            ("day", "hunter2", "22007"),
            ("day", "2024-13-45", "22008"),
            ("a: b", "hunter2", "22P02"),
        ] {
            let lines = format!("1\t\\N\n2\t\\N\n3\t{bad}\n4\t\\N\n");
            let trouble = loader.load("job", &shape, part(4, &["id", column], &lines)).await.unwrap_err();
            let Trouble::BadLine(line) = &trouble else { panic!("{trouble}") };
            assert_eq!((line.part, line.line, line.column.as_deref()), (4, Some(3), Some(column)), "{bad}");
            assert!(line.why.contains(code), "{line}");
            assert!(!format!("{trouble:?} {trouble}").contains("hunter2"), "{trouble:?}");
        }
        for (lines, code) in [("1\n", "22P04"), ("1\t2\t3\n", "22P04"), ("\\N\t1\n", "23502")] {
            let trouble = loader.load("job", &shape, part(0, &["id", "number"], lines)).await.unwrap_err();
            assert!(
                matches!(&trouble, Trouble::BadLine(line) if line.line == Some(1) && line.why.contains(code))
            );
        }
        let nul = Bytes::from_static(b"1\ta\n2\t\0\n");
        let odd = Bytes::from_static(b"1\ta\n2\t\xff\n");
        for bytes in [nul, odd] {
            let lines = Box::pin(stream::iter([Ok(bytes)]));
            let columns = vec!["id".to_owned(), "short".to_owned()];
            let part = Part { number: 0, columns, lines, findings: std::sync::Arc::default() };
            let trouble = loader.load("job", &shape, part).await.unwrap_err();
            assert!(matches!(&trouble, Trouble::BadLine(line) if line.line == Some(2)), "{trouble:?}");
        }
        assert_eq!(loader.look().await.unwrap().staged, Some(beside("job", &[])), "all rolled back");
        loader.load("job", &shape, part(0, &["id"], "1\n")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_line_of_changes_that_does_not_fit_is_named_too() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", "1\ta\t1\n").await;
        let good = format!("{SECOND}\tU\t1\tb\t1\n");
        let bad = format!("{SECOND}\tU\t1\tb\t1\n{SECOND}\tU\t2\tb\thunter2\n");
        let columns = ["id", "name", "score"];
        let mut parts = Given(vec![part(0, &columns, &good), part(1, &columns, &bad)]);
        let trouble = loader.apply("sync", &shape(), &mut parts, &meta(SECOND)).await.unwrap_err();
        let Trouble::BadLine(line) = &trouble else { panic!("{trouble}") };
        assert_eq!((line.part, line.line, line.column.as_deref()), (1, Some(2), Some("score")));
        // A null where a value must be is seen only when the row comes into the table.
        let null = format!("{SECOND}\tU\t5\t\\N\t1\n");
        let mut parts = Given(vec![part(0, &columns, &null)]);
        let trouble = loader.apply("sync", &shape(), &mut parts, &meta(SECOND)).await.unwrap_err();
        let Trouble::BadLine(line) = &trouble else { panic!("{trouble}") };
        assert_eq!((line.line, line.column.as_deref()), (None, Some("name")));
        assert_eq!(database.courses().await, ["(1,a,1)"]);
    })
    .await;
}

#[tokio::test]
async fn lines_that_break_off_leave_nothing_behind() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        loader.stage("job", &shape()).await.unwrap();
        let cut = || Part {
            number: 0,
            columns: vec!["id".to_owned(), "name".to_owned()],
            lines: Box::pin(stream::iter([
                Ok(Bytes::from_static(b"1\ta\n2\tb\n3")),
                Err(Error::new(Class::Transient, "GET", "the file was cut")),
            ])),
            findings: std::sync::Arc::default(),
        };
        let trouble = loader.load("job", &shape(), cut()).await.unwrap_err();
        assert!(
            matches!(&trouble, Trouble::Source(error) if error.message == "the file was cut"),
            "{trouble:?}"
        );
        assert_eq!(loader.look().await.unwrap().staged, Some(beside("job", &[])));
        loader.load("job", &shape(), part(0, &["id", "name"], "1\ta\n")).await.unwrap();
        loader.finish("job", &shape(), &meta(FIRST)).await.unwrap();
        // `\.` ends what the server reads: what comes after it must not be lost in silence.
        let lost = part(0, &["id", "name"], &format!("{SECOND}\tU\t7\tg\n\\.\n{SECOND}\tU\t8\th\n"));
        loader.apply("sync", &shape(), &mut Given(vec![lost]), &meta(SECOND)).await.unwrap_err();
        assert_eq!(database.courses().await, ["(1,a,)"]);
    })
    .await;
}

/// A job whose second file cannot be had, or breaks off.
struct Broken {
    parts: usize,
    has_begun: bool,
}

fn gone() -> Error {
    Error::new(Class::Transient, "GET", "the file was cut")
}

#[async_trait]
impl Parts for Broken {
    async fn next(&mut self) -> ports::error::Result<Option<Part>> {
        self.parts += 1;
        let mut part = part(self.parts, &["id", "name", "score"], &format!("{SECOND}\tU\t1\tz\t1\n"));
        match (self.parts, self.has_begun) {
            (1, _) => {}
            (_, false) => return Err(gone()),
            (_, true) => part.lines = Box::pin(stream::iter([Ok(Bytes::from_static(b"2024")), Err(gone())])),
        }
        Ok(Some(part))
    }
}

#[tokio::test]
async fn what_the_source_fails_at_is_told_as_its_failure() {
    on_each(|database| async move {
        let replica = replica(&database);
        let mut loader = open(&replica, &table()).await;
        init(&mut *loader, "job", "1\ta\t1\n").await;
        loader.stage("next", &shape()).await.unwrap();
        for has_begun in [false, true] {
            let mut parts = Broken { parts: 0, has_begun };
            let applied = loader.apply("sync", &shape(), &mut parts, &meta(SECOND)).await.unwrap_err();
            let mut parts = Broken { parts: 0, has_begun };
            let compared = loader.compare("next", &shape(), &mut parts).await.unwrap_err();
            for trouble in [applied, compared] {
                let is_told =
                    matches!(&trouble, Trouble::Source(error) if error.message == "the file was cut");
                assert!(is_told, "{has_begun}: {trouble:?}");
            }
        }
        assert_eq!(database.courses().await, ["(1,a,1)"]);
    })
    .await;
}
