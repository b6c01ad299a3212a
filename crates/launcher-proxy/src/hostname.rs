//! The form in which hostnames are compared.

use std::borrow::Cow;

/// `host`, as in a `Host` header, without port, in lower case, without one trailing dot. Borrowed in the usual
/// case, in which it is written so already.
pub(crate) fn normalized(host: &str) -> Cow<'_, str> {
    if is_usual(host) {
        return Cow::Borrowed(host);
    }
    let host = without_port(host.trim());
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// Whether it is a name in the form in which hostnames are compared, looked at once.
pub(crate) fn is_usual(host: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    host.bytes().all(is_plain) && !host.ends_with('.')
}

/// `host` up to its port. The colons within the brackets of an IPv6 literal are not before a port.
pub(crate) fn without_port(host: &str) -> &str {
    let literal_end = host.rfind(']').map_or(0, |bracket| bracket + 1);
    match host[literal_end..].find(':') {
        Some(colon) => &host[..literal_end + colon],
        None => host,
    }
}

/// The domains above a normalized host, the nearest first.
pub(crate) fn parents(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(host), |domain| parent(domain))
}

fn parent(host: &str) -> Option<&str> {
    host.split_once('.').map(|(_, parent)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_one_after_the_other() {
        let all: Vec<_> = parents("a.b.example.com").collect();
        assert_eq!(all, ["b.example.com", "example.com", "com"]);
        assert_eq!(parents("localhost").count(), 0);
        assert_eq!(parents("").count(), 0);
    }

    #[test]
    fn a_port_ends_a_host_but_colons_of_a_literal_do_not() {
        for (host, name) in [
            ("a.test:80", "a.test"),
            ("A.Test.:80", "a.test"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(normalized(host), name);
        }
    }
}
