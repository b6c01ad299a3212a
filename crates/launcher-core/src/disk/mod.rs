//! The engine's disk: how full it is, what is on it, and a collector of images that nobody needs.
//!
//! What goes is decided by the pure function [`plan::plan`]; `Ledger` remembers what the launcher made,
//! for nothing else is ever touched. Volumes and containers are no business of this room.

mod collect;
mod document;
mod figures;
pub(crate) mod filesystem;
mod forest;
pub mod kept;
mod ledger;
mod look;
pub mod plan;
#[cfg(test)]
mod plan_properties;
mod publish;
mod record;
pub mod stock;
mod task;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use document::{
    Collection, DataFigures, DiskDocument, EngineFigures, Filesystem, ImageFigures, RefusedImage,
    RemovedImage,
};
pub use record::{Made, MadeImage, RunImages};

pub(crate) use ledger::{Before, Ledger, told};

use self::{look::Look, publish::Published};
use crate::{Observer, engine::Engine, images::Images, instances::Instances};

/// How much the collector keeps.
#[derive(Clone, Debug)]
pub struct DiskSettings {
    /// Images of each repository, and of each instance, that are kept though nothing uses them; at
    /// least 1.
    pub keep_images: usize,
    /// Above how many percent of the engine's disk build cache is removed as well.
    pub watermark: u8,
    /// The launcher's data directory, whose disk is told of.
    pub data_dir: PathBuf,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self {
            keep_images: 5,
            watermark: 80,
            data_dir: PathBuf::from("."),
        }
    }
}

/// What is known of the disk, and the collector.
pub(crate) struct Disk {
    look: Look,
    settings: DiskSettings,
    published: Published,
    /// Held while the engine is looked at or images are removed: one at a time.
    turn: tokio::sync::Mutex<Turn>,
    looked_at: Mutex<Option<Instant>>,
    look_due: Notify,
}

/// What is remembered from one look to the next.
#[derive(Default)]
struct Turn {
    is_above_watermark: bool,
}

/// What the disk is made of.
pub(crate) struct DiskParts {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) instances: Arc<Instances>,
    pub(crate) images: Arc<Images>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) launcher_id: String,
}

impl Disk {
    pub(crate) fn new(parts: DiskParts, settings: DiskSettings) -> Arc<Self> {
        let ledger = Arc::clone(parts.images.ledger());
        let look = Look {
            engine: parts.engine,
            instances: parts.instances,
            images: parts.images,
            ledger,
            launcher_id: parts.launcher_id,
            layers: Mutex::default(),
        };
        Arc::new(Self {
            look,
            settings,
            published: Published::new(parts.observer),
            turn: tokio::sync::Mutex::default(),
            looked_at: Mutex::default(),
            look_due: Notify::new(),
        })
    }
}
