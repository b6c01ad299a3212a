use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, LAST_MODIFIED};
use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Body;

use crate::headers;
use crate::hostname::normalized;

/// A request for a file that one version of an app has and another may not, as Meteor's pages name them
/// (`packages/boilerplate-generator/template-web.browser.js`): `/<SHA-1>.js?meteor_js_resource=true` and
/// `/<SHA-1>.css?meteor_css_resource=true`, their source maps, and what else is named by a hash.
#[derive(Debug, Clone)]
pub(crate) struct Asset {
    pub(crate) host: Arc<str>,
    /// Path and query, as the client sent them.
    pub(crate) target: Arc<str>,
    pub(crate) is_head: bool,
    is_style: bool,
    /// Whether its query is one that Meteor writes: others could make one file into any number of them.
    is_plain: bool,
}

impl Asset {
    /// `None` for all other requests, of which it looks at method, last segment and query only.
    pub(crate) fn of<B: Body>(request: &Request<B>, host: &str) -> Option<Self> {
        let uri = request.uri();
        let method = request.method();
        let reads = method == Method::GET || method == Method::HEAD;
        if !reads || !is_versioned(uri) || !request.body().is_end_stream() {
            return None;
        }
        let query = uri.query();
        Some(Self {
            host: normalized(host).as_ref().into(),
            target: uri.path_and_query()?.as_str().into(),
            is_head: method == Method::HEAD,
            is_style: query.is_some_and(|query| has(query, STYLE)),
            is_plain: query.is_none_or(|query| [SCRIPT, STYLE].contains(&query)),
        })
    }

    /// Whether answers may be kept for others.
    pub(crate) fn may_be_kept(&self) -> bool {
        self.is_plain && !self.is_head
    }

    /// Whether an answer says that there is no such file. Meteor's webapp (`packages/webapp/webapp_server.js`) says
    /// 404 for scripts that are asked for by `meteor_js_resource`; for styles 200 and a rule named
    /// `meteor-css-not-found-error`, not to be cached and without anything to revalidate it by, which real files
    /// have; and for all else the app's page.
    pub(crate) fn is_missed_by<B>(&self, response: &Response<B>) -> bool {
        let headers = response.headers();
        match response.status() {
            StatusCode::NOT_FOUND => true,
            StatusCode::OK => is_page(headers) || self.is_style && is_stopgap(headers),
            _ => false,
        }
    }

    /// Whether an answer has the file, or a part of it, or says that the client has it.
    pub(crate) fn is_hit_by<B>(&self, response: &Response<B>) -> bool {
        HITS.contains(&response.status()) && !self.is_missed_by(response)
    }
}

/// The path of a target.
pub(crate) fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

const HITS: [StatusCode; 3] = [
    StatusCode::OK,
    StatusCode::PARTIAL_CONTENT,
    StatusCode::NOT_MODIFIED,
];

const SCRIPT: &str = "meteor_js_resource=true";
const STYLE: &str = "meteor_css_resource=true";

/// Digits of a SHA-1.
const DIGITS: usize = 40;
/// What comes after them.
const KINDS: [&str; 5] = [".js", ".css", ".map", ".js.map", ".css.map"];

fn is_versioned(uri: &Uri) -> bool {
    is_hashed(uri.path())
        || uri
            .query()
            .is_some_and(|query| has(query, SCRIPT) || has(query, STYLE))
}

fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let parts = name.split_at_checked(DIGITS);
    parts.is_some_and(|(hash, kind)| KINDS.contains(&kind) && hash.bytes().all(is_digit))
}

fn has(query: &str, parameter: &str) -> bool {
    query.split('&').any(|one| one == parameter)
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html")
}

fn is_stopgap(headers: &HeaderMap) -> bool {
    let has_validator = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    !has_validator || headers::has_token(headers, &CACHE_CONTROL, "no-cache")
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};
    use http_body_util::{Empty, Full};

    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    fn asset(method: &str, target: &str) -> Option<Asset> {
        let request = Request::builder().method(method).uri(target);
        let request = request.body(Empty::<&[u8]>::new()).unwrap();
        Asset::of(&request, "A.test:80")
    }

    #[test]
    fn what_is_named_by_a_hash_or_marked_by_meteor_is_one() {
        for target in [
            format!("/{HASH}.js"),
            format!("/{HASH}.css?x=1"),
            format!("/docs/{HASH}.js.map"),
            format!("/__browser.legacy/{HASH}.map"),
            "/packages/a.js?meteor_js_resource=true".to_owned(),
            "/a.css?_g_app_v_=1&meteor_css_resource=true".to_owned(),
        ] {
            for method in ["GET", "HEAD"] {
                let asset = asset(method, &target).unwrap_or_else(|| panic!("{target}"));
                assert_eq!((&*asset.host, &*asset.target), ("a.test", &*target));
            }
            assert!(asset("POST", &target).is_none(), "{target}");
        }
        for target in [
            "/".to_owned(),
            "/app.js".to_owned(),
            format!("/{HASH}"),
            format!("/{HASH}.html"),
            format!("/{HASH}0.js"),
            format!("/{}.js", &HASH[1..]),
            format!("/{}.js", HASH.to_uppercase()),
            format!("/{HASH}.js/x"),
            "/sockjs/1/a/xhr?t=1".to_owned(),
            "/a.js?meteor_js_resource=false".to_owned(),
            "/a.js?xmeteor_js_resource=true".to_owned(),
        ] {
            assert!(asset("GET", &target).is_none(), "{target}");
        }
    }

    #[test]
    fn a_request_with_a_body_is_none() {
        let request = Request::builder().uri(format!("/{HASH}.js"));
        let request = request.body(Full::new(&b"x"[..])).unwrap();
        assert!(Asset::of(&request, "a.test").is_none());
    }

    #[test]
    fn a_path_ends_where_its_query_begins() {
        for target in ["/a.js", "/a.js?b", "/a.js?b?c"] {
            assert_eq!(path_of(target), "/a.js");
        }
    }

    #[test]
    fn only_what_meteor_asks_for_is_kept() {
        let kept = |method, query: &str| {
            let asset = asset(method, &format!("/{HASH}.js{query}")).unwrap();
            asset.may_be_kept()
        };
        assert!(kept("GET", "") && kept("GET", "?meteor_js_resource=true"));
        assert!(!kept("HEAD", ""));
        assert!(!kept("GET", "?x=1") && !kept("GET", "?meteor_js_resource=true&x=1"));
    }

    fn response(status: u16, lines: &[(HeaderName, &'static str)]) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in lines {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }

    #[test]
    fn misses_are_known_in_each_of_meteors_forms() {
        let script = asset("GET", &format!("/{HASH}.js")).unwrap();
        let style = asset("GET", &format!("/{HASH}.css?meteor_css_resource=true")).unwrap();
        let is_js = (CONTENT_TYPE, "application/javascript; charset=UTF-8");
        let is_css = (CONTENT_TYPE, "text/css; charset=utf-8");
        let never = (CACHE_CONTROL, "No-Cache");
        let named = (ETAG, "W/\"1\"");
        for both in [&script, &style] {
            assert!(both.is_missed_by(&response(404, &[])));
            let page = response(200, &[(CONTENT_TYPE, "Text/HTML ; charset=utf-8")]);
            assert!(both.is_missed_by(&page) && !both.is_hit_by(&page));
            for status in [304, 206] {
                assert!(both.is_hit_by(&response(status, &[])));
            }
            for status in [301, 403, 410, 500, 503] {
                let other = response(status, &[]);
                assert!(!both.is_missed_by(&other) && !both.is_hit_by(&other));
            }
        }
        assert!(script.is_hit_by(&response(200, &[is_js])));
        assert!(style.is_hit_by(&response(200, &[is_css.clone(), named.clone()])));
        assert!(style.is_missed_by(&response(200, std::slice::from_ref(&is_css))));
        assert!(style.is_missed_by(&response(200, &[is_css, named, never])));
    }
}
