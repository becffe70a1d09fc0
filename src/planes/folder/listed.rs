//! Folders of sources as one listing of their whole tree has shown them while a request was planned, kept for
//! the children of that request: where this instance takes them a moment later, they need no listing of their
//! own. No other request is told: what it asks for may have come since.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    domain::{
        file::Data,
        ids::{DataId, ProjectId, RequestId},
    },
    engine::records::as_millis,
};

/// What is older is listed again.
const FRESH: Duration = Duration::from_mins(1);

/// Files and folders that are kept at a time, about 400 bytes each.
pub(crate) const MOST: usize = 10_000;

/// The content of one folder.
#[derive(Debug)]
pub(crate) struct Level {
    /// When the listing was asked for, milliseconds since 1970.
    pub at: i64,
    pub items: Vec<Data>,
}

/// A folder, and the request that it was listed for.
type Name = (RequestId, ProjectId, DataId);

#[derive(Debug, Default)]
struct Known {
    levels: HashMap<Name, Level>,
    /// Oldest first; of those that were put again or taken, the names stay until it is their turn.
    order: VecDeque<(Name, i64)>,
    items: usize,
}

/// The folders that were listed and not gone through yet.
#[derive(Debug, Default)]
pub(crate) struct Listed(Mutex<Known>);

impl Listed {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a folder holds, which has been shown whole, for a root. What is too old, or does not fit any
    /// more, is forgotten, oldest first.
    pub(crate) fn keep(&self, root: &RequestId, project: &ProjectId, folder: &DataId, level: Level) {
        let (name, now) = ((root.clone(), project.clone(), folder.clone()), level.at);
        let mut known = self.lock();
        known.forget(&name);
        known.items += level.items.len() + 1;
        known.order.push_back((name.clone(), level.at));
        known.levels.insert(name, level);
        let is_old = |(_, at): &(Name, i64)| now - at >= as_millis(FRESH);
        while known.items > MOST || known.order.len() > MOST || known.order.front().is_some_and(is_old) {
            let Some((oldest, at)) = known.order.pop_front() else { break };
            if known.levels.get(&oldest).is_some_and(|level| level.at == at) {
                known.forget(&oldest);
            }
        }
    }

    /// What a folder holds, for the root that it was listed for, once. `now`: milliseconds since 1970.
    pub(super) fn take(
        &self,
        root: &RequestId,
        project: &ProjectId,
        folder: &DataId,
        now: i64,
    ) -> Option<Level> {
        let level = self.lock().forget(&(root.clone(), project.clone(), folder.clone()))?;
        (now - level.at < as_millis(FRESH)).then_some(level)
    }
}

impl Known {
    fn forget(&mut self, name: &Name) -> Option<Level> {
        let level = self.levels.remove(name)?;
        self.items -= level.items.len() + 1;
        Some(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (RequestId, ProjectId, DataId) {
        (RequestId::new("root"), ProjectId::new("p"), DataId::new("fol.a"))
    }

    fn level(at: i64) -> Level {
        Level { at, items: Vec::new() }
    }

    #[test]
    fn a_folder_is_told_once_to_its_own_request_and_only_for_a_while() {
        let (listed, (root, project, folder)) = (Listed::default(), names());
        let take = |root: &RequestId, now| listed.take(root, &project, &folder, now).map(|level| level.at);
        listed.keep(&root, &project, &folder, level(0));
        assert_eq!(take(&RequestId::new("other"), 10), None);
        assert_eq!((take(&root, 10), take(&root, 10)), (Some(0), None));
        listed.keep(&root, &project, &folder, level(0));
        listed.keep(&root, &project, &folder, level(5));
        assert_eq!(take(&root, 10), Some(5));
        listed.keep(&root, &project, &folder, level(0));
        assert_eq!(take(&root, as_millis(FRESH)), None);
    }

    #[test]
    fn the_oldest_make_room() {
        let (listed, (root, project, folder)) = (Listed::default(), names());
        let mut at = 0;
        for n in 0..3 * MOST {
            at = i64::try_from(n / 1000).unwrap();
            listed.keep(&root, &project, &folder, level(at));
            listed.keep(&root, &project, &DataId::new(format!("fol.{n}")), level(at));
        }
        let sizes = || {
            let known = listed.lock();
            assert_eq!(known.items, known.levels.len());
            (known.order.len(), known.items)
        };
        assert!(sizes().0 <= MOST && sizes().1 <= MOST, "{:?}", sizes());
        listed.keep(&root, &project, &folder, level(at + as_millis(FRESH)));
        assert_eq!(sizes(), (1, 1));
        assert!(listed.take(&root, &project, &folder, at + as_millis(FRESH)).is_some());
    }
}
