//! Packs an archive anew as the context that an engine builds from.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tar::{EntryType, Header};
use tokio::sync::mpsc;

use super::archive::{self, Limits, Unpacked};
use super::arriving::Archive;
use super::bundle::Bundle;
use super::dockerfile::{self, Recipe};
use super::error::SourceError;
use super::tar_reader::{Entry, EntryKind};
use super::tree::clean;

/// Size of the pieces that the context is sent in, in bytes.
const PIECE: usize = 256 * 1024;
/// Pieces that are made ahead of the reader.
const PIECES_AHEAD: usize = 4;
const DOCKERFILE: &str = "Dockerfile";
/// What a bundle's `npm-rebuild.js` reads and changes: the packages that the app brought along, and
/// the list of those with binary parts.
const REBUILT: &[&str] = &["programs/server/npm", "programs/server/npm-rebuilds.json"];
/// Latest modification time that is kept (2106): later ones are nonsense that file systems refuse.
const LATEST_MTIME: u64 = u32::MAX as u64;

/// A build context: an uncompressed tar in pieces.
///
/// Ends after an error. Dropping it stops the work behind it.
#[derive(Debug)]
pub struct ContextStream(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for ContextStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

/// A validated archive and what to change in it.
#[derive(Debug)]
pub(super) struct Repacker {
    archive: Archive,
    limits: Limits,
    layout: Layout,
    /// Files that the archive does not have.
    added: Vec<(&'static str, Vec<u8>)>,
    /// New content of files, by their path in the archive.
    replaced: HashMap<String, Vec<u8>>,
    /// What does not get into the context, by its path in the archive.
    left_out: BTreeSet<String>,
    /// How often files appear again. Only the last of them gets into the context: the engine's cache
    /// looks at the first, its builds at the last.
    repeats: HashMap<String, u64>,
}

#[derive(Debug, Clone, Copy)]
enum Layout {
    /// The archive is the context.
    AsIs,
    /// The bundle, which has this folder in the archive, becomes the context's `bundle/`, except for
    /// what is rebuilt in a layer of its own, which becomes `packages/`.
    Bundle {
        root: &'static str,
        apart: &'static [&'static str],
    },
}

impl Repacker {
    pub(super) fn dockerfile(
        archive: Archive,
        limits: Limits,
        repeats: HashMap<String, u64>,
    ) -> Self {
        Self {
            archive,
            limits,
            layout: Layout::AsIs,
            added: Vec::new(),
            replaced: HashMap::new(),
            left_out: BTreeSet::new(),
            repeats,
        }
    }

    pub(super) fn bundle(
        archive: Archive,
        limits: Limits,
        bundle: Bundle,
        node_image: &str,
    ) -> Self {
        let text = dockerfile::text(&bundle, node_image);
        let apart = match bundle.recipe {
            Recipe::Layered => REBUILT,
            Recipe::Carried | Recipe::InPlace => &[],
        };
        let root = bundle.root;
        Self {
            archive,
            limits,
            layout: Layout::Bundle { root, apart },
            added: vec![(DOCKERFILE, text.into_bytes())],
            replaced: bundle.replaced,
            left_out: bundle.left_out,
            repeats: bundle.repeats,
        }
    }

    pub(super) fn into_stream(self) -> ContextStream {
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        tokio::task::spawn_blocking(move || {
            let outcome = self.write(PieceWriter::new(sender.clone()));
            // Nobody listens any more when the receiver is what failed.
            outcome.or_else(|error| sender.blocking_send(Err(error)))
        });
        ContextStream(receiver)
    }

    fn write(mut self, out: PieceWriter) -> io::Result<()> {
        let mut context = tar::Builder::new(out);
        for (path, content) in &self.added {
            append_file(
                &mut context,
                path,
                content.len() as u64,
                0o644,
                0,
                content.as_slice(),
            )?;
        }
        if let Some(folder) = self.layout.folder() {
            let mut header = header(EntryType::Directory, 0o755, 0);
            context.append_data(&mut header, folder, io::empty())?;
        }
        let never = Arc::new(AtomicBool::new(false));
        let mut reader = archive::open(&self.archive, &self.limits, never)?;
        while let Some(entry) = reader.next_entry()? {
            let path = clean(&entry.path)?;
            if self.left_out.contains(&path) || self.comes_again(&path, &entry.kind) {
                continue;
            }
            if let Some(place) = self.layout.place(&path) {
                self.append(&mut context, &path, &place, &entry, &mut reader)?;
            }
        }
        context.into_inner()?.finish()
    }

    fn comes_again(&mut self, path: &str, kind: &EntryKind) -> bool {
        match self.repeats.get_mut(path) {
            Some(left) if *kind == EntryKind::File && *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    fn append(
        &self,
        context: &mut tar::Builder<PieceWriter>,
        path: &str,
        place: &str,
        entry: &Entry,
        reader: &mut Unpacked,
    ) -> io::Result<()> {
        let mode = self.layout.mode(entry);
        match &entry.kind {
            EntryKind::File => match self.replaced.get(path) {
                Some(new) => {
                    let size = new.len() as u64;
                    append_file(context, place, size, mode, entry.mtime, new.as_slice())
                }
                None => append_file(context, place, entry.size, mode, entry.mtime, reader),
            },
            EntryKind::Directory => {
                let mut header = header(EntryType::Directory, mode, entry.mtime);
                context.append_data(&mut header, format!("{place}/"), io::empty())
            }
            EntryKind::Symlink(target) => {
                let mut header = header(EntryType::Symlink, mode, entry.mtime);
                context.append_link(&mut header, place, text(target)?)
            }
            EntryKind::Hardlink(target) => {
                let outside = || SourceError::entry(path, "is a hard link out of the bundle");
                let target = self.layout.place(&clean(target)?).ok_or_else(outside)?;
                let mut header = header(EntryType::Link, mode, entry.mtime);
                context.append_link(&mut header, place, target)
            }
            EntryKind::Forbidden(problem) => Err(SourceError::entry(path, problem).into()),
        }
    }
}

impl Layout {
    /// A folder that the context has even if the archive has nothing for it.
    fn folder(self) -> Option<&'static str> {
        match self {
            Self::Bundle { apart, .. } if !apart.is_empty() => Some("packages/"),
            _ => None,
        }
    }

    /// Path in the context, or nothing for what does not belong there.
    fn place(self, path: &str) -> Option<String> {
        match self {
            _ if path.is_empty() => None,
            Self::AsIs => Some(path.to_owned()),
            // Only the bundle: what lies beside it could stand in for the generated Dockerfile or
            // exclude (.dockerignore) parts of the bundle.
            Self::Bundle { root, .. } if path == root.trim_end_matches('/') => {
                Some("bundle".to_owned())
            }
            Self::Bundle { root, apart } => {
                let inside = path.strip_prefix(root)?;
                let folder = if lies_in(inside, apart) {
                    "packages"
                } else {
                    "bundle"
                };
                Some(format!("{folder}/{inside}"))
            }
        }
    }

    /// Never setuid, setgid or sticky.
    fn mode(self, entry: &Entry) -> u32 {
        match (self, &entry.kind) {
            (_, EntryKind::Symlink(_)) => 0o777,
            (Self::AsIs, _) => entry.mode & 0o777,
            // Meteor makes bundles read-only; npm, run as the app's user, has to write there.
            (Self::Bundle { .. }, EntryKind::Directory) => 0o755,
            (Self::Bundle { .. }, _) if entry.mode & 0o111 != 0 => 0o755,
            (Self::Bundle { .. }, _) => 0o644,
        }
    }
}

/// Whether a path is one of these or lies below one of them.
fn lies_in(path: &str, places: &[&str]) -> bool {
    let below = |place: &&str| {
        let rest = path.strip_prefix(*place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    places.iter().any(below)
}

fn append_file(
    context: &mut tar::Builder<PieceWriter>,
    place: &str,
    size: u64,
    mode: u32,
    mtime: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = header(EntryType::Regular, mode, mtime);
    header.set_size(size);
    context.append_data(&mut header, place, content)
}

/// A header without owner: engines give a context's files to root unless the Dockerfile says who
/// else.
fn header(kind: EntryType, mode: u32, mtime: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(mtime.min(LATEST_MTIME));
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(bytes).map_err(io::Error::other)
}

/// Sends what is written in pieces, and waits while the reader is behind.
struct PieceWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: BytesMut,
}

impl PieceWriter {
    fn new(sender: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self {
            sender,
            piece: BytesMut::with_capacity(PIECE),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE));
        let sent = self.sender.blocking_send(Ok(piece.freeze()));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn finish(mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            Ok(())
        } else {
            self.send()
        }
    }
}

impl Write for PieceWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = data.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&data[..count]);
        if self.piece.len() == PIECE {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
