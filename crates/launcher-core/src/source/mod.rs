//! Where an image's build context comes from.
//!
//! A caller names an archive by URL. [`Fetcher`] downloads it to a nameless file, [`Reading`] reads
//! that once to the end, while it comes, and says what it is (or what is wrong with it), and
//! [`Prepared::into_stream`] packs it anew as the context that a container engine builds from.
//!
//! Both URL and archive are taken for hostile. What reaches the engine is never the archive itself
//! but what was understood of it: safe paths, plain permissions, no devices, no links out. Nothing
//! is unpacked to disk and nothing is held in memory but single blocks, names of links, and the few
//! small files that tell about a bundle. What reads files runs on tokio's blocking threads.

mod address;
mod archive;
mod arriving;
mod bundle;
mod context;
mod dockerfile;
mod error;
mod fetch;
mod format;
mod npm;
mod saving;
mod star;
mod tar_reader;
mod tarball;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{JoinHandle, spawn_blocking};

pub use archive::{Kind, Limits};
pub use arriving::{Archive, Arriving};
pub use context::ContextStream;
pub use dockerfile::NodeImage;
pub use error::SourceError;
pub use fetch::{FetchOptions, Fetcher, install_crypto_provider, public_url};
pub use star::BundleInfo;
pub use tarball::SourceMapSupport;

use archive::Found;
use context::Repacker;

/// How archives are read and what is made of bundles.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much an archive may unpack to.
    pub limits: Limits,
    /// The image that Meteor bundles are built on.
    pub node_image: NodeImage,
    /// The architecture that images are built for, as Meteor names it: `os.linux.x86_64` or
    /// `os.linux.aarch64`.
    pub architecture: String,
    /// Where `source-map-support` comes from, which Meteor bundles name by a URL.
    pub source_map_support: SourceMapSupport,
    /// Asks whether such a URL answers. Without it none does.
    pub fetcher: Option<Fetcher>,
}

impl Default for Options {
    /// Images for machines of this program's own architecture.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            node_image: NodeImage::default(),
            architecture: format!("os.linux.{}", std::env::consts::ARCH),
            source_map_support: SourceMapSupport::default(),
            fetcher: None,
        }
    }
}

/// An archive that was read to its end and found usable.
#[derive(Debug)]
pub struct Prepared {
    kind: Kind,
    notes: Vec<String>,
    repacker: Repacker,
}

impl Prepared {
    /// What the archive is.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Lines for the build's log: what was recognised, and what was changed.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The build context as an uncompressed tar with its `Dockerfile` at the root, made while it is
    /// read, in constant memory. Must be called inside a tokio runtime.
    #[must_use]
    pub fn into_stream(self) -> ContextStream {
        self.repacker.into_stream()
    }
}

/// An archive that is being read from its start to its end, as far as it has come.
///
/// Dropping it stops the reading, at the latest when more of the archive comes or none will.
#[derive(Debug)]
pub struct Reading {
    archive: Archive,
    options: Options,
    found: JoinHandle<Result<Found, SourceError>>,
    cancel: CancelOnDrop,
}

impl Reading {
    /// Begins to read, on a thread of its own. Must be called inside a tokio runtime.
    #[must_use]
    pub fn begin(archive: Archive, options: Options) -> Self {
        let cancelled = Arc::new(AtomicBool::new(false));
        let cancel = CancelOnDrop(Arc::clone(&cancelled));
        let (limits, architecture) = (options.limits.clone(), options.architecture.clone());
        let read = archive.clone();
        let work = move || archive::inspect(&read, &limits, &architecture, cancelled);
        Self {
            archive,
            options,
            found: spawn_blocking(work),
            cancel,
        }
    }

    /// Reads to the end and decides what can be made of the archive.
    ///
    /// # Errors
    ///
    /// Every way in which an archive can be unusable, in words for the caller: see [`SourceError`].
    pub async fn prepared(self) -> Result<Prepared, SourceError> {
        let Self {
            archive,
            options,
            found,
            cancel: _cancel,
        } = self;
        let mut found = found.await.unwrap_or(Err(SourceError::Cancelled))?;
        if let Found::MeteorBundle(bundle) = &mut found
            && let Some(tarball) = &bundle.tarball
        {
            let wanted = options.source_map_support;
            let origin = tarball.origin(wanted, options.fetcher.as_ref()).await;
            bundle.take_tarball_from(origin);
        }
        Ok(prepared(archive, &options, found))
    }
}

fn prepared(archive: Archive, options: &Options, found: Found) -> Prepared {
    let limits = options.limits.clone();
    match found {
        Found::Dockerfile { repeats } => Prepared {
            kind: Kind::Dockerfile,
            notes: vec!["archive with a Dockerfile at its root".to_owned()],
            repacker: Repacker::dockerfile(archive, limits, repeats),
        },
        Found::MeteorBundle(bundle) => {
            let node_image = options.node_image.for_major(bundle.info.node_major);
            let mut notes = bundle.notes.clone();
            notes.push(format!("base image {node_image}"));
            Prepared {
                kind: Kind::MeteorBundle(bundle.info.clone()),
                notes,
                repacker: Repacker::bundle(archive, limits, *bundle, &node_image),
            }
        }
    }
}

#[derive(Debug)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
