//! Responses and their headers, as sockjs-node writes them (`lib/webjs.js`, `lib/sockjs.js`).

use std::time::{Duration, SystemTime};

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW,
    CACHE_CONTROL, CONTENT_TYPE, COOKIE, EXPIRES, ORIGIN, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::body::Body;

pub(crate) const TEXT: &str = "text/plain; charset=UTF-8";
pub(crate) const HTML: &str = "text/html; charset=UTF-8";
pub(crate) const SCRIPT: &str = "application/javascript; charset=UTF-8";
pub(crate) const JSON: &str = "application/json; charset=UTF-8";
pub(crate) const EVENTS: &str = "text/event-stream";

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A response without a body, or one that sockjs-node sends without naming its type.
pub(crate) fn bare(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    response
}

pub(crate) fn typed(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(response.headers_mut(), CONTENT_TYPE, kind);
    response
}

pub(crate) fn not_found() -> Response<Body> {
    let body = Body::whole("404 Error: Page not found\n");
    typed(StatusCode::NOT_FOUND, TEXT, body)
}

pub(crate) fn method_not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = bare(StatusCode::METHOD_NOT_ALLOWED, "");
    set(response.headers_mut(), ALLOW, methods);
    response
}

/// The answer to a browser that asks what it may send.
pub(crate) fn preflight(methods: &'static str) -> Response<Body> {
    let mut response = bare(StatusCode::NO_CONTENT, "");
    let headers = response.headers_mut();
    cacheable(headers);
    set(headers, ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(YEAR.as_secs()));
    response
}

/// Lets it be kept for a year.
pub(crate) fn cacheable(headers: &mut HeaderMap) {
    set(headers, CACHE_CONTROL, "public, max-age=31536000");
    let expires = httpdate::fmt_http_date(SystemTime::now() + YEAR);
    if let Ok(expires) = HeaderValue::try_from(expires) {
        headers.insert(EXPIRES, expires);
    }
}

/// Keeps it from being kept. Some browsers would keep even answers to POST.
pub(crate) fn not_cacheable(headers: &mut HeaderMap) {
    let never = "no-store, no-cache, no-transform, must-revalidate, max-age=0";
    set(headers, CACHE_CONTROL, never);
}

/// Lets pages of any origin read the response, with cookies where the origin is known.
pub(crate) fn cross_origin(request: &HeaderMap, response: &mut HeaderMap) {
    if let Some(origin) = request.get(ORIGIN) {
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        set(response, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    } else {
        set(response, ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    }
    set(response, VARY, "Origin");
    let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS);
    if let Some(asked) = asked.filter(|asked| !asked.is_empty()) {
        response.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
}

/// Sets the cookie by which load balancers find the same server again: the client's own, or any.
pub(crate) fn sticky(request: &HeaderMap, response: &mut HeaderMap) {
    let given = request
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix("JSESSIONID="))
        .find(|value| !value.is_empty());
    let cookie = format!("JSESSIONID={}; path=/", given.unwrap_or("dummy"));
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.insert(SET_COOKIE, cookie);
    }
}

fn set(headers: &mut HeaderMap, name: http::HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        pairs.collect()
    }

    #[test]
    fn any_origin_may_read() {
        let mut response = HeaderMap::new();
        cross_origin(&HeaderMap::new(), &mut response);
        assert_eq!(response["access-control-allow-origin"], "*");
        assert_eq!(response["vary"], "Origin");
        assert!(!response.contains_key("access-control-allow-credentials"));
        for origin in ["http://a.test", "null"] {
            let mut response = HeaderMap::new();
            cross_origin(&headers(&[("origin", origin)]), &mut response);
            assert_eq!(response["access-control-allow-origin"], origin);
            assert_eq!(response["access-control-allow-credentials"], "true");
        }
    }

    #[test]
    fn headers_that_are_asked_for_are_allowed() {
        let mut response = HeaderMap::new();
        let asked = headers(&[("access-control-request-headers", "a, b, c")]);
        cross_origin(&asked, &mut response);
        assert_eq!(response["access-control-allow-headers"], "a, b, c");
        let mut response = HeaderMap::new();
        cross_origin(
            &headers(&[("access-control-request-headers", "")]),
            &mut response,
        );
        assert!(!response.contains_key("access-control-allow-headers"));
    }

    #[test]
    fn the_cookie_is_the_one_that_was_given() {
        let cookie = |request: &HeaderMap| {
            let mut response = HeaderMap::new();
            sticky(request, &mut response);
            response["set-cookie"].to_str().unwrap().to_owned()
        };
        assert_eq!(cookie(&HeaderMap::new()), "JSESSIONID=dummy; path=/");
        assert_eq!(
            cookie(&headers(&[("cookie", "a=b; JSESSIONID=abcdef; c=d")])),
            "JSESSIONID=abcdef; path=/"
        );
        assert_eq!(
            cookie(&headers(&[("cookie", "JSESSIONID=; XJSESSIONID=x")])),
            "JSESSIONID=dummy; path=/"
        );
    }
}
