//! Which addresses archives may be fetched from.
//!
//! A URL comes from a caller, the connection from the launcher's machine: without this, callers
//! could read whatever that machine reaches (its own services, cloud metadata, the local network).
//! Names are checked after resolution, on the addresses that are then connected to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use url::{Host, Url};

/// The name resolves, but only to addresses that are not fetched from.
#[derive(Debug, Error)]
#[error("the name resolves to private or reserved addresses only")]
pub(super) struct OnlyPrivate;

/// Resolves names by the system and drops the addresses that are not allowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuardedResolver {
    pub(super) rule: Rule,
}

/// Decides about addresses.
pub(super) type Rule = fn(IpAddr) -> bool;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rule = self.rule;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = allowed_addresses(found, rule)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn allowed_addresses(
    found: impl Iterator<Item = SocketAddr>,
    rule: Rule,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
    }
    let allowed: Vec<_> = found
        .into_iter()
        .filter(|address| rule(address.ip()))
        .collect();
    if allowed.is_empty() {
        Err(OnlyPrivate.into())
    } else {
        Ok(allowed)
    }
}

/// The URL's host, if it is an address and not a name.
///
/// Resolvers are not asked about such hosts, so they are checked apart.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.into()),
        Host::Domain(_) => None,
    }
}

/// Whether the address belongs to the public internet, by the IANA registries of special-purpose
/// addresses.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    !matches!(
        ip.octets(),
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // NAT64: networks without IPv4 reach IPv4 hosts so, private ones included.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Special purposes (Teredo, benchmarks, ORCHID), documentation, 6to4.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_ranges_are_not_public() {
        let special = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1 \
            169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 \
            198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.1.1.1 240.0.0.1 \
            255.255.255.255 :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::10.0.0.1 \
            64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1:: 3fff::1 fc00::1 fd12::1 fe80::1 \
            fec0::1 ff02::1 4000::1";
        for text in special.split_whitespace() {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn ordinary_addresses_are_public() {
        let public = "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.0 172.15.0.1 172.32.0.1 192.0.1.1 \
            198.17.0.1 198.20.0.1 223.255.255.255 2606:4700::1111 2a00:1450::1 2001:4860::8888 \
            64:ff9b::8.8.8.8";
        for text in public.split_whitespace() {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn disguised_literals_are_seen_through() {
        let disguised = "http://127.1/ http://2130706433/ http://0x7f000001/ http://0177.0.0.1/ \
            http://[::ffff:127.0.0.1]/ http://[::1]/ http://169.254.169.254/latest";
        for text in disguised.split_whitespace() {
            let ip = literal(&Url::parse(text).unwrap()).unwrap();
            assert!(!is_public(ip), "{text}");
        }
        assert_eq!(literal(&Url::parse("http://localhost/").unwrap()), None);
    }

    #[test]
    fn mixed_answers_keep_only_public_addresses() {
        let found = ["10.0.0.1:0", "1.1.1.1:0"].map(|text| text.parse().unwrap());
        let allowed = allowed_addresses(found.into_iter(), is_public).unwrap();
        assert_eq!(allowed, [found[1]]);
        assert!(
            allowed_addresses(found[..1].iter().copied(), is_public)
                .unwrap_err()
                .is::<OnlyPrivate>()
        );
        assert_eq!(
            allowed_addresses(found.into_iter(), |_| true)
                .unwrap()
                .len(),
            2
        );
    }
}
