//! How often an address may call: whoever guesses at links and tokens, or asks for more than anybody needs, waits.
//!
//! Of each address one moment is kept, that at which it has used up nothing (the generic cell rate algorithm). The
//! keyed limiter of `governor` can neither look without taking nor hold to a number of addresses.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::Instant;

use super::{Refusal, Share};
use crate::{
    domain::share::settings::{Auth, ShareSettings},
    runtime::server::Peer,
};

/// Addresses that are kept apart. Those that come when there are as many share one place.
const ADDRESSES: usize = 10_000;
const MINUTE: Duration = Duration::from_mins(1);
/// The place of those for which there is none, and of calls without an address.
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A rate that each address has for itself.
#[derive(Debug)]
pub(super) struct PerAddress {
    /// Between two calls; none: there is no limit.
    every: Option<Duration>,
    /// When each address has used up nothing.
    free_at: Mutex<HashMap<IpAddr, Instant>>,
}

impl PerAddress {
    fn new(a_minute: u32) -> Self {
        let every = (a_minute > 0).then(|| MINUTE / a_minute);
        Self { every, free_at: Mutex::default() }
    }

    /// How long an address has to wait for its next call.
    pub(super) fn look(&self, address: IpAddr) -> Option<Duration> {
        self.ask(address, false)
    }

    /// Takes a call; or how long the address has to wait for it.
    pub(super) fn take(&self, address: IpAddr) -> Option<Duration> {
        self.ask(address, true)
    }

    fn ask(&self, address: IpAddr, takes: bool) -> Option<Duration> {
        let every = self.every?;
        let now = Instant::now();
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        // One place is that of the others.
        let has_room = |free_at: &HashMap<IpAddr, Instant>| {
            free_at.len() + 1 < ADDRESSES || free_at.contains_key(&address)
        };
        if !has_room(&free_at) {
            free_at.retain(|_, at| *at > now);
        }
        let has_room = has_room(&free_at);
        let address = if has_room { address } else { OTHERS };
        let at = free_at.get(&address).map_or(now, |at| (*at).max(now)) + every;
        let wait = at.saturating_duration_since(now + MINUTE);
        if !wait.is_zero() {
            return Some(wait);
        }
        if takes {
            free_at.insert(address, at);
        }
        None
    }
}

/// How often an address may do what.
#[derive(Debug)]
pub struct Rates {
    /// Follow links.
    pub(super) door: PerAddress,
    /// Show tokens that are not known.
    pub(super) failures: PerAddress,
    /// Proxies between callers and this, each of which says whom it has heard: `X-Forwarded-For`.
    proxies: usize,
}

impl Rates {
    /// As it was set.
    #[must_use]
    pub fn new(settings: &ShareSettings) -> Self {
        Self {
            door: PerAddress::new(settings.door_rate),
            failures: PerAddress::new(settings.failed_token_rate),
            proxies: usize::from(settings.trusted_proxies).max(usize::from(settings.auth == Auth::Gateway)),
        }
    }

    /// From where a request comes: the other end of its connection, or whom the first of our proxies has heard. What
    /// is said to have been before that anybody may say.
    pub(super) fn address(&self, request: &Request) -> IpAddr {
        let named = || {
            let said = request.headers().get_all("x-forwarded-for").iter().rev();
            let said = said.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
            // Where there are fewer, the others were passed by.
            read_address(said.take(self.proxies).last()?.trim())
        };
        let peer = || request.extensions().get::<Peer>().map(|Peer(address)| *address);
        let address = named().or_else(peer).unwrap_or(OTHERS);
        // Who has an address of IPv6 has 2^64 of them.
        match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address @ IpAddr::V4(_) => address,
        }
    }
}

/// An address, with a port or without.
fn read_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}

/// Lets those through to the door who have not been there too often.
pub(super) async fn at_door(State(share): State<Share>, request: Request, next: Next) -> Response {
    match share.rates.door.take(share.rates.address(&request)) {
        Some(wait) => Refusal::TooMany(wait).into_response(),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))
    }

    #[tokio::test(start_paused = true)]
    async fn a_minutes_worth_may_come_at_once_and_then_as_they_were_set() {
        let rate = PerAddress::new(6);
        assert_eq!((0..6).filter_map(|_| rate.take(address(1))).count(), 0);
        assert_eq!(rate.take(address(1)), Some(Duration::from_secs(10)));
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(rate.look(address(1)), None);
        assert_eq!((0..3).filter_map(|_| rate.take(address(1))).count(), 1);
        assert_eq!((0..1000).filter_map(|_| PerAddress::new(0).take(address(1))).count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_addresses_are_kept_than_was_said() {
        let rate = PerAddress::new(2);
        for n in 0..20_000 {
            rate.take(address(n));
        }
        assert_eq!(rate.free_at.lock().unwrap().len(), ADDRESSES);
        assert!(rate.take(address(30_000)).is_some(), "those without a place share one");
        assert_eq!(rate.take(address(1)), None);
        tokio::time::sleep(MINUTE).await;
        assert_eq!(rate.take(address(30_000)), None, "places that nobody needs are given away");
    }
}
