use std::sync::Arc;

use crate::balance::Upstreams;
use crate::meter::Meter;
use crate::settings::SiteSettings;
use crate::upstream::Upstream;

/// What a hostname, or a path below it, stands for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Site {
    /// Where its requests go.
    pub route: Route,
    /// Whether upstreams get the path without the prefix under which the site is. They are told it as
    /// `X-Forwarded-Prefix`. Default: they get the path as it is.
    pub strip_prefix: bool,
    /// Its own limits. Default: those that hold for all ([`Config::site`](crate::Config::site)).
    pub settings: Option<Arc<SiteSettings>>,
    /// What goes through it. Handed on to the site at the same address in the next table.
    pub(crate) meter: Arc<Meter>,
}

/// Where requests go.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Route {
    /// They are forwarded.
    To(Upstreams),
    /// They are answered 503: the hostname is known, but nothing runs behind it now.
    Unavailable(Outage),
}

/// Why nothing runs behind a hostname. Visitors read it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// It will soon; the text says how far it is.
    Starting(Option<Arc<str>>),
    /// Somebody has stopped it.
    Stopped,
    /// It has ended by itself, again and again.
    Crashed,
    /// Somebody works on it.
    Maintenance,
    /// Something else, in a word or two.
    Other(Arc<str>),
}

/// One of the upstreams of a route, and which release of the app it is: whatever tells two versions apart, empty
/// if nobody asks.
#[derive(Debug, Clone)]
pub struct Replica {
    pub(crate) upstream: Upstream,
    pub(crate) release: Arc<str>,
}

impl Site {
    /// With the defaults.
    pub fn new(route: Route) -> Self {
        Self {
            route,
            strip_prefix: false,
            settings: None,
            meter: Arc::default(),
        }
    }

    /// Whose upstreams get paths without the prefix.
    #[must_use]
    pub fn stripping_prefix(mut self) -> Self {
        self.strip_prefix = true;
        self
    }

    /// With limits of its own.
    #[must_use]
    pub fn with_settings(mut self, settings: impl Into<Arc<SiteSettings>>) -> Self {
        self.settings = Some(settings.into());
        self
    }
}

impl Route {
    /// Forwards to `upstream`.
    pub fn to(upstream: Upstream) -> Self {
        Self::to_any([upstream])
    }

    /// Forwards each request to one of `serving`: to the one with the fewest open requests and
    /// upgraded connections, in turns where several are equal. Without any it is answered 503.
    pub fn to_any<R: Into<Replica>>(serving: impl IntoIterator<Item = R>) -> Self {
        Self::switched(serving, [])
    }

    /// The same, while `draining`, which served before, are taken out of service: see
    /// [`RouteTableBuilder::draining`](crate::RouteTableBuilder::draining).
    pub fn switched<R: Into<Replica>>(
        serving: impl IntoIterator<Item = R>,
        draining: impl IntoIterator<Item = Replica>,
    ) -> Self {
        let upstreams = Upstreams::new(serving.into_iter().map(Into::into), draining);
        if upstreams.serving().next().is_none() {
            return Self::Unavailable(Outage::Starting(None));
        }
        Self::To(upstreams)
    }

    /// Answers 503 and says why: `reason` (such as `stopped`) is shown to visitors.
    pub fn unavailable(reason: impl Into<Arc<str>>) -> Self {
        let reason = reason.into();
        Self::Unavailable(match &*reason {
            "starting" => Outage::Starting(None),
            "stopped" => Outage::Stopped,
            "crashed" => Outage::Crashed,
            "maintenance" => Outage::Maintenance,
            _ => Outage::Other(reason),
        })
    }
}

impl Replica {
    /// `upstream` as a replica of `release`.
    pub fn new(upstream: Upstream, release: impl Into<Arc<str>>) -> Self {
        Self {
            upstream,
            release: release.into(),
        }
    }

    /// Where it is.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// What it was given as its release.
    pub fn release(&self) -> &str {
        &self.release
    }
}

impl From<Upstream> for Replica {
    fn from(upstream: Upstream) -> Self {
        Self::new(upstream, "")
    }
}

impl From<Route> for Site {
    fn from(route: Route) -> Self {
        Self::new(route)
    }
}

impl Outage {
    /// In a word or two.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Starting(_) => "starting",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Maintenance => "maintenance",
            Self::Other(reason) => reason,
        }
    }
}
