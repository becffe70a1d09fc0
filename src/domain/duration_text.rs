//! Durations as people write them in settings: `2s`, `5m`, `1h 30m`. A bare number is refused,
//! because it does not say its unit.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

/// Reads a duration.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write it like `2s`, `5m` or `1h 30m`");
    let signed: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(signed).map_err(|_| wrong())
}

/// Writes a duration the way [`parse`] reads it.
#[must_use]
pub fn print(duration: Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(|_| "forever".to_owned(), |signed| format!("{signed:#}"))
}

/// For `#[serde(with)]`.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&print(*duration))
}

/// For `#[serde(with)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_can_write_them() {
        for (text, seconds) in [("2s", 2), ("5m", 300), ("1h 30m", 5400), ("0s", 0)] {
            let duration = parse(text).unwrap();
            assert_eq!(duration.as_secs(), seconds);
            assert_eq!(parse(&print(duration)).unwrap(), duration);
        }
        for text in ["5", "", "-3s", "soon", "3 parsecs"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
