//! Where `source-map-support` comes from, which every Meteor bundle names by the URL of a tarball on a
//! code-hosting site.

use std::str::FromStr;

use serde_json::{Map, Value};
use url::Url;

use super::error::{SourceError, shown};
use super::fetch::{Fetcher, public_url};
use super::npm;

/// Where a build takes `source-map-support` from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceMapSupport {
    /// From where the bundle names it if that answers this machine, otherwise from the registry.
    ///
    /// npm runs in a container of the engine's, so what this machine sees is a good guess only.
    #[default]
    Auto,
    /// Always version 0.4.18 of the npm registry.
    Registry,
    /// Always from where the bundle names it.
    Bundle,
}

impl FromStr for SourceMapSupport {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        match text {
            "auto" => Ok(Self::Auto),
            "registry" => Ok(Self::Registry),
            "bundle" => Ok(Self::Bundle),
            _ => Err(SourceError::BadSourceMapSupport),
        }
    }
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Bundle,
    /// As it was asked for.
    Registry,
    /// Because the site does not answer.
    Fallback,
}

/// What a bundle names instead of a version.
#[derive(Debug, Clone)]
pub(super) struct Tarball {
    /// Nothing where only git, or only the lock file, knows it.
    url: Option<Url>,
}

impl Tarball {
    /// The one that a `package.json` names.
    pub(super) fn of(package: &Map<String, Value>) -> Self {
        let url = npm::remote_spec(package).and_then(|spec| Url::parse(spec).ok());
        Self {
            url: url.filter(|url| matches!(url.scheme(), "http" | "https")),
        }
    }

    /// Decides as the option says. `fetcher` asks the site; without one it counts as out of reach.
    pub(super) async fn origin(
        &self,
        wanted: SourceMapSupport,
        fetcher: Option<&Fetcher>,
    ) -> Origin {
        match (wanted, &self.url, fetcher) {
            (SourceMapSupport::Registry, ..) => Origin::Registry,
            (SourceMapSupport::Bundle, ..) => Origin::Bundle,
            (SourceMapSupport::Auto, Some(url), Some(fetcher)) if fetcher.answers(url).await => {
                Origin::Bundle
            }
            (SourceMapSupport::Auto, ..) => Origin::Fallback,
        }
    }

    /// A line for the build's log.
    pub(super) fn note(&self, origin: Origin) -> String {
        let (package, version) = (npm::PACKAGE, npm::VERSION);
        let place = match &self.url {
            Some(url) => shown(&public_url(url)),
            None => "the place".to_owned(),
        };
        match origin {
            Origin::Bundle => format!("{package} is taken from {place} that the bundle names"),
            Origin::Registry => format!(
                "{package} is taken as version {version} from the npm registry instead of {place} \
                 that the bundle names"
            ),
            Origin::Fallback => format!(
                "{package} is taken as version {version} from the npm registry, because {place} that \
                 the bundle names does not answer here"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_by_their_names() {
        assert_eq!("auto".parse().ok(), Some(SourceMapSupport::Auto));
        assert_eq!("registry".parse().ok(), Some(SourceMapSupport::Registry));
        assert_eq!("bundle".parse().ok(), Some(SourceMapSupport::Bundle));
        for text in ["", "Auto", "npm", "0.4.18"] {
            assert!(text.parse::<SourceMapSupport>().is_err(), "{text}");
        }
    }
}
