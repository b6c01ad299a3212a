//! Understands a Meteor bundle: its release, the Node it needs, and how its packages get installed.
//!
//! The layout is that of `meteor build` (Meteor's `tools/isobuild/bundler.js`), whose archives hold
//! one folder `bundle/`. An archive made inside that folder is understood as well.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::archive::Scan;
use super::dockerfile::Recipe;
use super::error::SourceError;
use super::npm;
use super::tree::Tree;

pub(super) const STAR_JSON: &str = "star.json";
const NODE_VERSION_TXT: &str = ".node_version.txt";
const PACKAGE_JSON: &str = "programs/server/package.json";
const SHRINKWRAP: &str = "programs/server/npm-shrinkwrap.json";
const PACKAGE_LOCK: &str = "programs/server/package-lock.json";
/// Without these a bundle cannot be run.
const REQUIRED: [&str; 3] = ["main.js", STAR_JSON, PACKAGE_JSON];
/// Files of a bundle that are read, by their path inside it.
pub(super) const CAPTURED: [&str; 5] = [
    STAR_JSON,
    NODE_VERSION_TXT,
    PACKAGE_JSON,
    SHRINKWRAP,
    PACKAGE_LOCK,
];
/// Scripts that npm runs when it installs a package's dependencies.
const INSTALL_SCRIPTS: [&str; 7] = [
    "preinstall",
    "install",
    "postinstall",
    "prepublish",
    "preprepare",
    "prepare",
    "postprepare",
];
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

/// A bundle, read, with what must change in it to become a build context.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) info: BundleInfo,
    pub(super) recipe: Recipe,
    /// Folder of the bundle in the archive: `bundle/` or nothing.
    pub(super) root: &'static str,
    /// New content of files, by their path in the archive.
    pub(super) replaced: HashMap<String, Vec<u8>>,
    pub(super) notes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StarJson {
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

/// Files of one bundle in a scanned archive.
struct Files<'a> {
    scan: &'a Scan,
    root: &'static str,
}

/// Where in the archive something like a bundle lies.
pub(super) fn find_root(tree: &Tree) -> Option<&'static str> {
    let is_bundle = |root: &&str| {
        let has = |file: &str| tree.has_file(&format!("{root}{file}"));
        has(STAR_JSON) || has(PACKAGE_JSON) || has("programs/server/boot.js")
    };
    ["bundle/", ""].into_iter().find(is_bundle)
}

impl Bundle {
    /// Reads a bundle of an archive whose paths are known to be safe.
    ///
    /// # Errors
    ///
    /// Files that are missing or are not what they should be, another architecture, or a Node that
    /// is unknown or too old.
    pub(super) fn read(
        scan: &Scan,
        root: &'static str,
        architecture: &str,
    ) -> Result<Self, SourceError> {
        let files = Files { scan, root };
        files.expect_required()?;
        if let Some(path) = scan.shared_outside.as_ref().filter(|_| !root.is_empty()) {
            return Err(SourceError::entry(
                path,
                "is a hard link to a file outside of the bundle",
            ));
        }
        let star: StarJson =
            serde_json::from_slice(files.content(STAR_JSON)?).map_err(|_| not_json("star.json"))?;
        check_architecture(&star, architecture)?;
        let mut package = files.object(PACKAGE_JSON)?;
        let carries_node_modules = files.carry_all(&package);
        let info = info(
            &star,
            files.optional(NODE_VERSION_TXT),
            carries_node_modules,
        )?;
        let mut bundle = Self {
            info,
            recipe: Recipe::Carried,
            root,
            replaced: HashMap::new(),
            notes: Vec::new(),
        };
        if !carries_node_modules {
            bundle.replace_remote_packages(&files, &mut package)?;
            bundle.recipe = recipe(&files, &package);
        }
        bundle.note_what_is_done(&files);
        Ok(bundle)
    }

    fn replace_remote_packages(
        &mut self,
        files: &Files<'_>,
        package: &mut Map<String, Value>,
    ) -> Result<(), SourceError> {
        let mut changed = Vec::new();
        if npm::patch_package(package) {
            changed.push((PACKAGE_JSON, Value::Object(package.clone())));
        }
        for path in [SHRINKWRAP, PACKAGE_LOCK]
            .into_iter()
            .filter(|path| files.captured(path))
        {
            let mut lock = files.object(path)?;
            if npm::patch_lock(&mut lock) {
                changed.push((path, Value::Object(lock)));
            }
        }
        if !changed.is_empty() {
            self.notes.push(npm::replacement_note());
        }
        for (path, value) in changed {
            self.replaced
                .insert(format!("{}{path}", self.root), npm::to_bytes(&value));
        }
        Ok(())
    }

    fn note_what_is_done(&mut self, files: &Files<'_>) {
        let release = self
            .info
            .meteor_release
            .as_deref()
            .unwrap_or("an unknown release");
        let node = self.info.node_major;
        let note = match self.recipe {
            Recipe::Carried => "its packages are in the archive, nothing is installed",
            Recipe::InPlace if files.has_node_modules() => {
                "some of its packages are in the archive, npm installs the others"
            }
            Recipe::InPlace | Recipe::Layered => "npm installs its packages",
        };
        self.notes.insert(
            0,
            format!("Meteor bundle of {release} for Node {node}: {note}"),
        );
    }
}

impl<'a> Files<'a> {
    fn path(&self, file: &str) -> String {
        format!("{}{file}", self.root)
    }

    fn expect_required(&self) -> Result<(), SourceError> {
        let lacks = |file: &&str| !self.scan.tree.has_file(&self.path(file));
        let missing: Vec<_> = REQUIRED
            .iter()
            .filter(|file| lacks(file))
            .map(|file| self.path(file))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(SourceError::BundleIncomplete { missing })
        }
    }

    fn captured(&self, file: &str) -> bool {
        self.scan.captured.contains_key(&self.path(file))
    }

    fn optional(&self, file: &str) -> Option<&'a [u8]> {
        self.scan.captured.get(&self.path(file)).map(Vec::as_slice)
    }

    fn content(&self, file: &'static str) -> Result<&'a [u8], SourceError> {
        let problem = "is a link, not a file";
        self.optional(file)
            .ok_or(SourceError::BundleFile { file, problem })
    }

    fn object(&self, file: &'static str) -> Result<Map<String, Value>, SourceError> {
        serde_json::from_slice(self.content(file)?).map_err(|_| not_json(file))
    }

    fn text_has(&self, file: &str, piece: &str) -> bool {
        let text = self.optional(file).map(String::from_utf8_lossy);
        text.is_some_and(|text| text.contains(piece))
    }

    fn has_node_modules(&self) -> bool {
        self.scan
            .tree
            .has_directory(&self.path("programs/server/node_modules"))
    }

    /// Whether every package that the server depends on lies in the archive.
    fn carry_all(&self, package: &Map<String, Value>) -> bool {
        let carried = |name: &String| {
            let file = format!("programs/server/node_modules/{name}/package.json");
            self.scan.tree.has_file(&self.path(&file))
        };
        let dependencies = package.get("dependencies").and_then(Value::as_object);
        self.has_node_modules() && dependencies.is_none_or(|names| names.keys().all(carried))
    }
}

fn check_architecture(star: &StarJson, wanted: &str) -> Result<(), SourceError> {
    // A program for "os.linux" or "os" runs on any machine below it; "web.browser" on none.
    let foreign = |arch: &&String| {
        arch.starts_with("os.") && *arch != wanted && !wanted.starts_with(&format!("{arch}."))
    };
    let archs = star
        .programs
        .iter()
        .filter_map(|program| program.arch.as_ref());
    match archs.into_iter().find(foreign) {
        None => Ok(()),
        Some(found) => {
            let found = found
                .chars()
                .take(MAX_TEXT)
                .filter(|c| !c.is_control())
                .collect();
            Err(SourceError::Architecture {
                found,
                wanted: wanted.to_owned(),
            })
        }
    }
}

fn info(
    star: &StarJson,
    node_version_txt: Option<&[u8]>,
    carries_node_modules: bool,
) -> Result<BundleInfo, SourceError> {
    let meteor_release = star.meteor_release.as_deref().and_then(plain);
    let from_txt = || node_version_txt.and_then(|text| plain(std::str::from_utf8(text).ok()?));
    let named = star
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
    let npm_version = star.npm_version.as_deref().and_then(plain);
    Ok(BundleInfo {
        meteor_release,
        node_version,
        npm_version,
        node_major,
        carries_node_modules,
    })
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

/// How npm is run: in a layer of its own only where it needs nothing but the files named in the
/// recipe.
fn recipe(files: &Files<'_>, package: &Map<String, Value>) -> Recipe {
    let local_locked = [SHRINKWRAP, PACKAGE_LOCK]
        .iter()
        .any(|file| files.text_has(file, "\"file:"));
    let simple = !files.has_node_modules()
        && !package.contains_key("workspaces")
        && !has_own_scripts(package)
        && !has_local_packages(package)
        && !local_locked;
    if simple {
        Recipe::Layered
    } else {
        Recipe::InPlace
    }
}

fn has_own_scripts(package: &Map<String, Value>) -> bool {
    let unusual = |(name, script): (&String, &Value)| {
        INSTALL_SCRIPTS.contains(&name.as_str())
            && !(name == "install" && script == "node npm-rebuild.js")
    };
    let scripts = package.get("scripts").and_then(Value::as_object);
    scripts.is_some_and(|scripts| scripts.iter().any(unusual))
}

fn has_local_packages(package: &Map<String, Value>) -> bool {
    let is_local = |spec: &Value| {
        let starts = ["file:", "link:", "workspace:", ".", "/", "~/"];
        spec.as_str()
            .is_some_and(|spec| starts.iter().any(|start| spec.starts_with(start)))
    };
    let groups = ["dependencies", "optionalDependencies", "peerDependencies"];
    let specs = groups
        .iter()
        .filter_map(|group| package.get(*group)?.as_object());
    specs.flat_map(Map::values).any(is_local)
}

fn not_json(file: &'static str) -> SourceError {
    SourceError::BundleFile {
        file,
        problem: "is not valid JSON of the expected form",
    }
}
