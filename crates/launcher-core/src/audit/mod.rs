//! The audit log: what callers did that leaves no other trace.
//!
//! An entry is stored before what it tells of begins, and again when that has ended. What was typed
//! and shown is never in it.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Change, Observer,
    store::{Kind, Record, Store, StoreError},
};

/// Entries that are kept.
pub const MAX_ENTRIES: usize = 10_000;

/// Something that a caller did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// 17 characters.
    pub id: String,
    /// What was done.
    pub action: AuditAction,
    /// The instance that it was done to.
    pub instance: String,
    /// Its container.
    pub container: String,
    /// Address of the caller, as far as it is known.
    #[serde(default)]
    pub peer: Option<String>,
    /// The program and its arguments; what in them is written like a secret is left out.
    pub command: Vec<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it goes on.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// The program's exit code, as far as it is known.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// Why it ended, in words.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What can be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuditAction {
    /// A program was run in a container.
    Exec,
}

impl AuditAction {
    /// The word that callers see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exec => "exec",
        }
    }
}

impl Record for AuditEntry {
    const KIND: Kind = Kind::Audit;

    fn id(&self) -> &str {
        &self.id
    }
}

/// All entries. They are published, and not kept in memory a second time.
pub(crate) struct AuditLog {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
    max: usize,
    /// Ids, oldest first. Held while an entry is written.
    ids: tokio::sync::Mutex<VecDeque<String>>,
}

impl AuditLog {
    pub(crate) fn new(store: Arc<dyn Store>, observer: Arc<dyn Observer>) -> Self {
        Self::with_room(store, observer, MAX_ENTRIES)
    }

    fn with_room(store: Arc<dyn Store>, observer: Arc<dyn Observer>, max: usize) -> Self {
        Self {
            store,
            observer,
            max,
            ids: tokio::sync::Mutex::default(),
        }
    }

    /// Tells of all that are stored, and returns those of what was going on when the launcher ended.
    pub(crate) async fn load(&self) -> Result<Vec<AuditEntry>, StoreError> {
        let mut ids = self.ids.lock().await;
        let mut unfinished = Vec::new();
        for entry in self.store.all::<AuditEntry>().await? {
            self.tell(&entry);
            ids.push_back(entry.id.clone());
            if entry.ended_at.is_none() {
                unfinished.push(entry);
            }
        }
        Ok(unfinished)
    }

    /// Adds an entry, in place of the oldest one if there are too many.
    pub(crate) async fn add(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let mut ids = self.ids.lock().await;
        self.store.put(entry).await?;
        ids.push_back(entry.id.clone());
        self.tell(entry);
        while ids.len() > self.max {
            let Some(oldest) = ids.front() else { break };
            self.store.remove::<AuditEntry>(oldest).await?;
            self.observer.changed(Change::Audit(oldest, None));
            ids.pop_front();
        }
        Ok(())
    }

    /// Writes how it went on. An entry that is not kept any more stays forgotten.
    pub(crate) async fn change(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let ids = self.ids.lock().await;
        if ids.contains(&entry.id) {
            self.store.put(entry).await?;
            self.tell(entry);
        }
        Ok(())
    }

    fn tell(&self, entry: &AuditEntry) {
        self.observer.changed(Change::Audit(&entry.id, Some(entry)));
    }
}
