//! A store for tests: nothing survives the process.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use async_trait::async_trait;
use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{Kind, Store, StoreError};
use crate::{StatsMinute, ids::random_id, stats::DAY};

/// Keeps everything in memory.
pub(crate) struct MemoryStore {
    id: String,
    tables: Mutex<Tables>,
    /// What is not written at present.
    refused: Mutex<Option<Kind>>,
    /// Whether others have their turn while something is written.
    is_slow: AtomicBool,
}

#[derive(Default)]
struct Tables {
    records: HashMap<Kind, IndexMap<String, String>>,
    removed: HashSet<String>,
    stats: HashMap<String, BTreeMap<i64, StatsMinute>>,
}

impl Tables {
    fn records(&mut self, kind: Kind) -> &mut IndexMap<String, String> {
        self.records.entry(kind).or_default()
    }
}

impl MemoryStore {
    /// Writes nothing of this kind from now on.
    pub(crate) fn refuse(&self, kind: Kind) {
        *self.refused.lock() = Some(kind);
    }

    /// Others have their turn from now on while something is written.
    pub(crate) fn be_slow(&self) {
        self.is_slow.store(true, Relaxed);
    }

    /// Writes everything.
    pub(crate) fn heal(&self) {
        *self.refused.lock() = None;
    }

    /// An empty one of the launcher with this id.
    pub(crate) fn of(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            tables: Mutex::default(),
            refused: Mutex::default(),
            is_slow: AtomicBool::default(),
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            id: random_id(),
            tables: Mutex::default(),
            refused: Mutex::default(),
            is_slow: AtomicBool::default(),
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn launcher_id(&self) -> Result<String, StoreError> {
        Ok(self.id.clone())
    }

    async fn read_all(&self, kind: Kind) -> Result<Vec<(String, String)>, StoreError> {
        let mut tables = self.tables.lock();
        Ok(tables.records(kind).clone().into_iter().collect())
    }

    async fn read(&self, kind: Kind, id: &str) -> Result<Option<String>, StoreError> {
        Ok(self.tables.lock().records(kind).get(id).cloned())
    }

    async fn write(&self, kind: Kind, id: &str, json: String) -> Result<(), StoreError> {
        if *self.refused.lock() == Some(kind) {
            return Err(StoreError::Failed("refused".to_owned()));
        }
        if self.is_slow.load(Relaxed) {
            tokio::task::yield_now().await;
        }
        let mut tables = self.tables.lock();
        tables.records(kind).insert(id.to_owned(), json);
        Ok(())
    }

    async fn delete(&self, kind: Kind, id: &str) -> Result<(), StoreError> {
        self.tables.lock().records(kind).shift_remove(id);
        Ok(())
    }

    async fn remove_instance(&self, id: &str, _at: Timestamp) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        tables.records(Kind::Instance).shift_remove(id);
        tables.stats.remove(id);
        tables.removed.insert(id.to_owned());
        Ok(())
    }

    async fn was_removed(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.tables.lock().removed.contains(id))
    }

    async fn add_stats(
        &self,
        minute: i64,
        stats: Vec<(String, StatsMinute)>,
    ) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        for (instance, stats) in stats {
            if tables.records(Kind::Instance).contains_key(&instance) {
                let minutes = tables.stats.entry(instance).or_default();
                minutes.insert(minute, stats);
                *minutes = minutes.split_off(&(minute - DAY));
            }
        }
        Ok(())
    }

    async fn stats(
        &self,
        instance: &str,
        from: i64,
    ) -> Result<Vec<(i64, StatsMinute)>, StoreError> {
        let tables = self.tables.lock();
        let minutes = tables.stats.get(instance);
        let recent = minutes
            .into_iter()
            .flat_map(|minutes| minutes.range(from..));
        Ok(recent.map(|(minute, stats)| (*minute, *stats)).collect())
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_the_contract() {
        crate::store::contract::store_contract(&MemoryStore::default()).await;
    }
}
