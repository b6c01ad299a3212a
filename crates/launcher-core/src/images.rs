//! Images: built from archives, pulled, and listed.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::StreamExt;
use indexmap::IndexMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, watch};
use url::Url;

use crate::{
    Error, Image, ImageName, ImageStatus, Observer,
    engine::{Build, BuildOutput, Engine, EngineError, EngineImage},
    error::BuildError,
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
    /// Builds under way, by the image's canonical name.
    builds: Mutex<HashMap<String, watch::Receiver<BuildState>>>,
    engine_slots: Semaphore,
}

/// `None` while it goes on; then the outcome, for everyone who waits.
type BuildState = Option<Result<(), Arc<Error>>>;
type Output = Arc<dyn Fn(BuildOutput<'_>) + Send + Sync>;

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
            self.enter(image);
        }
        Ok(())
    }

    /// Makes the table agree with the engine: images that were removed by hand, or whose build or
    /// pull ended with an earlier launcher, vanish; others carry the engine's data.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let known: Vec<Image> = self.table.lock().values().cloned().collect();
        for image in known {
            if self.is_being_built(&image.name) || image.status == ImageStatus::Pulling {
                continue;
            }
            match self.engine.image(&image.name.with_tag()).await? {
                Some(found) => self.keep(ready(image, &found)).await?,
                None => self.drop_record(&image).await?,
            }
        }
        Ok(())
    }

    /// What was interrupted by the end of an earlier launcher is over.
    pub(crate) async fn forget_interrupted(&self) -> Result<(), Error> {
        let mut known: Vec<Image> = self.table.lock().values().cloned().collect();
        known.retain(|image| image.status != ImageStatus::Ready);
        for image in known {
            self.engine.remove_layers(&image.layers).await;
            match self.engine.image(&image.name.with_tag()).await? {
                Some(found) => self.keep(ready(image, &found)).await?,
                None => self.drop_record(&image).await?,
            }
        }
        Ok(())
    }

    /// Builds an image from an archive unless one of that name exists. Joins a build of that name
    /// that is under way. The build goes on when the caller is gone.
    pub(crate) async fn build_if_not_exist(
        &self,
        name: &ImageName,
        url: &Url,
    ) -> Result<(), Error> {
        if name.has_digest() {
            return Err(Error::CannotBuildDigest);
        }
        outcome(self.join_or_start(name, url)).await
    }

    /// Waits for the end of a build of this name, if one is under way, however it ends.
    pub(crate) async fn settled(&self, name: &ImageName) {
        if let Some(state) = self.build_under_way(name) {
            drop(outcome(state).await);
        }
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

    fn build_under_way(&self, name: &ImageName) -> Option<watch::Receiver<BuildState>> {
        self.builds.lock().get(&name.canonical()).cloned()
    }

    fn is_being_built(&self, name: &ImageName) -> bool {
        self.builds.lock().contains_key(&name.canonical())
    }

    fn join_or_start(&self, name: &ImageName, url: &Url) -> watch::Receiver<BuildState> {
        let key = name.canonical();
        let mut builds = self.builds.lock();
        if let Some(state) = builds.get(&key) {
            return state.clone();
        }
        let (sender, state) = watch::channel(None);
        builds.insert(key.clone(), state.clone());
        let slot = BuildSlot {
            images: self.this.clone(),
            key,
        };
        let (name, url) = (name.clone(), url.clone());
        tokio::spawn(async move {
            let Some(images) = slot.images.upgrade() else {
                return;
            };
            let outcome = images
                .build_unless_present(&name, &url)
                .await
                .map_err(Arc::new);
            drop(slot);
            sender.send_replace(Some(outcome));
        });
        state
    }

    async fn build_unless_present(&self, name: &ImageName, url: &Url) -> Result<(), Error> {
        match self.engine.image(&name.with_tag()).await? {
            Some(found) => self.note_present(name, &found).await,
            None => self.build(name, url).await,
        }
    }

    async fn build(&self, name: &ImageName, url: &Url) -> Result<(), Error> {
        let build = random_id();
        let source_url = Some(source::public_url(url));
        let record = Image {
            status: ImageStatus::Building,
            source_url,
            ..self.record(name)
        };
        tracing::info!(%build, image = %name, "building");
        match self.try_build(&record, url).await {
            Ok(found) => {
                tracing::info!(%build, image = %name, "built");
                self.keep(ready(record, &found)).await
            }
            Err(error) => {
                tracing::warn!(%build, image = %name, %error, "the build failed");
                self.clean_up(&record).await;
                let (image, reason) = (name.to_string(), error.to_string());
                Err(Error::Build {
                    image,
                    build,
                    reason,
                })
            }
        }
    }

    async fn try_build(&self, record: &Image, url: &Url) -> Result<EngineImage, BuildError> {
        self.store.put_image(record).await?;
        self.enter(record.clone());
        let settings = &self.settings;
        let progress = |_received, _expected| {};
        let archive = settings
            .fetcher
            .fetch(url.as_str(), &settings.temporary, progress)
            .await?;
        let prepared = source::prepare(archive.file, &settings.source).await?;
        for note in prepared.notes() {
            tracing::info!(image = %record.name, "{note}");
        }
        let _slot = self.engine_slots.acquire().await;
        let (output, layers) = layer_channel();
        let context = prepared.into_stream().boxed();
        let name = record.name.with_tag();
        let build = Build {
            name: name.clone(),
            context,
            output,
        };
        let (built, ()) =
            tokio::join!(self.engine.build(build), self.record_layers(record, layers));
        built?;
        let vanished = || EngineError::NotFound("the image vanished after the build".into());
        Ok(self.engine.image(&name).await?.ok_or_else(vanished)?)
    }

    /// Writes down each layer as it appears, so that a launcher started after a crash can remove
    /// what an interrupted build left.
    async fn record_layers(&self, record: &Image, mut layers: mpsc::UnboundedReceiver<String>) {
        let mut record = record.clone();
        while let Some(layer) = layers.recv().await {
            record.layers.push(layer);
            if let Err(error) = self.keep(record.clone()).await {
                tracing::warn!(%error, "a layer of a build could not be recorded");
            }
        }
    }

    /// Removes all traces of a build that failed.
    async fn clean_up(&self, record: &Image) {
        let layers = self.table.lock().get(&record.id).map(|i| i.layers.clone());
        self.engine.remove_layers(&layers.unwrap_or_default()).await;
        if let Err(error) = self.drop_record(record).await {
            tracing::warn!(%error, image = %record.name, "the record of a failed build stays");
        }
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

/// A build's place among those under way.
struct BuildSlot {
    images: Weak<Images>,
    key: String,
}

impl Drop for BuildSlot {
    fn drop(&mut self) {
        if let Some(images) = self.images.upgrade() {
            images.builds.lock().remove(&self.key);
        }
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

fn layer_channel() -> (Output, mpsc::UnboundedReceiver<String>) {
    let (sender, layers) = mpsc::unbounded_channel();
    let output = move |output: BuildOutput<'_>| match output {
        BuildOutput::Layer(layer) => drop(sender.send(layer.to_owned())),
        BuildOutput::Text(text) => tracing::debug!("{}", text.trim_end()),
    };
    (Arc::new(output), layers)
}

async fn outcome(mut state: watch::Receiver<BuildState>) -> Result<(), Error> {
    match state
        .wait_for(Option::is_some)
        .await
        .map(|state| state.clone())
    {
        Ok(Some(Err(error))) => Err(Error::Shared(error)),
        Ok(_) => Ok(()),
        Err(_) => Err(Error::ShuttingDown),
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
