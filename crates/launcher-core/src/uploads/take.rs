//! From an upload to a build.

use std::{fmt, fs::File, sync::Arc};

use tokio::sync::OwnedMutexGuard;

use super::{UploadError, UploadState, Uploads};

/// A complete upload that a build has for itself. Dropped, it can be taken again.
pub struct TakenUpload {
    uploads: Arc<Uploads>,
    id: String,
    size: u64,
    _work: OwnedMutexGuard<()>,
}

impl Uploads {
    /// Takes a complete upload for a build.
    ///
    /// # Errors
    /// [`UploadError::Incomplete`], [`UploadError::Busy`], [`UploadError::Used`], or why it is not
    /// there or not what was announced.
    pub async fn take(self: &Arc<Self>, id: &str) -> Result<TakenUpload, UploadError> {
        let work = self.begin_work(id)?;
        let (received, size) = (self.length(id)?, self.record(id)?.size);
        if received < size {
            return Err(UploadError::Incomplete { received, size });
        }
        // It has not been checked if the launcher ended right after the last byte.
        self.check(id).await?;
        Ok(TakenUpload {
            uploads: Arc::clone(self),
            id: id.to_owned(),
            size,
            _work: work,
        })
    }
}

impl fmt::Debug for TakenUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TakenUpload({})", self.id)
    }
}

impl TakenUpload {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its file, from the beginning.
    ///
    /// # Errors
    /// [`UploadError::Disk`].
    pub fn file(&self) -> Result<File, UploadError> {
        let file = File::open(self.uploads.path(&self.id));
        file.map_err(|error| UploadError::disk("the upload cannot be read", &error))
    }

    /// An image was built from it: it cannot be taken again.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub async fn used_up(&self) -> Result<(), UploadError> {
        self.uploads.end(&self.id, UploadState::Used).await
    }
}
