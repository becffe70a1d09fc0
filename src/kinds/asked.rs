//! What a root was asked for, as it is stored.

use serde::de::DeserializeOwned;

use crate::{
    engine::{
        core::Core,
        lease::{Leased, RoundResult, id_of},
        records::{self, attr},
    },
    ports::{Class, Error, store::Key},
};

/// The order of a root. One whose order is gone, or cannot be read, is `Invalid`.
pub(crate) async fn asked<T: DeserializeOwned>(core: &Core, held: &Leased) -> RoundResult<T> {
    let payload = core.ports.store.get(&Key::new(id_of(held).as_str(), records::PAYLOAD)).await?;
    let gone = || Error::new(Class::Invalid, "read payload", "it is gone");
    Ok(core.read_document(&payload.ok_or_else(gone)?, attr::SPEC).await?)
}
