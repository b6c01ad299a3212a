//! Changes a bundle's npm files so that they can be installed from the registry alone.
//!
//! Every Meteor bundle depends on `source-map-support` by the URL of a tarball on a code-hosting
//! site (Meteor's `scripts/dev-bundle-server-package.js`). Where that site cannot be reached npm
//! gives up after minutes. Version 0.4.18 of the registry has what Meteor's `boot.js` uses.

use serde_json::{Map, Value, json};

pub(super) const PACKAGE: &str = "source-map-support";
pub(super) const VERSION: &str = "0.4.18";
/// What that version itself depends on.
const NEEDS: (&str, &str) = ("source-map", "^0.5.6");

/// Where a `package.json` wants the package from, unless that is the registry.
pub(super) fn remote_spec(package: &Map<String, Value>) -> Option<&str> {
    let spec = package.get("dependencies")?.get(PACKAGE)?;
    spec.as_str().filter(|_| is_remote(spec))
}

/// Replaces the URL in a `package.json`; tells whether there was one.
pub(super) fn patch_package(package: &mut Map<String, Value>) -> bool {
    let mut changed = false;
    for group in ["dependencies", "optionalDependencies", "devDependencies"] {
        let spec = package
            .get_mut(group)
            .and_then(|group| group.get_mut(PACKAGE));
        let Some(spec) = spec.filter(|spec| is_remote(spec)) else {
            continue;
        };
        *spec = json!(VERSION);
        changed = true;
    }
    changed
}

/// Replaces the URL in a lock file of any `lockfileVersion`; tells whether there was one.
pub(super) fn patch_lock(lock: &mut Map<String, Value>) -> bool {
    let flat = patch_packages(lock);
    let nested = patch_dependencies(lock);
    flat || nested
}

/// Version 2 and 3: one flat object, keyed by the folder of each package.
fn patch_packages(lock: &mut Map<String, Value>) -> bool {
    let Some(packages) = lock.get_mut("packages").and_then(Value::as_object_mut) else {
        return false;
    };
    let mut changed = false;
    for (path, package) in packages.iter_mut() {
        let Some(package) = package.as_object_mut() else {
            continue;
        };
        if path.is_empty() {
            changed |= patch_package(package);
        } else if path
            .rsplit_once("node_modules/")
            .is_some_and(|(_, name)| name == PACKAGE)
            && package.get("resolved").is_some_and(is_foreign_tarball)
        {
            pin(package, "dependencies");
            changed = true;
        }
    }
    changed
}

/// Version 1, and the second half of version 2: an object per package, nested like the folders.
fn patch_dependencies(parent: &mut Map<String, Value>) -> bool {
    let Some(dependencies) = parent
        .get_mut("dependencies")
        .and_then(Value::as_object_mut)
    else {
        return false;
    };
    let mut changed = false;
    for (name, package) in dependencies.iter_mut() {
        let Some(package) = package.as_object_mut() else {
            continue;
        };
        if name == PACKAGE && package.get("version").is_some_and(is_remote) {
            pin(package, "requires");
            changed = true;
        }
        changed |= patch_dependencies(package);
    }
    changed
}

/// Without a place and a checksum npm asks the registry for both.
fn pin(package: &mut Map<String, Value>, needs: &str) {
    for key in ["resolved", "integrity", "from"] {
        package.shift_remove(key);
    }
    package.insert("version".to_owned(), json!(VERSION));
    package.insert(needs.to_owned(), json!({ NEEDS.0: NEEDS.1 }));
}

/// Registry versions and ranges have no slash; URLs and `owner/repository` have.
fn is_remote(spec: &Value) -> bool {
    spec.as_str().is_some_and(|spec| spec.contains('/'))
}

/// Every registry serves tarballs below `/-/`.
fn is_foreign_tarball(resolved: &Value) -> bool {
    resolved.as_str().is_some_and(|url| !url.contains("/-/"))
}

/// As npm writes its files.
pub(super) fn to_bytes(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str =
        "https://code.example/meteor/node-source-map-support/tarball/81bce1f99625e62af73338f63afc";

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("not an object: {other}"),
        }
    }

    #[test]
    fn a_package_that_names_the_tarball_is_changed() {
        let mut package = object(json!({
            "name": "meteor-dev-bundle",
            "dependencies": {"semver": "7.6.3", PACKAGE: URL},
        }));
        assert!(patch_package(&mut package));
        let expected = json!({
            "name": "meteor-dev-bundle",
            "dependencies": {"semver": "7.6.3", PACKAGE: VERSION},
        });
        assert_eq!(
            Value::Object(package.clone()).to_string(),
            expected.to_string()
        );
        assert!(
            !patch_package(&mut package),
            "a registry version is left alone"
        );
    }

    #[test]
    fn locks_of_the_first_version_are_changed_at_any_depth() {
        let mut lock = object(json!({"lockfileVersion": 1, "dependencies": {
            "semver": {"version": "7.6.3", "integrity": "sha512-a"},
            PACKAGE: {"version": URL, "integrity": "sha512-b", "from": URL,
                "requires": {"source-map": "^0.5.3"}},
            "outer": {"version": "1.0.0", "requires": {PACKAGE: "^0.5.0"}, "dependencies": {
                PACKAGE: {"version": URL, "integrity": "sha512-c"},
                "inner": {"version": "1.0.0", "dependencies": {
                    PACKAGE: {"version": "0.5.21", "integrity": "sha512-d"}}},
            }},
        }}));
        assert!(patch_lock(&mut lock));
        let pinned = json!({"version": VERSION, "requires": {"source-map": "^0.5.6"}});
        let expected = json!({"lockfileVersion": 1, "dependencies": {
            "semver": {"version": "7.6.3", "integrity": "sha512-a"},
            PACKAGE: pinned,
            "outer": {"version": "1.0.0", "requires": {PACKAGE: "^0.5.0"}, "dependencies": {
                PACKAGE: pinned,
                "inner": {"version": "1.0.0", "dependencies": {
                    PACKAGE: {"version": "0.5.21", "integrity": "sha512-d"}}},
            }},
        }});
        assert_eq!(Value::Object(lock), expected);
    }

    #[test]
    fn locks_of_later_versions_are_changed_in_both_halves() {
        let registry =
            "https://registry.npmjs.org/source-map-support/-/source-map-support-0.5.21.tgz";
        let mut lock = object(json!({"lockfileVersion": 2,
            "packages": {
                "": {"name": "meteor-dev-bundle", "dependencies": {PACKAGE: URL}},
                "node_modules/source-map-support": {"version": "0.5.19", "resolved": URL,
                    "integrity": "sha512-a", "license": "MIT",
                    "dependencies": {"source-map": "^0.6.0"}},
                "node_modules/x/node_modules/source-map-support":
                    {"version": "0.5.21", "resolved": registry, "integrity": "sha512-b"},
            },
            "dependencies": {PACKAGE: {"version": URL, "integrity": "sha512-a"}},
        }));
        assert!(patch_lock(&mut lock));
        let needs = json!({"source-map": "^0.5.6"});
        assert_eq!(
            lock["packages"][""]["dependencies"],
            json!({PACKAGE: VERSION})
        );
        assert_eq!(
            lock["packages"]["node_modules/source-map-support"],
            json!({"version": VERSION, "license": "MIT", "dependencies": needs})
        );
        assert_eq!(
            lock["packages"]["node_modules/x/node_modules/source-map-support"]["resolved"],
            registry
        );
        assert_eq!(
            lock["dependencies"][PACKAGE],
            json!({"version": VERSION, "requires": needs})
        );
        assert!(!patch_lock(&mut lock));
    }

    #[test]
    fn odd_shapes_are_left_alone() {
        for value in [
            json!({}),
            json!({"dependencies": [], "packages": 3}),
            json!({"dependencies": {PACKAGE: null}, "packages": {"": null}}),
            json!({"packages": {"node_modules/source-map-support": {"resolved": null}}}),
        ] {
            let mut changed = object(value.clone());
            assert!(
                !patch_package(&mut changed) && !patch_lock(&mut changed),
                "{value}"
            );
            assert_eq!(Value::Object(changed), value);
        }
    }
}
