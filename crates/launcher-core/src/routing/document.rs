//! A route as it is told to proxies elsewhere.

use serde::{Deserialize, Serialize};

use super::{Backend, Route, Target};

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
    /// What the page says: `starting`, `stopped`, `crashed`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
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

impl From<&Route> for RouteDocument {
    fn from(route: &Route) -> Self {
        let (upstreams, page) = match &route.target {
            Target::Unavailable(page) => (Vec::new(), Some((*page).to_owned())),
            Target::Backends { serving, draining } => {
                let serving = serving.iter().map(|b| (b, UpstreamState::Serving));
                let draining = draining.iter().map(|b| (b, UpstreamState::Draining));
                let all = serving.chain(draining);
                let all = all.map(|(backend, state)| upstream(backend, state));
                (all.collect(), None)
            }
        };
        Self {
            hostname: route.hostname.to_string(),
            instance_id: route.instance.clone(),
            upstreams,
            page,
        }
    }
}

impl RouteDocument {
    /// Where it leads.
    #[must_use]
    pub fn target(&self) -> Target {
        if self.serving().next().is_none() {
            return Target::Unavailable(page(self.page.as_deref().unwrap_or_default()));
        }
        Target::Backends {
            serving: self.serving().map(backend).collect(),
            draining: self.with(UpstreamState::Draining).map(backend).collect(),
        }
    }

    pub(super) fn serving(&self) -> impl Iterator<Item = &UpstreamDocument> {
        self.with(UpstreamState::Serving)
    }

    fn with(&self, state: UpstreamState) -> impl Iterator<Item = &UpstreamDocument> {
        self.upstreams.iter().filter(move |u| u.state == state)
    }
}

fn upstream(backend: &Backend, state: UpstreamState) -> UpstreamDocument {
    UpstreamDocument {
        host: backend.host.clone(),
        port: backend.port,
        state,
        release: backend.release,
    }
}

fn backend(upstream: &UpstreamDocument) -> Backend {
    Backend {
        host: upstream.host.clone(),
        port: upstream.port,
        release: upstream.release,
    }
}

/// What a newer launcher may say, and this one does not know, is taken to pass.
fn page(word: &str) -> &'static str {
    const KNOWN: [&str; 3] = ["stopped", "crashed", "removing"];
    let known = KNOWN.into_iter().find(|known| *known == word);
    known.unwrap_or("starting")
}
