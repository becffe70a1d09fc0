//! The slot that the next job of a folder waits for.

use serde::{Deserialize, Serialize};

/// The slot that the next job of a folder waits for, or has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SlotRequest {
    /// `{root}:{id}`, as it will be among those that run.
    pub member: String,
    /// Whether an express slot will do.
    pub express: bool,
    /// When to ask again.
    pub try_at: i64,
    /// Whether it is taken. Not stored: a holder that reads the wish asks for the slot, and is told.
    #[serde(skip)]
    pub taken: Option<SlotClass>,
    /// Since when a free slot is left to another root, and how many were taken then.
    #[serde(default)]
    pub yielded: Option<(i64, usize)>,
    /// Which instance asked for it last.
    #[serde(default)]
    pub by: String,
    /// Whether another one had asked for it before.
    #[serde(default)]
    pub inherited: bool,
}

/// Which kind of slot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotClass {
    Regular,
    Express,
}

impl SlotRequest {
    /// A wish of that root.
    pub(super) fn new(root: &str, id: &str, express: bool) -> Self {
        let member = format!("{root}:{id}");
        Self { member, express, try_at: 0, taken: None, yielded: None, by: String::new(), inherited: false }
    }

    /// Whether it is a slot that such a job may have.
    pub(super) fn serves(&self, express: bool) -> bool {
        match self.taken {
            Some(SlotClass::Regular) => true,
            Some(SlotClass::Express) => express,
            None => false,
        }
    }

    pub(super) fn root(&self) -> &str {
        root_of(&self.member)
    }
}

/// The root of one that runs, or that waits.
pub(super) fn root_of(member: &str) -> &str {
    member.split_once(':').map_or(member, |(root, _)| root)
}
