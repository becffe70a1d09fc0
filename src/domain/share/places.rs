//! Which place a file has in a package.

use jiff::Timestamp;

use super::{files::DataType, request::PackageRequest, rows::Row};
use crate::domain::ids::RequestId;

/// The longest path in a package, in bytes: what a key of S3 may have, less a short prefix.
const LONGEST: usize = 1000;

/// The place of a file in a package.
///
/// # Errors
///
/// Why it can have none, in words.
pub fn place(row: &Row, request: &PackageRequest) -> Result<String, String> {
    let path = if row.path.is_empty() { own_place(row, request)? } else { row.path.clone() };
    check(&path)?;
    Ok(path)
}

fn own_place(row: &Row, request: &PackageRequest) -> Result<String, String> {
    let name = row.key().rsplit('/').next().unwrap_or_default();
    let needed = |text: &str, what: &str| {
        if text.is_empty() { Err(format!("its {what} is not known")) } else { Ok(text.to_owned()) }
    };
    let names = match row.data_type() {
        DataType::Fastq => vec![
            request.primary_data_path_prefix.clone(),
            needed(&row.instrument_run_id, "sequencing run")?,
            match row.lane {
                Some(lane) => format!("Lane_{lane}"),
                None => return Err("its lane is not known".to_owned()),
            },
            needed(&row.library_id, "library")?,
            name.to_owned(),
        ],
        DataType::SecondaryAnalysis => {
            let run = needed(&row.portal_run_id, "portal run")?;
            let directory = format!("{run}/");
            // As a whole name, also at the beginning.
            let at = format!("/{}", row.key()).find(&format!("/{directory}"));
            let Some(at) = at else { return Err(format!("its key has no directory `{run}`")) };
            let rest = row.key().get(at + directory.len()..).unwrap_or_default();
            vec![
                request.secondary_analysis_path_prefix.clone(),
                needed(&row.workflow_name, "workflow")?,
                run,
                rest.to_owned(),
            ]
        }
    };
    Ok(names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join("/"))
}

/// Whether files can be at that path below any folder.
///
/// # Errors
///
/// Why not, in words.
pub fn check(path: &str) -> Result<(), String> {
    if path.len() > LONGEST {
        return Err(format!("its path in the package has more than {LONGEST} bytes"));
    }
    if path.chars().any(char::is_control) {
        return Err("its path in the package has a line break or another control character".to_owned());
    }
    match path.split('/').find(|name| ["", ".", ".."].contains(name)) {
        Some(name) => Err(format!("its path in the package has the name `{name}`: {path}")),
        None => Ok(()),
    }
}

/// Where what belongs to a package is kept, below the place of all that is: by the day, in UTC.
#[must_use]
pub fn artifact(package: &RequestId, made_at: Timestamp, name: &str) -> String {
    let day = made_at.strftime("year=%Y/month=%m/day=%d");
    format!("packages/{day}/{package}/final/{name}")
}

/// Where the log of a push is kept (`json`), and its receipt (`receipt.jsonl`), in the same way.
#[must_use]
pub fn push_log(push: &RequestId, asked_at: Timestamp, ending: &str) -> String {
    let day = asked_at.strftime("year=%Y/month=%m/day=%d");
    format!("push-logs/{day}/{push}.{ending}")
}

/// Whether it is a log of, or was cached by, its own workflow's run: `/logs/{name}/{run}/`.
#[must_use]
pub fn is_own_log(row: &Row) -> bool {
    let key = format!("/{}", row.key());
    let names: Vec<&str> = key.split('/').collect();
    !row.portal_run_id.is_empty()
        && names.windows(4).any(|names| match names {
            [kind, _, run, _] => ["logs", "cache"].contains(kind) && *run == row.portal_run_id,
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "20240512e1234567";

    fn fastq() -> Row {
        Row {
            uri: "s3://b/240512_A/x_S1_L002_R1_001.fastq.gz".into(),
            library_id: "L2400001".into(),
            instrument_run_id: "240512_A".into(),
            lane: Some(2),
            ..Row::default()
        }
    }

    fn analysis(key: &str) -> Row {
        Row {
            uri: format!("s3://b/{key}"),
            portal_run_id: RUN.into(),
            workflow_name: "umccrise".into(),
            ..Row::default()
        }
    }

    #[test]
    fn reads_lie_by_run_lane_and_library() {
        let request = PackageRequest::default();
        let name = "x_S1_L002_R1_001.fastq.gz";
        assert_eq!(place(&fastq(), &request).unwrap(), format!("fastq/240512_A/Lane_2/L2400001/{name}"));
        let bare = PackageRequest { primary_data_path_prefix: String::new(), ..request.clone() };
        assert_eq!(place(&fastq(), &bare).unwrap(), format!("240512_A/Lane_2/L2400001/{name}"));
        let own = Row { path: "some/where.gz".into(), ..fastq() };
        assert_eq!(place(&own, &request).unwrap(), "some/where.gz");
        let lost = Row { lane: None, ..fastq() };
        assert_eq!(place(&lost, &request).unwrap_err(), "its lane is not known");
    }

    #[test]
    fn analyses_lie_below_their_run() {
        let request = PackageRequest::default();
        let at = |key: &str| place(&analysis(key), &request);
        let there = format!("secondary-analysis/umccrise/{RUN}/a/b.html");
        assert_eq!(at(&format!("byob/production/umccrise/{RUN}/a/b.html")).unwrap(), there);
        assert_eq!(at(&format!("{RUN}/a/b.html")).unwrap(), there);
        assert!(at(&format!("x{RUN}/a/b.html")).unwrap_err().contains("no directory"));
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let request = PackageRequest::default();
        for wrong in ["../x", "a//b", "a/./b", "/a", "a/", "a\nb", &"x".repeat(1001)] {
            let row = Row { path: wrong.to_owned(), ..fastq() };
            assert!(place(&row, &request).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_logs_of_the_run_itself_are_left_out() {
        let is_log = |key: &str| is_own_log(&analysis(key));
        assert!(is_log(&format!("x/logs/umccrise/{RUN}/a.log")));
        assert!(is_log(&format!("x/cache/umccrise/{RUN}/a")));
        assert!(!is_log(&format!("x/analysis/umccrise/{RUN}/logs/a.log")));
        assert!(!is_log(&format!("x/logs/a/b/{RUN}/a.log")));
    }
}
