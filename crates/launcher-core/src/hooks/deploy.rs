//! What follows a push: a pull, and new containers where they are wanted.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{
    Error, ImageName, InstanceView, Wanted, deployments::Deployer, instances::Order,
    reconciler::Shared, releases::Reason,
};

/// Instances that are rebuilt at the same time.
const AT_ONCE: usize = 4;

/// Deployments under way, one for each image.
pub(crate) struct AutoDeploys {
    this: Weak<Self>,
    shared: Arc<Shared>,
    deployer: Arc<Deployer>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// By the image's canonical name: whether it was pushed again meanwhile.
    under_way: Mutex<HashMap<String, bool>>,
}

impl AutoDeploys {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        deployer: &Arc<Deployer>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            shared: Arc::clone(shared),
            deployer: Arc::clone(deployer),
            tasks,
            stop,
            under_way: Mutex::default(),
        })
    }

    /// Deploys an image that was pushed, in the background, if instances have it. However often it is
    /// pushed while that goes on, it is deployed once more.
    pub(crate) fn pushed(&self, image: &ImageName) {
        let Some(this) = self.this.upgrade() else {
            return;
        };
        let Some(view) = self.users(image).into_iter().next() else {
            tracing::debug!(%image, "no app instance has the image that was pushed");
            return;
        };
        let is_first = {
            let mut under_way = self.under_way.lock();
            let again = under_way
                .get_mut(&image.canonical())
                .map(|again| *again = true);
            if again.is_none() {
                under_way.insert(image.canonical(), false);
            }
            again.is_none()
        };
        if !is_first {
            return;
        }
        // As the instance names it: so it is called on the engine.
        let name = view.record.image.clone();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(this.deploy_while_pushed(name))
                .await;
        });
    }

    async fn deploy_while_pushed(self: Arc<Self>, image: ImageName) {
        let key = image.canonical();
        loop {
            let (this, image) = (Arc::clone(&self), image.clone());
            let task = tokio::spawn(async move { this.deploy(&image).await });
            // Whatever happens in it, the next push finds the place free.
            if let Err(error) = AbortOnDropHandle::new(task).await {
                tracing::error!(%error, "a deployment broke off");
            }
            let mut under_way = self.under_way.lock();
            match under_way.get_mut(&key) {
                Some(again) if *again => *again = false,
                _ => {
                    under_way.remove(&key);
                    return;
                }
            }
        }
    }

    async fn deploy(&self, image: &ImageName) {
        tracing::info!(%image, "pushed; pulling it");
        let pulled = self.shared.images.pull_newest(image).await;
        let newest = match pulled {
            Ok(()) => self.shared.engine.image(&image.with_tag()).await,
            Err(error) => return self.failed(image, &error),
        };
        let newest = match newest {
            Ok(newest) => newest.map(|image| image.id),
            Err(error) => return self.failed(image, &error.into()),
        };
        let old = self.users(image).into_iter().filter(|view| {
            let is_newest = view.observed.image_id == newest;
            view.record.auto_deploy && !is_newest
        });
        stream::iter(old)
            .for_each_concurrent(AT_ONCE, |view| self.renew(view))
            .await;
    }

    /// Gives an instance a new container: now if it runs, else when it is started.
    async fn renew(&self, view: InstanceView) {
        let id = &view.record.id;
        let renewed = match self
            .deployer
            .begin(id, Order::newest(Reason::AutoDeploy))
            .await
        {
            Ok(deployment) => self.deployer.finished(&deployment).await,
            Err(error) => Err(error),
        };
        match renewed {
            Ok(()) => tracing::info!(instance = %id, image = %view.record.image, "deployed"),
            Err(error) => tracing::warn!(instance = %id, %error, "not deployed"),
        }
    }

    fn failed(&self, image: &ImageName, error: &Error) {
        tracing::warn!(%image, %error, "not deployed");
        for view in self.users(image) {
            if view.record.auto_deploy {
                let text = error.to_string();
                let told = |observed: &mut crate::Observed| observed.deploy_error = Some(text);
                self.shared.instances.observe(&view.record.id, told);
            }
        }
    }

    /// Instances of this image, by its tag. A digest is never pushed anew.
    fn users(&self, image: &ImageName) -> Vec<InstanceView> {
        let mut views = self.shared.instances.views();
        views.retain(|view| {
            let record = &view.record;
            record.wanted != Wanted::Removed
                && !record.image.has_digest()
                && record.image.is_same_image(image)
        });
        views
    }
}
