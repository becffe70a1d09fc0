//! How many sources that are named one by one go into one child.

/// Named files in one child; more are cut into several children of the same folder.
const FILES_PER_CHILD: usize = 1000;

/// Cuts sources that are named one by one into pieces for one child each.
pub(crate) fn cut<T>(things: Vec<T>) -> Vec<Vec<T>> {
    let mut things = things.into_iter();
    let pieces = std::iter::from_fn(|| {
        let piece: Vec<T> = things.by_ref().take(FILES_PER_CHILD).collect();
        (!piece.is_empty()).then_some(piece)
    });
    pieces.collect()
}
