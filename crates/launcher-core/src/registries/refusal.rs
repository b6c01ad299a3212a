//! Why a registry did not do what it was asked for, in a sentence that says what to do. The engine
//! gives its own words and, for most failures, HTTP status 500: so the words are what tells.

use std::fmt;

use super::RegistryHost;
use crate::ImageName;

/// Longest text that is taken over from the engine, in characters.
const MAX_REASON: usize = 500;

/// What a registry was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verb {
    Pull,
    Push,
    LogIn,
}

/// A request to a registry that failed.
pub(crate) struct Attempt<'a> {
    pub(crate) verb: Verb,
    pub(crate) registry: &'a RegistryHost,
    pub(crate) image: Option<&'a ImageName>,
    /// Whose credentials were used, if any were.
    pub(crate) username: Option<&'a str>,
}

/// Why it failed.
#[derive(Debug)]
pub(crate) struct Refusal {
    cause: Cause,
    what: String,
    reason: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cause {
    NoTls,
    NoPlain,
    NoHttp,
    Certificate,
    TooOften,
    Denied,
    Unknown,
    OtherPlatform,
    Unreachable,
    BrokenOff,
    NoSpace,
    Other,
}

/// Words of Docker's by which a cause is known; the first that fits counts.
const WORDS: [(Cause, &[&str]); 11] = [
    (Cause::NoSpace, &["no space left on device"]),
    (Cause::NoTls, &["server gave http response to https client"]),
    (
        Cause::NoPlain,
        // What is malformed is an alert of TLS.
        &[
            r#"malformed http response "\x15\x03"#,
            "http request to an https server",
        ],
    ),
    (
        Cause::NoHttp,
        &[
            "malformed http",
            "first record does not look like a tls handshake",
        ],
    ),
    (Cause::Certificate, &["x509:", "certificate"]),
    (
        Cause::TooOften,
        &["toomanyrequests", "too many requests", "rate limit"],
    ),
    (
        Cause::OtherPlatform,
        &["no matching manifest", "no match for platform"],
    ),
    (
        Cause::Unknown,
        &[
            "manifest unknown",
            "not found: manifest",
            "name unknown",
            "repository name not known",
            "blob unknown",
        ],
    ),
    (
        Cause::Denied,
        &[
            "no basic auth credentials",
            "unauthorized",
            "authentication required",
            "access denied",
            "denied:",
            "access to the resource is denied",
            "incorrect username or password",
            "401",
            "403 forbidden",
        ],
    ),
    (
        Cause::Unreachable,
        &[
            "connection refused",
            "no such host",
            "i/o timeout",
            "no route to host",
            "network is unreachable",
            "handshake timeout",
            "server misbehaving",
            "client.timeout",
            "request canceled while waiting",
            "context deadline exceeded",
        ],
    ),
    (
        Cause::BrokenOff,
        &["eof", "connection reset", "broken pipe", "broke off"],
    ),
];

impl Attempt<'_> {
    /// What the engine's words mean.
    pub(crate) fn refused(&self, text: &str) -> Refusal {
        let cause = cause(text);
        Refusal {
            cause,
            what: self.what(),
            reason: self.why(cause, text),
        }
    }

    fn what(&self) -> String {
        let image = self.image.map_or("", ImageName::as_str);
        match self.verb {
            Verb::Pull => format!("the image {image} cannot be pulled"),
            Verb::Push => format!("the image {image} cannot be pushed"),
            Verb::LogIn => "the credentials were not stored".to_owned(),
        }
    }

    fn why(&self, cause: Cause, text: &str) -> String {
        let registry = self.registry;
        match cause {
            Cause::NoTls => format!(
                "the registry {registry} speaks plain HTTP where the Docker engine expects HTTPS; give it TLS, or list \
                 it among the engine's insecure-registries"
            ),
            Cause::NoPlain => format!(
                "the registry {registry} speaks HTTPS where the Docker engine expects plain HTTP"
            ),
            Cause::NoHttp => {
                format!("what answers at {registry} is no registry: it speaks no HTTP")
            }
            Cause::Certificate => format!(
                "the Docker engine does not trust the certificate of the registry {registry}: {}",
                from_word(text, "x509:")
            ),
            Cause::TooOften => format!(
                "the registry {registry} answers no more for now: its rate limit is reached{}",
                self.without_credentials()
            ),
            Cause::Denied => self.denied(),
            Cause::Unknown => {
                format!("the registry {registry} has no image of this name with this tag or digest")
            }
            Cause::OtherPlatform => {
                format!("the registry {registry} has it, but not for this machine's architecture")
            }
            Cause::Unreachable => format!(
                "the registry {registry} cannot be reached: {}",
                last_part(text)
            ),
            Cause::BrokenOff => format!("the connection to the registry {registry} broke off"),
            Cause::NoSpace => "no space is left on the engine's disk".to_owned(),
            Cause::Other => shortened(text),
        }
    }

    fn denied(&self) -> String {
        let registry = self.registry;
        match (self.username, self.verb) {
            (Some(user), Verb::LogIn) => {
                format!("the registry {registry} refused those of \"{user}\"")
            }
            (Some(user), _) => format!(
                "the registry {registry} has no such repository, or refused it to the credentials of \"{user}\"; \
                 registry/add stores others"
            ),
            (None, _) => format!(
                "the registry {registry} has no such repository, or wants credentials, of which none are stored; \
                 registry/add stores them"
            ),
        }
    }

    fn without_credentials(&self) -> &'static str {
        match self.username {
            Some(_) => "",
            None => " (no credentials were used; registry/add stores some)",
        }
    }
}

impl Refusal {
    /// Whether it was for want of the right credentials, as far as the registry tells.
    pub(crate) fn is_denied(&self) -> bool {
        self.cause == Cause::Denied
    }

    /// Without what was asked for.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.reason)
    }
}

fn cause(text: &str) -> Cause {
    let text = text.to_ascii_lowercase();
    let fits = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let found = WORDS.iter().find(|(_, words)| fits(words));
    found.map_or(Cause::Other, |(cause, _)| *cause)
}

fn from_word(text: &str, word: &str) -> String {
    let start = text.find(word).map_or(0, |at| at + word.len());
    shortened(&text[start..])
}

/// Go's errors are chains, with the cause at their end.
fn last_part(text: &str) -> String {
    shortened(text.rsplit(": ").next().unwrap_or(text))
}

fn shortened(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    line.trim().chars().take(MAX_REASON).collect()
}
