//! What everyone may know of the disk.

use jiff::Timestamp;

/// One document of what is known.
#[derive(Clone, Debug, PartialEq)]
pub enum DiskDocument {
    /// The engine's disk.
    Engine(EngineFigures),
    /// The launcher's own data directory.
    Data(DataFigures),
    /// An image on the engine.
    Image(ImageFigures),
}

/// The file system that a directory is on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Filesystem {
    /// Its size in bytes.
    pub total_bytes: u64,
    /// What is used, by whomever.
    pub used_bytes: u64,
    /// What may still be used.
    pub free_bytes: u64,
    /// Files that it can have; 0 where there is no such limit.
    pub inodes: u64,
    /// Files that it can have besides those that it has.
    pub inodes_free: u64,
}

/// The engine's disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineFigures {
    /// The directory in which it keeps everything, as it says; `None` if that is on another machine.
    pub path: Option<String>,
    /// The file system there; `None` if that is on another machine.
    pub filesystem: Option<Filesystem>,
    /// Layers of images, each counted once. `None` until it was counted.
    pub images_bytes: Option<u64>,
    /// What containers have written.
    pub containers_bytes: Option<u64>,
    /// What BuildKit keeps for later builds.
    pub build_cache_bytes: Option<u64>,
    /// The logs of containers; `None` where they cannot be seen.
    pub logs_bytes: Option<u64>,
    /// What the next collection would free.
    pub reclaimable_bytes: Option<u64>,
    /// Above how many percent of the disk build cache goes as well.
    pub watermark: u8,
    /// Whether it is above that, and not yet below again.
    pub is_above_watermark: bool,
    /// When all this was so.
    pub checked_at: Option<Timestamp>,
    /// Why newer figures cannot be had, in words.
    pub error: Option<String>,
}

/// The launcher's own data directory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataFigures {
    /// The file system that it is on.
    pub filesystem: Option<Filesystem>,
    /// When this was so.
    pub checked_at: Timestamp,
}

/// An image on the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageFigures {
    /// Its names, each with a tag; digests where it has no other name.
    pub names: Vec<String>,
    /// Size in bytes, with what it shares.
    pub size_bytes: u64,
    /// What other images have as well; `None` where the engine does not tell.
    pub shared_bytes: Option<u64>,
    /// When it was made, to the second.
    pub created_at: Option<Timestamp>,
    /// Whether the launcher built or pulled it.
    pub made_by_launcher: bool,
    /// Why it stays, in words; `None`: the next collection removes it.
    pub kept_because: Option<String>,
}

/// What a collection removed, or would.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Collection {
    /// The images.
    pub removed: Vec<RemovedImage>,
    /// Those that the engine did not let go, and its words.
    pub refused: Vec<RefusedImage>,
    /// How many bytes that freed; of a dry run, would.
    pub freed_bytes: u64,
    /// How many images stay.
    pub kept: usize,
}

/// An image that was removed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemovedImage {
    /// Its id.
    pub image_id: String,
    /// The names that it had.
    pub names: Vec<String>,
    /// The bytes that went with it.
    pub size_bytes: u64,
    /// Why, in words.
    pub why: String,
}

/// An image that should have been removed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefusedImage {
    /// Its id.
    pub image_id: String,
    /// Its names.
    pub names: Vec<String>,
    /// Why it is still there, in words.
    pub error: String,
}
