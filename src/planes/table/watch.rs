//! What ends a load from outside: its caller, or the process.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{TableRun, judge::Halt};
use crate::{
    domain::ids::RequestId,
    engine::{core::Core, lease::RoundError},
};

/// How often it is asked whether a load is still wanted.
const ASK: Duration = Duration::from_secs(15);

impl TableRun<'_> {
    /// Ends when the load is to end, with the reason. The database takes back what was not committed.
    pub(super) fn watch(&self) -> impl Future<Output = Halt> + Send + use<> {
        watch(Arc::clone(&self.plane.core), self.root.clone())
    }
}

async fn watch(core: Arc<Core>, root: RequestId) -> Halt {
    loop {
        tokio::select! {
            biased;
            () = core.cut.cancelled() => return RoundError::Stopping.into(),
            () = sleep(ASK) => {}
        }
        // A table that does not answer stops nothing.
        if matches!(core.stop_of(&root).await, Ok(Some(_))) {
            // The next round reads why.
            return RoundError::Stopping.into();
        }
    }
}
