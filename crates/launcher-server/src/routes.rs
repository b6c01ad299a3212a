//! From the launcher's routes to the proxy's table.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use launcher_core::{
    InstanceView,
    routing::{self, Backend, Route, RouteBoard, RouteChanges, RouteDocument, Target},
};
use launcher_proxy::{Replica, RouteTable, RouteTableBuilder, RouteWriter, Upstream};

/// Keeps the proxy's table, and what is told of it elsewhere, as the instances are.
pub(crate) struct Routes {
    board: Arc<RouteBoard>,
    state: Mutex<State>,
}

struct State {
    writer: RouteWriter,
    by_instance: HashMap<String, Vec<Route>>,
}

impl Routes {
    pub(crate) fn new(writer: RouteWriter, board: Arc<RouteBoard>) -> Self {
        Self {
            board,
            state: Mutex::new(State {
                writer,
                by_instance: HashMap::new(),
            }),
        }
    }

    /// Takes over an instance's routes; the next request goes by them.
    pub(crate) fn instance_changed(&self, id: &str, view: Option<&InstanceView>) -> RouteChanges {
        let routes = view.map(routing::routes).unwrap_or_default();
        let documents = routes.iter().map(RouteDocument::from).collect();
        self.enter(id, routes);
        match view {
            Some(view) => self.board.replace(id, documents, view.observed.is_seen),
            None => self.board.remove(id),
        }
    }

    fn enter(&self, id: &str, routes: Vec<Route>) {
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

/// The table that these make. What has no place in a table is left out.
pub(crate) fn table_of(documents: &[RouteDocument]) -> RouteTable {
    let add = |table: RouteTableBuilder, document: &RouteDocument| {
        table.route(&document.hostname, proxy_route(&document.target()))
    };
    documents.iter().fold(RouteTable::builder(), add).build()
}

fn table<'a>(routes: impl Iterator<Item = &'a Route>) -> RouteTable {
    let add = |table: RouteTableBuilder, route: &Route| {
        table.route(route.hostname.as_str(), proxy_route(&route.target))
    };
    routes.fold(RouteTable::builder(), add).build()
}

fn proxy_route(target: &Target) -> launcher_proxy::Route {
    match target {
        Target::Backends { serving, draining } => {
            let (serving, draining) = (serving.iter(), draining.iter());
            launcher_proxy::Route::switched(serving.map(replica), draining.map(replica))
        }
        Target::Unavailable(why) => launcher_proxy::Route::unavailable(*why),
    }
}

fn replica(backend: &Backend) -> Replica {
    let upstream = Upstream::new(backend.host.as_str(), backend.port);
    Replica::new(upstream, backend.release.to_string())
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
            release: 1,
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
