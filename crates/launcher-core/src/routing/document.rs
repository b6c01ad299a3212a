//! A route as it is told to proxies, here and elsewhere.

use serde::{Deserialize, Serialize};

use crate::SiteOptions;

/// All that a proxy has to know of a route.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteDocument {
    /// The address: a hostname, all names below a domain (`*.example.com`), or a path there.
    pub hostname: String,
    /// Id of the instance that has it.
    pub instance_id: String,
    /// The servers of its app. Without one that serves, visitors get a page.
    #[serde(default)]
    pub upstreams: Vec<UpstreamDocument>,
    /// What the page says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// How far a start is, in a sentence for visitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// What is special about requests there.
    #[serde(default, skip_serializing_if = "is_plain")]
    pub options: SiteOptions,
    /// Whether requests for hostnames that nobody has go there, too.
    #[serde(
        default,
        rename = "default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub is_default: bool,
}

/// One server of an app.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct UpstreamDocument {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether it gets requests.
    pub state: UpstreamState,
    /// Number of the release that it runs; 0: unknown.
    #[serde(default)]
    pub release: u64,
}

/// Whether a server gets requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamState {
    /// It does.
    Serving,
    /// It only answers those that it has.
    Draining,
}

/// Why nothing serves.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Page {
    /// Somebody has stopped it.
    Stopped,
    /// The program ends again and again.
    Crashed,
    /// The instance is being removed.
    Removing,
    /// Somebody works on it.
    Maintenance,
    /// It will soon. What a newer launcher may say, and this one does not know, is taken to pass as well.
    #[serde(other)]
    Starting,
}

impl UpstreamState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

impl Page {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Removing => "removing",
            Self::Maintenance => "maintenance",
        }
    }
}

impl UpstreamDocument {
    /// Whether it gets requests.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.state == UpstreamState::Serving
    }
}

impl RouteDocument {
    /// The servers that get requests.
    pub fn serving(&self) -> impl Iterator<Item = &UpstreamDocument> {
        self.upstreams.iter().filter(|u| u.is_serving())
    }

    /// The servers that only answer what they have.
    pub fn draining(&self) -> impl Iterator<Item = &UpstreamDocument> {
        self.upstreams.iter().filter(|u| !u.is_serving())
    }
}

fn is_plain(options: &SiteOptions) -> bool {
    *options == SiteOptions::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_older_and_newer_launchers_write_is_read() {
        let read = |json: &str| serde_json::from_str::<RouteDocument>(json).unwrap();
        let old = read(r#"{"hostname": "a.test", "instanceId": "i", "page": "stopped"}"#);
        assert_eq!(old.page, Some(Page::Stopped));
        assert_eq!(old.options, SiteOptions::default());
        let new = read(
            r#"{"hostname": "a.test", "instanceId": "i", "page": "asleep", "options": {"color": 1, "https": true}}"#,
        );
        assert_eq!(new.page, Some(Page::Starting));
        assert!(new.options.https);
        let again = read(&serde_json::to_string(&new).unwrap());
        assert_eq!(again, new);
    }
}
