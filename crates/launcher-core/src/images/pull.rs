//! Pulling images from registries.

use super::{
    Images,
    work::{Abandoned, Kind},
};
use std::sync::Arc;

use crate::{
    BuildKind, BuildStatus, Error, ImageName, ImageStatus,
    builds::{Outcome, Progress},
    engine::EngineError,
};

/// How a pull ends without an image.
enum PullError {
    Cancelled,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for PullError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Images {
    /// Pulls an image, together with everyone else who wants it. Given up when nobody does any more.
    pub(crate) async fn pull(&self, name: &ImageName) -> Result<(), Error> {
        let pull = |abandoned: Abandoned| {
            let (this, name) = (self.this.clone(), name.clone());
            async move {
                let images = this.upgrade().ok_or(Error::ShuttingDown)?;
                images.pull_and_settle(&name, &abandoned).await
            }
        };
        self.work.join_or_begin(name, Kind::Pull, pull).await
    }

    async fn pull_and_settle(&self, name: &ImageName, abandoned: &Abandoned) -> Result<(), Error> {
        let progress = self.builds.begin(BuildKind::Pull, name, None)?;
        let pulled = self.try_pull(name, abandoned, &progress).await;
        let outcome = match &pulled {
            Ok(()) => Outcome::Succeeded(self.table.get(name).and_then(|image| image.image_id)),
            Err(PullError::Cancelled) => Outcome::Cancelled,
            Err(PullError::Failed(error)) => Outcome::Failed(error.to_string()),
        };
        self.builds.end(&progress, outcome).await;
        pulled.map_err(|error| match error {
            PullError::Cancelled => {
                Error::NotCarriedOut(format!("the pull of {name} was cancelled"))
            }
            PullError::Failed(error) => error,
        })
    }

    async fn try_pull(
        &self,
        name: &ImageName,
        abandoned: &Abandoned,
        progress: &Arc<Progress>,
    ) -> Result<(), PullError> {
        self.builds.record(progress).await?;
        self.table
            .change(name, |image| image.status = ImageStatus::Pulling)
            .await?;
        progress.enter(BuildStatus::Downloading);
        let full_name = name.with_tag();
        let pulled = tokio::select! {
            pulled = self.engine.pull(&full_name) => pulled.map_err(|error| pull_error(name, error).into()),
            () = abandoned.wait() => Err(EngineError::Failed("nobody waits for it any more".into()).into()),
            () = progress.cancelled() => Err(PullError::Cancelled),
        };
        self.settle(name, false).await?;
        pulled
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
