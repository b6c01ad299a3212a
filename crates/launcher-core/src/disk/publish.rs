//! Telling everyone what is known of the disk.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::document::DiskDocument;
use crate::{Change, Observer};

/// The documents as they were last told.
pub(super) struct Published {
    observer: Arc<dyn Observer>,
    told: Mutex<HashMap<String, DiskDocument>>,
}

impl Published {
    pub(super) fn new(observer: Arc<dyn Observer>) -> Self {
        Self {
            observer,
            told: Mutex::default(),
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<DiskDocument> {
        self.told.lock().get(id).cloned()
    }

    /// Tells of a document if it has changed.
    pub(super) fn set(&self, id: &str, document: DiskDocument) {
        let mut told = self.told.lock();
        if told.get(id) != Some(&document) {
            self.observer.changed(Change::Disk(id, Some(&document)));
            told.insert(id.to_owned(), document);
        }
    }

    /// Tells of all images; those that are not among them are gone.
    pub(super) fn set_images(&self, images: HashMap<String, DiskDocument>) {
        let mut told = self.told.lock();
        told.retain(|id, document| {
            let is_left = !matches!(document, DiskDocument::Image(_)) || images.contains_key(id);
            if !is_left {
                self.observer.changed(Change::Disk(id, None));
            }
            is_left
        });
        drop(told);
        for (id, document) in images {
            self.set(&id, document);
        }
    }
}
