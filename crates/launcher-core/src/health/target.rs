//! Which app is asked, and how.

use std::time::Duration;

use url::Url;

use super::{HealthKind, HealthSettings};
use crate::Hostname;

/// Whom a probe asks, and what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProbeTarget {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What the app is, or that it is to be found out.
    pub kind: HealthKind,
    /// What an app that speaks HTTP is asked for; `/` without it.
    pub path: Option<String>,
    /// Time that the probe may take in all.
    pub timeout: Duration,
    /// The path below which a Meteor app has `/sockjs` and `/websocket`, as `/app`: that of its
    /// `ROOT_URL`, where it has one.
    pub prefix: Option<String>,
    /// Whether visitors come by https, by `ROOT_URL`: an app that insists on it would send a probe
    /// away that does not say so.
    pub https: bool,
    /// The name that it is asked under; its address without it.
    pub hostname: Option<Hostname>,
}

impl ProbeTarget {
    /// An app that can be reached there.
    #[must_use]
    pub fn new(host: &str, port: u16, settings: &HealthSettings) -> Self {
        Self {
            host: host.to_owned(),
            port,
            kind: settings.kind,
            path: settings.path.clone(),
            timeout: settings.timeout,
            prefix: None,
            https: false,
            hostname: None,
        }
    }

    /// The same, which believes that it is visited at `root_url` (its variable `ROOT_URL`; one that
    /// is no URL counts as none) and under `hostname`.
    #[must_use]
    pub fn visited_at(mut self, root_url: Option<&str>, hostname: Option<&Hostname>) -> Self {
        if let Some(url) = root_url.and_then(|url| Url::parse(url).ok()) {
            let prefix = url.path().trim_end_matches('/');
            self.prefix =
                (!prefix.is_empty() && !url.cannot_be_a_base()).then(|| prefix.to_owned());
            self.https = url.scheme() == "https";
        }
        self.hostname = hostname.cloned();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_and_scheme_are_those_of_root_url() {
        let of = |root_url: &str| {
            let target = ProbeTarget::new("127.0.0.1", 1, &HealthSettings::default());
            let target = target.visited_at(Some(root_url), None);
            (target.prefix, target.https)
        };
        assert_eq!(of("http://a.test"), (None, false));
        assert_eq!(of("https://a.test/"), (None, true));
        assert_eq!(of("https://a.test/todo/"), (Some("/todo".into()), true));
        assert_eq!(of("http://a.test/a/b?c#d"), (Some("/a/b".into()), false));
        assert_eq!(of("http://a.test/a b"), (Some("/a%20b".into()), false));
        assert_eq!(of("mailto:a"), (None, false));
        assert_eq!(of("a.test/b"), (None, false));
    }
}
