//! Understands a Meteor bundle: that it is whole, and how its packages get installed.
//!
//! The layout is that of `meteor build` (Meteor's `tools/isobuild/bundler.js`), whose archives hold
//! one folder `bundle/`. An archive made inside that folder is understood as well.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::archive::Scan;
use super::dockerfile::Recipe;
use super::error::{SourceError, shown};
use super::npm;
use super::star::{BundleInfo, Star};
use super::tarball::{Origin, Tarball};
use super::tree::Tree;

const STAR_JSON: &str = "star.json";
const NODE_VERSION_TXT: &str = ".node_version.txt";
const PACKAGE_JSON: &str = "programs/server/package.json";
const SHRINKWRAP: &str = "programs/server/npm-shrinkwrap.json";
const PACKAGE_LOCK: &str = "programs/server/package-lock.json";
/// Scripts that Galaxy's base image runs when it builds (meteor/galaxy-images, `galaxy-app/app/setup.sh`).
const SETUP_SCRIPTS: [&str; 2] = ["programs/server/setup.sh", "setup.sh"];
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
/// A bundle, read, with what must change in it to become a build context.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) info: BundleInfo,
    pub(super) recipe: Recipe,
    /// Folder of the bundle in the archive: `bundle/` or nothing.
    pub(super) root: &'static str,
    /// New content of files, by their path in the archive.
    pub(super) replaced: HashMap<String, Vec<u8>>,
    /// What is not taken from where it names it, if `replaced` gets into the context.
    pub(super) tarball: Option<Tarball>,
    /// Which of the scripts that are run when the packages are installed it has.
    pub(super) setup_scripts: Vec<&'static str>,
    /// Links that do not get into the context, by their path in the archive.
    pub(super) left_out: BTreeSet<String>,
    /// How often files appear again in the archive, by path.
    pub(super) repeats: HashMap<String, u64>,
    pub(super) notes: Vec<String>,
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

/// Whether this is the place of a link that node-gyp (9 and later, `lib/configure.js`) makes to the
/// machine's Python beside every module that it compiles, and which `meteor build` copies as it is.
///
/// Nothing needs it when the app runs, and node-gyp makes it anew when it compiles again.
pub(super) fn is_made_by_node_gyp(root: &str, path: &str) -> bool {
    let inside = path.strip_prefix(root).unwrap_or_default();
    let folder = inside.rsplit_once('/').map_or("", |(folder, _)| folder);
    let module = folder.strip_suffix("/build/node_gyp_bins");
    module.is_some_and(|module| module.split('/').any(|part| part == "node_modules"))
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
        let star = Star::read(files.content(STAR_JSON)?).ok_or_else(|| not_json(STAR_JSON))?;
        star.check_architecture(architecture)?;
        let mut package = files.object(PACKAGE_JSON)?;
        let carries_node_modules = files.carry_all(&package);
        let info = star.info(files.optional(NODE_VERSION_TXT), carries_node_modules)?;
        let mut bundle = Self {
            info,
            recipe: Recipe::Carried,
            root,
            replaced: HashMap::new(),
            tarball: None,
            setup_scripts: files.setup_scripts(),
            left_out: BTreeSet::new(),
            repeats: HashMap::new(),
            notes: Vec::new(),
        };
        if !carries_node_modules {
            bundle.replace_remote_packages(&files, &mut package)?;
            bundle.recipe = recipe(&files, &package);
        }
        bundle.note_what_is_done(&files);
        Ok(bundle)
    }

    /// The same bundle, from whose context these links are missing.
    pub(super) fn without(mut self, links: BTreeSet<String>) -> Self {
        if let Some(first) = links.first() {
            self.notes.push(format!(
                "links of node-gyp that lead out of the archive are left out: {}, the first is {}; \
                 npm rebuild makes them anew",
                links.len(),
                shown(first)
            ));
        }
        self.left_out = links;
        self
    }

    /// Decides where `source-map-support` comes from, and says so in the notes.
    pub(super) fn take_tarball_from(&mut self, origin: Origin) {
        if let Some(tarball) = self.tarball.take() {
            self.notes.push(tarball.note(origin));
            if origin == Origin::Bundle {
                self.replaced.clear();
            }
        }
    }

    fn replace_remote_packages(
        &mut self,
        files: &Files<'_>,
        package: &mut Map<String, Value>,
    ) -> Result<(), SourceError> {
        let mut changed = Vec::new();
        let tarball = Tarball::of(package);
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
            self.tarball = Some(tarball);
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
        if !self.setup_scripts.is_empty() {
            let scripts = self.setup_scripts.join(" and ");
            self.notes.push(format!(
                "its own scripts are run as root when the packages are installed: {scripts}"
            ));
        }
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

    fn setup_scripts(&self) -> Vec<&'static str> {
        let has = |file: &&str| self.scan.tree.has_file(&self.path(file));
        SETUP_SCRIPTS.into_iter().filter(has).collect()
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
