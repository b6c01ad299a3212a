//! A store for tests: nothing survives the process.

use std::collections::HashSet;

use async_trait::async_trait;
use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{Store, StoreError};
use crate::{AppInstance, Image, ids::random_id};

/// Keeps everything in memory.
pub(crate) struct MemoryStore {
    id: String,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    instances: IndexMap<String, AppInstance>,
    images: IndexMap<String, Image>,
    removed: HashSet<String>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            id: random_id(),
            tables: Mutex::default(),
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn launcher_id(&self) -> Result<String, StoreError> {
        Ok(self.id.clone())
    }

    async fn instances(&self) -> Result<Vec<AppInstance>, StoreError> {
        Ok(self.tables.lock().instances.values().cloned().collect())
    }

    async fn put_instance(&self, instance: &AppInstance) -> Result<(), StoreError> {
        self.tables
            .lock()
            .instances
            .insert(instance.id.clone(), instance.clone());
        Ok(())
    }

    async fn remove_instance(&self, id: &str, _at: Timestamp) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        tables.instances.shift_remove(id);
        tables.removed.insert(id.to_owned());
        Ok(())
    }

    async fn was_removed(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.tables.lock().removed.contains(id))
    }

    async fn images(&self) -> Result<Vec<Image>, StoreError> {
        Ok(self.tables.lock().images.values().cloned().collect())
    }

    async fn put_image(&self, image: &Image) -> Result<(), StoreError> {
        self.tables
            .lock()
            .images
            .insert(image.id.clone(), image.clone());
        Ok(())
    }

    async fn remove_image(&self, id: &str) -> Result<(), StoreError> {
        self.tables.lock().images.shift_remove(id);
        Ok(())
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
