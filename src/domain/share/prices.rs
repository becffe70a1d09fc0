//! What a push is told that it costs.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Millionths of a dollar; on the wire a number of dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Dollars(pub u64);

impl Dollars {
    const PARTS: f64 = 1e6;

    /// Reads a number with at most six decimals.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        if part.len() > 6 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let part: u64 = format!("{part:0<6}").parse().ok()?;
        Some(Self(whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(part)?))
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// So many of them, for a thing that comes so many to a price.
    pub(super) fn times(self, many: u64, to_a_price: u64) -> Self {
        let all = u128::from(self.0) * u128::from(many) / u128::from(to_a_price.max(1));
        Self(u64::try_from(all).unwrap_or(u64::MAX))
    }
}

impl Serialize for Dollars {
    #[expect(clippy::cast_precision_loss, reason = "a price of more than 2^53 parts is none that is paid")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / Self::PARTS)
    }
}

impl<'de> Deserialize<'de> for Dollars {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what was written fits")]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(|dollars| Self((dollars * Self::PARTS).round() as u64))
    }
}

/// What files of one archive take that a push would bring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestorePreview {
    /// The storage class, or the tier.
    pub storage_class: String,
    /// How fast they are asked for.
    pub speed: String,
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// After how many seconds they are there at most, where that is known.
    pub seconds_at_most: Option<u64>,
    /// What S3 asks for it, in dollars, where that is known.
    #[schema(value_type = Option<f64>)]
    pub price: Option<Dollars>,
}
