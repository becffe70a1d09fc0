//! Addresses of the internet, as PostgreSQL's `inet` takes them. Abbreviated networks (`10.1/16`) are none.

use std::net::Ipv6Addr;

/// Whether it is an address, perhaps with the length of its network.
pub(super) fn is_address(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    if address.contains(':') {
        // No zeros lead, and the bits of an address of 4 are 32.
        return address.parse::<Ipv6Addr>().is_ok() && length.is_none_or(|length| bits(length, 128, false));
    }
    let mut octets = 0;
    for octet in address.split('.') {
        octets += 1;
        if number(octet).is_none_or(|value| value > 255) {
            return false;
        }
    }
    octets == 4 && length.is_none_or(|length| bits(length, 32, true))
}

fn bits(length: &str, most: u32, zeros_lead: bool) -> bool {
    let zeros = length.len() > 1 && length.starts_with('0');
    number(length).is_some_and(|value| value <= most) && (zeros_lead || !zeros)
}

fn number(digits: &str) -> Option<u32> {
    let right = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    right.then(|| digits.trim_start_matches('0')).and_then(|digits| match digits {
        "" => Some(0),
        _ => digits.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for text in ["10.0.0.1", "10.0.0.1/24", "2001:db8::1", "::", "::ffff:1.2.3.4/96", "0.0.0.0/0"] {
            assert!(is_address(text.as_bytes()), "{text}");
        }
        for text in
            ["", "10.0.0", "10.0.0.256", "10.0.0.1/33", "::1/129", "fe80::1%eth0", "10.0.0.1 ", "a.b.c.d"]
        {
            assert!(!is_address(text.as_bytes()), "{text}");
        }
    }
}
