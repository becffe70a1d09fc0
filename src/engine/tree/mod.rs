//! A root and its children: planned in chunks, put a window at a time, parked while they only wait, watched,
//! and settled. No more of a plan is held in memory than a chunk.

pub(crate) mod children;
pub(crate) mod chunks;
mod settle;
pub(crate) mod stall;
pub(crate) mod turns;
