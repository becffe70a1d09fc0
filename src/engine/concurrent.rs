//! Several calls at a time.

use futures_util::{StreamExt as _, stream};

/// Runs the futures, at most `width` at a time, and returns their results, in no order.
pub(crate) async fn join_unordered<F: Future>(
    width: usize,
    futures: impl IntoIterator<Item = F>,
) -> Vec<F::Output> {
    let futures: Vec<F> = futures.into_iter().collect();
    stream::iter(futures).buffer_unordered(width).collect().await
}
