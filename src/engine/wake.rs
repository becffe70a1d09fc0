//! Wakes: news for a record, whichever instance holds it.

use super::{core::Core, dispatch::Priority, records};
use crate::ports::{Error, store::Key};

impl Core {
    /// Tells a record that there is news, and asks for a run of it here.
    pub(crate) async fn wake(&self, key: Key, lane: Priority) -> Result<(), Error> {
        self.ports.store.write(records::wake(key.clone(), self.ports.clock.now())).await?;
        self.inbox.offer(key, lane);
        Ok(())
    }
}
