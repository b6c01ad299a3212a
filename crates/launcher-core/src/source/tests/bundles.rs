//! What is understood of archives: which kind they are, and what a bundle says about itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::kit::{
    TARBALL, Tar, content, context, entries, gzip, kind, on_disk, options, prepare, prepare_file,
    prepare_with, refusal,
};
use crate::source::tar_reader::{Entry, EntryKind};
use crate::source::{
    BundleInfo, FetchOptions, Fetcher, Kind, NodeImage, Options, SourceMapSupport,
};

const SERVER: &str = "bundle/programs/server";

fn info(archive: Tar) -> BundleInfo {
    match kind(&archive.build()) {
        Kind::MeteorBundle(info) => info,
        Kind::Dockerfile => panic!("not taken for a bundle"),
    }
}

/// A bundle whose star.json is this one.
fn with_star(star: &str) -> Tar {
    Tar::default()
        .file("bundle/main.js", "")
        .file("bundle/star.json", star)
        .file("bundle/programs/server/package.json", "{}")
}

fn with_package(package: &str) -> Tar {
    Tar::default()
        .bundle_without_package()
        .file(&format!("{SERVER}/package.json"), package)
}

fn dockerfile_of(archive: Tar) -> String {
    content(&context(prepare(&archive.build()).unwrap()), "Dockerfile")
}

#[test]
fn a_dockerfile_at_the_root_decides() {
    for path in ["Dockerfile", "./Dockerfile"] {
        let data = Tar::default()
            .dir("./")
            .file(path, "FROM scratch\n")
            .build();
        assert_eq!(kind(&data), Kind::Dockerfile);
        assert_eq!(kind(&gzip(&data)), Kind::Dockerfile);
    }
    assert_eq!(
        kind(&Tar::default().bundle().file("Dockerfile", "").build()),
        Kind::Dockerfile
    );
}

#[test]
fn a_bundle_is_understood() {
    let expected = BundleInfo {
        meteor_release: Some("METEOR@3.3".to_owned()),
        node_version: Some("22.16.0".to_owned()),
        npm_version: Some("10.9.2".to_owned()),
        node_major: 22,
        carries_node_modules: false,
    };
    assert_eq!(info(Tar::default().bundle()), expected);
}

#[test]
fn a_bundle_is_found_wherever_its_archive_was_made() {
    let star = r#"{"nodeVersion": "20.0.0"}"#;
    for root in ["./bundle/", "./", ""] {
        let archive = Tar::default()
            .file(&format!("{root}main.js"), "")
            .file(&format!("{root}star.json"), star)
            .file(&format!("{root}programs/server/package.json"), "{}");
        assert_eq!(info(archive.clone()).node_major, 20, "{root:?}");
        let context = context(prepare(&archive.build()).unwrap());
        assert_eq!(content(&context, "bundle/star.json"), star, "{root:?}");
    }
}

#[test]
fn the_node_is_found_by_every_means() {
    for (star, txt, expected) in [
        (r#"{"nodeVersion": "14.21.4"}"#, Some("v8.17.0"), 14),
        (r#"{"meteorRelease": "METEOR@1.8.1"}"#, Some("v8.15.1\n"), 8),
        ("{}", Some("v12.22.1"), 12),
        (r#"{"meteorRelease": "METEOR@3.3"}"#, None, 22),
        (r#"{"meteorRelease": "METEOR@3.1-rc.0"}"#, None, 22),
        (r#"{"meteorRelease": "METEOR@3.0.4"}"#, None, 20),
        (r#"{"meteorRelease": "METEOR@2.16"}"#, None, 14),
        (r#"{"meteorRelease": "METEOR@2.2"}"#, None, 12),
        (r#"{"meteorRelease": "METEOR@1.12"}"#, None, 12),
        (r#"{"meteorRelease": "METEOR@1.8.1"}"#, None, 8),
        (r#"{"meteorRelease": "METEOR@1.5.2"}"#, None, 4),
        (r#"{"meteorRelease": "4.0"}"#, None, 22),
        (
            r#"{"meteorRelease": "METEOR@3.0", "nodeVersion": "\nRUN x"}"#,
            None,
            20,
        ),
    ] {
        let archive = with_star(star);
        let archive = match txt {
            Some(text) => archive.file("bundle/.node_version.txt", text),
            None => archive,
        };
        assert_eq!(info(archive).node_major, expected, "{star} {txt:?}");
    }
}

#[test]
fn a_node_that_cannot_be_had_is_named() {
    for star in [
        "{}",
        r#"{"meteorRelease": "none"}"#,
        r#"{"nodeVersion": "latest"}"#,
    ] {
        assert!(
            refusal(&with_star(star).build()).contains("does not say which Node"),
            "{star}"
        );
    }
    let old = with_star(r#"{"nodeVersion": "0.10.48"}"#).build();
    assert!(
        refusal(&old).contains("needs Node 0.10.48"),
        "{}",
        refusal(&old)
    );
    assert!(
        refusal(&with_star(r#"{"meteorRelease": "METEOR@1.2"}"#).build()).contains("Node 0.10")
    );
}

#[test]
fn other_architectures_are_refused() {
    let star = |arch: &str| {
        let programs = format!(r#"[{{"arch": "web.browser"}}, {{"arch": "{arch}"}}]"#);
        with_star(&format!(
            r#"{{"nodeVersion": "22.1.0", "programs": {programs}}}"#
        ))
        .build()
    };
    for arch in ["os.linux.x86_64", "os.linux", "os", "web.cordova"] {
        assert!(prepare(&star(arch)).is_ok(), "{arch}");
    }
    for arch in [
        "os.osx.arm64",
        "os.osx.x86_64",
        "os.linux.aarch64",
        "os.windows.x86_64",
    ] {
        let text = refusal(&star(arch));
        assert!(
            text.contains(arch) && text.contains("os.linux.x86_64"),
            "{text}"
        );
    }
    let text = refusal(&star(r"os.\u001b[31m\u009b\u202e"));
    assert!(text.contains("made for os.[31m, but"), "{text:?}");
    let arm = Options {
        architecture: "os.linux.aarch64".to_owned(),
        ..options()
    };
    assert!(prepare_with(&star("os.linux.aarch64"), &arm).is_ok());
    assert!(prepare_with(&star("os.linux.x86_64"), &arm).is_err());
}

#[test]
fn what_is_missing_is_named() {
    for (archive, missing) in [
        (
            Tar::default()
                .file("bundle/star.json", "{}")
                .file("bundle/main.js", ""),
            "bundle/programs/server/package.json is missing",
        ),
        (
            Tar::default()
                .file("bundle/main.js", "")
                .file("bundle/programs/server/package.json", "{}"),
            "bundle/star.json is missing",
        ),
        (
            Tar::default().file("bundle/star.json", "{}"),
            "bundle/main.js, bundle/programs/server/package.json are missing",
        ),
        (
            Tar::default().file("bundle/programs/server/boot.js", ""),
            "bundle/star.json, ",
        ),
    ] {
        assert!(refusal(&archive.build()).contains(missing), "{missing}");
    }
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    for star in ["", "[]", "nonsense", "{\"programs\": 3}"] {
        assert!(
            refusal(&with_star(star).build()).contains("star.json is not valid"),
            "{star}"
        );
    }
    let text = refusal(&with_package("nonsense").build());
    assert!(
        text.contains("programs/server/package.json is not valid JSON"),
        "{text}"
    );
    let linked = Tar::default()
        .bundle_without_package()
        .file("bundle/p.json", "{}")
        .symlink("bundle/programs/server/package.json", "../../p.json");
    assert!(refusal(&linked.build()).contains("is a link, not a file"));
    let shared = Tar::default()
        .file("x", "")
        .bundle()
        .hardlink("bundle/x", "x");
    assert!(refusal(&shared.build()).contains("outside of the bundle"));
}

#[test]
fn things_that_are_no_bundle_are_named() {
    for archive in [
        Tar::default().file("app/.meteor/release", "METEOR@3.3\n"),
        Tar::default().file(".meteor/packages", ""),
    ] {
        let text = refusal(&archive.file("package.json", "{}").build());
        assert!(text.contains("source tree of a Meteor app"), "{text}");
        assert!(
            text.contains("\"meteor build <directory> --architecture os.linux.x86_64\""),
            "{text}"
        );
    }
    for path in ["package.json", "package/package.json"] {
        let text = refusal(&Tar::default().file(path, "{}").build());
        assert!(text.starts_with("this is an npm project"), "{text}");
    }
    let elsewhere = Tar::default().file("out/bundle/programs/server/boot.js", "");
    assert!(refusal(&elsewhere.build()).starts_with("a Meteor bundle lies in \"out/bundle\""));
    let deeper = Tar::default().file("app/Dockerfile", "").build();
    assert!(refusal(&deeper).ends_with("; \"app/Dockerfile\" is not at the root"));
    let text = refusal(&Tar::default().file("readme", "").build());
    assert!(
        text.ends_with("no Dockerfile at its root and is not a Meteor bundle"),
        "{text}"
    );
}

#[test]
fn npm_runs_in_a_layer_of_its_own_where_that_is_enough() {
    let layered = |text: &str| text.contains("COPY") && text.contains("npm-rebuild.j[s]");
    assert!(layered(&dockerfile_of(Tar::default().bundle())));
    for package in [
        r#"{"scripts": {"postinstall": "node setup.js"}}"#,
        r#"{"scripts": {"install": "node other.js"}}"#,
        r#"{"dependencies": {"x": "file:../x"}}"#,
        r#"{"dependencies": {"x": "./x"}}"#,
        r#"{"workspaces": ["x"]}"#,
    ] {
        let text = dockerfile_of(with_package(package));
        assert!(text.contains("npm install") && !layered(&text), "{package}");
    }
    let lock = r#"{"packages": {"node_modules/x": {"resolved": "file:../x"}}}"#;
    let locked = with_package("{}").file(&format!("{SERVER}/npm-shrinkwrap.json"), lock);
    assert!(!layered(&dockerfile_of(locked)));
}

#[test]
fn carried_packages_are_not_installed_again() {
    let package = r#"{"dependencies": {"semver": "7.6.3", "@types/x": "1.0.0"}}"#;
    let module = |name: &str| format!("{SERVER}/node_modules/{name}/package.json");
    let part = with_package(package).file(&module("semver"), "{}");
    let whole = part.clone().file(&module("@types/x"), "{}");
    assert!(info(whole.clone()).carries_node_modules);
    let text = dockerfile_of(whole);
    assert!(
        !text.contains("npm install") && !text.contains("RUN"),
        "{text}"
    );

    assert!(!info(part.clone()).carries_node_modules);
    let text = dockerfile_of(part.clone());
    assert!(
        text.contains("npm install") && !text.contains("npm-rebuild.j[s]"),
        "{text}"
    );
    let notes = prepare(&part.build()).unwrap().notes().join("\n");
    assert!(
        notes.contains("some of its packages are in the archive"),
        "{notes}"
    );

    let store = format!("{SERVER}/node_modules/.store/semver");
    let linked = with_package(r#"{"dependencies": {"semver": "7.6.3"}}"#)
        .file(&format!("{store}/package.json"), "{}")
        .symlink(&format!("{SERVER}/node_modules/semver"), ".store/semver");
    assert!(info(linked).carries_node_modules);
}

#[test]
fn the_remote_tarball_is_replaced_and_noted() {
    let prepared = prepare(&Tar::default().bundle().build()).unwrap();
    let notes = prepared.notes().join("\n");
    let note = format!(
        "source-map-support is taken as version 0.4.18 from the npm registry, because \"{TARBALL}\" \
         that the bundle names does not answer here"
    );
    assert!(notes.contains(&note), "{notes}");
    assert!(notes.contains("METEOR@3.3 for Node 22"), "{notes}");
    let context = context(prepared);
    for file in ["package.json", "npm-shrinkwrap.json"] {
        let text = content(&context, &format!("{SERVER}/{file}"));
        assert!(
            text.contains("\"0.4.18\"") && !text.contains(TARBALL),
            "{text}"
        );
    }
    let plain = prepare(&with_package("{}").build()).unwrap();
    assert!(!plain.notes().join("\n").contains("source-map-support"));
}

/// Folder of a module that was compiled, as Meteor places it.
const COMPILED: &str = "bundle/programs/server/node_modules/x/build";

#[test]
fn links_that_node_gyp_makes_out_of_a_bundle_are_left_out_and_noted() {
    let binary = format!("{COMPILED}/Release/x.node");
    let nested = "bundle/node_modules/@a/b/build/node_gyp_bins";
    let archive = Tar::default()
        .bundle()
        .symlink(
            &format!("{COMPILED}/node_gyp_bins/python3"),
            "/usr/bin/python3",
        )
        .symlink(&format!("{COMPILED}/node_gyp_bins/python"), "python3")
        .symlink(&format!("{COMPILED}/node_gyp_bins/x"), "../Release/x.node")
        .symlink(
            &format!("{COMPILED}/node_gyp_bins/python3"),
            "/usr/bin/python3",
        )
        .symlink(
            &format!("{nested}/python3"),
            "../../../../../../../usr/bin/python3",
        )
        .file(&binary, "ELF");
    let prepared = prepare(&archive.build()).unwrap();
    let told: Vec<_> = prepared
        .notes()
        .iter()
        .filter(|note| note.contains("node-gyp"))
        .collect();
    let expected = format!(
        "links of node-gyp that lead out of the archive are left out: 3, the first is \
         \"{nested}/python3\"; npm rebuild makes them anew"
    );
    assert_eq!(told, [&expected]);
    let context = context(prepared);
    assert_eq!(content(&context, &binary), "ELF");
    let entries = entries(&context);
    let links = entries
        .iter()
        .filter(|(entry, _)| matches!(entry.kind, EntryKind::Symlink(_)));
    let links: Vec<_> = links
        .map(|(entry, _)| String::from_utf8_lossy(&entry.path))
        .collect();
    assert_eq!(links, [format!("{COMPILED}/node_gyp_bins/x")]);
}

#[test]
fn a_bundle_without_such_links_has_no_note_of_them() {
    let notes = prepare(&Tar::default().bundle().build())
        .unwrap()
        .notes()
        .join("\n");
    assert!(!notes.contains("node-gyp"), "{notes}");
}

#[test]
fn a_bundle_made_in_its_own_folder_may_have_such_links() {
    let archive = Tar::default()
        .file("main.js", "")
        .file("star.json", r#"{"nodeVersion": "20.0.0"}"#)
        .file("programs/server/package.json", "{}")
        .symlink(
            "./node_modules/x/build/node_gyp_bins/python3",
            "/usr/bin/python3",
        );
    let context = context(prepare(&archive.build()).unwrap());
    assert!(
        entries(&context)
            .iter()
            .all(|(entry, _)| !entry.path.ends_with(b"python3"))
    );
}

#[test]
fn the_configured_base_image_is_used() {
    let node_image = NodeImage::parse("registry.test:5000/node:{major}").unwrap();
    let options = Options {
        node_image,
        ..options()
    };
    let prepared = prepare_with(&with_star(r#"{"nodeVersion": "8.17.0"}"#).build(), &options);
    let prepared = prepared.unwrap();
    assert!(
        prepared
            .notes()
            .contains(&"base image registry.test:5000/node:8".to_owned())
    );
    let text = content(&context(prepared), "Dockerfile");
    assert!(
        text.contains("ARG NODE_IMAGE=registry.test:5000/node:8\n"),
        "{text}"
    );
}

/// A bundle that names its tarball at this port of loopback, and what becomes of it.
async fn tarball_at(port: u16, wanted: SourceMapSupport, allow_private: bool) -> (String, String) {
    let url = format!("http://127.0.0.1:{port}/source-map-support.tgz");
    let package = format!(r#"{{"dependencies": {{"source-map-support": "{url}"}}}}"#);
    let fetcher = Fetcher::new(FetchOptions {
        allow_private,
        ..FetchOptions::default()
    });
    let options = Options {
        source_map_support: wanted,
        fetcher: Some(fetcher.unwrap()),
        ..options()
    };
    let archive = on_disk(&with_package(&package).build());
    let prepared = prepare_file(archive, &options).await.unwrap();
    let notes = prepared.notes().join("\n");
    let pieces: Vec<_> = prepared.into_stream().collect().await;
    let context: Vec<_> = pieces.into_iter().map(Result::unwrap).collect();
    let package = content(&context.concat(), &format!("{SERVER}/package.json"));
    (notes, package)
}

/// Answers each request with this status, and counts them.
async fn site(status: &'static str) -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await.unwrap();
            let answer = format!("HTTP/1.1 {status}\r\nLocation: http://127.0.0.1:1/\r\n\r\n");
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, asked)
}

#[tokio::test]
async fn the_tarball_is_kept_where_its_site_answers() {
    for (status, kept) in [
        ("200 OK", true),
        ("302 Found", true),
        ("404 Not Found", false),
        ("503 Oops", false),
    ] {
        let (port, _) = site(status).await;
        let (notes, package) = tarball_at(port, SourceMapSupport::Auto, true).await;
        assert_eq!(package.contains("127.0.0.1"), kept, "{status}: {package}");
        assert_eq!(notes.contains("version 0.4.18"), !kept, "{status}: {notes}");
        assert_eq!(
            notes.contains("is taken from \"http://127"),
            kept,
            "{status}: {notes}"
        );
    }
}

#[tokio::test]
async fn the_site_is_not_asked_where_it_does_not_matter_or_may_not_be_reached() {
    let (port, asked) = site("200 OK").await;
    let (notes, package) = tarball_at(port, SourceMapSupport::Registry, true).await;
    assert!(
        package.contains("0.4.18") && notes.contains("instead of \"http://127"),
        "{notes}"
    );
    let (_, package) = tarball_at(port, SourceMapSupport::Bundle, true).await;
    assert!(package.contains("127.0.0.1"), "{package}");
    let (notes, package) = tarball_at(port, SourceMapSupport::Auto, false).await;
    assert!(
        package.contains("0.4.18") && notes.contains("does not answer"),
        "{notes}"
    );
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_site_is_asked_once() {
    let (port, asked) = site("200 OK").await;
    let options = FetchOptions {
        allow_private: true,
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(options).unwrap();
    let url = format!("http://127.0.0.1:{port}/x").parse().unwrap();
    assert!(fetcher.answers(&url).await && fetcher.clone().answers(&url).await);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn what_npm_rebuilds_lies_apart_for_a_layer_of_its_own() {
    let npm = format!("{SERVER}/npm");
    let archive = || {
        Tar::default()
            .bundle()
            .dir(&npm)
            .file(&format!("{npm}/node_modules/x/x.node"), "ELF")
            .symlink(&format!("{npm}/node_modules/y"), "../../../../main.js")
            .hardlink(
                &format!("{SERVER}/twin"),
                &format!("{npm}/node_modules/x/x.node"),
            )
            .file(&format!("{SERVER}/npm-rebuilds.json"), "[]")
            .file(&format!("{SERVER}/npmx"), "")
    };
    let paths = |archive: Tar| -> Vec<String> {
        let entries = entries(&context(prepare(&archive.build()).unwrap()));
        let path = |(entry, _): &(Entry, _)| String::from_utf8(entry.path.clone()).unwrap();
        entries.iter().map(path).collect()
    };
    let apart = paths(archive());
    let expected = [
        "npm/",
        "npm/node_modules/x/x.node",
        "npm/node_modules/y",
        "npm-rebuilds.json",
    ];
    let found: Vec<_> = apart
        .iter()
        .filter_map(|path| path.strip_prefix("packages/programs/server/"))
        .collect();
    assert_eq!(found, expected);
    for file in ["twin", "npmx", "npm-rebuild.js", "package.json"] {
        assert!(apart.contains(&format!("{SERVER}/{file}")), "{file}");
    }
    // Where npm needs more of the bundle, nothing lies apart.
    let local = with_package(r#"{"dependencies": {"x": "file:../x"}}"#);
    let whole = paths(local.file(&format!("{npm}/x"), ""));
    assert!(
        whole.iter().all(|path| !path.starts_with("packages")),
        "{whole:?}"
    );
    // Without any such package the folder is there all the same, for the recipe.
    assert!(paths(Tar::default().bundle()).contains(&"packages/".to_owned()));
}

#[test]
fn a_bundles_own_scripts_are_noted_and_run() {
    let plain = prepare(&Tar::default().bundle().build()).unwrap();
    assert!(!plain.notes().join("\n").contains("as root"));
    assert!(!content(&context(plain), "Dockerfile").contains("setup.sh"));
    for script in ["bundle/setup.sh", "bundle/programs/server/setup.sh"] {
        let prepared = prepare(&Tar::default().bundle().file(script, "").build()).unwrap();
        let notes = prepared.notes().join("\n");
        assert!(notes.contains("its own scripts are run as root"), "{notes}");
        assert!(content(&context(prepared), "Dockerfile").contains("bash ./setup.sh"));
    }
}
