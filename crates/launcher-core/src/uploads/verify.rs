//! Whether an upload is what was announced.

use std::{fs::File, io::Read, path::Path};

use tokio_util::sync::CancellationToken;

use super::{UploadError, UploadState, Uploads};
use crate::digest::{Digester, Sha256Digest};

/// Bytes that are read at a time.
const BLOCK: usize = 128 * 1024;

impl Uploads {
    /// Checks an upload whose bytes are all there. One that is something else is removed.
    pub(super) async fn check(&self, id: &str) -> Result<(), UploadError> {
        let record = self.record(id)?;
        if record.state == UploadState::Complete {
            return Ok(());
        }
        let (path, stop) = (self.path(id), self.stop.clone());
        let found = tokio::task::spawn_blocking(move || digest(&path, &stop)).await;
        let found = found.unwrap_or(Err(UploadError::Stopping))?;
        if found == record.sha256 {
            return self
                .change(id, |record| record.state = UploadState::Complete)
                .await;
        }
        self.end(id, UploadState::Mismatched).await?;
        Err(UploadError::Mismatch { found })
    }
}

fn digest(path: &Path, stop: &CancellationToken) -> Result<Sha256Digest, UploadError> {
    let unreadable = |error: std::io::Error| UploadError::disk("the upload cannot be read", &error);
    let mut file = File::open(path).map_err(unreadable)?;
    let mut digester = Digester::default();
    let mut block = vec![0; BLOCK];
    loop {
        if stop.is_cancelled() {
            return Err(UploadError::Stopping);
        }
        match file.read(&mut block).map_err(unreadable)? {
            0 => return Ok(digester.finish()),
            length => digester.update(&block[..length]),
        }
    }
}
