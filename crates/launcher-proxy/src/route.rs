use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::assets::Origin;
use crate::balance::Upstreams;
use crate::meter::Meter;
use crate::redirect::Redirect;
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
    /// Whether who comes by http is sent to https. Who came by what is known from trusted proxies, which see to
    /// TLS.
    pub https: bool,
    /// Whether paths hold secrets, behind their first segment. Then the access log has only that. Default: no.
    pub secret_paths: bool,
    /// What browsers that came by https are told of how to come again.
    pub(crate) hsts: Option<HeaderValue>,
    /// Which app it is: whatever tells two apart, so that releases of one are not taken for those of the other that
    /// had the same address before. Default: empty.
    pub app: Arc<str>,
    /// What goes through it. Handed on to the site at the same address in the next table.
    pub(crate) meter: Arc<Meter>,
}

/// Where requests go.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Route {
    /// They are forwarded.
    To(Upstreams),
    /// They are sent elsewhere.
    Redirect(Redirect),
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

/// One of the upstreams of a route, and which release of the app it is: whatever tells two versions of one app apart.
/// Empty if nobody knows: then none of its assets is kept.
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
            https: false,
            secret_paths: false,
            hsts: None,
            app: Arc::default(),
            meter: Arc::default(),
        }
    }

    /// Whose upstreams get paths without the prefix.
    #[must_use]
    pub fn stripping_prefix(mut self) -> Self {
        self.strip_prefix = true;
        self
    }

    /// For visitors who come by https; others are sent there.
    #[must_use]
    pub fn https_only(mut self) -> Self {
        self.https = true;
        self
    }

    /// Whose visitors are to come by https only for so long (RFC 6797), in whole seconds, if they have come by it
    /// and the app says nothing else.
    #[must_use]
    pub fn with_hsts(mut self, max_age: Duration) -> Self {
        self.hsts = HeaderValue::try_from(format!("max-age={}", max_age.as_secs())).ok();
        self
    }

    /// Of this app.
    #[must_use]
    pub fn of_app(mut self, app: impl Into<Arc<str>>) -> Self {
        self.app = app.into();
        self
    }

    /// Whose paths hold secrets.
    #[must_use]
    pub fn with_secret_paths(mut self) -> Self {
        self.secret_paths = true;
        self
    }

    /// With limits of its own.
    #[must_use]
    pub fn with_settings(mut self, settings: impl Into<Arc<SiteSettings>>) -> Self {
        self.settings = Some(settings.into());
        self
    }

    /// Whose answers those of `replica` are.
    pub(crate) fn origin(&self, replica: &Replica) -> Origin {
        Origin {
            app: Arc::clone(&self.app),
            release: Arc::clone(&replica.release),
        }
    }
}

impl Site {
    /// Goes on counting where `last` was, also against limits that are still the same.
    pub(crate) fn adopt(&mut self, last: &Self) {
        self.meter = Arc::clone(&last.meter);
        if self.settings == last.settings {
            self.settings.clone_from(&last.settings);
        }
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
