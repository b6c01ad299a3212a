//! Opens archives, reads them once to the very end, and tells what they are.

use std::collections::HashMap;
use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::read::MultiGzDecoder;

use super::arriving::Archive;
use super::bundle::{self, Bundle};
use super::error::{SourceError, shown};
use super::format;
use super::star::BundleInfo;
use super::tar_reader::{BLOCK, Entry, EntryKind, TarReader};
use super::tree::{Tree, clean};

/// Largest file of a bundle that is read into memory (lock files are the largest), in bytes.
const MAX_CAPTURED: u64 = 8 * 1024 * 1024;
/// Archives that unpack to less are no bombs, whatever their ratio.
const HARMLESS_BYTES: u64 = 64 * 1024 * 1024;

/// How much an archive may unpack to.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Entries, folders that are only implied included.
    pub entries: u64,
    /// Bytes after unpacking, headers included.
    pub unpacked_bytes: u64,
    /// Unpacked bytes per packed byte. Gzip reaches 1000 for zeros; Meteor bundles have 3 to 6.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 500_000,
            unpacked_bytes: 8 * 1024 * 1024 * 1024,
            ratio: 100,
        }
    }
}

/// What can be made of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A build context with its own Dockerfile.
    Dockerfile,
    /// A bundle as `meteor build` makes it.
    MeteorBundle(BundleInfo),
}

/// The result of the validating pass.
#[derive(Debug)]
pub(super) enum Found {
    Dockerfile { repeats: HashMap<String, u64> },
    MeteorBundle(Box<Bundle>),
}

/// Everything one pass learns about an archive.
pub(super) struct Scan {
    pub(super) tree: Tree,
    /// Content of the files named in [`bundle::CAPTURED`], by path.
    pub(super) captured: HashMap<String, Vec<u8>>,
    /// An entry of `bundle/` that shares its content with one beside it, which a context leaves out.
    pub(super) shared_outside: Option<String>,
    hints: Hints,
}

/// What tells what an archive is that is none of the two kinds.
#[derive(Default)]
struct Hints {
    meteor_source: bool,
    npm_project: bool,
    deeper_dockerfile: Option<String>,
    deeper_bundle: Option<String>,
}

/// An unpacking reader over an archive on disk.
pub(super) type Unpacked = TarReader<Metered<Box<dyn Read + Send>>>;

/// Reads the whole archive and decides what it is.
///
/// # Errors
///
/// Says in words what the archive is instead, where it is damaged, or which entry is refused.
pub(super) fn inspect(
    archive: &Archive,
    limits: &Limits,
    architecture: &str,
    cancelled: Arc<AtomicBool>,
) -> Result<Found, SourceError> {
    let mut reader = open(archive, limits, cancelled)?;
    let scan = Scan::read(&mut reader, limits)?;
    scan.classify(architecture)
}

/// Opens an archive at its start, plain or gzip by its first bytes. Of one that is still coming, each
/// byte is waited for.
pub(super) fn open(
    archive: &Archive,
    limits: &Limits,
    cancelled: Arc<AtomicBool>,
) -> Result<Unpacked, SourceError> {
    let mut packed = BufReader::with_capacity(64 * 1024, archive.reader());
    let head = read_head(&mut packed)?;
    let packed = Cursor::new(head.clone()).chain(packed);
    let (head, unpacked): (Vec<u8>, Box<dyn Read + Send>) = if format::is_gzip(&head) {
        let mut unpacked = MultiGzDecoder::new(packed);
        let head = read_head(&mut unpacked)?;
        (head.clone(), Box::new(Cursor::new(head).chain(unpacked)))
    } else {
        (head, Box::new(packed))
    };
    format::expect_tar(&head)?;
    Ok(TarReader::new(Metered {
        inner: unpacked,
        archive: archive.clone(),
        limits: limits.clone(),
        allowed: Allowed::new(0, limits),
        read: 0,
        cancelled,
    }))
}

fn read_head(reader: &mut impl Read) -> Result<Vec<u8>, SourceError> {
    let mut head = Vec::with_capacity(BLOCK);
    reader
        .take(BLOCK as u64)
        .read_to_end(&mut head)
        .map_err(SourceError::from_read)?;
    Ok(head)
}

impl Scan {
    fn read(reader: &mut Unpacked, limits: &Limits) -> Result<Self, SourceError> {
        let mut scan = Self {
            tree: Tree::new(limits.entries),
            captured: HashMap::new(),
            shared_outside: None,
            hints: Hints::default(),
        };
        while let Some(entry) = reader.next_entry()? {
            let path = clean(&entry.path)?;
            scan.tree.add(&path, &entry.kind)?;
            scan.take_hints(&path, &entry.kind);
            scan.capture(path, &entry, reader)?;
        }
        Ok(scan)
    }

    fn take_hints(&mut self, path: &str, kind: &EntryKind) {
        if let EntryKind::Hardlink(target) = kind
            && path.starts_with("bundle/")
            && !clean(target).is_ok_and(|target| target.starts_with("bundle/"))
        {
            self.shared_outside = Some(path.to_owned());
        }
        self.hints.take(path);
    }

    fn capture(
        &mut self,
        path: String,
        entry: &Entry,
        reader: &mut impl Read,
    ) -> Result<(), SourceError> {
        let inside = path.strip_prefix("bundle/").unwrap_or(&path);
        if entry.kind != EntryKind::File || !bundle::CAPTURED.contains(&inside) {
            return Ok(());
        }
        let mut content = Vec::new();
        if entry.size <= MAX_CAPTURED {
            reader
                .read_to_end(&mut content)
                .map_err(SourceError::from_read)?;
        }
        // A larger one is kept as empty, which no reader of a bundle's files takes for valid.
        self.captured.insert(path, content);
        Ok(())
    }

    fn classify(mut self, architecture: &str) -> Result<Found, SourceError> {
        if self.tree.is_empty() {
            return Err(SourceError::Empty);
        }
        let has_dockerfile = self.tree.has_file("Dockerfile");
        let root = if has_dockerfile {
            None
        } else {
            bundle::find_root(&self.tree)
        };
        let can_be_spared =
            |path: &str| root.is_some_and(|root| bundle::is_made_by_node_gyp(root, path));
        let left_out = self.tree.check_links(can_be_spared)?;
        let repeats = self.tree.take_repeats();
        if has_dockerfile {
            return Ok(Found::Dockerfile { repeats });
        }
        if let Some(root) = root {
            let mut bundle = Bundle::read(&self, root, architecture)?.without(left_out);
            bundle.repeats = repeats;
            return Ok(Found::MeteorBundle(Box::new(bundle)));
        }
        Err(self.hints.refusal(architecture))
    }
}

impl Hints {
    fn take(&mut self, path: &str) {
        let below_top = path.split_once('/').map_or("", |(_, rest)| rest);
        let either = |file: &str| path == file || below_top == file;
        self.meteor_source |= either(".meteor/release") || either(".meteor/packages");
        self.npm_project |= either("package.json");
        if self.deeper_dockerfile.is_none() && path.ends_with("/Dockerfile") {
            self.deeper_dockerfile = Some(shown(path));
        }
        if self.deeper_bundle.is_none()
            && let Some(folder) = path.strip_suffix("/programs/server/boot.js")
        {
            self.deeper_bundle = Some(shown(folder));
        }
    }

    fn refusal(self, architecture: &str) -> SourceError {
        if self.meteor_source {
            let architecture = architecture.to_owned();
            return SourceError::MeteorSource { architecture };
        }
        match (self.deeper_bundle, self.deeper_dockerfile) {
            (Some(folder), _) => SourceError::BundleElsewhere { folder },
            (None, None) if self.npm_project => SourceError::NpmProject,
            (None, found) => SourceError::NoDockerfile { found },
        }
    }
}

/// How many bytes may come out, and what to say when more do.
struct Allowed {
    bytes: u64,
    what: &'static str,
    limit: u64,
}

impl Allowed {
    fn new(packed_bytes: u64, limits: &Limits) -> Self {
        let by_ratio = packed_bytes
            .saturating_mul(limits.ratio)
            .max(HARMLESS_BYTES);
        if by_ratio < limits.unpacked_bytes {
            let what = "unpacked bytes for each of its bytes, like an archive bomb";
            return Self {
                bytes: by_ratio,
                what,
                limit: limits.ratio,
            };
        }
        let bytes = limits.unpacked_bytes;
        Self {
            bytes,
            what: "bytes when unpacked",
            limit: bytes,
        }
    }
}

/// Counts what is read, and stops when it is too much or nobody waits for it any more.
pub(super) struct Metered<R> {
    inner: R,
    archive: Archive,
    limits: Limits,
    /// As far as is known: it grows with what comes of the archive.
    allowed: Allowed,
    read: u64,
    cancelled: Arc<AtomicBool>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(SourceError::Cancelled.into());
        }
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        if self.read > self.allowed.bytes {
            self.ask_for_more()?;
        }
        Ok(count)
    }
}

impl<R> Metered<R> {
    /// The size of the whole archive is what counts, so more of it is waited for if need be.
    fn ask_for_more(&mut self) -> Result<(), SourceError> {
        let allowed = |packed_bytes| Allowed::new(packed_bytes, &self.limits);
        let suffices = |packed_bytes| self.read <= allowed(packed_bytes).bytes;
        self.allowed = allowed(self.archive.wait_until(suffices)?);
        if self.read <= self.allowed.bytes {
            return Ok(());
        }
        let Allowed { what, limit, .. } = self.allowed;
        Err(SourceError::Limit { what, limit })
    }
}
