//! Images: built from archives, pulled, and listed.

mod build;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::{
    Error, Image, ImageName, ImageStatus, Observer,
    engine::{Engine, EngineError, EngineImage},
    ids::random_id,
    source,
    store::Store,
};

/// Builds that may use the engine at the same time.
const BUILDS_AT_ONCE: usize = 1;

/// How images are built.
#[derive(Clone, Debug)]
pub(crate) struct ImageSettings {
    /// Where archives are kept while they are needed. Emptied at start.
    pub(crate) temporary: PathBuf,
    /// Fetches archives.
    pub(crate) fetcher: source::Fetcher,
    /// How they are made into build contexts.
    pub(crate) source: source::Options,
}

pub(crate) struct Images {
    this: Weak<Self>,
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    observer: Arc<dyn Observer>,
    settings: ImageSettings,
    table: Mutex<IndexMap<String, Image>>,
    /// Ids of images whose build or pull ended with an earlier launcher.
    interrupted: Mutex<HashSet<String>>,
    /// Builds under way, by the image's canonical name.
    builds: Mutex<HashMap<String, watch::Receiver<BuildState>>>,
    engine_slots: Semaphore,
}

/// `None` while it goes on; then the outcome, for everyone who waits.
type BuildState = Option<Result<(), Arc<Error>>>;

impl Images {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        engine: Arc<dyn Engine>,
        observer: Arc<dyn Observer>,
        settings: ImageSettings,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            store,
            engine,
            observer,
            settings,
            table: Mutex::default(),
            interrupted: Mutex::default(),
            builds: Mutex::default(),
            engine_slots: Semaphore::new(BUILDS_AT_ONCE),
        })
    }

    /// Fills the table from the store, and clears away what a launcher that was killed left of its
    /// builds: archives, records, layers.
    pub(crate) async fn load(&self) -> Result<(), Error> {
        clear_directory(&self.settings.temporary).map_err(|e| {
            Error::NotCarriedOut(format!("the temporary directory cannot be used: {e}"))
        })?;
        for image in self.store.images().await? {
            if image.status != ImageStatus::Ready {
                self.interrupted.lock().insert(image.id.clone());
            }
            self.enter(image);
        }
        Ok(())
    }

    /// Makes the table agree with the engine: images that were removed by hand, or whose build or
    /// pull ended with an earlier launcher, vanish; others carry the engine's data.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let known: Vec<Image> = self.table.lock().values().cloned().collect();
        for image in known.into_iter().filter(|image| self.is_settled(image)) {
            self.engine.remove_layers(&image.layers).await;
            let found = self.engine.image(&image.name.with_tag()).await?;
            self.interrupted.lock().remove(&image.id);
            match found {
                Some(found) => self.keep(ready(image, &found)).await?,
                None => self.drop_record(&image).await?,
            }
        }
        Ok(())
    }

    /// Whether nobody works on an image.
    fn is_settled(&self, image: &Image) -> bool {
        image.status == ImageStatus::Ready || self.interrupted.lock().contains(&image.id)
    }

    /// Pulls an image. A pull that fails, or that the caller drops, leaves no record.
    pub(crate) async fn pull(&self, name: &ImageName) -> Result<(), Error> {
        let record = Image {
            status: ImageStatus::Pulling,
            ..self.record(name)
        };
        let guard = PullGuard {
            images: self.this.clone(),
            record: Some(record.clone()),
        };
        self.keep(record).await?;
        let full_name = name.with_tag();
        self.engine
            .pull(&full_name)
            .await
            .map_err(|e| pull_error(name, e))?;
        let vanished =
            || EngineError::NotFound(format!("the image {name} vanished after its pull"));
        let found = self.engine.image(&full_name).await?.ok_or_else(vanished)?;
        guard.done();
        self.note_present(name, &found).await
    }

    /// Makes sure that an image that the engine has is listed.
    pub(crate) async fn note_present(
        &self,
        name: &ImageName,
        found: &EngineImage,
    ) -> Result<(), Error> {
        self.keep(ready(self.record(name), found)).await
    }

    /// The record of this image, as it is or as it begins.
    fn record(&self, name: &ImageName) -> Image {
        let table = self.table.lock();
        let known = table
            .values()
            .find(|image| image.name.is_same_image(name))
            .cloned();
        known.unwrap_or_else(|| Image {
            id: random_id(),
            name: name.clone(),
            image_id: None,
            created_at: Timestamp::now(),
            size_bytes: None,
            status: ImageStatus::Ready,
            source_url: None,
            layers: Vec::new(),
        })
    }

    async fn keep(&self, image: Image) -> Result<(), Error> {
        let changed = self.table.lock().get(&image.id) != Some(&image);
        if changed {
            self.store.put_image(&image).await?;
            self.enter(image);
        }
        Ok(())
    }

    fn enter(&self, image: Image) {
        let mut table = self.table.lock();
        self.observer.image_changed(&image.id, Some(&image));
        table.insert(image.id.clone(), image);
    }

    async fn drop_record(&self, image: &Image) -> Result<(), Error> {
        self.store.remove_image(&image.id).await?;
        let mut table = self.table.lock();
        if table.shift_remove(&image.id).is_some() {
            self.observer.image_changed(&image.id, None);
        }
        Ok(())
    }
}

/// Drops the record of a pull that failed or was given up.
struct PullGuard {
    images: Weak<Images>,
    record: Option<Image>,
}

impl PullGuard {
    fn done(mut self) {
        self.record = None;
    }
}

impl Drop for PullGuard {
    fn drop(&mut self) {
        let (Some(images), Some(record)) = (self.images.upgrade(), self.record.take()) else {
            return;
        };
        tokio::spawn(async move {
            if let Err(error) = images.drop_record(&record).await {
                tracing::warn!(%error, image = %record.name, "the record of a failed pull stays");
            }
        });
    }
}

fn ready(image: Image, found: &EngineImage) -> Image {
    Image {
        image_id: Some(found.id.clone()),
        created_at: found.created_at.unwrap_or(image.created_at),
        size_bytes: Some(found.size_bytes),
        status: ImageStatus::Ready,
        layers: Vec::new(),
        ..image
    }
}

fn pull_error(name: &ImageName, error: EngineError) -> EngineError {
    match error {
        EngineError::Failed(text) | EngineError::NotFound(text) => {
            EngineError::Failed(format!("the image {name} cannot be pulled: {text}"))
        }
        other => other,
    }
}

fn clear_directory(path: &std::path::Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::create_dir_all(path)
}

/// How long the engine may keep the launcher from starting with a true picture.
pub(crate) const FIRST_LOOK: Duration = Duration::from_secs(20);
