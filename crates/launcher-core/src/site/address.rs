//! Addresses of sites: `app.example.com`, `*.example.com`, `example.com/docs`.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hostname::{Hostname, InvalidHostname};

/// Longest path, in bytes.
const MAX_PATH: usize = 256;

/// A hostname, or all names below a domain, or a path at either, in the form in which requests are matched.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiteAddress {
    /// Without the `*.` of a wildcard.
    hostname: Hostname,
    is_wildcard: bool,
    /// From its first slash on, without one at its end; empty: all paths.
    path: String,
}

/// What is wrong with a text that should be the address of a site.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum InvalidSiteAddress {
    /// The hostname is.
    #[error("{0}")]
    Hostname(#[from] InvalidHostname),
    /// The path is.
    #[error(
        "the path after a hostname has at most {MAX_PATH} characters: letters, digits, and -._~!$&'()+,;=:@ \
         between single slashes, no part of it being . or .."
    )]
    Path,
    /// An asterisk that is not all of the first label.
    #[error(
        "an asterisk stands for all names below a domain, and only at the beginning, as in *.example.com"
    )]
    Wildcard,
}

impl SiteAddress {
    /// Reads an address as a caller writes it. Letter case matters in its path only; a slash at its end does not.
    ///
    /// # Errors
    /// [`InvalidSiteAddress`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidSiteAddress> {
        let (host, path) = text
            .find('/')
            .map_or((text, ""), |slash| text.split_at(slash));
        let path = path.strip_suffix('/').unwrap_or(path);
        if !is_path(path) {
            return Err(InvalidSiteAddress::Path);
        }
        let domain = host.strip_prefix("*.");
        let name = domain.unwrap_or(host);
        if name.contains('*') {
            return Err(InvalidSiteAddress::Wildcard);
        }
        Ok(Self {
            hostname: Hostname::parse(name)?,
            is_wildcard: domain.is_some(),
            path: path.to_owned(),
        })
    }

    /// The hostname, if it is one and not all names below a domain.
    #[must_use]
    pub fn hostname(&self) -> Option<&Hostname> {
        (!self.is_wildcard).then_some(&self.hostname)
    }

    /// The path, from its first slash on; empty if there is none.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl From<Hostname> for SiteAddress {
    fn from(hostname: Hostname) -> Self {
        Self {
            hostname,
            is_wildcard: false,
            path: String::new(),
        }
    }
}

impl TryFrom<String> for SiteAddress {
    type Error = InvalidSiteAddress;

    fn try_from(text: String) -> Result<Self, InvalidSiteAddress> {
        Self::parse(&text)
    }
}

impl From<SiteAddress> for String {
    fn from(address: SiteAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for SiteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_wildcard { "*." } else { "" };
        write!(f, "{star}{}{}", self.hostname, self.path)
    }
}

/// Whether requests can be compared with it byte by byte. So there are no percent signs: one character can be
/// escaped in several ways.
fn is_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@".contains(&byte);
    let is_segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(is_plain);
    match path.strip_prefix('/') {
        None => path.is_empty(),
        Some(parts) => path.len() <= MAX_PATH && parts.split('/').all(is_segment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, InvalidSiteAddress> {
        SiteAddress::parse(text).map(|address| address.to_string())
    }

    #[test]
    fn all_forms_are_normalised() {
        for (text, normal) in [
            ("App.Example.COM.", "app.example.com"),
            ("*.Example.com", "*.example.com"),
            ("*.bücher.example", "*.xn--bcher-kva.example"),
            ("a.test/", "a.test"),
            ("A.test/Docs/v1.0/", "a.test/Docs/v1.0"),
            ("*.a.test/x", "*.a.test/x"),
        ] {
            assert_eq!(parsed(text), Ok(normal.to_owned()), "{text}");
        }
    }

    #[test]
    fn only_what_is_one_name_has_a_hostname() {
        let hostname = |text| {
            let address = SiteAddress::parse(text).unwrap();
            address.hostname().map(ToString::to_string)
        };
        assert_eq!(hostname("a.test/x"), Some("a.test".to_owned()));
        assert_eq!(hostname("*.a.test"), None);
    }

    #[test]
    fn everything_else_is_refused() {
        use InvalidSiteAddress::{Hostname, Path, Wildcard};
        for text in [
            "a.test//",
            "a.test//b",
            "a.test/./b",
            "a.test/..",
            "a.test/%41",
            "a.test/b?c",
            "a.test/b c",
            "a.test/é",
        ] {
            assert_eq!(parsed(text), Err(Path), "{text}");
        }
        assert_eq!(
            parsed(&format!("a.test/{}", "b".repeat(MAX_PATH))),
            Err(Path)
        );
        for text in ["*", "a.*.test", "*a.test", "*.*.test"] {
            assert_eq!(parsed(text), Err(Wildcard), "{text}");
        }
        for text in ["", "/docs", "*.", "a_b.test", "http://a.test", "a.test:80"] {
            assert!(matches!(parsed(text), Err(Hostname(_) | Path)), "{text}");
        }
    }
}
