//! From the launcher's routes to the proxy's table.

use std::{collections::HashMap, sync::Mutex};

use launcher_core::{
    InstanceView,
    routing::{self, Backend, Route, Target},
};
use launcher_proxy::{RouteTable, RouteTableBuilder, RouteWriter, Upstream};

/// Keeps the proxy's table as the instances are.
pub(crate) struct Routes {
    state: Mutex<State>,
}

struct State {
    writer: RouteWriter,
    by_instance: HashMap<String, Vec<Route>>,
}

impl Routes {
    pub(crate) fn new(writer: RouteWriter) -> Self {
        Self {
            state: Mutex::new(State {
                writer,
                by_instance: HashMap::new(),
            }),
        }
    }

    /// Takes over an instance's routes; the next request goes by them.
    pub(crate) fn instance_changed(&self, id: &str, view: Option<&InstanceView>) {
        let routes = view.map(routing::routes).unwrap_or_default();
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.by_instance.get(id).map_or(&[][..], Vec::as_slice) == routes {
            return;
        }
        if routes.is_empty() {
            state.by_instance.remove(id);
        } else {
            state.by_instance.insert(id.to_owned(), routes);
        }
        state
            .writer
            .publish(table(state.by_instance.values().flatten()));
    }
}

fn table<'a>(routes: impl Iterator<Item = &'a Route>) -> RouteTable {
    let table = routes.fold(RouteTable::builder(), |table, route| {
        let table = table.route(route.hostname.as_str(), proxy_route(&route.target));
        let drained = draining(&route.target).iter().map(upstream);
        drained.fold(table, RouteTableBuilder::draining)
    });
    table.build()
}

fn proxy_route(target: &Target) -> launcher_proxy::Route {
    match target {
        Target::Backends { serving, .. } => {
            launcher_proxy::Route::to_any(serving.iter().map(upstream))
        }
        Target::Unavailable(why) => launcher_proxy::Route::unavailable(*why),
    }
}

fn draining(target: &Target) -> &[Backend] {
    match target {
        Target::Backends { draining, .. } => draining,
        Target::Unavailable(_) => &[],
    }
}

fn upstream(backend: &Backend) -> Upstream {
    Upstream::new(backend.host.as_str(), backend.port)
}

#[cfg(test)]
mod tests {
    use launcher_core::{Hostname, OpenConnections, Traffic};
    use launcher_proxy::{Config, Proxy};

    use super::*;
    use crate::traffic::ProxyTraffic;

    fn backend(port: u16) -> Backend {
        Backend {
            host: "127.0.0.1".to_owned(),
            port,
        }
    }

    fn route(hostname: &str, target: Target) -> Route {
        Route {
            hostname: Hostname::parse(hostname).unwrap(),
            instance: "todos".to_owned(),
            target,
        }
    }

    #[test]
    fn a_hostname_leads_to_all_backends_that_serve_and_those_that_drain_stay_known() {
        let (proxy, writer) = Proxy::new(Config::default());
        let switched = Target::Backends {
            serving: vec![backend(1), backend(2)],
            draining: vec![backend(3)],
        };
        let routes = [
            route("a.test", switched.clone()),
            route("b.test", switched),
            route("c.test", Target::Unavailable("stopped")),
        ];
        writer.publish(table(routes.iter()));
        let serving = |port| {
            let stats = proxy.upstream_stats("127.0.0.1", port);
            stats.map(|stats| stats.serving)
        };
        let all = [1, 2, 3, 4].map(serving);
        assert_eq!(all, [Some(true), Some(true), Some(false), None]);
        let open = ProxyTraffic::new(proxy.clone()).open("127.0.0.1", 3);
        assert_eq!(open, OpenConnections::default());
    }
}
