use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

/// The proxies in front of this one whose word about their clients counts, by their addresses.
///
/// ```
/// use launcher_proxy::TrustedProxies;
///
/// let trusted: TrustedProxies = "10.0.0.0/8, 2001:db8::/32, 192.0.2.1".parse()?;
/// assert!(trusted.contains("10.1.2.3".parse()?));
/// assert!(!trusted.contains("192.0.2.2".parse()?));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Box<[IpNet]>);

/// What is no address and no network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is neither an IP address nor a network such as 10.0.0.0/8")]
pub struct NoNetwork(String);

impl TrustedProxies {
    /// Whether `address` is one of theirs. An IPv4 address in IPv6 form is that IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for TrustedProxies {
    type Err = NoNetwork;

    /// Addresses and networks, separated by commas. An empty text trusts nobody.
    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let elements = text.split(',').map(str::trim);
        let networks = elements.filter(|element| !element.is_empty()).map(network);
        networks.collect::<Result<_, _>>().map(Self)
    }
}

fn network(text: &str) -> Result<IpNet, NoNetwork> {
    let address = |_| text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse::<IpNet>().or_else(address);
    network.map_err(|_| NoNetwork(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_any_spelling() {
        let trusted: TrustedProxies = " 10.0.0.0/8,,192.0.2.1 ,::1".parse().unwrap();
        for address in ["10.255.0.1", "::ffff:10.0.0.1", "192.0.2.1", "::1"] {
            assert!(trusted.contains(address.parse().unwrap()), "{address}");
        }
        for address in ["11.0.0.1", "192.0.2.0", "::2"] {
            assert!(!trusted.contains(address.parse().unwrap()), "{address}");
        }
        assert!("".parse::<TrustedProxies>().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_network_is_named() {
        let error = "10.0.0.1, localhost".parse::<TrustedProxies>().unwrap_err();
        assert!(error.to_string().contains("\"localhost\""), "{error}");
        assert!("10.0.0.0/33".parse::<TrustedProxies>().is_err());
    }
}
