//! Names under which visitors reach an app instance.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest hostname in characters (RFC 1035 §2.3.4, without the final dot).
const MAX_LENGTH: usize = 253;

/// A hostname in the form in which requests are matched: ASCII (IDNA), lower case, no final dot, no
/// port.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hostname(String);

/// What is wrong with a text that should be a hostname.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum InvalidHostname {
    /// Nothing there.
    #[error("a hostname cannot be empty")]
    Empty,
    /// More than 253 characters.
    #[error("a hostname has at most {MAX_LENGTH} characters")]
    TooLong,
    /// A scheme, port, path, white space or another character that no hostname has.
    #[error(
        "a hostname consists of letters, digits, hyphens and dots, without scheme, port or path"
    )]
    BadCharacters,
    /// An empty label, one of more than 63 characters, or one that begins or ends with a hyphen.
    #[error(
        "each part of a hostname has 1 to 63 characters and neither begins nor ends with a hyphen"
    )]
    BadLabel,
}

impl Hostname {
    /// Reads a hostname as a caller writes it: any letter case, Unicode names converted (IDNA,
    /// UTS #46), one final dot allowed.
    ///
    /// # Errors
    /// [`InvalidHostname`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidHostname> {
        if text.is_empty() {
            return Err(InvalidHostname::Empty);
        }
        if text.len() > 4 * MAX_LENGTH {
            return Err(InvalidHostname::TooLong);
        }
        let ascii = to_ascii(text)?;
        if ascii.len() > MAX_LENGTH {
            return Err(InvalidHostname::TooLong);
        }
        if ascii.split('.').all(is_label) {
            Ok(Self(ascii))
        } else {
            Err(InvalidHostname::BadLabel)
        }
    }

    /// The normalised text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn to_ascii(text: &str) -> Result<String, InvalidHostname> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let allowed = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '-' || c == '.';
    // `domain_to_ascii` percent-decodes and drops tabs and newlines, so those are refused before.
    if !text.chars().all(allowed) || text.chars().any(char::is_whitespace) {
        return Err(InvalidHostname::BadCharacters);
    }
    if text.is_ascii() {
        return Ok(text.to_ascii_lowercase());
    }
    match url::Host::parse(text) {
        Ok(url::Host::Domain(ascii)) => Ok(ascii),
        _ => Err(InvalidHostname::BadCharacters),
    }
}

fn is_label(label: &str) -> bool {
    // Checked after the conversion: full-width characters become ASCII ones by it.
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    label.bytes().all(allowed)
        && (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, InvalidHostname> {
        Hostname::parse(text).map(|h| h.to_string())
    }

    #[test]
    fn names_are_normalised() {
        assert_eq!(parsed("App.Example.COM."), Ok("app.example.com".into()));
        assert_eq!(parsed("bücher.example"), Ok("xn--bcher-kva.example".into()));
        assert_eq!(parsed("localhost"), Ok("localhost".into()));
        assert_eq!(parsed("127.0.0.1"), Ok("127.0.0.1".into()));
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "a/b", "a b", "a\nb", "http://a", "a:80", "*", "a_b", "a%2fb", "[::1]", "\u{a0}a",
        ] {
            assert_eq!(parsed(bad), Err(InvalidHostname::BadCharacters), "{bad:?}");
        }
        for bad in [
            "a..b",
            ".a",
            "-a.b",
            "a-.b",
            "＊.a",
            "ａ；ｂ.test",
            &"a".repeat(64),
        ] {
            assert_eq!(parsed(bad), Err(InvalidHostname::BadLabel), "{bad:?}");
        }
        assert_eq!(parsed(""), Err(InvalidHostname::Empty));
        assert_eq!(parsed(&"a.".repeat(150)), Err(InvalidHostname::TooLong));
    }
}
