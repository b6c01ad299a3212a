//! Names of registries.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::image_name::Reference;

/// The registry of images whose names do not say one.
const DOCKER_HUB: &str = "docker.io";
/// Its other names.
const ALSO_DOCKER_HUB: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "hub.docker.com"];
/// Longest name that is looked at, in bytes: 253 of host name, a port, a scheme and a path.
const MAX_LENGTH: usize = 300;

/// A registry as image names begin with it: `host[:port]` in lower case; Docker Hub is `docker.io`.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegistryHost(String);

/// Why a text does not name a registry, in words that do not repeat it.
#[derive(Clone, Debug, thiserror::Error, Eq, PartialEq)]
#[error("{0}")]
pub struct InvalidRegistry(&'static str);

impl RegistryHost {
    /// Reads `host[:port]`, also as `docker login` writes it: with scheme, `/v1/` or `/v2/`.
    ///
    /// # Errors
    /// [`InvalidRegistry`] with the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidRegistry> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            return Err(InvalidRegistry("it is too long"));
        }
        let text = text.to_ascii_lowercase();
        let bare = ["https://", "http://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .unwrap_or(&text)
            .trim_end_matches('/');
        let bare = ["/v1", "/v2"]
            .iter()
            .find_map(|version| bare.strip_suffix(version))
            .unwrap_or(bare)
            .trim_end_matches('/');
        if bare.contains('@') {
            return Err(InvalidRegistry(
                "username and password are options of their own",
            ));
        }
        if bare.contains('/') {
            return Err(InvalidRegistry(
                "credentials are for a whole registry; leave out what follows the host and port",
            ));
        }
        Self::of_domain(bare)
    }

    pub(crate) fn docker_hub() -> Self {
        Self(DOCKER_HUB.to_owned())
    }

    /// The registry of an image.
    pub(crate) fn of_image(reference: &Reference) -> Self {
        Self::canonical(&reference.registry.to_ascii_lowercase())
    }

    /// As image names begin with it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is Docker Hub.
    #[must_use]
    pub fn is_docker_hub(&self) -> bool {
        self.0 == DOCKER_HUB
    }

    /// A registry is what the grammar of image names takes for one.
    fn of_domain(bare: &str) -> Result<Self, InvalidRegistry> {
        let rule = InvalidRegistry(
            "it is a host name with a dot or a port, such as registry.example.com or localhost:5000",
        );
        let port = bare.rsplit_once(':').map(|(_, port)| port);
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(rule);
        }
        match Reference::parse(&format!("{bare}/image")) {
            Ok(image) if image.registry == bare || ALSO_DOCKER_HUB.contains(&bare) => {
                Ok(Self::canonical(bare))
            }
            _ => Err(rule),
        }
    }

    fn canonical(name: &str) -> Self {
        match ALSO_DOCKER_HUB.contains(&name) {
            true => Self(DOCKER_HUB.to_owned()),
            false => Self(name.to_owned()),
        }
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_docker_hub() {
            true => f.write_str("Docker Hub"),
            false => f.write_str(&self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_has_one_name_however_it_is_written() {
        for (text, expected) in [
            ("docker.io", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("Registry.Example.COM/", "registry.example.com"),
            ("https://registry.example.com//", "registry.example.com"),
            ("http://127.0.0.1:5000/v2/", "127.0.0.1:5000"),
            (" localhost ", "localhost"),
            ("localhost:5000", "localhost:5000"),
            ("registry:5000", "registry:5000"),
        ] {
            let host = RegistryHost::parse(text).unwrap();
            assert_eq!(host.as_str(), expected, "{text}");
            assert_eq!(RegistryHost::parse(host.as_str()).unwrap(), host);
        }
    }

    #[test]
    fn what_is_no_registry_is_refused_and_not_repeated() {
        let long = format!("{}.test", "a".repeat(400));
        for bad in [
            "",
            "/",
            "https://",
            "registry",
            "registry.test/team",
            "user:hunter2@registry.test",
            "https://user:hunter2@registry.test/v2/",
            "registry.test:port",
            "registry.test:99999",
            "a b.test",
            "registry.test?x",
            "ftp://registry.test",
            "-a.test",
            "a\n.test",
            &long,
        ] {
            let error = RegistryHost::parse(bad).unwrap_err().to_string();
            assert!(
                !error.contains("hunter2") && !error.is_empty(),
                "{bad:?}: {error}"
            );
        }
    }
}
