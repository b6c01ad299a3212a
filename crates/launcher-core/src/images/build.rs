//! Building images from archives.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::{sync::mpsc, time::sleep};

use super::{
    Ending, Images,
    build_log::{BuildOutputLog, Made},
    failure::{self, Circumstances},
    line::Turn,
    queues::First,
    work,
};
use crate::{
    BuildKind, BuildOrder, BuildSource, BuildStatus, Error, Image, ImageName, ImageStatus,
    builds::{Outcome, Progress},
    engine::{
        BuildFailure, BuildSpec, EngineError, EngineImage, LABEL_METEOR_RELEASE,
        LABEL_NODE_VERSION, LABEL_OWNER, LABEL_SOURCE, Machine,
    },
    error::BuildError,
    source::{Archive, Kind, Prepared, Reading},
};

/// Layers of one build that are remembered for its clean-up; a Dockerfile has at most 127 of them
/// in each stage.
const MAX_LAYERS: usize = 1_000;
/// A download that takes longer than this lets the next build go first.
const PATIENCE: Duration = Duration::from_secs(10);

/// Builds from URLs that were asked for by [`Images::begin_build`] and that the engine has not begun.
#[derive(Default)]
pub(super) struct Asked(Vec<(String, BuildOrder, Arc<Progress>)>);

impl Asked {
    /// One that would do the same.
    fn equal(&mut self, name: &ImageName, order: &BuildOrder) -> Option<String> {
        self.0
            .retain(|(.., progress)| progress.build().status < BuildStatus::Building);
        let name = name.canonical();
        let equal = self
            .0
            .iter()
            .find(|(n, o, _)| *n == name && o.is_same(order));
        equal.map(|(.., progress)| progress.id())
    }

    fn add(&mut self, name: &ImageName, order: &BuildOrder, progress: &Arc<Progress>) {
        // No other build is the same as one from an upload, which is to be free when it has ended.
        if let BuildSource::Url(_) = order.source {
            let asked = (name.canonical(), order.clone(), Arc::clone(progress));
            self.0.push(asked);
        }
    }
}

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
    /// end of other work on that image, and for builds of it that were asked for before. An equal one
    /// that the engine has not begun is joined.
    pub(crate) fn begin_build(&self, name: &ImageName, order: BuildOrder) -> Result<String, Error> {
        can_be_built(name)?;
        let images = self.this.upgrade().ok_or(Error::ShuttingDown)?;
        // Held until the build has its place, so that places are in the order of their documents.
        let mut asked = self.asked.lock();
        if let Some(equal) = asked.equal(name, &order) {
            return Ok(equal);
        }
        let progress = self
            .builds
            .begin(BuildKind::Build, name, Some(order.source.public()))?;
        asked.add(name, &order, &progress);
        let place = self.queues.enter(name);
        let turn = match place {
            // Whoever asks for this name from now on joins it.
            Ok(_) => self.work.try_turn(name, work::Kind::Build),
            Err(_) => None,
        };
        drop(asked);
        let (id, name) = (progress.id(), name.clone());
        tokio::spawn(async move {
            let turn = match turn {
                Some(turn) => Some(turn),
                None => images.next_turn(&name, place, &progress).await,
            };
            match turn {
                Some(turn) => turn.carry_out(images.build(&name, order, &progress)).await,
                None => {
                    drop(order);
                    images.builds.end(&progress, Outcome::Cancelled).await;
                }
            }
        });
        Ok(id)
    }

    /// The next turn for a build that has its place in the queue; `None`: it is cancelled.
    async fn next_turn(
        &self,
        name: &ImageName,
        place: Result<First, impl Future<Output = First>>,
        progress: &Progress,
    ) -> Option<work::Turn> {
        let turn = async {
            let _first = match place {
                Ok(first) => first,
                Err(place) => place.await,
            };
            self.work.turn(name, work::Kind::Build).await
        };
        tokio::select! {
            biased;
            () = progress.cancelled() => None,
            turn = turn => Some(turn),
        }
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
        self.build(name, order, &progress).await
    }

    async fn build(
        &self,
        name: &ImageName,
        order: BuildOrder,
        progress: &Arc<Progress>,
    ) -> Result<(), Error> {
        let build = progress.id();
        tracing::info!(%build, image = %name, "building");
        // The next build begins when this one has ended and nothing of it is left.
        let mut turn = None;
        let built = tokio::select! {
            built = self.try_build(name, &order, progress, &mut turn) => built,
            never = self.builds.keep_written(progress) => match never {},
        };
        if let (Ok(_), BuildSource::Upload(upload)) = (&built, &order.source)
            && let Err(error) = upload.used_up().await
        {
            tracing::warn!(%build, %error, "an upload that was built stays until it expires");
        }
        // Whoever sees that the build failed may have the upload built again.
        drop(order);
        let settled = match &built {
            Ok(image) => self.settle_as(name, Ending::Well, Some(image)).await,
            Err(error) if error.cut_off() => self.settle(name, Ending::CutOff).await,
            Err(_) => self.settle(name, Ending::Badly).await,
        };
        let outcome = match &built {
            Ok(image) => Outcome::Succeeded(Some(image.id.clone())),
            Err(BuildError::Cancelled) => Outcome::Cancelled,
            Err(error) => Outcome::Failed(error.sentence()),
        };
        if let Outcome::Succeeded(Some(image)) = &outcome {
            self.ledger.named(name, image).await;
        }
        self.builds.end(progress, outcome).await;
        drop(turn);
        if built.is_ok() {
            self.ledger.grow();
        }
        let Err(error) = built else {
            tracing::info!(%build, image = %name, "built");
            return settled;
        };
        tracing::warn!(%build, image = %name, %error, "the build failed");
        if let Err(error) = settled {
            tracing::warn!(image = %name, %error, "a failed build is not cleaned up yet");
        }
        let image = name.to_string();
        Err(match error {
            BuildError::Cancelled if self.builds.is_closed() => Error::ShuttingDown,
            BuildError::Cancelled => Error::BuildCancelled { image, build },
            error => Error::Build {
                image,
                build,
                reason: error.to_string(),
            },
        })
    }

    async fn try_build<'a>(
        &'a self,
        name: &ImageName,
        order: &BuildOrder,
        progress: &Arc<Progress>,
        turn: &mut Turn<'a>,
    ) -> Result<EngineImage, BuildError> {
        let recorded = self.builds.record(progress).await;
        recorded.map_err(|error| BuildError::record(error.into()))?;
        let prepared = async {
            let reading = self.archive_in_turn(order, progress, turn).await?;
            self.prepare(name, order, reading, progress).await
        };
        let (prepared, machine) = unless_cancelled(progress, prepared).await?;
        let limits = self.settings.builds.limits(machine);
        progress.enter(BuildStatus::Building);
        let (log, output, made) = BuildOutputLog::new(Arc::clone(progress));
        let spec = BuildSpec {
            name: name.with_tag(),
            labels: self.labels(&order.source, prepared.kind()),
            context: prepared.into_stream().boxed(),
            logins: self.registries.logins(),
            limits,
            began: machine.time,
            output,
        };
        // What was made is recorded to its end, also when the build is cut off.
        let recorded = self.record_made(name, made);
        let (built, ()) = tokio::join!(self.engine_builds(spec, progress), recorded);
        let image = match built {
            Ok(built) => built.map_err(|failure| {
                let (output, build) = (log.ending(), progress.build());
                let at = Circumstances {
                    step: build.step.as_ref(),
                    output: &output,
                    memory_bytes: limits.memory_bytes,
                };
                explained(&failure, &at)
            })?,
            Err(cancelled) => return Err(cancelled),
        };
        self.has_its_name(name, image).await
    }

    async fn engine_builds(
        &self,
        spec: BuildSpec,
        progress: &Progress,
    ) -> Result<Result<String, BuildFailure>, BuildError> {
        tokio::select! {
            built = self.engine.build(spec) => Ok(built),
            () = progress.cancelled() => Err(BuildError::Cancelled),
        }
    }

    /// The engine names an image in a last step of its own, of which it does not tell in so many words.
    async fn has_its_name(
        &self,
        name: &ImageName,
        built: String,
    ) -> Result<EngineImage, BuildError> {
        match self.engine.image(&name.with_tag()).await? {
            Some(image) if image.id == built => Ok(image),
            _ => Err(EngineError::Failed("the engine did not name the image".into()).into()),
        }
    }

    fn labels(&self, source: &BuildSource, kind: &Kind) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([(LABEL_OWNER.to_owned(), self.settings.owner.clone())]);
        // A label that is new each time would be a step that the engine never has in its cache.
        if let BuildSource::Url(_) = source {
            labels.insert(LABEL_SOURCE.to_owned(), source.public());
        }
        if let Kind::MeteorBundle(bundle) = kind {
            let release = (LABEL_METEOR_RELEASE, &bundle.meteor_release);
            for (label, value) in [release, (LABEL_NODE_VERSION, &bundle.node_version)] {
                labels.extend(value.clone().map(|value| (label.to_owned(), value)));
            }
        }
        labels
    }

    /// Waits for the build's turn and fetches its archive, which is read as it comes. The turn is lent
    /// to the next build while that takes long.
    async fn archive_in_turn<'a>(
        &'a self,
        order: &BuildOrder,
        progress: &Arc<Progress>,
        turn: &mut Turn<'a>,
    ) -> Result<Reading, BuildError> {
        *turn = self.line.turn(progress).await;
        let mut archive = std::pin::pin!(self.archive(order, progress));
        tokio::select! {
            reading = &mut archive => return reading,
            () = sleep(PATIENCE) => *turn = None,
        }
        let reading = archive.await?;
        *turn = self.line.turn(progress).await;
        Ok(reading)
    }

    async fn prepare(
        &self,
        name: &ImageName,
        order: &BuildOrder,
        reading: Reading,
        progress: &Arc<Progress>,
    ) -> Result<(Prepared, Machine), BuildError> {
        progress.enter(BuildStatus::Preparing);
        let (prepared, machine) = tokio::join!(reading.prepared(), self.note_begun(name, order));
        let (machine, prepared) = (machine?, prepared?);
        for note in prepared.notes() {
            progress.say_line(note);
        }
        self.ensure_base(prepared.kind(), progress).await?;
        Ok((prepared, machine))
    }

    /// Enters that the image is being built, from now on by the engine's clock.
    async fn note_begun(
        &self,
        name: &ImageName,
        order: &BuildOrder,
    ) -> Result<Machine, BuildError> {
        let machine = self.engine.machine().await?;
        let begin = self.table.change(name, |image| {
            image.status = ImageStatus::Building;
            image.source_url = Some(order.source.public());
            image.build_began = Some(machine.time);
            image.layers.clear();
            image.step_container = None;
        });
        begin.await.map_err(BuildError::record)?;
        Ok(machine)
    }

    /// Fetches the archive and begins to read it: a file that is gone when it is closed, or that
    /// something else keeps.
    async fn archive(
        &self,
        order: &BuildOrder,
        progress: &Arc<Progress>,
    ) -> Result<Reading, BuildError> {
        let _slot = self.download_slots.acquire().await;
        progress.enter(BuildStatus::Downloading);
        match &order.source {
            BuildSource::Url(url) => {
                let (archive, end) = Archive::arriving(&self.settings.temporary).await?;
                let reading = self.read(archive, order);
                let told = Arc::clone(progress);
                let received = move |received, expected| told.received(received, expected);
                let fetcher = &self.settings.fetcher;
                fetcher.fetch(url.as_str(), end, received).await?;
                Ok(reading)
            }
            BuildSource::Upload(upload) => {
                progress.received(upload.size(), Some(upload.size()));
                let file = upload
                    .file()
                    .map_err(|error| BuildError::record(error.into()))?;
                Ok(self.read(Archive::whole(file)?, order))
            }
        }
    }

    fn read(&self, archive: Archive, order: &BuildOrder) -> Reading {
        let mut options = self.settings.source.clone();
        if let Some(wanted) = order.source_map_support {
            options.source_map_support = wanted;
        }
        Reading::begin(archive, options)
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

    /// Writes down what a build makes as it appears, so that a launcher started after a crash can
    /// remove what an interrupted build left.
    async fn record_made(&self, name: &ImageName, mut made: mpsc::Receiver<Made>) {
        let mut news = Vec::new();
        // What came while the last of it was being written is written together.
        while made.recv_many(&mut news, MAX_LAYERS).await > 0 {
            let recorded = self.table.change(name, |image| {
                for made in news.drain(..) {
                    enter_made(image, made);
                }
            });
            if let Err(error) = recorded.await {
                tracing::warn!(%error, "what a build made could not be recorded");
            }
        }
    }
}

fn enter_made(image: &mut Image, made: Made) {
    match made {
        Made::Container(container) => image.step_container = Some(container),
        Made::Layer(layer) => {
            if image.layers.len() < MAX_LAYERS && !image.layers.contains(&layer) {
                image.layers.push(layer);
            }
        }
    }
}

async fn unless_cancelled<T>(
    progress: &Progress,
    work: impl Future<Output = Result<T, BuildError>>,
) -> Result<T, BuildError> {
    tokio::select! {
        biased;
        () = progress.cancelled() => Err(BuildError::Cancelled),
        done = work => done,
    }
}

fn explained(failure: &BuildFailure, at: &Circumstances<'_>) -> BuildError {
    let step_failed = matches!(failure, BuildFailure::Step { .. });
    let refused = matches!(failure, BuildFailure::Engine(EngineError::Failed(_)));
    BuildError::Failed {
        sentence: failure::sentence(failure, at),
        output: at.output.to_vec(),
        cut_off: !step_failed && !refused,
    }
}

fn can_be_built(name: &ImageName) -> Result<(), Error> {
    match name.has_digest() {
        true => Err(Error::CannotBuildDigest),
        false => Ok(()),
    }
}
