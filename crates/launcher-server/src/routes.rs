//! From the launcher's routes to the proxy's table.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use launcher_core::{
    InstanceView, SiteAddress, SiteOptions,
    routing::{self, Page, RouteBoard, RouteChanges, RouteDocument, UpstreamDocument},
};
use launcher_proxy::{
    Outage, Redirect, Replica, Route, RouteTable, RouteTableBuilder, RouteWriter, Site,
    SiteSettings, Upstream,
};

/// Keeps the proxy's table, and what is told of it elsewhere, as the instances are.
pub(crate) struct Routes {
    board: Arc<RouteBoard>,
    /// Whose app gets requests for hostnames that nobody has.
    default: Option<String>,
    state: Mutex<State>,
}

struct State {
    tables: Tables,
    by_instance: HashMap<String, Vec<RouteDocument>>,
}

impl Routes {
    pub(crate) fn new(
        tables: Tables,
        board: Arc<RouteBoard>,
        default: Option<&SiteAddress>,
    ) -> Self {
        Self {
            board,
            default: default.map(ToString::to_string),
            state: Mutex::new(State {
                tables,
                by_instance: HashMap::new(),
            }),
        }
    }

    /// Takes over an instance's routes; the next request goes by them.
    pub(crate) fn instance_changed(&self, id: &str, view: Option<&InstanceView>) -> RouteChanges {
        let mut routes = view.map(routing::routes).unwrap_or_default();
        for route in &mut routes {
            route.is_default = self.default.as_ref() == Some(&route.hostname);
        }
        self.enter(id, routes.clone());
        match view {
            Some(view) => self.board.replace(id, routes, view.observed.is_seen),
            None => self.board.remove(id),
        }
    }

    fn enter(&self, id: &str, routes: Vec<RouteDocument>) {
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
        let all = state.by_instance.values().flatten();
        // What the launcher comes upon when it starts may have run for long.
        match self.board.is_settled() {
            true => state.tables.publish(all),
            false => state.tables.publish_settled(all),
        }
    }
}

/// Makes the proxy's tables.
pub(crate) struct Tables {
    writer: RouteWriter,
    /// What holds for sites that say nothing else.
    settings: Arc<SiteSettings>,
    /// The launcher's own hostname, and what answers there.
    own: Option<(String, Upstream)>,
}

impl Tables {
    pub(crate) fn new(writer: RouteWriter, settings: Arc<SiteSettings>) -> Self {
        Self {
            writer,
            settings,
            own: None,
        }
    }

    /// With the launcher itself at this hostname, whoever else may have it.
    pub(crate) fn with_own(mut self, own: Option<(String, Upstream)>) -> Self {
        self.own = own;
        self
    }

    /// Puts these in force, instead of those that were. What has no place in a table is left out.
    pub(crate) fn publish<'a>(&self, documents: impl IntoIterator<Item = &'a RouteDocument>) {
        self.writer.publish(self.table(documents));
    }

    /// The same where servers that are new in it may have run for long.
    pub(crate) fn publish_settled<'a>(
        &self,
        documents: impl IntoIterator<Item = &'a RouteDocument>,
    ) {
        self.writer.publish_settled(self.table(documents));
    }

    fn table<'a>(&self, documents: impl IntoIterator<Item = &'a RouteDocument>) -> RouteTable {
        let add = |table: RouteTableBuilder, document: &RouteDocument| {
            let site = site(document, &self.settings);
            let table = match document.is_default {
                true => table.default_site(site.clone()),
                false => table,
            };
            table.site(&document.hostname, site)
        };
        let table = documents.into_iter().fold(RouteTable::builder(), add);
        let own = self.own.iter().cloned();
        let table = own.fold(table, |table, (hostname, upstream)| {
            // Tickets of terminals, and what stands for uploads and webhooks.
            table.site(
                &hostname,
                Site::new(Route::to(upstream)).with_secret_paths(),
            )
        });
        table.build()
    }
}

fn site(document: &RouteDocument, settings: &SiteSettings) -> Site {
    let options = &document.options;
    let mut site = Site::new(route(document)).of_app(document.instance_id.as_str());
    if options.strip_prefix {
        site = site.stripping_prefix();
    }
    if options.https {
        site = site.https_only();
    }
    if let Some(seconds) = options.hsts_max_age {
        site = site.with_hsts(Duration::from_secs(seconds.into()));
    }
    let own = settings_of(options, settings);
    match own == *settings {
        true => site,
        false => site.with_settings(own),
    }
}

fn settings_of(options: &SiteOptions, settings: &SiteSettings) -> SiteSettings {
    let time = |milliseconds: Option<u32>, otherwise| {
        let own = milliseconds.map(|ms| Duration::from_millis(ms.into()));
        own.unwrap_or(otherwise)
    };
    let header_bytes = options.max_header_bytes.map(|bytes| bytes as usize);
    SiteSettings {
        connect: time(options.connect_timeout_ms, settings.connect),
        response: time(options.response_timeout_ms, settings.response),
        body_idle: time(options.body_idle_timeout_ms, settings.body_idle),
        header_bytes: header_bytes.or(settings.header_bytes),
        body_bytes: options.max_body_bytes.or(settings.body_bytes),
        client_requests: options.client_requests.or(settings.client_requests),
        client_connections: options.client_connections.or(settings.client_connections),
        ..settings.clone()
    }
}

fn route(document: &RouteDocument) -> Route {
    let options = &document.options;
    let redirect = options.redirect_to.as_deref().and_then(Redirect::to);
    if let Some(redirect) = redirect {
        return Route::Redirect(match options.redirect_permanent {
            true => redirect.permanent(),
            false => redirect,
        });
    }
    if document.serving().next().is_some() {
        let (serving, draining) = (document.serving(), document.draining());
        return Route::switched(serving.map(replica), draining.map(replica));
    }
    Route::Unavailable(match document.page {
        None | Some(Page::Starting) => {
            Outage::Starting(document.progress.as_deref().map(Into::into))
        }
        Some(Page::Stopped) => Outage::Stopped,
        Some(Page::Crashed) => Outage::Crashed,
        Some(Page::Maintenance) => Outage::Maintenance,
        Some(page @ Page::Removing) => Outage::Other(page.as_str().into()),
    })
}

fn replica(upstream: &UpstreamDocument) -> Replica {
    let address = Upstream::new(upstream.host.as_str(), upstream.port);
    // The first release has the number 0, as have all of which nobody has said it.
    Replica::new(address, upstream.release.to_string())
}

#[cfg(test)]
mod tests {
    use launcher_core::{OpenConnections, Traffic, routing::UpstreamState};
    use launcher_proxy::{Config, Proxy};

    use super::*;
    use crate::traffic::ProxyTraffic;

    fn document(hostname: &str, upstreams: &[(u16, UpstreamState)]) -> RouteDocument {
        let upstream = |(port, state): &(u16, UpstreamState)| UpstreamDocument {
            host: "127.0.0.1".to_owned(),
            port: *port,
            state: *state,
            release: 1,
        };
        RouteDocument {
            hostname: hostname.to_owned(),
            instance_id: "todos".to_owned(),
            upstreams: upstreams.iter().map(upstream).collect(),
            page: upstreams.is_empty().then_some(Page::Stopped),
            progress: None,
            options: SiteOptions::default(),
            is_default: false,
        }
    }

    #[test]
    fn paths_of_the_launcher_itself_are_not_logged() {
        let (_proxy, writer) = Proxy::new(Config::default());
        let own = ("launcher.test".to_owned(), Upstream::new("127.0.0.1", 1));
        let tables = Tables::new(writer, Arc::default()).with_own(Some(own));
        let table = tables.table(&[document("a.test", &[])]);
        let secret = |host| table.lookup(host, "/").unwrap().secret_paths;
        assert_eq!([secret("launcher.test"), secret("a.test")], [true, false]);
    }

    #[test]
    fn a_hostname_leads_to_all_backends_that_serve_and_those_that_drain_stay_known() {
        use UpstreamState::{Draining, Serving};
        let (proxy, writer) = Proxy::new(Config::default());
        let tables = Tables::new(writer, Arc::default());
        let switched = [(1, Serving), (2, Serving), (3, Draining)];
        tables.publish(&[
            document("a.test", &switched),
            document("b.test", &switched),
            document("c.test", &[]),
        ]);
        let serving = |port| {
            let stats = proxy.upstream_stats("127.0.0.1", port);
            stats.map(|stats| stats.serving)
        };
        let all = [1, 2, 3, 4].map(serving);
        assert_eq!(all, [Some(true), Some(true), Some(false), None]);
        let open = ProxyTraffic::new(proxy.clone()).open("127.0.0.1", 3);
        assert_eq!(open, OpenConnections::default());
    }

    #[test]
    fn what_a_site_does_not_say_holds_for_it_as_for_all() {
        let general = SiteSettings {
            client_requests: Some(9),
            ..SiteSettings::default()
        };
        let options = SiteOptions {
            response_timeout_ms: Some(1_500),
            ..SiteOptions::default()
        };
        let own = settings_of(&options, &general);
        assert_eq!(own.response, Duration::from_millis(1_500));
        assert_eq!(own.client_requests, Some(9));
        assert_eq!(settings_of(&SiteOptions::default(), &general), general);
    }
}
