//! The Dockerfile that is written for a Meteor bundle.
//!
//! The recipes are whole Dockerfiles in `docker/meteor-app/`, which people can use by hand; only
//! the name of the base image is filled in here.

use super::bundle::Bundle;
use super::error::SourceError;

/// The line that every recipe begins with.
const ARG_LINE: &str = "ARG NODE_IMAGE=node:22-bookworm-slim\n";
/// The line before npm is run.
const NPM_LINE: &str = "ARG NPM_VERSION=\n";
/// The lines around what is only for bundles with a script of their own.
const SETUP: [&str; 2] = ["# setup.sh\n", "# end of setup.sh\n\n"];
/// Docker's own limit on a whole reference is 255 bytes for the name and 128 for the tag.
const MAX_IMAGE: usize = 255;

/// Which of the recipes a bundle needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recipe {
    /// All packages are in the archive.
    Carried,
    /// npm needs only a few files, so that its layer is kept when only the app changes.
    Layered,
    /// npm needs more of the bundle.
    InPlace,
}

/// Name of the Node image that bundles are built on, with `{major}` for Node's major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeImage(String);

impl Default for NodeImage {
    fn default() -> Self {
        Self("node:{major}-bookworm-slim".to_owned())
    }
}

impl NodeImage {
    /// Takes a template such as `node:{major}-bookworm-slim`.
    ///
    /// # Errors
    ///
    /// [`SourceError::BadNodeImage`] for texts that cannot be the name of an image.
    pub fn parse(template: &str) -> Result<Self, SourceError> {
        let refuse = |problem| Err(SourceError::BadNodeImage(problem));
        let filled = template.replace("{major}", "22");
        if filled.is_empty() {
            return refuse("it is empty");
        }
        if filled.len() > MAX_IMAGE {
            return refuse("it is too long");
        }
        if !filled.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return refuse("it does not begin with a letter or a digit");
        }
        if !filled
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c))
        {
            return refuse("it holds characters that no image name has");
        }
        Ok(Self(template.to_owned()))
    }

    /// Name of the image with this major version of Node.
    #[must_use]
    pub fn for_major(&self, major: u32) -> String {
        self.0.replace("{major}", &major.to_string())
    }
}

/// Text of the Dockerfile for a bundle's context.
pub(super) fn text(bundle: &Bundle, node_image: &str) -> String {
    let text = match bundle.recipe {
        Recipe::Carried => include_str!("../../../../docker/meteor-app/carried.Dockerfile"),
        Recipe::Layered => include_str!("../../../../docker/meteor-app/layered.Dockerfile"),
        Recipe::InPlace => include_str!("../../../../docker/meteor-app/in-place.Dockerfile"),
    };
    let text = text.replacen(ARG_LINE, &format!("ARG NODE_IMAGE={node_image}\n"), 1);
    let text = match &bundle.info.npm_version {
        Some(npm) => text.replacen(NPM_LINE, &format!("ARG NPM_VERSION={npm}\n"), 1),
        None => text,
    };
    if bundle.setup_scripts.is_empty() {
        without_setup(&text)
    } else {
        text
    }
}

fn without_setup(text: &str) -> String {
    let [begin, end] = SETUP;
    let (before, rest) = text.split_once(begin).unwrap_or((text, ""));
    let (_, after) = rest.split_once(end).unwrap_or_default();
    format!("{before}{after}")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;
    use crate::source::BundleInfo;

    fn bundle(recipe: Recipe, npm_version: Option<&str>, setup_scripts: &[&'static str]) -> Bundle {
        Bundle {
            info: BundleInfo {
                meteor_release: None,
                node_version: None,
                npm_version: npm_version.map(str::to_owned),
                node_major: 22,
                carries_node_modules: false,
            },
            recipe,
            root: "bundle/",
            replaced: HashMap::new(),
            left_out: BTreeSet::new(),
            repeats: HashMap::new(),
            tarball: None,
            setup_scripts: setup_scripts.to_vec(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn every_recipe_takes_the_base_image_and_keeps_the_rules() {
        for recipe in [Recipe::Carried, Recipe::Layered, Recipe::InPlace] {
            let text = text(&bundle(recipe, None, &[]), "registry.example:5000/node:20");
            assert!(
                text.contains("ARG NODE_IMAGE=registry.example:5000/node:20\n"),
                "{recipe:?}"
            );
            assert!(!text.contains("bookworm"), "{recipe:?}");
            let has = |start: &str| text.lines().any(|line| line.starts_with(start));
            assert!(has("USER 1000:1000") && has("WORKDIR /bundle") && has("FROM ${NODE_IMAGE}"));
            assert!(has("CMD [\"node\", \"main.js\"]") && has("ENV NODE_ENV=production"));
            assert!(!has("HEALTHCHECK") && !has("EXPOSE") && !has("ADD") && !has("USER 0"));
            assert_eq!(has("RUN"), recipe != Recipe::Carried, "{recipe:?}");
        }
    }

    #[test]
    fn only_bundles_with_scripts_of_their_own_run_anything_as_root() {
        for recipe in [Recipe::Carried, Recipe::Layered, Recipe::InPlace] {
            let text = text(&bundle(recipe, None, &["setup.sh"]), "node");
            let (installed, rest) = text.split_once("\nUSER 0:0\n").unwrap();
            assert!(rest.contains("bash ./setup.sh") && !rest.contains("npm install"));
            assert!(installed.contains("COPY --chown=1000:1000 bundle/ /bundle/"));
            assert_eq!(rest.matches("\nUSER 1000:1000\n").count(), 1, "{recipe:?}");
        }
    }

    #[test]
    fn what_installs_packages_knows_the_bundles_npm() {
        for recipe in [Recipe::Layered, Recipe::InPlace] {
            let text = text(&bundle(recipe, Some("10.9.3"), &[]), "node");
            assert!(text.contains("\nARG NPM_VERSION=10.9.3\n"), "{recipe:?}");
        }
    }

    #[test]
    fn names_that_are_no_image_are_refused() {
        assert_eq!(NodeImage::default().for_major(14), "node:14-bookworm-slim");
        for good in [
            "node:{major}",
            "localhost:5000/a/b:{major}-slim",
            "n@sha256:0123",
        ] {
            assert!(NodeImage::parse(good).is_ok(), "{good}");
        }
        let long = "n".repeat(300);
        for bad in [
            "",
            "-node",
            "node 22",
            "node\nRUN x",
            "node:{minor}",
            "node;x",
            "$N",
            &long,
        ] {
            assert!(NodeImage::parse(bad).is_err(), "{bad}");
        }
    }
}
