//! Reads a tar archive entry by entry, forwards only, in constant memory.
//!
//! The `tar` crate's own iterator reads extended headers of any size into memory and takes an
//! archive that stops between two entries for a complete one. Archives here are hostile or cut
//! off, so this reader bounds the former and refuses the latter. It understands the v7, ustar, GNU
//! and pax formats, as far as regular files, folders and links need it.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::error::SourceError;

/// Size of a header and unit of padding, in bytes (POSIX ustar).
pub(super) const BLOCK: usize = 512;
/// How much is skipped at once: decoders are quicker with large reads, in bytes.
const SKIPPED: usize = 128 * 1024;
/// Largest extended header that is read into memory, in bytes.
const MAX_EXTENSION: u64 = 256 * 1024;
/// Sizes beyond this are nonsense and would overflow sums.
const MAX_SIZE: u64 = 1 << 56;

/// What one entry of an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Path as it stands in the archive.
    pub(super) path: Vec<u8>,
    pub(super) kind: EntryKind,
    /// Permission bits as they stand in the archive.
    pub(super) mode: u32,
    /// Seconds since the epoch.
    pub(super) mtime: u64,
    /// Bytes of content; 0 for all but files.
    pub(super) size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Directory,
    /// With the target as it stands in the archive.
    Symlink(Vec<u8>),
    /// With the target's path as it stands in the archive.
    Hardlink(Vec<u8>),
    /// Devices and other things that no build context holds; says why.
    Forbidden(&'static str),
}

/// Reads entries with [`TarReader::next_entry`], and the content of the last one as [`Read`].
pub(super) struct TarReader<R> {
    input: R,
    /// Bytes of the current entry's content that were not read yet.
    content: u64,
    /// Bytes between the content's end and the next header.
    padding: u64,
    /// Where what is skipped goes.
    skipped: Box<[u8]>,
}

/// What extended headers say about the entry after them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

impl<R: Read> TarReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            content: 0,
            padding: 0,
            skipped: vec![0; SKIPPED].into(),
        }
    }

    /// The next entry, or `None` after the end mark, when the input was read to its very end.
    ///
    /// # Errors
    ///
    /// [`SourceError::CutOff`] when the input ends anywhere before the end mark, and
    /// [`SourceError::Damaged`] for headers that are none.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, SourceError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_rest()?;
            let Some(header) = self.read_header()? else {
                self.drain()?;
                return Ok(None);
            };
            let size = numeric(header.entry_size())?;
            match header.entry_type() {
                EntryType::GNULongName => extensions.path = Some(self.read_name(size)?),
                EntryType::GNULongLink => extensions.link = Some(self.read_name(size)?),
                EntryType::XHeader => extensions.read_pax(&self.read_extension(size)?)?,
                EntryType::XGlobalHeader => self.expect_content(size),
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<Entry, SourceError> {
        let path = extensions
            .path
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extensions
            .link
            .unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
        let kind = match header.entry_type() {
            _ if extensions.sparse => EntryKind::Forbidden("is a sparse file"),
            // Archives older than ustar mark folders by the slash alone.
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => {
                EntryKind::Directory
            }
            EntryType::Regular | EntryType::Continuous => EntryKind::File,
            EntryType::Directory => EntryKind::Directory,
            EntryType::Symlink => EntryKind::Symlink(link),
            EntryType::Link => EntryKind::Hardlink(link),
            EntryType::Char | EntryType::Block => EntryKind::Forbidden("is a device"),
            EntryType::Fifo => EntryKind::Forbidden("is a named pipe"),
            EntryType::GNUSparse => EntryKind::Forbidden("is a sparse file"),
            _ => EntryKind::Forbidden("is of an unknown kind"),
        };
        let size = match kind {
            EntryKind::File => extensions
                .size
                .map_or_else(|| numeric(header.entry_size()), Ok)?,
            // Whatever their headers say: only files have content (Go's archive/tar, which Docker
            // uses, reads them so).
            _ => 0,
        };
        if size > MAX_SIZE {
            return Err(SourceError::Damaged("an entry's size is absurd"));
        }
        self.expect_content(size);
        let mode = header.mode().unwrap_or(0o644);
        let mtime = header.mtime().unwrap_or(0);
        Ok(Entry {
            path,
            kind,
            mode,
            mtime,
            size,
        })
    }

    fn expect_content(&mut self, size: u64) {
        self.content = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    fn skip_rest(&mut self) -> Result<(), SourceError> {
        let rest = self.content + self.padding;
        let skipped = self.skip(rest)?;
        (self.content, self.padding) = (0, 0);
        if skipped == rest {
            Ok(())
        } else {
            Err(SourceError::CutOff)
        }
    }

    /// The next header, or `None` for the end mark: two blocks of zeros.
    fn read_header(&mut self) -> Result<Option<Header>, SourceError> {
        let block = self.read_block()?;
        if block == [0; BLOCK] {
            let second = self.read_block()?;
            return if second == [0; BLOCK] {
                Ok(None)
            } else {
                Err(SourceError::Damaged(
                    "an empty header lies between its entries",
                ))
            };
        }
        if !has_valid_checksum(&block) {
            return Err(SourceError::Damaged("a header has a wrong checksum"));
        }
        Ok(Some(Header::from_byte_slice(&block).clone()))
    }

    fn read_block(&mut self) -> Result<[u8; BLOCK], SourceError> {
        let mut block = [0; BLOCK];
        self.input
            .read_exact(&mut block)
            .map_err(SourceError::from_read)?;
        Ok(block)
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, SourceError> {
        if size > MAX_EXTENSION {
            return Err(SourceError::Damaged("an extended header is too large"));
        }
        self.expect_content(size);
        let mut data = Vec::new();
        self.read_to_end(&mut data)
            .map_err(SourceError::from_read)?;
        Ok(data)
    }

    fn read_name(&mut self, size: u64) -> Result<Vec<u8>, SourceError> {
        let mut name = self.read_extension(size)?;
        let end = name
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    /// What follows the end mark is padding; a compressed stream's own checksum comes after it.
    fn drain(&mut self) -> Result<(), SourceError> {
        self.skip(u64::MAX).map(drop)
    }

    /// Reads and forgets so many bytes, or all that there are; tells how many.
    fn skip(&mut self, count: u64) -> Result<u64, SourceError> {
        let mut left = count;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(SKIPPED).min(SKIPPED);
            match self.input.read(&mut self.skipped[..wanted]) {
                Ok(0) => break,
                Ok(read) => left -= read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SourceError::from_read(error)),
            }
        }
        Ok(count - left)
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.content)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(SourceError::CutOff.into());
        }
        self.content -= count as u64;
        Ok(count)
    }
}

impl Extensions {
    /// Takes over the records `<length> <key>=<value>\n` (POSIX pax) that matter here.
    fn read_pax(&mut self, mut data: &[u8]) -> Result<(), SourceError> {
        while !data.is_empty() {
            let (key, value, rest) =
                split_record(data).ok_or(SourceError::Damaged("a pax header is malformed"))?;
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(decimal(value)?),
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
            data = rest;
        }
        Ok(())
    }
}

fn split_record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(20).position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &data[length..]))
}

fn decimal(value: &[u8]) -> Result<u64, SourceError> {
    let parsed = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok());
    parsed.ok_or(SourceError::Damaged("a pax header is malformed"))
}

fn numeric(value: io::Result<u64>) -> Result<u64, SourceError> {
    value.map_err(|_| SourceError::Damaged("a header's size is not a number"))
}

/// Whether the block is a tar header: its checksum counts the bytes with itself as blanks.
pub(super) fn has_valid_checksum(block: &[u8; BLOCK]) -> bool {
    let counted = |(index, &byte): (usize, &u8)| {
        if (148..156).contains(&index) {
            u32::from(b' ')
        } else {
            u32::from(byte)
        }
    };
    let sum: u32 = block.iter().enumerate().map(counted).sum();
    Header::from_byte_slice(block)
        .cksum()
        .is_ok_and(|stored| stored == sum)
}

#[cfg(test)]
mod tests;
