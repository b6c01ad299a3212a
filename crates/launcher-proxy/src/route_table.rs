use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::balance::Upstreams;
use crate::upstream::{Address, Upstream};

/// Which hostname goes where: immutable, replaced as a whole by
/// [`RouteWriter::publish`](crate::RouteWriter::publish).
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    routes: HashMap<Box<str>, Route>,
    draining: Vec<Upstream>,
}

/// Where requests for one hostname go.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Route {
    /// They are forwarded.
    To(Upstreams),
    /// They are answered 503: the hostname is known, but nothing runs behind it now.
    Unavailable {
        /// Why, in a word or two. Visitors read it.
        reason: Arc<str>,
    },
}

impl Route {
    /// Forwards to `upstream`.
    pub fn to(upstream: Upstream) -> Self {
        Self::to_any([upstream])
    }

    /// Forwards each request to one of `upstreams`: to the one with the fewest open requests and
    /// upgraded connections, in turns where several are equal. Without any it is answered 503.
    pub fn to_any(upstreams: impl IntoIterator<Item = Upstream>) -> Self {
        let upstreams = Upstreams::new(upstreams);
        if upstreams.iter().next().is_none() {
            return Self::unavailable("starting");
        }
        Self::To(upstreams)
    }

    /// Answers 503 and says why: `reason` (such as `stopped`) is shown to visitors.
    pub fn unavailable(reason: impl Into<Arc<str>>) -> Self {
        Self::Unavailable {
            reason: reason.into(),
        }
    }
}

impl RouteTable {
    /// Starts an empty table.
    pub fn builder() -> RouteTableBuilder {
        RouteTableBuilder::default()
    }

    /// The route of `host`, written as in a `Host` header: port, letter case and one trailing dot do
    /// not matter, and an IPv6 literal keeps its brackets (`[::1]:8080`).
    pub fn lookup(&self, host: &str) -> Option<&Route> {
        self.routes.get(&*normalized(host))
    }

    /// How many hostnames have a route.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether no hostname has a route.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Lets everything to one address use one [`Upstream`]: the one in `known`, or the first met,
    /// which is entered there. So a new table does not cost every app its warm connections.
    pub(crate) fn adopt(&mut self, known: &mut HashMap<Arc<Address>, Upstream>) {
        let routed = self.routes.values_mut().filter_map(|route| match route {
            Route::To(upstreams) => Some(upstreams.iter_mut()),
            Route::Unavailable { .. } => None,
        });
        for upstream in routed.flatten().chain(&mut self.draining) {
            *upstream = known
                .entry(upstream.address())
                .or_insert_with(|| upstream.clone())
                .clone();
        }
    }

    /// Those that routes lead to; one for each route.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &Upstream> {
        let routed = self.routes.values().filter_map(|route| match route {
            Route::To(upstreams) => Some(upstreams.iter()),
            Route::Unavailable { .. } => None,
        });
        routed.flatten()
    }
}

/// Collects routes for a [`RouteTable`].
#[derive(Debug, Default)]
pub struct RouteTableBuilder {
    routes: HashMap<Box<str>, Route>,
    draining: Vec<Upstream>,
}

impl RouteTableBuilder {
    /// Adds the route of `hostname`; the last one for a hostname counts. A port is ignored.
    #[must_use]
    pub fn route(mut self, hostname: &str, route: Route) -> Self {
        self.routes.insert(normalized(hostname).into(), route);
        self
    }

    /// Names an upstream that is being taken out of service. Like each one that no route leads to
    /// any more it gets no new requests, its unused connections are closed, and open requests and
    /// upgraded connections go on until they end. This one's numbers stay to be read
    /// ([`Proxy::upstream_stats`](crate::Proxy::upstream_stats)) when they are down to 0, too. If a
    /// route leads to it nevertheless, it serves.
    #[must_use]
    pub fn draining(mut self, upstream: Upstream) -> Self {
        self.draining.push(upstream);
        self
    }

    /// The finished table. Routes to one address share its connections.
    pub fn build(self) -> RouteTable {
        let mut table = RouteTable {
            routes: self.routes,
            draining: self.draining,
        };
        table.adopt(&mut HashMap::new());
        table
    }
}

impl<H: AsRef<str>> Extend<(H, Route)> for RouteTableBuilder {
    fn extend<I: IntoIterator<Item = (H, Route)>>(&mut self, routes: I) {
        let normal = |(hostname, route): (H, Route)| (normalized(hostname.as_ref()).into(), route);
        self.routes.extend(routes.into_iter().map(normal));
    }
}

/// The form in which hostnames are compared. Borrowed in the usual case of a lower-case `Host`.
fn normalized(host: &str) -> Cow<'_, str> {
    let host = without_port(host.trim());
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// `host` up to its port. The colons within the brackets of an IPv6 literal are not before a port.
pub(crate) fn without_port(host: &str) -> &str {
    let literal_end = host.rfind(']').map_or(0, |bracket| bracket + 1);
    match host[literal_end..].find(':') {
        Some(colon) => &host[..literal_end + colon],
        None => host,
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
            assert!(table.lookup(host).is_some(), "{host}");
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
            assert!(table.lookup(host).is_none(), "{host}");
        }
    }

    #[test]
    fn the_table_takes_names_in_any_form() {
        assert!(
            table("APP.example.com.:80")
                .lookup("app.example.com")
                .is_some()
        );
    }

    #[test]
    fn an_ipv6_literal_keeps_its_colons() {
        let table = table("[2001:DB8::1]");
        assert!(table.lookup("[2001:db8::1]:8080").is_some());
        assert!(table.lookup("[2001:db8::1]").is_some());
        assert!(table.lookup("[2001:db8::2]").is_none());
        assert!(table.lookup("[2001").is_none());
    }

    #[test]
    fn the_last_route_of_a_hostname_counts() {
        let table = RouteTable::builder()
            .route("a.test", Route::unavailable("first"))
            .route("A.test", Route::unavailable("second"))
            .build();
        assert_eq!(table.len(), 1);
        let Some(Route::Unavailable { reason }) = table.lookup("a.test") else {
            panic!()
        };
        assert_eq!(&**reason, "second");
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
        match table.lookup(host) {
            Some(Route::To(upstreams)) => upstreams.iter().next().unwrap(),
            other => panic!("{other:?}"),
        }
    }
}
