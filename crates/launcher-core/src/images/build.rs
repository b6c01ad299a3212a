//! Building images from archives.

use std::{fs::File, sync::Arc};

use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::{Images, build_log::BuildOutputLog, work};
use crate::{
    BuildKind, BuildOrder, BuildSource, BuildStatus, Error, ImageName, ImageStatus,
    builds::{Outcome, Progress},
    engine::{BuildSpec, EngineError},
    error::BuildError,
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
        order: BuildOrder,
    ) -> Result<(), Error> {
        can_be_built(name)?;
        let build = |_| {
            let (this, name) = (self.this.clone(), name.clone());
            async move {
                let images = this.upgrade().ok_or(Error::ShuttingDown)?;
                images.build_unless_present(&name, order).await
            }
        };
        self.work
            .join_or_begin(name, work::Kind::Build, build)
            .await
    }

    /// Begins a build, even if there is an image of that name, and returns its id. It waits for the
    /// end of other work on that image.
    pub(crate) fn begin_build(&self, name: &ImageName, order: BuildOrder) -> Result<String, Error> {
        can_be_built(name)?;
        let images = self.this.upgrade().ok_or(Error::ShuttingDown)?;
        let progress = self
            .builds
            .begin(BuildKind::Build, name, Some(order.source.public()))?;
        let (id, name) = (progress.id(), name.clone());
        tokio::spawn(async move {
            let turn = images.work.turn(&name, work::Kind::Build);
            tokio::select! {
                turn = turn => turn.carry_out(images.build(&name, &order, &progress)).await,
                () = progress.cancelled() => images.builds.end(&progress, Outcome::Cancelled).await,
            }
        });
        Ok(id)
    }

    /// Waits for the end of a build of this name, if one is under way, however it ends.
    pub(crate) async fn build_ended(&self, name: &ImageName) {
        self.work.build_ended(name).await;
    }

    async fn build_unless_present(&self, name: &ImageName, order: BuildOrder) -> Result<(), Error> {
        if let Some(found) = self.engine.image(&name.with_tag()).await? {
            return self.note_present(name, &found).await;
        }
        let progress = self
            .builds
            .begin(BuildKind::Build, name, Some(order.source.public()))?;
        self.build(name, &order, &progress).await
    }

    async fn build(
        &self,
        name: &ImageName,
        order: &BuildOrder,
        progress: &Arc<Progress>,
    ) -> Result<(), Error> {
        let build = progress.id();
        tracing::info!(%build, image = %name, "building");
        let built = tokio::select! {
            built = self.try_build(name, order, progress) => built,
            () = progress.cancelled() => Err(BuildError::Cancelled),
        };
        if let (Ok(()), BuildSource::Upload(upload)) = (&built, &order.source)
            && let Err(error) = upload.used_up().await
        {
            tracing::warn!(%build, %error, "an upload that was built stays until it expires");
        }
        let settled = self.settle(name, false).await;
        let outcome = match &built {
            Ok(()) => Outcome::Succeeded(self.table.get(name).and_then(|image| image.image_id)),
            Err(BuildError::Cancelled) => Outcome::Cancelled,
            Err(error) => Outcome::Failed(error.to_string()),
        };
        self.builds.end(progress, outcome).await;
        let Err(error) = built else {
            tracing::info!(%build, image = %name, "built");
            return settled;
        };
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

    async fn try_build(
        &self,
        name: &ImageName,
        order: &BuildOrder,
        progress: &Arc<Progress>,
    ) -> Result<(), BuildError> {
        let recorded = self.builds.record(progress).await;
        recorded.map_err(|error| BuildError::record(error.into()))?;
        let began = self.engine.time().await?;
        let begin = self.table.change(name, |image| {
            image.status = ImageStatus::Building;
            image.source_url = Some(order.source.public());
            image.build_began = Some(began);
            image.layers.clear();
        });
        begin.await.map_err(BuildError::record)?;
        let prepared = self.prepare(order, progress).await?;
        self.ensure_base(prepared.kind(), progress).await?;
        let _slot = self.build_slots.acquire().await;
        progress.enter(BuildStatus::Building);
        let (log, output, layers) = BuildOutputLog::new(Arc::clone(progress));
        let context = prepared.into_stream().boxed();
        let build = BuildSpec {
            name: name.with_tag(),
            context,
            logins: self.registries.logins(),
            output,
        };
        let recorded = self.record_layers(name, layers);
        let (built, ()) = tokio::join!(self.engine.build(build), recorded);
        Ok(built.map_err(|error| log.explained(error))?)
    }

    async fn prepare(
        &self,
        order: &BuildOrder,
        progress: &Arc<Progress>,
    ) -> Result<Prepared, BuildError> {
        let _slot = self.download_slots.acquire().await;
        progress.enter(BuildStatus::Downloading);
        let archive = self.archive(&order.source, progress).await?;
        progress.enter(BuildStatus::Preparing);
        let mut options = self.settings.source.clone();
        if let Some(wanted) = order.source_map_support {
            options.source_map_support = wanted;
        }
        let prepared = source::prepare(archive, &options).await?;
        for note in prepared.notes() {
            progress.say_line(note);
        }
        Ok(prepared)
    }

    /// The archive, as a file that is gone when it is closed, or that something else keeps.
    async fn archive(
        &self,
        source: &BuildSource,
        progress: &Arc<Progress>,
    ) -> Result<File, BuildError> {
        let settings = &self.settings;
        match source {
            BuildSource::Url(url) => {
                let told = Arc::clone(progress);
                let fetched = settings
                    .fetcher
                    .fetch(
                        url.as_str(),
                        &settings.temporary,
                        move |received, expected| {
                            told.received(received, expected);
                        },
                    )
                    .await?;
                Ok(fetched.file)
            }
            BuildSource::Upload(upload) => {
                progress.received(upload.size(), Some(upload.size()));
                upload
                    .file()
                    .map_err(|error| BuildError::record(error.into()))
            }
        }
    }

    /// Pulls the image that a Meteor bundle is built on, if the engine does not have it: the engine
    /// would do so as well, but not say in so many words what is missing when it cannot.
    async fn ensure_base(&self, kind: &Kind, progress: &Arc<Progress>) -> Result<(), BuildError> {
        let Kind::MeteorBundle(bundle) = kind else {
            return Ok(());
        };
        let base = self.settings.source.node_image.for_major(bundle.node_major);
        if self.engine.image(&base).await?.is_some() {
            return Ok(());
        }
        let pulled = match ImageName::parse(&base) {
            Ok(name) => self.pull_base(&name, progress).await,
            Err(error) => Err(EngineError::Failed(error.to_string())),
        };
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

fn can_be_built(name: &ImageName) -> Result<(), Error> {
    match name.has_digest() {
        true => Err(Error::CannotBuildDigest),
        false => Ok(()),
    }
}
