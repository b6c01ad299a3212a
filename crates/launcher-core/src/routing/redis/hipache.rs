//! Hipache's schema: for each hostname one list, `frontend:<hostname>`, of an identifier and the backends behind it.

use url::Url;

use crate::{
    SiteOptions,
    routing::{RouteDocument, UpstreamDocument, UpstreamState},
};

/// What the names of its lists begin with.
pub(super) const FRONTEND: &str = "frontend:";

/// The list of a hostname.
pub(super) fn frontend(hostname: &str) -> String {
    format!("{FRONTEND}{hostname}")
}

/// The set of its backends that Hipache has seen failing.
pub(super) fn dead(hostname: &str) -> String {
    format!("dead:{hostname}")
}

/// Whether the schema has a place for the address: it knows no paths.
pub(super) fn can_have(address: &str) -> bool {
    !address.contains('/')
}

/// The list: the instance's id, then the backends that serve, none where a page is shown.
pub(super) fn list(route: &RouteDocument) -> Vec<String> {
    let backends = route.serving().map(backend);
    std::iter::once(route.instance_id.clone())
        .chain(backends)
        .collect()
}

fn backend(upstream: &UpstreamDocument) -> String {
    let UpstreamDocument { host, port, .. } = upstream;
    match host.contains(':') {
        true => format!("http://[{host}]:{port}"),
        false => format!("http://{host}:{port}"),
    }
}

/// What somebody has written for a hostname. Backends that are not spoken to by plain HTTP are left out.
pub(super) fn read(hostname: &str, list: &[String]) -> Option<RouteDocument> {
    let (identifier, backends) = list.split_first()?;
    Some(RouteDocument {
        hostname: hostname.to_owned(),
        instance_id: identifier.clone(),
        upstreams: backends.iter().filter_map(|url| upstream(url)).collect(),
        page: None,
        progress: None,
        options: SiteOptions::default(),
        is_default: false,
    })
}

fn upstream(url: &str) -> Option<UpstreamDocument> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "http")?;
    let host = url.host_str()?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    Some(UpstreamDocument {
        host: bare.unwrap_or(host).to_owned(),
        port: url.port_or_known_default()?,
        state: UpstreamState::Serving,
        release: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(backends: &[(&str, u16, UpstreamState)]) -> RouteDocument {
        let upstream = |(host, port, state): &(&str, u16, UpstreamState)| UpstreamDocument {
            host: (*host).to_owned(),
            port: *port,
            state: *state,
            release: 0,
        };
        RouteDocument {
            hostname: "a.test".to_owned(),
            instance_id: "todos".to_owned(),
            upstreams: backends.iter().map(upstream).collect(),
            page: None,
            progress: None,
            options: SiteOptions::default(),
            is_default: false,
        }
    }

    #[test]
    fn the_identifier_comes_once_and_then_what_serves() {
        use UpstreamState::{Draining, Serving};
        let route = route(&[
            ("10.0.0.1", 1, Serving),
            ("::1", 2, Serving),
            ("x", 3, Draining),
        ]);
        assert_eq!(
            list(&route),
            ["todos", "http://10.0.0.1:1", "http://[::1]:2"]
        );
        let read = read("a.test", &list(&route)).unwrap();
        assert_eq!(read.upstreams, route.upstreams[..2]);
        assert_eq!(list(&super::tests::route(&[])), ["todos"]);
    }

    #[test]
    fn what_others_wrote_is_read_as_far_as_it_makes_sense() {
        let list = [
            "id",
            "http://app",
            "https://app:1",
            "id",
            "http://10.0.0.1:8080/",
            "",
        ];
        let read = read("b.test", &list.map(str::to_owned)).unwrap();
        let read: Vec<_> = read
            .upstreams
            .into_iter()
            .map(|u| (u.host, u.port))
            .collect();
        assert_eq!(
            read,
            [("app".to_owned(), 80), ("10.0.0.1".to_owned(), 8080)]
        );
        assert_eq!(super::read("c.test", &[]), None);
    }
}
