//! Archives and contexts for tests.

use std::fs::File;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use tar::{EntryType, Header};

use crate::source::tar_reader::{Entry, TarReader};
use crate::source::{Archive, Kind, Options, Prepared, Reading, SourceError};

/// A URL as bundles have it for source-map-support.
pub(super) const TARBALL: &str = "https://code.example/node-source-map-support/tarball/81bce1f9";

/// Writes archives, hostile ones included: paths and links are taken as they are.
#[derive(Clone, Default)]
pub(super) struct Tar(Vec<u8>);

impl Tar {
    pub(super) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.file_with_mode(path, content, 0o644)
    }

    pub(super) fn file_with_mode(self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Self {
        self.raw(EntryType::Regular, path, "", content.as_ref(), mode)
    }

    pub(super) fn dir(self, path: &str) -> Self {
        self.raw(EntryType::Directory, path, "", &[], 0o755)
    }

    pub(super) fn symlink(self, path: &str, target: &str) -> Self {
        self.raw(EntryType::Symlink, path, target, &[], 0o777)
    }

    pub(super) fn hardlink(self, path: &str, target: &str) -> Self {
        self.raw(EntryType::Link, path, target, &[], 0o644)
    }

    pub(super) fn raw(
        self,
        kind: EntryType,
        path: impl AsRef<[u8]>,
        link: &str,
        content: &[u8],
        mode: u32,
    ) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_400_000_000);
        header.set_size(content.len() as u64);
        let path = path.as_ref();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        self.header(header, content)
    }

    pub(super) fn header(mut self, mut header: Header, content: &[u8]) -> Self {
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn build(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    /// All files of a bundle as Meteor 3 makes them, read-only as Meteor makes them.
    pub(super) fn bundle(self) -> Self {
        let package = format!(
            r#"{{"name": "meteor-dev-bundle", "scripts": {{"install": "node npm-rebuild.js"}},
                "dependencies": {{"semver": "7.6.3", "source-map-support": "{TARBALL}"}}}}"#
        );
        let lock = format!(
            r#"{{"lockfileVersion": 1, "dependencies": {{"source-map-support":
                {{"version": "{TARBALL}", "integrity": "sha512-x"}}}}}}"#
        );
        self.bundle_without_package()
            .file_with_mode("bundle/programs/server/package.json", package, 0o444)
            .file_with_mode("bundle/programs/server/npm-shrinkwrap.json", lock, 0o444)
    }

    pub(super) fn bundle_without_package(self) -> Self {
        let star = r#"{"format": "site-archive-pre1", "meteorRelease": "METEOR@3.3",
            "nodeVersion": "22.16.0", "npmVersion": "10.9.2", "programs": [
                {"name": "web.browser", "arch": "web.browser"},
                {"name": "server", "arch": "os.linux.x86_64"}]}"#;
        self.dir("bundle/")
            .file_with_mode(
                "bundle/main.js",
                "require('./programs/server/boot.js')",
                0o555,
            )
            .file_with_mode("bundle/star.json", star, 0o444)
            .file_with_mode("bundle/programs/server/boot.js", "", 0o444)
            .file_with_mode("bundle/programs/server/npm-rebuild.js", "", 0o444)
    }
}

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn on_disk(data: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    file
}

pub(super) fn options() -> Options {
    Options {
        architecture: "os.linux.x86_64".to_owned(),
        ..Options::default()
    }
}

pub(super) fn prepare(data: &[u8]) -> Result<Prepared, SourceError> {
    prepare_with(data, &options())
}

pub(super) fn prepare_with(data: &[u8], options: &Options) -> Result<Prepared, SourceError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(prepare_file(on_disk(data), options))
}

pub(super) async fn prepare_file(file: File, options: &Options) -> Result<Prepared, SourceError> {
    let archive = Archive::whole(file)?;
    Reading::begin(archive, options.clone()).prepared().await
}

pub(super) fn refusal(data: &[u8]) -> String {
    prepare(data)
        .expect_err("the archive was taken")
        .to_string()
}

pub(super) fn kind(data: &[u8]) -> Kind {
    prepare(data).unwrap().kind().clone()
}

/// The context's tar as the engine gets it.
pub(super) fn context(prepared: Prepared) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut stream = prepared.into_stream();
        let mut context = Vec::new();
        while let Some(piece) = stream.next().await {
            context.extend_from_slice(&piece.unwrap());
        }
        context
    })
}

/// Entries of a tar with their contents.
pub(super) fn entries(data: &[u8]) -> Vec<(Entry, Vec<u8>)> {
    let mut reader = TarReader::new(data);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        entries.push((entry, content));
    }
    entries
}

/// Content of one file of a tar.
pub(super) fn content(data: &[u8], path: &str) -> String {
    let found = entries(data)
        .into_iter()
        .rfind(|(entry, _)| entry.path == path.as_bytes());
    String::from_utf8(found.unwrap_or_else(|| panic!("no {path}")).1).unwrap()
}
