//! Sites whose visitors are sent elsewhere.

use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderValue, Method, StatusCode, Uri};

use crate::hostname::without_port;
use crate::route::{Route, Site};

/// Where the visitors of a site are sent, with the path and query that they ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `None`: by which they came.
    scheme: Option<Scheme>,
    authority: Arc<str>,
    permanent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// What a client is told who is sent elsewhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) status: StatusCode,
    pub(crate) location: HeaderValue,
    pub(crate) hsts: Option<HeaderValue>,
}

/// What decides whether, and where to.
pub(crate) struct Asked<'request> {
    pub(crate) host: &'request str,
    pub(crate) uri: &'request Uri,
    pub(crate) method: &'request Method,
    /// Whether the visitor came by https.
    pub(crate) https: bool,
}

impl Redirect {
    /// To a host, perhaps with a port: `example.com:8080`; with a scheme in front (`https://example.com`) by that one,
    /// otherwise by the one that the visitor came by. `None` if it is something else.
    pub fn to(destination: &str) -> Option<Self> {
        let (scheme, authority) = match destination.split_once("://") {
            Some(("http", authority)) => (Some(Scheme::Http), authority),
            Some(("https", authority)) => (Some(Scheme::Https), authority),
            Some(_) => return None,
            None => (None, destination),
        };
        let parsed = authority.parse::<Authority>().ok()?;
        (!parsed.host().is_empty() && !authority.contains('@')).then(|| Self {
            scheme,
            authority: authority.into(),
            permanent: false,
        })
    }

    /// Which browsers may remember.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.permanent = true;
        self
    }
}

/// Whether a request for `site` is sent elsewhere.
pub(crate) fn of(site: &Site, asked: &Asked<'_>) -> Option<Moved> {
    let (scheme, authority, permanent) = match &site.route {
        Route::Redirect(redirect) => {
            let secure = match redirect.scheme {
                Some(scheme) => scheme == Scheme::Https,
                None => asked.https || site.https,
            };
            (secure, &*redirect.authority, redirect.permanent)
        }
        _ if site.https && !asked.https && !asked.host.is_empty() => {
            (true, without_port(asked.host), true)
        }
        _ => return None,
    };
    let scheme = if scheme { "https" } else { "http" };
    let path = asked.uri.path_and_query().map_or("/", |path| path.as_str());
    // `OPTIONS *` is about no path.
    let path = if path == "*" { "/" } else { path };
    let location = HeaderValue::try_from(format!("{scheme}://{authority}{path}")).ok()?;
    Some(Moved {
        status: status(asked.method, permanent),
        location,
        hsts: site.hsts.clone().filter(|_| asked.https),
    })
}

/// What is not only read must come again as it is, which the older two statuses do not promise (RFC 9110 §15.4).
fn status(method: &Method, permanent: bool) -> StatusCode {
    match (*method == Method::GET || *method == Method::HEAD, permanent) {
        (true, true) => StatusCode::MOVED_PERMANENTLY,
        (true, false) => StatusCode::FOUND,
        (false, true) => StatusCode::PERMANENT_REDIRECT,
        (false, false) => StatusCode::TEMPORARY_REDIRECT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(site: &Site, method: &Method, uri: &str, https: bool) -> Option<(u16, String)> {
        let asked = Asked {
            host: "www.a.test:8000",
            uri: &uri.parse().unwrap(),
            method,
            https,
        };
        let moved = of(site, &asked)?;
        let location = moved.location.to_str().unwrap().to_owned();
        Some((moved.status.as_u16(), location))
    }

    #[test]
    fn path_and_query_stay_and_so_does_the_method() {
        let to = |text| Site::new(Route::Redirect(Redirect::to(text).unwrap()));
        let bare = to("a.test:8080");
        for (method, uri, https, expected) in [
            (
                Method::GET,
                "/x?y=1",
                false,
                (302, "http://a.test:8080/x?y=1"),
            ),
            (Method::HEAD, "/", true, (302, "https://a.test:8080/")),
            (Method::POST, "/x", false, (307, "http://a.test:8080/x")),
            (Method::OPTIONS, "*", false, (307, "http://a.test:8080/")),
        ] {
            let expected = (expected.0, expected.1.to_owned());
            assert_eq!(sent(&bare, &method, uri, https), Some(expected));
        }
        let secure = to("https://a.test");
        let expected = (302, "https://a.test/".to_owned());
        assert_eq!(sent(&secure, &Method::GET, "/", false), Some(expected));
        let for_ever = Redirect::to("http://a.test").unwrap().permanent();
        let for_ever = Site::new(Route::Redirect(for_ever));
        let expected = (301, "http://a.test/".to_owned());
        assert_eq!(sent(&for_ever, &Method::GET, "/", true), Some(expected));
        let expected = (308, "http://a.test/".to_owned());
        assert_eq!(sent(&for_ever, &Method::PUT, "/", true), Some(expected));
    }

    #[test]
    fn who_came_by_https_stays_where_he_is() {
        let site = Site::new(Route::unavailable("stopped")).https_only();
        let expected = (301, "https://www.a.test/x".to_owned());
        assert_eq!(sent(&site, &Method::GET, "/x", false), Some(expected));
        assert_eq!(sent(&site, &Method::GET, "/x", true), None);
        let plain = Site::new(Route::unavailable("stopped"));
        assert_eq!(sent(&plain, &Method::GET, "/x", false), None);
    }

    #[test]
    fn what_is_no_host_is_no_destination() {
        for text in ["", "ftp://a.test", "a b", "a@b.test", "https://"] {
            assert_eq!(Redirect::to(text), None, "{text}");
        }
    }
}
