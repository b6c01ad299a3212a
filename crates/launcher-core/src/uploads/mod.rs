//! Archives that callers upload, to build images from.
//!
//! An upload is announced with its size and SHA-256, receives its bytes in any number of requests,
//! each of which says where it goes on, is checked when the last byte has come, and is used up by
//! one build. How far it has come is the length of its file, so neither a cut connection nor a
//! `kill -9` loses what had arrived. What a caller holds is a secret, of which only the hash is kept.

mod error;
mod receive;
mod record;
mod sweep;
mod take;
#[cfg(test)]
mod tests;
mod verify;

use std::{
    fmt, fs,
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

pub use error::UploadError;
pub use receive::Begin;
pub use record::{Upload, UploadState};
pub(crate) use sweep::sweep_for_ever;
pub use take::TakenUpload;

use crate::{
    digest::{SecretHash, Sha256Digest, recognise},
    disk::filesystem,
    ids::random_id,
    store::Store,
};

/// How long after it was announced an upload is forgotten, whatever became of it.
pub const EXPIRY: SignedDuration = SignedDuration::from_hours(24);
/// Uploads that may be unfinished or waiting for their build at the same time.
pub const MAX_OPEN: usize = 100;
/// Finished ones that are remembered, to say what became of them.
const MAX_REMEMBERED: usize = 1_000;
/// Disk space that uploads leave free, in bytes.
const LEAVE_FREE: u64 = 256 * 1024 * 1024;

/// How uploads are kept.
#[derive(Clone, Debug)]
pub struct UploadSettings {
    /// Where their files are. Made if it does not exist; holds nothing else.
    pub directory: PathBuf,
    /// The largest, in bytes.
    pub max_bytes: u64,
}

/// All uploads.
pub struct Uploads {
    store: Arc<dyn Store>,
    settings: UploadSettings,
    stop: CancellationToken,
    /// Held while an upload is announced or uploads are swept.
    announcing: tokio::sync::Mutex<()>,
    /// Held from reading a record to entering its successor.
    writing: tokio::sync::Mutex<()>,
    table: Mutex<IndexMap<String, Entry>>,
}

#[derive(Clone)]
struct Entry {
    record: Upload,
    /// Held by the one request or build that works on its file.
    work: Arc<tokio::sync::Mutex<()>>,
}

/// A new upload, as its caller hears of it.
pub struct Announced {
    /// Its id, which is no secret.
    pub id: String,
    /// The secret by which requests are allowed to work on it.
    pub secret: String,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Announced({})", self.id)
    }
}

/// How far an upload has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// Bytes that are on disk.
    pub offset: u64,
    /// Bytes that were announced.
    pub size: u64,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

impl Uploads {
    pub(crate) fn new(store: Arc<dyn Store>, settings: UploadSettings) -> Arc<Self> {
        Arc::new(Self {
            store,
            settings,
            stop: CancellationToken::new(),
            announcing: tokio::sync::Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            table: Mutex::default(),
        })
    }

    /// Fills the table from the store and makes it agree with the directory.
    pub(crate) async fn load(&self) -> Result<(), UploadError> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.settings.directory);
        made.map_err(|error| {
            UploadError::disk("the directory for uploads cannot be made", &error)
        })?;
        for record in self.store.all::<Upload>().await? {
            self.enter(record);
        }
        self.sweep(Timestamp::now()).await;
        Ok(())
    }

    /// The largest upload, in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.settings.max_bytes
    }

    /// Ends requests that are receiving; what has arrived is kept.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Announces an upload.
    ///
    /// # Errors
    /// [`UploadError::Empty`], [`UploadError::TooLarge`], [`UploadError::TooMany`],
    /// [`UploadError::NoSpace`], or what the disk or the store says.
    pub async fn create(&self, size: u64, sha256: Sha256Digest) -> Result<Announced, UploadError> {
        self.check_size(size)?;
        let _order = self.announcing.lock().await;
        self.check_room(size)?;
        self.forget_oldest().await?;
        let (secret, hash) = SecretHash::generate();
        let now = Timestamp::now();
        let record = Upload {
            id: random_id(),
            secret: hash,
            size,
            sha256,
            created_at: now,
            expires_at: now + EXPIRY,
            token_used: false,
            state: UploadState::Open,
        };
        make_file(&self.path(&record.id))
            .map_err(|error| UploadError::disk("the upload's file cannot be made", &error))?;
        self.store.put(&record).await?;
        let announced = Announced {
            id: record.id.clone(),
            secret,
            expires_at: record.expires_at,
        };
        self.enter(record);
        Ok(announced)
    }

    /// The id of the upload that this secret belongs to.
    ///
    /// # Errors
    /// [`UploadError::Unknown`].
    pub fn find(&self, secret: &str) -> Result<String, UploadError> {
        let table = self.table.lock();
        let known = table.values().map(|e| (&e.record.secret, &e.record.id));
        recognise(secret, known)
            .cloned()
            .ok_or(UploadError::Unknown)
    }

    /// Takes a secret for a token, which is good once.
    ///
    /// # Errors
    /// [`UploadError::Unknown`], [`UploadError::TokenUsed`], [`UploadError::OtherSize`], or what
    /// the store says.
    pub async fn redeem(&self, token: &str, size: u64) -> Result<String, UploadError> {
        self.check_size(size)?;
        let id = self.find(token)?;
        let _order = self.announcing.lock().await;
        let record = self.record(&id)?;
        if record.token_used {
            return Err(UploadError::TokenUsed);
        }
        if record.size != size {
            return Err(UploadError::OtherSize(record.size));
        }
        self.change(&id, |record| record.token_used = true).await?;
        Ok(id)
    }

    /// How far an upload has come.
    ///
    /// # Errors
    /// [`UploadError::Unknown`], or why it is gone.
    pub fn progress(&self, id: &str) -> Result<Progress, UploadError> {
        let record = self.record(id)?;
        record.check_there()?;
        Ok(Progress {
            offset: self.length(id)?,
            size: record.size,
            expires_at: record.expires_at,
        })
    }

    /// Removes an upload and every trace of it.
    ///
    /// # Errors
    /// [`UploadError::Unknown`], why it is gone, or [`UploadError::Busy`].
    pub async fn remove(&self, id: &str) -> Result<(), UploadError> {
        let _work = self.begin_work(id)?;
        self.forget(id).await
    }

    fn check_size(&self, size: u64) -> Result<(), UploadError> {
        let limit = self.settings.max_bytes;
        match size {
            0 => Err(UploadError::Empty),
            size if size > limit => Err(UploadError::TooLarge(limit)),
            _ => Ok(()),
        }
    }

    /// Whether one more of this size may be announced, given all that was promised already.
    fn check_room(&self, size: u64) -> Result<(), UploadError> {
        let there: Vec<Upload> = self.records();
        let there = there.iter().filter(|record| record.check_there().is_ok());
        let missing = there.clone().map(|record| {
            let arrived = self.length(&record.id).unwrap_or(0);
            record.size.saturating_sub(arrived)
        });
        if there.clone().count() >= MAX_OPEN {
            return Err(UploadError::TooMany(MAX_OPEN));
        }
        let promised: u64 = missing.sum();
        let free = free_space(&self.settings.directory)?;
        if free < promised.saturating_add(size).saturating_add(LEAVE_FREE) {
            return Err(UploadError::NoSpace(size));
        }
        Ok(())
    }

    /// The right to work on an upload's file, which one has at a time.
    fn begin_work(&self, id: &str) -> Result<OwnedMutexGuard<()>, UploadError> {
        let entry = self.table.lock().get(id).cloned();
        let entry = entry.ok_or(UploadError::Unknown)?;
        entry.record.check_there()?;
        let work = entry.work.try_lock_owned();
        let work = work.map_err(|_| UploadError::Busy)?;
        // It may have ended between the two.
        self.record(id)?.check_there()?;
        Ok(work)
    }

    fn record(&self, id: &str) -> Result<Upload, UploadError> {
        let table = self.table.lock();
        let entry = table.get(id).ok_or(UploadError::Unknown)?;
        Ok(entry.record.clone())
    }

    fn records(&self) -> Vec<Upload> {
        let table = self.table.lock();
        table.values().map(|entry| entry.record.clone()).collect()
    }

    /// Changes a record: stored first, then entered.
    async fn change(&self, id: &str, change: impl FnOnce(&mut Upload)) -> Result<(), UploadError> {
        let _order = self.writing.lock().await;
        let mut record = self.record(id)?;
        change(&mut record);
        self.store.put(&record).await?;
        if let Some(entry) = self.table.lock().get_mut(id) {
            entry.record = record;
        }
        Ok(())
    }

    /// Ends an upload in this state: its file goes, its record stays to say why.
    async fn end(&self, id: &str, state: UploadState) -> Result<(), UploadError> {
        self.change(id, |record| record.state = state).await?;
        self.remove_file(id);
        Ok(())
    }

    async fn forget(&self, id: &str) -> Result<(), UploadError> {
        let _order = self.writing.lock().await;
        self.store.remove::<Upload>(id).await?;
        self.table.lock().shift_remove(id);
        self.remove_file(id);
        Ok(())
    }

    async fn forget_oldest(&self) -> Result<(), UploadError> {
        let records = self.records();
        let ended = records.iter().filter(|r| r.check_there().is_err());
        let surplus = ended.clone().count().saturating_sub(MAX_REMEMBERED);
        for record in ended.take(surplus) {
            self.forget(&record.id).await?;
        }
        Ok(())
    }

    fn enter(&self, record: Upload) {
        let entry = Entry {
            record,
            work: Arc::default(),
        };
        self.table.lock().insert(entry.record.id.clone(), entry);
    }

    fn path(&self, id: &str) -> PathBuf {
        self.settings.directory.join(id)
    }

    fn length(&self, id: &str) -> Result<u64, UploadError> {
        let metadata = fs::metadata(self.path(id));
        let metadata =
            metadata.map_err(|error| UploadError::disk("the upload cannot be read", &error))?;
        Ok(metadata.len())
    }

    fn remove_file(&self, id: &str) {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(upload = %id, %error, "the file of an upload stays");
            }
            _ => {}
        }
    }
}

fn make_file(path: &Path) -> std::io::Result<()> {
    fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

fn free_space(directory: &Path) -> Result<u64, UploadError> {
    let found = filesystem::of(directory);
    let found = found.map_err(|error| UploadError::disk("the disk cannot be looked at", &error))?;
    Ok(found.free_bytes)
}
