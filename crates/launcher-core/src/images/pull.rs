//! Pulling images from registries.

use super::{
    Images,
    work::{Abandoned, Kind},
};
use crate::{Error, ImageName, ImageStatus, engine::EngineError};

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
        self.table
            .change(name, |image| image.status = ImageStatus::Pulling)
            .await?;
        let full_name = name.with_tag();
        let pulled = tokio::select! {
            pulled = self.engine.pull(&full_name) => pulled,
            () = abandoned.wait() => Err(EngineError::Failed("nobody waits for it any more".into())),
        };
        self.settle(name, false).await?;
        pulled.map_err(|error| pull_error(name, error).into())
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
