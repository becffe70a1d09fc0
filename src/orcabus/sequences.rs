//! Sequencing runs, and what was sequenced in them.

use std::collections::BTreeSet;

use super::{ask::Ask, client::Client, wire::Sequence};
use crate::ports::Result;

/// The libraries of a run; none where it is not known. A run may have been registered several times, with other
/// libraries each time: the last time counts, if it has a name then.
pub(super) async fn libraries(client: &Client, run: &str) -> Result<BTreeSet<String>> {
    let path = ["sequence", run, "sequence_run"];
    let ask = Ask::one("sequence", "GET sequence /sequence/{run}/sequence_run", &path);
    let mut all: Vec<Sequence> = client.one(&ask).await?;
    // Ids of entries begin with their time.
    all.sort_by(|one, other| one.orcabus_id.cmp(&other.orcabus_id));
    let named = all.iter().rposition(|sequence| sequence.run_name.is_some());
    let last = named.or_else(|| all.len().checked_sub(1)).map(|place| all.swap_remove(place));
    Ok(last.and_then(|sequence| sequence.libraries).into_iter().flatten().collect())
}
