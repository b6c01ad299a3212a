//! What is kept of an upload.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::UploadError;
use crate::{
    digest::{SecretHash, Sha256Digest},
    store::{Kind, Record},
};

/// The record of an upload. How much of it has arrived is the length of its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// 17 characters; no secret.
    pub id: String,
    /// Whoever has the secret may send its bytes.
    pub secret: SecretHash,
    /// Bytes that it will have.
    pub size: u64,
    /// What these bytes must hash to.
    pub sha256: Sha256Digest,
    /// When it was announced.
    pub created_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
    /// Whether its secret was taken for a token.
    #[serde(default)]
    pub token_used: bool,
    /// See [`UploadState`].
    pub state: UploadState,
}

/// What became of an upload.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UploadState {
    /// Bytes are missing, or have not been checked.
    Open,
    /// All bytes are there and are those that were announced.
    Complete,
    /// They were others. The file is gone.
    Mismatched,
    /// An image was built from it. The file is gone.
    Used,
}

impl Record for Upload {
    const KIND: Kind = Kind::Upload;

    fn id(&self) -> &str {
        &self.id
    }
}

impl Upload {
    /// Fails with what became of it when there is nothing to work on any more.
    pub(super) fn check_there(&self) -> Result<(), UploadError> {
        match self.state {
            UploadState::Open | UploadState::Complete => Ok(()),
            UploadState::Mismatched => Err(UploadError::WasMismatched),
            UploadState::Used => Err(UploadError::Used),
        }
    }
}
