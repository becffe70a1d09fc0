//! Numbers as every supported PostgreSQL takes them. Forms that only 16 and newer know (`0x1F`, `1_000`), and
//! floats in hexadecimal, which only some machines read, are none.

/// Why a text is no number of its type.
pub(super) type Why = &'static str;

const NO_NUMBER: Why = "is no number";
const OUT_OF_RANGE: Why = "is out of range";

/// Without the blanks around it.
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let from = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let to = text.iter().rposition(|byte| !blank(byte)).map_or(from, |last| last + 1);
    text.get(from..to).unwrap_or_default()
}

/// With or without sign.
fn signed(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    }
}

/// A whole number of so many bits.
pub(super) fn whole(text: &[u8], bits: u32) -> Result<(), Why> {
    let (negative, digits) = signed(trimmed(text));
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err("is no whole number");
    }
    let value = digits
        .iter()
        .fold(0_u128, |value, digit| value.saturating_mul(10).saturating_add(u128::from(digit - b'0')));
    let most = (1_u128 << (bits - 1)) - u128::from(!negative);
    if value <= most { Ok(()) } else { Err(OUT_OF_RANGE) }
}

/// A floating-point number. What would become 0 or infinite although it is neither is out of range.
pub(super) fn float(text: &[u8], double: bool) -> Result<(), Why> {
    let text = std::str::from_utf8(trimmed(text)).map_err(|_| NO_NUMBER)?;
    let special =
        text.trim_start_matches(['+', '-']).starts_with(|letter: char| letter.is_ascii_alphabetic());
    let (zero, infinite) = if double {
        let value: f64 = text.parse().map_err(|_| NO_NUMBER)?;
        (value == 0.0, value.is_infinite())
    } else {
        let value: f32 = text.parse().map_err(|_| NO_NUMBER)?;
        (value == 0.0, value.is_infinite())
    };
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let vanishes = zero && mantissa.contains(|digit: char| matches!(digit, '1'..='9'));
    if vanishes || infinite && !special { Err(OUT_OF_RANGE) } else { Ok(()) }
}

/// A decimal number, taken apart.
struct Decimal {
    /// Without zeros before them; none: it is 0.
    digits: Vec<u8>,
    /// How many of them stand before the point; below zero, so many zeros stand after it.
    before: i64,
    /// How many digits after the point are written, with the exponent counted in.
    scale: i64,
}

/// Exponents beyond this are not looked at.
const LARGEST_EXPONENT: i64 = 1_000_000;

fn decimal(text: &[u8]) -> Option<Decimal> {
    let (_, text) = signed(trimmed(text));
    let mark = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
    let (mantissa, exponent) = text.split_at(mark);
    let exponent = match exponent.split_first() {
        None => 0,
        Some((_, exponent)) => {
            let (negative, digits) = signed(exponent);
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let value = digits.iter().fold(0_i64, |value, digit| {
                value.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(i64::MAX / 16)
            });
            if negative { -value } else { value }
        }
    };
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let (ahead, behind) = mantissa.split_at(point);
    let behind = behind.get(1..).unwrap_or_default();
    let mut digits = [ahead, behind].concat();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) || exponent.abs() > LARGEST_EXPONENT {
        return None;
    }
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.drain(..zeros);
    let length = |part: &[u8]| i64::try_from(part.len()).unwrap_or(i64::MAX / 16);
    let zeros = i64::try_from(zeros).unwrap_or(i64::MAX / 16);
    let (before, scale) = (length(ahead) - zeros + exponent, length(behind) - exponent);
    Some(Decimal { digits, before, scale })
}

/// A number of at most so many digits, of them so many after the point, when it is rounded to these.
pub(super) fn numeric(text: &[u8], precision: u32, scale: u32) -> Result<(), Why> {
    if trimmed(text).eq_ignore_ascii_case(b"nan") {
        return Ok(());
    }
    let infinite = signed(trimmed(text)).1;
    if infinite.eq_ignore_ascii_case(b"infinity") || infinite.eq_ignore_ascii_case(b"inf") {
        return Err(OUT_OF_RANGE);
    }
    let Decimal { digits, before, .. } = decimal(text).ok_or(NO_NUMBER)?;
    let kept = before + i64::from(scale);
    let Ok(kept) = usize::try_from(kept) else { return Ok(()) };
    let up = digits.get(kept).is_some_and(|digit| *digit >= b'5');
    let all_nines = digits.iter().take(kept).all(|digit| *digit == b'9') && digits.len() >= kept;
    let nothing = digits.is_empty() || kept == 0 && !up;
    let before = before + i64::from(up && all_nines);
    if nothing || before <= i64::from(precision) - i64::from(scale) { Ok(()) } else { Err(OUT_OF_RANGE) }
}

/// Whether a number of JSON is one that jsonb can hold: at most 131,072 digits before the point, 16,383 after
/// it.
pub(super) fn fits_jsonb(text: &[u8]) -> bool {
    decimal(text).is_some_and(|it| it.scale <= 16_383 && (it.digits.is_empty() || it.before <= 131_072))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_ends() {
        for (text, bits, fits) in [
            ("32767", 16, true),
            ("32768", 16, false),
            ("-32768", 16, true),
            ("-32769", 16, false),
            ("2147483647", 32, true),
            ("2147483648", 32, false),
            (" +0007 ", 32, true),
            ("9223372036854775807", 64, true),
            ("9223372036854775808", 64, false),
            ("-9223372036854775808", 64, true),
            ("-9223372036854775809", 64, false),
            ("", 64, false),
            ("-", 64, false),
            ("1.0", 64, false),
            ("1 2", 64, false),
            ("0x1", 64, false),
        ] {
            assert_eq!(whole(text.as_bytes(), bits).is_ok(), fits, "{text} of {bits} bits");
        }
    }

    #[test]
    fn floats_neither_vanish_nor_become_infinite() {
        for (text, real, double) in [
            ("1e39", false, true),
            ("1e400", false, false),
            ("1e-46", false, true),
            ("1e-400", false, false),
            ("NaN", true, true),
            ("-Infinity", true, true),
            ("inf", true, true),
            ("0e-999", true, true),
            (".5", true, true),
            ("5.", true, true),
            ("1e", false, false),
            ("", false, false),
        ] {
            let found = (float(text.as_bytes(), false).is_ok(), float(text.as_bytes(), true).is_ok());
            assert_eq!(found, (real, double), "{text}");
        }
    }

    #[test]
    fn decimals_are_rounded_before_they_are_measured() {
        for (text, precision, scale, fits) in [
            ("9.994", 3, 2, true),
            ("9.995", 3, 2, false),
            ("99.99", 3, 2, false),
            ("-0.004", 3, 2, true),
            ("999.4", 3, 0, true),
            ("999.5", 3, 0, false),
            ("1e3", 3, 0, false),
            ("1000e-1", 3, 0, true),
            ("NaN", 3, 0, true),
            ("Infinity", 3, 0, false),
            ("1e-9999", 3, 0, true),
            ("0.5", 1, 1, true),
            ("0.95", 1, 1, false),
            ("000.1", 1, 1, true),
            (".", 3, 0, false),
            ("", 3, 0, false),
        ] {
            assert_eq!(
                numeric(text.as_bytes(), precision, scale).is_ok(),
                fits,
                "{text} in {precision},{scale}"
            );
        }
    }
}
