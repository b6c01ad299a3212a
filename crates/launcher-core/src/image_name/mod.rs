//! Names of container images.

mod reference;

use std::fmt;

pub(crate) use reference::Reference;
use serde::{Deserialize, Serialize};

use crate::registries::RegistryHost;

/// Longest image name that is looked at, in bytes: 255 of repository, 128 of tag, a digest.
const MAX_LENGTH: usize = 512;

/// A valid image reference, kept as the caller wrote it.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageName(String);

/// Why a text is not an image reference, in words.
#[derive(Clone, Debug, thiserror::Error, Eq, PartialEq)]
#[error("{0}")]
pub struct InvalidImageName(String);

impl ImageName {
    /// Reads `[registry/]repository[:tag][@digest]` by the grammar of the OCI distribution
    /// specification; lower-case repository, no white space, no shell characters.
    ///
    /// # Errors
    /// [`InvalidImageName`] with the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidImageName> {
        if text.len() > MAX_LENGTH {
            let message = format!("an image name has at most {MAX_LENGTH} characters");
            return Err(InvalidImageName(message));
        }
        let is_id = text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit());
        if is_id || text.starts_with("sha256:") {
            return Err(InvalidImageName("an image id is not an image name".into()));
        }
        // The engine takes what stands before a slash for a registry only if it looks like one.
        let first = text.split_once('/').map_or("", |(first, _)| first);
        let is_registry = first.contains(['.', ':']) || first == "localhost";
        if !is_registry && first.bytes().any(|c| c.is_ascii_uppercase()) {
            return Err(InvalidImageName("repository name must be lowercase".into()));
        }
        if text.is_empty() {
            let message = "repository name must have at least one component";
            return Err(InvalidImageName(message.into()));
        }
        match Reference::parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(rule) => Err(InvalidImageName(rule.to_owned())),
        }
    }

    /// As the caller wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same name with the tag that is meant: `:latest` where neither tag nor digest is given.
    #[must_use]
    pub fn with_tag(&self) -> String {
        let last = self.0.rsplit('/').next().unwrap_or(&self.0);
        if last.contains(':') || last.contains('@') {
            self.0.clone()
        } else {
            format!("{}:latest", self.0)
        }
    }

    /// Whether it names fixed content, which can be pulled but not built.
    #[must_use]
    pub fn has_digest(&self) -> bool {
        self.0.contains('@')
    }

    /// The registry that it comes from and goes to: Docker Hub where the name does not say one.
    #[must_use]
    pub fn registry(&self) -> RegistryHost {
        let reference = Reference::parse(&self.0);
        reference.map_or_else(
            |_| RegistryHost::docker_hub(),
            |r| RegistryHost::of_image(&r),
        )
    }

    /// The digest in it, if there is one.
    #[must_use]
    pub(crate) fn digest(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, digest)| digest)
    }

    /// Registry and repository in full, without tag and digest.
    #[must_use]
    pub(crate) fn repository(&self) -> String {
        let reference = Reference::parse(&self.0);
        reference.map_or_else(
            |_| self.0.clone(),
            |reference| format!("{}/{}", reference.registry, reference.repository),
        )
    }

    /// Whether both mean the same image: `app` and `app:latest` do, `docker.io/library/app` too.
    #[must_use]
    pub fn is_same_image(&self, other: &Self) -> bool {
        self.canonical() == other.canonical()
    }

    /// The full form with registry and tag, for use as a key. Where there is a digest the tag means
    /// nothing.
    #[must_use]
    pub fn canonical(&self) -> String {
        if let Some(digest) = self.digest() {
            return format!("{}@{digest}", self.repository());
        }
        Reference::parse(&self.0).map_or_else(|_| self.with_tag(), |reference| reference.whole())
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ImageName {
        ImageName::parse(text).unwrap()
    }

    #[test]
    fn the_tag_is_latest_where_none_is_given() {
        assert_eq!(name("app").with_tag(), "app:latest");
        assert_eq!(
            name("localhost:5000/team/app").with_tag(),
            "localhost:5000/team/app:latest"
        );
        assert_eq!(name("app:1.2").with_tag(), "app:1.2");
        assert_eq!(name("201406010001").with_tag(), "201406010001:latest");
    }

    #[test]
    fn one_image_has_several_names() {
        assert!(name("app").is_same_image(&name("docker.io/library/app:latest")));
        assert!(!name("app").is_same_image(&name("app:2")));
        let digest = format!("sha256:{:064x}", 1);
        let fixed = name(&format!("app@{digest}"));
        assert!(fixed.is_same_image(&name(&format!("docker.io/library/app:2@{digest}"))));
        assert!(!fixed.is_same_image(&name("app")));
        assert_eq!(fixed.digest(), Some(digest.as_str()));
    }

    #[test]
    fn a_name_tells_its_registry() {
        for (text, registry) in [
            ("app", "docker.io"),
            ("team/app:1", "docker.io"),
            ("index.docker.io/team/app", "docker.io"),
            ("localhost/app", "localhost"),
            (
                "Registry.test:5000/app@sha256:0123456789012345678901234567890123456789012345678901234567890123",
                "registry.test:5000",
            ),
        ] {
            assert_eq!(name(text).registry().as_str(), registry, "{text}");
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        let long = "a".repeat(600);
        for bad in [
            "",
            "App",
            "a;rm -rf",
            "../etc",
            "a/../b",
            "a b",
            "a\n",
            "-a",
            "a:",
            &long,
            &"0123456789abcdef".repeat(4),
            &format!("sha256:{}", "0123456789abcdef".repeat(4)),
        ] {
            assert!(ImageName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
