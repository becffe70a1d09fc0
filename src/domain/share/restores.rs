//! What it takes to bring archived files back (`share.restore_prices`): how long at most, and what S3 asks for it.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::prices::{Dollars, RestorePreview};
use crate::domain::{
    copy_out::{Archive, ThawSpeed, Thawed},
    duration_text,
};

/// What one way to restore costs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RestorePrice {
    archive: Archive,
    speed: ThawSpeed,
    /// A thousand requests.
    requests: Dollars,
    /// A GiB.
    bytes: Dollars,
    takes: Duration,
}

/// What all of them cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePrices(Vec<RestorePrice>);

/// As in `config/default.toml`: what AWS tells for `us-east-1`.
const DEFAULT: [&str; 10] = [
    "GLACIER Bulk 0 0 12h",
    "GLACIER Standard 0.05 0.01 5h",
    "GLACIER Expedited 10 0.03 5m",
    "DEEP_ARCHIVE Bulk 0.025 0.0025 48h",
    "DEEP_ARCHIVE Standard 0.1 0.02 12h",
    "ARCHIVE_ACCESS Bulk 0 0 12h",
    "ARCHIVE_ACCESS Standard 0 0 5h",
    "ARCHIVE_ACCESS Expedited 10 0.03 5m",
    "DEEP_ARCHIVE_ACCESS Bulk 0 0 48h",
    "DEEP_ARCHIVE_ACCESS Standard 0 0 12h",
];

impl Default for RestorePrices {
    fn default() -> Self {
        Self(DEFAULT.iter().filter_map(|text| read(text).ok()).collect())
    }
}

impl RestorePrices {
    /// What these files take.
    #[must_use]
    pub fn preview(&self, archive: Archive, speed: ThawSpeed, thawed: Thawed) -> RestorePreview {
        let price = self.0.iter().find(|price| (price.archive, price.speed) == (archive, speed));
        let asked = |price: &RestorePrice| {
            price.requests.times(thawed.objects, 1000).plus(price.bytes.times(thawed.bytes, 1 << 30))
        };
        RestorePreview {
            storage_class: archive.as_str().to_owned(),
            speed: speed.as_str().to_owned(),
            files: thawed.objects,
            bytes: thawed.bytes,
            seconds_at_most: price.map(|price| price.takes.as_secs()),
            price: price.map(asked),
        }
    }
}

/// Reads `GLACIER Standard 0.05 0.01 5h`.
fn read(text: &str) -> Result<RestorePrice, String> {
    let wrong = |what: &str| format!("`{text}` {what}");
    let words: Vec<_> = text.split_whitespace().collect();
    let [archive, speed, requests, bytes, takes] = words.as_slice() else {
        return Err(wrong(
            "must be a storage class, a speed, two prices and a duration, with spaces between",
        ));
    };
    let speeds = [ThawSpeed::Bulk, ThawSpeed::Standard, ThawSpeed::Expedited];
    let price =
        |text: &str| Dollars::read(text).ok_or_else(|| wrong("has a price that is no number of dollars"));
    Ok(RestorePrice {
        archive: Archive::ALL.into_iter().find(|known| known.as_str() == *archive).ok_or_else(|| {
            wrong("must begin with GLACIER, DEEP_ARCHIVE, ARCHIVE_ACCESS or DEEP_ARCHIVE_ACCESS")
        })?,
        speed: speeds
            .into_iter()
            .find(|known| known.as_str() == *speed)
            .ok_or_else(|| wrong("must have Bulk, Standard or Expedited in second place"))?,
        requests: price(requests)?,
        bytes: price(bytes)?,
        takes: duration_text::parse(takes)
            .map_err(|why| wrong(&format!("must end with a duration: {why}")))?,
    })
}

impl<'de> Deserialize<'de> for RestorePrices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| read(text)).collect::<Result<_, _>>().map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_back_has_its_time_and_its_price() {
        let prices = RestorePrices::default();
        assert_eq!(prices.0.len(), DEFAULT.len(), "all of them can be read");
        let thawed = Thawed { objects: 2000, bytes: 100 << 30 };
        let of = |archive, speed| {
            let said = prices.preview(archive, speed, thawed);
            (said.seconds_at_most, said.price)
        };
        let hour = 3600;
        assert_eq!(of(Archive::Glacier, ThawSpeed::Bulk), (Some(12 * hour), Some(Dollars(0))));
        // 2 × 0.10 for requests, 100 × 0.02 for bytes.
        assert_eq!(
            of(Archive::DeepArchive, ThawSpeed::Standard),
            (Some(12 * hour), Some(Dollars(2_200_000)))
        );
        assert_eq!(of(Archive::DeepArchive, ThawSpeed::Expedited), (None, None), "what nobody offers");
        let text = serde_json::to_string(&Dollars(2_200_001)).unwrap();
        assert_eq!((text.as_str(), serde_json::from_str(&text).ok()), ("2.200001", Some(Dollars(2_200_001))));
    }

    #[test]
    fn what_is_no_price_is_refused_and_said() {
        for (text, why) in [
            ("GLACIER Bulk 0 0", "two prices and a duration"),
            ("COLD Bulk 0 0 1h", "must begin with GLACIER"),
            ("GLACIER Slow 0 0 1h", "must have Bulk"),
            ("GLACIER Bulk -1 0 1h", "no number of dollars"),
            ("GLACIER Bulk 0 0.0000001 1h", "no number of dollars"),
            ("GLACIER Bulk 0 0 soon", "must end with a duration"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
