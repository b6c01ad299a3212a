use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use http::header::{CACHE_CONTROL, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use sha2::Sha256;

use crate::upstream::Address;

/// How clients of a route with several upstreams stay at theirs: by a cookie whose value names one of them to those
/// who have the key, and nothing to anybody else.
///
/// Proxies with the same key, which may be restarted, agree about all cookies.
#[derive(Clone)]
pub struct Affinity {
    cookie: Box<str>,
    key: [u8; 32],
}

/// What stands for an upstream in a cookie.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    value: Box<str>,
    /// The usual cookie: of a site that is all of a hostname, by http.
    usual: Option<HeaderValue>,
}

impl Affinity {
    /// With a cookie of this name. Only letters, digits and ``!#$%&'*+-.^_`|~`` may be in it.
    ///
    /// ```
    /// use launcher_proxy::Affinity;
    ///
    /// assert!(Affinity::new("launcher_affinity", [7; 32]).is_some());
    /// assert!(Affinity::new("two words", [7; 32]).is_none());
    /// ```
    pub fn new(cookie: impl Into<Box<str>>, key: [u8; 32]) -> Option<Self> {
        let cookie = cookie.into();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || SYMBOLS.contains(&byte);
        let valid = !cookie.is_empty() && cookie.bytes().all(is_token);
        valid.then_some(Self { cookie, key })
    }

    pub(crate) fn token(&self, address: &Address) -> Token {
        // A shorter key is filled up with zeros (RFC 2104 §2).
        let mut block = [0; 64];
        block[..self.key.len()].copy_from_slice(&self.key);
        let mut code = Hmac::<Sha256>::new(&block.into());
        code.update(b"affinity\0");
        code.update(address.host.as_bytes());
        code.update(b"\0");
        code.update(&address.port.to_be_bytes());
        let code = code.finalize().into_bytes();
        let value = BASE64_URL_SAFE_NO_PAD.encode(&code[..TOKEN_BYTES]);
        Token {
            usual: self.cookie(&value, "", false),
            value: value.into(),
        }
    }

    /// What a client has of these cookies. Sites for paths have one of their own beside that of the whole host.
    pub(crate) fn tokens<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let lines = headers.get_all(COOKIE).iter();
        let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        pairs.filter_map(|pair| {
            let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
            (name.trim() == &*self.cookie).then(|| value.trim())
        })
    }

    /// Makes the client come back to the upstream of `token`, unless others may get the same answer from a
    /// cache.
    pub(crate) fn remember(
        &self,
        token: &Token,
        prefix: &str,
        https: bool,
        status: StatusCode,
        headers: &mut HeaderMap,
    ) {
        if status == StatusCode::NOT_MODIFIED || is_shared(headers) {
            return;
        }
        let cookie = match prefix.is_empty() && !https {
            true => token.usual.clone(),
            false => self.cookie(&token.value, prefix, https),
        };
        if let Some(cookie) = cookie {
            headers.append(SET_COOKIE, cookie);
        }
    }

    /// A path can hold bytes that no header may: then there is no cookie.
    fn cookie(&self, value: &str, prefix: &str, https: bool) -> Option<HeaderValue> {
        let path = if prefix.is_empty() { "/" } else { prefix };
        let secure = if https { "; Secure" } else { "" };
        let cookie = format!(
            "{}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}",
            self.cookie
        );
        HeaderValue::try_from(cookie).ok()
    }
}

impl Token {
    pub(crate) fn is(&self, value: &str) -> bool {
        *self.value == *value
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for Affinity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Affinity");
        shown.field("cookie", &self.cookie).finish_non_exhaustive()
    }
}

/// Whether an answer says that a cache may give it to everybody (RFC 9111 §5.2.2).
fn is_shared(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let directives = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim);
    let begins = |directive: &str, with: &str| {
        let begin = directive.get(..with.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(with))
    };
    directives
        .into_iter()
        .any(|directive| directive.eq_ignore_ascii_case("public") || begins(directive, "s-maxage"))
}

/// What a cookie's name may be made of besides letters and digits (RFC 6265 §4.1.1).
const SYMBOLS: &[u8] = b"!#$%&'*+-.^_`|~";

/// Too many to be guessed.
const TOKEN_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn affinity(key: u8) -> Affinity {
        Affinity::new("launcher_affinity", [key; 32]).unwrap()
    }

    fn address(port: u16) -> Address {
        let host = "127.0.0.1".into();
        Address { host, port }
    }

    fn remembered(
        prefix: &str,
        https: bool,
        answer: &[(&'static str, &'static str)],
    ) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in answer {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let token = affinity(1).token(&address(1));
        affinity(1).remember(&token, prefix, https, StatusCode::OK, &mut headers);
        let cookie = headers.get(SET_COOKIE)?.to_str().unwrap();
        Some(cookie.replace(&*token.value, "TOKEN"))
    }

    #[test]
    fn a_token_depends_on_address_and_key_alone() {
        let token = affinity(1).token(&address(1));
        assert_eq!(token, affinity(1).token(&address(1)));
        assert_ne!(token, affinity(1).token(&address(2)));
        assert_ne!(token, affinity(2).token(&address(1)));
        assert_eq!(token.value.len(), 22);
        assert!(!token.value.contains("127"));
    }

    #[test]
    fn a_cookie_is_for_its_site_and_not_for_scripts() {
        assert_eq!(
            remembered("", false, &[]).unwrap(),
            "launcher_affinity=TOKEN; Path=/; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            remembered("/docs", true, &[]).unwrap(),
            "launcher_affinity=TOKEN; Path=/docs; HttpOnly; SameSite=Lax; Secure"
        );
    }

    #[test]
    fn what_others_may_get_from_a_cache_sets_none() {
        for value in ["public, max-age=60", "max-age=1, Public", "s-maxage=60"] {
            assert_eq!(
                remembered("", false, &[("cache-control", value)]),
                None,
                "{value}"
            );
        }
        assert!(remembered("", false, &[("cache-control", "private, max-age=60")]).is_some());
        let mut headers = HeaderMap::new();
        let token = affinity(1).token(&address(1));
        affinity(1).remember(&token, "", false, StatusCode::NOT_MODIFIED, &mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn tokens_are_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.append(
            COOKIE,
            HeaderValue::from_static("a=b; launcher_affinity=one;x"),
        );
        headers.append(
            COOKIE,
            HeaderValue::from_static("launcher_affinity2=no; launcher_affinity = two"),
        );
        let affinity = affinity(1);
        let tokens: Vec<_> = affinity.tokens(&headers).collect();
        assert_eq!(tokens, ["one", "two"]);
    }

    #[test]
    fn the_key_is_not_shown() {
        assert!(!format!("{:?}", affinity(77)).contains("77"));
    }
}
