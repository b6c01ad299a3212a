//! Writes an archive to disk as it comes.

use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_blocking};

use super::arriving::Arriving;
use super::error::SourceError;

/// How much is written at once, in bytes: each time costs a change of threads.
const WRITTEN: usize = 512 * 1024;

/// Writes pieces on a blocking thread while the next ones come.
pub(super) struct Saving {
    archive: Arc<Arriving>,
    /// What is not being written yet.
    waiting: Vec<u8>,
    writing: Option<JoinHandle<Result<(), SourceError>>>,
}

impl Saving {
    pub(super) fn new(archive: Arriving) -> Self {
        Self {
            archive: Arc::new(archive),
            waiting: Vec::with_capacity(WRITTEN),
            writing: None,
        }
    }

    /// Appends a piece.
    pub(super) async fn add(&mut self, piece: &[u8]) -> Result<(), SourceError> {
        if self.waiting.len() + piece.len() > WRITTEN {
            self.write().await?;
        }
        self.waiting.extend_from_slice(piece);
        Ok(())
    }

    /// Writes what is left; the archive is whole then.
    pub(super) async fn finish(mut self) -> Result<(), SourceError> {
        self.write().await?;
        self.written().await?;
        self.archive.finish();
        Ok(())
    }

    async fn write(&mut self) -> Result<(), SourceError> {
        self.written().await?;
        let piece = std::mem::replace(&mut self.waiting, Vec::with_capacity(WRITTEN));
        let archive = Arc::clone(&self.archive);
        self.writing = Some(spawn_blocking(move || archive.append(&piece)));
        Ok(())
    }

    async fn written(&mut self) -> Result<(), SourceError> {
        let Some(writing) = self.writing.take() else {
            return Ok(());
        };
        writing.await.unwrap_or(Err(SourceError::Cancelled))
    }
}
