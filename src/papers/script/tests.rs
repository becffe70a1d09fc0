//! The script as a whole.

use super::*;

fn head(files: u64, bytes: u64) -> Head<'static> {
    Head {
        name: "it's-a_package",
        id: "pkg.01JR6ZTCE68DY8QC4W7DR2JKZX",
        expires: "2026-12-07T09:00:00.5Z".parse().unwrap(),
        files,
        bytes,
    }
}

fn row(path: &str) -> Row<'_> {
    Row { path, size: 3, url: "https://h/a?b=c&d", md5: None, sha256: None }
}

fn lines(rows: &[Row<'_>]) -> Vec<String> {
    let mut script = Script::new(&head(rows.len() as u64, rows.iter().map(|row| row.size).sum()));
    drop(script.drain());
    for row in rows {
        script.take(row).unwrap();
    }
    script.finish().unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_package_is_in_the_first_lines() {
    let text = Script::new(&head(2, 7)).drain();
    for line in [
        "package_name='it'\\''s-a_package'",
        "package_id='pkg.01JR6ZTCE68DY8QC4W7DR2JKZX'",
        "package_files=2",
        "package_bytes=7",
        "links_expire='2026-12-07T09:00:00Z'",
        "links_expire_at=1796634000",
        "part_tag='7DR2JKZX'",
    ] {
        assert_eq!(text.lines().filter(|other| *other == line).count(), 1, "{line}");
    }
    assert!(text.starts_with("#!/usr/bin/env bash\n"));
}

#[test]
fn names_stand_in_single_quotes() {
    let sum = "0123456789ABCDEF0123456789abcdef";
    let mut odd = row("it's/$(touch x)`y` \"*~\\");
    odd.md5 = Some(sum);
    odd.size = 0;
    assert_eq!(
        lines(&[row("a/b"), odd]),
        [
            "f 3 'a/b' 'https://h/a?b=c&d' '' ''",
            "# shellcheck disable=SC2016,SC1003,SC2088,SC2289",
            "f 0 'it'\\''s/$(touch x)`y` \"*~\\' 'https://h/a?b=c&d' '0123456789abcdef0123456789abcdef' ''",
            "finish",
        ]
    );
}

#[test]
fn names_that_differ_in_case_are_marked() {
    let lines = lines(&[row("A/ü"), row("b"), row("a/Ü")]);
    assert!(lines[2].ends_with("'' '' folded"), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.ends_with("folded")).count(), 1);
}

#[test]
fn what_cannot_be_said_is_refused_and_leaves_no_trace() {
    let mut script = Script::new(&head(1, 3));
    drop(script.drain());
    for path in ["", "/a", "a//b", "a/", "..", "a/../b", "./a", "a\nb", "a\0b"] {
        assert_eq!(script.take(&row(path)), Err(Refused::Path(path.to_owned())), "{path:?}");
    }
    for url in ["file:///etc/passwd", "-o", "https://h/\n", "", "ftp://x/"] {
        let refused = script.take(&Row { url, ..row("a") }).unwrap_err();
        assert_eq!(refused, Refused::Url("a".to_owned()));
    }
    for sum in ["", "zz", "0123456789abcdef0123456789abcde'"] {
        assert_eq!(script.take(&Row { md5: Some(sum), ..row("a") }), Err(Refused::Sum("a".to_owned())));
        assert_eq!(script.take(&Row { sha256: Some(sum), ..row("a") }), Err(Refused::Sum("a".to_owned())));
    }
    assert_eq!(script.take(&Row { size: u64::MAX, ..row("a") }), Err(Refused::Size("a".to_owned())));
    assert_eq!(script.waiting(), 0);
    script.take(&row("...a/..b/c..")).unwrap();
    assert!(script.finish().is_ok());
}

#[test]
fn a_head_that_lies_is_noticed() {
    let mut script = Script::new(&head(1, 4));
    script.take(&row("a")).unwrap();
    assert_eq!(script.finish(), Err(Refused::Totals { files: 1, bytes: 3 }));
}

#[test]
fn a_long_script_is_made_in_pieces() {
    let mut script = Script::new(&head(2000, 6000));
    let mut longest = 0;
    let mut whole = String::new();
    for number in 0..2000 {
        script.take(&row(&format!("f/{number}"))).unwrap();
        if script.waiting() > 4096 {
            let piece = script.drain();
            longest = longest.max(if whole.is_empty() { 0 } else { piece.len() });
            whole.push_str(&piece);
        }
    }
    whole.push_str(&script.finish().unwrap());
    assert!(longest < 5000);
    assert_eq!(whole.lines().filter(|line| line.starts_with("f 3 ")).count(), 2000);
    assert!(whole.ends_with("\nfinish\n"));
}

#[test]
fn links_are_not_shown() {
    let mut script = Script::new(&head(1, 3));
    script.take(&row("a")).unwrap();
    assert!(!format!("{script:?}").contains("https"));
    assert!(!Refused::Url("a".to_owned()).to_string().contains("://"));
}
