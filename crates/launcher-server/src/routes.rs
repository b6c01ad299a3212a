//! From the launcher's routes to the proxy's table.

use std::{collections::HashMap, sync::Mutex};

use launcher_core::{
    InstanceView, Status,
    routing::{self, Backend, Route, Target},
};
use launcher_proxy::{RouteTable, RouteWriter, Upstream};

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
        table.route(route.hostname.as_str(), proxy_route(&route.target))
    });
    table.build()
}

fn proxy_route(target: &Target) -> launcher_proxy::Route {
    match target {
        Target::Backends { serving, .. } => match &serving[..] {
            [Backend { host, port }, ..] => {
                launcher_proxy::Route::to(Upstream::new(host.as_str(), *port))
            }
            [] => launcher_proxy::Route::unavailable(Status::Creating.as_str()),
        },
        Target::Unavailable(status) => launcher_proxy::Route::unavailable(status.as_str()),
    }
}
