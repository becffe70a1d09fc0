//! What a copy would do, as it is told to the caller of a dry run and on the command line.

use serde_json::{Value, json};

use super::{clip, without_nulls};
use crate::domain::preview::{Preview, PreviewFile};

/// A preview with at most so many of its files.
#[must_use]
pub fn preview(preview: &Preview, most: usize) -> Value {
    let totals = &preview.totals;
    let shown = preview.files.len().min(most);
    json!({
        "wouldSucceed": totals.would_succeed(),
        "files": preview.files.iter().take(shown).map(file).collect::<Vec<_>>(),
        "filesLeftOut": totals.files.saturating_sub(shown as u64),
        "totals": {
            "files": totals.files,
            "byRoute": totals.by_route,
            "bytes": totals.bytes,
            "jobs": totals.jobs,
            "newFolders": totals.new_folders,
            "apiCalls": totals.api_calls,
            "skipped": totals.skipped,
            "inFlight": totals.in_flight,
            "conflicts": totals.conflicts,
            "failing": totals.failing,
            "unready": totals.unready,
        },
    })
}

fn file(file: &PreviewFile) -> Value {
    let conflict = file.conflict.as_ref();
    without_nulls(json!({
        "source": clip(&file.source),
        "destination": clip(&file.destination),
        "route": file.route,
        "reason": clip(&file.reason),
        "size": file.size,
        "conflict": conflict.map(|conflict| json!({ "there": clip(&conflict.there), "then": conflict.then })),
    }))
}
