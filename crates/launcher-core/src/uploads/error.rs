//! What can go wrong with an upload.

use std::{io, time::Duration};

use thiserror::Error;

use crate::{digest::Sha256Digest, store::StoreError};

/// Why an upload was refused or broke off. Texts are fit for the caller.
#[derive(Debug, Error)]
pub enum UploadError {
    /// No upload has this secret or id, or it has expired.
    #[error("there is no such upload, or it has expired")]
    Unknown,
    /// There is nothing to upload.
    #[error("an upload has at least one byte")]
    Empty,
    /// It is larger than an archive may be.
    #[error("an upload has at most {0} bytes")]
    TooLarge(u64),
    /// Too many are under way.
    #[error("there are {0} unfinished or unused uploads; finish, use or remove some")]
    TooMany(usize),
    /// The disk would be full.
    #[error("there is not enough disk space for {0} more bytes")]
    NoSpace(u64),
    /// The token was taken already.
    #[error("this token has been used")]
    TokenUsed,
    /// Another size was announced.
    #[error("{0} bytes were announced for this upload")]
    OtherSize(u64),
    /// Another request, or a build, works on it.
    #[error("another request or a build is working on this upload")]
    Busy,
    /// It goes on elsewhere.
    #[error("this upload goes on at byte {0}")]
    WrongOffset(u64),
    /// More bytes came than were announced.
    #[error("more than the {0} bytes that were announced")]
    TooMuch(u64),
    /// Fewer bytes came than the whole.
    #[error("this upload is not complete: {received} of {size} bytes came")]
    Incomplete {
        /// Bytes that are there.
        received: u64,
        /// Bytes that were announced.
        size: u64,
    },
    /// The bytes are not those that were announced.
    #[error("the bytes have the SHA-256 {found}, not the announced one; the upload was removed")]
    Mismatch {
        /// What they hash to.
        found: Sha256Digest,
    },
    /// The bytes were not those that were announced.
    #[error("this upload was removed: its bytes did not have the announced SHA-256")]
    WasMismatched,
    /// An image was built from it.
    #[error("this upload has been used: an image was built from it")]
    Used,
    /// Nothing came for too long.
    #[error("nothing came for {0:?}; what had come is kept")]
    Stalled(Duration),
    /// The request took too long.
    #[error("the request took longer than {0:?}; what had come is kept")]
    Deadline(Duration),
    /// The connection broke.
    #[error("the connection broke; what had come is kept")]
    CutOff,
    /// The launcher is going down.
    #[error("the launcher is shutting down; what had come is kept")]
    Stopping,
    /// The disk failed.
    #[error("{0}")]
    Disk(String),
    /// The state could not be written.
    #[error("the launcher's store cannot be written to")]
    Store(#[from] StoreError),
}

impl UploadError {
    pub(super) fn disk(what: &str, error: &io::Error) -> Self {
        // Not the error's own text, which may name a path.
        Self::Disk(format!("{what}: {}", error.kind()))
    }

    /// Whether the caller asked for something that cannot be, as opposed to something that failed.
    #[must_use]
    pub fn is_callers(&self) -> bool {
        !matches!(
            self,
            Self::NoSpace(_) | Self::Stopping | Self::Disk(_) | Self::Store(_)
        )
    }
}
