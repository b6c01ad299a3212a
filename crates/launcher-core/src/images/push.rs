//! Pushing images to registries.

use std::sync::Arc;

use super::{Images, transfer::Ended};
use crate::{BuildKind, BuildStatus, Error, ImageName, builds::Progress, registries::Verb};

impl Images {
    /// Begins to push an image to the registry that its name begins with, or joins its push, and
    /// returns the id of its document.
    pub(crate) async fn begin_push(&self, name: &ImageName) -> Result<String, Error> {
        if name.has_digest() {
            return Err(Error::CannotPushDigest);
        }
        let is_coming = self.work.is_under_way(name);
        if !is_coming && self.engine.image(&name.with_tag()).await?.is_none() {
            return Err(Error::NoSuchImage(name.to_string()));
        }
        let images = self.this.upgrade().ok_or(Error::ShuttingDown)?;
        let image = name.clone();
        let push = |progress: Arc<Progress>, _| async move {
            let pushed = tokio::select! {
                pushed = images.try_push(&image, &progress) => pushed,
                () = progress.cancelled() => Err(Ended::Cancelled),
            };
            images.end_transfer(&image, &progress, pushed).await
        };
        let push = self.join_transfer(BuildKind::Push, name, push)?;
        let id = push.id();
        tokio::spawn(push.outcome());
        Ok(id)
    }

    async fn try_push(
        &self,
        name: &ImageName,
        progress: &Arc<Progress>,
    ) -> Result<Option<String>, Ended> {
        // What is pushed is what the name means when the other work on it is done; from then on the
        // push is about content, and holds up nobody who gives the name to another image.
        drop(self.work.turn(name, super::work::Kind::Pull).await);
        let image = self.engine.image(&name.with_tag()).await?;
        let image = image.ok_or_else(|| Error::NoSuchImage(name.to_string()))?;
        progress.enter(BuildStatus::Uploading);
        self.tell_transfer(Verb::Push, name, progress).await?;
        Ok(Some(image.id))
    }
}
