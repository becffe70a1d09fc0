//! Which kinds of work and which planes there are. `app` fills it; the engine finds them by the names in
//! records.

use std::sync::Arc;

use super::{
    kind::{Kind, NoOrder, Plane},
    submit::Order,
};
use crate::{events::intake::OtherEvent, ports::store::Key};

/// The kinds and planes of an instance, by name.
#[derive(Debug, Default)]
pub struct Registry {
    kinds: Vec<Arc<dyn Kind>>,
    planes: Vec<Arc<dyn Plane>>,
}

impl Registry {
    /// With one more kind. Names are unique.
    #[must_use]
    pub(crate) fn with_kind(mut self, kind: Arc<dyn Kind>) -> Self {
        debug_assert!(self.kind(kind.name()).is_none() && self.plane(kind.name()).is_none());
        self.kinds.push(kind);
        self
    }

    /// With one more plane. Names are unique.
    #[must_use]
    pub(crate) fn with_plane(mut self, plane: Arc<dyn Plane>) -> Self {
        debug_assert!(self.kind(plane.name()).is_none() && self.plane(plane.name()).is_none());
        self.planes.push(plane);
        self
    }

    /// The kind of that name.
    pub(super) fn kind(&self, name: &str) -> Option<&Arc<dyn Kind>> {
        self.kinds.iter().find(|kind| kind.name() == name)
    }

    /// Whether a kind takes events of that type.
    pub(super) fn takes(&self, detail_type: &str) -> bool {
        self.kinds.iter().any(|kind| kind.detail_types().contains(&detail_type))
    }

    /// The order that an event asks for, and the kind that takes it; `None` where no kind does.
    pub(super) async fn order_of(
        &self,
        event: &OtherEvent,
    ) -> Option<(&'static str, Result<Order, NoOrder>)> {
        for kind in &self.kinds {
            if kind.detail_types().contains(&event.detail_type.as_str())
                && let Some(order) = kind.order_of(event).await
            {
                return Some((kind.name(), order));
            }
        }
        None
    }

    /// The plane of that name.
    pub(super) fn plane(&self, name: &str) -> Option<&Arc<dyn Plane>> {
        self.planes.iter().find(|plane| plane.name() == name)
    }

    /// The plane that owns records of that type.
    pub(super) fn owner_of(&self, record_type: &str) -> Option<&Arc<dyn Plane>> {
        self.planes.iter().find(|plane| plane.record_type() == Some(record_type))
    }

    /// The records that may say for which request something of that name was made.
    pub(super) fn notes_of(&self, name: &str) -> Vec<Key> {
        self.planes.iter().filter_map(|plane| plane.note_of(name)).collect()
    }

    /// How many records that planes own may begin now, of which so many have just begun.
    pub(super) fn room(&self, begun: usize) -> usize {
        let owners = self.planes.iter().filter(|plane| plane.record_type().is_some());
        owners.map(|plane| plane.room(begun)).min().unwrap_or(usize::MAX)
    }
}
