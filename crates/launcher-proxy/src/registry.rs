use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::route_table::RouteTable;
use crate::upstream::{Address, Upstream, WeakUpstream};

/// Every upstream that the table in force names, or that still has something open.
#[derive(Default)]
pub(crate) struct Registry {
    /// Held by the table and by whatever is open, not by this. Locked by who publishes, and by who
    /// asks for numbers; never for a request.
    known: Mutex<HashMap<Arc<Address>, WeakUpstream>>,
}

impl Registry {
    /// Puts `table` in the place of `in_force`. Upstreams that are known at the same address keep
    /// their connections and counts; those that it does not lead to get nothing more when this
    /// returns, and their unused connections are closed.
    /// Returns those that served until now. `prepare` sees each of the others before anybody uses it, and whether it
    /// served before.
    pub(crate) fn publish(
        &self,
        mut table: RouteTable,
        in_force: &ArcSwap<RouteTable>,
        prepare: impl Fn(&Upstream, bool),
    ) -> Vec<Upstream> {
        let mut known = self.known.lock();
        let mut all = living(&known);
        let served = all.values().filter(|upstream| upstream.is_serving());
        let served: HashSet<_> = served.map(Upstream::address).collect();
        table.adopt(&mut all);
        table.adopt_counts(&in_force.load());
        let serving: HashSet<_> = table.upstreams().map(Upstream::address).collect();
        for upstream in table.upstreams() {
            prepare(upstream, served.contains(&upstream.address()));
        }
        table.upstreams().for_each(Upstream::serve);
        in_force.store(Arc::new(table));
        let left = all
            .iter()
            .filter(|(address, upstream)| !serving.contains(*address) && upstream.retire());
        let left = left.map(|(_, upstream)| upstream.clone()).collect();
        let weak = |(address, upstream): (_, Upstream)| (address, upstream.downgrade());
        *known = all.into_iter().map(weak).collect();
        left
    }

    pub(crate) fn get(&self, address: &Address) -> Option<Upstream> {
        let known = self.known.lock();
        known.get(address).and_then(WeakUpstream::upgrade)
    }

    pub(crate) fn all(&self) -> Vec<Upstream> {
        living(&self.known.lock()).into_values().collect()
    }
}

fn living(known: &HashMap<Arc<Address>, WeakUpstream>) -> HashMap<Arc<Address>, Upstream> {
    let living = known.iter().filter_map(|(address, upstream)| {
        let upstream = upstream.upgrade()?;
        Some((Arc::clone(address), upstream))
    });
    living.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::OpenRequest;
    use crate::route::Route;

    fn upstream(port: u16) -> Upstream {
        Upstream::new("127.0.0.1", port)
    }

    /// What `registry` knows: port, open requests, and whether it serves.
    fn known(registry: &Registry) -> Vec<(u16, usize, bool)> {
        let mut known: Vec<_> = registry.all();
        known.sort_by_key(Upstream::port);
        let line = |upstream: Upstream| {
            let stats = upstream.stats();
            (upstream.port(), stats.open_requests, stats.serving)
        };
        known.into_iter().map(line).collect()
    }

    #[test]
    fn what_is_open_is_known_until_it_ends_and_what_drains_as_long_as_it_is_named() {
        let (registry, table) = (Registry::default(), ArcSwap::default());
        let to = |ports: &[u16]| Route::to_any(ports.iter().copied().map(upstream));
        let publish = |table_of: RouteTable| registry.publish(table_of, &table, |_, _| {});
        publish(RouteTable::builder().route("a.test", to(&[1, 2])).build());
        let open = OpenRequest::begin(&registry.get(&upstream(1).address()).unwrap()).unwrap();
        let next = RouteTable::builder().route("a.test", to(&[3]));
        publish(next.draining(upstream(2)).build());
        assert_eq!(
            known(&registry),
            [(1, 1, false), (2, 0, false), (3, 0, true)]
        );
        drop(open);
        publish(RouteTable::builder().route("a.test", to(&[3])).build());
        assert_eq!(known(&registry), [(3, 0, true)]);
    }

    #[test]
    fn an_upstream_that_is_led_to_again_serves_again_with_its_counts() {
        let (registry, table) = (Registry::default(), ArcSwap::default());
        let to_one = || RouteTable::builder().route("a.test", Route::to(upstream(1)));
        registry.publish(to_one().build(), &table, |_, _| {});
        let open = OpenRequest::begin(&registry.get(&upstream(1).address()).unwrap());
        registry.publish(RouteTable::default(), &table, |_, _| {});
        assert_eq!(known(&registry), [(1, 1, false)]);
        registry.publish(to_one().draining(upstream(1)).build(), &table, |_, _| {});
        assert_eq!(known(&registry), [(1, 1, true)]);
        drop(open);
    }
}
