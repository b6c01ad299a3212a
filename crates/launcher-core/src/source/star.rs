//! Reads a bundle's `star.json`: its release, its architecture and the Node it needs.

use serde::Deserialize;

use super::error::SourceError;

/// Oldest Node that has an image with an npm that still works.
const OLDEST_NODE: u32 = 4;
/// Longest text that is taken over from star.json, in bytes.
const MAX_TEXT: usize = 100;

/// Node majors by Meteor release, for bundles that do not name their Node: the first line whose
/// release is not newer than the bundle's counts (Meteor's changelog).
const NODE_OF_METEOR: [((u32, u32), u32); 8] = [
    ((3, 1), 22),
    ((3, 0), 20),
    ((2, 3), 14),
    ((1, 9), 12),
    ((1, 6), 8),
    ((1, 4), 4),
    ((1, 0), 0),
    ((0, 0), 0),
];

/// What a Meteor bundle says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleInfo {
    /// Release as in star.json, such as `METEOR@3.3`.
    pub meteor_release: Option<String>,
    /// Node version that the bundle was made with, such as `22.16.0`.
    pub node_version: Option<String>,
    /// npm version that belongs to it.
    pub npm_version: Option<String>,
    /// Major version of the Node that runs it.
    pub node_major: u32,
    /// Whether all packages of the server are in the archive, so that nothing is installed.
    pub carries_node_modules: bool,
}

/// `star.json`, as far as it matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Star {
    meteor_release: Option<String>,
    node_version: Option<String>,
    npm_version: Option<String>,
    #[serde(default)]
    programs: Vec<Program>,
}

#[derive(Deserialize)]
struct Program {
    arch: Option<String>,
}

impl Star {
    /// Parses the file, or nothing when it is not JSON of the expected form.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Whether the bundle's server runs on machines of this architecture, as Meteor names it.
    ///
    /// # Errors
    ///
    /// [`SourceError::Architecture`] when it was made for others.
    pub(super) fn check_architecture(&self, wanted: &str) -> Result<(), SourceError> {
        // A program for "os.linux" or "os" runs on any machine below it; "web.browser" on none.
        let foreign = |arch: &&String| {
            arch.starts_with("os.") && *arch != wanted && !wanted.starts_with(&format!("{arch}."))
        };
        let archs = self
            .programs
            .iter()
            .filter_map(|program| program.arch.as_ref());
        match archs.into_iter().find(foreign) {
            None => Ok(()),
            Some(found) => {
                let found = found
                    .chars()
                    .filter(char::is_ascii_graphic)
                    .take(MAX_TEXT)
                    .collect();
                Err(SourceError::Architecture {
                    found,
                    wanted: wanted.to_owned(),
                })
            }
        }
    }

    /// What is known of the bundle, with the Node that runs it: the one it names, or else the one
    /// in `.node_version.txt`, or else that of its Meteor release.
    ///
    /// # Errors
    ///
    /// [`SourceError::NodeUnknown`] and [`SourceError::NodeTooOld`].
    pub(super) fn info(
        &self,
        node_version_txt: Option<&[u8]>,
        carries_node_modules: bool,
    ) -> Result<BundleInfo, SourceError> {
        let meteor_release = self.meteor_release.as_deref().and_then(plain);
        let from_txt = || node_version_txt.and_then(|text| plain(std::str::from_utf8(text).ok()?));
        let named = self
            .node_version
            .as_deref()
            .and_then(plain)
            .or_else(from_txt);
        let node_version = named.map(|text| text.trim_start_matches('v').to_owned());
        let major = node_version.as_deref().and_then(major_of);
        let known = major.or_else(|| meteor_release.as_deref().and_then(node_of_meteor));
        let node_major = known.ok_or(SourceError::NodeUnknown)?;
        if node_major < OLDEST_NODE {
            return Err(SourceError::NodeTooOld(
                node_version.unwrap_or_else(|| "0.10".to_owned()),
            ));
        }
        let npm_version = self.npm_version.as_deref().and_then(plain);
        Ok(BundleInfo {
            meteor_release,
            node_version,
            npm_version,
            node_major,
            carries_node_modules,
        })
    }
}

/// A short text without anything that would not belong in a version; others are ignored.
fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "@.-+_:".contains(c);
    let usable = !text.is_empty() && text.len() <= MAX_TEXT && text.chars().all(allowed);
    usable.then(|| text.to_owned())
}

fn major_of(version: &str) -> Option<u32> {
    let (major, _) = version.split_once('.').unwrap_or((version, ""));
    major.parse().ok().filter(|major| *major < 1000)
}

fn node_of_meteor(release: &str) -> Option<u32> {
    let version = release.rsplit('@').next()?;
    let mut numbers = version.split(['.', '-']).map(str::parse::<u32>);
    let (major, minor) = (
        numbers.next()?.ok()?,
        numbers.next().and_then(Result::ok).unwrap_or(0),
    );
    NODE_OF_METEOR
        .iter()
        .find(|(since, _)| *since <= (major, minor))
        .map(|(_, node)| *node)
}
