//! Building images from archives.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use url::Url;

use super::{BuildState, Images, ready};
use crate::{
    Error, Image, ImageName, ImageStatus,
    engine::{Build, BuildOutput, EngineError, EngineImage},
    error::BuildError,
    ids::random_id,
    source,
};

/// Lines of a failed build's output that go into its error.
const TAIL_LINES: usize = 20;
/// Longest of these lines, in characters.
const TAIL_WIDTH: usize = 300;

type Output = Arc<dyn Fn(BuildOutput<'_>) + Send + Sync>;

impl Images {
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

    fn build_under_way(&self, name: &ImageName) -> Option<watch::Receiver<BuildState>> {
        self.builds.lock().get(&name.canonical()).cloned()
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
        let (log, output, layers) = BuildLog::new();
        let context = prepared.into_stream().boxed();
        let name = record.name.with_tag();
        let build = Build {
            name: name.clone(),
            context,
            output,
        };
        let recorded = self.record_layers(record, layers);
        let (built, ()) = tokio::join!(self.engine.build(build), recorded);
        built.map_err(|error| log.explained(error))?;
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

/// The end of a build's output, for its error, and its layers as they appear.
struct BuildLog {
    tail: Arc<Mutex<VecDeque<String>>>,
}

impl BuildLog {
    /// The log, what takes the build's output, and the layers; they end with the output.
    fn new() -> (Self, Output, mpsc::UnboundedReceiver<String>) {
        let (sender, layers) = mpsc::unbounded_channel();
        let tail = Arc::<Mutex<VecDeque<String>>>::default();
        let log = Self {
            tail: Arc::clone(&tail),
        };
        let output = move |output: BuildOutput<'_>| match output {
            BuildOutput::Layer(layer) => drop(sender.send(layer.to_owned())),
            BuildOutput::Text(text) => remember(&mut tail.lock(), text),
        };
        (log, Arc::new(output), layers)
    }

    /// What the engine says of a failure, and what the build said last.
    fn explained(&self, error: EngineError) -> EngineError {
        let tail = self.tail.lock();
        match error {
            EngineError::Failed(text) if !tail.is_empty() => {
                let lines: Vec<&str> = tail.iter().map(String::as_str).collect();
                EngineError::Failed(format!(
                    "{text}; its output ended with:\n{}",
                    lines.join("\n")
                ))
            }
            error => error,
        }
    }
}

fn remember(tail: &mut VecDeque<String>, text: &str) {
    for line in text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
    {
        tracing::debug!("{line}");
        tail.push_back(line.chars().take(TAIL_WIDTH).collect());
        if tail.len() > TAIL_LINES {
            tail.pop_front();
        }
    }
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
