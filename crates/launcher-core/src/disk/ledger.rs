//! Remembers durably what the launcher put on the engine, and what instances ran.
//!
//! By the engine's content ids, not by labels: whoever builds on an image of ours inherits its labels.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::record::{Made, MadeImage, RunImages};
use crate::{
    Error, ImageName,
    engine::{Engine, EngineError, EngineImage},
    store::{Store, StoreError},
};

/// Images that are remembered of one instance.
const MOST_RUN: usize = 100;

pub(crate) struct Ledger {
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    /// Held from reading a record to entering its successor.
    writing: tokio::sync::Mutex<()>,
    made: Mutex<HashMap<String, MadeImage>>,
    ran: Mutex<HashMap<String, RunImages>>,
    grown: Notify,
    stirred: Notify,
}

/// The images that the engine had before a pull.
pub(crate) struct Before(pub(super) HashSet<String>);

impl Ledger {
    pub(crate) fn new(store: Arc<dyn Store>, engine: Arc<dyn Engine>) -> Self {
        Self {
            store,
            engine,
            writing: tokio::sync::Mutex::default(),
            made: Mutex::default(),
            ran: Mutex::default(),
            grown: Notify::new(),
            stirred: Notify::new(),
        }
    }

    pub(crate) async fn load(&self) -> Result<(), Error> {
        let made = self.store.all::<MadeImage>().await?;
        let ran = self.store.all::<RunImages>().await?;
        self.made
            .lock()
            .extend(made.into_iter().map(|made| (made.id.clone(), made)));
        self.ran
            .lock()
            .extend(ran.into_iter().map(|ran| (ran.instance.clone(), ran)));
        Ok(())
    }

    /// Resolves when a build or pull has ended well since this was last asked.
    pub(crate) async fn grown(&self) {
        self.grown.notified().await;
    }

    /// Something has happened to an image or a container.
    pub(crate) fn stir(&self) {
        self.stirred.notify_one();
    }

    /// Resolves when something has happened since this was last asked.
    pub(super) async fn stirred(&self) {
        self.stirred.notified().await;
    }

    pub(super) fn made(&self) -> HashMap<String, MadeImage> {
        self.made.lock().clone()
    }

    pub(super) fn ran(&self) -> Vec<RunImages> {
        self.ran.lock().values().cloned().collect()
    }

    /// A build that began then, by the engine's clock, has ended in this image. What the engine made
    /// since is the launcher's; what it found in its cache is whose it was.
    pub(crate) async fn built(
        &self,
        name: &ImageName,
        image: &EngineImage,
        began: Timestamp,
        reported: &[String],
    ) -> Result<(), Error> {
        if is_since(image, began) {
            self.put(&image.id, Made::Built, Some(name)).await?;
        }
        for layer in self.own_layers(reported, began).await? {
            if layer != image.id {
                self.put(&layer, Made::Layer, None).await?;
            }
        }
        Ok(())
    }

    /// A build or pull of this name has ended well.
    pub(crate) async fn named(&self, name: &ImageName, image: &str) {
        if self.made.lock().contains_key(image) {
            let named = self.put(image, Made::Built, Some(name)).await;
            told(
                named.map_err(Error::from),
                "the name of an image could not be recorded",
            );
        }
    }

    /// A build or pull has ended well, and nothing of it is under way any more.
    pub(crate) fn grow(&self) {
        self.grown.notify_one();
    }

    /// What there is before a pull.
    pub(crate) async fn before_pull(&self) -> Result<Before, EngineError> {
        let there = self.engine.ancestry().await?;
        Ok(Before(there.into_keys().collect()))
    }

    /// A pull has ended in this image. It is the launcher's if it was not there before.
    pub(crate) async fn pulled(
        &self,
        name: &ImageName,
        image: &str,
        before: &Before,
        how: Made,
    ) -> Result<(), Error> {
        if !before.0.contains(image) {
            self.put(image, how, Some(name)).await?;
        }
        Ok(())
    }

    /// A container of an instance was made from this image.
    pub(crate) async fn ran_image(&self, instance: &str, image: &str) {
        let _order = self.writing.lock().await;
        let known = self.ran.lock().get(instance).cloned();
        let mut ran = known.unwrap_or_else(|| RunImages {
            instance: instance.to_owned(),
            images: Vec::new(),
        });
        if ran.images.first().is_some_and(|newest| newest == image) {
            return;
        }
        ran.images.retain(|other| other != image);
        ran.images.insert(0, image.to_owned());
        ran.images.truncate(MOST_RUN);
        let stored = self.store.put(&ran).await;
        told(
            stored.map_err(Error::from),
            "what an instance runs could not be recorded",
        );
        self.ran.lock().insert(instance.to_owned(), ran);
    }

    /// Forgets images that are gone, and what instances that are gone ran.
    pub(super) async fn forget(
        &self,
        gone: &[String],
        instances: &HashSet<String>,
    ) -> Result<(), StoreError> {
        let _order = self.writing.lock().await;
        for id in gone {
            self.store.remove::<MadeImage>(id).await?;
            self.made.lock().remove(id);
        }
        let left = self
            .ran()
            .into_iter()
            .filter(|ran| !instances.contains(&ran.instance));
        for ran in left {
            self.store.remove::<RunImages>(&ran.instance).await?;
            self.ran.lock().remove(&ran.instance);
        }
        Ok(())
    }

    /// Which of the layers that a build reported it has made: each began with another that it
    /// reported, or with nothing. What it was told to begin with did not, and is not its own.
    async fn own_layers(
        &self,
        reported: &[String],
        began: Timestamp,
    ) -> Result<Vec<String>, EngineError> {
        let ancestry = self.engine.ancestry().await?;
        let is_reported = |id: &str| {
            let short = id.trim_start_matches("sha256:");
            reported
                .iter()
                .any(|reported| short.starts_with(reported.as_str()))
        };
        let mut own = Vec::new();
        for (id, parent) in &ancestry {
            if !is_reported(id) || parent.as_deref().is_some_and(|parent| !is_reported(parent)) {
                continue;
            }
            let found = self.engine.image(id).await?;
            own.extend(
                found
                    .filter(|layer| is_since(layer, began))
                    .map(|layer| layer.id),
            );
        }
        Ok(own)
    }

    async fn put(&self, id: &str, how: Made, name: Option<&ImageName>) -> Result<(), StoreError> {
        let _order = self.writing.lock().await;
        let known = self.made.lock().get(id).cloned();
        let mut made = known.unwrap_or_else(|| MadeImage {
            id: id.to_owned(),
            how,
            names: Vec::new(),
            made_at: Timestamp::now(),
        });
        if let Some(name) = name.map(ImageName::canonical) {
            // A layer that a build ends in is an image from then on.
            if made.how == Made::Layer {
                made.how = how;
            }
            // One that is built again from the same is the newest again.
            made.made_at = Timestamp::now();
            if !made.names.contains(&name) {
                made.names.push(name);
            }
        }
        self.store.put(&made).await?;
        self.made.lock().insert(made.id.clone(), made);
        Ok(())
    }
}

fn is_since(image: &EngineImage, began: Timestamp) -> bool {
    image.created_at.is_some_and(|made| made >= began)
}

pub(crate) fn told(outcome: Result<(), Error>, what: &'static str) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "{what}");
    }
}
