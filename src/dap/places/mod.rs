//! The places of an account's calls in its minute, shared by all instances.
//!
//! The published limits are of calls in any minute, so a place is held for a minute from when it was taken, and a
//! little longer: calls take different times on their way.

mod here;
mod store;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

pub use self::{here::Here, store::InStore};
use super::settings::{Endpoint, Limits};
use crate::ports::Result;

/// A place was taken, or there is none before that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It was taken.
    Taken,
    /// There is none; another look is worth it then.
    NoneBefore(Timestamp),
}

/// Places in the minute.
#[async_trait]
pub trait Places: Send + Sync + std::fmt::Debug {
    /// Takes a place, if there is one.
    async fn take(&self, endpoint: Endpoint) -> Result<Place>;

    /// Nobody takes one until then: the service has said that it is too much.
    async fn slow(&self, endpoint: Endpoint, until: Timestamp) -> Result<()>;
}

/// How many places there are for how long.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Places by endpoint.
    pub limits: Limits,
    /// For how long.
    pub minute: Duration,
}

impl Rates {
    /// For how long a place is held, in milliseconds: the minute and a thirtieth.
    fn held(&self) -> i64 {
        let minute = i64::try_from(self.minute.as_millis()).unwrap_or(i64::MAX / 2).max(1);
        minute.saturating_add((minute / 30).max(1))
    }
}

/// A time from milliseconds since 1970.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}
