use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::Config;
use crate::limited::Limited;
use crate::settings::SiteSettings;
use crate::visitor::Arrival;

/// What each client address has open, and how fast it asks. Of a bounded number of addresses, in parts
/// with a lock each, which is taken once per connection.
pub(crate) struct ClientTable {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    most_per_shard: usize,
    start: Instant,
}

type Shard = HashMap<Key, Arc<Counts>>;

/// Whose counts, and where: everywhere, or at one site that has limits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    network: IpAddr,
    site: u64,
}

impl Key {
    fn everywhere(address: IpAddr) -> Self {
        Self {
            network: network(address),
            site: 0,
        }
    }

    fn at(site: u64, address: IpAddr) -> Self {
        Self {
            network: network(address),
            site,
        }
    }
}

/// Who has one IPv6 address has all that differ in their last 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
        v4 => v4,
    }
}

/// The limit for `address`: loopback addresses have one only if it was `chosen`.
fn limit(chosen: Option<u32>, default: u32, address: IpAddr) -> Option<u32> {
    match chosen {
        Some(0) => None,
        None if address.is_loopback() => None,
        chosen => Some(chosen.unwrap_or(default)),
    }
}

/// The counts of one address.
#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU32,
    /// When the bucket of requests is full again, in nanoseconds of the table's clock (the generic cell
    /// rate algorithm, which needs one number).
    full_at: AtomicU64,
}

/// One connection that counts, until dropped.
#[derive(Debug)]
pub(crate) struct CountedConnection {
    counts: Arc<Counts>,
}

const SHARDS: usize = 64;

impl ClientTable {
    /// For about so many addresses. Those that have nothing open, and could ask as much as any new one,
    /// are forgotten first, and only they.
    pub(crate) fn new(addresses: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            most_per_shard: addresses.div_ceil(SHARDS),
            start: Instant::now(),
        }
    }

    /// Counts a connection of `arrival`, if it counts.
    pub(crate) fn connect(
        &self,
        arrival: &Arrival,
        config: &Config,
    ) -> Result<Option<CountedConnection>, Limited> {
        let address = arrival.peer;
        if arrival.trusted {
            return Ok(None);
        }
        let most = limit(config.client_connections, CONNECTIONS, address).unwrap_or(u32::MAX);
        let counts = self.counts(Key::everywhere(address));
        let counted = counts.connect(most).ok_or(Limited::TooManyConnections)?;
        Ok(Some(counted))
    }

    /// Counts a request of `visitor`, who came by the connection `counted` unless a trusted proxy passed
    /// it on.
    pub(crate) fn ask(
        &self,
        visitor: IpAddr,
        counted: Option<&CountedConnection>,
        config: &Config,
    ) -> Result<(), Limited> {
        let Some(rate) = limit(config.client_requests, REQUESTS, visitor) else {
            return Ok(());
        };
        let now = self.now();
        match counted {
            Some(counted) => counted.counts.ask(now, rate),
            None => self.counts(Key::everywhere(visitor)).ask(now, rate),
        }
    }

    /// The same for a site that has limits of its own.
    pub(crate) fn ask_at(
        &self,
        site: &Arc<SiteSettings>,
        visitor: IpAddr,
        counted: Option<&CountedConnection>,
    ) -> Result<(), Limited> {
        let open = counted.map_or(0, |counted| counted.counts.connections.load(Relaxed));
        if site.client_connections.is_some_and(|most| open > most) {
            return Err(Limited::TooManyConnections);
        }
        let Some(rate) = site.client_requests else {
            return Ok(());
        };
        // Whoever changes a site's settings lets its visitors begin anew.
        let site = Arc::as_ptr(site).addr() as u64;
        self.counts(Key::at(site, visitor)).ask(self.now(), rate)
    }

    fn counts(&self, key: Key) -> Arc<Counts> {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shards[hash as usize % SHARDS].lock();
        let full = shard.len() >= self.most_per_shard;
        if full && !shard.contains_key(&key) {
            let now = self.now();
            shard.retain(|_, counts| !counts.is_forgettable(now));
        }
        let full = shard.len() >= self.most_per_shard;
        match shard.entry(key) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            // More addresses are busy than are watched: these are not.
            Entry::Vacant(_) if full => Arc::default(),
            Entry::Vacant(vacant) => Arc::clone(vacant.insert(Arc::default())),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Counts {
    /// Counts one connection more, if there are fewer than `most`.
    fn connect(self: Arc<Self>, most: u32) -> Option<CountedConnection> {
        let one_more = |open: u32| (open < most).then_some(open + 1);
        let counted = self.connections.fetch_update(Relaxed, Relaxed, one_more);
        counted.ok().map(|_| CountedConnection { counts: self })
    }

    /// Counts one request at a rate of `per_second`, of which twice as many may come at once.
    fn ask(&self, now: u64, per_second: u32) -> Result<(), Limited> {
        let each = SECOND / u64::from(per_second.max(1));
        let mut full_at = self.full_at.load(Relaxed);
        loop {
            let then = full_at.max(now).saturating_add(each);
            let wait = then
                .saturating_sub(now)
                .saturating_sub(BURST_SECONDS * SECOND);
            if wait > 0 {
                return Err(Limited::TooManyRequests(Duration::from_nanos(wait)));
            }
            match self
                .full_at
                .compare_exchange_weak(full_at, then, Relaxed, Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(other) => full_at = other,
            }
        }
    }

    /// Whether nobody could tell it from a new one.
    fn is_forgettable(&self, now: u64) -> bool {
        self.connections.load(Relaxed) == 0 && self.full_at.load(Relaxed) <= now
    }
}

/// What is allowed unless something else is said.
const CONNECTIONS: u32 = 1_000;
const REQUESTS: u32 = 2_000;

const SECOND: u64 = 1_000_000_000;
const BURST_SECONDS: u64 = 2;

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.counts.connections.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> Key {
        Key::everywhere(address.parse().unwrap())
    }

    #[test]
    fn an_ipv6_client_has_a_network() {
        let table = ClientTable::new(100);
        let same = |a: &str, b: &str| Arc::ptr_eq(&table.counts(key(a)), &table.counts(key(b)));
        assert!(same("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        let (everywhere, at) = (key("192.0.2.1"), Key::at(1, "192.0.2.1".parse().unwrap()));
        assert!(!Arc::ptr_eq(&table.counts(everywhere), &table.counts(at)));
    }

    #[test]
    fn loopback_is_limited_only_if_somebody_says_so() {
        let loopback: IpAddr = "::1".parse().unwrap();
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        let limits = [None, Some(0), Some(5)]
            .map(|chosen| (limit(chosen, 9, loopback), limit(chosen, 9, other)));
        assert_eq!(limits, [(None, Some(9)), (None, None), (Some(5), Some(5))]);
    }

    #[test]
    fn connections_count_until_they_are_closed() {
        let table = ClientTable::new(100);
        let connect = || table.counts(key("192.0.2.1")).connect(2);
        let (first, second) = (connect().unwrap(), connect().unwrap());
        assert!(connect().is_none());
        assert_eq!(first.counts.connections.load(Relaxed), 2);
        drop(first);
        assert!(connect().is_some());
        assert_eq!(second.counts.connections.load(Relaxed), 1);
    }

    #[test]
    fn twice_the_rate_may_come_at_once_and_then_the_rate() {
        let counts = Counts::default();
        let mut now = 5 * SECOND;
        for _ in 0..20 {
            assert_eq!(counts.ask(now, 10), Ok(()));
        }
        let wait = Duration::from_millis(100);
        assert_eq!(counts.ask(now, 10), Err(Limited::TooManyRequests(wait)));
        for _ in 0..30 {
            now += SECOND / 10;
            assert_eq!(counts.ask(now, 10), Ok(()));
            assert!(
                counts.ask(now, 10).is_err(),
                "what is refused costs nothing"
            );
        }
        now += 60 * SECOND;
        let asked = (0..100).filter(|_| counts.ask(now, 10).is_ok());
        assert_eq!(asked.count(), 20, "nothing is saved up beyond the burst");
    }

    #[test]
    fn only_who_has_nothing_to_remember_is_forgotten() {
        let table = ClientTable::new(SHARDS * 32);
        let address = |number: u32| Key::everywhere(IpAddr::V4(number.into()));
        let busy: Vec<_> = (0..20)
            .map(|n| table.counts(address(n)).connect(1))
            .collect();
        let asked = table.counts(address(100));
        asked.full_at.store(u64::MAX, Relaxed);
        for number in 1000..100_000 {
            table.counts(address(number));
        }
        let known: usize = table.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!(known <= SHARDS * 32, "{known}");
        assert!(Arc::ptr_eq(&asked, &table.counts(address(100))));
        for (number, counted) in (0..).zip(&busy) {
            let counted = counted.as_ref().unwrap();
            assert!(
                Arc::ptr_eq(&counted.counts, &table.counts(address(number))),
                "{number}"
            );
        }
    }
}
