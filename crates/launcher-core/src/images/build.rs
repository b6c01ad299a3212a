//! Building images from archives.

use futures_util::StreamExt;
use tokio::sync::mpsc;
use url::Url;

use super::{Images, build_log::BuildLog, work};
use crate::{
    Error, ImageName, ImageStatus,
    engine::Build,
    error::BuildError,
    ids::random_id,
    source,
    source::{Kind, Prepared},
};

/// Layers of one build that are remembered for its clean-up; a Dockerfile has at most 127 of them
/// in each stage.
const MAX_LAYERS: usize = 1_000;

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
        let build = |_| {
            let (this, name, url) = (self.this.clone(), name.clone(), url.clone());
            async move {
                let images = this.upgrade().ok_or(Error::ShuttingDown)?;
                images.build_unless_present(&name, &url).await
            }
        };
        self.work
            .join_or_begin(name, work::Kind::Build, build)
            .await
    }

    /// Waits for the end of a build of this name, if one is under way, however it ends.
    pub(crate) async fn build_ended(&self, name: &ImageName) {
        self.work.build_ended(name).await;
    }

    async fn build_unless_present(&self, name: &ImageName, url: &Url) -> Result<(), Error> {
        match self.engine.image(&name.with_tag()).await? {
            Some(found) => self.note_present(name, &found).await,
            None => self.build(name, url).await,
        }
    }

    async fn build(&self, name: &ImageName, url: &Url) -> Result<(), Error> {
        let build = random_id();
        tracing::info!(%build, image = %name, "building");
        let built = self.try_build(name, url).await;
        let settled = self.settle(name, false).await;
        match built {
            Ok(()) => {
                tracing::info!(%build, image = %name, "built");
                settled
            }
            Err(error) => {
                tracing::warn!(%build, image = %name, %error, "the build failed");
                if let Err(error) = settled {
                    tracing::warn!(image = %name, %error, "a failed build is not cleaned up yet");
                }
                let (image, reason) = (name.to_string(), error.to_string());
                Err(Error::Build {
                    image,
                    build,
                    reason,
                })
            }
        }
    }

    async fn try_build(&self, name: &ImageName, url: &Url) -> Result<(), BuildError> {
        let began = self.engine.time().await?;
        let begin = self.table.change(name, |image| {
            image.status = ImageStatus::Building;
            image.source_url = Some(source::public_url(url));
            image.build_began = Some(began);
            image.layers.clear();
        });
        begin.await.map_err(BuildError::record)?;
        let prepared = self.prepare(name, url).await?;
        self.ensure_base(prepared.kind()).await?;
        let _slot = self.build_slots.acquire().await;
        let (log, output, layers) = BuildLog::new();
        let context = prepared.into_stream().boxed();
        let build = Build {
            name: name.with_tag(),
            context,
            output,
        };
        let recorded = self.record_layers(name, layers);
        let (built, ()) = tokio::join!(self.engine.build(build), recorded);
        Ok(built.map_err(|error| log.explained(error))?)
    }

    async fn prepare(&self, name: &ImageName, url: &Url) -> Result<Prepared, BuildError> {
        let _slot = self.download_slots.acquire().await;
        let settings = &self.settings;
        let progress = |_received, _expected| {};
        let fetched = settings
            .fetcher
            .fetch(url.as_str(), &settings.temporary, progress)
            .await?;
        let prepared = source::prepare(fetched.file, &settings.source).await?;
        for note in prepared.notes() {
            tracing::info!(image = %name, "{note}");
        }
        Ok(prepared)
    }

    /// Pulls the image that a Meteor bundle is built on, if the engine does not have it: the engine
    /// would do so as well, but not say in so many words what is missing when it cannot.
    async fn ensure_base(&self, kind: &Kind) -> Result<(), BuildError> {
        let Kind::MeteorBundle(bundle) = kind else {
            return Ok(());
        };
        let base = self.settings.source.node_image.for_major(bundle.node_major);
        if self.engine.image(&base).await?.is_some() {
            return Ok(());
        }
        tracing::info!(image = %base, "pulling the base image");
        let pulled = self.engine.pull(&base).await;
        pulled.map_err(|error| BuildError::Base { image: base, error })
    }

    /// Writes down each layer as it appears, so that a launcher started after a crash can remove
    /// what an interrupted build left.
    async fn record_layers(&self, name: &ImageName, mut layers: mpsc::Receiver<String>) {
        while let Some(layer) = layers.recv().await {
            let recorded = self.table.change(name, |image| {
                if image.layers.len() < MAX_LAYERS && !image.layers.contains(&layer) {
                    image.layers.push(layer);
                }
            });
            if let Err(error) = recorded.await {
                tracing::warn!(%error, "a layer of a build could not be recorded");
            }
        }
    }
}
