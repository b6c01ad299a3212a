use std::time::{Duration, Instant};

use http::header::{
    ACCEPT_RANGES, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, EXPIRES, HeaderMap,
    SET_COOKIE, TRANSFER_ENCODING, VARY,
};
use http::{Response, StatusCode};
use hyper::body::Body;

use super::coding::Coding;
use crate::headers::{prepare_response, tokens};

/// The head of an answer that may be given to others.
#[derive(Debug)]
pub(crate) struct StorableHead {
    /// As clients get them, but for what follows from the body and from the time.
    pub(crate) headers: HeaderMap,
    pub(crate) coding: Coding,
    /// When it was made by whoever made it first.
    pub(crate) made: Instant,
    /// For how long it is fresh from then on. `None`: nothing is said; a name that is a hash means the same for ever.
    pub(crate) fresh: Option<Duration>,
    /// Its body, if it is known how long that is.
    pub(crate) bytes: Option<u64>,
}

impl StorableHead {
    /// `None` if RFC 9111 §3 does not let a shared cache keep `response` to a request with the headers `request`, and
    /// if its end or its freshness cannot be told. The headers that concern the connection are still in it.
    pub(crate) fn of<B: Body>(
        request: &HeaderMap,
        response: &Response<B>,
        now: Instant,
    ) -> Option<Self> {
        let headers = response.headers();
        let bytes = response.body().size_hint().exact();
        let ends = bytes.is_some() || headers.contains_key(TRANSFER_ENCODING);
        let is_whole = response.status() == StatusCode::OK && ends;
        let is_personal = request.contains_key(AUTHORIZATION) || headers.contains_key(SET_COOKIE);
        if !is_whole || is_personal || !is_for_all(headers) || !varies_little(headers) {
            return None;
        }
        let fresh = seconds(headers, "s-maxage").or_else(|| seconds(headers, "max-age"));
        // A date alone would have to be compared with the clock of whoever wrote it.
        if fresh.is_none() && headers.contains_key(EXPIRES) {
            return None;
        }
        let coding = Coding::of(headers)?;
        let age = headers
            .get(AGE)
            .and_then(|age| age.to_str().ok()?.parse().ok());
        let age = Duration::from_secs(age.unwrap_or(0));
        let mut headers = headers.clone();
        prepare_response(&mut headers, StatusCode::OK);
        for name in [AGE, CONTENT_LENGTH, ACCEPT_RANGES] {
            headers.remove(name);
        }
        Some(Self {
            headers,
            coding,
            made: now.checked_sub(age)?,
            fresh,
            bytes,
        })
    }
}

fn is_for_all(headers: &HeaderMap) -> bool {
    let mut directives = directives(headers).map(|(name, _)| name);
    !directives.any(|name| {
        ["private", "no-store", "no-cache"]
            .iter()
            .any(|one| name.eq_ignore_ascii_case(one))
    })
}

/// `User-Agent` is what Meteor's webapp names, since it chooses by it which bundle a page gets. But the bundle's name
/// is a hash of what is in it: whoever asks for that means that.
fn varies_little(headers: &HeaderMap) -> bool {
    tokens(headers, &VARY).all(|name| {
        name.eq_ignore_ascii_case("accept-encoding") || name.eq_ignore_ascii_case("user-agent")
    })
}

fn seconds(headers: &HeaderMap, wanted: &str) -> Option<Duration> {
    let mut directives = directives(headers);
    let (_, value) = directives.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
    // What cannot be read is over at once (RFC 9111 §4.2.1).
    let seconds = value.trim_matches('"').parse().unwrap_or(0);
    Some(Duration::from_secs(seconds))
}

fn directives(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let directives = tokens(headers, &CACHE_CONTROL);
    directives.map(|directive| directive.split_once('=').unwrap_or((directive, "")))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::header::{HeaderName, HeaderValue};
    use http_body_util::channel::Channel;
    use http_body_util::combinators::UnsyncBoxBody;
    use http_body_util::{BodyExt, Full};

    use super::*;

    type Lines = &'static [(&'static str, &'static str)];

    fn headers(lines: Lines) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        lines.iter().map(line).collect()
    }

    fn storable(request: Lines, answer: Lines) -> Option<StorableHead> {
        let mut response = Response::new(Full::new(&b"body"[..]));
        *response.headers_mut() = headers(answer);
        StorableHead::of(&headers(request), &response, Instant::now())
    }

    #[test]
    fn what_meteor_answers_is_kept_as_it_is() {
        let head = storable(
            &[("cookie", "a=b")],
            &[
                ("cache-control", "public, max-age=31536000"),
                ("vary", "Accept-Encoding, User-Agent"),
                ("content-encoding", "gzip"),
                ("etag", "W/\"1\""),
                ("accept-ranges", "bytes"),
                ("connection", "keep-alive, x-hop"),
                ("x-hop", "1"),
                ("age", "7"),
            ],
        );
        let head = head.unwrap();
        assert_eq!(head.coding, Coding::Gzip);
        assert_eq!(head.fresh, Some(Duration::from_secs(31_536_000)));
        assert_eq!(head.bytes, Some(4));
        assert!(head.made.elapsed() >= Duration::from_secs(7));
        let mut names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache-control", "content-encoding", "etag", "vary"]);
    }

    #[test]
    fn what_is_for_one_client_or_may_not_be_kept_is_not() {
        let refused: [Lines; 9] = [
            &[("set-cookie", "a=b")],
            &[("cache-control", "Private, max-age=60")],
            &[("cache-control", "private=\"x\"")],
            &[("cache-control", "public, No-Store")],
            &[("cache-control", "no-cache")],
            &[("vary", "Accept-Encoding, Cookie")],
            &[("vary", "*")],
            &[("content-encoding", "compress")],
            &[("expires", "Thu, 01 Dec 2050 16:00:00 GMT")],
        ];
        for answer in refused {
            assert!(storable(&[], answer).is_none(), "{answer:?}");
        }
        assert!(storable(&[], &[]).is_some());
        assert!(storable(&[("authorization", "Basic x")], &[]).is_none());
    }

    #[test]
    fn how_long_it_is_fresh_is_for_shared_caches() {
        let fresh = |value| storable(&[], value).unwrap().fresh.map(|it| it.as_secs());
        assert_eq!(
            fresh(&[("cache-control", "max-age=1, S-MaxAge=2")]),
            Some(2)
        );
        assert_eq!(fresh(&[("cache-control", "max-age=\"3\"")]), Some(3));
        assert_eq!(fresh(&[("cache-control", "max-age=soon")]), Some(0));
        assert_eq!(fresh(&[("cache-control", "public")]), None);
    }

    #[test]
    fn an_answer_that_is_not_whole_or_ends_with_its_connection_is_not_kept() {
        let unknown = || Channel::<Bytes>::new(1).1.boxed_unsync();
        let known = || {
            Full::new(Bytes::new())
                .map_err(|never| match never {})
                .boxed_unsync()
        };
        let is_kept = |status, body: UnsyncBoxBody<_, _>, lines| {
            let mut response = Response::new(body);
            *response.status_mut() = status;
            *response.headers_mut() = headers(lines);
            StorableHead::of(&HeaderMap::new(), &response, Instant::now()).is_some()
        };
        assert!(is_kept(StatusCode::OK, known(), &[]));
        assert!(is_kept(
            StatusCode::OK,
            unknown(),
            &[("transfer-encoding", "chunked")]
        ));
        assert!(!is_kept(StatusCode::OK, unknown(), &[]));
        for status in [StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED] {
            assert!(!is_kept(status, known(), &[]), "{status}");
        }
    }
}
