use std::collections::HashMap;
use std::sync::Arc;

use crate::hostname::{normalized, parents};
use crate::meter::Meter;
use crate::route::{Route, Site};
use crate::upstream::{Address, Upstream};

/// Which hostname goes where: immutable, replaced as a whole by
/// [`RouteWriter::publish`](crate::RouteWriter::publish).
///
/// A request belongs to the site of its hostname; without one, to that of the nearest domain above it that has a
/// wildcard (`*.example.com` is for `a.example.com` and `a.b.example.com`, not for `example.com`); without one, to
/// the default site. Where a hostname has sites for paths, the longest prefix of the request's path counts, in whole
/// segments; where none is one, the hostname counts as not there.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    exact: HashMap<Box<str>, Paths>,
    /// By the domain that comes after `*.`.
    wildcards: HashMap<Box<str>, Paths>,
    default: Option<Site>,
    draining: Vec<Upstream>,
}

/// What the default site has for an address.
const DEFAULT_SITE: &str = "(default)";

/// The sites of one hostname: path prefixes, the longest first, without a slash at their ends.
#[derive(Debug, Clone, Default)]
struct Paths(Vec<(Box<str>, Site)>);

/// The site that a request belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'table> {
    pub(crate) site: &'table Site,
    /// The prefix under which the site is; empty for all of a hostname.
    pub(crate) prefix: &'table str,
    host: Host<'table>,
}

/// Which hosts a site is for.
#[derive(Debug, Clone, Copy)]
enum Host<'table> {
    One(&'table str),
    Below(&'table str),
    Others,
}

impl RouteTable {
    /// Starts an empty table.
    pub fn builder() -> RouteTableBuilder {
        RouteTableBuilder::default()
    }

    /// The site of requests for `path` at `host`, written as in a `Host` header: port, letter case and one trailing
    /// dot do not matter, and an IPv6 literal keeps its brackets (`[::1]:8080`).
    pub fn lookup(&self, host: &str, path: &str) -> Option<&Site> {
        self.find(host, path).map(|found| found.site)
    }

    pub(crate) fn find(&self, host: &str, path: &str) -> Option<Found<'_>> {
        let host = normalized(host);
        let exact = self.exact.get_key_value(&*host);
        let below = || {
            let domains = (!self.wildcards.is_empty()).then(|| parents(&host));
            let mut domains = domains.into_iter().flatten();
            domains.find_map(|domain| {
                let (domain, paths) = self.wildcards.get_key_value(domain)?;
                paths.find(path, Host::Below(domain))
            })
        };
        let all = || {
            let site = self.default.as_ref()?;
            let (prefix, host) = ("", Host::Others);
            Some(Found { site, prefix, host })
        };
        exact
            .and_then(|(host, paths)| paths.find(path, Host::One(host)))
            .or_else(below)
            .or_else(all)
    }

    /// How many hostnames have a site, each wildcard counted as one.
    pub fn len(&self) -> usize {
        self.exact.len() + self.wildcards.len()
    }

    /// Whether no hostname has a site.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets everything to one address use one [`Upstream`]: the one in `known`, or the first met,
    /// which is entered there. So a new table does not cost every app its warm connections.
    pub(crate) fn adopt(&mut self, known: &mut HashMap<Arc<Address>, Upstream>) {
        let named = self.exact.values_mut().chain(self.wildcards.values_mut());
        let sites = named.flat_map(|paths| paths.0.iter_mut().map(|(_, site)| site));
        let routes = sites.chain(&mut self.default).map(|site| &mut site.route);
        let upstreams = routes.filter_map(|route| match route {
            Route::To(upstreams) => Some(upstreams.iter_mut()),
            Route::Redirect(_) | Route::Unavailable(_) => None,
        });
        for upstream in upstreams.flatten().chain(&mut self.draining) {
            *upstream = known
                .entry(upstream.address())
                .or_insert_with(|| upstream.clone())
                .clone();
        }
    }

    /// Whether `upstream` drains, wherever it was led to.
    pub(crate) fn lets_drain(&self, upstream: &Upstream) -> bool {
        self.draining.contains(upstream)
    }

    /// Lets each site go on where the one at its address in `last` was: it counts on, and clients that its limits
    /// have met do not begin anew.
    pub(crate) fn adopt_counts(&mut self, last: &Self) {
        let named = [
            (&mut self.exact, &last.exact),
            (&mut self.wildcards, &last.wildcards),
        ];
        for (hosts, known) in named {
            for (host, paths) in hosts {
                if let Some(known) = known.get(host) {
                    paths.adopt_counts(known);
                }
            }
        }
        if let (Some(site), Some(known)) = (&mut self.default, &last.default) {
            site.adopt(known);
        }
    }

    /// The meters of all sites, with their addresses. That of the default site is `(default)`.
    pub(crate) fn meters(&self) -> impl Iterator<Item = (String, &Meter)> {
        let exact = self.exact.iter().map(|(host, paths)| ("", host, paths));
        let wildcards = self.wildcards.iter();
        let named = exact.chain(wildcards.map(|(domain, paths)| ("*.", domain, paths)));
        let named = named.flat_map(|(star, host, paths)| {
            let address = move |prefix: &str| format!("{star}{host}{prefix}");
            let sites = paths.0.iter();
            sites.map(move |(prefix, site)| (address(prefix), &*site.meter))
        });
        let default = self.default.iter();
        named.chain(default.map(|site| (DEFAULT_SITE.to_owned(), &*site.meter)))
    }

    /// Those that routes lead to; one for each route.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &Upstream> {
        let named = self.exact.values().chain(self.wildcards.values());
        let sites = named.flat_map(|paths| paths.0.iter().map(|(_, site)| site));
        let routes = sites.chain(&self.default).map(|site| &site.route);
        let upstreams = routes.filter_map(|route| match route {
            Route::To(upstreams) => Some(upstreams.serving()),
            Route::Redirect(_) | Route::Unavailable(_) => None,
        });
        upstreams.flatten()
    }
}

impl Found<'_> {
    /// The site's address, as [`RouteTable::meters`] has it.
    pub(crate) fn address(&self) -> String {
        match self.host {
            Host::One(host) => format!("{host}{}", self.prefix),
            Host::Below(domain) => format!("*.{domain}{}", self.prefix),
            Host::Others => DEFAULT_SITE.to_owned(),
        }
    }
}

impl Paths {
    fn find<'table>(&'table self, path: &str, host: Host<'table>) -> Option<Found<'table>> {
        let (prefix, site) = self.0.iter().find(|(prefix, _)| is_below(path, prefix))?;
        Some(Found { site, prefix, host })
    }

    fn adopt_counts(&mut self, last: &Self) {
        for (prefix, site) in &mut self.0 {
            let known = last.0.iter().find(|(known, _)| known == prefix);
            if let Some((_, known)) = known {
                site.adopt(known);
            }
        }
    }

    /// The last one for a prefix counts.
    fn insert(&mut self, prefix: &str, site: Site) {
        self.0.retain(|(known, _)| **known != *prefix);
        let longer = |(known, _): &(Box<str>, Site)| known.len() > prefix.len();
        let at = self.0.partition_point(longer);
        self.0.insert(at, (prefix.into(), site));
    }
}

/// A site that may be a copy of one at another address.
fn counted_alone(mut site: Site) -> Site {
    site.meter = Arc::default();
    site
}

/// Whether `path` is `prefix` or below it.
fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

/// Collects sites for a [`RouteTable`].
#[derive(Debug, Default)]
pub struct RouteTableBuilder {
    table: RouteTable,
}

impl RouteTableBuilder {
    /// Adds a route with the defaults of a [`Site`].
    #[must_use]
    pub fn route(self, address: &str, route: Route) -> Self {
        self.site(address, route)
    }

    /// Adds the site at `address`: a hostname (`app.example.com`), all names below a domain (`*.example.com`), or
    /// a path there (`app.example.com/docs`). The last one for an address counts. A port is ignored.
    #[must_use]
    pub fn site(mut self, address: &str, site: impl Into<Site>) -> Self {
        let (host, prefix) = address
            .find('/')
            .map_or((address, ""), |at| address.split_at(at));
        let host = normalized(host);
        let paths = match host.strip_prefix("*.") {
            Some(domain) => self.table.wildcards.entry(domain.into()).or_default(),
            None => self.table.exact.entry((*host).into()).or_default(),
        };
        paths.insert(prefix.trim_end_matches('/'), counted_alone(site.into()));
        self
    }

    /// The site of all hostnames that have none.
    #[must_use]
    pub fn default_site(mut self, site: impl Into<Site>) -> Self {
        self.table.default = Some(counted_alone(site.into()));
        self
    }

    /// Names an upstream that is being taken out of service. Like each one that no route leads to
    /// any more it gets no new requests, its unused connections are closed, and open requests and
    /// upgraded connections go on until they end. This one's numbers stay to be read
    /// ([`Proxy::upstream_stats`](crate::Proxy::upstream_stats)) when they are down to 0, too. If a
    /// route leads to it nevertheless, it serves.
    #[must_use]
    pub fn draining(mut self, upstream: Upstream) -> Self {
        self.table.draining.push(upstream);
        self
    }

    /// The finished table. Routes to one address share its connections.
    pub fn build(mut self) -> RouteTable {
        self.table.adopt(&mut HashMap::new());
        self.table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(hostname: &str) -> RouteTable {
        RouteTable::builder()
            .route(hostname, Route::unavailable("stopped"))
            .build()
    }

    #[test]
    fn a_host_is_found_however_it_is_written() {
        let table = table("app.example.com");
        for host in [
            "app.example.com",
            "APP.Example.COM",
            "app.example.com:8080",
            "app.example.com.",
            "App.example.com.:443",
            "app.example.com:",
        ] {
            assert!(table.lookup(host, "/").is_some(), "{host}");
        }
    }

    #[test]
    fn another_host_is_not_found() {
        let table = table("app.example.com");
        for host in [
            "",
            "example.com",
            "x.app.example.com",
            "app.example.com..",
            "app.example.co",
        ] {
            assert!(table.lookup(host, "/").is_none(), "{host}");
        }
    }

    #[test]
    fn the_table_takes_names_in_any_form() {
        assert!(
            table("APP.example.com.:80")
                .lookup("app.example.com", "/")
                .is_some()
        );
    }

    #[test]
    fn an_ipv6_literal_keeps_its_colons() {
        let table = table("[2001:DB8::1]");
        assert!(table.lookup("[2001:db8::1]:8080", "/").is_some());
        assert!(table.lookup("[2001:db8::1]", "/").is_some());
        assert!(table.lookup("[2001:db8::2]", "/").is_none());
        assert!(table.lookup("[2001", "/").is_none());
    }

    #[test]
    fn the_last_route_of_a_hostname_counts() {
        let table = RouteTable::builder()
            .route("a.test", Route::unavailable("first"))
            .route("A.test", Route::unavailable("second"))
            .build();
        assert_eq!(table.len(), 1);
        assert_eq!(reason(&table, "a.test", "/"), Some("second"));
    }

    #[test]
    fn routes_to_one_address_share_an_upstream() {
        let table = RouteTable::builder()
            .route("a.test", Route::to(Upstream::new("127.0.0.1", 1)))
            .route("b.test", Route::to(Upstream::new("127.0.0.1", 1)))
            .route("c.test", Route::to(Upstream::new("127.0.0.1", 2)))
            .build();
        assert!(upstream(&table, "a.test").is_same(upstream(&table, "b.test")));
        assert!(!upstream(&table, "a.test").is_same(upstream(&table, "c.test")));
    }

    #[test]
    fn a_new_table_takes_over_the_upstreams_of_the_last() {
        let to = |port| Route::to(Upstream::new("127.0.0.1", port));
        let last = RouteTable::builder().route("a.test", to(1)).build();
        let mut next = RouteTable::builder()
            .route("a.test", to(1))
            .route("b.test", to(2))
            .build();
        assert!(!upstream(&last, "a.test").is_same(upstream(&next, "a.test")));
        let known = |known: &Upstream| (known.address(), known.clone());
        next.adopt(&mut last.upstreams().map(known).collect());
        assert!(upstream(&last, "a.test").is_same(upstream(&next, "a.test")));
    }

    fn upstream<'a>(table: &'a RouteTable, host: &str) -> &'a Upstream {
        match table.lookup(host, "/").map(|site| &site.route) {
            Some(Route::To(upstreams)) => upstreams.serving().next().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// What tells the sites of these tests apart.
    fn reason<'a>(table: &'a RouteTable, host: &str, path: &str) -> Option<&'a str> {
        match &table.lookup(host, path)?.route {
            Route::Unavailable(outage) => Some(outage.reason()),
            other @ (Route::To(_) | Route::Redirect(_)) => panic!("{other:?}"),
        }
    }

    fn of(addresses: &[&str]) -> RouteTable {
        let add = |table: RouteTableBuilder, address: &&str| {
            table.route(address, Route::unavailable(*address))
        };
        addresses.iter().fold(RouteTable::builder(), add).build()
    }

    #[test]
    fn the_nearest_wildcard_is_for_names_below_it() {
        let table = of(&["*.example.com", "*.b.example.com", "a.example.com"]);
        let at = |host| reason(&table, host, "/");
        assert_eq!(at("a.example.com"), Some("a.example.com"));
        assert_eq!(at("x.example.com:80"), Some("*.example.com"));
        assert_eq!(at("x.y.example.com"), Some("*.example.com"));
        assert_eq!(at("x.B.example.com"), Some("*.b.example.com"));
        assert_eq!(at("b.example.com"), Some("*.example.com"));
        assert_eq!(at("example.com"), None);
        assert_eq!(at("xexample.com"), None);
    }

    #[test]
    fn the_default_site_is_for_everybody_else() {
        let table = RouteTable::builder()
            .route("a.test", Route::unavailable("a"))
            .default_site(Route::unavailable("default"))
            .build();
        assert_eq!(reason(&table, "a.test", "/"), Some("a"));
        assert_eq!(reason(&table, "b.test", "/"), Some("default"));
        assert_eq!(reason(&table, "", "/"), Some("default"));
    }

    #[test]
    fn the_longest_prefix_in_whole_segments_counts() {
        let table = of(&["a.test/docs", "a.test/docs/old/", "a.test/x", "*.test"]);
        let at = |path| table.find("a.test", path).map(|found| found.prefix);
        assert_eq!(at("/docs"), Some("/docs"));
        assert_eq!(at("/docs/"), Some("/docs"));
        assert_eq!(at("/docs/older"), Some("/docs"));
        assert_eq!(at("/docs/old"), Some("/docs/old"));
        assert_eq!(at("/docs/old/1"), Some("/docs/old"));
        // The wildcard has all paths.
        assert_eq!(at("/docsx"), Some(""));
        assert_eq!(reason(&table, "a.test", "/docsx"), Some("*.test"));
        assert_eq!(reason(&of(&["a.test/docs"]), "a.test", "/"), None);
    }

    mod against_a_plain_model {
        use proptest::prelude::*;

        use super::*;

        /// Looks at every address and takes the one that says most.
        fn expected<'a>(addresses: &'a [String], host: &str, path: &str) -> Option<&'a str> {
            let score = |address: &str| {
                let (name, prefix) = address
                    .find('/')
                    .map_or((address, ""), |at| address.split_at(at));
                let rank = match name.strip_prefix("*.") {
                    Some(domain) if host.ends_with(&format!(".{domain}")) => domain.len(),
                    None if name == host => usize::MAX,
                    _ => return None,
                };
                let below = path == prefix || path.starts_with(&format!("{prefix}/"));
                below.then_some((rank, prefix.len()))
            };
            let scored = addresses
                .iter()
                .filter_map(|address| Some((score(address)?, address)));
            // The last of equals, as in the table.
            scored
                .max_by_key(|(score, _)| *score)
                .map(|(_, address)| address.as_str())
        }

        proptest! {
            #[test]
            fn finds_the_same(
                addresses in prop::collection::vec(r"(\*\.)?([ab]\.){0,3}[ab](/[xy]){0,2}", 0..12),
                host in r"([ab]\.){0,4}[ab]",
                path in r"(/[xy]){1,3}/?",
            ) {
                let names: Vec<&str> = addresses.iter().map(String::as_str).collect();
                let table = of(&names);
                prop_assert_eq!(reason(&table, &host, &path), expected(&addresses, &host, &path));
            }
        }
    }
}
