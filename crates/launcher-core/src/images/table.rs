//! The records of images: one for each image, however it is written.

use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::{Error, Image, ImageName, ImageStatus, Observer, ids::random_id, store::Store};

pub(super) struct Table {
    store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
    /// Held from reading a record to entering its successor.
    writing: tokio::sync::Mutex<()>,
    /// By canonical name.
    images: Mutex<IndexMap<String, Image>>,
}

impl Table {
    pub(super) fn new(store: Arc<dyn Store>, observer: Arc<dyn Observer>) -> Self {
        Self {
            store,
            observer,
            writing: tokio::sync::Mutex::default(),
            images: Mutex::default(),
        }
    }

    pub(super) async fn load(&self) -> Result<(), Error> {
        for image in self.store.all::<Image>().await? {
            self.enter(image);
        }
        Ok(())
    }

    pub(super) fn all(&self) -> Vec<Image> {
        self.images.lock().values().cloned().collect()
    }

    pub(super) fn get(&self, name: &ImageName) -> Option<Image> {
        self.images.lock().get(&name.canonical()).cloned()
    }

    /// Changes the record of an image, which begins with this if there is none.
    pub(super) async fn change(
        &self,
        name: &ImageName,
        change: impl FnOnce(&mut Image),
    ) -> Result<Image, Error> {
        let _order = self.writing.lock().await;
        let known = self.get(name);
        let mut image = known.clone().unwrap_or_else(|| first_record(name));
        change(&mut image);
        if known.as_ref() != Some(&image) {
            self.store.put(&image).await?;
            self.enter(image.clone());
        }
        Ok(image)
    }

    /// Removes a record, unless it has changed since it was read.
    pub(super) async fn remove_unchanged(&self, image: &Image) -> Result<(), Error> {
        let _order = self.writing.lock().await;
        if self.get(&image.name).as_ref() != Some(image) {
            return Ok(());
        }
        self.store.remove::<Image>(&image.id).await?;
        let mut images = self.images.lock();
        images.shift_remove(&image.name.canonical());
        self.observer.image_changed(&image.id, None);
        Ok(())
    }

    fn enter(&self, image: Image) {
        let mut images = self.images.lock();
        self.observer.image_changed(&image.id, Some(&image));
        images.insert(image.name.canonical(), image);
    }
}

fn first_record(name: &ImageName) -> Image {
    Image {
        id: random_id(),
        name: name.clone(),
        image_id: None,
        created_at: Timestamp::now(),
        size_bytes: None,
        status: ImageStatus::Ready,
        source_url: None,
        build_began: None,
        layers: Vec::new(),
        step_container: None,
    }
}
