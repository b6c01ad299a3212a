use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, Uri, Version};

use crate::hostname::is_usual;

/// The host a request means, as its sender wrote it; empty if an HTTP/1.0 client named none.
///
/// # Errors
///
/// A sentence for the client when an HTTP/1.1 server must refuse the request (RFC 9112 §3.2), or when
/// the request line and `Host` name different hosts: whoever forwards that lets the two ends of a
/// chain disagree about where a request goes.
pub(crate) fn host<B>(request: &Request<B>) -> Result<String, &'static str> {
    let named = host_header(request)?;
    let uri = request.uri();
    let Some(authority) = uri.authority() else {
        return Ok(named.unwrap_or_default().to_owned());
    };
    // In HTTP/2 it tells how the client reached the first proxy, and all requests have one.
    let scheme = match uri.scheme_str() {
        Some("https") => request.version() == Version::HTTP_2,
        scheme => scheme == Some("http"),
    };
    if !scheme || authority.as_str().contains('@') {
        return Err("The request target is not one that this server answers for.");
    }
    match named {
        Some(named) if !named.eq_ignore_ascii_case(authority.as_str()) => {
            Err("The request target and the Host header name different hosts.")
        }
        _ => Ok(authority.as_str().to_owned()),
    }
}

/// The request target in origin form (or `*`), as it is sent to an upstream.
pub(crate) fn origin_form(uri: &Uri) -> Uri {
    let path = uri.path_and_query().cloned();
    Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
}

/// An origin-form target without the first so many bytes of its path, which are a prefix in whole segments.
pub(crate) fn without_prefix(uri: &Uri, length: usize) -> Uri {
    let whole = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rest = whole.get(length..).unwrap_or_default();
    let rest = match rest.starts_with('/') {
        true => PathAndQuery::try_from(rest),
        false => PathAndQuery::try_from(format!("/{rest}")),
    };
    // What is left of a valid target is valid.
    Uri::from(rest.unwrap_or_else(|_| PathAndQuery::from_static("/")))
}

/// Whether the request asks for a tunnel to an arbitrary host, which this proxy does not offer.
pub(crate) fn asks_for_a_tunnel<B>(request: &Request<B>) -> bool {
    request.method() == Method::CONNECT
}

fn host_header<B>(request: &Request<B>) -> Result<Option<&str>, &'static str> {
    let mut values = request.headers().get_all(HOST).iter();
    let Some(value) = values.next() else {
        return match request.version() {
            Version::HTTP_10 => Ok(None),
            Version::HTTP_2 if request.uri().authority().is_some() => Ok(None),
            _ => Err("The request has no Host header."),
        };
    };
    if values.next().is_some() {
        return Err("The request has more than one Host header.");
    }
    let host = value.to_str().ok().filter(|host| is_host(host));
    host.map(Some).ok_or("The Host header is not a host name.")
}

/// `uri-host [":" port]` of RFC 9110 §7.2. Empty is allowed: it means that there is none.
fn is_host(value: &str) -> bool {
    let is_written_well = || !value.contains('@') && value.parse::<Authority>().is_ok();
    is_usual(value) || is_written_well()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, uri: &str, hosts: &[&str]) -> Request<()> {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn the_host_header_names_the_host() {
        for host in ["a.test", "A.test:8080", "[::1]:80", "under_score.test", ""] {
            let request = request(Version::HTTP_11, "/x", &[host]);
            assert_eq!(super::host(&request).unwrap(), host);
        }
    }

    #[test]
    fn an_absolute_target_names_the_host() {
        let with = request(Version::HTTP_11, "http://a.test:80/x", &["A.test:80"]);
        assert_eq!(host(&with).unwrap(), "a.test:80");
        let without = request(Version::HTTP_10, "http://a.test/x", &[]);
        assert_eq!(host(&without).unwrap(), "a.test");
    }

    #[test]
    fn http_2_names_the_host_in_its_target() {
        for uri in ["http://a.test:80/x", "https://a.test:80/x"] {
            for hosts in [&[][..], &["a.test:80"]] {
                let request = request(Version::HTTP_2, uri, hosts);
                assert_eq!(host(&request).unwrap(), "a.test:80");
            }
            assert!(host(&request(Version::HTTP_2, uri, &["b.test"])).is_err());
        }
        assert!(host(&request(Version::HTTP_2, "ftp://a.test/", &[])).is_err());
        assert!(host(&request(Version::HTTP_2, "/", &[])).is_err());
    }

    #[test]
    fn what_a_server_must_refuse_is_refused() {
        let refused: [(&str, &[&str]); 9] = [
            ("/", &[]),
            ("/", &["a.test", "a.test"]),
            ("/", &["a b"]),
            ("/", &["user@a.test"]),
            ("/", &["a.test/x"]),
            ("http://b.test/", &["a.test"]),
            ("http://a.test/", &[]),
            ("https://a.test/", &["a.test"]),
            ("http://u@a.test/", &["u@a.test"]),
        ];
        for (uri, hosts) in refused {
            assert!(
                host(&request(Version::HTTP_11, uri, hosts)).is_err(),
                "{uri} {hosts:?}"
            );
        }
    }

    #[test]
    fn an_old_client_need_not_name_a_host() {
        assert_eq!(host(&request(Version::HTTP_10, "/", &[])).unwrap(), "");
    }

    #[test]
    fn the_upstream_gets_the_origin_form() {
        for (uri, form) in [
            ("http://a.test/x?y=1", "/x?y=1"),
            ("/x?y=1", "/x?y=1"),
            ("http://a.test", "/"),
            ("http://a.test?y", "/?y"),
            ("*", "*"),
        ] {
            assert_eq!(origin_form(&uri.parse().unwrap()).to_string(), form);
        }
    }

    #[test]
    fn a_prefix_is_taken_off_and_the_query_stays() {
        for (uri, rest) in [
            ("/docs", "/"),
            ("/docs/", "/"),
            ("/docs/a/b?c=/docs", "/a/b?c=/docs"),
            ("/docs?x", "/?x"),
            ("http://a.test/docs/a", "/a"),
        ] {
            let rest_of = without_prefix(&uri.parse().unwrap(), "/docs".len());
            assert_eq!(rest_of.to_string(), rest, "{uri}");
        }
    }
}
