//! A level of logging for a while, for all instances: a record in the table that ends by itself.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Engine,
    records::{self, attr, millis},
};
use crate::ports::{
    Class, Error, Result,
    store::{Action, EXPIRE_AT, Item, Key, Write},
};

/// The levels there are.
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// The longest time.
pub const LONGEST: Duration = Duration::from_hours(24);

const LEVEL: &str = "level";
const UNTIL: &str = "until";

/// Where it is kept.
#[must_use]
pub fn key() -> Key {
    Key::new("log-level", "SETTING")
}

/// The level that is asked for now.
#[must_use]
pub fn wanted(kept: Option<&Item>, now: Timestamp) -> Option<&str> {
    let kept = kept.filter(|kept| kept.number(UNTIL).is_some_and(|until| until > millis(now)))?;
    kept.text(LEVEL).filter(|level| LEVELS.contains(level))
}

impl Engine {
    /// Asks for a level for so long; until when. Instances see it within a quarter of a minute.
    ///
    /// # Errors
    ///
    /// `Invalid` where there is no such level or the time is longer than a day; those of the table.
    pub async fn set_log_level(&self, level: &str, lasts: Duration) -> Result<Timestamp> {
        let wrong = |why: String| Err(Error::new(Class::Invalid, "log level", why));
        if !LEVELS.contains(&level) {
            return wrong(format!("the level must be one of {}, not {level}", LEVELS.join(", ")));
        }
        if lasts > LONGEST {
            return wrong("it may last for 24h at most".to_owned());
        }
        let until = records::after(self.core.ports.clock.now(), lasts);
        let kept = Item::new(key())
            .with(LEVEL, level)
            .with(UNTIL, until)
            .with(attr::UPDATED_AT, millis(self.core.ports.clock.now()))
            .with(EXPIRE_AT, until / 1000 + 3600);
        let put = Write { key: kept.key, action: Action::Put(kept.attributes), conditions: Vec::new() };
        self.core.ports.store.write(put).await?;
        Ok(Timestamp::from_millisecond(until).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_ends_by_itself_and_one_that_is_not_known_is_none() {
        let kept = |level: &str| Item::new(key()).with(LEVEL, level).with(UNTIL, 10_000);
        let at = |millis: i64| Timestamp::from_millisecond(millis).unwrap();
        assert_eq!(wanted(Some(&kept("debug")), at(9_999)), Some("debug"));
        assert_eq!(wanted(Some(&kept("debug")), at(10_000)), None);
        assert_eq!(wanted(Some(&kept("copy_manager=debug")), at(0)), None);
        assert_eq!(wanted(None, at(0)), None);
    }
}
