//! Getting a release's image, which may take long: what serves meanwhile is looked after.

use std::{sync::Arc, time::Instant};

use super::{BLIND, Shared, Worker, situation};
use crate::{
    Error, ImageName, InstanceView, Status,
    app_instance::Rollout,
    deployments::DeploymentStatus,
    reconciler::plan::{self, Next, Step},
};

impl Worker {
    /// Pulls the image; given up as soon as it is no longer wanted.
    pub(super) async fn pull(&mut self, view: &InstanceView) -> Result<(), Error> {
        self.show(Status::Pulling);
        let text = format!("pulling {}", view.record.image);
        self.tell_step(view, DeploymentStatus::Pulling, &text).await;
        let pulling = pull(Arc::clone(&self.shared), view.clone());
        tokio::pin!(pulling);
        // What does not run waits for this pull and no more is known of it.
        let serves = view.record.rollout.as_ref();
        let serves = serves.is_some_and(Rollout::is_of_running);
        let mut again = serves.then(Instant::now);
        loop {
            let now = Instant::now();
            tokio::select! {
                pulled = &mut pulling => return pulled,
                () = self.wait(again, now) => {}
            }
            if !self.is_newest(view) {
                // The wake-up was for the worker's loop as well.
                self.wake.notify_one();
                return Ok(());
            }
            if serves {
                again = self.look_after_what_serves(view).await;
            }
        }
    }

    fn is_newest(&self, view: &InstanceView) -> bool {
        let now = self.shared.instances.view(&self.id);
        now.is_ok_and(|now| now.record.wish == view.record.wish)
    }

    /// Tells what has become of it, and starts again what has ended. Returns when to look again.
    async fn look_after_what_serves(&mut self, view: &InstanceView) -> Option<Instant> {
        let Ok(sight) = self.look(view).await else {
            return Some(Instant::now() + BLIND);
        };
        self.notice(view, &sight).await;
        self.tell(view, &sight);
        let policy = self.policy(view);
        let container = match plan::keep_replaced(&situation(view, &sight, &policy, &self.memory)) {
            Next::Do(Step::Start(container)) => container,
            Next::Wait(until) => return until,
            _ => return None,
        };
        match self.shared.engine.start(&container).await {
            Ok(()) => {
                self.note_start(view, &sight, &container);
                self.started(view, &container).await;
            }
            Err(error) => tracing::warn!(instance = %self.id, %error, "a step failed"),
        }
        Some(Instant::now() + BLIND)
    }
}

/// Where the exact image is known, and known to a registry, that one; else whatever has its name.
async fn pull(shared: Arc<Shared>, view: InstanceView) -> Result<(), Error> {
    let (record, images) = (&view.record, &shared.images);
    if record.image_id.is_none() {
        return images.pull(&record.image).await;
    }
    let release = record.release.as_deref();
    let release = release.and_then(|id| shared.releases.get(&record.id, id));
    let digest = release.and_then(|release| release.content.digest.clone());
    match digest.and_then(|digest| ImageName::parse(&digest).ok()) {
        Some(exact) => images.pull(&exact).await,
        // A deployment that asks for this image must not end with another one.
        None if record.rollout.is_some() => Err(Error::NotCarriedOut(format!(
            "the image {} of that release is not on the engine any more, and no registry is known \
             to have it",
            record.image
        ))),
        None => {
            tracing::warn!(instance = %record.id, image = %record.image,
                "the release's own image is gone; the newest of its name is taken");
            let (id, release) = (&record.id, record.generation);
            shared.instances.take_any_image(id, release).await
        }
    }
}
