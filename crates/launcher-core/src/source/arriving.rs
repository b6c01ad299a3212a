//! An archive on disk that can be read while it is still being written.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::task::spawn_blocking;

use super::error::SourceError;

/// An archive on disk, of which more may come. Each reader has a place of its own in it.
#[derive(Debug, Clone)]
pub struct Archive(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: File,
    arrival: Mutex<Arrival>,
    news: Condvar,
}

/// How much of an archive has come.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    bytes: u64,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    /// This is all.
    Reached,
    /// The rest will never come.
    GivenUp,
}

/// The end of an archive at which it grows. If it is dropped before it is whole, nothing is made of
/// the archive.
#[derive(Debug)]
pub struct Arriving(Archive);

impl Archive {
    /// An archive that is there to its end.
    ///
    /// # Errors
    ///
    /// [`SourceError::Local`] when its size cannot be told.
    pub fn whole(file: File) -> Result<Self, SourceError> {
        let metadata = file.metadata().map_err(|cause| SourceError::Local {
            action: "read the archive",
            cause,
        })?;
        Ok(Self::new(file, metadata.len(), End::Reached))
    }

    /// An archive of which nothing has come, and its end. It is a file without a name in `directory`:
    /// it is gone when it is closed, even if the launcher is killed.
    ///
    /// # Errors
    ///
    /// [`SourceError::Local`] when no file can be made there.
    pub async fn arriving(directory: &Path) -> Result<(Self, Arriving), SourceError> {
        let directory = directory.to_owned();
        let made = spawn_blocking(move || tempfile::tempfile_in(directory)).await;
        let made = made.map_err(|_| SourceError::Cancelled)?;
        made.map(Self::growing).map_err(not_written)
    }

    fn growing(file: File) -> (Self, Arriving) {
        let archive = Self::new(file, 0, End::Open);
        (archive.clone(), Arriving(archive))
    }

    fn new(file: File, bytes: u64, end: End) -> Self {
        Self(Arc::new(Shared {
            file,
            arrival: Mutex::new(Arrival { bytes, end }),
            news: Condvar::new(),
        }))
    }

    /// Reads from the start, and waits where nothing more has come yet.
    pub(super) fn reader(&self) -> ArchiveReader {
        ArchiveReader {
            archive: self.clone(),
            position: 0,
        }
    }

    /// Waits until so many bytes suffice or no more can come; tells how many there are then.
    ///
    /// # Errors
    ///
    /// [`SourceError::Cancelled`] when the rest will never come.
    pub(super) fn wait_until(&self, suffices: impl Fn(u64) -> bool) -> Result<u64, SourceError> {
        let mut arrival = self.0.arrival.lock();
        loop {
            match arrival.end {
                End::GivenUp => return Err(SourceError::Cancelled),
                End::Reached => return Ok(arrival.bytes),
                End::Open if suffices(arrival.bytes) => return Ok(arrival.bytes),
                End::Open => self.0.news.wait(&mut arrival),
            }
        }
    }

    /// Whether anybody waits for more.
    #[cfg(test)]
    pub(super) fn is_waited_for(&self) -> bool {
        // Whoever is woken looks whether there is news, and waits again.
        self.0.news.notify_all() > 0
    }

    fn tell(&self, news: impl FnOnce(&mut Arrival)) {
        news(&mut self.0.arrival.lock());
        self.0.news.notify_all();
    }
}

impl Arriving {
    /// Appends a piece. Blocks.
    pub(super) fn append(&self, piece: &[u8]) -> Result<(), SourceError> {
        let Self(archive) = self;
        let written = archive.0.arrival.lock().bytes;
        let done = archive.0.file.write_all_at(piece, written);
        done.map_err(not_written)?;
        archive.tell(|arrival| arrival.bytes += piece.len() as u64);
        Ok(())
    }

    /// Says that this was all.
    pub(super) fn finish(&self) {
        self.0.tell(|arrival| arrival.end = End::Reached);
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.tell(|arrival| {
            if arrival.end == End::Open {
                arrival.end = End::GivenUp;
            }
        });
    }
}

fn not_written(cause: io::Error) -> SourceError {
    SourceError::Local {
        action: "write the archive to its data directory",
        cause,
    }
}

/// Reads an [`Archive`] once.
#[derive(Debug)]
pub(super) struct ArchiveReader {
    archive: Archive,
    position: u64,
}

impl Read for ArchiveReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let position = self.position;
        let there = self.archive.wait_until(|bytes| bytes > position)?;
        let ahead = usize::try_from(there - position).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(ahead);
        let count = self
            .archive
            .0
            .file
            .read_at(&mut buffer[..wanted], position)?;
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn nameless() -> File {
        tempfile::tempfile().unwrap()
    }

    fn reading(archive: &Archive) -> thread::JoinHandle<io::Result<Vec<u8>>> {
        let mut reader = archive.reader();
        thread::spawn(move || {
            let mut content = Vec::new();
            reader.read_to_end(&mut content).map(|_| content)
        })
    }

    #[test]
    fn all_who_read_while_it_comes_read_all_of_it() {
        let (archive, arriving) = Archive::growing(nameless());
        let early = [reading(&archive), reading(&archive)];
        let mut expected = Vec::new();
        for number in 0..200_u8 {
            let piece = vec![number; usize::from(number) * 100];
            arriving.append(&piece).unwrap();
            expected.extend(piece);
        }
        arriving.finish();
        for reading in early.into_iter().chain([reading(&archive)]) {
            assert!(reading.join().unwrap().unwrap() == expected);
        }
    }

    #[test]
    fn an_archive_whose_rest_never_comes_has_no_end() {
        let (archive, arriving) = Archive::growing(nameless());
        arriving.append(b"begun").unwrap();
        let early = reading(&archive);
        drop(arriving);
        for reading in [early, reading(&archive)] {
            let error = reading.join().unwrap().unwrap_err();
            let error = SourceError::from_read(error);
            assert!(matches!(error, SourceError::Cancelled), "{error}");
        }
    }

    #[test]
    fn whoever_waits_for_a_size_hears_of_it_or_of_the_end() {
        let (archive, arriving) = Archive::growing(nameless());
        let waiting = |least: u64| {
            let archive = archive.clone();
            thread::spawn(move || archive.wait_until(|bytes| bytes >= least).unwrap())
        };
        let (some, more) = (waiting(3), waiting(100));
        arriving.append(b"some").unwrap();
        assert_eq!(some.join().unwrap(), 4);
        arriving.finish();
        assert_eq!(more.join().unwrap(), 4);
    }
}
