//! Rules of the house that a compiler does not check: which crate may look at which, where a
//! library may be named, and that the documents tell of everything there is.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// What each crate may depend on, of the crates in this workspace. ARCHITECTURE.md shows the same.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("ddp-bench", &["measure"]),
    ("ddp-client", &["ddp-protocol"]),
    ("ddp-protocol", &[]),
    ("ddp-server", &["ddp-protocol", "sockjs"]),
    ("launcher-core", &[]),
    ("launcher-proxy", &[]),
    (
        "launcher-server",
        &[
            "ddp-client",
            "ddp-server",
            "launcher-core",
            "launcher-proxy",
        ],
    ),
    ("measure", &[]),
    ("router-bench", &["launcher-proxy", "measure"]),
    ("sockjs", &[]),
];

/// What tests of a crate may use besides.
const MAY_TEST_WITH: [(&str, &str); 1] = [("ddp-client", "ddp-server")];

/// Where a library may be named: a crate, and a folder of it.
const ONLY_IN: [(&str, &str, &str); 3] = [
    ("bollard", "launcher-core", "src/engine"),
    ("redis", "launcher-core", "src/routing"),
    ("rusqlite", "launcher-core", "src/store"),
];

/// What the protocol must not see: sockets, clocks and chance are its callers' business.
const NO_IO: [&str; 7] = [
    "tokio::",
    "hyper::",
    "rand::",
    "getrandom::",
    "std::net",
    "SystemTime",
    "Instant::now",
];

#[test]
fn dependencies_point_downwards_only() {
    let metadata = metadata();
    let allowed = BTreeMap::from(MAY_USE);
    for package in metadata.workspace_packages() {
        let may_use = allowed.get(package.name.as_str());
        let may_use = may_use.unwrap_or_else(|| panic!("MAY_USE does not name {}", package.name));
        for dependency in package.dependencies.iter().filter(|d| d.path.is_some()) {
            let (user, used) = (package.name.as_str(), dependency.name.as_str());
            let fine = may_use.contains(&used)
                || dependency.kind == DependencyKind::Development
                    && MAY_TEST_WITH.contains(&(user, used));
            assert!(fine, "{} must not use {}", package.name, dependency.name);
        }
    }
    assert_eq!(
        metadata.workspace_packages().len(),
        MAY_USE.len(),
        "MAY_USE names no lost crate"
    );
}

#[test]
fn libraries_are_named_only_where_they_belong() {
    for (library, home, folder) in ONLY_IN {
        for package in metadata().workspace_packages() {
            let depends = package.dependencies.iter().any(|d| d.name == library);
            assert!(
                !depends || package.name == home,
                "{} must not use {library}",
                package.name
            );
        }
        let inside = crates().join(home).join(folder);
        let outside = rust_files()
            .into_iter()
            .filter(|file| !file.starts_with(&inside));
        for file in outside.filter(|file| !file.ends_with("tests/house_rules.rs")) {
            let code = code(&file);
            let named = match library {
                // Flags and fields have the same name.
                "redis" => code.contains("redis::"),
                library => code.contains(library),
            };
            assert!(!named, "{} names {library}", file.display());
        }
    }
}

#[test]
fn the_protocol_has_no_io_clock_or_chance() {
    let sources = crates().join("ddp-protocol/src");
    for file in rust_files()
        .into_iter()
        .filter(|file| file.starts_with(&sources))
    {
        let code = code(&file);
        for forbidden in NO_IO {
            assert!(
                !code.contains(forbidden),
                "{} names {forbidden}",
                file.display()
            );
        }
    }
    let metadata = metadata();
    let protocol = metadata
        .packages
        .iter()
        .find(|p| p.name == "ddp-protocol")
        .unwrap();
    let normal = protocol
        .dependencies
        .iter()
        .filter(|d| d.kind == DependencyKind::Normal);
    for dependency in normal {
        assert!(
            !NO_IO.contains(&dependency.name.as_str()),
            "ddp-protocol uses {}",
            dependency.name
        );
    }
}

#[test]
fn unsafe_code_is_forbidden_and_lints_are_shared() {
    let root = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(root.contains("unsafe_code = \"forbid\""));
    for package in metadata().workspace_packages() {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{}",
            package.manifest_path
        );
        assert_eq!(
            package.license.as_deref(),
            Some("MIT OR Apache-2.0"),
            "{}",
            package.name
        );
    }
}

#[test]
fn every_method_and_publication_is_documented() {
    let api = fs::read_to_string(root().join("docs/api.md")).unwrap();
    let sources = ["methods.rs", "publications.rs"].map(|file| {
        fs::read_to_string(crates().join("launcher-server/src/api").join(file)).unwrap()
    });
    let names: Vec<&str> = sources
        .iter()
        .flat_map(|source| wire_names(source))
        .collect();
    assert!(names.len() >= 13, "{names:?}");
    for name in names {
        assert!(
            api.contains(&format!("`{name}")),
            "docs/api.md does not tell of {name}"
        );
    }
}

#[test]
fn the_map_names_only_what_there_is() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for package in metadata().workspace_packages() {
        assert!(
            map.contains(&format!("`{}`", package.name)),
            "{} is not on the map",
            package.name
        );
    }
    let paths = map
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| text.contains('/'));
    let paths = paths.filter(|text| !text.contains([' ', '<', '(', ':']) && !text.starts_with('/'));
    for path in paths {
        let path = path.trim_end_matches('/');
        assert!(
            root().join(path).exists(),
            "ARCHITECTURE.md names {path}, which is not there"
        );
    }
}

#[test]
fn what_is_said_of_ddp_is_tested() {
    let table = fs::read_to_string(root().join("docs/ddp.md")).unwrap();
    let sources = rust_files().into_iter().map(fs::read_to_string);
    let sources: String = sources.map(Result::unwrap).collect();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let tests = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let names: Vec<&str> = tests
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(names.len() > 80, "{} tests are named", names.len());
    for name in names {
        let exists = sources.contains(&format!("fn {name}("))
            || root().join("tests").join(name).is_file()
            || root().join(name).is_file()
            || recording(name);
        assert!(exists, "docs/ddp.md names {name}, which is not there");
    }
}

/// Whether a conversation of this name was recorded.
fn recording(name: &str) -> bool {
    let file = format!("ddp-server/tests/recordings/{name}.json");
    crates().join(file).is_file()
}

/// The quoted names in the function `register`.
fn wire_names(source: &str) -> Vec<&str> {
    let register = source.split("fn register").nth(1).unwrap();
    let body = register.split("\n}\n").next().unwrap();
    body.split('"').skip(1).step_by(2).collect()
}

fn metadata() -> Metadata {
    let manifest = root().join("Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap()
}

/// A file without its tests and comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn rust_files() -> Vec<PathBuf> {
    let mut folders = vec![crates()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

fn crates() -> PathBuf {
    root().join("crates")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}
