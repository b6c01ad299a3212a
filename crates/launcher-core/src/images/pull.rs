//! Pulling images from registries.

use std::sync::Arc;

use super::{Ending, Images, transfer::Ended, transfers::Joined, work, work::Abandoned};
use crate::{
    BuildKind, BuildStatus, Error, ImageName, ImageStatus,
    builds::Progress,
    disk::{Before, Made, told},
    engine::EngineError,
    registries::Verb,
};

impl Images {
    /// Pulls an image, together with everyone else who wants it. Given up when nobody does any more.
    pub(crate) async fn pull(&self, name: &ImageName) -> Result<(), Error> {
        self.join_pull(name)?.outcome().await
    }

    /// Pulls an image that has just changed in its registry: a pull that is under way may have begun
    /// before that, and is waited for.
    pub(crate) async fn pull_newest(&self, name: &ImageName) -> Result<(), Error> {
        self.transfers.ended(BuildKind::Pull, name).await;
        self.pull(name).await
    }

    /// Begins to pull an image, or joins its pull, and returns the id of its document. It goes on
    /// until it is cancelled.
    pub(crate) fn begin_pull(&self, name: &ImageName) -> Result<String, Error> {
        let pull = self.join_pull(name)?;
        let id = pull.id();
        tokio::spawn(pull.outcome());
        Ok(id)
    }

    /// Pulls the base of a build, as part of it.
    pub(super) async fn pull_base(
        &self,
        base: &ImageName,
        progress: &Arc<Progress>,
    ) -> Result<(), EngineError> {
        progress.say_line(&format!("pulling the base image {base}"));
        let say = Arc::clone(progress);
        let output = move |text: &str| say.say_line(text);
        let before = self.ledger.before_pull().await?;
        let pulled = self.transfer(Verb::Pull, base, super::transfer::texts(output));
        pulled.await.map(drop).map_err(|refused| match refused {
            Ok(refusal) => EngineError::Failed(refusal.reason().to_owned()),
            Err(error) => error,
        })?;
        self.claim_pulled(base, &before, Made::Base).await;
        Ok(())
    }

    fn join_pull(&self, name: &ImageName) -> Result<Joined, Error> {
        let images = self.this.upgrade().ok_or(Error::ShuttingDown)?;
        let image = name.clone();
        let pull = |progress, abandoned| async move {
            images.pull_in_turn(&image, &progress, &abandoned).await
        };
        self.join_transfer(BuildKind::Pull, name, pull)
    }

    /// Other work on the image goes first.
    async fn pull_in_turn(
        &self,
        name: &ImageName,
        progress: &Arc<Progress>,
        abandoned: &Abandoned,
    ) -> Result<(), Error> {
        let ended = tokio::select! {
            turn = self.work.turn(name, work::Kind::Pull) => Ok(turn),
            ended = given_up(progress, abandoned) => Err(ended),
        };
        let turn = match ended {
            Ok(turn) => turn,
            Err(ended) => return self.end_transfer(name, progress, Err(ended)).await,
        };
        let mut outcome = Ok(());
        let pull = async {
            let pulled = self.try_pull(name, progress, abandoned).await;
            outcome = self.end_transfer(name, progress, pulled).await;
            Ok(())
        };
        turn.carry_out(pull).await;
        outcome
    }

    async fn try_pull(
        &self,
        name: &ImageName,
        progress: &Arc<Progress>,
        abandoned: &Abandoned,
    ) -> Result<Option<String>, Ended> {
        self.table
            .change(name, |image| image.status = ImageStatus::Pulling)
            .await?;
        let before = self.ledger.before_pull().await.map_err(Error::from)?;
        progress.enter(BuildStatus::Downloading);
        let pulled = tokio::select! {
            pulled = self.tell_transfer(Verb::Pull, name, progress) => pulled,
            ended = given_up(progress, abandoned) => Err(ended),
        };
        let settled = self.settle(name, Ending::Badly).await;
        // An engine that has gone cannot be asked either; what is told is how the pull ended.
        pulled?;
        settled?;
        self.claim_pulled(name, &before, Made::Pulled).await;
        Ok(self.table.get(name).and_then(|image| image.image_id))
    }

    /// Remembers that an image is there because the launcher pulled it, if it is.
    async fn claim_pulled(&self, name: &ImageName, before: &Before, how: Made) {
        let noted = async {
            if let Some(image) = self.engine.image(&name.with_tag()).await? {
                self.ledger.pulled(name, &image.id, before, how).await?;
                self.ledger.named(name, &image.id).await;
                self.ledger.grow();
            }
            Ok(())
        };
        told(
            noted.await,
            "that an image was pulled could not be recorded",
        );
    }
}

async fn given_up(progress: &Arc<Progress>, abandoned: &Abandoned) -> Ended {
    tokio::select! {
        () = progress.cancelled() => {}
        () = abandoned.wait() => progress.say_line("nobody waits for it any more"),
    }
    Ended::Cancelled
}
