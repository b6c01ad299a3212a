//! Durable state: what is wanted. What can be observed is not stored.
//!
//! A call returns when the change survives a crash of the process and of the machine. Every
//! implementation passes the same tests (`contract.rs`).

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
mod memory;
mod sqlite;

use async_trait::async_trait;
use jiff::Timestamp;
use thiserror::Error;

use crate::{AppInstance, Image};

#[cfg(test)]
pub(crate) use memory::MemoryStore;
pub use sqlite::SqliteStore;

/// Where records live. Writers of one record are serialised by the caller.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The id of this launcher: made with the store, the same for as long as the store exists.
    /// Containers carry it, so that several launchers can share an engine.
    async fn launcher_id(&self) -> Result<String, StoreError>;

    /// All app instances, oldest first.
    async fn instances(&self) -> Result<Vec<AppInstance>, StoreError>;

    /// Inserts the instance or replaces the record of the same id.
    async fn put_instance(&self, instance: &AppInstance) -> Result<(), StoreError>;

    /// Deletes the record and remembers, in the same step, that it was removed at `at`, so that a
    /// container that turns up later is known to be a leftover. Unknown ids are remembered too.
    async fn remove_instance(&self, id: &str, at: Timestamp) -> Result<(), StoreError>;

    /// Whether an instance of this id was removed.
    async fn was_removed(&self, id: &str) -> Result<bool, StoreError>;

    /// All images, oldest first.
    async fn images(&self) -> Result<Vec<Image>, StoreError>;

    /// Inserts the image or replaces the record of the same id.
    async fn put_image(&self, image: &Image) -> Result<(), StoreError>;

    /// Deletes the record of an image, if there is one.
    async fn remove_image(&self, id: &str) -> Result<(), StoreError>;

    /// Fails when the store cannot be written to.
    async fn check_writable(&self) -> Result<(), StoreError>;
}

/// The state cannot be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another launcher uses the data directory.
    #[error("another launcher uses the data directory {0}")]
    InUse(String),
    /// The file was written by a newer version of the launcher.
    #[error(
        "the store has schema version {found}, this launcher knows up to {known}: install a newer version"
    )]
    TooNew {
        /// Version in the file.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// The database refused or failed.
    #[error("the store failed: {0}")]
    Failed(String),
    /// A record cannot be read.
    #[error("the record {id} in {table} cannot be read: {reason}")]
    Unreadable {
        /// Which table.
        table: &'static str,
        /// Which record.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store did not answer in time.
    #[error("the store did not answer in time")]
    Deadline,
}
