//! Where an image's build context comes from.
//!
//! A caller names an archive by URL. [`Fetcher`] downloads it to a nameless file, [`prepare`] reads
//! that once to the end and says what it is (or what is wrong with it), and
//! [`Prepared::into_stream`] packs it anew as the context that a container engine builds from.
//!
//! Both URL and archive are taken for hostile. What reaches the engine is never the archive itself
//! but what was understood of it: safe paths, plain permissions, no devices, no links out. Nothing
//! is unpacked to disk and nothing is held in memory but single blocks, names of links, and the few
//! small files that tell about a bundle. What reads files runs on tokio's blocking threads.

mod address;
mod archive;
mod bundle;
mod context;
mod dockerfile;
mod error;
mod fetch;
mod format;
mod npm;
mod star;
mod tar_reader;
mod tarball;
#[cfg(test)]
mod tests;
mod tree;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use archive::{Kind, Limits};
pub use context::ContextStream;
pub use dockerfile::NodeImage;
pub use error::SourceError;
pub use fetch::{FetchOptions, Fetched, Fetcher, install_crypto_provider, public_url};
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

/// Reads an archive from its start to its end and decides what can be made of it.
///
/// The file is kept open, so its name may be removed at any time. Dropping the future stops the
/// reading.
///
/// # Errors
///
/// Every way in which an archive can be unusable, in words for the caller: see [`SourceError`].
pub async fn prepare(archive: File, options: &Options) -> Result<Prepared, SourceError> {
    let cancel = CancelOnDrop(Arc::new(AtomicBool::new(false)));
    let mut found = read(&archive, options, Arc::clone(&cancel.0)).await?;
    if let Found::MeteorBundle(bundle) = &mut found
        && let Some(tarball) = &bundle.tarball
    {
        let wanted = options.source_map_support;
        let origin = tarball.origin(wanted, options.fetcher.as_ref()).await;
        bundle.take_tarball_from(origin);
    }
    Ok(prepared(archive, options, found))
}

async fn read(
    archive: &File,
    options: &Options,
    cancelled: Arc<AtomicBool>,
) -> Result<Found, SourceError> {
    let archive = archive.try_clone().map_err(|cause| SourceError::Local {
        action: "read the archive",
        cause,
    })?;
    let (limits, architecture) = (options.limits.clone(), options.architecture.clone());
    let work = move || archive::inspect(&archive, &limits, &architecture, cancelled);
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(SourceError::Cancelled))
}

fn prepared(archive: File, options: &Options, found: Found) -> Prepared {
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

struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
