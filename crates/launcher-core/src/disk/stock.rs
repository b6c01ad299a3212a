//! What is on the engine, as the plan sees it: images, what each was built on, and who needs them.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use super::record::{MadeImage, RunImages};
use crate::{ImageName, engine::ImageLayer};

/// Everything that the plan depends on, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    /// All images by id, layers of builds among them.
    pub images: BTreeMap<String, StockImage>,
    /// What the launcher made, by id.
    pub made: HashMap<String, MadeImage>,
    /// The instances' images, by the names that they were launched with.
    pub wanted: Vec<ImageName>,
    /// What instances ran.
    pub ran: Vec<RunImages>,
    /// Names in full of images that are being built, pulled or pushed.
    pub under_way: HashSet<String>,
    /// The layers that images are made of, as far as they were asked for.
    pub layers: HashMap<String, Vec<ImageLayer>>,
}

/// An image.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StockImage {
    /// The engine's content id.
    pub id: String,
    /// The image that it was built on, if the engine knows it.
    pub parent: Option<String>,
    /// Its names, each with a tag.
    pub names: Vec<String>,
    /// Under which it was pulled or pushed (`repository@sha256:…`).
    pub digests: Vec<String>,
    /// Whether the engine lists it: it is more than a layer of others.
    pub is_listed: bool,
    /// When it was made, to the second.
    pub created_at: Option<Timestamp>,
    /// Size in bytes, with what it shares with others.
    pub size_bytes: u64,
    /// Containers of this launcher's instances that were made from it.
    pub used_by_instances: usize,
    /// All other containers that were made from it.
    pub used_by_others: usize,
}

impl StockImage {
    /// Whether nobody could name it.
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.names.is_empty() && self.digests.is_empty()
    }

    /// Whether this name means it, or did when it was pulled.
    #[must_use]
    pub fn is_meant_by(&self, name: &ImageName) -> bool {
        match name.as_str().split_once('@') {
            Some((_, digest)) => self.digests.iter().any(|known| known.ends_with(digest)),
            None => self.has_name(&name.canonical()),
        }
    }

    /// Whether it has this name, given in full.
    #[must_use]
    pub fn has_name(&self, canonical_name: &str) -> bool {
        self.names
            .iter()
            .any(|own| canonical(own) == canonical_name)
    }
}

/// A name in full; as it is where it is none.
pub(super) fn canonical(name: &str) -> String {
    ImageName::parse(name).map_or_else(|_| name.to_owned(), |name| name.canonical())
}

/// The repository in a name in full, as people write it.
pub(super) fn repository(canonical_name: &str) -> String {
    let name = canonical_name.split('@').next().unwrap_or_default();
    let end = name.rfind('/').map_or(0, |slash| slash + 1);
    let tag = name[end..]
        .find(':')
        .map_or(name.len(), |colon| end + colon);
    let repository = &name[..tag];
    let short = repository.strip_prefix("docker.io/").unwrap_or(repository);
    short.strip_prefix("library/").unwrap_or(short).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_written_as_people_do() {
        for (name, expected) in [
            ("app", "app"),
            ("team/app:1", "team/app"),
            ("localhost:5000/team/app", "localhost:5000/team/app"),
            (
                "app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "app",
            ),
        ] {
            assert_eq!(repository(&canonical(name)), expected);
        }
    }
}
