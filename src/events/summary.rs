//! The summary CSV of a copy-out: its columns are those that its predecessors wrote.

use std::borrow::Cow;

use crate::domain::{
    copy_out::{Copied, CopyStatus, SliceItem},
    instruction::last_name,
};

const MIB: f64 = 1_048_576.0;

/// The first line; `brief`: of the first form, without the columns that came later.
#[must_use]
pub fn header(brief: bool) -> String {
    let later = if brief { "" } else { ",DESTINATION,BYTESTRANSFERRED,ELAPSEDSECONDS" };
    format!("OBJECTNAME,TRANSFERSTATUS,MBPERSEC,MESSAGE{later}\n")
}

/// The line of an object.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub fn row(brief: bool, bucket: &str, item: &SliceItem, copied: &Copied) -> String {
    let source = item.from.to_string();
    let name = last_name(&source);
    let seconds = copied.elapsed.max(1) as f64 / 1000.0;
    let speed = match copied.status {
        CopyStatus::Copied => copied.bytes as f64 / seconds / MIB,
        CopyStatus::AlreadyCopied | CopyStatus::Error | CopyStatus::Superseded => 0.0,
    };
    let first = format!("{},{},{speed},{}", quoted(name), copied.status.as_str(), quoted(&copied.message));
    if brief {
        return format!("{first}\n");
    }
    let destination = format!("s3://{bucket}/{}", item.to);
    let elapsed = copied.elapsed as f64 / 1000.0;
    format!("{first},{},{},{elapsed}\n", quoted(&destination), copied.bytes)
}

/// A field, in quotes where it needs them (RFC 4180).
fn quoted(field: &str) -> Cow<'_, str> {
    if field.contains([',', '"', '\n', '\r']) || field.starts_with(' ') || field.ends_with(' ') {
        Cow::Owned(format!("\"{}\"", field.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::copy_out::{Detail, Origin};

    #[test]
    fn a_row_says_what_became_of_an_object() {
        let from = Origin::Object {
            bucket: "b".into(),
            key: "x/say \"a, b\"".into(),
            unsigned: false,
            sums: None,
            etag: None,
        };
        let item = SliceItem { from, to: "p/say \"a, b\"".into() };
        let copied = Copied {
            status: CopyStatus::Copied,
            bytes: 3 << 20,
            elapsed: 1500,
            message: String::new(),
            detail: Detail::Plain,
        };
        assert_eq!(row(true, "d", &item, &copied), "\"say \"\"a, b\"\"\",COPIED,2,\n");
        let long = row(false, "d", &item, &copied);
        assert_eq!(long, "\"say \"\"a, b\"\"\",COPIED,2,,\"s3://d/p/say \"\"a, b\"\"\",3145728,1.5\n");
        assert_eq!(header(true), "OBJECTNAME,TRANSFERSTATUS,MBPERSEC,MESSAGE\n");
        let failed = Copied {
            status: CopyStatus::Error,
            bytes: 0,
            elapsed: 7,
            message: "no".into(),
            detail: Detail::Plain,
        };
        assert!(row(true, "d", &item, &failed).ends_with(",ERROR,0,no\n"));
    }
}
