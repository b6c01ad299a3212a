//! Durable state: what is wanted. What can be observed is not stored.
//!
//! A call returns when the change survives a crash of the process and of the machine. Every
//! implementation passes the same tests (`contract.rs`).

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
mod memory;
mod record;
mod sqlite;
mod sqlite_stats;

use async_trait::async_trait;
use jiff::Timestamp;
use thiserror::Error;

use crate::StatsMinute;

#[cfg(test)]
pub(crate) use memory::MemoryStore;
pub use record::{Kind, Record};
pub use sqlite::SqliteStore;

/// Where records live. Writers of one record are serialised by the caller.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The id of this launcher: made with the store, the same for as long as the store exists.
    /// Containers carry it, so that several launchers can share an engine.
    async fn launcher_id(&self) -> Result<String, StoreError>;

    /// All records of a kind, oldest first: each one's id and its JSON.
    async fn read_all(&self, kind: Kind) -> Result<Vec<(String, String)>, StoreError>;

    /// The JSON of one record, if there is one.
    async fn read(&self, kind: Kind, id: &str) -> Result<Option<String>, StoreError>;

    /// Inserts a record or replaces the one of the same kind and id, which keeps its place.
    async fn write(&self, kind: Kind, id: &str, json: String) -> Result<(), StoreError>;

    /// Deletes a record, if there is one.
    async fn delete(&self, kind: Kind, id: &str) -> Result<(), StoreError>;

    /// Deletes the record and remembers, in the same step, that it was removed at `at`, so that a
    /// container that turns up later is known to be a leftover. Unknown ids are remembered too.
    async fn remove_instance(&self, id: &str, at: Timestamp) -> Result<(), StoreError>;

    /// Whether an instance of this id was removed.
    async fn was_removed(&self, id: &str) -> Result<bool, StoreError>;

    /// Writes down what instances used in a minute, counted from 1970, in one step. What is more than
    /// a day older is deleted with it, and nothing is written of instances that have no record.
    async fn add_stats(
        &self,
        minute: i64,
        stats: Vec<(String, StatsMinute)>,
    ) -> Result<(), StoreError>;

    /// What an instance used in each minute from this one on, oldest first.
    async fn stats(&self, instance: &str, from: i64)
    -> Result<Vec<(i64, StatsMinute)>, StoreError>;

    /// Fails when the store cannot be written to.
    async fn check_writable(&self) -> Result<(), StoreError>;
}

impl dyn Store {
    /// All records of a type, oldest first.
    ///
    /// # Errors
    /// When the store fails, or a record is not what it should be.
    pub async fn all<T: Record>(&self) -> Result<Vec<T>, StoreError> {
        let records = self.read_all(T::KIND).await?;
        records
            .into_iter()
            .map(|(id, json)| parse::<T>(&id, &json))
            .collect()
    }

    /// One record, if there is one.
    ///
    /// # Errors
    /// When the store fails, or the record is not what it should be.
    pub async fn get<T: Record>(&self, id: &str) -> Result<Option<T>, StoreError> {
        let found = self.read(T::KIND, id).await?;
        found.map(|json| parse::<T>(id, &json)).transpose()
    }

    /// Inserts a record, or replaces the one of the same id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put<T: Record>(&self, record: &T) -> Result<(), StoreError> {
        let json = serde_json::to_string(record).map_err(|e| StoreError::Failed(e.to_string()))?;
        self.write(T::KIND, record.id(), json).await
    }

    /// Deletes a record, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove<T: Record>(&self, id: &str) -> Result<(), StoreError> {
        self.delete(T::KIND, id).await
    }
}

fn parse<T: Record>(id: &str, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|e| StoreError::Unreadable {
        table: T::KIND.table(),
        id: id.to_owned(),
        reason: e.to_string(),
    })
}

/// The state cannot be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another launcher uses the data directory.
    #[error("another launcher uses the data directory {0}")]
    InUse(String),
    /// The store has been used under another id.
    #[error("the data directory belongs to the launcher {0}")]
    OtherLauncher(String),
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
